//! Money as exact decimals, with the exponents of ISO 4217.
//!
//! The gateways spell one amount in many ways (`1.99`, `1.990000`, `1000`, `2.5`; fact sheet wpg d.1,
//! checkout f). Numbers are compared, never their spelling, and nothing is ever rounded: digits
//! beyond the currency's exponent are kept where we only report, and refused where we book.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency of ISO 4217, known by its three letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(u16);

/// Letters, number and exponent, sorted by letters. ISO 4217 list one, without funds and metals, and the currencies it
/// gave up since 2009, for old messages still name them.
#[rustfmt::skip]
const CURRENCIES: &[(&str, u16, u8)] = &[
    ("AED",784,2),("AFN",971,2),("ALL",8,2),("AMD",51,2),("ANG",532,2),("AOA",973,2),("ARS",32,2),("AUD",36,2),
    ("AWG",533,2),("AZN",944,2),("BAM",977,2),("BBD",52,2),("BDT",50,2),("BGN",975,2),("BHD",48,3),("BIF",108,0),
    ("BMD",60,2),("BND",96,2),("BOB",68,2),("BRL",986,2),("BSD",44,2),("BTN",64,2),("BWP",72,2),("BYN",933,2),
    ("BYR",974,0),("BZD",84,2),("CAD",124,2),("CDF",976,2),("CHF",756,2),("CLF",990,4),("CLP",152,0),("CNY",156,2),
    ("COP",170,2),("CRC",188,2),("CUC",931,2),("CUP",192,2),("CVE",132,2),("CZK",203,2),("DJF",262,0),("DKK",208,2),
    ("DOP",214,2),("DZD",12,2),("EEK",233,2),("EGP",818,2),("ERN",232,2),("ETB",230,2),("EUR",978,2),("FJD",242,2),
    ("FKP",238,2),("GBP",826,2),("GEL",981,2),("GHS",936,2),("GIP",292,2),("GMD",270,2),("GNF",324,0),("GTQ",320,2),
    ("GYD",328,2),("HKD",344,2),("HNL",340,2),("HRK",191,2),("HTG",332,2),("HUF",348,2),("IDR",360,2),("ILS",376,2),
    ("INR",356,2),("IQD",368,3),("IRR",364,2),("ISK",352,0),("JMD",388,2),("JOD",400,3),("JPY",392,0),("KES",404,2),
    ("KGS",417,2),("KHR",116,2),("KMF",174,0),("KPW",408,2),("KRW",410,0),("KWD",414,3),("KYD",136,2),("KZT",398,2),
    ("LAK",418,2),("LBP",422,2),("LKR",144,2),("LRD",430,2),("LSL",426,2),("LTL",440,2),("LVL",428,2),("LYD",434,3),
    ("MAD",504,2),("MDL",498,2),("MGA",969,2),("MKD",807,2),("MMK",104,2),("MNT",496,2),("MOP",446,2),("MRO",478,2),
    ("MRU",929,2),("MUR",480,2),("MVR",462,2),("MWK",454,2),("MXN",484,2),("MYR",458,2),("MZN",943,2),("NAD",516,2),
    ("NGN",566,2),("NIO",558,2),("NOK",578,2),("NPR",524,2),("NZD",554,2),("OMR",512,3),("PAB",590,2),("PEN",604,2),
    ("PGK",598,2),("PHP",608,2),("PKR",586,2),("PLN",985,2),("PYG",600,0),("QAR",634,2),("RON",946,2),("RSD",941,2),
    ("RUB",643,2),("RUR",810,2),("RWF",646,0),("SAR",682,2),("SBD",90,2),("SCR",690,2),("SDG",938,2),("SEK",752,2),
    ("SGD",702,2),("SHP",654,2),("SKK",703,2),("SLE",925,2),("SOS",706,2),("SRD",968,2),("SSP",728,2),("STD",678,2),
    ("STN",930,2),("SVC",222,2),("SYP",760,2),("SZL",748,2),("THB",764,2),("TJS",972,2),("TMT",934,2),("TND",788,3),
    ("TOP",776,2),("TRY",949,2),("TTD",780,2),("TWD",901,2),("TZS",834,2),("UAH",980,2),("UGX",800,0),("USD",840,2),
    ("UYU",858,2),("UZS",860,2),("VED",926,2),("VEF",937,2),("VES",928,2),("VND",704,0),("VUV",548,0),("WST",882,2),
    ("XAF",950,0),("XCD",951,2),("XCG",532,2),("XOF",952,0),("XPF",953,0),("YER",886,2),("ZAR",710,2),("ZMK",894,2),
    ("ZMW",967,2),("ZWG",924,2),("ZWL",932,2),
];

