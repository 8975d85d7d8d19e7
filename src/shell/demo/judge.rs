//! Compares what the daemon wrote into its files with what the gateway knows to be true.
//!
//! Every line counts: money of every transaction must stand in the ledger with its exact amount, under
//! its order, and nothing else may. A forgery that was believed would be a line too many.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde_json::Value;

use crate::core::ledger::COLUMNS;
use crate::sandbox::{MoveKind, PaymentTruth, Truth};
use crate::words::money::{Currency, parse_decimal, print_decimal};
use crate::words::time::{SignedDuration, Timestamp, hours, later};

/// One way in which money of a transaction stands in the books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Assured, and not seen in the gateway's books: nothing may end so in the demo.
    Accepted,
    Held,
    Released,
    In,
    Out,
}

/// Where an amount stands: merchant, order number, transaction-id, side, currency.
pub type Place = (String, String, String, Side, String);

/// Amounts by place; places with nothing are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Books(BTreeMap<Place, Decimal>);

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Finding {
    #[error("order {order}: transaction {transaction} must stand with {expected} {side:?}, and stands with {found}")]
    Amount { order: String, transaction: String, side: Side, expected: String, found: String },
    #[error(
        "order {order}: transaction {transaction} was booked with {amount} {side:?} at {learnt_at}, which never happened"
    )]
    Believed { order: String, transaction: String, side: Side, amount: String, learnt_at: Timestamp },
    #[error("order {order}: request {request} was handed to a person, though the gateway can be asked about it")]
    HandedOverWrongly { order: String, request: String },
    #[error("order {order}: nobody can be asked about request {request}, and no person was told")]
    NotHandedOver { order: String, request: String },
    #[error("order {order}: the scene says that request {request} {scene}, the gateway says otherwise")]
    SceneDiffers { order: String, request: String, scene: &'static str },
    #[error("the daemon wrote no nightly report")]
    NoReport,
    #[error("`reconciled check` says no: {0}")]
    CheckFailed(String),
    #[error("the daemon was never killed between keeping and judging")]
    NeverKilledBetween,
}

impl Finding {
    /// The order it is about; empty where it is about none.
    pub fn order(&self) -> &str {
        match self {
            Finding::Amount { order, .. }
            | Finding::Believed { order, .. }
            | Finding::HandedOverWrongly { order, .. }
            | Finding::NotHandedOver { order, .. }
            | Finding::SceneDiffers { order, .. } => order,
            Finding::NoReport | Finding::CheckFailed(_) | Finding::NeverKilledBetween => "",
        }
    }
}

/// Why a file can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum Unjudgeable {
    #[error("the ledger export can't be read: {0}")]
    Csv(#[from] csv::Error),
    #[error("the ledger export has the columns {0}")]
    Columns(String),
    #[error("the report has no list `handed_over` of payments")]
    Report,
    #[error("line {line} of the ledger export: {why}")]
    Line { line: usize, why: String },
}

/// A ledger export: what stands in the end, and every line that was ever booked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    pub books: Books,
    /// Without the lines that take others back.
    pub booked: Vec<Booked>,
}

/// One line that was booked, even if it was taken back later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Booked {
    pub place: Place,
    pub amount: Decimal,
    pub learnt_at: Timestamp,
}

/// Reads a ledger export (CSV).
pub fn read_ledger(csv_text: &str) -> Result<Ledger, Unjudgeable> {
    let mut reader = csv::Reader::from_reader(csv_text.as_bytes());
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    if columns != COLUMNS {
        return Err(Unjudgeable::Columns(columns.join(",")));
    }
    let mut ledger = Ledger::default();
    for (n, record) in reader.records().enumerate() {
        let record = record?;
        let cell = |name: &str| {
            let at = COLUMNS.iter().position(|column| *column == name);
            at.and_then(|at| record.get(at)).unwrap_or_default()
        };
        let bad = |why: String| Unjudgeable::Line { line: n + 2, why };
        let side = side(cell("kind")).ok_or_else(|| bad(format!("unknown kind `{}`", cell("kind"))))?;
        let amount = parse_decimal(cell("amount")).map_err(|e| bad(e.to_string()))?;
        let place = (cell("merchant"), cell("order_number"), cell("transaction_id"), side, cell("currency"));
        ledger.books.add(place, amount);
        if cell("reverses").is_empty() {
            let learnt_at = cell("learnt_at").parse().map_err(|_| bad("learnt_at is no time".to_owned()))?;
            ledger.booked.push(Booked { place: owned(place), amount, learnt_at });
        }
    }
    Ok(ledger)
}

