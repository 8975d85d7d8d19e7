//! `<payment>`, `<payments>` and `<multi-payments>` to transactions (fact sheet wpg a.4, b.3).
//!
//! Only elements of the gateway's own payment namespace, or of none, are read: `<evil:amount>` fills
//! nothing. A value that may stand once and stands twice is nobody's value: it stays absent and the
//! message is flawed, which refutes it.

use std::collections::BTreeSet;

use super::xml::Document;
use super::{Reading, Unreadable, value};
use crate::core::message::{Periodic, Status, Transaction};

/// The namespace of payments, and the spelling without hyphen that one provider's messages carry.
pub(super) const PAYMENT_NAMESPACES: [&str; 2] =
    ["http://www.elastic-payments.com/schema/payment", "http://www.elasticpayments.com/schema/payment"];

/// Reads all payments of a document.
pub(super) fn read(document: &Document) -> Result<Reading, Unreadable> {
    let root = document.element(0);
    let mut reading = Reading::default();
    match own_name(document, 0) {
        Some("payment") => payment(document, 0, &mut reading),
        Some("payments" | "multi-payments") => list(document, 0, &mut reading),
        _ => {
            return Err(Unreadable::new(format!(
                "xml: the root element `{}` is neither `payment`, `payments` nor `multi-payments` of the gateway's namespace",
                super::xml::shown(root.qname)
            )));
        }
    }
    reading.covers = covers(document);
    Ok(reading)
}

/// The local name of an element that is the gateway's; `None` for a stranger's.
fn own_name<'d>(document: &'d Document<'_>, at: usize) -> Option<&'d str> {
    let element = document.element(at);
    let is_own = element.namespace.is_empty() || PAYMENT_NAMESPACES.contains(&element.namespace.as_ref());
    is_own.then_some(element.local)
}

/// A list of payments; `<multi-payments>` holds its payments directly or in a `<payments>` of its own.
fn list(document: &Document, at: usize, reading: &mut Reading) {
    for child in document.children(at) {
        match own_name(document, child) {
            Some("payment") => payment(document, child, reading),
            Some("payments") => list(document, child, reading),
            _ => {}
        }
    }
}

/// The names that a signature over the whole document covers: every element directly in a payment.
fn covers(document: &Document) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut covers = Vec::new();
    let mut note = |at: usize| {
        for child in document.children(at) {
            if let Some(name) = own_name(document, child)
                && names.insert(name.to_owned())
            {
                covers.push(name.to_owned());
            }
        }
    };
    if own_name(document, 0) == Some("payment") {
        note(0);
    } else {
        let mut lists = vec![0];
        while let Some(list) = lists.pop() {
            for child in document.children(list) {
                match own_name(document, child) {
                    Some("payment") => note(child),
                    Some("payments") => lists.push(child),
                    _ => {}
                }
            }
        }
    }
    covers
}

/// Sets a value that may stand once.
struct Once<'r> {
    seen: BTreeSet<String>,
    reading: &'r mut Reading,
}

impl Once<'_> {
    /// True for the first element of a name; the second makes the message flawed.
    fn is_first(&mut self, name: &str) -> bool {
        let is_first = self.seen.insert(name.to_owned());
        if !is_first {
            self.reading.flaw(format!("two `{name}` elements in one place"));
        }
        is_first
    }
}

fn payment(document: &Document, at: usize, reading: &mut Reading) {
    let mut t = Transaction::default();
    let mut once = Once { seen: BTreeSet::new(), reading };
    for child in document.children(at) {
        let Some(name) = own_name(document, child) else { continue };
        let slot = match name {
            "merchant-account-id" => &mut t.merchant_account_id,
            "request-id" => &mut t.request_id,
            "transaction-id" => &mut t.transaction_id,
            "parent-transaction-id" => &mut t.parent_transaction_id,
            "group-transaction-id" => &mut t.group_transaction_id,
            "transaction-type" => &mut t.transaction_type,
            "transaction-state" => &mut t.transaction_state,
            "order-number" => &mut t.order_number,
            "completion-time-stamp" => {
                let is_first = once.is_first(name);
                t.completed_at = if is_first { value::time(&document.text(child)) } else { None };
                continue;
            }
            "requested-amount" => {
                let is_first = once.is_first(name);
                let currency = document.attribute(child, "currency");
                t.amount = if is_first { value::amount(Some(&document.text(child)), currency) } else { None };
                continue;
            }
            "statuses" => {
                t.statuses.extend(inner(document, child, "status").filter_map(|at| status(document, at)));
                continue;
            }
            "payment-methods" => {
                for method in inner(document, child, "payment-method") {
                    t.payment_methods.extend(document.attribute(method, "name").and_then(value::text));
                    t.redirect_only |= document.attribute(method, "url").and_then(value::text).is_some();
                }
                continue;
            }
            "custom-fields" => {
                for field in inner(document, child, "custom-field") {
                    let name = document.attribute(field, "field-name").and_then(value::text);
                    let held = document.attribute(field, "field-value").and_then(value::text);
                    if let (Some(name), Some(held)) = (name, held) {
                        t.custom_fields.entry(name).or_insert(held);
                    }
                }
                continue;
            }
            "periodic" => {
                let is_first = once.is_first(name);
                t.periodic = if is_first { periodic(document, child, once.reading) } else { None };
                continue;
            }
            _ => continue,
        };
        let is_first = once.is_first(name);
        *slot = if is_first { value::text(&document.text(child)) } else { None };
    }
    reading.transactions.push(t);
}

/// The children of one name.
fn inner<'d>(document: &'d Document<'_>, at: usize, name: &'static str) -> impl Iterator<Item = usize> + 'd {
    document.children(at).filter(move |child| own_name(document, *child) == Some(name))
}

fn status(document: &Document, at: usize) -> Option<Status> {
    let code = document.attribute(at, "code").and_then(value::text)?;
    Some(Status { code, severity: document.attribute(at, "severity").and_then(value::text) })
}

fn periodic(document: &Document, at: usize, reading: &mut Reading) -> Option<Periodic> {
    let mut periodic = Periodic { periodic_type: None, sequence_type: None };
    let mut once = Once { seen: BTreeSet::new(), reading };
    for child in document.children(at) {
        let slot = match own_name(document, child) {
            Some("periodic-type") => &mut periodic.periodic_type,
            Some("sequence-type") => &mut periodic.sequence_type,
            _ => continue,
        };
        let is_first = once.is_first(&document.element(child).local.to_owned());
        *slot = if is_first { value::text(&document.text(child)) } else { None };
    }
    (periodic.periodic_type.is_some() || periodic.sequence_type.is_some()).then_some(periodic)
}
