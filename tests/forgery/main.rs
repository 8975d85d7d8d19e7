//! From genuine messages of our own making, everything a payer or a stranger could turn them into. Nothing comes out
//! verified with other values (`wpg`, `million`), and nothing of it moves the books (`books`).
//!
//! `FORGERIES` in the environment asks for another number of messages; every run draws the same ones.

mod books;
mod genuine;
mod million;
mod mutate;
mod wpg;

/// How many messages this run makes, where `usual` is usual.
fn forgeries(usual: usize) -> usize {
    std::env::var("FORGERIES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
