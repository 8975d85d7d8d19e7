//! Notifications: kept first, thanked second, judged third.

use crate::core::account::{Account, Contract};
use crate::core::identity::strip_suffix;
use crate::core::message::{Authenticity, Dialect, Message, PaymentState, Scheme, Transaction};
use crate::core::record::{Event, Notified, Weight};
use crate::core::submission::Submission;
use crate::engine::digest::{digest, gist};
use crate::engine::intake::{TRANSACTIONS_MAX, allow_listed};
use crate::engine::packed::{Envelope, pack, unpack};
use crate::engine::relay::Heard;
use crate::engine::{Engine, Incoming, Judged, Kept, books, route};
use crate::store::{Draft, Fault, Table, View};
use crate::wire;
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, RequestId};
use crate::words::time::Now;

/// Row of `Table::Meta` with the ring's next slot.
const RING_NEXT: &[u8] = b"ring_next";
/// Bodies judged in one commit, in bytes: what is behind them waits for the next.
const JUDGE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Rows of the inbox read at once; each may hold a body of the listener's cap.
const INBOX_PAGE_ROWS: usize = 8;
/// Bytes that the copies of one body may take: a list is kept beside the evidence of each payment it speaks of, until
/// they take this much, and then beside the first ones only.
const BODY_COPIES_MAX_BYTES: usize = 2 * 1024 * 1024;

/// Where a judged message goes.
enum Destination {
    Journal {
        number: PaymentNumber,
        request_id: RequestId,
    },
    /// `overflows`: the first message that no longer fits its payment's allowance.
    Ring {
        request_id: Option<String>,
        remark: String,
        overflows: Option<PaymentNumber>,
    },
}

impl Engine {
    /// Keeps a notification. Once the draft is committed, the sender may forget it.
    pub fn receive(&self, draft: &mut Draft, incoming: Incoming, now: Now) -> Result<Kept, Fault> {
        let arrival = books::next_number(draft, Table::Inbox)?;
        let oldest = match draft.range(Table::Inbox, &[], &[], 1)?.first() {
            Some((key, _)) => books::as_u64(Table::Inbox, key, key)?,
            None => arrival,
        };
        if arrival - oldest >= self.policy.keeping.inbox_max_rows {
            return Ok(Kept::Full);
        }
        let envelope = Envelope {
            merchant: incoming.merchant,
            way: incoming.way.to_owned(),
            content_type: incoming.content_type.map(|text| text.chars().take(200).collect()),
            kept: now,
            request_id: None,
            remark: None,
        };
        draft.put(Table::Inbox, arrival.to_be_bytes().to_vec(), pack(&envelope, &incoming.body)?);
        Ok(Kept::Kept { arrival })
    }

    /// Judges kept notifications, oldest first, at most `limit`.
    pub fn judge(&self, draft: &mut Draft, limit: usize, now: Now) -> Result<Judged, Fault> {
        let (mut judged, mut bytes, mut is_cut) = (0, 0, false);
        let mut from = Vec::new();
        while judged < limit && !is_cut {
            let rows = draft.range(Table::Inbox, &from, &[], INBOX_PAGE_ROWS.min(limit - judged))?;
            let Some((last, _)) = rows.last() else { break };
            from = [last.as_slice(), &[0]].concat();
            for (key, row) in rows {
                if bytes >= JUDGE_MAX_BYTES {
                    is_cut = true;
                    break;
                }
                let (envelope, body): (Envelope, _) = unpack(Table::Inbox, &key, &row)?;
                let heard = self.judge_one(draft, &envelope, body, now)?;
                self.queue_relay(draft, &envelope, body, &heard, now)?;
                draft.delete(Table::Inbox, key);
                judged += 1;
                bytes += row.len();
            }
        }
        let more = is_cut || !draft.range(Table::Inbox, &from, &[], 1)?.is_empty();
        // Nobody waits for a verdict: go on with the payments that a deaf interval touched.
        let more = more || if judged == 0 { self.sweep(draft, now)? } else { self.is_sweeping(draft)? };
        Ok(Judged { judged, more })
    }