fn owned((merchant, order, transaction, side, currency): (&str, &str, &str, Side, &str)) -> Place {
    (merchant.to_owned(), order.to_owned(), transaction.to_owned(), side, currency.to_owned())
}

fn side(kind: &str) -> Option<Side> {
    Some(match kind {
        "accepted" => Side::Accepted,
        "reserved" => Side::Held,
        "released" => Side::Released,
        "in" | "in_provisional" => Side::In,
        "refund" | "return" | "chargeback" | "credit" => Side::Out,
        _ => return None,
    })
}

impl Books {
    /// What the books must say.
    pub fn of_truth(truths: &[Truth]) -> Books {
        let mut books = Books::default();
        for truth in truths {
            for payment in &truth.payments {
                for moved in &payment.moves {
                    let Some((side, sign)) = side_of(payment, moved.kind, &moved.transaction_id) else { continue };
                    let currency = moved.amount.currency().code();
                    let order = truth.order_number.as_str();
                    let place = (truth.merchant.as_str(), order, moved.transaction_id.as_str(), side, currency);
                    books.add(place, moved.amount.value() * sign);
                }
            }
        }
        books
    }

    fn add(&mut self, place: (&str, &str, &str, Side, &str), amount: Decimal) {
        let place = owned(place);
        let sum = self.0.get(&place).copied().unwrap_or_default() + amount;
        if sum.is_zero() {
            self.0.remove(&place);
        } else {
            self.0.insert(place, sum);
        }
    }
}

/// A hold that the same object turns into money is gone from the books; one that a transaction of its
/// own captures stays, and the captured money stands beside it.
fn side_of(payment: &PaymentTruth, kind: MoveKind, transaction: &str) -> Option<(Side, Decimal)> {
    let has = |kind| payment.moves.iter().any(|m| m.kind == kind && m.transaction_id == transaction);
    match kind {
        MoveKind::Hold => Some((Side::Held, Decimal::ONE)),
        MoveKind::Release if has(MoveKind::Hold) => Some((Side::Held, Decimal::NEGATIVE_ONE)),
        MoveKind::Release if has(MoveKind::In) => None,
        MoveKind::Release => Some((Side::Released, Decimal::ONE)),
        MoveKind::In => Some((Side::In, Decimal::ONE)),
        MoveKind::Out => Some((Side::Out, Decimal::ONE)),
    }
}

/// How far the daemon's clock may run behind the gateway's: the time a clock takes to be set, scaled.
const CLOCK_LAG_MAX: SignedDuration = hours(6);

/// Every line that was booked without its having happened at the gateway by then, even if it was taken
/// back later: somebody was believed who should not have been.
pub fn believed(truths: &[Truth], booked: &[Booked]) -> Vec<Finding> {
    let mut happened: BTreeMap<Place, Vec<(Decimal, Timestamp)>> = BTreeMap::new();
    for truth in truths {
        for moved in truth.payments.iter().flat_map(|payment| &payment.moves) {
            let (side, id) = match moved.kind {
                MoveKind::Hold => (Side::Held, moved.transaction_id.as_str()),
                MoveKind::Release => (Side::Released, moved.transaction_id.as_str()),
                MoveKind::In => (Side::In, moved.transaction_id.as_str()),
                MoveKind::Out => (Side::Out, moved.transaction_id.as_str()),
            };
            let mut add = |id: &str, side| {
                let place =
                    (truth.merchant.as_str(), truth.order_number.as_str(), id, side, moved.amount.currency().code());
                happened.entry(owned(place)).or_default().push((moved.amount.value(), moved.at));
            };
            add(id, side);
            // A confirmation assures what becomes a payment under the same number.
            if let (Some(number), Side::Held | Side::In) = (id.strip_prefix("payment:"), side) {
                add(&format!("confirmation order:{number}"), Side::Accepted);
            }
        }
    }
    let is_true = |line: &&Booked| {
        let same =
            |(amount, at): &(Decimal, Timestamp)| *amount == line.amount && later(line.learnt_at, CLOCK_LAG_MAX) >= *at;
        happened.get(&line.place).is_some_and(|moves| moves.iter().any(same))
    };
    (booked.iter())
        .filter(|line| !is_true(line))
        .map(|line| Finding::Believed {
            order: line.place.1.clone(),
            transaction: line.place.2.clone(),
            side: line.place.3,
            amount: print_decimal(line.amount, Currency::parse(&line.place.4)),
            learnt_at: line.learnt_at,
        })
        .collect()
}

