//! Decode and verify: nothing that an attacker draws comes out verified with a value that no genuine message of that
//! account has, in anything its signature covers.

use std::io::Write as _;

use reconciled::core::message::{Authenticity, Message};
use reconciled::sandbox::prng::Prng;
use reconciled::wire::Key;

use super::forgeries;
use super::genuine::{Counts, Genuine, SHOPS, messages};
use super::mutate::forge;
use super::wpg::value;

/// Messages of one run, of both dialects together.
const MESSAGES: usize = 800_000;
/// The run is cut into this many, each with a seed of its own, for as many threads.
const PARTS: usize = 4;

#[test]
fn no_forgery_of_a_million_is_verified_with_other_values() {
    let (all, keys) = (messages(), SHOPS.map(|shop| shop.key()));
    let parts: Vec<Counts> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..PARTS)
            .map(|part| {
                scope.spawn({
                    let (all, keys) = (&all, &keys);
                    move || draw(all, keys, part as u64)
                })
            })
            .collect();
        running.into_iter().map(|part| part.join().expect("no forgery is believed")).collect()
    });
    let mut counts = Counts::new();
    for (verdict, count) in parts.into_iter().flatten() {
        *counts.entry(verdict).or_default() += count;
    }
    let _ = writeln!(std::io::stderr(), "decode and verify: {counts:?}");
    let whole: usize = counts.values().sum();
    assert!(whole >= forgeries(MESSAGES) / PARTS * PARTS);
    assert!(counts["refuted"] > whole / 3, "most forgeries must reach a signature check: {counts:?}");
    assert!(counts["verified"] > whole / 100, "replays and changes outside the signature stay genuine: {counts:?}");
}

fn draw(all: &[Genuine], keys: &[Key], seed: u64) -> Counts {
    let mut prng = Prng::new(0x5EED_2026).fork(&format!("million {seed}"));
    let mut counts = Counts::new();
    for n in 0..forgeries(MESSAGES) / PARTS {
        let forged = forge(all, &mut prng);
        let shop = &SHOPS[forged.shop];
        let Some(message) = shop.read(&forged.body, &keys[forged.shop]) else {
            *counts.entry("unreadable").or_default() += 1;
            continue;
        };
        *counts.entry(message.authenticity.verdict()).or_default() += 1;
        if let Authenticity::Verified { covers, .. } = &message.authenticity {
            let mut own = all.iter().filter(|genuine| genuine.shop == forged.shop);
            let is_true = own.any(|genuine| says_the_same(&message, &genuine.message, covers));
            assert!(is_true, "part {seed}, message {n}, to {}: {}", shop.name, String::from_utf8_lossy(&forged.body));
        }
    }
    counts
}

/// Whether a verified message says what a genuine one does, in everything its signature covers.
fn says_the_same(message: &Message, genuine: &Message, covers: &[String]) -> bool {
    if message.payment_state != genuine.payment_state
        || message.gateway_order_number != genuine.gateway_order_number
        || message.transactions.len() != genuine.transactions.len()
    {
        return false;
    }
    message.transactions.iter().zip(&genuine.transactions).all(|(ours, theirs)| match message.payment_state {
        // Of a confirmation every value that is used is signed.
        Some(_) => ours == theirs,
        None => covers.iter().all(|name| value(ours, name) == value(theirs, name)),
    }) && message.custom == genuine.custom
}
