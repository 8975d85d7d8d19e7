//! The kinds of orders in the scene: the rows of the table at the end.

use crate::core::message::Dialect;

/// What is special about an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    Told,
    Lost,
    Twice,
    Late,
    Reordered,
    Unsigned,
    Failed,
    Cancelled,
    Abandoned,
    NeverReached,
    PendingPaid,
    PendingFailed,
    LateSuccess,
    SilentProvider,
    PaidTwice,
    TwoRequests,
    WrongAmount,
    Returned,
    Refunded,
    Captured,
    Held,
    ForgedUnpaid,
    ForgedPaid,
    Unknowable,
}

/// Class, prefix of its order numbers, orders in the scene, name in the table.
#[rustfmt::skip]
const TABLE: [(Class, &str, u32, &str); 24] = [
    (Class::Told,           "A",  72, "paid, and told"),
    (Class::Lost,           "B",  48, "paid, notification lost"),
    (Class::Twice,          "C",  14, "paid, told twice"),
    (Class::Late,           "D",  14, "paid, told hours late"),
    (Class::Reordered,      "E",   8, "failed then paid, told in the wrong order"),
    (Class::Unsigned,       "F",  12, "paid, told without a signature"),
    (Class::Failed,         "G",  20, "declined"),
    (Class::Cancelled,      "H",  12, "cancelled by the payer"),
    (Class::Abandoned,      "I",  18, "abandoned on the payment page"),
    (Class::NeverReached,   "J",   6, "never reached the gateway"),
    (Class::PendingPaid,    "K",  14, "pending for hours, then paid"),
    (Class::PendingFailed,  "L",   6, "pending for hours, then declined"),
    (Class::LateSuccess,    "M",  12, "declined, and paid hours later"),
    (Class::SilentProvider, "N",   8, "provider silent, paid later"),
    (Class::PaidTwice,      "O",   4, "one request, paid twice"),
    (Class::TwoRequests,    "P",   6, "one order, paid by two requests"),
    (Class::WrongAmount,    "Q",   8, "another amount than asked"),
    (Class::Returned,       "R",   4, "returned by the payer's bank"),
    (Class::Refunded,       "S",   6, "refunded by the shop"),
    (Class::Captured,       "T",   8, "held, and captured later"),
    (Class::Held,           "U",   6, "held, not captured"),
    (Class::ForgedUnpaid,   "V",  28, "unpaid, and forged messages about it"),
    (Class::ForgedPaid,     "W",  12, "paid, and forged messages against it"),
    (Class::Unknowable,     "X",   8, "nobody can be asked: handed over"),
];

impl Class {
    pub const ALL: [Class; 24] = {
        let mut all = [Class::Told; 24];
        let mut n = 0;
        while n < TABLE.len() {
            all[n] = TABLE[n].0;
            n += 1;
        }
        all
    };

    fn row(self) -> &'static (Class, &'static str, u32, &'static str) {
        &TABLE[self as usize]
    }

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        self.row().3
    }

    /// The first letter of its order numbers.
    pub fn prefix(self) -> &'static str {
        self.row().1
    }

    /// How many orders of it the scene has.
    pub fn orders(self) -> u32 {
        self.row().2
    }

    /// The class of an order number of the scene.
    pub fn of_order(order_number: &str) -> Option<Class> {
        let prefix = order_number.split('-').next()?;
        TABLE.iter().find(|row| row.1 == prefix).map(|row| row.0)
    }

    /// Which gateway its `n`-th order goes through. Some things exist at one of them only.
    pub fn dialect(self, n: u32) -> Dialect {
        match self {
            Class::Unsigned | Class::Returned | Class::Refunded => Dialect::Wpg,
            Class::Unknowable => Dialect::Checkout,
            // Pairs, so that odd and even circumstances meet both dialects.
            _ if (n / 2).is_multiple_of(2) => Dialect::Wpg,
            _ => Dialect::Checkout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_classes() {
        for class in Class::ALL {
            assert_eq!(class.row().0, class);
            assert_eq!(Class::of_order(&format!("{}-001", class.prefix())), Some(class));
        }
    }
}
