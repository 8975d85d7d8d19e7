use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;

use super::*;
use crate::core::look::{Answer as LookAnswer, Outcome, Query};
use crate::core::message::{Message, PaymentState, Transaction};
use crate::core::submission::Submission;
use crate::wire::checkout::backend::{self, Credentials};
use crate::wire::{checkout, wpg};
use crate::words::id::{GatewayOrderNumber, MerchantName, OrderNumber, RequestId, TransactionId};
use crate::words::money::Amount;
use crate::words::time::{Timestamp, days, hours, later, minutes, seconds};

mod taking_checkout;
mod operating_checkout;
mod taking_wpg;
mod paying_by_page;

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().expect("a time")
}

fn eu() -> MerchantName {
    MerchantName::new("shop-eu").expect("a name")
}

fn at() -> MerchantName {
    MerchantName::new("shop-at").expect("a name")
}

fn gateway() -> Gateway {
    Gateway::new(7, example_shops())
}

fn request(merchant: MerchantName, id: &str, method: &str) -> Submission {
    let is_wpg = merchant == eu();
    Submission {
        merchant,
        request_id: RequestId::new(id).expect("an id"),
        order_number: OrderNumber::new(&format!("order-{id}")).ok(),
        transaction_type: is_wpg.then(|| "debit".to_owned()),
        amount: Amount::parse("12.50", "EUR").expect("money"),
        payment_method: Some(method.to_owned()),
        parent_transaction_id: None,
        gateway_order_number: None,
        submitted_at: None,
        periodic: None,
        basket: None,
        custom_fields: None,
        resolver_category: None,
        captures_due: None,
    }
}

/// One of each script, all over within four days.
fn scripts() -> Vec<Script> {
    let after = minutes(3);
    vec![
        Script::NeverStarted,
        Script::Abandoned { timeout: minutes(31) },
        Script::Cancelled { after },
        Script::Failed { after },
        Script::Success { after },
        Script::Pending { lasts: hours(5), then: Ending::Success },
        Script::Pending { lasts: hours(5), then: Ending::Failed },
        Script::FailedThenSuccess { failed_after: after, success_after: hours(3) },
        Script::ProviderSilence { after, success_after: hours(2) },
        Script::PaidTwice { after, again_after: minutes(9) },
        Script::Reserved { after },
        Script::Captured { after, deposit_after: hours(4) },
        Script::Returned { after, return_after: days(3) },
        Script::Refunded { after, refund_after: days(1) },
    ]
}

fn read(gateway: &Gateway, outgoing: &Outgoing) -> Message {
    let shop = gateway.shops().find(|shop| shop.account.name == outgoing.merchant).expect("a shop");
    match shop.checkout() {
        None => wpg::decode(&outgoing.body, Some(&shop.key)).expect("readable"),
        Some(contract) => {
            let reading = checkout::Reading {
                algorithm: Some(contract.algorithm),
                secret: Some(shop.key.secret_bytes()),
                own_id_parameter: Some(&contract.own_id_parameter),
            };
            checkout::decode(&outgoing.body, &reading).expect("readable")
        }
    }
}

fn ask_wpg(gateway: &mut Gateway, now: Timestamp, query: &Query) -> LookAnswer {
    let asked = wpg::retrieve::request("http://sandbox.test/prefix", query).expect("askable");
    let target = asked.url.strip_prefix("http://sandbox.test").expect("below the base");
    let basic = format!("Basic {}", BASE64_STANDARD.encode("example-user:example-password"));
    let headers = [("authorization".to_owned(), basic), ("accept".to_owned(), asked.accept.to_owned())];
    match gateway.answer(now, &Request { method: "GET", target, headers: &headers, body: b"" }) {
        Reply::Answer(answer) => wpg::retrieve::answer(query, answer.status, answer.content_type, &answer.body),
        Reply::Silence | Reply::Closed => panic!("no answer"),
    }
}

fn by_request(id: &str) -> Query {
    let maid = "9abf05c1-c266-46ae-8eac-7f87ca97af28".to_owned();
    Query::RequestId { merchant_account_id: maid, request_id: RequestId::new(id).expect("an id") }
}

