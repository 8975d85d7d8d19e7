//! Numbers of payers, known by their shape: for where nobody knows what the payer's own are.

/// Digits of a card number (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Characters of an IBAN (ISO 13616).
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;

/// What is left of a text that may be a payer's number: the most that may be shown of a card number (PCI DSS 3.4.1).
const HEAD_CHARS: usize = 6;
const TAIL_CHARS: usize = 4;

/// A text as it is, or shortened where it holds what looks like a card number or an IBAN.
///
/// One order number in ten that is as long as a card number and begins like one looks like one too: what is left of it
/// must do for people, and no rule may ask for it.
pub fn shortened(text: String) -> String {
    if !looks_private(&text) {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    let (head, tail) = (&chars[..HEAD_CHARS], &chars[chars.len() - TAIL_CHARS..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// Whether a text holds what looks like a card number or an IBAN, with blanks and hyphens or without.
fn looks_private(text: &str) -> bool {
    let bare: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let words = bare.split(|c: char| !c.is_ascii_alphanumeric());
    let numbers = bare.split(|c: char| !c.is_ascii_digit());
    numbers.map(str::as_bytes).any(is_card) || words.map(str::as_bytes).any(is_iban)
}

/// Card schemes begin with 2 to 6; moments in milliseconds, which make order numbers, with 1.
fn is_card(digits: &[u8]) -> bool {
    CARD_DIGITS.contains(&digits.len()) && matches!(digits[0], b'2'..=b'6') && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let worth = |(at, digit): (usize, &u8)| {
        let worth = u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 };
        worth / 10 + worth % 10
    };
    digits.iter().rev().enumerate().map(worth).sum::<u32>() % 10 == 0
}

/// Country, two check digits, account; 1 modulo 97 with the first four behind the rest and letters as 10 to 35.
fn is_iban(word: &[u8]) -> bool {
    let [a, b, c, d, account @ ..] = word else { return false };
    let has_shape = a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit();
    if !has_shape || !IBAN_CHARS.contains(&word.len()) {
        return false;
    }
    let rest = account.iter().chain(&word[..4]).fold(0_u32, |rest, char| match char {
        b'0'..=b'9' => (rest * 10 + u32::from(char - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_and_ibans_are_known_by_their_check_digits() {
        for (text, is_private) in [
            ("4111111111111111", true),
            ("4111 1111 1111 1111", true),
            ("o-4111-1111-1111-1111", true),
            ("378282246310005", true),
            ("4111111111111112", false),
            ("DE89370400440532013000", true),
            ("order AT61 1904 3002 3457 3201", false),
            ("AT61 1904 3002 3457 3201", true),
            ("no93 8601 1117 947", true),
            ("DE89370400440532013001", false),
            // Milliseconds since 1970, a plain number, an id of the gateway's, nothing.
            ("1772445600008", false),
            ("1000123", false),
            ("9abf05c1-c266-46ae-8eac-7f87ca97af28", false),
            ("", false),
            ("äöü4111111111111111ß", true),
        ] {
            assert_eq!(looks_private(text), is_private, "{text}");
        }
        assert_eq!(shortened("4111111111111111".to_owned()), "411111…1111");
        assert_eq!(shortened("1000123".to_owned()), "1000123");
    }
}
