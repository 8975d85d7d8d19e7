//! Error codes of the back end and what they mean for a question (fact sheet checkout g).
//!
//! Five digits. `1xxxx` is a class and a parameter (`11011`: order number missing); `2xxxx` comes from the acquirer or
//! bank; `3xxxx` from the engine; `9999x` from the payment page's session.

/// What a code says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Wrong parameter, configuration, credentials or rights. Asking again does not help.
    Operator,
    /// `13xxx`: "used twice, probably already processed". A question, not a failure.
    UsedTwice,
    /// Declined for good, for this order number.
    Declined,
    /// The bank or acquirer could not decide now.
    DeclinedForNow,
    /// The engine cannot process it now.
    Unavailable,
    /// The outcome is not known (yet): ask again.
    Undecided,
    /// 99996: 30 minutes without activity. A late SUCCESS is still possible.
    TimedOut,
    /// The session on the payment page is broken or over.
    Session,
    /// Not in the tables.
    Unknown,
}

/// The class of a code. A text that is no five-digit code is [`Class::Unknown`].
pub fn class(code: &str) -> Class {
    let number: u32 = match code.parse() {
        Ok(number) if code.len() == 5 && code.bytes().all(|b| b.is_ascii_digit()) => number,
        _ => return Class::Unknown,
    };
    match number {
        13_000..=13_999 => Class::UsedTwice,
        10_000..=12_999 | 14_000..=19_999 => Class::Operator,
        20_007 | 20_008 | 20_010 | 20_029 | 20_044 => Class::DeclinedForNow,
        20_000..=20_051 => Class::Declined,
        30_003 | 30_004 | 30_005 | 30_008 | 30_009 | 30_011 => Class::Unavailable,
        30_000 | 30_006 | 30_012 | 30_014 | 30_016 | 30_017 => Class::Undecided,
        30_001 | 30_002 | 30_007 | 30_010 | 30_013 | 30_015 | 30_018 | 30_019 | 31_000 => Class::Operator,
        99_996 => Class::TimedOut,
        99_990..=99_993 | 99_995 | 99_997 => Class::Session,
        _ => Class::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_fact_sheet_is_told_apart() {
        for (code, expected) in [
            ("11011", Class::Operator),
            ("18159", Class::Operator),
            ("14500", Class::Operator),
            ("13050", Class::UsedTwice),
            ("13011", Class::UsedTwice),
            ("20003", Class::Declined),
            ("20021", Class::Declined),
            ("20051", Class::Declined),
            ("20010", Class::DeclinedForNow),
            ("20044", Class::DeclinedForNow),
            ("20052", Class::Unknown),
            ("30003", Class::Unavailable),
            ("30011", Class::Unavailable),
            ("30014", Class::Undecided),
            ("30017", Class::Undecided),
            ("30000", Class::Undecided),
            ("30013", Class::Operator),
            ("31000", Class::Operator),
            ("99996", Class::TimedOut),
            ("99990", Class::Session),
            ("99994", Class::Unknown),
            ("", Class::Unknown),
            ("030014", Class::Unknown),
            ("+3001", Class::Unknown),
            ("3001٤", Class::Unknown),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
    }
}