fn ask_checkout(gateway: &mut Gateway, now: Timestamp, number: &GatewayOrderNumber) -> LookAnswer {
    let shop = gateway.shops().find(|shop| shop.account.name == at()).expect("a shop").clone();
    let contract = shop.checkout().expect("checkout");
    let credentials = Credentials {
        product: contract.product,
        customer_id: &contract.customer_id,
        shop_id: contract.shop_id.as_deref(),
        password: shop.key.password.as_ref().expect("a password").expose_secret(),
        secret: shop.key.secret.expose_secret(),
        algorithm: contract.algorithm,
    };
    let asked = backend::order_details(&credentials, number);
    let target = format!("/{}", asked.path.trim_start_matches('/'));
    let query = Query::OrderDetails { gateway_order_number: number.clone() };
    let request = Request { method: "POST", target: &target, headers: &[], body: asked.body.as_bytes() };
    match gateway.answer(now, &request) {
        Reply::Answer(answer) => backend::answer(&query, answer.status, &answer.body),
        Reply::Silence | Reply::Closed => panic!("no answer"),
    }
}

#[test]
fn every_script_tells_both_dialects_what_the_truth_says() {
    for (index, script) in scripts().into_iter().enumerate() {
        for (merchant, method) in
            [(eu(), "sofortbanking"), (eu(), "creditcard"), (eu(), "sepadirectdebit"), (at(), "CCARD"), (at(), "EPS")]
        {
            let mut gateway = gateway();
            let id = format!("r{index}-{method}");
            let mut asked = request(merchant.clone(), &id, method);
            if matches!(script, Script::Reserved { .. } | Script::Captured { .. }) && merchant == eu() {
                asked.transaction_type = Some("authorization".into());
            }
            gateway.submit(start(), &asked, &script, &Plan::default()).expect("played");
            let end = later(start(), days(5));
            let mut told = BTreeMap::new();
            for outgoing in gateway.events(end) {
                let message = read(&gateway, &outgoing);
                let signed = !matches!(message.payment_state, Some(PaymentState::Failure | PaymentState::Cancel));
                assert_eq!(
                    message.authenticity.is_verified(),
                    signed,
                    "{script:?} {method} {:?}",
                    message.authenticity
                );
                for t in &message.transactions {
                    told.insert(t.transaction_id.clone(), t.amount);
                }
                gateway.delivered(end, outgoing.id, true);
            }
            let order = asked.order_number.clone().expect("an order number");
            let truth = gateway.truth(&merchant, &order, end).expect("an order");
            let payment = &truth.payments[0];
            assert!(payment.hidden.is_empty() == payment.askable || payment.moves.is_empty(), "{script:?} {method}");
            if merchant == eu() {
                for moved in payment.moves.iter().filter(|m| m.kind != MoveKind::Release) {
                    let amount = told.get(&Some(moved.transaction_id.clone())).copied().flatten();
                    assert_eq!(amount.and_then(|a| a.bookable()), Some(moved.amount), "{script:?} {method}");
                }
            }
        }
    }
}

#[test]
fn the_truth_of_each_script_is_what_its_name_says() {
    let euro = |value: &str| Amount::parse(value, "EUR").ok();
    let expected: &[(&str, Option<Amount>, Option<Amount>)] = &[
        ("never-started", None, None),
        ("abandoned", None, None),
        ("cancelled", None, None),
        ("failed", None, None),
        ("success", euro("12.50"), None),
        ("pending", euro("12.50"), None),
        ("failed-then-success", euro("12.50"), None),
        ("provider-silence", euro("12.50"), None),
        ("paid-twice", euro("25.00"), None),
        ("reserved", None, None),
        ("captured", euro("12.50"), None),
        ("returned", euro("12.50"), euro("12.50")),
        ("refunded", euro("12.50"), euro("12.50")),
    ];
    let by_name: BTreeMap<_, _> = expected.iter().map(|(name, received, out)| (*name, (*received, *out))).collect();
    for script in scripts() {
        if matches!(script, Script::Pending { then: Ending::Failed, .. }) {
            continue;
        }
        for (merchant, method) in [(eu(), "sofortbanking"), (at(), "SOFORTUEBERWEISUNG")] {
            let mut gateway = gateway();
            let mut asked = request(merchant.clone(), "r", method);
            if matches!(script, Script::Reserved { .. } | Script::Captured { .. }) && merchant == eu() {
                asked.transaction_type = Some("authorization".into());
            }
            if merchant == at() {
                asked.gateway_order_number = Some(gateway.generate_order_number());
            }
            gateway.submit(start(), &asked, &script, &Plan::default()).expect("played");
            for outgoing in gateway.events(later(start(), days(5))) {
                gateway.delivered(start(), outgoing.id, true);
            }
            let truth = gateway.truths(later(start(), days(5))).remove(0);
            assert_eq!((truth.received(), truth.paid_out()), by_name[script.name()], "{script:?} {merchant}");
            let held = if script.name() == "reserved" { euro("12.50") } else { None };
            assert_eq!(truth.held().filter(|a| !a.is_zero()), held, "{script:?} {merchant}");
        }
    }
}

