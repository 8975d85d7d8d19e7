//! Taking what a shop sends to Wirecard Checkout / QENTA to start a payment (fact sheet checkout a, d): the fingerprint is
//! checked, the payer is sent on, and the confirmation comes later.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::answer::{Answer, Reply, Request};
use super::answer_checkout::{Fields, Sent, told};
use super::coming::{Of, Seen, usual_checkout};
use super::gateway::{Gateway, How, NotTaken};
use super::script::{Plan, Script};
use super::shop::Shop;
use super::wishes::Wishes;
use crate::core::account::Product;
use crate::core::submission::Submission;
use crate::wire::checkout::{encode, init};
use crate::wire::request::Facts;
use crate::words::id::RequestId;
use crate::words::time::{SignedDuration, Timestamp, later, minutes};

/// How long a fingerprint may not come again where the shop asks for it (fact sheet checkout a.7).
const DUPLICATE_WINDOW: SignedDuration = minutes(30);
/// How many fingerprints are remembered; older ones are forgotten.
const FINGERPRINTS_MAX: usize = 10_000;
/// Payment types whose money is only approved until the shop deposits it (fact sheet checkout c.2).
const APPROVED_FIRST: [&str; 6] = ["CCARD", "CCARD-MOTO", "MAESTRO", "PSC", "INVOICE", "INSTALLMENT"];

/// Fields of the gateway's own in a request that starts a payment; every other name is a custom parameter and comes back
/// with the confirmation.
#[rustfmt::skip]
const OWN: &[&str] = &[
    "amount", "autoDeposit", "backgroundColor", "cancelUrl", "confirmMail", "confirmUrl", "currency", "customerId",
    "customerStatement", "displayText", "duplicateRequestCheck", "failureUrl", "financialInstitution", "imageUrl",
    "language", "layout", "maxRetries", "noScriptInfoUrl", "orderDescription", "orderIdent", "orderNumber",
    "orderReference", "paymentType", "paymenttypeSortOrder", "pendingUrl", "pluginVersion", "requestFingerprint",
    "requestFingerprintOrder", "serviceUrl", "shopId", "storageId", "successUrl", "transactionIdentifier", "windowName",
];
/// Beginnings of further such names.
const OWN_PREFIXES: [&str; 6] = ["basket", "company", "consumer", "mandate", "risk", "shipping"];

