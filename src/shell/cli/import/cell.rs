//! Cells of a list as the values of a submission: exactly, or an error that names the column.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::shell::config::import::{FIELDS, Import};

/// Reads one row as the JSON of a submission. `cell` gives the text of a field's column, `None` where there is none.
pub fn submission(
    import: &Import,
    cell: &dyn Fn(&str) -> Option<Result<String, String>>,
) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for field in FIELDS {
        let text = match cell(field) {
            Some(text) => text.map_err(|why| named(import, field, &why))?,
            None => String::new(),
        };
        let text = match (text.trim(), import.defaults.get(field)) {
            ("", None) => continue,
            ("", Some(default)) => default.clone(),
            (text, _) => value(import, field, text).map_err(|why| named(import, field, &why))?,
        };
        object.insert(field.to_owned(), Value::String(text));
    }
    Ok(object)
}

/// An error with the column it is about.
pub fn named(import: &Import, field: &str, why: &str) -> String {
    match import.columns.get(field) {
        Some(column) => format!("column `{column}`: {why}"),
        None => format!("`{field}`: {why}"),
    }
}

fn value(import: &Import, field: &str, text: &str) -> Result<String, String> {
    let text = match import.values.get(field) {
        Some(values) => translated(values, text)?,
        None => text,
    };
    match field {
        "amount" if import.decimal_comma => with_a_point(text),
        "submitted_at" | "captures_due" => {
            moment(text, import.time_format.as_deref(), &import.time_zone).map(|at| at.to_string())
        }
        _ => Ok(text.to_owned()),
    }
}

fn translated<'v>(values: &'v BTreeMap<String, String>, text: &str) -> Result<&'v str, String> {
    values.get(text).map(String::as_str).ok_or_else(|| "a value that the configuration does not translate".to_owned())
}

/// `1.234,56` as `1234.56`. Dots may only part thousands: `1.5` could be either, and is refused.
fn with_a_point(text: &str) -> Result<String, String> {
    let not = || "not an amount with a decimal comma, such as 1234,50 or 1.234,50".to_owned();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, cents) = digits.split_once(',').map_or((digits, None), |(whole, cents)| (whole, Some(cents)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let groups: Vec<&str> = whole.split('.').collect();
    let is_grouped = groups.iter().all(|group| is_number(group))
        && (groups.len() == 1 || groups[0].len() <= 3)
        && groups[1..].iter().all(|group| group.len() == 3);
    if !is_grouped || !cents.is_none_or(is_number) {
        return Err(not());
    }
    let cents = cents.map(|cents| format!(".{cents}")).unwrap_or_default();
    Ok(format!("{sign}{}{cents}", groups.concat()))
}

/// A time of the list. One that the clocks showed twice is the first of the two; one they skipped is moved on.
fn moment(text: &str, format: Option<&str>, zone: &TimeZone) -> Result<Timestamp, String> {
    let in_zone = |at: DateTime| at.to_zoned(zone.clone()).map(|at| at.timestamp());
    let read = match format {
        None => text.parse::<Timestamp>().or_else(|_| text.parse::<DateTime>().and_then(in_zone)),
        Some(format) => strtime::parse(format, text).and_then(|read| {
            if read.iana_time_zone().is_some() {
                return read.to_zoned().map(|at| at.timestamp());
            }
            if read.offset().is_some() {
                return read.to_timestamp();
            }
            if let Some(at) = read.timestamp() {
                return Ok(at);
            }
            // A date alone is its first moment.
            in_zone(read.to_datetime()?)
        }),
    };
    read.map_err(|_| match format {
        Some(format) => format!("not a time as `{format}` writes it"),
        None => "not a time such as 2026-03-01T12:00:00Z or 2026-03-01 12:00:00".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_comma_is_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("12,50", Some("12.50")),
            ("12", Some("12")),
            ("-3,5", Some("-3.5")),
            ("1.234,56", Some("1234.56")),
            ("1.234.567", Some("1234567")),
            ("1.5", None),
            ("12.50", None),
            ("1234.567,00", None),
            (".123,00", None),
            ("1,2,3", None),
            ("1,", None),
            ("", None),
            ("12,50 EUR", None),
            ("1 234,50", None),
        ] {
            assert_eq!(with_a_point(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read_in_the_lists_own_zone() {
        let vienna = TimeZone::get("Europe/Vienna").expect("the zone is bundled");
        for (text, format, expected) in [
            ("2026-03-01T12:00:00Z", None, Some("2026-03-01T12:00:00Z")),
            ("2026-03-01 12:00:00", None, Some("2026-03-01T11:00:00Z")),
            ("01.07.2026 12:00:00", Some("%d.%m.%Y %H:%M:%S"), Some("2026-07-01T10:00:00Z")),
            ("01.07.2026", Some("%d.%m.%Y"), Some("2026-06-30T22:00:00Z")),
            ("1772442030", Some("%s"), Some("2026-03-02T09:00:30Z")),
            ("2026-07-01 12:00 +0500", Some("%Y-%m-%d %H:%M %z"), Some("2026-07-01T07:00:00Z")),
            ("2026-07-01 12:00 Asia/Tokyo", Some("%Y-%m-%d %H:%M %Q"), Some("2026-07-01T03:00:00Z")),
            // Shown twice on that night: the first of the two.
            ("2026-10-25 02:30:00", None, Some("2026-10-25T00:30:00Z")),
            ("31.02.2026 12:00:00", Some("%d.%m.%Y %H:%M:%S"), None),
            ("yesterday", None, None),
        ] {
            let read = moment(text, format, &vienna).ok().map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn values_are_translated_only_as_the_configuration_says() {
        let mut import = Import::default();
        import.columns.insert("payment_method".into(), "Zahlart".into());
        import.values.insert("payment_method".into(), [("Kreditkarte".into(), "creditcard".into())].into());
        import.defaults.insert("currency".into(), "EUR".into());
        let read = |method: &str| {
            let method = method.to_owned();
            submission(&import, &move |field| match field {
                "payment_method" => Some(Ok(method.clone())),
                "amount" => Some(Ok(" 12.50 ".into())),
                _ => Some(Ok(String::new())),
            })
        };
        let expected = r#"{"amount":"12.50","currency":"EUR","payment_method":"creditcard"}"#;
        assert_eq!(Value::Object(read("Kreditkarte").expect("read")).to_string(), expected);
        let refused = read("Scheck").expect_err("refused");
        assert_eq!(refused, "column `Zahlart`: a value that the configuration does not translate");
    }
}