#[test]
fn retrieval_finds_a_redirect_payment_only_when_it_is_decided() {
    let mut gateway = gateway();
    let asked = request(eu(), "r-1", "sofortbanking");
    let response = gateway.submit(start(), &asked, &Script::Success { after: minutes(4) }, &Plan::default());
    let response = response.expect("played");
    let sync = wpg::decode(response.body.as_bytes(), None).expect("readable").transactions.remove(0);
    assert!(sync.redirect_only && sync.request_id.as_deref() == Some("r-1"), "the answer echoes the bare id");

    let early = ask_wpg(&mut gateway, later(start(), minutes(2)), &by_request("r-1"));
    assert_eq!(early.outcome, Outcome::NotFound);
    let step = ask_wpg(&mut gateway, later(start(), minutes(2)), &by_request("r-1-get-url"));
    assert_eq!(step.transactions[0].transaction_id, sync.transaction_id);

    let found = ask_wpg(&mut gateway, later(start(), minutes(5)), &by_request("r-1"));
    let paid = &found.transactions[0];
    assert_eq!((paid.transaction_state.as_deref(), found.transactions.len()), (Some("success"), 1));
    assert_eq!(paid.parent_transaction_id, sync.transaction_id);

    let maid = "9abf05c1-c266-46ae-8eac-7f87ca97af28".to_owned();
    let root = TransactionId::new(sync.transaction_id.as_deref().expect("an id")).expect("an id");
    let group = Query::Group { merchant_account_id: maid.clone(), root: root.clone() };
    assert_eq!(ask_wpg(&mut gateway, later(start(), minutes(5)), &group).transactions.len(), 2);
    let single = Query::TransactionId { merchant_account_id: maid.clone(), transaction_id: root };
    assert_eq!(ask_wpg(&mut gateway, later(start(), minutes(5)), &single).transactions.len(), 1);
    let search = Query::Search { merchant_account_id: maid, request_id: RequestId::new("r-1").expect("an id") };
    assert_eq!(ask_wpg(&mut gateway, later(start(), minutes(5)), &search).outcome, Outcome::Found);
}

#[test]
fn order_details_follow_an_order_from_approval_to_the_closing() {
    let mut gateway = gateway();
    let number = gateway.generate_order_number();
    let asked = Submission { gateway_order_number: Some(number.clone()), ..request(at(), "r-2", "CCARD") };
    let script = Script::Captured { after: minutes(3), deposit_after: hours(4) };
    gateway.submit(start(), &asked, &script, &Plan::default()).expect("played");
    let mut seen = Vec::new();
    for age in [minutes(1), minutes(10), hours(5), days(1)] {
        let answer = ask_checkout(&mut gateway, later(start(), age), &number);
        let states = answer.transactions.iter().map(|t: &Transaction| t.transaction_state.clone().unwrap_or_default());
        seen.push((answer.outcome, states.collect::<Vec<_>>().join(" ")));
    }
    let expected = [
        (Outcome::NotFound, ""),
        (Outcome::Found, "ORDERED payment_approved"),
        (Outcome::Found, "ORDERED payment_deposited"),
        (Outcome::Found, "REFUNDABLE payment_closed"),
    ];
    assert_eq!(seen, expected.map(|(outcome, states)| (outcome, states.to_owned())));
}

