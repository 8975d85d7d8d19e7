//! The rules as tables: a chain, a wish, what comes of it.

use super::*;
use crate::core::known::{Fact, join};
use crate::core::lifecycle::State;
use crate::core::message::{Status, Transaction};
use crate::core::operation::{Fund, Intent, Operation, Operator, Outcome, Target};
use crate::core::schedule::Watch;
use crate::core::submission::Submission;
use crate::words::id::{GatewayOrderNumber, MerchantName, PaymentNumber, RequestId, TransactionId};

fn now() -> Timestamp {
    "2026-03-02T12:00:00Z".parse().expect("a time")
}

fn eur(text: &str) -> Amount {
    Amount::parse(text, "EUR").expect("money")
}

fn payment(number: u64, method: &str) -> Payment {
    let request = RequestId::new(&format!("r-{number}")).expect("an id");
    let merchant = MerchantName::new("shop").expect("a name");
    let mut payment = Payment::new(PaymentNumber(number), merchant, request, Watch::new(now(), now()), now());
    payment.method = Some(method.to_owned());
    payment
}

/// One fact: id, type, state, amount, parent.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// What it is about, method, facts, kind, amount, what comes of it.
type Case<'a> = (&'a str, &'a str, &'a [Row], Kind, &'a str, &'a str);

/// What it is about, kind, target, facts before and after, what they say.
type Trace<'a> = (&'a str, Kind, &'a str, &'a [Row], &'a [Row], Effect);

fn with(mut payment: Payment, dialect: Dialect, facts: &[Row]) -> Payment {
    for (id, kind, state, value, parent) in facts {
        let method = if dialect == Dialect::Wpg { payment.method.clone() } else { None };
        let transaction = Transaction {
            transaction_id: Some((*id).into()),
            transaction_type: Some((*kind).into()),
            transaction_state: Some((*state).into()),
            parent_transaction_id: (!parent.is_empty()).then(|| (*parent).into()),
            amount: (!value.is_empty()).then(|| eur(value).into()),
            payment_methods: method.into_iter().collect(),
            completed_at: Some(now()),
            ..Transaction::default()
        };
        let method = payment.method.clone();
        let fact = Fact { dialect, method: method.as_deref(), evidence: 1, learnt_at: now(), transaction };
        join(&mut payment.known, fact);
    }
    payment
}

fn wish(kind: Kind, amount: &str) -> Wish {
    Wish {
        kind,
        id: None,
        merchant: None,
        amount: (!amount.is_empty()).then(|| amount.to_owned()),
        currency: None,
        transaction: None,
        transaction_type: None,
        object: None,
        fund: None,
        basket: Vec::new(),
        without_basket: false,
        although_unknown: false,
    }
}

fn asked(root: &Payment, follow_ups: &[Payment], wish: &Wish) -> Result<Plan, Refused> {
    let dialect = if root.gateway_order_number.is_some() { Dialect::Checkout } else { Dialect::Wpg };
    plan(&Chain { root, follow_ups, dialect, now: now(), over_capture_percent: 0 }, wish)
}

