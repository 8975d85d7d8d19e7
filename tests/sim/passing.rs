//! Shops that buy through the recording proxy: what it sees of their requests, what becomes of those on the way, and
//! what its process holds in memory.

use std::collections::{BTreeMap, BTreeSet};

use reconciled::core::record::Unkept;
use reconciled::core::submission::Submission;
use reconciled::engine::{self, ResponseSeen, ResponseWhat, Seen};
use reconciled::sandbox::prng::Prng;
use reconciled::sandbox::{KnownMove, Shop};
use reconciled::words::id::{MerchantName, RequestId};
use reconciled::words::time::{SignedDuration, Timestamp, hours};

use crate::faults::{Class, Swarm};

/// One seed in so many has shops that buy through the proxy. The others, and with them all seeds that were kept before
/// there were any, have the stories they always had.
const EVERY: u64 = 3;
/// What an operation did stands in the books after this time without trouble: a look is owed a minute after its answer,
/// and an earlier trouble holds it back for two hours at most.
pub const BOOKED_WITHIN: SignedDuration = hours(3);
/// How often a shop sends one request.
pub const ATTEMPTS_MAX: u32 = 4;

/// An order's way through the proxy.
#[derive(Clone, Debug, Default)]
pub struct Passing {
    /// What the proxy sees of its request; made when it is first sent.
    pub seen: Option<Seen>,
    /// The gateway has it.
    pub has_arrived: bool,
    pub attempts: u32,
    /// When it was sent last, as far as the books know; on the steady clock.
    pub sent_at: Option<Timestamp>,
}

/// What the proxy asks the books to keep.
#[derive(Clone, Debug)]
pub enum Item {
    Request {
        order: usize,
        seen: Box<Seen>,
        /// When it came by, on the steady clock.
        at: Timestamp,
    },
    Operation {
        nth: usize,
        operation: engine::Operation,
    },
    Response {
        order: usize,
        response: ResponseSeen,
    },
    Outcome {
        nth: usize,
        operation: engine::Operation,
        of: Option<u64>,
        what: ResponseWhat,
    },
    /// With the orders of which nothing was kept.
    Unkept {
        unkept: Box<Unkept>,
        lost: Vec<usize>,
    },
}

/// An operation of the shop's that is no submission.
#[derive(Debug)]
pub struct Operation {
    pub order: usize,
    /// As the books know it.
    pub passed: engine::Operation,
    /// Path and body.
    pub request: (String, Vec<u8>),
    /// `wpg`: its own.
    pub request_id: Option<RequestId>,
    /// The record of its sending.
    pub record: Option<u64>,
    /// The books know whose it is.
    pub is_linked: bool,
    /// A notification tells of it.
    pub is_heard: bool,
    /// The gateway has it.
    pub has_arrived: bool,
    /// Money that it moved.
    pub moves: Vec<KnownMove>,
    /// By when that must be in the books; `None`: nothing is expected, or no longer.
    pub due: Option<Timestamp>,
}

/// What becomes of one request and its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Journey {
    Answered,
    Unread,
    /// No answer, or not all of it.
    Silent {
        arrives: bool,
    },
    Trouble {
        arrives: bool,
    },
    NotSent,
}

impl Journey {
    pub fn arrives(self) -> bool {
        match self {
            Journey::Answered | Journey::Unread => true,
            Journey::Silent { arrives } | Journey::Trouble { arrives } => arrives,
            Journey::NotSent => false,
        }
    }

    /// Whether the shop learns what came of it.
    pub fn is_answered(self) -> bool {
        matches!(self, Journey::Answered | Journey::Unread)
    }
}

/// What passed unkept and is not told yet, of one account.
#[derive(Debug)]
pub struct Tally {
    pub from: Timestamp,
    pub to: Timestamp,
    pub lost: Vec<usize>,
    pub lost_operations: u64,
}

pub struct Proxy {
    pub prng: Prng,
    pub swarm: Swarm,
    shops: BTreeSet<MerchantName>,
    /// The process runs, whether or not the store takes anything.
    pub is_up: bool,
    /// Connections and memory end with each.
    pub life: u64,
    /// Passed, and not kept yet: `fail-open`.
    pub late: Vec<Item>,
    pub tallies: BTreeMap<MerchantName, Tally>,
    /// Kept just now, to be sent on.
    pub kept: Vec<Item>,
    pub operations: Vec<Operation>,
    /// Those of them that something is expected of.
    pub expected: Vec<usize>,
    /// Requests that were thanked for as told unkept: kept late, and lost.
    pub told: (u64, u64),
}

impl Proxy {
    pub fn draw(seed: u64, shops: &[Shop]) -> Proxy {
        let mut prng = Prng::new(seed).fork("proxy");
        let swarm = Swarm::draw(&Class::PASSING, &mut prng);
        let mut buying = BTreeSet::new();
        if seed.is_multiple_of(EVERY) {
            buying.extend(shops.iter().filter(|_| prng.chance(600)).map(|shop| shop.account.name.clone()));
        }
        Proxy {
            prng,
            swarm,
            shops: buying,
            is_up: false,
            life: 0,
            late: Vec::new(),
            tallies: BTreeMap::new(),
            kept: Vec::new(),
            operations: Vec::new(),
            expected: Vec::new(),
            told: (0, 0),
        }
    }

    pub fn carries(&self, merchant: &MerchantName) -> bool {
        self.shops.contains(merchant)
    }

    pub fn strikes(&mut self, class: Class, per_mille: u64) -> bool {
        self.swarm.strikes(class, per_mille, &mut self.prng)
    }

    pub fn journey(&mut self, is_operation: bool) -> (Journey, Option<Class>) {
        if is_operation && self.strikes(Class::OperationUnanswered, 700) {
            return (Journey::Silent { arrives: self.prng.chance(700) }, None);
        }
        if self.strikes(Class::PassedNotSent, 300) {
            return (Journey::NotSent, Some(Class::PassedNotSent));
        }
        let arrives = self.prng.chance(500);
        if self.strikes(Class::PassedSilent, 300) {
            return (Journey::Silent { arrives }, Some(Class::PassedSilent));
        }
        if self.strikes(Class::PassedTrouble, 300) {
            return (Journey::Trouble { arrives }, Some(Class::PassedTrouble));
        }
        if self.strikes(Class::PassedUnread, 300) {
            return (Journey::Unread, Some(Class::PassedUnread));
        }
        (Journey::Answered, None)
    }

    /// What the request of an order says on the wire.
    pub fn wire(&mut self, submission: &Submission, shop: &Shop) -> Seen {
        let mut submission = submission.clone();
        if self.strikes(Class::PassedFewer, 600) {
            submission.order_number = None;
        }
        // A payment page lets the payer choose.
        if submission.parent_transaction_id.is_none() && self.strikes(Class::PassedFewer, 300) {
            submission.payment_method = None;
        }
        let maid = shop.wpg().and_then(|wpg| wpg.merchant_account_ids.first().cloned());
        Seen { submission, sent_to: maid.filter(|_| self.prng.chance(800)) }
    }
}
