//! Whether the values under an NVP v1 signature could have been cut differently.
//!
//! v1 hashes ten values with nothing between them, so `request_id=ab` + `transaction_type=cdebit` and
//! `request_id=abc` + `transaction_type=debit` sign alike. Each value has a grammar of its own, and
//! where together they allow one cut only, the values are the signed ones. Everything else is left
//! as a hint. Recorded messages without v2 have plain ids and neither token nor code: one cut.

use std::net::IpAddr;

use super::value;
use crate::core::transaction_type::transaction_type;

const STATES: [&str; 5] = ["success", "failed", "in-progress", "repeated", "revoked"];
/// Length of a UUID, and of `yyyyMMddHHmmss`, in bytes.
const UUID_BYTES: usize = 36;
const TIME_BYTES: usize = 14;

/// True if the concatenation of these values can be cut into them in one way only.
pub(super) fn are_fixed<'v>(value: impl Fn(&str) -> &'v [u8]) -> bool {
    let text = |name: &str| std::str::from_utf8(value(name)).ok();
    let (Some(account), Some(transaction), Some(request)) =
        (text("merchant_account_id"), text("transaction_id"), text("request_id"))
    else {
        return false;
    };
    let (Some(kind), Some(state), Some(time)) =
        (text("transaction_type"), text("transaction_state"), text("completion_time_stamp"))
    else {
        return false;
    };
    let (Some(token), Some(masked), Some(ip), Some(code)) =
        (text("token_id"), text("masked_account_number"), text("ip_address"), text("authorization_code"))
    else {
        return false;
    };
    // Two fixed lengths from the left.
    let head = is_uuid(account) && is_uuid(transaction) && !request.is_empty();
    // `STATE` + 14 digits stands once in the rest, so it stands where it was signed.
    let rest = format!("{request}{kind}{state}{time}{token}{masked}{ip}{code}");
    let middle = STATES.contains(&state) && is_time(time) && stamps(&rest) == 1;
    // Left of it the longest known type is the type, and the request-id is what remains.
    let named = format!("{request}{kind}");
    let typed = longest_type(&named) == Some(kind);
    head && middle && typed && is_tail_fixed(token, masked, ip, code)
}

fn is_uuid(text: &str) -> bool {
    text.len() == UUID_BYTES
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_time(text: &str) -> bool {
    text.len() == TIME_BYTES && text.bytes().all(|b| b.is_ascii_digit()) && value::time(text).is_some()
}

/// How often a state followed by 14 digits occurs.
fn stamps(text: &str) -> usize {
    let follows = |at: usize| {
        text.as_bytes().get(at..at + TIME_BYTES).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    };
    STATES.iter().map(|state| text.match_indices(state).filter(|(at, _)| follows(at + state.len())).count()).sum()
}

/// The longest documented transaction type that a text ends with.
fn longest_type(text: &str) -> Option<&str> {
    /// No documented type is longer, in bytes.
    const TYPE_MAX_BYTES: usize = 40;
    let from = text.len().saturating_sub(TYPE_MAX_BYTES);
    (from..text.len()).filter_map(|at| text.get(at..)).find(|end| transaction_type(end).is_some())
}

/// token_id, masked_account_number, ip_address, authorization_code: digits; six digits, stars and
/// four digits; an address; nothing or six letters and digits, which no address can swallow or give
/// up. A token without a masked number runs into the address and is not fixed.
fn is_tail_fixed(token: &str, masked: &str, ip: &str, code: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let stars = masked.trim_matches(|c: char| c.is_ascii_digit());
    let is_masked = masked.len() > stars.len()
        && !stars.is_empty()
        && stars.bytes().all(|b| b == b'*')
        && masked.find('*') == Some(6)
        && masked.rfind('*').is_some_and(|at| masked.len() - at == 5);
    let is_card = (token.is_empty() && masked.is_empty()) || (digits(token) && is_masked);
    let is_address = ip.is_empty() || ip.parse::<IpAddr>().is_ok_and(|address| address.to_string() == ip);
    // Without an address four digits of a card and a code would be told apart by length only: fine,
    // for both have a fixed one.
    let is_code = code.is_empty() || (code.len() == 6 && code.bytes().all(|b| b.is_ascii_alphanumeric()));
    is_card && is_address && is_code
}

#[cfg(test)]
mod tests {
    use super::super::signature::V1_FIELDS;
    use super::*;

    const GENUINE: [&str; 10] = [
        "d9d234ad-8c36-4dba-bcab-ff4d0c672f47",
        "1e555c94-37cb-4b89-ad8c-4512ff922c25",
        "order-77",
        "pending-debit",
        "failed",
        "20180516205300",
        "4397423476101003",
        "401200******1003",
        "172.22.0.1",
        "153620",
    ];

    fn fixed(values: &[String]) -> bool {
        are_fixed(|name| {
            let at = V1_FIELDS.iter().position(|n| *n == name).expect("a v1 name");
            values[at].as_bytes()
        })
    }

    #[test]
    fn a_genuine_message_has_one_cut() {
        assert!(fixed(&GENUINE.map(str::to_owned)));
    }

    #[test]
    fn no_shift_of_a_border_leaves_a_message_with_one_cut() {
        let mut shifts = 0;
        for border in 0..9 {
            for by in 1..=16 {
                for to_right in [true, false] {
                    let mut values = GENUINE.map(str::to_owned);
                    let (left, right) = (values[border].clone(), values[border + 1].clone());
                    let joined = format!("{left}{right}");
                    let cut = if to_right { left.len() + by } else { left.len().wrapping_sub(by) };
                    if cut > joined.len() {
                        continue;
                    }
                    values[border] = joined[..cut].to_owned();
                    values[border + 1] = joined[cut..].to_owned();
                    shifts += 1;
                    assert!(!fixed(&values), "{values:?}");
                }
            }
        }
        assert!(shifts > 200, "{shifts}");
    }

    #[test]
    fn free_text_that_repeats_the_grammar_is_left_as_a_hint() {
        let mut values = GENUINE.map(str::to_owned);
        values[2] = "xdebitsuccess20180516205300".to_owned();
        assert!(!fixed(&values));
        let mut values = GENUINE.map(str::to_owned);
        values[7].clear();
        assert!(!fixed(&values), "a token runs into the address");
        let mut values = GENUINE.map(str::to_owned);
        values[3] = "brand-new-type".to_owned();
        assert!(!fixed(&values));
    }
}
