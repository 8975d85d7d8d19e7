//! Alerts fire once per condition, list their members, and end with the condition. Each telling is a
//! row of the outbox first and a message second.

use crate::core::alert::{Alert, MEMBERS_MAX, Member, Sink, Status, Telling, Topic};
use crate::core::discrepancy::Severity;
use crate::core::payment::Payment;
use crate::core::policy::Policy;
use crate::engine::books;
use crate::store::{Draft, Fault, Table};
use crate::words::id::MerchantName;
use crate::words::time::{Now, SignedDuration, Timestamp, hours, later};

/// How long an alert about something past stays on the list.
pub const NEWS_FOR: SignedDuration = hours(24);

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

/// Whom a condition is about.
pub enum Who {
    /// News about no payment in particular.
    Nobody,
    /// A payment that was not in this alert before.
    Joins(Member),
    /// A payment that is in it, with something new to say.
    Stays(Member),
}

/// The condition holds: fires its alert, or adds to the one that fires already.
pub fn raise(draft: &mut Draft, policy: &Policy, condition: Condition, who: Who, now: Now) -> Result<(), Fault> {
    if let Some(mut alert) = books::firing(draft, &condition.key)? {
        let before = alert.clone();
        match who {
            Who::Nobody => alert.count += 1,
            Who::Joins(member) => join(&mut alert, member),
            Who::Stays(member) => {
                if let Some(listed) = alert.members.iter_mut().find(|m| m.number == member.number) {
                    *listed = member;
                }
            }
        }
        alert.summary = condition.summary;
        alert.ends_at = condition.ends_at;
        if alert != before {
            books::put_alert(draft, &alert)?;
        }
        return Ok(());
    }
    let mut alert = Alert {
        number: books::next_number(draft, Table::Alerts)?,
        key: condition.key,
        topic: condition.topic,
        severity: condition.severity,
        merchant: condition.merchant,
        summary: condition.summary,
        members: Vec::new(),
        count: 0,
        at_stake: Vec::new(),
        status: Status::Firing,
        fired_at: now.wall,
        resolved_at: None,
        told_at: now.steady,
        ends_at: condition.ends_at,
        tally: None,
    };
    match who {
        Who::Nobody => alert.count = 1,
        Who::Joins(member) | Who::Stays(member) => join(&mut alert, member),
    }
    draft.put(Table::AlertsByKey, alert.key.clone().into_bytes(), alert.number.to_be_bytes().to_vec());
    books::put_alert(draft, &alert)?;
    tell(draft, policy, &alert, now)
}

fn join(alert: &mut Alert, member: Member) {
    alert.count += 1;
    if let Some(amount) = member.amount {
        alert.stake(amount);
    }
    if alert.members.len() < MEMBERS_MAX {
        alert.members.push(member);
    }
}

/// The condition ended for one payment that was in the alert; with the last one it is resolved.
pub fn leave(draft: &mut Draft, policy: &Policy, key: &str, payment: &Payment, now: Now) -> Result<(), Fault> {
    let Some(mut alert) = books::firing(draft, key)? else { return Ok(()) };
    alert.members.retain(|m| m.number != payment.number);
    alert.count = alert.count.saturating_sub(1);
    if let Some(amount) = payment.amount() {
        alert.stake(amount.negated());
    }
    if alert.count == 0 {
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

/// An alert about something that happened: it stays on the list for [`NEWS_FOR`], and is told once.
pub fn news(
    draft: &mut Draft,
    policy: &Policy,
    topic: Topic,
    merchant: Option<&MerchantName>,
    summary: String,
    now: Now,
) -> Result<(), Fault> {
    let key = news_key(topic, merchant);
    let ends_at = Some(later(now.steady, NEWS_FOR));
    let severity = Severity::Warning;
    let condition = Condition { key, topic, severity, merchant: merchant.cloned(), summary, ends_at };
    raise(draft, policy, condition, Who::Nobody, now)
}

/// The key of an alert that [`news`] raises.
pub fn news_key(topic: Topic, merchant: Option<&MerchantName>) -> String {
    merchant.map_or_else(|| topic.name().to_owned(), |m| format!("{}/{m}", topic.name()))
}