#[test]
fn undecided_rejected_and_unknown_orders_look_as_documented() {
    let mut gateway = gateway();
    let unknown = GatewayOrderNumber::new("123456").expect("a number");
    assert_eq!(ask_checkout(&mut gateway, start(), &unknown).outcome, Outcome::NotFound);
    let number = gateway.generate_order_number();
    let asked = Submission { gateway_order_number: Some(number.clone()), ..request(at(), "r-3", "PAYPAL") };
    let script = Script::Pending { lasts: hours(5), then: Ending::Failed };
    gateway.submit(start(), &asked, &script, &Plan::default()).expect("played");
    for (age, state) in [(hours(1), "unresolved"), (hours(6), "rejected")] {
        let answer = ask_checkout(&mut gateway, later(start(), age), &number);
        assert_eq!(answer.transactions[0].transaction_state.as_deref(), Some(state));
    }
}

#[test]
fn wrong_credentials_are_refused() {
    let mut gateway = gateway();
    let target = "/engine/rest/merchants/9abf05c1-c266-46ae-8eac-7f87ca97af28/payments/?request_id=x";
    for basic in ["Basic ZXhhbXBsZS11c2VyOndyb25n", "Basic !", "Bearer x"] {
        let headers = [("authorization".to_owned(), basic.to_owned())];
        let reply = gateway.answer(start(), &Request { method: "GET", target, headers: &headers, body: b"" });
        assert_eq!(reply, Reply::Answer(Answer::empty(401)), "{basic}");
    }
    let body = b"customerId=D299999&shopId=sandbox&password=wrong&language=en&orderNumber=1&requestFingerprint=00";
    let ask = Request { method: "POST", target: "/seamless/backend/getorderdetails", headers: &[], body };
    let Reply::Answer(answer) = gateway.answer(start(), &ask) else { panic!("no answer") };
    assert!(String::from_utf8_lossy(&answer.body).contains("18123"));
}

#[test]
fn no_forgery_verifies_and_those_that_carry_a_signature_are_refuted() {
    for (merchant, method) in [(eu(), "sofortbanking"), (at(), "SOFORTUEBERWEISUNG")] {
        for kind in Forgery::ALL {
            let mut gateway = gateway();
            let plan = Plan { forgeries: vec![PlannedForgery { after: seconds(5), kind }], ..Plan::default() };
            let asked = request(merchant.clone(), "r-4", method);
            gateway.submit(start(), &asked, &Script::NeverStarted, &plan).expect("played");
            let forged = gateway.events(later(start(), minutes(1))).remove(0);
            assert_eq!(forged.forged, Some(kind));
            let message = read(&gateway, &forged);
            assert!(!message.authenticity.is_verified(), "{kind:?} {:?}", message.authenticity);
            let is_unsigned_wpg = merchant == eu()
                && matches!(kind, Forgery::UnsignedSuccess | Forgery::UnsignedFailure | Forgery::UnsignedCancel);
            let is_never_signed = matches!(kind, Forgery::UnsignedFailure | Forgery::UnsignedCancel);
            let is_hint = is_unsigned_wpg || is_never_signed;
            assert_eq!(message.authenticity.is_refuted(), !is_hint, "{kind:?} {:?}", message.authenticity);
        }
    }
}

#[test]
fn the_cut_anew_list_fails_only_by_the_rule_about_its_end() {
    let mut gateway = gateway();
    let plan =
        Plan { forgeries: vec![PlannedForgery { after: seconds(5), kind: Forgery::Relabelled }], ..Plan::default() };
    gateway.submit(start(), &request(at(), "r-5", "EPS"), &Script::NeverStarted, &plan).expect("played");
    let forged = gateway.events(later(start(), minutes(1))).remove(0);
    let fields: BTreeMap<String, String> = super::answer::form(&forged.body).into_iter().collect();
    let secret = "example-secret-of-shop-at";
    let seed = fields["responseFingerprintOrder"].split(',').map(|name| match name {
        "secret" => secret,
        name => fields[name].as_str(),
    });
    let digest = checkout::fingerprint::digest(
        crate::core::message::Scheme::HmacSha512,
        secret.as_bytes(),
        seed.map(str::as_bytes),
    );
    let digest = checkout::fingerprint::to_hex(&digest.expect("an algorithm"));
    assert_eq!(digest, fields["responseFingerprint"], "the digest itself is right: only the list rule stops it");
    assert_eq!(fields["shopRequestId"], "r-5");
}