/// `type amount` of a plan, or the first words of a refusal.
fn said(outcome: Result<Plan, Refused>) -> String {
    match outcome {
        Ok(plan) => format!("{} {}", plan.wire, plan.amount.map(|a| a.value_text()).unwrap_or_default()),
        Err(refused) => format!("{refused:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
    }
}

const HOLD: Row = ("a", "authorization", "success", "100", "");
const BOUGHT: Row = ("p", "purchase", "success", "100", "");
const DEBIT: Row = ("d", "debit", "success", "100", "");

#[test]
fn what_may_follow_at_the_payment_gateway() {
    use Kind::*;
    const TAKEN: Row = ("c", "capture-authorization", "success", "60", "a");
    const BACK: Row = ("r", "refund-capture", "success", "10", "c");
    #[rustfmt::skip]
    let table: &[Case<'_>] = &[
        ("all of a hold", "creditcard", &[HOLD], Capture, "", "capture-authorization 100.00"),
        ("part of a hold", "creditcard", &[HOLD], Capture, "12.50", "capture-authorization 12.50"),
        ("the rest of a hold", "creditcard", &[HOLD, TAKEN], Capture, "", "capture-authorization 40.00"),
        ("more than is left", "creditcard", &[HOLD, TAKEN], Capture, "40.01", "MoreThanAuthorised"),
        ("nothing", "creditcard", &[HOLD], Capture, "0", "NotPositive"),
        ("less than nothing", "creditcard", &[HOLD], Capture, "-1", "NotPositive"),
        ("half a cent", "creditcard", &[HOLD], Capture, "0.005", "NotAnAmount"),
        ("a failed hold", "creditcard", &[("a", "authorization", "failed", "100", "")], Capture, "", "NoParent"),
        ("nothing known", "creditcard", &[], Capture, "1", "NoParent"),
        ("a purchase is taken already", "creditcard", &[BOUGHT], Capture, "", "NoParent"),
        ("a hold that was given back", "creditcard", &[HOLD, ("v", "void-authorization", "success", "100", "a")], Capture, "", "Voided"),
        ("a void of a hold", "creditcard", &[HOLD], Void, "", "void-authorization 100.00"),
        ("a void is whole", "creditcard", &[HOLD], Void, "50", "VoidIsWhole"),
        ("a void beside a capture undoes the capture", "creditcard", &[HOLD, TAKEN], Void, "", "SeveralParents"),
        ("a void of a purchase", "creditcard", &[BOUGHT], Void, "", "void-purchase 100.00"),
        ("a refund of a capture", "creditcard", &[HOLD, TAKEN], Refund, "", "refund-capture 60.00"),
        ("the rest of a capture", "creditcard", &[HOLD, TAKEN, BACK], Refund, "", "refund-capture 50.00"),
        ("more than was captured", "creditcard", &[HOLD, TAKEN, BACK], Refund, "50.01", "MoreThanTaken"),
        ("a hold can't be refunded", "creditcard", &[HOLD], Refund, "", "NoParent"),
        ("a refund of a purchase", "creditcard", &[BOUGHT], Refund, "10", "refund-purchase 10.00"),
        ("charged again", "creditcard", &[BOUGHT], Recur, "9.99", "referenced-purchase 9.99"),
        ("charged again, how much?", "creditcard", &[BOUGHT], Recur, "", "Missing"),
        ("a preauthorization", "creditcard", &[("a", "preauthorization", "success", "5", "")], Capture, "", "capture-preauthorization 5.00"),
        ("a final authorization", "creditcard", &[("a", "final-authorization", "success", "5", "")], Void, "", "void-final-authorization 5.00"),
        ("PayPal", "paypal", &[DEBIT], Refund, "1", "refund-debit 1.00"),
        ("a SEPA debit goes back as a transfer", "sepadirectdebit", &[DEBIT], Refund, "1", "credit 1.00"),
        ("a SEPA debit that the bank took back", "sepadirectdebit", &[DEBIT, ("x", "debit-return", "success", "100", "d")], Refund, "1", "MoreThanTaken"),
        ("a SEPA debit before its batch", "sepadirectdebit", &[("d", "pending-debit", "success", "5", "")], Void, "", "void-pending-debit 5.00"),
        ("Sofort goes back as a transfer", "sofortbanking", &[DEBIT], Refund, "", "credit 100.00"),
        ("Przelewy24 is asked to refund", "p24", &[DEBIT], Refund, "3", "refund-request 3.00"),
        ("Bancontact within a day", "bancontact", &[DEBIT], Refund, "3", "TooEarly"),
        ("a wire transfer", "wiretransfer", &[("d", "deposit", "success", "5", "a")], Refund, "", "credit 5.00"),
        ("Alipay", "alipay-xborder", &[DEBIT], Void, "", "void-debit 100.00"),
        ("a method nobody described", "teleport", &[DEBIT], Refund, "1", "UnknownMethod"),
        ("a word of the other dialect", "creditcard", &[HOLD], Deposit, "1", "OtherDialect"),
        ("an invoice without its basket", "ratepay-invoice", &[HOLD], Capture, "", "BasketMissing"),
    ];
    for (what, method, facts, kind, amount, expected) in table {
        let root = with(payment(1, method), Dialect::Wpg, facts);
        assert_eq!(said(asked(&root, &[], &wish(*kind, amount))), *expected, "{what}");
    }
}

#[test]
fn a_cross_refund_changes_method_and_path_and_keeps_its_parent() {
    let root = with(payment(1, "sofortbanking"), Dialect::Wpg, &[DEBIT]);
    let plan = asked(&root, &[], &wish(Kind::Refund, "")).expect("allowed");
    let Target::Wpg { parent, payment_method, endpoint, .. } = plan.target else { panic!("wpg") };
    assert_eq!((parent.as_str(), payment_method.as_deref()), ("d", Some("sepacredit")));
    assert_eq!(endpoint, crate::core::operation::Endpoint::PaymentMethods);
}

#[test]
fn further_holds_are_one_sum_with_their_authorization() {
    let further = ("s", "authorization-supplementary", "success", "50", "a");
    let named = |facts: &[Row], id: &str, amount: &str| {
        let root = with(payment(1, "creditcard"), Dialect::Wpg, facts);
        said(asked(&root, &[], &Wish { transaction: TransactionId::new(id).ok(), ..wish(Kind::Capture, amount) }))
    };
    for id in ["a", "s"] {
        assert_eq!(named(&[HOLD, further], id, "150"), "capture-authorization 150.00", "{id}");
        assert_eq!(named(&[HOLD, further], id, "150.01"), "MoreThanAuthorised", "{id}");
        let taken = ("c", "capture-authorization", "success", "150", "a");
        assert_eq!(named(&[HOLD, further, taken], id, "1"), "MoreThanAuthorised", "{id}");
        let taken = ("c", "capture-authorization", "success", "50", "s");
        assert_eq!(named(&[HOLD, further, taken], id, ""), "capture-authorization 100.00", "{id}");
    }
    let released = ("v", "void-auth-supplementary", "success", "50", "s");
    assert_eq!(named(&[HOLD, further, released], "a", ""), "capture-authorization 100.00");
}

#[test]
fn currencies_do_not_mix() {
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    let dollars = Wish { currency: Currency::parse("USD"), ..wish(Kind::Capture, "1") };
    assert_eq!(said(asked(&root, &[], &dollars)), "CurrencyDiffers");
}

#[test]
fn over_capture_is_what_the_contract_says_and_never_by_default() {
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    let with_percent = |percent, amount: &str| {
        let chain =
            Chain { root: &root, follow_ups: &[], dialect: Dialect::Wpg, now: now(), over_capture_percent: percent };
        said(plan(&chain, &wish(Kind::Capture, amount)))
    };
    assert_eq!(with_percent(0, "100.01"), "MoreThanAuthorised");
    assert_eq!(with_percent(40, "140"), "capture-authorization 140.00");
    assert_eq!(with_percent(40, "140.01"), "MoreThanAuthorised");
    assert_eq!(with_percent(40, ""), "capture-authorization 100.00");
}

/// A follow-up that was submitted: its type, amount and parent.
fn follow_up(number: u64, method: &str, kind: &str, amount: &str, parent: &str) -> Payment {
    let mut payment = payment(number, method);
    payment.submission = Some(Submission {
        merchant: payment.merchant.clone(),
        request_id: payment.request_id.clone(),
        order_number: None,
        transaction_type: Some(kind.into()),
        amount: eur(amount),
        payment_method: None,
        parent_transaction_id: TransactionId::new(parent).ok(),
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    });
    payment
}

#[test]
fn a_refund_by_steps_counts_once_from_request_to_end() {
    const REQUEST: Row = ("A", "refund-request", "success", "100", "d");
    const WAITS: Row = ("A", "pending-credit", "success", "100", "d");
    // What it is about, method, type submitted, its facts, what a second full refund comes to.
    type Steps<'a> = (&'a str, &'a str, &'a str, &'a [Row], &'a str);
    #[rustfmt::skip]
    let table: &[Steps<'_>] = &[
        ("nothing known yet", "p24", "refund-request", &[], "MoreThanTaken"),
        ("asked for", "p24", "refund-request", &[REQUEST], "MoreThanTaken"),
        ("asked for and done", "p24", "refund-request", &[REQUEST, ("B", "refund-debit", "success", "100", "A")], "MoreThanTaken"),
        ("asked for in part and done", "p24", "refund-request", &[("A", "refund-request", "success", "40", "d"), ("B", "refund-debit", "success", "40", "A")], "refund-request 60.00"),
        ("waits for its batch", "sofortbanking", "credit", &[WAITS], "MoreThanTaken"),
        ("went with its batch", "sofortbanking", "credit", &[WAITS, ("B", "credit", "success", "100", "A")], "MoreThanTaken"),
        ("went, naming no parent", "sofortbanking", "credit", &[("B", "credit", "success", "100", "")], "MoreThanTaken"),
    ];
    for (what, method, kind, facts, expected) in table {
        let root = with(payment(1, method), Dialect::Wpg, &[DEBIT]);
        let value = facts.first().map_or("100", |row| row.3);
        let mut own = with(follow_up(2, method, kind, value, "d"), Dialect::Wpg, facts);
        crate::core::known::supersede(&mut own.known, Some(method));
        own.state = if facts.len() > 1 { State::Refunded } else { State::Open };
        let again = if *expected == "MoreThanTaken" { "100" } else { "60" };
        assert_eq!(said(asked(&root, &[own.clone()], &wish(Kind::Refund, again))), *expected, "{what}");
        // Learnt by the root's own answers, it counts as well.
        if facts.len() > 1 {
            let mut root = with(root, Dialect::Wpg, facts);
            crate::core::known::supersede(&mut root.known, Some(method));
            assert_eq!(said(asked(&root, &[], &wish(Kind::Refund, again))), *expected, "{what}, of the root");
        }
    }
    let root = with(payment(1, "p24"), Dialect::Wpg, &[DEBIT]);
    let mut failed = follow_up(2, "p24", "refund-request", "100", "d");
    failed.state = State::Failed;
    assert_eq!(said(asked(&root, &[failed], &wish(Kind::Refund, ""))), "refund-request 100.00");
}

