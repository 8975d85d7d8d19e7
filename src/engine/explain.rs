//! Why we believe what we believe: each fact, when we learnt it, the rule applied, what was not known,
//! and what happens next.

use serde_json::{Value, json};

use crate::core::look::{Answer, Outcome, Query};
use crate::core::message::{Format, Transaction};
use crate::core::operation;
use crate::core::payment::Payment;
use crate::core::record::{Event, Notified, PassedOutcome, Record, ResponseOutcome, Weight};
use crate::core::relay::Attempt;
use crate::core::submission::Teller;
use crate::engine::views::EVIDENCE_MAX;
use crate::engine::{Engine, books, views};
use crate::store::{Fault, View};
use crate::words::time::Now;

/// Version of the rules in `core`; printed with every explanation. Raised when a rule changes.
pub const RULES: &str = "rules 1";

impl Engine {
    /// Everything known of an order, request-id or transaction-id, and why. Empty: no such id.
    pub fn explain(&self, view: &dyn View, id: &str, now: Now) -> Result<Vec<Value>, Fault> {
        let mut numbers = self.find(view, id)?;
        let mut follow_ups = Vec::new();
        for number in &numbers {
            follow_ups.extend(books::payment_at(view, *number)?.follow_ups);
        }
        numbers.extend(follow_ups);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| self.story(view, &books::payment_at(view, number)?, now)).collect()
    }

    fn story(&self, view: &dyn View, payment: &Payment, now: Now) -> Result<Value, Fault> {
        let mut story = Vec::new();
        for sequence in books::evidence(view, payment.number, EVIDENCE_MAX)? {
            let record = books::record(view, sequence)?;
            let (what, rule) = sentence(&record);
            story.push(json!({ "seq": sequence, "at": record.now.wall, "what": what, "rule": rule }));
        }
        let mut unknown = Vec::new();
        if payment.is_orphan() {
            unknown.push("nobody submitted this request: nothing is booked for it".to_owned());
        }
        if !views::is_askable(self, payment) {
            unknown.push("the gateway can't be asked: no gateway order number, or no back-end password".to_owned());
        }
        if payment.watch.looks == 0 && payment.watch.failures > 0 {
            unknown.push(format!("{} looks got no answer", payment.watch.failures));
        }
        if let Some(claim) = &payment.claim {
            unknown.push(format!("a message that nobody signed says: {claim}"));
        }
        let stopped = books::firing(view, &format!("lane/{}", payment.merchant))?.is_some();
        let next = payment.next.as_ref().map(|next| {
            let is_late = next.phase.is_look() && next.at < now.steady;
            let waits = match (is_late, stopped) {
                (false, _) => None,
                (true, true) => Some("overdue: the gateway can't be asked now"),
                (true, false) => Some("overdue: it waits for its turn within the account's budget"),
            };
            json!({ "at": views::next_look_at(payment, now), "why": next.why, "phase": next.phase, "waits": waits })
        });
        Ok(json!({
            "payment": self.payment_json(view, payment, now)?,
            "rules": RULES,
            "story": story,
            "not_known": unknown,
            "next": next,
        }))
    }
}

