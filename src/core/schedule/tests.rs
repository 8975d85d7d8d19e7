use super::watch::RETRY_FIRST;
use super::*;

const N: PaymentNumber = PaymentNumber(7);

fn at(age: SignedDuration) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, age)
}

fn ages(method: &Method, count: usize) -> Vec<i64> {
    let mut from = None;
    (0..count)
        .map(|_| {
            let (age, _, _) = next_rung(method, from);
            from = Some(age);
            age.as_secs() / 60
        })
        .collect()
}

#[test]
fn the_ladder_of_each_method() {
    let schedule = Schedule::default();
    let card = schedule.method(false, Some("creditcard"));
    assert_eq!(ages(card, 10), [2, 4, 7, 12, 20, 30, 35, 65, 90, 150]);
    let sofort = schedule.method(false, Some("sofortbanking"));
    assert_eq!(ages(sofort, 5), [12, 35, 35 + 30, 90, 150][..5].to_vec());
    let paypal = schedule.method(false, Some("paypal"));
    assert_eq!(ages(paypal, 3), [185, 215, 240], "a retrieval before the window's end would fail the payment");
    let klarna = schedule.method(false, Some("klarna-invoice"));
    assert_eq!(ages(klarna, 9), [12, 35, 95, 155, 275, 515, 995, 1475, 26 * 60 + 5]);
    let wire = schedule.method(false, Some("wiretransfer"));
    assert_eq!(ages(wire, 4), [12, 35, 95, 155], "open-ended: no decision, no end");
}

#[test]
fn the_ladder_never_ends() {
    let card = Schedule::default().methods["creditcard"].clone();
    let mut from = None;
    for _ in 0..400 {
        let (age, before, phase) = next_rung(&card, from);
        assert!(from.is_none_or(|from| age > from));
        assert!(age - before <= days(7) + hours(1), "never more than a week without a look");
        if age > days(20) {
            assert_eq!(phase, Phase::Frozen);
        }
        from = Some(age);
    }
    assert!(from.expect("an age") > days(365 * 5));
}

#[test]
fn looks_are_never_early_and_at_most_a_fifth_late() {
    let card = Schedule::default().methods["creditcard"].clone();
    for number in 0..200 {
        let watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
        let next = plan(State::Open, &watch, &card, true, PaymentNumber(number)).expect("a look");
        let late = next.at.duration_since(at(minutes(2)));
        assert!(late >= SignedDuration::ZERO && late <= SignedDuration::from_secs(24), "{number}: {late}");
    }
}

#[test]
fn unfinished_takes_two_looks_30_minutes_apart_and_a_third_a_day_later() {
    let card = Schedule::default().methods["creditcard"].clone();
    let since = at(SignedDuration::ZERO);
    let deadline = deadline(&card, since);
    let mut watch = Watch::new(since, since);
    watch.concluded(at(minutes(30)), true, deadline);
    assert!(watch.agreed.is_empty(), "before the deadline nothing counts");
    watch.concluded(at(minutes(35)), true, deadline);
    watch.concluded(at(minutes(64)), true, deadline);
    assert_eq!(watch.agreed.len(), 1, "29 minutes apart is not 30");
    watch.concluded(at(minutes(65)), true, deadline);
    assert_eq!(watch.agreed.len(), 2);
    let next = plan(State::UnfinishedProvisional, &watch, &card, true, N).expect("a look");
    assert!(next.at >= at(minutes(65) + hours(24)) && next.phase == Phase::HoldDown);
    watch.concluded(at(minutes(65) + hours(23)), true, deadline);
    assert_eq!(watch.agreed.len(), 2);
    watch.concluded(at(minutes(66) + hours(24)), true, deadline);
    assert_eq!(watch.agreed.len(), 3);
    let next = plan(State::Unfinished, &watch, &card, true, N).expect("sparse looks go on");
    assert_eq!(next.phase, Phase::Settled);
    watch.concluded(at(days(5)), false, deadline);
    assert!(watch.agreed.is_empty(), "new life starts the count anew");
}

#[test]
fn a_look_without_an_answer_uses_up_no_rung() {
    let card = Schedule::default().methods["creditcard"].clone();
    let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    watch.failed(at(minutes(2)), None, N);
    let next = plan(State::Open, &watch, &card, true, N).expect("a look");
    assert!(next.at >= at(minutes(2) + RETRY_FIRST) && next.at < at(minutes(4)), "{}", next.at);
    for _ in 0..40 {
        watch.failed(at(hours(1)), Some(days(3)), N);
    }
    let longest = at(hours(1) + RETRY_MAX + RETRY_MAX / 5);
    assert!(watch.retry_at.expect("a time") <= longest, "Retry-After is honoured up to an hour");
}

#[test]
fn a_hint_brings_no_look_into_the_window_of_a_method_that_minds() {
    let schedule = Schedule::default();
    let paypal = schedule.method(false, Some("paypal"));
    let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    watch.look_soon(at(minutes(1)), "an unverified message", Cause::UnprovenHint);
    assert_eq!(plan(State::Open, &watch, paypal, true, N).expect("a look").at, at(hours(3)));
    watch.soon = None;
    watch.look_soon(at(minutes(1)), "a verified message", Cause::SignedHint);
    assert_eq!(plan(State::Open, &watch, paypal, true, N).expect("a look").at, at(minutes(1)));
}

#[test]
fn money_that_can_go_back_is_watched_for_13_months() {
    let schedule = Schedule::default();
    let sepa = schedule.method(false, Some("sepadirectdebit"));
    let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    let mut seen = Vec::new();
    while let Some(next) = plan(State::PaidProvisional, &watch, sepa, true, N) {
        watch.concluded(next.at, false, None);
        seen.push(next.at.duration_since(watch.since).as_secs() / 86_400);
    }
    assert_eq!(seen[..7], [3, 7, 14, 28, 56, 86, 116]);
    assert!(seen.last().is_some_and(|last| (366..=396).contains(last)), "{seen:?}");
}

#[test]
fn what_is_paid_is_looked_at_behind_its_window_and_a_day_later() {
    let schedule = Schedule::default();
    let card = schedule.method(false, Some("creditcard"));
    let mut watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    watch.concluded(at(minutes(12)), false, None);
    let mut seen = Vec::new();
    while let Some(next) = plan(State::Paid, &watch, card, true, N) {
        watch.concluded(next.at, false, None);
        seen.push(next.at);
    }
    let [first, second] = seen.as_slice() else { panic!("{seen:?}") };
    assert!((at(minutes(35))..at(minutes(45))).contains(first), "{first}");
    assert!((at(minutes(35) + hours(24))..at(hours(30))).contains(second), "{second}");
    let wire = schedule.method(false, Some("wiretransfer"));
    assert_eq!(plan(State::Paid, &watch, wire, true, N), None, "deposits of a wire transfer come when they come");
}

#[test]
fn who_cannot_be_asked_is_handed_over_after_the_window() {
    let schedule = Schedule::default();
    let watch = Watch::new(at(SignedDuration::ZERO), at(SignedDuration::ZERO));
    let next = plan(State::Open, &watch, &schedule.checkout, false, N).expect("a time");
    assert_eq!((next.at, next.phase), (at(minutes(35)), Phase::HandOver));
    assert_eq!(plan(State::HandedOver, &watch, &schedule.checkout, false, N), None);
}