#[test]
fn a_follow_up_of_a_type_that_the_graph_does_not_name_counts_all_the_same() {
    const OPEN: Row = ("d", "debit", "success", "100", "");
    // What it is about, method, the parent, the type that was sent or heard of, what is wished then, and comes of it.
    type Further<'a> = (&'a str, &'a str, Row, &'a str, Kind, &'a str);
    #[rustfmt::skip]
    let table: &[Further<'_>] = &[
        ("a refund by a type an operator named", "teleport", OPEN, "standalone-refund", Kind::Refund, "MoreThanTaken"),
        ("the shop's own kind of refund", "creditcard", BOUGHT, "refund-off-purchase", Kind::Refund, "MoreThanTaken"),
        ("a payout to the card", "creditcard", BOUGHT, "original-credit", Kind::Refund, "MoreThanTaken"),
        ("a reversal of the purchase", "creditcard", BOUGHT, "reversal-purchase", Kind::Refund, "MoreThanTaken"),
        ("a revoked purchase", "creditcard", BOUGHT, "revoke-purchase", Kind::Refund, "MoreThanTaken"),
        ("a capture by a type an operator named", "teleport", HOLD, "adjust-capture", Kind::Capture, "MoreThanAuthorised"),
        ("a reversal of the hold", "creditcard", HOLD, "reversal-authorization", Kind::Capture, "MoreThanAuthorised"),
        ("a question that moves nothing", "creditcard", BOUGHT, "check-fee", Kind::Refund, "refund-purchase 60.00"),
        ("what undoes no part of it", "creditcard", BOUGHT, "reversal-void-purchase", Kind::Refund, "refund-purchase 60.00"),
        ("a type nobody documented", "creditcard", BOUGHT, "teleport-back", Kind::Refund, "refund-purchase 60.00"),
    ];
    for (what, method, parent, child, kind, expected) in table {
        let is_unknown = *method == "teleport";
        let transaction = TransactionId::new(parent.0).ok();
        let transaction_type = is_unknown.then(|| (*child).to_owned());
        let wished = Wish { transaction, transaction_type, ..wish(*kind, "60") };
        let root = || with(payment(1, method), Dialect::Wpg, &[*parent]);
        let sent = follow_up(2, method, child, "60", parent.0);
        assert_eq!(said(asked(&root(), &[sent], &wished)), *expected, "{what}, submitted");
        let heard = with(root(), Dialect::Wpg, &[("x", child, "success", "60", parent.0)]);
        assert_eq!(said(asked(&heard, &[], &wished)), *expected, "{what}, heard of");
    }
}