    fn judge_one(&self, draft: &mut Draft, envelope: &Envelope, body: &[u8], now: Now) -> Result<Heard, Fault> {
        let unreadable = |draft: &mut Draft, why: &str| {
            self.to_ring(draft, envelope, body, None, why)?;
            Ok(Heard::default())
        };
        let Some(account) = self.policy.accounts.get(&envelope.merchant) else {
            return unreadable(draft, "the merchant account is not configured any more");
        };
        // A reader that panics on some body would stop judging for good: to the ring with it.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.read(account, body)));
        let (message, signer) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => return unreadable(draft, &why),
            Err(_) => return unreadable(draft, "the reader panicked"),
        };
        let parts = self.parts(account, &message);
        if parts.is_empty() {
            return unreadable(draft, "it speaks of no transaction");
        }
        let digest = digest(body);
        let mut heard = Heard::of(&message.authenticity);
        // A list speaks of many payments in one body. A stranger's must not be written once for each of them.
        let (mut is_in_ring, mut copied_bytes) = (false, 0);
        // Only the relay asks whether it was heard before, and finding out means reading evidence.
        let is_relayed = self.policy.relays.contains_key(&envelope.merchant);
        for (transaction, request_id) in parts {
            let weight = self.weigh(signer, &message, transaction.as_ref());
            let transactions: Vec<Transaction> = transaction.clone().into_iter().map(allow_listed).collect();
            let gateway_order_number = matches!(weight, Weight::Fact | Weight::SignedHint)
                .then(|| message.gateway_order_number.as_deref().and_then(|n| GatewayOrderNumber::new(n).ok()))
                .flatten();
            let gist = gist(weight, message.payment_state, gateway_order_number.as_ref(), &transactions)?;
            // Signed JSON and XML are covered whole; the other schemes leave fields out.
            let whole = (weight == Weight::Fact && account.dialect() == Dialect::Wpg).then_some(gist.as_str());
            match self.destination(
                draft,
                account,
                &message,
                transaction.as_ref(),
                request_id.as_deref(),
                (weight, &gist),
            )? {
                Destination::Ring { request_id, remark, overflows } => {
                    if let Some(number) = overflows {
                        self.record(draft, Event::Overflowed { number }, now)?;
                    }
                    let id = request_id.as_deref();
                    let is_repeat = is_relayed && self.is_repeat_for(draft, &envelope.merchant, id, whole, &digest)?;
                    heard.of_nobody(id, is_repeat);
                    if !is_in_ring {
                        self.to_ring(draft, envelope, body, request_id.as_deref(), &remark)?;
                        is_in_ring = true;
                    }
                }
                Destination::Journal { number, request_id } => {
                    let is_repeat = is_relayed && self.is_repeat(draft, &envelope.merchant, number, whole, &digest)?;
                    heard.of_payment(number, &request_id, is_repeat);
                    let notified = Notified {
                        number,
                        merchant: envelope.merchant.clone(),
                        request_id,
                        way: envelope.way.clone(),
                        kept: envelope.kept,
                        digest: digest.clone(),
                        bytes: body.len() as u64,
                        format: message.format,
                        scheme: message.authenticity.scheme(),
                        weight,
                        remark: remark(&message.authenticity),
                        transactions,
                        payment_state: message.payment_state,
                        gateway_order_number,
                        error_code: message.error_code.clone(),
                    };
                    let sequence = self.record(draft, Event::Notified(Box::new(notified)), now)?;
                    if copied_bytes == 0 || copied_bytes + body.len() <= BODY_COPIES_MAX_BYTES {
                        draft.put(Table::Bodies, sequence.to_be_bytes().to_vec(), pack(envelope, body)?);
                        copied_bytes += body.len();
                    }
                }
            }
        }
        Ok(heard)
    }

    /// Reads a body with the key of the account whose merchant account it names: our own, or a
    /// sibling's. Returns the account whose key was used.
    fn read<'e>(&'e self, account: &'e Account, body: &[u8]) -> Result<(Message, &'e Account), String> {
        let key = self.keys.get(&account.name);
        match &account.contract {
            Contract::Wpg(_) => {
                let message = wire::wpg::decode(body, key).map_err(|why| why.to_string())?;
                let named = message.transactions.first().and_then(|t| t.merchant_account_id.as_deref());
                let owns = |member: &&Account| match &member.contract {
                    Contract::Wpg(wpg) => named.is_some_and(|id| wpg.merchant_account_ids.iter().any(|own| own == id)),
                    Contract::Checkout(_) => false,
                };
                match route::family(&self.policy, account).into_iter().find(owns) {
                    Some(owner) if owner.name != account.name => {
                        let key = self.keys.get(&owner.name);
                        Ok((wire::wpg::decode(body, key).map_err(|why| why.to_string())?, owner))
                    }
                    _ => Ok((message, account)),
                }
            }
            Contract::Checkout(checkout) => {
                let reading = wire::checkout::Reading {
                    algorithm: Some(checkout.algorithm),
                    secret: key.map(|k| k.secret_bytes()),
                    own_id_parameter: Some(&checkout.own_id_parameter),
                };
                Ok((wire::checkout::decode(body, &reading).map_err(|why| why.to_string())?, account))
            }
        }
    }

    /// The transactions of a message, each with the request-id it names; a `checkout` message without
    /// one still names its own id.
    fn parts(&self, account: &Account, message: &Message) -> Vec<(Option<Transaction>, Option<String>)> {
        let own_id = match &account.contract {
            Contract::Checkout(checkout) => {
                let name = &checkout.own_id_parameter;
                message.custom.get(name).or_else(|| message.unverified.get(name)).map(|id| id.trim().to_owned())
            }
            Contract::Wpg(_) => None,
        };
        if message.transactions.is_empty() {
            return own_id.into_iter().map(|id| (None, Some(id))).collect();
        }
        let transactions = message.transactions.iter().take(TRANSACTIONS_MAX);
        transactions.map(|t| (Some(t.clone()), t.request_id.clone().or_else(|| own_id.clone()))).collect()
    }

    /// How far a message may change the books: the scheme pinned for the account must have verified
    /// it with that account's own key, cover every field we use, and identity must agree.
    fn weigh(&self, signer: &Account, message: &Message, transaction: Option<&Transaction>) -> Weight {
        let scheme = match &message.authenticity {
            Authenticity::Refuted { .. } => return Weight::Refuted,
            #[cfg(planted)]
            Authenticity::Unverifiable { .. } if crate::planted::is("hint-is-a-fact") => return Weight::Fact,
            Authenticity::Unverifiable { .. } => return Weight::Hint,
            Authenticity::Verified { scheme, .. } => *scheme,
        };
        match &signer.contract {
            Contract::Wpg(wpg) => {
                let named = transaction.and_then(|t| t.merchant_account_id.as_deref());
                if !named.is_some_and(|id| wpg.merchant_account_ids.iter().any(|own| own == id)) {
                    return Weight::Hint;
                }
                match (scheme, wpg.scheme) {
                    (Scheme::JsonSigned, Some(Scheme::JsonSigned)) | (Scheme::XmlDsig, Some(Scheme::XmlDsig)) => {
                        Weight::Fact
                    }
                    // The signature does not cover the money (fact sheet wpg b.4).
                    (Scheme::NvpV1 | Scheme::NvpV2, Some(Scheme::NvpV1 | Scheme::NvpV2)) => Weight::SignedHint,
                    _ => Weight::Hint,
                }
            }
            Contract::Checkout(checkout) => match message.payment_state {
                Some(PaymentState::Success | PaymentState::Pending) if scheme == checkout.algorithm => {
                    // Plain digests can be extended and are of the past: the gateway's books confirm them.
                    if scheme == Scheme::HmacSha512 { Weight::Fact } else { Weight::SignedHint }
                }
                _ => Weight::Hint,
            },
        }
    }

    fn destination(
        &self,
        draft: &Draft,
        account: &Account,
        message: &Message,
        transaction: Option<&Transaction>,
        request_id: Option<&str>,
        (weight, gist): (Weight, &str),
    ) -> Result<Destination, Fault> {
        let is_signed = matches!(weight, Weight::Fact | Weight::SignedHint);
        let found = match account.dialect() {
            Dialect::Wpg => match transaction {
                Some(transaction) => route::route(draft, &self.policy, account, transaction)?,
                None => None,
            },
            Dialect::Checkout => match request_id {
                Some(id) => books::by_request(draft, &account.name, id)?,
                None => None,
            },
        };
        // Only the Payment Gateway puts suffixes on ids; at the checkout `r-deposit` is an id of its own.
        let bare = |id| if account.dialect() == Dialect::Wpg { strip_suffix(id).unwrap_or(id) } else { id };
        let id = request_id.and_then(|id: &str| RequestId::new(bare(id)).ok());
        let Some(number) = found else {
            return Ok(match (is_signed, id) {
                (true, Some(request_id)) => {
                    let number = PaymentNumber(books::next_number(draft, Table::Payments)?);
                    Destination::Journal { number, request_id }
                }
                _ => {
                    let remark = format!("{}, for a request nobody submitted", message.authenticity.verdict());
                    Destination::Ring { request_id: request_id.map(str::to_owned), remark, overflows: None }
                }
            });
        };
        let payment = books::payment_at(draft, number)?;
        // A genuine message can be replayed for ever: repeats share the allowance of the unproven.
        let spends = !is_signed || payment.digests.iter().any(|seen| seen == gist);
        let allowance = self.policy.keeping.unverified_max_per_request;
        if spends && payment.unverified >= allowance {
            let remark = format!("more than {allowance} unproven messages for this request");
            let overflows = (payment.unverified == allowance).then_some(number);
            return Ok(Destination::Ring { request_id: Some(payment.request_id.to_string()), remark, overflows });
        }
        Ok(Destination::Journal { number, request_id: payment.request_id })
    }

    /// Puts a message into the ring. Durable until its slot is used again.
    fn to_ring(
        &self,
        draft: &mut Draft,
        envelope: &Envelope,
        body: &[u8],
        request_id: Option<&str>,
        remark: &str,
    ) -> Result<(), Fault> {
        let next = match draft.get(Table::Meta, RING_NEXT)? {
            Some(bytes) => books::as_u64(Table::Meta, RING_NEXT, &bytes)?,
            None => 0,
        };
        let slot = next % self.policy.keeping.ring_slots.max(1);
        let key = slot.to_be_bytes().to_vec();
        if let Some(row) = draft.get(Table::Ring, &key)? {
            let (old, _): (Envelope, _) = unpack(Table::Ring, &key, &row)?;
            if let Some(id) = old.request_id {
                let index = books::text_key(&old.merchant, &id);
                if draft.get(Table::RingByRequest, &index)?.as_deref() == Some(&key) {
                    draft.delete(Table::RingByRequest, index);
                }
            }
        }
        let request_id = request_id.and_then(|id| RequestId::new(id).ok()).map(String::from);
        let remark: String = remark.chars().filter(|c| !c.is_control()).take(200).collect();
        let envelope = Envelope { request_id: request_id.clone(), remark: Some(remark), ..envelope.clone() };
        draft.put(Table::Ring, key.clone(), pack(&envelope, body)?);
        if let Some(id) = request_id {
            draft.put(Table::RingByRequest, books::text_key(&envelope.merchant, &id), key);
        }
        draft.put(Table::Meta, RING_NEXT.to_vec(), (next + 1).to_be_bytes().to_vec());
        if envelope.remark.as_deref().is_some_and(|r| r.starts_with("refuted")) {
            self.count_forgery(draft, &envelope.merchant)?;
        }
        Ok(())
    }

    /// Forged messages for unknown payments are counted here and journaled at most once a minute.
    fn count_forgery(&self, draft: &mut Draft, merchant: &MerchantName) -> Result<(), Fault> {
        let key = forged_key(merchant);
        let count = match draft.get(Table::Meta, &key)? {
            Some(bytes) => books::as_u64(Table::Meta, &key, &bytes)?,
            None => 0,
        };
        draft.put(Table::Meta, key, (count + 1).to_be_bytes().to_vec());
        Ok(())
    }

    /// Journals what was counted since the last time.
    pub(super) fn journal_forgeries(&self, draft: &mut Draft, now: Now) -> Result<(), Fault> {
        for merchant in self.policy.accounts.keys() {
            let key = forged_key(merchant);
            let Some(bytes) = draft.get(Table::Meta, &key)? else { continue };
            let count = books::as_u64(Table::Meta, &key, &bytes)?;
            draft.delete(Table::Meta, key);
            self.record(draft, Event::Forged { merchant: merchant.clone(), count }, now)?;
        }
        Ok(())
    }

    /// Whether an unauthenticated message for a submission's request-id lies in the ring.
    pub(super) fn was_announced(&self, draft: &Draft, submission: &Submission) -> Result<bool, Fault> {
        let index = books::text_key(&submission.merchant, submission.request_id.as_str());
        Ok(draft.get(Table::RingByRequest, &index)?.is_some())
    }
}

fn forged_key(merchant: &MerchantName) -> Vec<u8> {
    format!("forged/{merchant}").into_bytes()
}

fn remark(authenticity: &Authenticity) -> Option<String> {
    match authenticity {
        Authenticity::Verified { .. } => None,
        Authenticity::Refuted { reason, .. } => Some(reason.chars().filter(|c| !c.is_control()).take(200).collect()),
        Authenticity::Unverifiable { reason, .. } => {
            reason.as_ref().map(|r| r.chars().filter(|c| !c.is_control()).take(200).collect())
        }
    }
}
