//! Looks owed to what the shop sent: one that was asked too early has not seen what came of it.

use serde::{Deserialize, Serialize};

use crate::words::time::Timestamp;

/// A look that is owed, and from when on one counts. Times are on the steady clock.
///
/// Unlike a wish for a look, an earlier look does not pay it: it is owed until one was asked at `until` or later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owed {
    /// When it is due.
    pub at: Timestamp,
    /// A look asked from here on pays all of it. Later than `at` where more was sent meanwhile: what was sent first
    /// does not wait for it, and what was sent last is looked for too.
    pub until: Timestamp,
    pub why: String,
    /// The journal record it is owed to; `None`: to several, or to one that is not known.
    pub by: Option<u64>,
    /// A payer may be at it: a method that minds being asked is left alone within its window. An operation is about what
    /// was paid before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_window: bool,
}

impl Owed {
    /// Owes a look at `at` to record `by`. What is owed to that record alone moves; beside others it comes in addition.
    pub fn owe(owed: &mut Option<Owed>, at: Timestamp, why: &str, by: Option<u64>) {
        match owed {
            Some(standing) if by.is_none() || standing.by != by => {
                standing.until = standing.until.max(at);
                standing.why = why.to_owned();
                standing.by = None;
                standing.waits_for_window = false;
            }
            Some(_) | None => *owed = Some(Owed { at, until: at, why: why.to_owned(), by, waits_for_window: false }),
        }
    }

    /// Owes a look at `at` to record `by`, which sent the payment itself once more. It is owed alone: what was owed
    /// before was about an attempt that is over.
    pub fn owe_attempt(owed: &mut Option<Owed>, at: Timestamp, why: &str, by: u64) {
        *owed = Some(Owed { at, until: at, why: why.to_owned(), by: Some(by), waits_for_window: true });
    }

    /// A look had an answer that could not show all that is owed: the next is asked at `at`.
    pub fn put_off(owed: &mut Option<Owed>, at: Timestamp) {
        if let Some(standing) = owed {
            standing.at = standing.at.max(at);
            standing.until = standing.until.max(at);
        }
    }

    /// Record `by` came to nothing: what is owed to it alone is owed no more.
    pub fn forgive(owed: &mut Option<Owed>, by: Option<u64>) {
        if by.is_some() && owed.as_ref().is_some_and(|standing| standing.by == by) {
            *owed = None;
        }
    }

    /// A look that was asked at `asked` had an answer.
    pub fn pay(owed: &mut Option<Owed>, asked: Timestamp) {
        match owed {
            Some(standing) if asked >= standing.until => *owed = None,
            Some(standing) if asked >= standing.at => standing.at = standing.until,
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::{SignedDuration, later};

    fn at(second: i64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, SignedDuration::from_secs(second))
    }

    fn owe(owed: &mut Option<Owed>, second: i64, by: u64) {
        Owed::owe(owed, at(second), "sent", Some(by));
    }

    /// When the looks are taken that pay it all, each as soon as it is due.
    fn looks(mut owed: Option<Owed>) -> Vec<Timestamp> {
        let mut looks = Vec::new();
        while let Some(due) = owed.as_ref().map(|owed| owed.at) {
            looks.push(due);
            Owed::pay(&mut owed, due);
        }
        looks
    }

    #[test]
    fn a_look_asked_too_early_pays_nothing() {
        let mut owed = None;
        owe(&mut owed, 60, 1);
        let before = owed.clone();
        Owed::pay(&mut owed, at(59));
        assert_eq!(owed, before);
        Owed::pay(&mut owed, at(60));
        assert_eq!(owed, None);
    }

    #[test]
    fn an_answer_moves_the_look_of_the_one_it_answers() {
        let mut owed = None;
        owe(&mut owed, 60, 1);
        owe(&mut owed, 90, 1);
        assert_eq!(looks(owed), [at(90)]);
    }

    #[test]
    fn what_was_sent_first_does_not_wait_for_what_was_sent_last() {
        let mut owed = None;
        for sent in 0..30 {
            owe(&mut owed, 60 + sent, u64::try_from(sent).expect("small"));
        }
        assert_eq!(looks(owed), [at(60), at(89)], "two looks see the effects of thirty");
    }

    #[test]
    fn what_was_never_sent_is_owed_nothing_and_takes_nothing_from_others() {
        let mut owed = None;
        owe(&mut owed, 60, 1);
        Owed::forgive(&mut owed, Some(2));
        Owed::forgive(&mut owed, None);
        assert!(owed.is_some());
        owe(&mut owed, 70, 2);
        Owed::forgive(&mut owed, Some(1));
        assert_eq!(looks(owed), [at(60), at(70)]);
        let mut owed = None;
        owe(&mut owed, 60, 1);
        Owed::forgive(&mut owed, Some(1));
        assert_eq!(owed, None);
    }
}