#[test]
fn fates_decide_what_arrives_and_when() {
    let cases: &[(Fate, &[i64])] = &[
        (Fate::Arrives, &[123, 10_803]),
        (Fate::Lost, &[10_803]),
        (Fate::Twice { again_after: seconds(60) }, &[123, 183, 10_803]),
        (Fate::Late { by: hours(1) }, &[3_723, 10_803]),
        (Fate::Overtaken, &[10_803, 10_804]),
    ];
    for (fate, expected) in cases {
        let mut gateway = gateway();
        let plan = Plan { fates: vec![*fate], ..Plan::default() };
        let script = Script::FailedThenSuccess { failed_after: minutes(2), success_after: hours(3) };
        gateway.submit(start(), &request(eu(), "r-6", "eps"), &script, &plan).expect("played");
        let sent = gateway.events(later(start(), days(1)));
        let ages: Vec<i64> = sent.iter().map(|o| o.at.duration_since(start()).as_secs()).collect();
        assert_eq!(ages, *expected, "{fate:?}");
    }
}

#[test]
fn a_lost_confirmation_leaves_a_number_that_nobody_learns() {
    for (fate, pregenerated, askable) in
        [(Fate::Lost, false, false), (Fate::Lost, true, true), (Fate::Arrives, false, true)]
    {
        let mut gateway = gateway();
        let mut asked = request(at(), "r-7", "EPS");
        asked.gateway_order_number = pregenerated.then(|| gateway.generate_order_number());
        let plan = Plan { fates: vec![fate], ..Plan::default() };
        gateway.submit(start(), &asked, &Script::Success { after: minutes(2) }, &plan).expect("played");
        for outgoing in gateway.events(later(start(), hours(1))) {
            gateway.delivered(later(start(), hours(1)), outgoing.id, true);
        }
        let truth = gateway.truths(later(start(), hours(1))).remove(0);
        assert_eq!(truth.payments[0].askable, askable);
        assert_eq!(truth.received().is_some(), askable);
        assert_eq!(truth.payments[0].hidden.len(), usize::from(!askable));
    }
}