/// One record in words, and the rule it fell under.
fn sentence(record: &Record) -> (String, &'static str) {
    match &record.event {
        Event::Submitted { submission, was_announced, told_by, .. } => {
            let kind = submission.transaction_type.as_deref().unwrap_or("payment");
            let order = submission.order_number.as_ref().map(|o| format!(" for order {o}")).unwrap_or_default();
            let method = submission.payment_method.as_ref().map(|m| format!(" by {m}")).unwrap_or_default();
            let at = submission.submitted_at.map(|at| format!(" at {at}")).unwrap_or_default();
            let early = if *was_announced { "; an unauthenticated message had come before" } else { "" };
            let how = match told_by {
                Teller::Shop => String::new(),
                Teller::Proxy => "; the proxy saw it on its way".to_owned(),
                Teller::Import => format!("{at}, as an imported list says"),
            };
            (
                format!("the shop submitted {kind} of {}{order}{method}{how}{early}", submission.amount),
                "a submission is watched until it is settled",
            )
        }
        Event::Amended { gateway_order_number, .. } => {
            (format!("the shop told gateway order number {gateway_order_number}"), "now the gateway can be asked")
        }
        Event::Filled { submission, .. } => {
            let order = submission.order_number.as_ref().map(|o| format!(" for order {o}")).unwrap_or_default();
            (
                format!("the shop told more of the submission of {}{order} that the proxy had seen", submission.amount),
                "what only one of the two states is no contradiction: both stand",
            )
        }
        Event::Conflicted { field, offered, .. } => (
            format!("the shop submitted the same request-id with another {field}: {offered}"),
            "the first submission stands",
        ),
        Event::Responded { outcome, http_status, transactions, .. } => {
            let what = match outcome {
                ResponseOutcome::NotSent => "the request was never sent to the gateway".to_owned(),
                ResponseOutcome::Unknown => "the shop's request got no answer".to_owned(),
                ResponseOutcome::Answered => {
                    let status = http_status.map(|s| format!(" (HTTP {s})")).unwrap_or_default();
                    format!("the gateway answered the shop{status}: {}", all_in_words(transactions))
                }
            };
            if transactions.iter().any(Transaction::is_refused_repeat) {
                return (
                    what,
                    "a request-id that was used before says that an earlier submit arrived: it is asked about",
                );
            }
            (what, "responses are unsigned: a hint with ids, nothing is booked from them")
        }
        Event::Passed { operation, outcome, .. } => passed(operation, outcome.as_ref()),
        Event::Again { .. } => (
            "the shop sent the same request again through the proxy".to_owned(),
            "a request that is sent again is watched like a new one",
        ),
        Event::Operated { intent, .. } => {
            let amount = intent.amount.map(|a| format!(" of {a}")).unwrap_or_default();
            let target = if intent.target.is_empty() { String::new() } else { format!(" for {}", intent.target) };
            let user = intent.by.user.as_deref().map(|user| format!(" ({user})")).unwrap_or_default();
            let (uid, request) = (intent.by.uid, &intent.request_id);
            (
                format!("user {uid}{user} has {}{amount}{target} sent as {request}", intent.wire),
                "journaled before it is sent, and never sent twice: its outcome is unknown until somebody tells",
            )
        }
        Event::Concluded { operation, outcome, by, transactions, .. } => {
            let who = by.as_ref().map_or_else(|| "its sender".to_owned(), |by| format!("user {}", by.uid));
            (
                format!("{who} tells of operation {operation}: {}: {}", outcome.name(), outcome.text()),
                rule_of_outcome(outcome, by.is_some(), !transactions.is_empty()),
            )
        }
        Event::Notified(notified) => (notification(notified), rule_of(notified.weight)),
        Event::Overflowed { .. } => {
            ("more unproven messages came than are kept for one request".into(), "further ones go to the ring")
        }
        Event::Looked { answers, .. } => (look(answers), "an authenticated answer is a fact; silence is not an answer"),
        Event::Asked { .. } => ("a person asked for a look".into(), "the look is due at once"),
        Event::TimeOver { .. } => {
            ("its time is over and nobody can be asked".into(), "never declared failed: a person is told")
        }
        Event::Relayed { answer, attempts, .. } => {
            let again = if *attempts > 1 { format!(" at attempt {attempts}") } else { String::new() };
            let rule = match answer {
                Attempt::Accepted { .. } => "a kept message is passed on until the shop answers 2xx",
                Attempt::Refused { .. } | Attempt::Unreachable { .. } => {
                    "not taken: it is tried again, later each time"
                }
            };
            (format!("relayed to the shop: {}{again}", answer.text()), rule)
        }
        Event::NotRelayed { why, .. } => {
            (format!("not relayed to the shop: {}", why.text()), "what is not passed on is told; its copy stays here")
        }
        Event::Policy { .. }
        | Event::Lane { .. }
        | Event::Deaf { .. }
        | Event::Swept { .. }
        | Event::ClockJumped { .. }
        | Event::Forged { .. }
        | Event::Unkept(_)
        | Event::Repeated { .. }
        | Event::Resolved { .. }
        | Event::Told { .. }
        | Event::Unreported { .. }
        | Event::Reported { .. }
        | Event::Imported { .. }
        | Event::RelayedOthers { .. }
        | Event::Relay { .. } => ("something about the daemon itself".into(), ""),
    }
}

