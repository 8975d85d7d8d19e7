//! Gateway order numbers for shops that want one before they start a payment (`checkout`): with it the payment
//! can be asked about whatever becomes of its notification.
//!
//! The wish goes to the retriever, because it counts into the account's request budget.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::words::id::{GatewayOrderNumber, MerchantName};

/// Wishes that may wait, of all accounts.
pub const WISHES_MAX: usize = 256;
/// How long a wish may take: a shop's customer waits for it.
const DEADLINE: Duration = Duration::from_secs(15);

/// Why there is no number.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoNumber {
    #[error("`order_numbers` is not switched on for this account")]
    NotConfigured,
    #[error("too many order numbers are being asked for at once")]
    Busy,
    #[error("the gateway gives none now: {why}")]
    Unavailable { why: String },
    #[error("the gateway refuses to give one: {why}")]
    Refused { why: String },
    #[error("none came within {} s", DEADLINE.as_secs())]
    TooLate,
}

/// One wish, and where the number goes. A reply that is closed has nobody waiting any more.
pub struct Wish {
    pub merchant: MerchantName,
    pub reply: oneshot::Sender<Result<GatewayOrderNumber, NoNumber>>,
}

/// Where numbers are asked for.
#[derive(Clone)]
pub struct Desk {
    open_for: Arc<BTreeSet<MerchantName>>,
    wishes: mpsc::Sender<Wish>,
}

impl Desk {
    /// A desk for these accounts, and where its wishes come out.
    pub fn new(open_for: BTreeSet<MerchantName>) -> (Desk, mpsc::Receiver<Wish>) {
        let (wishes, inbox) = mpsc::channel(WISHES_MAX);
        (Desk { open_for: Arc::new(open_for), wishes }, inbox)
    }

    /// Asks the account's gateway for a number nobody else gets.
    pub async fn order_number(&self, merchant: &MerchantName) -> Result<GatewayOrderNumber, NoNumber> {
        if !self.open_for.contains(merchant) {
            return Err(NoNumber::NotConfigured);
        }
        let (reply, number) = oneshot::channel();
        self.wishes.try_send(Wish { merchant: merchant.clone(), reply }).map_err(|_| NoNumber::Busy)?;
        match tokio::time::timeout(DEADLINE, number).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(NoNumber::Unavailable { why: "the daemon stops".into() }),
            Err(_) => Err(NoNumber::TooLate),
        }
    }
}
