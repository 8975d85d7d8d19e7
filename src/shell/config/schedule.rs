//! `[schedule.METHOD]`: what a shop overrides of the default looks, and durations as people write them.

use std::collections::BTreeMap;

use super::problem::Problem;
use super::raw;
use crate::core::schedule::{Method, Schedule};
use crate::words::time::SignedDuration;

/// Longest duration that means anything here, in days (the longest window and retention are years).
const DURATION_MAX_DAYS: i64 = 3660;

/// Reads `30m`, `1h30m`, `4d`.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let mut total = 0_i64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = match rest[digits..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest[digits + 1..].trim_start();
    }
    (total <= DURATION_MAX_DAYS * 86_400).then(|| SignedDuration::from_secs(total))
}

pub const DURATION_HINT: &str = "write a duration such as \"45s\", \"30m\", \"1h30m\" or \"4d\"";

/// The default schedule with the shop's tables laid over it.
pub fn overlay(tables: &BTreeMap<String, raw::Method>, source: &str) -> Result<Schedule, Problem> {
    let mut schedule = Schedule::default();
    for (name, table) in tables {
        let slot = match name.as_str() {
            "unknown" => &mut schedule.unknown,
            "checkout" => &mut schedule.checkout,
            _ => {
                let base = schedule.unknown.clone();
                schedule.methods.entry(name.clone()).or_insert(base)
            }
        };
        *slot = method(slot, table, &format!("schedule.{name}"), source)?;
    }
    Ok(schedule)
}

fn method(base: &Method, table: &raw::Method, key: &str, source: &str) -> Result<Method, Problem> {
    let read = |field: &str, text: &str| {
        duration(text)
            .filter(|d| d.is_positive())
            .ok_or_else(|| Problem::new(source, format!("{key}.{field}"), "not a duration").hint(DURATION_HINT))
    };
    let window = match table.window.as_deref() {
        None => base.window,
        Some("open") => None,
        Some(text) => Some(read("window", text)?),
    };
    let warm = match &table.warm {
        None => base.warm.clone(),
        Some(texts) => texts.iter().map(|t| read("warm", t)).collect::<Result<Vec<_>, _>>()?,
    };
    if !warm.is_sorted_by(|a, b| a < b) {
        return Err(Problem::new(source, format!("{key}.warm"), "the ages must rise"));
    }
    Ok(Method {
        window,
        warm,
        retrieve_has_effects: table.retrieve_has_effects.unwrap_or(base.retrieve_has_effects),
        returnable: table.returnable.unwrap_or(base.returnable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::time::{days, hours, minutes};

    #[test]
    fn durations_as_people_write_them() {
        for (text, expected) in [
            ("30m", Some(minutes(30))),
            ("1h30m", Some(minutes(90))),
            ("1h 30m", Some(minutes(90))),
            ("4d", Some(days(4))),
            ("0s", Some(SignedDuration::ZERO)),
            ("", None),
            ("30", None),
            ("m", None),
            ("-5m", None),
            ("30 minutes", None),
            ("99999999999999999999d", None),
            ("9999d", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_shops_table_overrides_only_what_it_names() {
        let table = raw::Method { window: Some("2h".into()), ..raw::Method::default() };
        let open = raw::Method { window: Some("open".into()), ..raw::Method::default() };
        let tables = BTreeMap::from([("creditcard".to_owned(), table), ("newpay".to_owned(), open)]);
        let schedule = overlay(&tables, "f").expect("a schedule");
        let default = Schedule::default();
        assert_eq!(schedule.methods["creditcard"].window, Some(hours(2)));
        assert_eq!(schedule.methods["creditcard"].warm, default.methods["creditcard"].warm);
        assert_eq!(schedule.methods["newpay"].window, None);
        assert_eq!(schedule.methods["paypal"], default.methods["paypal"]);
    }

    #[test]
    fn looks_out_of_order_are_refused_by_key() {
        let table = raw::Method { warm: Some(vec!["30m".into(), "2m".into()]), ..raw::Method::default() };
        let problem = overlay(&BTreeMap::from([("eps".to_owned(), table)]), "f").expect_err("refused");
        assert_eq!(problem.key, "schedule.eps.warm");
    }
}