/// Why what was told of an operation counts as it does.
fn rule_of_outcome(outcome: &operation::Outcome, is_by_person: bool, is_booked: bool) -> &'static str {
    match outcome {
        _ if is_by_person => "a person's word counts where the gateway's own answer and books leave it open",
        operation::Outcome::Unknown { .. } => "what an answer leaves open is looked up, never repeated",
        operation::Outcome::Executed { .. } if is_booked => "no answer lists a payout: it is booked from its reply",
        operation::Outcome::Executed { .. } => {
            "executed by the gateway's word; the books follow what its own books list"
        }
        operation::Outcome::Refused { .. } => "refused by the gateway's word: nothing moved, and another may be sent",
        operation::Outcome::NotSent { .. } => "what never left moved nothing, and another may be sent",
        operation::Outcome::NotSeen { .. } => {
            "two looks half an hour apart that find no trace say that nothing happened"
        }
    }
}

fn passed(operation: &str, outcome: Option<&PassedOutcome>) -> (String, &'static str) {
    let Some(outcome) = outcome else {
        return (format!("the shop sent {operation} through the proxy"), "what came of it is asked soon");
    };
    match outcome.outcome {
        ResponseOutcome::NotSent => {
            (format!("{operation} was never sent to the gateway"), "what was not sent needs no look")
        }
        ResponseOutcome::Unknown => {
            (format!("{operation} got no answer"), "it may have taken effect: asked a minute after we gave up waiting")
        }
        ResponseOutcome::Answered => {
            let status = outcome.http_status.map(|s| format!(" (HTTP {s})")).unwrap_or_default();
            (format!("the gateway answered {operation}{status}"), "what came of it is asked a minute after the answer")
        }
    }
}

fn rule_of(weight: Weight) -> &'static str {
    match weight {
        Weight::Fact => "verified under the account's scheme, covering every field we use: a fact",
        Weight::SignedHint => "the signature proves who, not how much: a hint, the gateway is asked",
        Weight::Hint => "anybody could have sent it: a hint, at most one look in ten minutes",
        Weight::Refuted => "its check failed: changes no books, kept and counted",
    }
}

fn notification(notified: &Notified) -> String {
    let signed = match (notified.scheme, notified.weight) {
        (None, _) => ", unsigned".to_owned(),
        (Some(scheme), Weight::Refuted) => format!(", not proven by its {} signature,", scheme.name()),
        (Some(scheme), _) => format!(" signed by {}", scheme.name()),
    };
    let state = notified.payment_state.map(|s| format!(" {}", s.name())).unwrap_or_default();
    let code = notified.error_code.as_deref().map(|c| format!(" ({c})")).unwrap_or_default();
    let said = match notified.transactions.as_slice() {
        [] => String::new(),
        transactions => format!(" says: {}", all_in_words(transactions)),
    };
    let order =
        notified.gateway_order_number.as_ref().map(|n| format!(", gateway order number {n}")).unwrap_or_default();
    let remark = notified.remark.as_deref().map(|r| format!(" [{r}]")).unwrap_or_default();
    let article = if notified.format == Format::Xml { "an" } else { "a" };
    format!("{article} {} notification{state}{code}{signed}{said}{order}{remark}", notified.format.name())
}

fn look(answers: &[Answer]) -> String {
    let each = answers.iter().map(|answer| {
        let asked = match &answer.query {
            Query::RequestId { request_id, .. } | Query::Search { request_id, .. } => {
                format!("request-id {request_id}")
            }
            Query::Category { category, request_id } => format!("request-id {request_id} in category {category}"),
            Query::TransactionId { transaction_id, .. } => format!("transaction {transaction_id}"),
            Query::Group { root, .. } => format!("the family of transaction {root}"),
            Query::OrderDetails { gateway_order_number } => format!("gateway order {gateway_order_number}"),
        };
        let said = match &answer.outcome {
            Outcome::Found => all_in_words(&answer.transactions),
            Outcome::NotFound => "not found".to_owned(),
            Outcome::Unavailable { why, .. } => format!("no answer ({why})"),
            Outcome::Refused { why } => format!("refused ({why})"),
        };
        format!("asked about {asked}: {said}")
    });
    each.collect::<Vec<_>>().join("; ")
}

