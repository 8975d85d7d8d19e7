//! What nobody vouches for.

use super::*;

#[test]
fn an_nvp_signature_does_not_cover_the_money() {
    let mut world = World::new();
    world.submit("nvp", "r1", "12.50");
    let lie = transaction("t1", "r1", "purchase", "success", "1000000");
    world.hear("nvp", &wpg::encode::nvp(&lie, SECRET));
    assert_eq!(world.state("nvp", "r1"), "open");
    assert!(world.ledger().is_empty());
    let look = world.due().into_iter().next().expect("the hint brings a look at once");
    world.answer(&look, Outcome::Found, vec![transaction("t1", "r1", "purchase", "success", "12.50")]);
    assert_eq!(world.ledger(), ["in 12.50 EUR"]);
    world.prove();
}

#[test]
fn a_forgery_changes_nothing_and_brings_one_look_in_ten_minutes() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let genuine = signed(&transaction("t1", "r1", "purchase", "success", "12.50"));
    let forged = wpg::encode::json_signed(&transaction("t1", "r1", "purchase", "success", "12.50"), "another secret");
    assert_ne!(genuine, forged);
    world.pass(minutes(1));
    world.hear("signed", &forged);
    world.hear("signed", &wpg::encode::payment_xml(&transaction("t2", "r1", "purchase", "failed", "12.50")));
    assert_eq!(world.state("signed", "r1"), "open");
    assert!(world.ledger().is_empty());
    let look = world.due().into_iter().next().expect("one look");
    world.answer(&look, Outcome::NotFound, vec![]);
    world.hear("signed", &forged);
    assert!(world.due().is_empty(), "the next hint waits for its ten minutes");
    assert!(world.firing().iter().any(|a| a.contains("fail their signature check")), "{:?}", world.firing());
    world.prove();
}

#[test]
fn a_flood_of_forgeries_ends_in_the_ring() {
    let mut world = World::new();
    world.submit("signed", "r1", "12.50");
    let before = crate::store::journal_len(&world.store).expect("a length");
    for n in 0..50 {
        world.hear(
            "signed",
            &wpg::encode::payment_xml(&transaction(&format!("t{n}"), "r1", "purchase", "success", "1")),
        );
        world.hear(
            "signed",
            &wpg::encode::payment_xml(&transaction(&format!("u{n}"), "nobody", "purchase", "success", "1")),
        );
    }
    let grown = crate::store::journal_len(&world.store).expect("a length") - before;
    assert!(grown <= 4, "the journal grew by {grown}");
    let ring = world.store.range(Table::Ring, &[], &[], 100).expect("rows");
    assert_eq!(ring.len(), 4, "the ring has a fixed size");
    world.prove();
}

#[test]
fn under_md5_a_success_is_only_a_hint() {
    let mut world = World::new();
    world.submit("md5", "c1", "5");
    world.hear("md5", &confirmation("SUCCESS", "c1", "7000002", "5", Scheme::Md5));
    assert_eq!(world.state("md5", "c1"), "open");
    let look = world.due().into_iter().next().expect("the digest vouches for the number: ask");
    world.answer(&look, Outcome::Found, details("7000002", "REFUNDABLE", &[("7000002", "payment_closed", "5")]));
    assert_eq!(world.state("md5", "c1"), "paid");
    world.prove();
}
