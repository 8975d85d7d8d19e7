//! Bugs planted on purpose, to prove that the simulation finds them. Compiled only under
//! `cfg(planted)`; the environment variable `PLANTED` chooses one.

use std::sync::OnceLock;

/// All of them, by name.
pub const NAMES: [&str; 11] = [
    "signature-not-checked",
    "amount-not-checked",
    "failed-is-final",
    "ledger-in-a-second-commit",
    "message-removed-before-judged",
    "look-forgotten-after-an-error",
    "silence-is-failure",
    "hint-is-a-fact",
    "operation-not-looked-for",
    "sent-again-as-if-never",
    "told-later-fills-nothing",
];

/// Whether this bug is the chosen one.
pub fn is(name: &str) -> bool {
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("PLANTED").ok()).as_deref() == Some(name)
}