#[test]
fn a_void_that_may_have_taken_effect_is_not_paid_again_by_a_refund() {
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &[BOUGHT]);
    let mut void = follow_up(2, "creditcard", "void-purchase", "100", "p");
    for outcome in [Outcome::Unknown { why: "no answer".into() }, Outcome::Executed { how: "success".into() }] {
        void.operations = vec![Operation { outcome, ..operation(Kind::Void, Vec::new(), "p") }];
        assert_eq!(said(asked(&root, &[void.clone()], &wish(Kind::Refund, "1"))), "MoreThanTaken");
    }
    void.operations[0].outcome = Outcome::Refused { why: "too late".into() };
    assert_eq!(said(asked(&root, &[void], &wish(Kind::Refund, "1"))), "refund-purchase 1.00");
}

#[test]
fn what_is_under_way_counts_as_done() {
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    let mut capture = follow_up(2, "creditcard", "capture-authorization", "60", "a");
    let follow_ups = [capture.clone()];
    assert_eq!(said(asked(&root, &follow_ups, &wish(Kind::Capture, "40.01"))), "MoreThanAuthorised");
    assert_eq!(said(asked(&root, &follow_ups, &wish(Kind::Capture, ""))), "capture-authorization 40.00");
    capture.state = State::Failed;
    assert_eq!(said(asked(&root, &[capture], &wish(Kind::Capture, ""))), "capture-authorization 100.00");
}

fn operation(kind: Kind, before: Vec<crate::core::operation::Seen>, target: &str) -> Operation {
    Operation {
        number: 9,
        intent: Intent {
            kind,
            wire: kind.name().into(),
            amount: Some(eur("10")),
            target: target.into(),
            request_id: RequestId::new("op-9").expect("an id"),
            made_number: None,
            by: Operator { uid: 0, user: None },
            before,
        },
        at: now(),
        since: now(),
        outcome: Outcome::Unknown { why: "no answer".into() },
        told_at: None,
        unseen: Vec::new(),
        is_told: false,
    }
}

#[test]
fn a_second_one_of_its_kind_waits_until_the_first_is_known() {
    let mut root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    let mut own = payment(2, "creditcard");
    own.operations.push(operation(Kind::Capture, Vec::new(), "a"));
    let follow_ups = [own];
    assert_eq!(said(asked(&root, &follow_ups, &wish(Kind::Capture, "1"))), "EarlierUnknown");
    assert_eq!(said(asked(&root, &follow_ups, &wish(Kind::Void, ""))), "void-authorization 100.00", "another kind");
    let although = Wish { although_unknown: true, ..wish(Kind::Capture, "1") };
    assert_eq!(said(asked(&root, &follow_ups, &although)), "capture-authorization 1.00");
    root.operations.push(operation(Kind::Capture, Vec::new(), "a"));
    root.operations[0].outcome = Outcome::Executed { how: "seen".into() };
    assert_eq!(said(asked(&root, &[], &wish(Kind::Capture, "1"))), "capture-authorization 1.00");
}

