//! `[import.NAME]`: how a shop's order list is written, so that its rows can be read as submissions.

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::Encoding;
use jiff::tz::TimeZone;

use super::{Problem, Reading, raw};

/// The fields a column may fill: those of a submission that are one text.
pub const FIELDS: [&str; 13] = [
    "merchant",
    "request_id",
    "order_number",
    "transaction_type",
    "amount",
    "currency",
    "payment_method",
    "parent_transaction_id",
    "gateway_order_number",
    "submitted_at",
    "periodic",
    "resolver_category",
    "captures_due",
];

/// Without these no row is a submission.
const NEEDED: [&str; 4] = ["merchant", "request_id", "amount", "currency"];

/// How to read one kind of list.
#[derive(Clone, Debug)]
pub struct Import {
    /// Field → the column's heading.
    pub columns: BTreeMap<String, String>,
    /// Fields whose column a list may lack.
    pub optional: BTreeSet<String>,
    /// Field → a value for all rows that have none.
    pub defaults: BTreeMap<String, String>,
    /// Field → what the list says → what we say.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    pub delimiter: u8,
    /// `12,50` and `1.234,56` instead of `12.50`.
    pub decimal_comma: bool,
    /// As strftime writes it; `None`: RFC 3339, or the same without an offset.
    pub time_format: Option<String>,
    /// Of times that name no offset.
    pub time_zone: TimeZone,
    pub encoding: &'static Encoding,
}

impl Default for Import {
    /// A list whose headings are the fields' own names, as many of them as it needs.
    fn default() -> Import {
        let optional = FIELDS.iter().filter(|field| !NEEDED.contains(field));
        Import {
            optional: optional.map(|field| (*field).to_owned()).collect(),
            columns: FIELDS.iter().map(|field| ((*field).to_owned(), (*field).to_owned())).collect(),
            defaults: BTreeMap::new(),
            values: BTreeMap::new(),
            delimiter: b',',
            decimal_comma: false,
            time_format: None,
            time_zone: TimeZone::UTC,
            encoding: encoding_rs::UTF_8,
        }
    }
}

pub(super) fn check(reading: &Reading, name: &str, raw: &raw::Import) -> Result<Import, Problem> {
    let at = |key: &str| format!("import.{name}.{key}");
    let known: Vec<String> = FIELDS.iter().map(|field| (*field).to_owned()).collect();
    let fields = raw.columns.keys().map(|f| ("columns", f));
    let fields = fields.chain(raw.defaults.keys().map(|f| ("defaults", f)));
    for (table, field) in fields.chain(raw.values.keys().map(|f| ("values", f))) {
        if !known.contains(field) {
            let known: Vec<&String> = known.iter().collect();
            return Err(reading
                .problem(at(&format!("{table}.{field}")), "no field of a submission that a column can fill")
                .hint(super::problem::did_you_mean(field, &known)));
        }
    }
    for needed in ["request_id", "amount"] {
        if !raw.columns.contains_key(needed) {
            return Err(reading.problem(at(&format!("columns.{needed}")), "this column is missing"));
        }
    }
    for field in &raw.optional {
        if !raw.columns.contains_key(field) {
            let columns: Vec<&String> = raw.columns.keys().collect();
            return Err(reading
                .problem(at("optional"), "names a field that has no column")
                .hint(super::problem::did_you_mean(field, &columns)));
        }
        if NEEDED.contains(&field.as_str()) && !raw.defaults.contains_key(field) {
            return Err(reading.problem(at("optional"), format!("no row is a submission without its `{field}`")));
        }
    }
    for needed in ["merchant", "currency"] {
        if !raw.columns.contains_key(needed) && !raw.defaults.contains_key(needed) {
            return Err(reading
                .problem(at(&format!("columns.{needed}")), "this column is missing")
                .hint(format!("or set `{needed}` in [import.{name}.defaults]")));
        }
    }
    let delimiter = match raw.delimiter.as_deref() {
        None => b',',
        Some("tab" | "\t") => b'\t',
        Some(text) => match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => *byte,
            _ => return Err(reading.problem(at("delimiter"), "not one of \",\", \";\", \"|\", \"tab\"")),
        },
    };
    let encoding = match raw.encoding.as_deref() {
        None => encoding_rs::UTF_8,
        // WHATWG reads ISO-8859-1 as Windows-1252, which is what shops write under that name.
        Some(label) => Encoding::for_label(label.as_bytes())
            .filter(|encoding| encoding.is_ascii_compatible())
            .ok_or_else(|| reading.problem(at("encoding"), "not an encoding we read").hint("such as \"iso-8859-1\""))?,
    };
    let time_zone = raw.time_zone.as_deref().unwrap_or("UTC");
    reading.zone(&at("time_zone"), time_zone)?;
    if let Some(format) = &raw.time_format {
        let says_when = ["%Y", "%y", "%D", "%F", "%s", "%c", "%x"].iter().any(|part| format.contains(part));
        // A moment written by the format must be readable by it.
        let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let reads = jiff::fmt::strtime::format(format, &sample)
            .and_then(|text| jiff::fmt::strtime::parse(format, text))
            .is_ok();
        if !says_when || !reads {
            return Err(reading
                .problem(at("time_format"), "not a format of a date")
                .hint("such as \"%d.%m.%Y %H:%M:%S\""));
        }
    }
    Ok(Import {
        columns: raw.columns.clone(),
        optional: raw.optional.clone(),
        defaults: raw.defaults.clone(),
        values: raw.values.clone(),
        delimiter,
        decimal_comma: raw.decimal_comma,
        time_format: raw.time_format.clone(),
        time_zone: TimeZone::get(time_zone).unwrap_or(TimeZone::UTC),
        encoding,
    })
}