fn all_in_words(transactions: &[Transaction]) -> String {
    if transactions.is_empty() {
        return "no transactions".into();
    }
    let one = |t: &Transaction| {
        let kind = t.transaction_type.as_deref().unwrap_or("transaction");
        let id = t.transaction_id.as_deref().unwrap_or("without id");
        let state = t.transaction_state.as_deref().unwrap_or("without state");
        let amount = t
            .amount
            .map(|a| format!(" {} {}", a.value_text(), a.currency.map(|c| c.code()).unwrap_or("?")))
            .unwrap_or_default();
        let codes: Vec<&str> = t.statuses.iter().map(|s| s.code.as_str()).collect();
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        let redirect = if t.redirect_only { ", only a redirect" } else { "" };
        format!("{kind} {id} is {state}{amount}{codes}{redirect}")
    };
    transactions.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// An explanation for people. Control characters of outsiders are made visible.
pub fn text(stories: &[Value]) -> String {
    let mut out = String::new();
    for (n, story) in stories.iter().enumerate() {
        if n > 0 {
            out.push('\n');
        }
        let payment = &story["payment"];
        let field = |name: &str| shown(&payment[name]);
        out.push_str(&format!(
            "request {} of {}, order {}\n",
            field("request_id"),
            field("merchant"),
            field("order_number")
        ));
        out.push_str(&format!("  state     {}: {}\n", field("state"), field("reason")));
        out.push_str(&format!("  submitted {} {}\n", field("amount"), field("currency")));
        let booked = payment["booked"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines: Vec<String> = booked
            .iter()
            .map(|b| format!("{} {} {}", shown(&b["kind"]), shown(&b["amount"]), shown(&b["currency"])))
            .collect();
        out.push_str(&format!("  booked    {}\n", if lines.is_empty() { "nothing".into() } else { lines.join(", ") }));
        if !payment["follow_up_of"].is_null() {
            out.push_str(&format!("  follow-up of request {}\n", field("follow_up_of")));
        }
        out.push_str("  what we know, in the order we learnt it:\n");
        for line in story["story"].as_array().map(Vec::as_slice).unwrap_or_default() {
            out.push_str(&format!("    {}  #{}  {}\n", to_second(&line["at"]), line["seq"], shown(&line["what"])));
            out.push_str(&format!("        rule: {}\n", shown(&line["rule"])));
        }
        for discrepancy in payment["discrepancies"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let status = if discrepancy["resolved_at"].is_null() { "open" } else { "resolved" };
            out.push_str(&format!(
                "  discrepancy {} ({status}): {}\n",
                shown(&discrepancy["code"]),
                shown(&discrepancy["what"])
            ));
        }
        for unknown in story["not_known"].as_array().map(Vec::as_slice).unwrap_or_default() {
            out.push_str(&format!("  not known: {}\n", shown(unknown)));
        }
        match &story["next"] {
            Value::Null => out.push_str("  next: nothing is scheduled\n"),
            next => {
                let waits = next["waits"].as_str().map(|waits| format!(" ({waits})")).unwrap_or_default();
                let (at, why) = (shown(&next["at"]), shown(&next["why"]));
                match next["phase"].as_str() {
                    Some("handover" | "tell") => out.push_str(&format!("  next: no look; at {at}: {why}\n")),
                    _ => out.push_str(&format!("  next: look at {at} because {why}{waits}\n")),
                }
            }
        }
        out.push_str(&format!("  ({})\n", shown(&story["rules"])));
    }
    out
}

/// A moment to the second: more is noise to a person.
fn to_second(at: &Value) -> String {
    let text = shown(at);
    match text.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => text,
    }
}

/// A JSON scalar as text on one line; what could move a terminal's cursor or its direction is shown as U+FFFD.
fn shown(value: &Value) -> String {
    let raw = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_risky = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    raw.chars().map(|c| if is_risky(c) { '\u{fffd}' } else { c }).collect()
}