#[test]
fn a_named_parent_must_be_in_the_chain_and_allow_it() {
    let facts = [
        HOLD,
        ("c", "capture-authorization", "success", "60", "a"),
        ("e", "capture-authorization", "success", "40", "a"),
    ];
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &facts);
    let named = |id: &str, kind| Wish { transaction: TransactionId::new(id).ok(), ..wish(kind, "") };
    assert_eq!(said(asked(&root, &[], &wish(Kind::Refund, ""))), "SeveralParents");
    assert_eq!(said(asked(&root, &[], &named("e", Kind::Refund))), "refund-capture 40.00");
    assert_eq!(said(asked(&root, &[], &named("a", Kind::Refund))), "NoParent");
    assert_eq!(said(asked(&root, &[], &named("z", Kind::Refund))), "NotInThisChain");
    assert_eq!(said(asked(&root, &[], &named("a", Kind::Void))), "PartlyUsed");
}

#[test]
fn a_pending_or_redirecting_transaction_is_no_parent() {
    let mut root = with(payment(1, "paypal"), Dialect::Wpg, &[DEBIT]);
    root.known[0].transaction.redirect_only = true;
    assert_eq!(said(asked(&root, &[], &wish(Kind::Refund, ""))), "NoParent");
    let mut root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    // The state decides, not the statuses (fact sheet wpg c.1).
    root.known[0].transaction.statuses.push(Status { code: "500.1999".into(), severity: Some("error".into()) });
    assert_eq!(said(asked(&root, &[], &wish(Kind::Capture, ""))), "capture-authorization 100.00");
}

fn line(quantity: u32, gross: &str) -> BasketLine {
    let some = |text: &str| Some(text.to_owned());
    BasketLine {
        article_number: "A".into(),
        name: "N".into(),
        quantity,
        unit_gross_amount: gross.into(),
        unit_net_amount: some("1"),
        unit_tax_amount: some("1"),
        unit_tax_rate: some("20"),
        description: None,
        image_url: None,
    }
}

#[test]
fn an_invoice_is_captured_voided_and_credited_by_its_basket() {
    let root = with(
        payment(1, "ratepay-invoice"),
        Dialect::Wpg,
        &[HOLD, ("c", "capture-authorization", "success", "60", "a")],
    );
    let with_basket = |kind, amount: &str, unit: &str, transaction: &str| {
        let transaction = TransactionId::new(transaction).ok();
        said(asked(&root, &[], &Wish { basket: vec![line(2, unit)], transaction, ..wish(kind, amount) }))
    };
    assert_eq!(with_basket(Kind::Capture, "40", "20", "a"), "capture-authorization 40.00");
    assert_eq!(with_basket(Kind::Capture, "40", "19.99", "a"), "BasketDiffers");
    assert_eq!(with_basket(Kind::Capture, "40.02", "20.01", "a"), "MoreThanAuthorised");
    assert_eq!(with_basket(Kind::Void, "10", "5", "a"), "void-authorization 10.00");
    assert_eq!(with_basket(Kind::Void, "40.02", "20.01", "a"), "MoreThanAuthorised");
    assert_eq!(with_basket(Kind::Refund, "60", "30", "c"), "refund-capture 60.00");
    assert_eq!(with_basket(Kind::Refund, "60.02", "30.01", "c"), "MoreThanTaken");
    assert_eq!(with_basket(Kind::Credit, "10", "5", "a"), "credit 10.00");
    assert_eq!(with_basket(Kind::Credit, "-10", "-5", "a"), "credit -10.00");
}

#[test]
fn a_credit_of_an_invoice_says_what_its_sign_means_and_is_bounded_either_way() {
    let credit = |facts: &[Row], amount: &str| {
        let root = with(payment(1, "ratepay-invoice"), Dialect::Wpg, facts);
        asked(&root, &[], &Wish { without_basket: true, ..wish(Kind::Credit, amount) })
    };
    let means = |amount: &str| credit(&[HOLD], amount).expect("allowed").means.unwrap_or_default();
    assert!(means("-10").contains("reduction") && means("-10").contains("10.00 EUR less"), "{}", means("-10"));
    assert!(means("10").contains("charge") && means("10").contains("10.00 EUR more"), "{}", means("10"));
    let reduced = ("k", "credit", "success", "-60", "a");
    let charged = ("l", "credit", "success", "30", "a");
    for (facts, amount, expected) in [
        (&[HOLD][..], "-100", "credit -100.00"),
        (&[HOLD], "-100.01", "MoreThanInvoiced"),
        (&[HOLD], "100.01", "MoreThanInvoiced"),
        (&[HOLD], "0", "NotPositive"),
        (&[HOLD, reduced, charged], "-40", "credit -40.00"),
        (&[HOLD, reduced, charged], "-40.01", "MoreThanInvoiced"),
        (&[HOLD, reduced, charged], "70", "credit 70.00"),
        (&[HOLD, reduced, charged], "70.01", "MoreThanInvoiced"),
    ] {
        assert_eq!(said(credit(facts, amount)), expected, "{amount} after {facts:?}");
    }
    let card = with(payment(1, "creditcard"), Dialect::Wpg, &[BOUGHT]);
    assert_eq!(asked(&card, &[], &wish(Kind::Credit, "10")).expect("allowed").means, None, "a payout has no sign");
}