impl Currency {
    /// Reads three letters (any case) or the three-digit number, as both gateways send either. Number 532 is the
    /// Caribbean guilder: it took the number over from the Antillean one in 2025, at par (ISO 4217 amendment 176).
    pub fn parse(text: &str) -> Option<Currency> {
        let text = text.trim();
        let found = if text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) {
            let number: u16 = text.parse().ok()?;
            CURRENCIES.iter().rposition(|c| c.1 == number)
        } else {
            let upper = text.to_ascii_uppercase();
            CURRENCIES.binary_search_by(|c| c.0.cmp(upper.as_str())).ok()
        };
        found.map(|at| Currency(at as u16))
    }

    /// The three letters.
    pub fn code(self) -> &'static str {
        CURRENCIES[usize::from(self.0)].0
    }

    /// The ISO 4217 number, three digits when printed.
    pub fn number(self) -> u16 {
        CURRENCIES[usize::from(self.0)].1
    }

    /// Digits after the point: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u32 {
        u32::from(CURRENCIES[usize::from(self.0)].2)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Currency::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an ISO 4217 currency")))
    }
}

/// Why a text is not an amount of money we can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMoney {
    #[error("`{0}` is not a decimal number")]
    NotDecimal(String),
    #[error("`{0}` has more digits than 28")]
    TooLong(String),
    #[error("`{0}` is not an ISO 4217 currency")]
    UnknownCurrency(String),
    #[error("{value} has more digits after the point than {currency} has ({exponent})")]
    TooPrecise { value: Decimal, currency: Currency, exponent: u32 },
}

/// Reads a decimal number as the wire spells it: digits, at most one point, an optional minus.
///
/// No exponent, no separators, no `+`; at most 28 digits (rust_decimal's own limit), else an error
/// rather than a rounding.
pub fn parse_decimal(text: &str) -> Result<Decimal, NotMoney> {
    let shape_ok = {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        all_digits(whole) && part.is_none_or(all_digits)
    };
    if !shape_ok {
        return Err(NotMoney::NotDecimal(text.chars().take(64).collect()));
    }
    Decimal::from_str_exact(text).map_err(|_| NotMoney::TooLong(text.chars().take(64).collect()))
}

/// Prints a decimal without trailing fractional zeros, then padded to the currency's exponent.
///
/// `12.340000` EUR → `12.34`, `12` EUR → `12.00`, `12.345` EUR → `12.345`, `12.50` without currency → `12.5`.
pub fn print_decimal(value: Decimal, currency: Option<Currency>) -> String {
    let mut value = value.normalize();
    if let Some(currency) = currency
        && value.scale() < currency.exponent()
    {
        value.rescale(currency.exponent());
    }
    value.to_string()
}

/// An amount of money: an exact decimal that has no more digits than its currency allows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AmountText", into = "AmountText")]
pub struct Amount {
    value: Decimal,
    currency: Currency,
}

#[derive(Serialize, Deserialize)]
struct AmountText {
    value: String,
    currency: Currency,
}

impl TryFrom<AmountText> for Amount {
    type Error = NotMoney;
    fn try_from(text: AmountText) -> Result<Self, NotMoney> {
        Amount::new(parse_decimal(&text.value)?, text.currency)
    }
}

impl From<Amount> for AmountText {
    fn from(amount: Amount) -> Self {
        AmountText { value: amount.value_text(), currency: amount.currency }
    }
}

impl Amount {
    /// Makes an amount; excess digits that are not zero are an error, never a rounding.
    pub fn new(value: Decimal, currency: Currency) -> Result<Amount, NotMoney> {
        let normal = value.normalize();
        if normal.scale() > currency.exponent() {
            return Err(NotMoney::TooPrecise { value: normal, currency, exponent: currency.exponent() });
        }
        Ok(Amount { value: normal, currency })
    }

    /// Nothing, in one currency.
    pub fn zero(currency: Currency) -> Amount {
        Amount { value: Decimal::ZERO, currency }
    }

    /// Reads value and currency as the wire spells them.
    pub fn parse(value: &str, currency: &str) -> Result<Amount, NotMoney> {
        let code = Currency::parse(currency).ok_or_else(|| NotMoney::UnknownCurrency(currency.to_owned()))?;
        Amount::new(parse_decimal(value)?, code)
    }

