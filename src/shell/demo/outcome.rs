//! What became of the scene, class by class: the table at the end. It depends on the seed alone, never
//! on how fast the machine was.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use super::class::Class;
use super::judge::Finding;
use super::scene::{Act, Scene};
use crate::sandbox::{Fate, MoveKind, Truth};
use crate::words::money::Amount;

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub class: Class,
    pub orders: usize,
    /// Genuine notifications the scene loses.
    pub lost: usize,
    /// Messages strangers send.
    pub forged: usize,
    /// Orders whose money no notification told of: found by asking alone.
    pub rescued: usize,
    /// Money that reached the shop, before returns and refunds.
    pub received: Option<Amount>,
    /// Orders that do not agree with the gateway's truth.
    pub wrong: usize,
}

/// The rows of a scene that was played.
pub fn rows(scene: &Scene, truths: &[Truth], findings: &[Finding]) -> Vec<Row> {
    let wrong: BTreeSet<&str> = findings.iter().map(Finding::order).collect();
    let mut rows = Vec::new();
    for class in Class::ALL {
        let acts: Vec<&Act> = scene.acts.iter().filter(|act| act.class == class).collect();
        let of_class = |t: &&Truth| Class::of_order(t.order_number.as_str()) == Some(class);
        let truths: Vec<&Truth> = truths.iter().filter(of_class).collect();
        let orders: BTreeSet<&str> = truths.iter().map(|t| t.order_number.as_str()).collect();
        let received = truths.iter().filter_map(|t| t.received());
        rows.push(Row {
            class,
            orders: orders.len(),
            lost: acts.iter().map(|act| lost(act)).sum(),
            forged: acts.iter().map(|act| act.plan.forgeries.len()).sum(),
            rescued: truths.iter().filter(|t| is_rescued(t, &acts)).count(),
            received: received.reduce(|sum, amount| sum.checked_add(amount).unwrap_or(sum)),
            wrong: orders.iter().filter(|order| wrong.contains(*order)).count(),
        });
    }
    rows
}

/// Genuine notifications of an act that the scene loses. A script tells at most as often as it has fates here.
fn lost(act: &Act) -> usize {
    let told = act.script.notifications(act.request.transaction_type.is_some());
    act.plan.fates.iter().take(told).filter(|fate| **fate == Fate::Lost).count()
}

fn is_rescued(truth: &Truth, acts: &[&Act]) -> bool {
    let by_request: BTreeMap<&str, &&Act> = acts.iter().map(|act| (act.request.request_id.as_str(), act)).collect();
    truth.payments.iter().any(|payment| {
        let has_money = payment.moves.iter().any(|m| m.kind != MoveKind::Release);
        let act = by_request.get(payment.request_id.as_str());
        has_money && act.is_some_and(|act| lost(act) > 0)
    })
}

/// The table for people, with a last line of sums.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["orders that were", "orders", "lost", "forged", "rescued", "received", "agree"]);
    for row in rows {
        let agree = format!("{} of {}", row.orders - row.wrong, row.orders);
        let received = row.received.map_or(String::new(), |amount| amount.to_string());
        table.add_row([
            row.class.name().to_owned(),
            row.orders.to_string(),
            shown(row.lost),
            shown(row.forged),
            shown(row.rescued),
            received,
            agree,
        ]);
    }
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    let received = rows.iter().filter_map(|row| row.received);
    let received = received.reduce(|sum, amount| sum.checked_add(amount).unwrap_or(sum));
    table.add_row([
        "all".to_owned(),
        sum(|row| row.orders).to_string(),
        sum(|row| row.lost).to_string(),
        sum(|row| row.forged).to_string(),
        sum(|row| row.rescued).to_string(),
        received.map_or(String::new(), |amount| amount.to_string()),
        format!("{} of {}", sum(|row| row.orders - row.wrong), sum(|row| row.orders)),
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn shown(count: usize) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Gateway, example_shops};

    /// Plays a scene without sockets and gives its rows.
    fn played(seed: u64) -> Vec<Row> {
        let scene = Scene::draw(seed);
        let mut gateway = Gateway::new(seed, example_shops());
        for act in &scene.acts {
            let mut request = act.request.clone();
            if act.asks_number {
                request.gateway_order_number = Some(gateway.generate_order_number());
            }
            if let Some(first) = &act.follows {
                let id = gateway.paid_transaction(&request.merchant, first).expect("the first was played");
                request.parent_transaction_id = crate::words::id::TransactionId::new(&id).ok();
            }
            gateway.submit(act.at, &request, &act.script, &act.plan).expect("played");
        }
        for outgoing in gateway.events(scene.end()) {
            gateway.delivered(scene.end(), outgoing.id, true);
        }
        let truths = gateway.truths(scene.end());
        let unaskable: Vec<_> = truths.iter().filter(|t| t.payments.iter().any(|p| !p.askable)).collect();
        for truth in &unaskable {
            assert_eq!(Class::of_order(truth.order_number.as_str()), Some(Class::Unknowable));
        }
        assert_eq!(unaskable.len(), Class::Unknowable.orders() as usize);
        let sent_lost = gateway.sent().filter(|sent| sent.outcome == crate::sandbox::Carried::Lost).count();
        let rows = rows(&scene, &truths, &[]);
        assert_eq!(rows.iter().map(|row| row.lost).sum::<usize>(), sent_lost, "the table counts what was really lost");
        rows
    }

    #[test]
    fn the_table_is_made_from_the_seed_alone() {
        assert_eq!(played(1), played(1));
        assert_ne!(played(1), played(2));
    }

    #[test]
    fn something_is_lost_and_rescued_in_many_ways() {
        let rows = played(1);
        assert!(rows.iter().filter(|row| row.rescued > 0).count() >= 8);
        assert!(rows.iter().map(|row| row.forged).sum::<usize>() >= 40);
        let unknowable = rows.iter().find(|row| row.class == Class::Unknowable).expect("a row");
        assert_eq!((unknowable.rescued, unknowable.received), (0, None), "what nobody can know is not rescued");
        assert!(table(&rows).to_string().contains("paid, notification lost"));
    }

    #[test]
    fn a_wrong_order_is_counted_where_it_belongs() {
        let truth = Truth {
            merchant: crate::words::id::MerchantName::new("shop-at").expect("a name"),
            order_number: crate::words::id::OrderNumber::new("X-001").expect("a number"),
            payments: Vec::new(),
        };
        let finding = Finding::NotHandedOver { order: "X-001".into(), request: "r".into() };
        let rows = rows(&Scene::draw(1), &[truth], &[finding]);
        let wrong: Vec<_> = rows.iter().filter(|row| row.wrong == 1).map(|row| row.class).collect();
        assert_eq!(wrong, [Class::Unknowable]);
    }
}