#[test]
fn a_refusal_names_status_codes_only_to_those_who_can_get_them() {
    let text = |outcome: Result<Plan, Refused>| outcome.expect_err("refused").to_string();
    let at_checkout = order("INVOICE", &[ORDER, CLOSED]);
    let basket = |unit: &str| vec![line(1, unit)];
    let dollars = Wish { currency: Currency::parse("USD"), ..wish(Kind::Refund, "5") };
    for refused in [
        text(asked(&at_checkout, &[], &Wish { basket: basket("100.01"), ..wish(Kind::Refund, "100.01") })),
        text(asked(&at_checkout, &[], &Wish { basket: basket("4"), ..wish(Kind::Refund, "5") })),
        text(asked(&at_checkout, &[], &dollars)),
    ] {
        assert!(!refused.contains("400.") && refused.contains("fact sheet checkout"), "{refused}");
    }
    let at_wpg = with(payment(1, "creditcard"), Dialect::Wpg, &[BOUGHT]);
    assert!(text(asked(&at_wpg, &[], &wish(Kind::Refund, "100.01"))).contains("400.1027"));
    assert!(text(asked(&at_wpg, &[], &dollars)).contains("400.1026"));
}

fn order(method: &str, facts: &[Row]) -> Payment {
    let mut root = payment(1, method);
    root.gateway_order_number = GatewayOrderNumber::new("7").ok();
    with(root, Dialect::Checkout, facts)
}

const ORDER: Row = ("order:7", "order", "ORDERED", "100", "");
const HELD: Row = ("payment:7", "payment", "payment_approved", "100", "order:7");
const DEPOSITED: Row = ("payment:7", "payment", "payment_deposited", "100", "order:7");
const CLOSED: Row = ("payment:7", "payment", "payment_closed", "100", "order:7");
const REFUNDED: Row = ("credit:9", "credit", "credit_refunded", "30", "order:7");

#[test]
fn what_may_be_done_at_the_checkout() {
    use Kind::*;
    #[rustfmt::skip]
    let table: &[Case<'_>] = &[
        ("all of a hold", "CCARD", &[ORDER, HELD], Deposit, "", "deposit 100.00"),
        ("capture is deposit", "CCARD", &[ORDER, HELD], Capture, "12.5", "deposit 12.50"),
        ("never more than the order", "CCARD", &[ORDER, HELD, ("payment:8", "payment", "payment_deposited", "30", "order:7")], Deposit, "70.01", "MoreThanAuthorised"),
        ("the rest of the order", "CCARD", &[ORDER, HELD, ("payment:8", "payment", "payment_closed", "30", "order:7")], Deposit, "", "deposit 70.00"),
        ("more than is held", "CCARD", &[ORDER, HELD], Deposit, "100.01", "MoreThanAuthorised"),
        ("nothing held", "CCARD", &[ORDER, DEPOSITED], Deposit, "1", "NothingApproved"),
        ("books not seen", "CCARD", &[], Deposit, "1", "NotSeenYet"),
        ("a hold given back", "CCARD", &[ORDER, HELD], ApproveReversal, "", "approveReversal "),
        ("void is approveReversal", "CCARD", &[ORDER, HELD], Void, "", "approveReversal "),
        ("a hold in part", "CCARD", &[ORDER, HELD], ApproveReversal, "5", "VoidIsWhole"),
        ("a hold with something deposited", "CCARD", &[ORDER, HELD, ("payment:8", "payment", "payment_deposited", "1", "order:7")], ApproveReversal, "", "SomethingDeposited"),
        ("a deposit taken back", "CCARD", &[ORDER, DEPOSITED], DepositReversal, "", "depositReversal "),
        ("a deposit behind the day-end", "CCARD", &[ORDER, CLOSED], DepositReversal, "", "NotReversible"),
        ("a refund before the day-end", "CCARD", &[ORDER, DEPOSITED], Refund, "1", "DayEndOpen"),
        ("a refund of a hold", "CCARD", &[ORDER, HELD], Refund, "1", "NothingDeposited"),
        ("a refund", "CCARD", &[ORDER, CLOSED], Refund, "", "refund 100.00"),
        ("a second refund", "CCARD", &[ORDER, CLOSED, REFUNDED], Refund, "", "refund 70.00"),
        ("refunds above the deposit", "CCARD", &[ORDER, CLOSED, REFUNDED], Refund, "70.01", "MoreThanTaken"),
        ("a refund taken back", "CCARD", &[ORDER, CLOSED, REFUNDED], RefundReversal, "", "refundReversal "),
        ("a closed refund", "CCARD", &[ORDER, CLOSED, ("credit:9", "credit", "credit_closed", "30", "order:7")], RefundReversal, "", "NotReversible"),
        ("Sofort is refunded by a transfer", "SOFORTUEBERWEISUNG", &[ORDER, CLOSED], Refund, "1", "RefundedByTransfer"),
        ("charged again", "CCARD", &[ORDER, CLOSED], Recur, "5", "recurPayment 5.00"),
        ("money back without goods, for a card", "CCARD", &[ORDER, CLOSED], Credit, "5", "NotAnInvoice"),
        ("an invoice without its basket", "INVOICE", &[ORDER, HELD], Deposit, "", "BasketMissing"),
    ];
    for (what, method, facts, kind, amount, expected) in table {
        assert_eq!(said(asked(&order(method, facts), &[], &wish(*kind, amount))), *expected, "{what}");
    }
}

