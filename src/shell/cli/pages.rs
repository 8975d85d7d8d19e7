//! Pages for people: what is open, how the daemon is, which alerts fire, whether the books agree.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::columns::{Align, columns};
use super::print::{line, plain, safe};
use super::screen::{Colour, colour, width};
use crate::words::time::{SignedDuration, Timestamp};

/// A list's items.
fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A moment to the second, `-` for none.
pub fn second(value: &Value) -> String {
    let at = moment(value).and_then(|at| Timestamp::from_second(at.as_second()).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

/// A duration as people say it: its two largest units.
pub fn said(duration: SignedDuration) -> String {
    let s = duration.as_secs().max(0);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min", s / 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Its largest unit only, for a column.
fn short(duration: SignedDuration) -> String {
    let said = said(duration);
    said.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn ahead(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", short(at.duration_since(now))) }
}

pub fn open(rows: &[Value], now: Timestamp) {
    if rows.is_empty() {
        line("nothing is open");
        return;
    }
    const HEADER: [(&str, Align); 8] = [
        ("merchant", Align::Left),
        ("order", Align::Left),
        ("request-id", Align::Left),
        ("state", Align::Left),
        ("amount", Align::Right),
        ("age", Align::Right),
        ("next look", Align::Left),
        ("reason", Align::Left),
    ];
    let cells = |row: &Value| {
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        vec![
            plain(&row["merchant"]),
            dash(plain(&row["order_number"])),
            plain(&row["request_id"]),
            plain(&row["state"]).replace('_', " "),
            dash(format!("{} {}", plain(&row["amount"]), plain(&row["currency"])).trim().to_owned()),
            moment(&row["received_at"]).map_or_else(|| "-".to_owned(), |at| short(now.duration_since(at))),
            moment(&row["next_look_at"]).map_or_else(|| "-".to_owned(), |at| ahead(at, now)),
            plain(&row["reason"]),
        ]
    };
    let lines = columns(&HEADER, &rows.iter().map(cells).collect::<Vec<_>>(), width());
    let mut lines = lines.iter();
    lines.next().into_iter().for_each(|header| line(&colour(Colour::Dim, header)));
    lines.for_each(|row| line(row));
    let count = rows.len();
    line(&format!("{count} open, oldest first; `reconciled explain REQUEST-ID` tells why, --json has the exact times"));
}

pub fn status(found: &Value) {
    let count = |name: &str| found[name].as_u64().unwrap_or_default();
    let now = moment(&found["now"]).unwrap_or_default();
    let row = |name: &str, text: String| line(&format!("{name:<11} {text}"));
    let turned = &found["turned_away"];
    let daemon = if turned.is_object() { "serving" } else { "not running; this is what the store's file says" };
    row("daemon", colour(if turned.is_object() { Colour::Green } else { Colour::Yellow }, daemon));
    row("time", second(&found["now"]));
    row("payments", format!("{} known, {} open", count("payments"), count("open")));
    let oldest = &found["oldest_open"];
    if let Some(since) = moment(&oldest["received_at"]) {
        let age = said(now.duration_since(since));
        let since = second(&oldest["received_at"]);
        let (id, merchant) = (plain(&oldest["request_id"]), plain(&oldest["merchant"]));
        let state = plain(&oldest["state"]).replace('_', " ");
        row("oldest", format!("{id} of {merchant}, {state}, for {age} (since {since})"));
    }
    let next = moment(&found["next_due_at"]).map_or_else(
        || "none to come".to_owned(),
        |at| format!("next {} ({})", second(&found["next_due_at"]), ahead(at, now)),
    );
    row(
        "looks",
        match moment(&found["due_since"]) {
            Some(since) => format!("{} due, the oldest for {}", count("due_now"), said(now.duration_since(since))),
            None => format!("none due; {next}"),
        },
    );
    row("inbox", format!("{} notifications kept and not yet judged", count("inbox")));
    row("outbox", format!("{} tellings not yet delivered", count("outbox")));
    row(
        "books",
        format!("{} ledger entries from {} journal records", count("ledger_entries"), count("journal_records")),
    );
    for relay in items(&found["relay"]) {
        let since = moment(&relay["oldest_kept_at"]).map_or_else(String::new, |at| {
            let last =
                if relay["last_attempt"].is_null() { "not tried yet".into() } else { plain(&relay["last_attempt"]) };
            format!(", the oldest for {}: {last}", said(now.duration_since(at)))
        });
        let (waiting, merchant) = (plain(&relay["waiting"]), plain(&relay["merchant"]));
        row("relay", format!("{waiting} notifications of {merchant} wait for the shop's own listener{since}"));
    }
    if turned.is_object() {
        let of = |name: &str| turned[name].as_u64().unwrap_or_default();
        let (connections, bodies, requests) = (of("connections"), of("bodies"), of("requests"));
        row("turned away", format!("{connections} connections, {bodies} bodies, {requests} requests, since the start"));
    }
    if let Some(why) = found["report_trouble"].as_str() {
        row("reports", colour(Colour::Red, &safe(why)));
    }
    let firing = items(&found["alerts"]);
    row("alerts", if firing.is_empty() { "none".to_owned() } else { format!("{} firing", firing.len()) });
    firing.iter().for_each(|alert| alert_line(alert, "  "));
}

/// Alerts, one line each.
pub fn alerts(rows: &[Value], has_all: bool) {
    if rows.is_empty() {
        line(if has_all { "there never was an alert" } else { "no alert fires" });
        return;
    }
    rows.iter().for_each(|alert| alert_line(alert, ""));
}

fn alert_line(alert: &Value, indent: &str) {
    let severity = plain(&alert["severity"]);
    let is_over = alert["status"] == "resolved";
    let paint = match severity.as_str() {
        _ if is_over => Colour::Dim,
        "page" => Colour::Red,
        "warning" => Colour::Yellow,
        _ => Colour::Dim,
    };
    let severity = colour(paint, &format!("{severity:<8}"));
    let (id, topic, summary) = (plain(&alert["id"]), plain(&alert["topic"]), plain(&alert["summary"]));
    let since = second(&alert["fired_at"]);
    let over = if is_over { format!(", over since {}", second(&alert["resolved_at"])) } else { String::new() };
    line(&format!("{indent}{severity} {topic:<17} {summary} (since {since}{over}; {id})"));
}

/// Returns nothing but prints: what was proved, and what was found.
pub fn check(found: &Value, is_clean: bool) {
    let count = |name: &str| found[name].as_u64().unwrap_or_default();
    let row = |name: &str, text: String| line(&format!("{name:<10} {text}"));
    row("payments", format!("{}; forgotten: {}", count("payments"), count("forgotten")));
    row(
        "ledger",
        format!("{} entries; without a reason in the journal: {}", count("ledger_entries"), count("unexplained")),
    );
    row(
        "journal",
        format!("{} records, their chain followed, all books made again from them", count("journal_records")),
    );
    let findings = items(&found["findings"]);
    row("findings", findings.len().to_string());
    findings.iter().for_each(|finding| line(&format!("  {}", plain(finding))));
    if is_clean {
        line(&colour(Colour::Green, "the books agree, and nothing is forgotten"));
    } else {
        line(&colour(Colour::Red, "the books do not agree"));
        line("keep a copy of the store's file, then see docs/oncall.md");
    }
}

/// A report: the mark of one that is not written, then the text.
pub fn report(found: &Value) {
    if found["written"] == Value::Bool(false) {
        let (day, until) = (plain(&found["day"]), second(&found["now"]));
        line(&colour(Colour::Yellow, &format!("NOT WRITTEN: the report of {day} as the books stand at {until}")));
        line("");
    }
    found["text"].as_str().unwrap_or_default().lines().for_each(|text| line(&safe(text)));
}

/// A moment in a zone and in UTC.
pub fn civil(at: Timestamp, zone: &TimeZone) -> String {
    format!("{} ({at})", at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_largest_units() {
        for (seconds, long, column) in [
            (-5, "0 s", "0 s"),
            (59, "59 s", "59 s"),
            (119, "1 min", "1 min"),
            (7_260, "2 h 1 min", "2 h"),
            (90_000, "1 d 1 h", "1 d"),
        ] {
            let duration = SignedDuration::from_secs(seconds);
            assert_eq!((said(duration), short(duration)), (long.to_owned(), column.to_owned()));
        }
    }

    #[test]
    fn moments_are_said_to_the_second() {
        assert_eq!(second(&Value::from("2026-11-22T03:28:55.575138433Z")), "2026-11-22T03:28:55Z");
        assert_eq!(second(&Value::Null), "-");
    }
}