/// The request-ids a nightly report (JSON) lists as handed over to a person.
pub fn handed_over(report: &Value) -> Result<BTreeSet<String>, Unjudgeable> {
    let items = report.get("handed_over").and_then(Value::as_array).ok_or(Unjudgeable::Report)?;
    items
        .iter()
        .map(|item| Some(item.get("request_id")?.as_str()?.to_owned()))
        .collect::<Option<_>>()
        .ok_or(Unjudgeable::Report)
}

/// Every place where the two differ.
pub fn compare(expected: &Books, found: &Books) -> Vec<Finding> {
    let places: BTreeSet<&Place> = expected.0.keys().chain(found.0.keys()).collect();
    let amount = |books: &Books, place: &Place| {
        let value = books.0.get(place).copied().unwrap_or_default();
        format!("{} {}", print_decimal(value, Currency::parse(&place.4)), place.4)
    };
    (places.into_iter())
        .filter(|place| expected.0.get(*place) != found.0.get(*place))
        .map(|place| Finding::Amount {
            order: place.1.clone(),
            transaction: place.2.clone(),
            side: place.3,
            expected: amount(expected, place),
            found: amount(found, place),
        })
        .collect()
}

/// Compares the payments that were handed to a person with those that nobody can be asked about.
pub fn compare_handed_over(truths: &[Truth], handed_over: &BTreeSet<String>) -> Vec<Finding> {
    let payments = truths.iter().flat_map(|t| t.payments.iter().map(move |p| (t.order_number.to_string(), p)));
    let mut findings = Vec::new();
    for (order, payment) in payments {
        let request = payment.request_id.to_string();
        match (payment.askable, handed_over.contains(&request)) {
            (true, true) => findings.push(Finding::HandedOverWrongly { order, request }),
            (false, false) => findings.push(Finding::NotHandedOver { order, request }),
            (true, false) | (false, true) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::KnownMove;
    use crate::words::id::{MerchantName, OrderNumber, RequestId};
    use crate::words::money::Amount;

    fn noon() -> Timestamp {
        "2026-03-02T12:00:00Z".parse().expect("a time")
    }

    fn truth(askable: bool, moves: &[(MoveKind, &str, &str)]) -> Truth {
        let moves = moves.iter().map(|(kind, amount, id)| KnownMove {
            at: noon(),
            kind: *kind,
            amount: Amount::parse(amount, "EUR").expect("money"),
            transaction_id: (*id).to_owned(),
        });
        Truth {
            merchant: MerchantName::new("shop-eu").expect("a name"),
            order_number: OrderNumber::new("A-001").expect("a number"),
            payments: vec![PaymentTruth {
                request_id: RequestId::new("r").expect("an id"),
                script: "success",
                askable,
                moves: moves.collect(),
                hidden: Vec::new(),
            }],
        }
    }

    fn ledger(lines: &[(&str, &str, &str)]) -> Books {
        export(lines, "2026-03-02T12:05:00Z").books
    }

    fn export(lines: &[(&str, &str, &str)], learnt_at: &str) -> Ledger {
        let mut text = COLUMNS.join(",");
        for (n, (kind, amount, id)) in lines.iter().enumerate() {
            let reverses = if amount.starts_with('-') { "1" } else { "" };
            text.push_str(&format!("\n{n},shop-eu,A-001,r,{id},{kind},{amount},EUR,t,{learnt_at},1,{reverses}"));
        }
        read_ledger(&text).expect("readable")
    }

    #[test]
    fn reversed_lines_and_final_ones_come_to_the_same() {
        let expected = Books::of_truth(&[truth(true, &[(MoveKind::In, "10", "t")])]);
        for lines in [
            &[("in", "10.00", "t")][..],
            &[("in_provisional", "10.00", "t"), ("in_provisional", "-10.00", "t"), ("in", "10.00", "t")],
            &[("accepted", "10.00", "o"), ("accepted", "-10.00", "o"), ("in_provisional", "10.00", "t")],
        ] {
            assert_eq!(compare(&expected, &ledger(lines)), []);
        }
    }

    #[test]
    fn every_kind_of_wrong_book_is_found() {
        let expected = Books::of_truth(&[truth(true, &[(MoveKind::In, "10", "t")])]);
        for lines in [
            &[][..],
            &[("in", "10.01", "t")],
            &[("in", "10.00", "forged")],
            &[("in", "10.00", "t"), ("in", "10.00", "t")],
            &[("in", "10.00", "t"), ("in", "110.00", "forged")],
            &[("reserved", "10.00", "t")],
            &[("in", "10.00", "t"), ("return", "10.00", "u")],
        ] {
            assert!(!compare(&expected, &ledger(lines)).is_empty(), "{lines:?}");
        }
        let other_order = "seq,merchant,order_number,request_id,transaction_id,kind,amount,currency,occurred_at,\
            learnt_at,evidence,reverses\n1,shop-eu,B-001,r,t,in,10.00,EUR,t,2026-03-02T12:05:00Z,1,";
        assert_eq!(compare(&expected, &read_ledger(other_order).expect("readable").books).len(), 2);
    }

    #[test]
    fn a_captured_hold_stays_and_a_deposited_approval_does_not() {
        let by_transaction = [(MoveKind::Release, "8", "c"), (MoveKind::In, "8", "c")];
        assert_eq!(compare(&Books::of_truth(&[truth(true, &by_transaction)]), &ledger(&[("in", "8.00", "c")])), []);
        let by_object = [(MoveKind::Hold, "8", "p"), (MoveKind::Release, "8", "p"), (MoveKind::In, "8", "p")];
        assert_eq!(compare(&Books::of_truth(&[truth(true, &by_object)]), &ledger(&[("in", "8.00", "p")])), []);
    }

    #[test]
    fn a_lie_that_was_believed_for_a_while_is_found() {
        let truths = [truth(true, &[(MoveKind::In, "10", "payment:7")])];
        let (on_time, early) = ("2026-03-02T12:05:00Z", "2026-03-02T05:00:00Z");
        let honest = [("accepted", "10.00", "confirmation order:7"), ("in", "10.00", "payment:7")];
        assert_eq!(believed(&truths, &export(&honest, on_time).booked), []);
        assert_eq!(believed(&truths, &export(&honest, early).booked).len(), 2, "before it happened");
        for lie in
            [("in", "10.00", "forged"), ("in", "110.00", "payment:7"), ("accepted", "10.00", "confirmation order:8")]
        {
            let (kind, amount, id) = lie;
            let taken_back = format!("-{amount}");
            let lines = [lie, (kind, taken_back.as_str(), id)];
            let found = believed(&truths, &export(&lines, on_time).booked);
            assert_eq!(found.len(), 1, "{lie:?}");
        }
    }

    #[test]
    fn handing_over_too_much_or_too_little_is_found() {
        let told = BTreeSet::from(["r".to_owned()]);
        assert_eq!(compare_handed_over(&[truth(false, &[])], &told), []);
        assert_eq!(compare_handed_over(&[truth(true, &[])], &BTreeSet::new()), []);
        assert_eq!(compare_handed_over(&[truth(true, &[])], &told).len(), 1);
        assert_eq!(compare_handed_over(&[truth(false, &[])], &BTreeSet::new()).len(), 1);
    }

    #[test]
    fn an_export_with_other_columns_is_not_judged() {
        assert!(matches!(read_ledger("seq,amount\n1,2"), Err(Unjudgeable::Columns(_))));
    }
}
