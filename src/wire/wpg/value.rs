//! Single values as the gateway spells them: text, amounts, times (fact sheet wpg d.1, d.2).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::xml::shown;
use crate::words::money::{Currency, StatedAmount, parse_decimal};
use crate::words::time::Timestamp;

/// Longest time stamp we try to read, in bytes: `2019-11-05T08:31:56.000000000+01:00` and some room.
const TIME_MAX_BYTES: usize = 40;
/// Largest power of ten a JSON number may carry; beyond it no amount fits 28 digits.
const EXPONENT_MAX: u32 = 28;

/// Text as we keep it: trimmed, and nothing at all where nothing is left. Never re-cased.
pub(super) fn text(raw: &str) -> Option<String> {
    let trimmed = raw.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// What a message says about money: `None` where it names no value, whatever the currency; an error
/// where it names one that nobody can read, for that must not pass as silence.
pub(super) fn amount(value: Option<&str>, currency: Option<&str>) -> Result<Option<StatedAmount>, String> {
    let value = value.map(str::trim).filter(|value| !value.is_empty());
    let Some(value) = value else { return Ok(None) };
    let decimal = decimal(value).ok_or_else(|| format!("the amount `{}` is no decimal number", shown(value)))?;
    Ok(Some(StatedAmount { value: decimal, currency: currency.and_then(Currency::parse) }))
}

/// A decimal number, exactly. JSON numbers may carry an exponent (`1E+3`); it moves the point and
/// rounds nothing. XML's decimals may have a `+`, and nothing on one side of their point.
fn decimal(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('+').or_else(|| text.strip_prefix('-')).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    match unsigned.split_once('.') {
        Some(("", part)) if !part.is_empty() => return parse_decimal(&format!("{sign}0.{part}")).ok(),
        Some((whole, "")) if !whole.is_empty() => return parse_decimal(&format!("{sign}{whole}")).ok(),
        _ if text.starts_with('+') && !unsigned.starts_with('-') => return parse_decimal(unsigned).ok(),
        _ => {}
    }
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return parse_decimal(text).ok() };
    let mantissa = parse_decimal(mantissa).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let shift = exponent.unsigned_abs();
    if shift > EXPONENT_MAX {
        return None;
    }
    if exponent < 0 {
        let mut moved = mantissa;
        moved.set_scale(mantissa.scale() + shift).ok()?;
        return Some(moved);
    }
    // Up to 28 zeros are appended, then the point is put back where it was.
    let whole = parse_decimal(&format!("1{}", "0".repeat(shift as usize))).ok()?;
    mantissa.normalize().checked_mul(whole)
}

/// The five spellings of `completion-time-stamp`: ISO with `Z`, with an offset, without a zone
/// (UTC), epoch milliseconds, and `yyyyMMddHHmmss` (UTC).
pub(super) fn time(raw: &str) -> Option<Timestamp> {
    let raw = raw.trim();
    if raw.is_empty() || raw.len() > TIME_MAX_BYTES {
        return None;
    }
    if raw.bytes().all(|b| b.is_ascii_digit()) {
        return match raw.len() {
            14 => utc(&format!(
                "{}-{}-{}T{}:{}:{}",
                &raw[..4],
                &raw[4..6],
                &raw[6..8],
                &raw[8..10],
                &raw[10..12],
                &raw[12..]
            )),
            _ => Timestamp::from_millisecond(raw.parse().ok()?).ok(),
        };
    }
    let is_iso = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'+' | b'T' | b'Z');
    if !raw.bytes().all(is_iso) || !raw.contains('T') {
        return None;
    }
    raw.parse().ok().or_else(|| utc(raw))
}

fn utc(civil: &str) -> Option<Timestamp> {
    Some(civil.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_has_five_spellings() {
        let moment: Timestamp = "2018-06-04T09:45:48Z".parse().expect("a time");
        for spelling in [
            "2018-06-04T09:45:48.000Z",
            "2018-06-04T11:45:48.000+02:00",
            "2018-06-04T05:45:48-04:00",
            "2018-06-04T11:45:48.000+0200",
            "2018-06-04T09:45:48",
            "1528105548000",
            "20180604094548",
            " 2018-06-04T09:45:48Z\n",
        ] {
            assert_eq!(time(spelling), Some(moment), "{spelling:?}");
        }
        for nonsense in ["", "yesterday", "2018-06-04", "20181304094548", "2018-06-04 09:45:48", "99999999999999999999"]
        {
            assert_eq!(time(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn amounts_are_exact_whatever_their_spelling() {
        let printed = |value, currency| match amount(Some(value), currency) {
            Ok(amount) => amount.map(|a| a.value_text()),
            Err(_) => Some("unreadable".to_owned()),
        };
        for (value, currency, expected) in [
            ("19.5", Some("EUR"), Some("19.50")),
            ("1.990000", Some("EUR"), Some("1.99")),
            (" 1000\n", Some("JPY"), Some("1000")),
            ("99999999999999999.99", Some("EUR"), Some("99999999999999999.99")),
            ("1E+3", Some("EUR"), Some("1000.00")),
            ("12e-1", Some("EUR"), Some("1.20")),
            ("10.00", None, Some("10")),
            ("8", Some("840"), Some("8.00")),
            ("+12.50", Some("EUR"), Some("12.50")),
            ("5.", Some("EUR"), Some("5.00")),
            (".5", Some("EUR"), Some("0.50")),
            ("-.5", Some("EUR"), Some("-0.50")),
            (".", Some("EUR"), Some("unreadable")),
            ("-.", Some("EUR"), Some("unreadable")),
            ("+-5", Some("EUR"), Some("unreadable")),
            ("1.e5", Some("EUR"), Some("unreadable")),
            ("1e99", Some("EUR"), Some("unreadable")),
            ("1e", Some("EUR"), Some("unreadable")),
            ("12,50", Some("EUR"), Some("unreadable")),
            ("", Some("EUR"), None),
        ] {
            assert_eq!(printed(value, currency).as_deref(), expected, "{value} {currency:?}");
        }
    }
}