#[test]
fn money_back_without_goods_needs_everything_deposited_and_closed() {
    let credit = |facts: &[Row], lines: usize| {
        let basket = vec![line(1, "12"); lines];
        said(asked(&order("INVOICE", facts), &[], &Wish { basket, ..wish(Kind::Credit, "12") }))
    };
    assert_eq!(credit(&[ORDER, CLOSED], 1), "refund 12.00");
    assert_eq!(credit(&[ORDER, CLOSED], 2), "OneLine");
    assert_eq!(credit(&[ORDER, DEPOSITED], 1), "NotFullyDeposited");
    assert_eq!(credit(&[ORDER, ("payment:7", "payment", "payment_closed", "60", "order:7")], 1), "NotFullyDeposited");
    assert_eq!(credit(&[ORDER, CLOSED, ("credit:9", "credit", "credit_closed", "90", "order:7")], 1), "MoreThanTaken");
}

#[test]
fn the_vendors_worked_invoice_adds_up() {
    // A001 1 × 10.80, A002 2 × 14.94, S001 5.90 (fact sheet checkout e).
    let root = order(
        "INVOICE",
        &[
            ("order:7", "order", "ORDERED", "46.58", ""),
            ("payment:7", "payment", "payment_approved", "46.58", "order:7"),
        ],
    );
    let basket = vec![line(1, "10.80"), line(2, "14.94"), line(1, "5.90")];
    assert_eq!(said(asked(&root, &[], &Wish { basket, ..wish(Kind::Deposit, "46.58") })), "deposit 46.58");
    let basket = vec![line(1, "10.80")];
    assert_eq!(said(asked(&root, &[], &Wish { basket, ..wish(Kind::Deposit, "10.80") })), "deposit 10.80");
}

#[test]
fn a_transfer_pays_back_what_no_refund_can() {
    let back = |method: &str, amount: &str| {
        let wish = Wish { fund: Some(Fund::ExistingOrder), ..wish(Kind::Transfer, amount) };
        said(asked(&order(method, &[ORDER, DEPOSITED, REFUNDED]), &[], &wish))
    };
    assert_eq!(back("SOFORTUEBERWEISUNG", ""), "transferFund 70.00");
    assert_eq!(back("SOFORTUEBERWEISUNG", "70.01"), "MoreThanTaken");
    assert_eq!(back("CCARD", "1"), "NotTransferable");
    let merchant = MerchantName::new("shop").expect("a name");
    let payout = |wish: &Wish| said(super::payout(&merchant, wish));
    let sepa = Wish { fund: Some(Fund::SepaCt), currency: Currency::parse("EUR"), ..wish(Kind::Transfer, "5") };
    assert_eq!(payout(&sepa), "transferFund 5.00");
    assert_eq!(payout(&Wish { currency: None, ..sepa.clone() }), "Missing");
    assert_eq!(payout(&Wish { fund: Some(Fund::ExistingOrder), ..sepa }), "Missing");
}

#[test]
fn a_transfer_booked_from_its_reply_is_not_paid_twice() {
    let back = |root: &Payment, kind, amount: &str| {
        said(asked(root, &[], &Wish { fund: Some(Fund::ExistingOrder), ..wish(kind, amount) }))
    };
    // The order was looked at since, and its answer lists no credit for the transfer.
    let booked = ("credit:op-9", "credit", "credit_refunded", "60", "");
    let root = order("SOFORTUEBERWEISUNG", &[ORDER, DEPOSITED, booked]);
    assert_eq!(back(&root, Kind::Transfer, "40.01"), "MoreThanTaken");
    assert_eq!(back(&root, Kind::Transfer, ""), "transferFund 40.00");
    assert_eq!(back(&root, Kind::RefundReversal, ""), "NotReversible", "no look could tell what came of it");
    let of_another = ("credit:8", "credit", "credit_refunded", "60", "order:8");
    let root = order("SOFORTUEBERWEISUNG", &[ORDER, DEPOSITED, of_another]);
    assert_eq!(back(&root, Kind::Transfer, ""), "transferFund 100.00");
}

#[test]
fn what_is_unknown_at_the_checkout_counts_as_done_even_where_it_is_overridden() {
    let with_unknown = |facts: &[Row], method: &str, kind, amount: &str| {
        let mut root = order(method, facts);
        root.operations.push(operation(kind, Vec::new(), "order:7"));
        let fund = (kind == Kind::Transfer).then_some(Fund::ExistingOrder);
        said(asked(&root, &[], &Wish { although_unknown: true, fund, ..wish(kind, amount) }))
    };
    assert_eq!(with_unknown(&[ORDER, HELD], "CCARD", Kind::Deposit, "90.01"), "MoreThanAuthorised");
    assert_eq!(with_unknown(&[ORDER, HELD], "CCARD", Kind::Deposit, ""), "deposit 90.00");
    assert_eq!(with_unknown(&[ORDER, CLOSED], "CCARD", Kind::Refund, "90.01"), "MoreThanTaken");
    assert_eq!(with_unknown(&[ORDER, CLOSED], "CCARD", Kind::Refund, ""), "refund 90.00");
    assert_eq!(with_unknown(&[ORDER, DEPOSITED], "SOFORT", Kind::Transfer, "90.01"), "MoreThanTaken");
    assert_eq!(with_unknown(&[ORDER, DEPOSITED], "SOFORT", Kind::Transfer, ""), "transferFund 90.00");
}