    pub fn value(self) -> Decimal {
        self.value
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    pub fn is_zero(self) -> bool {
        self.value.is_zero()
    }

    pub fn is_negative(self) -> bool {
        self.value.is_sign_negative() && !self.value.is_zero()
    }

    /// The value alone, padded to the currency's exponent: `12.50`.
    pub fn value_text(self) -> String {
        print_decimal(self.value, Some(self.currency))
    }

    /// The sum, or `None` where the currencies differ or 28 digits do not suffice.
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        if self.currency != other.currency {
            return None;
        }
        let value = self.value.checked_add(other.value)?;
        Some(Amount { value: value.normalize(), currency: self.currency })
    }

    /// The same amount with the other sign.
    pub fn negated(self) -> Amount {
        Amount { value: if self.value.is_zero() { self.value } else { -self.value }, currency: self.currency }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.value_text(), self.currency)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Amount {
    type Err = NotMoney;
    /// Reads `12.50 EUR`.
    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let (value, currency) =
            text.trim().split_once(' ').ok_or_else(|| NotMoney::NotDecimal(text.chars().take(64).collect()))?;
        Amount::parse(value, currency)
    }
}

/// What a message says about money, before anybody asks whether it can be booked.
///
/// A gateway may name a value without a currency, a currency without a value, or more digits than
/// the currency has: all of it is reported, and only [`StatedAmount::bookable`] may reach the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedAmount {
    #[serde(with = "rust_decimal::serde::str")]
    pub value: Decimal,
    pub currency: Option<Currency>,
}

impl StatedAmount {
    /// The amount, if currency and precision allow booking it.
    pub fn bookable(self) -> Option<Amount> {
        Amount::new(self.value, self.currency?).ok()
    }

    pub fn value_text(self) -> String {
        print_decimal(self.value, self.currency)
    }
}

impl From<Amount> for StatedAmount {
    fn from(amount: Amount) -> Self {
        StatedAmount { value: amount.value, currency: Some(amount.currency) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_currency_table_is_sorted_and_unambiguous() {
        assert!(CURRENCIES.windows(2).all(|w| w[0].0 < w[1].0));
        let mut numbers: Vec<u16> = CURRENCIES.iter().map(|c| c.1).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), CURRENCIES.len() - 1, "only 532 was given to two");
        assert_eq!(Currency::parse("532").map(Currency::code), Some("XCG"));
        assert_eq!(Currency::parse("ANG").map(Currency::number), Some(532));
        assert_eq!(Currency::parse("924").map(|c| (c.code(), c.exponent())), Some(("ZWG", 2)));
    }

    #[test]
    fn one_amount_has_many_spellings_and_one_print() {
        for (text, currency, printed) in [
            ("12.340000", "EUR", "12.34"),
            ("12", "EUR", "12.00"),
            ("1000", "JPY", "1000"),
            ("8", "840", "8.00"),
            ("2.5", "kwd", "2.500"),
            ("0", "EUR", "0.00"),
            ("-3.10", "EUR", "-3.10"),
        ] {
            assert_eq!(Amount::parse(text, currency).expect(text).value_text(), printed, "{text} {currency}");
        }
    }

    #[test]
    fn what_is_not_money_is_refused_by_name() {
        assert!(matches!(Amount::parse("12.345", "EUR"), Err(NotMoney::TooPrecise { .. })));
        assert!(matches!(Amount::parse("1.5", "JPY"), Err(NotMoney::TooPrecise { .. })));
        assert!(matches!(Amount::parse("1.5", "XXQ"), Err(NotMoney::UnknownCurrency(_))));
        for text in ["1_000", "1e3", "+5", "5.", ".5", "1,5", "", "-", " 1", "1 ", "٣"] {
            assert!(matches!(parse_decimal(text), Err(NotMoney::NotDecimal(_))), "{text:?}");
        }
        assert!(matches!(parse_decimal(&"9".repeat(40)), Err(NotMoney::TooLong(_))));
    }

    #[test]
    fn digits_that_cannot_be_booked_are_still_printed() {
        let value = parse_decimal("12.3450").expect("a decimal");
        assert_eq!(print_decimal(value, Currency::parse("EUR")), "12.345");
        assert_eq!(print_decimal(value, None), "12.345");
        assert_eq!(print_decimal(parse_decimal("10.00").expect("a decimal"), None), "10");
        assert_eq!(StatedAmount { value, currency: Currency::parse("EUR") }.bookable(), None);
    }

    #[test]
    fn currencies_never_mix() {
        let eur = Amount::parse("1", "EUR").expect("money");
        let usd = Amount::parse("1", "USD").expect("money");
        assert_eq!(eur.checked_add(usd), None);
        assert_eq!(eur.checked_add(eur), Amount::parse("2", "EUR").ok());
        assert_eq!(eur.checked_add(eur.negated()), Some(Amount::zero(eur.currency())));
    }
}
