//! Alerts fire once per condition, list their members, and end with the condition. Each telling is a
//! row of the outbox first and a message second.

use crate::core::alert::{Alert, MEMBERS_MAX, Member, Sink, Status, Telling, Topic};
use crate::core::discrepancy::Severity;
use crate::core::payment::Payment;
use crate::core::policy::Policy;
use crate::engine::books;
use crate::store::{Draft, Fault, Table};
use crate::words::id::{MerchantName, PaymentNumber};
use crate::words::time::{Now, Timestamp};

/// A condition that holds now.
pub struct Condition {
    pub key: String,
    pub topic: Topic,
    pub severity: Severity,
    pub merchant: Option<MerchantName>,
    pub summary: String,
    /// Steady time after which it ends by itself; `None`: until [`clear`] or [`resolve`].
    pub ends_at: Option<Timestamp>,
}

pub fn member(payment: &Payment, note: Option<String>) -> Member {
    Member {
        number: payment.number,
        request_id: payment.request_id.clone(),
        order_number: payment.order_number().map(ToString::to_string),
        amount: payment.amount(),
        note,
    }
}

/// The condition holds: fires its alert, or adds to the one that fires already.
pub fn raise(
    draft: &mut Draft,
    policy: &Policy,
    condition: Condition,
    who: Option<Member>,
    now: Now,
) -> Result<(), Fault> {
    if let Some(mut alert) = books::firing(draft, &condition.key)? {
        let before = alert.clone();
        match who {
            Some(who) => match alert.members.iter_mut().find(|m| m.number == who.number) {
                Some(listed) => *listed = who,
                None => {
                    alert.count += 1;
                    if alert.members.len() < MEMBERS_MAX {
                        alert.members.push(who);
                    }
                }
            },
            None => alert.count += 1,
        }
        alert.summary = condition.summary;
        alert.ends_at = condition.ends_at;
        if alert != before {
            books::put_alert(draft, &alert)?;
        }
        return Ok(());
    }
    let alert = Alert {
        number: books::next_number(draft, Table::Alerts)?,
        key: condition.key,
        topic: condition.topic,
        severity: condition.severity,
        merchant: condition.merchant,
        summary: condition.summary,
        members: who.into_iter().collect(),
        count: 1,
        status: Status::Firing,
        fired_at: now.wall,
        resolved_at: None,
        told_at: now.steady,
        ends_at: condition.ends_at,
    };
    draft.put(Table::AlertsByKey, alert.key.clone().into_bytes(), alert.number.to_be_bytes().to_vec());
    books::put_alert(draft, &alert)?;
    tell(draft, policy, &alert, now)
}

/// The condition ended for one payment; with its last member the alert is resolved.
pub fn clear(draft: &mut Draft, policy: &Policy, key: &str, who: PaymentNumber, now: Now) -> Result<(), Fault> {
    let Some(mut alert) = books::firing(draft, key)? else { return Ok(()) };
    let before = alert.members.len();
    alert.members.retain(|m| m.number != who);
    if alert.members.len() == before {
        return Ok(());
    }
    if alert.members.is_empty() {
        return resolve(draft, policy, alert, now);
    }
    books::put_alert(draft, &alert)
}

/// The condition ended altogether.
pub fn resolve(draft: &mut Draft, policy: &Policy, mut alert: Alert, now: Now) -> Result<(), Fault> {
    alert.status = Status::Resolved;
    alert.resolved_at = Some(now.wall);
    draft.delete(Table::AlertsByKey, alert.key.clone().into_bytes());
    books::put_alert(draft, &alert)?;
    tell(draft, policy, &alert, now)
}

/// Puts a telling of the alert's present status in the outbox, one row per sink.
pub fn tell(draft: &mut Draft, policy: &Policy, alert: &Alert, now: Now) -> Result<(), Fault> {
    let sinks: &[Sink] = if policy.alerts.webhook { &[Sink::Log, Sink::Webhook] } else { &[Sink::Log] };
    for sink in sinks {
        let number = next_telling(draft)?;
        let telling = Telling {
            number,
            id: format!("{}-{}", alert.id(), number),
            sink: *sink,
            alert: alert.number,
            status: alert.status,
            attempts: 0,
            not_before: now.steady,
        };
        books::write(draft, Table::Outbox, number.to_be_bytes().to_vec(), &telling)?;
    }
    Ok(())
}

/// Tellings leave the outbox when delivered, so its last key is no counter. Each stems from a journal
/// record; its sequence and a count within it make a number that is never used twice.
fn next_telling(draft: &Draft) -> Result<u64, Fault> {
    const PER_RECORD: u64 = 1 << 16;
    let from = draft.journal_len().saturating_mul(PER_RECORD);
    Ok(books::next_number(draft, Table::Outbox)?.max(from))
}
