//! Our own simulated gateway, both dialects: for a shop developer's desk, for the demo and for the tests.
//!
//! It is pure. [`Gateway::submit`] decides everything that will become of a payment,
//! [`Gateway::events`] gives the messages to be carried to the shop, [`Gateway::answer`] answers the
//! retriever, and [`Gateway::truths`] says what a ledger must hold in the end. Time is an argument,
//! and the same seed with the same calls gives the same bytes.

mod answer;
mod answer_checkout;
mod answer_wpg;
mod chain;
mod coming;
mod forge;
mod gateway;
mod life;
mod life_checkout;
mod life_wpg;
mod message;
mod outage;
pub mod prng;
mod script;
mod shop;
mod standing_checkout;
mod basket_checkout;
mod methods_checkout;
mod operate_checkout;
mod take_checkout;
mod take_wpg;
mod truth;
mod page_form;
mod wishes;

pub use answer::{Answer, Reply, Request};
pub use coming::{COMING_MAX, Coming, NotKept, Of};
pub use gateway::{Carried, Gateway, NotTaken, Outgoing, PAYMENTS_MAX, Response, SENT_MAX_MESSAGES, Sent};
pub use life::MoveKind;
pub use outage::{Manner, Outage};
pub use script::{Ending, Fate, Forgery, Plan, PlannedForgery, Script, Writing};
pub use shop::{Shop, example_shops};
pub use truth::{KnownMove, PaymentTruth, Truth};

#[cfg(test)]
mod tests;
