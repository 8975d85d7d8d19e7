//! The fields that are the gateway's own, each with its grammar (fact sheet checkout a.2 and d).
//!
//! The seed of a fingerprint has no separators, so a digest says nothing about where one value ends and the next
//! begins: `R-10` and `1.00` sign like `R-` and `101.00`. A full grammar for every listed standard field fixes these
//! borders wherever the wire is strict, whether we use the field or not. Where the wire is lenient (names of persons
//! and banks, references) the text is free and only its length is bounded.

use crate::words::money::Currency;

/// Longest free text of a standard field, in bytes (vendor's limit: 255 characters).
pub const TEXT_MAX_BYTES: usize = 1020;
/// Longest value of a standard field without a tighter limit, in bytes (vendor's limit for one value).
pub const LONG_TEXT_MAX_BYTES: usize = 65_000;
/// Digits of an order number.
pub const ORDER_NUMBER_MAX_DIGITS: usize = 9;
/// Digits of an amount before and after the decimal separator.
const AMOUNT_WHOLE_MAX_DIGITS: usize = 15;
const AMOUNT_PART_MAX_DIGITS: usize = 6;
/// Bytes of `financialInstitution`.
const INSTITUTION_MAX_BYTES: usize = 255;

/// The shape a value must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// `SUCCESS`, `PENDING`, `FAILURE` or `CANCEL`.
    PaymentState,
    /// 1 to 9 digits without leading zero.
    OrderNumber,
    /// Digits, then perhaps `.` or `,` and 1 to 6 digits; no sign, no leading zero. The gateway echoes the shop's
    /// spelling (`30`, `3.10`, `8`).
    Amount,
    /// Three letters or three digits of ISO 4217.
    Currency,
    /// One of [`PAYMENT_TYPES`].
    PaymentType,
    /// Brand or bank: starts with a letter or digit, so that no payment type runs on into it (`CCARD` + `-MOTO`).
    Institution,
    /// Two ASCII letters.
    Language,
    /// `Yes` or `No` in any case.
    YesNo,
    /// `Y` or `N`, or empty.
    Flag,
    /// `0` or `1`.
    Bit,
    /// The last four digits of a card.
    PanTail,
    /// A card number with its middle starred: 6 or 8 digits, stars, 4 digits; 12 to 19 in all.
    MaskedPan,
    /// `MM/YYYY`.
    Expiry,
    /// `DD.MM.YYYY`.
    Day,
    /// Two capital letters, or empty. Small ones would let an empty country take the end of an own id before it.
    Country,
    /// Digits, or empty.
    Number,
    /// Base64, or empty.
    Base64,
    /// Anything up to [`TEXT_MAX_BYTES`], empty too.
    Text,
    /// Anything up to [`LONG_TEXT_MAX_BYTES`], empty too.
    LongText,
}

/// Every payment type a confirmation may name (fact sheet a.2; the vendor's client library).
#[rustfmt::skip]
pub const PAYMENT_TYPES: &[&str] = &[
    "AFTERPAY", "BANCONTACT", "BANCONTACT_MISTERCASH", "C2P", "CCARD", "CCARD-MOTO", "EKONTO", "ELV", "EPAY_BG", "EPS",
    "GIROPAY", "IDL", "INSTALLMENT", "INSTANTBANK", "INVOICE", "MAESTRO", "MASTERPASS", "MONETA", "MPASS", "P24",
    "PAYPAL", "PBX", "POLI", "PRZELEWY24", "PSC", "QUICK", "SEPA-DD", "SKRILLDIRECT", "SKRILLWALLET",
    "SOFORTUEBERWEISUNG", "TATRAPAY", "TRUSTLY", "TRUSTPAY", "VOUCHER",
];