#[test]
fn bought_redelivery_repeats_until_it_is_accepted() {
    let mut shops = example_shops();
    shops[1].redeliver_after = vec![minutes(1), minutes(5)];
    let mut gateway = Gateway::new(1, shops);
    let script = Script::Success { after: minutes(2) };
    gateway.submit(start(), &request(at(), "r-8", "EPS"), &script, &Plan::default()).expect("played");
    let mut attempts = Vec::new();
    let mut now = start();
    while let Some(next) = gateway.next_event() {
        now = next;
        for outgoing in gateway.events(now) {
            attempts.push((outgoing.attempt, outgoing.body.clone()));
            gateway.delivered(now, outgoing.id, attempts.len() == 3);
        }
    }
    assert_eq!(attempts.iter().map(|a| a.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(attempts.windows(2).all(|pair| pair[0].1 == pair[1].1), "a repeat has the same bytes");
    assert_eq!(now.duration_since(start()), minutes(8) + seconds(2));
}

#[test]
fn follow_ups_of_the_shop_move_money_against_their_parent() {
    let mut gateway = gateway();
    let hold = Submission { transaction_type: Some("authorization".into()), ..request(eu(), "hold", "creditcard") };
    gateway.submit(start(), &hold, &Script::Reserved { after: seconds(2) }, &Plan::default()).expect("played");
    let parent = gateway.paid_transaction(&eu(), &hold.request_id).expect("a transaction");
    let capture = Submission {
        order_number: None,
        transaction_type: Some("capture-authorization".into()),
        amount: Amount::parse("10.00", "EUR").expect("money"),
        parent_transaction_id: TransactionId::new(&parent).ok(),
        ..request(eu(), "capture", "creditcard")
    };
    let script = Script::Success { after: seconds(2) };
    gateway.submit(later(start(), hours(2)), &capture, &script, &Plan::default()).expect("played");
    let truth = gateway.truths(later(start(), days(1))).remove(0);
    assert_eq!(truth.payments.len(), 2, "the capture belongs to its parent's order");
    assert_eq!(truth.received(), Amount::parse("10.00", "EUR").ok());
    assert_eq!(truth.held(), Amount::parse("2.50", "EUR").ok());
    let orphan = Submission { parent_transaction_id: TransactionId::new("nobody").ok(), ..request(eu(), "x", "eps") };
    let refused = gateway.submit(start(), &orphan, &Script::Success { after: minutes(1) }, &Plan::default());
    assert_eq!(refused, Err(NotTaken::UnknownParent("nobody".into())));
}

#[test]
fn every_rude_manner_says_nothing_about_the_payment() {
    for manner in Manner::ALL {
        let mut gateway = gateway();
        gateway
            .submit(start(), &request(eu(), "r-9", "eps"), &Script::Success { after: seconds(1) }, &Plan::default())
            .expect("played");
        gateway.outage(Outage { merchant: Some(eu()), from: start(), until: later(start(), hours(1)), manner });
        if matches!(manner, Manner::Silent | Manner::Closed) {
            let basic = format!("Basic {}", BASE64_STANDARD.encode("example-user:example-password"));
            let headers = [("authorization".to_owned(), basic)];
            let target = "/engine/rest/merchants/9abf05c1-c266-46ae-8eac-7f87ca97af28/payments/?request_id=r-9";
            let reply = gateway
                .answer(later(start(), minutes(5)), &Request { method: "GET", target, headers: &headers, body: b"" });
            assert!(!matches!(reply, Reply::Answer(_)));
        } else {
            let during = ask_wpg(&mut gateway, later(start(), minutes(5)), &by_request("r-9"));
            let silent = matches!(during.outcome, Outcome::Unavailable { .. } | Outcome::Refused { .. });
            assert!(silent, "{manner:?} {:?}", during.outcome);
        }
        let after = ask_wpg(&mut gateway, later(start(), hours(2)), &by_request("r-9"));
        assert_eq!(after.outcome, Outcome::Found, "{manner:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let play = |seed| {
        let mut gateway = Gateway::new(seed, example_shops());
        for (n, script) in scripts().iter().enumerate() {
            for (merchant, method) in [(eu(), "eps"), (at(), "EPS")] {
                let plan = Plan {
                    format: Writing::ALL[n % 5],
                    forgeries: vec![PlannedForgery { after: hours(1), kind: Forgery::ALL[n % 7] }],
                    ..Plan::default()
                };
                gateway.submit(start(), &request(merchant, &format!("r{n}"), method), script, &plan).expect("played");
            }
        }
        gateway.events(later(start(), days(9)))
    };
    assert_eq!(play(5), play(5));
    let bodies = |seed| play(seed).into_iter().map(|o| o.body).collect::<BTreeSet<_>>();
    assert_ne!(bodies(5), bodies(6));
    assert!(play(5).len() > 40);
}

#[test]
fn scripts_and_plans_read_as_documented() {
    let script: Script = serde_json::from_str(r#"{"script":"pending","lasts":"5h","then":"success"}"#).expect("reads");
    assert_eq!(script, Script::Pending { lasts: hours(5), then: Ending::Success });
    let plan: Plan = serde_json::from_str(
        r#"{"format":"xml-base64","fates":["lost",{"late":{"by":"2h"}}],"forgeries":[{"after":"90s","kind":"relabelled"}]}"#,
    )
    .expect("reads");
    assert_eq!(plan.fates, [Fate::Lost, Fate::Late { by: hours(2) }]);
    let typo = serde_json::from_str::<Plan>(r#"{"formt":"xml"}"#);
    assert!(typo.is_err(), "a misspelt key is told");
}
