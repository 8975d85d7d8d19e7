//! `<payment>`, `<payments>` and `<multi-payments>` to transactions (fact sheet wpg a.4, b.3).
//!
//! Only elements of the gateway's own payment namespace, or of none, are read: `<evil:amount>` fills
//! nothing. A value that may stand once and stands twice is nobody's value: it stays absent and the
//! message is flawed, which refutes it.

use std::collections::BTreeSet;

use super::xml::{Document, Space};
use super::{Reading, Unreadable, value};
use crate::core::message::{Periodic, Status, Transaction};

/// Reads all payments of a document.
pub(super) fn read(document: &Document) -> Result<Reading, Unreadable> {
    let root = document.element(0);
    let mut reading = Reading::default();
    match own_name(document, 0) {
        Some("payment") => payment(document, 0, &mut reading)?,
        Some("payments" | "multi-payments") => list(document, 0, &mut reading)?,
        _ => {
            return Err(Unreadable::new(format!(
                "xml: the root element `{}` is neither `payment`, `payments` nor `multi-payments` of the gateway's namespace",
                super::xml::shown(root.qname)
            )));
        }
    }
    Ok(reading)
}

/// The local name of an element that is the gateway's; `None` for a stranger's.
fn own_name<'d>(document: &'d Document<'_>, at: usize) -> Option<&'d str> {
    let element = document.element(at);
    match element.space {
        Space::None | Space::Payment => Some(element.local()),
        Space::Dsig | Space::Strange => None,
    }
}

/// A list of payments; `<multi-payments>` holds its payments directly or in a `<payments>` of its own.
fn list(document: &Document, at: usize, reading: &mut Reading) -> Result<(), Unreadable> {
    for child in document.children(at) {
        match own_name(document, child) {
            Some("payment") => payment(document, child, reading)?,
            Some("payments" | "multi-payments") => list(document, child, reading)?,
            _ => {}
        }
    }
    Ok(())
}

/// The resolver category of each payment, in the order [`read`] gives them: requests name one where the gateway is to
/// choose the merchant account (fact sheet wpg a.6).
pub(super) fn resolver_categories(document: &Document) -> Vec<Option<String>> {
    let of = |payment: usize| {
        let mut found = inner(document, payment, "merchant-account-resolver-category");
        let category = found.next().and_then(|at| value::text(&document.text(at)));
        category.filter(|_| found.next().is_none())
    };
    let mut categories = Vec::new();
    each_payment(document, 0, &mut |payment| categories.push(of(payment)));
    categories
}

/// Visits the payments at or below an element, in the order of the document.
fn each_payment(document: &Document, at: usize, visit: &mut impl FnMut(usize)) {
    match own_name(document, at) {
        Some("payment") => visit(at),
        Some("payments" | "multi-payments") => {
            document.children(at).for_each(|child| each_payment(document, child, visit))
        }
        _ => {}
    }
}

/// The names that a signature over the whole document covers: every element directly in a payment.
pub(super) fn covers(document: &Document) -> Vec<String> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut covers = Vec::new();
    each_payment(document, 0, &mut |payment| {
        for child in document.children(payment) {
            if let Some(name) = own_name(document, child)
                && names.insert(name)
            {
                covers.push(name.to_owned());
            }
        }
    });
    covers
}

/// Names of a payment that may stand once.
const NAMES_READ: usize = 16;

/// Keeps watch over values that may stand once.
struct Once<'d, 'r> {
    /// Only names that we read come here: a dozen at most.
    seen: Vec<&'d str>,
    reading: &'r mut Reading,
}

impl<'d> Once<'d, '_> {
    /// The first value of a name. From the second on it is nothing, and the message is flawed.
    fn value<T>(&mut self, name: &'d str, value: Option<T>) -> Option<T> {
        if !self.seen.contains(&name) {
            self.seen.push(name);
            return value;
        }
        self.reading.flaw(format!("two `{name}` elements in one place"));
        None
    }
}

fn payment(document: &Document, at: usize, reading: &mut Reading) -> Result<(), Unreadable> {
    let mut t = Transaction::default();
    let mut once = Once { seen: Vec::with_capacity(NAMES_READ), reading };
    let text = |child: usize| value::text(&document.text(child));
    for child in document.children(at) {
        let Some(name) = own_name(document, child) else { continue };
        match name {
            "merchant-account-id" => t.merchant_account_id = once.value(name, text(child)),
            "request-id" => t.request_id = once.value(name, text(child)),
            "transaction-id" => t.transaction_id = once.value(name, text(child)),
            "parent-transaction-id" => t.parent_transaction_id = once.value(name, text(child)),
            "group-transaction-id" => t.group_transaction_id = once.value(name, text(child)),
            "transaction-type" => t.transaction_type = once.value(name, text(child)),
            "transaction-state" => t.transaction_state = once.value(name, text(child)),
            "order-number" => t.order_number = once.value(name, text(child)),
            "completion-time-stamp" => t.completed_at = once.value(name, value::time(&document.text(child))),
            "requested-amount" => {
                let currency = document.attribute(child, "currency");
                let amount = once.reading.amount(value::amount(Some(&document.text(child)), currency));
                t.amount = once.value(name, amount);
            }
            "periodic" => {
                let periodic = periodic(document, child, once.reading);
                t.periodic = once.value(name, periodic);
            }
            "statuses" => t.statuses.extend(inner(document, child, "status").filter_map(|at| status(document, at))),
            "payment-methods" => {
                for method in inner(document, child, "payment-method") {
                    t.payment_methods.extend(document.attribute(method, "name").and_then(value::text));
                    t.redirect_only |= document.attribute(method, "url").and_then(value::text).is_some();
                }
            }
            "custom-fields" => {
                for field in inner(document, child, "custom-field") {
                    let name = document.attribute(field, "field-name").and_then(value::text);
                    let held = document.attribute(field, "field-value").and_then(value::text);
                    if let (Some(name), Some(held)) = (name, held) {
                        t.custom_fields.entry(name).or_insert(held);
                    }
                }
            }
            _ => {}
        }
    }
    reading.push(t)
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
    let mut once = Once { seen: Vec::new(), reading };
    let text = |child: usize| value::text(&document.text(child));
    for child in document.children(at) {
        match own_name(document, child) {
            Some(name @ "periodic-type") => periodic.periodic_type = once.value(name, text(child)),
            Some(name @ "sequence-type") => periodic.sequence_type = once.value(name, text(child)),
            _ => {}
        }
    }
    (periodic.periodic_type.is_some() || periodic.sequence_type.is_some()).then_some(periodic)
}