/// Name and grammar of every standard field, sorted by name.
#[rustfmt::skip]
const STANDARD: &[(&str, Grammar)] = &[
    ("amount", Grammar::Amount),
    ("anonymousPan", Grammar::PanTail),
    ("authenticated", Grammar::YesNo),
    ("avsProviderResultCode", Grammar::Text),
    ("avsProviderResultMessage", Grammar::Text),
    ("avsResponseCode", Grammar::Text),
    ("avsResponseMessage", Grammar::Text),
    ("cardholder", Grammar::Text),
    ("consumerMessage", Grammar::LongText),
    ("creditorId", Grammar::Text),
    ("currency", Grammar::Currency),
    ("dueDate", Grammar::Day),
    ("epsConsumerBIC", Grammar::Text),
    ("epsConsumerIBAN", Grammar::Text),
    ("epsConsumerName", Grammar::Text),
    ("errorCode", Grammar::Number),
    ("errors", Grammar::Number),
    ("expiry", Grammar::Expiry),
    ("financialInstitution", Grammar::Institution),
    ("gatewayContractNumber", Grammar::Text),
    ("gatewayReferenceNumber", Grammar::Text),
    ("hashedPan", Grammar::Text),
    ("idealConsumerAccountNumber", Grammar::Text),
    ("idealConsumerBIC", Grammar::Text),
    ("idealConsumerCity", Grammar::Text),
    ("idealConsumerIBAN", Grammar::Text),
    ("idealConsumerName", Grammar::Text),
    ("instrumentCountry", Grammar::Country),
    ("language", Grammar::Language),
    ("liabilityShiftIndicator", Grammar::Flag),
    ("mandateId", Grammar::Text),
    ("mandateSignatureDate", Grammar::Day),
    ("maskedPan", Grammar::MaskedPan),
    ("message", Grammar::LongText),
    ("orderNumber", Grammar::OrderNumber),
    ("paySysMessage", Grammar::LongText),
    ("paymentState", Grammar::PaymentState),
    ("paymentType", Grammar::PaymentType),
    ("paypalBillingAgreementID", Grammar::Text),
    ("paypalPayerAddressCity", Grammar::Text),
    ("paypalPayerAddressCountry", Grammar::Text),
    ("paypalPayerAddressCountryCode", Grammar::Country),
    ("paypalPayerAddressName", Grammar::Text),
    ("paypalPayerAddressState", Grammar::Text),
    ("paypalPayerAddressStatus", Grammar::Text),
    ("paypalPayerAddressStreet1", Grammar::Text),
    ("paypalPayerAddressStreet2", Grammar::Text),
    ("paypalPayerAddressZIP", Grammar::Text),
    ("paypalPayerEmail", Grammar::Text),
    ("paypalPayerFirstName", Grammar::Text),
    ("paypalPayerID", Grammar::Text),
    ("paypalPayerLastName", Grammar::Text),
    ("providerContractNumber", Grammar::Text),
    ("providerMessage", Grammar::LongText),
    ("providerReferenceNumber", Grammar::Text),
    ("providerTokenId", Grammar::Text),
    ("purchaseInformation", Grammar::Base64),
    ("responseFingerprint", Grammar::LongText),
    ("responseFingerprintOrder", Grammar::LongText),
    ("secret", Grammar::LongText),
    ("securityCriteria", Grammar::Bit),
    ("senderAccountNumber", Grammar::Text),
    ("senderAccountOwner", Grammar::Text),
    ("senderBIC", Grammar::Text),
    ("senderBankName", Grammar::Text),
    ("senderBankNumber", Grammar::Text),
    ("senderCountry", Grammar::Country),
    ("senderIBAN", Grammar::Text),
];

/// The grammar of a standard field; `None` for the shop's own (custom) parameters. Names are case-exact.
pub fn standard(name: &str) -> Option<Grammar> {
    if let Ok(at) = STANDARD.binary_search_by(|(known, _)| (*known).cmp(name)) {
        return Some(STANDARD[at].1);
    }
    error_part(name).map(|part| if part == "errorCode" { Grammar::Number } else { Grammar::LongText })
}

