//! Identifiers. A newtype each, so that an order number can't stand where a transaction-id belongs.
//!
//! Ids are compared byte for byte: trimmed when read, never re-cased (fact sheet wpg d.3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest request-id the gateways accept, in bytes, their own suffix included (fact sheet wpg d.3).
pub const REQUEST_ID_MAX_BYTES: usize = 150;
/// Longest order number we keep, in bytes (wpg: 64; checkout own ids may be longer).
pub const ORDER_NUMBER_MAX_BYTES: usize = 255;
/// Longest name of a merchant account in the configuration, in bytes.
pub const MERCHANT_MAX_BYTES: usize = 40;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnId {
    #[error("is empty")]
    Empty,
    #[error("is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("contains a control character")]
    ControlCharacter,
    #[error("may hold only a-z, 0-9, `-` and `_`, and starts with a letter or digit")]
    NotAName,
}

fn checked(text: &str, max: usize) -> Result<String, NotAnId> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NotAnId::Empty);
    }
    if text.len() > max {
        return Err(NotAnId::TooLong { max });
    }
    if text.chars().any(char::is_control) {
        return Err(NotAnId::ControlCharacter);
    }
    Ok(text.to_owned())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Trims and checks: not empty, not too long, no control characters.
            pub fn new(text: &str) -> Result<Self, NotAnId> {
                checked(text, $max).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

id!(
    /// The shop's name for one request to the gateway; unique per merchant account, for ever.
    /// For `checkout` it is the value of the account's own-id parameter.
    RequestId,
    REQUEST_ID_MAX_BYTES
);
id!(
    /// The gateway's name for one transaction. For `checkout`: the kind of object and its number,
    /// such as `payment:7000001`.
    TransactionId,
    REQUEST_ID_MAX_BYTES
);
id!(
    /// The shop's own order number. Not unique at the gateway.
    OrderNumber,
    ORDER_NUMBER_MAX_BYTES
);
id!(
    /// `checkout` only: the number QENTA gives an order (`orderNumber` on the wire).
    GatewayOrderNumber,
    16
);

/// The name a merchant account has in the configuration: `[merchants.NAME]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MerchantName(String);

impl MerchantName {
    pub fn new(text: &str) -> Result<Self, NotAnId> {
        let text = checked(text, MERCHANT_MAX_BYTES)?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if !text.bytes().all(allowed) || !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(NotAnId::NotAName);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for MerchantName {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        Self::new(&text)
    }
}

impl From<MerchantName> for String {
    fn from(name: MerchantName) -> String {
        name.0
    }
}

impl fmt::Display for MerchantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MerchantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The dense number a submission gets on arrival. Keys of big tables are dense, because random keys
/// cost a B-tree a factor of 5 to 20 in writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PaymentNumber(pub u64);

impl fmt::Display for PaymentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for PaymentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_never_recased() {
        assert_eq!(RequestId::new("\n  A-b_1 ").expect("an id").as_str(), "A-b_1");
        assert_eq!(RequestId::new("  "), Err(NotAnId::Empty));
        assert_eq!(RequestId::new("a\u{7}b"), Err(NotAnId::ControlCharacter));
        assert_eq!(RequestId::new(&"x".repeat(151)), Err(NotAnId::TooLong { max: 150 }));
    }

    #[test]
    fn merchant_names_fit_a_path_and_an_environment_variable() {
        assert!(MerchantName::new("shop-eu").is_ok());
        for bad in ["Shop", "-x", "a b", "a/b", ""] {
            assert!(MerchantName::new(bad).is_err(), "{bad:?}");
        }
    }
}