/// What a request cannot do without: name, code and text where it is missing (captured refusals).
type Needed = (&'static str, &'static str, &'static str);
const NEEDED: [Needed; 10] = [
    ("language", "11009", "Language is missing."),
    ("amount", "11017", "Amount is missing."),
    ("currency", "11019", "Currency is missing."),
    ("orderDescription", "11020", "Order description is missing."),
    ("paymentType", "11051", "PAYMENTTYPE is missing."),
    ("successUrl", "11022", "SUCCESSURL is missing."),
    ("failureUrl", "11023", "FAILUREURL is missing."),
    ("cancelUrl", "11024", "CANCELURL is missing."),
    ("serviceUrl", "11031", "SERVICEURL is missing."),
    ("requestFingerprintOrder", "11508", "REQUESTFINGERPRINTORDER is missing."),
];
/// What Seamless wants beside it.
const NEEDED_BY_SEAMLESS: [Needed; 3] = [
    ("confirmUrl", "11504", "CONFIRMURL is missing."),
    ("consumerIpAddress", "11146", "IP-Address is missing."),
    ("consumerUserAgent", "11130", "USER_AGENT is missing."),
];

impl Gateway {
    /// Starts the payment of one init request, or says what is wrong with it.
    pub(super) fn take_checkout(&mut self, now: Timestamp, sent: &Sent<'_>, facts: &Facts) -> Reply {
        let Sent { shop, contract, fields, request } = *sent;
        let refused =
            |errors: &[(&str, &str)]| Reply::Answer(told(encode::errors_reply(contract.product, None, errors)));
        let wanted = match contract.product {
            Product::Page => &NEEDED_BY_SEAMLESS[..0],
            Product::Seamless => &NEEDED_BY_SEAMLESS[..],
        };
        let is_missing = |(name, ..): &&Needed| sent.field(name).is_none_or(str::is_empty);
        let missing: Vec<(&str, &str)> =
            NEEDED.iter().chain(wanted).filter(is_missing).map(|(_, code, text)| (*code, *text)).collect();
        if !missing.is_empty() {
            return refused(&missing);
        }
        let Some(fingerprint) = sent.field("requestFingerprint").filter(|text| !text.is_empty()) else {
            return refused(&[("11050", "FINGERPRINT is missing.")]);
        };
        if !init::verifies(request.body, contract.algorithm, shop.key.secret.expose_secret()) {
            return refused(&[("18050", "FINGERPRINT is invalid.")]);
        }
        if sent.field("duplicateRequestCheck").is_some_and(|yes| yes.eq_ignore_ascii_case("yes"))
            && !self.is_new(now, fingerprint)
        {
            return refused(&[("13050", "FINGERPRINT cannot be used twice.")]);
        }
        let Some(amount) = facts.amount.and_then(|stated| stated.bookable()).filter(|a| !a.is_negative()) else {
            let is_currency = facts.amount.is_some_and(|stated| stated.currency.is_none());
            return refused(&[match is_currency {
                true => ("18019", "Currency is invalid."),
                false => ("18017", "Amount is invalid."),
            }]);
        };
        let merchant = sent.merchant();
        // Custom parameters are the shop's own affair: the gateway minds neither a missing id nor one that comes twice.
        let nth = self.payments.len();
        let request_id = match &facts.request_id {
            Some(id) => id.clone(),
            None => RequestId::new(&format!("unnamed-{nth}")).expect("a short text of letters and digits"),
        };
        let is_taken = self.payments.contains_key(&(merchant.clone(), request_id.clone()));
        let again =
            is_taken.then(|| RequestId::new(&format!("again-{nth}")).expect("a short text of letters and digits"));
        let payment_type = facts.payment_method.clone();
        let submission = Submission {
            merchant: merchant.clone(),
            request_id: request_id.clone(),
            order_number: facts.order_number.clone(),
            transaction_type: None,
            amount,
            payment_method: payment_type.clone(),
            parent_transaction_id: None,
            gateway_order_number: facts.gateway_order_number.clone(),
            submitted_at: None,
            periodic: None,
            basket: None,
            custom_fields: Some(custom(fields, &contract.own_id_parameter)).filter(|custom| !custom.is_empty()),
            resolver_category: None,
            captures_due: None,
        };
        let seen = Seen {
            merchant,
            of: Of::Payments,
            request_id: Some(&request_id),
            order_number: facts.order_number.as_ref(),
        };
        let is_deposited = sent.field("autoDeposit").is_some_and(|yes| yes.eq_ignore_ascii_case("yes"));
        let is_approved_first = APPROVED_FIRST.contains(&payment_type.as_deref().unwrap_or("CCARD"));
        let usual = usual_checkout(is_approved_first && !is_deposited);
        let (script, plan) = self.take_coming(&seen).unwrap_or_else(|| (usual, Plan::default()));
        if script == Script::NeverStarted {
            return Reply::Closed;
        }
        let how = How { wishes: Wishes::at(sent.field("confirmUrl")), kept_as: again, ..How::default() };
        match self.start(now, &submission, &script, &plan, how) {
            Ok(_) => Reply::Answer(sent_on(request, nth)),
            Err(NotTaken::NumberUsedBefore(_)) => refused(&[("13011", "Order number cannot be used twice.")]),
            Err(
                NotTaken::UsedBefore(_)
                | NotTaken::UnknownShop(_)
                | NotTaken::UnknownParent(_)
                | NotTaken::UnknownType(_)
                | NotTaken::Full,
            ) => refused(&[("30000", "Unknown error.")]),
        }
    }

    /// Whether a fingerprint has not come within the window; it is remembered.
    fn is_new(&mut self, now: Timestamp, fingerprint: &str) -> bool {
        self.fingerprints.retain(|_, at| later(*at, DUPLICATE_WINDOW) > now);
        if self.fingerprints.len() >= FINGERPRINTS_MAX {
            let oldest = self.fingerprints.iter().min_by_key(|(_, at)| **at).map(|(known, _)| known.clone());
            oldest.map(|oldest| self.fingerprints.remove(&oldest));
        }
        self.fingerprints.insert(fingerprint.to_ascii_lowercase(), now).is_none()
    }

    /// The answer to any request to the data storage: a storage, which keeps nothing.
    pub(super) fn data_storage(&self, shop: &Shop) -> String {
        let id = self.prng.fork(&format!("storage {} {}", shop.account.name, self.payments.len())).uuid();
        let script = format!("http://gateway.invalid/dataStorage/{id}/dataStorage.js");
        encode::unsigned(&[("storageId".to_owned(), id.replace('-', "")), ("javascriptUrl".to_owned(), script)])
    }
}

/// The payer is to go on: a redirect for a browser, a field for a shop's server.
fn sent_on(request: &Request, nth: usize) -> Answer {
    let host = request.header("host").unwrap_or("gateway.invalid");
    let url = format!("http://{host}/select.php?SID=sandbox{nth}");
    if request.path().ends_with("/init.php") {
        return Answer { location: Some(url), ..Answer::empty(302) };
    }
    told(encode::unsigned(&[("redirectUrl".to_owned(), url)]))
}

/// The shop's own parameters apart from its id, by name.
fn custom(fields: &Fields, own_id_parameter: &str) -> BTreeMap<String, String> {
    let is_own = |name: &str| {
        OWN.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name == own_id_parameter
    };
    fields.iter().filter(|(name, _)| !is_own(name)).cloned().collect()
}