/// The last part of `error.N.part`, or of `error_N_part` as demo mode and PHP spell it.
fn error_part(name: &str) -> Option<&str> {
    let (separator, rest) = match name.strip_prefix("error.") {
        Some(rest) => ('.', rest),
        None => ('_', name.strip_prefix("error_")?),
    };
    let (number, part) = rest.split_once(separator)?;
    let is_number = !number.is_empty() && number.len() <= 3 && all_digits(number);
    let known = ["errorCode", "message", "consumerMessage", "paySysMessage", "providerMessage"].contains(&part);
    (is_number && known).then_some(part)
}

impl Grammar {
    /// Whether a value has this shape, as a whole and in its exact bytes.
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Grammar::PaymentState => ["SUCCESS", "PENDING", "FAILURE", "CANCEL"].contains(&value),
            Grammar::OrderNumber => {
                all_digits(value)
                    && value.len() <= ORDER_NUMBER_MAX_DIGITS
                    && !value.is_empty()
                    && !value.starts_with('0')
            }
            Grammar::Amount => is_amount(value),
            Grammar::Currency => value.len() == 3 && value.is_ascii() && Currency::parse(value).is_some(),
            Grammar::PaymentType => PAYMENT_TYPES.contains(&value),
            Grammar::Institution => {
                value.chars().next().is_none_or(char::is_alphanumeric) && value.len() <= INSTITUTION_MAX_BYTES
            }
            Grammar::Language => two_letters(value),
            Grammar::YesNo => value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("no"),
            Grammar::Flag => ["", "Y", "N"].contains(&value),
            Grammar::Bit => ["0", "1"].contains(&value),
            Grammar::PanTail => value.len() == 4 && all_digits(value),
            Grammar::MaskedPan => is_masked_pan(value),
            Grammar::Expiry => is_expiry(value),
            Grammar::Day => is_day(value),
            Grammar::Country => [0, 2].contains(&value.len()) && value.bytes().all(|b| b.is_ascii_uppercase()),
            Grammar::Number => all_digits(value) && value.len() <= TEXT_MAX_BYTES,
            Grammar::Base64 => {
                value.len() <= LONG_TEXT_MAX_BYTES
                    && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b))
            }
            Grammar::Text => value.len() <= TEXT_MAX_BYTES,
            Grammar::LongText => value.len() <= LONG_TEXT_MAX_BYTES,
        }
    }
}

fn all_digits(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit())
}