#[test]
fn the_order_tells_whether_an_operation_took_effect() {
    let number = GatewayOrderNumber::new("7").expect("a number");
    let part = ("payment:8", "payment", "payment_deposited", "10", "order:7");
    let other = ("payment:8", "payment", "payment_deposited", "4", "order:7");
    let credit = ("credit:9", "credit", "credit_refunded", "10", "order:7");
    #[rustfmt::skip]
    let table: &[Trace<'_>] = &[
        ("a deposit that came", Kind::Deposit, "order:7", &[HELD], &[HELD, part], Effect::Seen),
        ("a deposit that did not", Kind::Deposit, "order:7", &[HELD], &[HELD], Effect::NotSeen),
        ("another deposit", Kind::Deposit, "order:7", &[HELD], &[HELD, other], Effect::Unclear),
        ("a refund that came", Kind::Refund, "order:7", &[CLOSED], &[CLOSED, credit], Effect::Seen),
        ("a refund that did not", Kind::Refund, "order:7", &[CLOSED, REFUNDED], &[CLOSED, REFUNDED], Effect::NotSeen),
        ("a hold given back", Kind::ApproveReversal, "order:7", &[HELD], &[], Effect::Seen),
        ("a hold still there", Kind::ApproveReversal, "order:7", &[HELD], &[HELD], Effect::NotSeen),
        ("a hold deposited instead", Kind::ApproveReversal, "order:7", &[HELD], &[DEPOSITED], Effect::Unclear),
        ("a deposit taken back", Kind::DepositReversal, "payment:7", &[DEPOSITED], &[HELD], Effect::Seen),
        ("a deposit voided", Kind::DepositReversal, "payment:7", &[DEPOSITED], &[], Effect::Seen),
        ("a deposit that stays", Kind::DepositReversal, "payment:7", &[DEPOSITED], &[CLOSED], Effect::NotSeen),
        ("a refund taken back", Kind::RefundReversal, "credit:9", &[CLOSED, REFUNDED], &[CLOSED], Effect::Seen),
        ("a refund that stays", Kind::RefundReversal, "credit:9", &[CLOSED, REFUNDED], &[CLOSED, REFUNDED], Effect::NotSeen),
        ("a payout", Kind::Transfer, "order:7", &[CLOSED], &[CLOSED], Effect::Unclear),
    ];
    for (what, kind, target, then, now, expected) in table {
        let intent = operation(*kind, before(&order("CCARD", then), &number), target).intent;
        assert_eq!(effect(&intent, &order("CCARD", now), &number), *expected, "{what}");
    }
}

#[test]
fn the_own_transaction_tells_what_became_of_a_request() {
    let own = with(payment(2, "creditcard"), Dialect::Wpg, &[("c", "capture-authorization", "success", "5", "a")]);
    assert_eq!(of_own(&own).map(|o| o.name()), Some("executed"));
    let mut own = payment(2, "creditcard");
    for (state, expected) in [
        (State::Open, None),
        (State::UnfinishedProvisional, None),
        (State::Failed, Some("refused")),
        (State::Unfinished, Some("not-seen")),
    ] {
        own.state = state;
        assert_eq!(of_own(&own).map(|o| o.name()), expected, "{state:?}");
    }
}

#[test]
fn what_was_executed_counts_only_once_the_books_were_seen_again() {
    let mut root = order("CCARD", &[ORDER, CLOSED]);
    root.watch.looked_at = Some(now());
    let mut done = operation(Kind::Refund, Vec::new(), "order:7");
    done.outcome = Outcome::Executed { how: "status 0".into() };
    done.since = crate::words::time::later(now(), crate::words::time::minutes(1));
    root.operations.push(done);
    assert_eq!(said(asked(&root, &[], &wish(Kind::Refund, "10"))), "BooksAreOld");
    root.watch.looked_at = Some(crate::words::time::later(now(), crate::words::time::minutes(2)));
    assert_eq!(said(asked(&root, &[], &wish(Kind::Refund, "10"))), "refund 10.00");
}

#[test]
fn words_of_the_other_dialect_are_refused() {
    let root = with(payment(1, "creditcard"), Dialect::Wpg, &[HOLD]);
    let wrong = Wish { object: Some("7".into()), ..wish(Kind::Capture, "1") };
    assert_eq!(said(asked(&root, &[], &wrong)), "OtherDialect");
    let root = order("CCARD", &[ORDER, HELD]);
    let wrong = Wish { transaction: TransactionId::new("t").ok(), ..wish(Kind::Deposit, "1") };
    assert_eq!(said(asked(&root, &[], &wrong)), "OtherDialect");
}
