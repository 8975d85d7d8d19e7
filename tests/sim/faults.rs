//! What goes wrong: the classes of faults, which of them a seed draws, and how often each happened.

use std::collections::BTreeMap;

use reconciled::sandbox::Manner;
use reconciled::sandbox::prng::Prng;

/// One class of faults. Each is counted where it takes effect, not where it is planned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// The power fails inside a change of the disk: what was not synced is lost, torn or reordered.
    PowerCut,
    /// kill -9 between two commits.
    Kill,
    /// The process ends with kept notifications that nobody judged yet.
    CrashBeforeJudging,
    /// The power fails again while the store is recovered.
    CrashInRecovery,
    IoErrorOnce,
    IoErrorSticky,
    /// A sync fails and drops what it should have made durable; the cache keeps it (fsyncgate).
    SyncFailed,
    DiskFull,
    LostNotification,
    DuplicatedNotification,
    LateNotification,
    OvertakenNotification,
    /// A message the gateway never sent, or never sent so.
    ForgedNotification,
    /// A genuine message, sent again by a stranger, also to other accounts.
    ReplayedNotification,
    /// "Failed" or "cancelled", unsigned, about a payment that is something else.
    ContradictingNotification,
    /// The payer pays another amount than the shop asked for.
    WrongAmount,
    LostResponse,
    /// The same request-id with other content.
    ConflictingSubmission,
    /// A notification or a first submission while nobody listens.
    Deaf,
    AnswerServerError,
    AnswerTooMany,
    AnswerSilence,
    AnswerClosed,
    AnswerPage,
    AnswerEmpty,
    AnswerTruncated,
    AnswerDenied,
    /// The answer to another question.
    AnswerForeign,
    /// The answer is lost with the process that asked.
    AnswerLost,
    ClockJump,
    Suspend,
    SinkDown,
    PolicyChange,
    /// A request passes the recording proxy and says less than the shop knows.
    PassedFewer,
    /// The gateway does not answer what passes, or not to the end: it was executed, or it was not.
    PassedSilent,
    /// The gateway answers what passes with 5xx and nothing else.
    PassedTrouble,
    /// There is no connection to the gateway: nothing of the request goes out.
    PassedNotSent,
    /// An answer passes that is too long, or coded in a way, to be read.
    PassedUnread,
    /// The daemon ends between the keeping of a request and its answer.
    PassedDied,
    /// A request passes before it could be kept; it is kept from memory.
    PassedUnkept,
    /// A request passes and is never kept.
    PassedLost,
    /// The shop sends the same request again, and the gateway has it already.
    PassedTwice,
    /// The shop sends the same request again that had come to nothing, or was given up: it is watched anew.
    PassedAgain,
    /// The shop tells what passed as well: it fills what the request did not say.
    PassedAndTold,
    /// The shop told what passes before it passed.
    ToldAndPassed,
    /// An operation passes that is no submission, and moves money.
    PassedOperation,
    /// Such an operation without an answer that says what came of it.
    OperationUnanswered,
    /// No message told of it: only a look could find what came of it.
    OperationUnheard,
    /// What came of it stood in the books by its deadline.
    OperationBooked,
}

impl Class {
    pub const ALL: [Class; 33] = [
        Class::PowerCut,
        Class::Kill,
        Class::CrashBeforeJudging,
        Class::CrashInRecovery,
        Class::IoErrorOnce,
        Class::IoErrorSticky,
        Class::SyncFailed,
        Class::DiskFull,
        Class::LostNotification,
        Class::DuplicatedNotification,
        Class::LateNotification,
        Class::OvertakenNotification,
        Class::ForgedNotification,
        Class::ReplayedNotification,
        Class::ContradictingNotification,
        Class::WrongAmount,
        Class::LostResponse,
        Class::ConflictingSubmission,
        Class::Deaf,
        Class::AnswerServerError,
        Class::AnswerTooMany,
        Class::AnswerSilence,
        Class::AnswerClosed,
        Class::AnswerPage,
        Class::AnswerEmpty,
        Class::AnswerTruncated,
        Class::AnswerDenied,
        Class::AnswerForeign,
        Class::AnswerLost,
        Class::ClockJump,
        Class::Suspend,
        Class::SinkDown,
        Class::PolicyChange,
    ];

    /// What happens to shops that buy through the recording proxy. Drawn apart from the others: the stories of seeds
    /// without such shops do not move.
    pub const PASSING: [Class; 16] = [
        Class::PassedFewer,
        Class::PassedSilent,
        Class::PassedTrouble,
        Class::PassedNotSent,
        Class::PassedUnread,
        Class::PassedDied,
        Class::PassedUnkept,
        Class::PassedLost,
        Class::PassedTwice,
        Class::PassedAgain,
        Class::PassedAndTold,
        Class::ToldAndPassed,
        Class::PassedOperation,
        Class::OperationUnanswered,
        Class::OperationUnheard,
        Class::OperationBooked,
    ];

    /// All classes, in the order they are printed.
    pub fn every() -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().chain(Class::PASSING)
    }

    /// The class an answer in some manner belongs to.
    pub fn of(manner: Manner) -> Class {
        match manner {
            Manner::Unavailable | Manner::Broken => Class::AnswerServerError,
            Manner::TooMany { .. } => Class::AnswerTooMany,
            Manner::Silent | Manner::Late { .. } => Class::AnswerSilence,
            Manner::Closed => Class::AnswerClosed,
            Manner::Page | Manner::WrongType => Class::AnswerPage,
            Manner::Empty => Class::AnswerEmpty,
            Manner::Truncated | Manner::Cut => Class::AnswerTruncated,
            Manner::Denied => Class::AnswerDenied,
        }
    }
}

/// Which classes a seed draws, each with its strength in per mille. Most seeds leave some out: what
/// hides behind one fault shows where it is absent.
#[derive(Clone, Debug)]
pub struct Swarm(BTreeMap<Class, u64>);

impl Swarm {
    pub fn draw(classes: &[Class], prng: &mut Prng) -> Swarm {
        let quiet = prng.chance(30);
        let mut strength = || if quiet || prng.chance(300) { 0 } else { 200 + prng.below(801) };
        Swarm(classes.iter().map(|class| (*class, strength())).collect())
    }

    /// 0 to 1000.
    pub fn strength(&self, class: Class) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// True in `per_mille` of 1000 cases where the class is drawn at full strength, in fewer where weaker.
    pub fn strikes(&self, class: Class, per_mille: u64, prng: &mut Prng) -> bool {
        prng.chance(per_mille * self.strength(class) / 1000)
    }

    /// From now on nothing goes wrong.
    pub fn stop(&mut self) {
        self.0.clear();
    }
}

/// How often each class took effect.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tally(BTreeMap<Class, u64>);

impl Tally {
    pub fn hit(&mut self, class: Class) {
        *self.0.entry(class).or_default() += 1;
    }

    pub fn hits(&self, class: Class) -> u64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Tally) {
        for (class, hits) in &other.0 {
            *self.0.entry(*class).or_default() += hits;
        }
    }
}