fn two_letters(value: &str) -> bool {
    value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_amount(value: &str) -> bool {
    let (whole, part) = match value.split_once(['.', ',']) {
        Some((whole, part)) => (whole, Some(part)),
        None => (value, None),
    };
    let whole_ok = (1..=AMOUNT_WHOLE_MAX_DIGITS).contains(&whole.len())
        && all_digits(whole)
        && (whole == "0" || !whole.starts_with('0'));
    whole_ok && part.is_none_or(|part| (1..=AMOUNT_PART_MAX_DIGITS).contains(&part.len()) && all_digits(part))
}

fn is_masked_pan(value: &str) -> bool {
    let head = value.bytes().take_while(u8::is_ascii_digit).count();
    let stars = value.bytes().skip(head).take_while(|&b| b == b'*').count();
    let tail = value.len() - head - stars;
    (head == 6 || head == 8)
        && stars > 0
        && tail == 4
        && value.bytes().skip(head + stars).all(|b| b.is_ascii_digit())
        && (12..=19).contains(&value.len())
}

fn is_expiry(value: &str) -> bool {
    match value.split_once('/') {
        Some((month, year)) => {
            month.len() == 2
                && ("01"..="12").contains(&month)
                && all_digits(month)
                && year.len() == 4
                && all_digits(year)
        }
        None => false,
    }
}

fn is_day(value: &str) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    match parts[..] {
        [day, month, year] => {
            day.len() == 2 && month.len() == 2 && year.len() == 4 && parts.iter().all(|part| all_digits(part))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_name_is_found() {
        assert!(STANDARD.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(PAYMENT_TYPES.windows(2).all(|w| w[0] < w[1]));
        for (name, grammar) in STANDARD {
            assert_eq!(standard(name), Some(*grammar));
        }
    }

    #[test]
    fn only_exact_names_are_the_gateways_own() {
        for name in ["error.1.errorCode", "error_12_message", "error.1.paySysMessage"] {
            assert!(standard(name).is_some(), "{name}");
        }
        for name in [
            "Amount",
            "AMOUNT",
            "amount ",
            "shopOrderId",
            "error.x.message",
            "error.1_message",
            "error.1.colour",
            "error..message",
            "",
        ] {
            assert_eq!(standard(name), None, "{name}");
        }
    }

    #[test]
    fn each_grammar_accepts_the_wire_and_nothing_beside_it() {
        use Grammar as G;
        for (grammar, good, bad) in [
            (G::PaymentState, &["SUCCESS", "CANCEL"][..], &["success", "UNKNOWN", "", "SUCCESSR"][..]),
            (G::OrderNumber, &["1", "7000001", "999999999"], &["", "0", "01", "1234567890", "1a", "-1", "١"]),
            (
                G::Amount,
                &["30", "3.10", "8", "0", "0.50", "12,5", "1000", "1.000000"],
                &["", "01.00", "1.", ".5", "-1", "+1", "1e3", "1.000.00", "1 ", "00", "1.0000000", "1234567890123456"],
            ),
            (G::Currency, &["EUR", "eur", "840", "978"], &["", "EU", "EURO", "XXQ", "000", " EUR", "EUR ", "84", "ÄÖ"]),
            (G::PaymentType, &["CCARD", "CCARD-MOTO", "SEPA-DD", "IDL"], &["", "ccard", "CCARDMC", "CCAR", "CASH"]),
            (G::Institution, &["MC", "BA-CA", "PayPal", "Öster. Bank", ""], &["-MOTOMC", "_MISTERCASH", " MC", "*"]),
            (G::Language, &["de", "en", "DE"], &["", "d", "deu", "d1", "ä"]),
            (G::YesNo, &["Yes", "No", "yes"], &["", "Y", "Yess", "true"]),
            (G::Flag, &["Y", "N", ""], &["y", "YN", "Yes"]),
            (G::Bit, &["0", "1"], &["", "2", "01"]),
            (G::PanTail, &["0001"], &["", "001", "00001", "000a"]),
            (
                G::MaskedPan,
                &["401200******1003", "41111111****1111", "341111*****1111"],
                &[
                    "",
                    "40120******1003",
                    "401200******100",
                    "4012001234561003",
                    "401200******10030",
                    "401200**1x**1003",
                ],
            ),
            (G::Expiry, &["01/2023", "12/2036"], &["", "1/2023", "13/2023", "00/2023", "01/23", "0１/2023"]),
            (G::Day, &["28.03.2022"], &["", "28.3.2022", "2022-03-28", "28.03.22", "28.03.2022.1"]),
            (G::Country, &["", "DE"], &["D", "de", "DEU", "49", "ä"]),
            (G::Number, &["", "99996"], &["9999x", "-1"]),
            (G::Base64, &["", "eyJhIjoxfQ=="], &["{", "a b"]),
        ] {
            for value in good {
                assert!(grammar.accepts(value), "{grammar:?} {value:?}");
            }
            for value in bad {
                assert!(!grammar.accepts(value), "{grammar:?} {value:?}");
            }
        }
        assert!(Grammar::Text.accepts(&"x".repeat(1020)) && !Grammar::Text.accepts(&"x".repeat(1021)));
        assert!(Grammar::LongText.accepts(&"x".repeat(65_000)) && !Grammar::LongText.accepts(&"x".repeat(65_001)));
    }

    /// Else `CCARD-MOTO` + `MC` could be re-cut as `CCARD` + `-MOTOMC`.
    #[test]
    fn no_payment_type_runs_on_into_an_institution() {
        for short in PAYMENT_TYPES {
            for long in PAYMENT_TYPES.iter().filter(|long| *long != short) {
                if let Some(rest) = long.strip_prefix(short) {
                    assert!(!Grammar::Institution.accepts(rest), "{short} + {rest}");
                }
            }
        }
    }
}
