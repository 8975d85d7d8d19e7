//! Form bodies (`application/x-www-form-urlencoded`) as they came over the wire.
//!
//! Signatures cover values, so this reader changes nothing: order is kept, values are not trimmed, names are not
//! re-cased, and what is not text is said instead of mended. Split at `&`, then at the first `=`; `+` is a blank;
//! `%XX` is a byte; a `%` that no two hex digits follow stays as it is. Empty pieces are skipped: real senders end a
//! body with `&` (fact sheet checkout a.1).
//!
//! Reading is linear in the body and allocates no more than a small multiple of it.

use std::borrow::Cow;
use std::collections::HashMap;

/// How much of a form is read. The body as a whole is bounded by whoever received it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Fields in one body.
    pub fields_max: usize,
    /// Length of one decoded name, in bytes.
    pub name_max_bytes: usize,
    /// Length of one decoded value, in bytes.
    pub value_max_bytes: usize,
}

/// Why a body is not read as a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAForm {
    #[error("form: the body holds no fields")]
    Empty,
    #[error("form: the body starts like a document, not like `name=value`")]
    ADocument,
    #[error("form: more than {max} fields")]
    TooManyFields { max: usize },
    #[error("form: the name of field {at} is longer than {max} bytes")]
    NameTooLong { at: usize, max: usize },
    #[error("form: the value of field {at} is longer than {max} bytes")]
    ValueTooLong { at: usize, max: usize },
}

/// One field, decoded once, its bytes untouched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    pub name: Cow<'a, [u8]>,
    pub value: Cow<'a, [u8]>,
}

/// Reads the fields of a body in their order.
pub fn read<'a>(body: &'a [u8], limits: &Limits) -> Result<Vec<Field<'a>>, NotAForm> {
    if matches!(body.trim_ascii_start().first(), Some(b'<' | b'{' | b'[')) {
        return Err(NotAForm::ADocument);
    }
    let mut fields = Vec::new();
    for piece in body.split(|&b| b == b'&').filter(|piece| !piece.is_empty()) {
        let at = fields.len() + 1;
        if at > limits.fields_max {
            return Err(NotAForm::TooManyFields { max: limits.fields_max });
        }
        let (name, value) = match piece.iter().position(|&b| b == b'=') {
            Some(equals) => (&piece[..equals], &piece[equals + 1..]),
            None => (piece, &piece[..0]),
        };
        let (name, value) = (decoded(name, Plus::IsBlank), decoded(value, Plus::IsBlank));
        if name.len() > limits.name_max_bytes {
            return Err(NotAForm::NameTooLong { at, max: limits.name_max_bytes });
        }
        if value.len() > limits.value_max_bytes {
            return Err(NotAForm::ValueTooLong { at, max: limits.value_max_bytes });
        }
        fields.push(Field { name, value });
    }
    if fields.is_empty() || !body.contains(&b'=') {
        return Err(NotAForm::Empty);
    }
    Ok(fields)
}

/// What makes the text of a form ambiguous. Such a message is never believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("field `{name}` is not valid UTF-8")]
    InvalidUtf8 { name: String },
    #[error("field `{name}` holds a control character")]
    ControlCharacter { name: String },
    #[error("field `{name}` occurs twice")]
    DuplicateName { name: String },
}

/// How bytes become text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charset {
    /// UTF-8; anything else is a flaw, and printed with U+FFFD.
    Utf8,
    /// UTF-8 where a value is valid UTF-8, ISO-8859-1 where it is not: replies of the older engine.
    Utf8OrLatin1,
}

/// A form as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    fields: Vec<(String, String)>,
    first: HashMap<String, usize>,
    flaw: Option<Flaw>,
}

impl Form {
    /// Reads a body as text and remembers the first flaw in it.
    pub fn read(body: &[u8], limits: &Limits, charset: Charset) -> Result<Form, NotAForm> {
        let raw = read(body, limits)?;
        let mut form = Form { fields: Vec::with_capacity(raw.len()), first: HashMap::new(), flaw: None };
        for field in raw {
            form.push(field, charset);
        }
        Ok(form)
    }

    fn push(&mut self, field: Field<'_>, charset: Charset) {
        let (name, name_is_text) = text(&field.name, charset);
        let (value, value_is_text) = text(&field.value, charset);
        let flaw = if !name_is_text || !value_is_text {
            Some(Flaw::InvalidUtf8 { name: shown(&name) })
        } else if name.chars().chain(value.chars()).any(char::is_control) {
            Some(Flaw::ControlCharacter { name: shown(&name) })
        } else if self.first.contains_key(&name) {
            Some(Flaw::DuplicateName { name: shown(&name) })
        } else {
            None
        };
        self.flaw = self.flaw.take().or(flaw);
        self.first.entry(name.clone()).or_insert(self.fields.len());
        self.fields.push((name, value));
    }

    /// The value of a name, compared byte for byte. Where a name occurs twice, the first value: such a form has a
    /// [`Flaw`] and is only ever shown.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.first.get(name).map(|&at| self.fields[at].1.as_str())
    }

    /// All fields in the order of the body.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The first thing that makes this form ambiguous.
    pub fn flaw(&self) -> Option<&Flaw> {
        self.flaw.as_ref()
    }
}

/// Writes fields as the gateways do: letters, digits, `-`, `.` and `_` as they are, a blank as `+`, all else as `%XX`.
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        if !body.is_empty() {
            body.push('&');
        }
        escape(name, &mut body);
        body.push('=');
        escape(value, &mut body);
    }
    body
}

fn escape(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => into.push(char::from(byte)),
            b' ' => into.push('+'),
            _ => {
                into.push('%');
                into.push(char::from(HEX[usize::from(byte >> 4)]));
                into.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

/// Whether `+` means a blank (`application/x-www-form-urlencoded`) or itself (Base64 sent raw).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plus {
    IsBlank,
    IsPlus,
}

/// Percent-decodes once; a `%` that no two hex digits follow stays as it is.
pub(super) fn decoded(raw: &[u8], plus: Plus) -> Cow<'_, [u8]> {
    if !raw.iter().any(|&b| b == b'%' || (b == b'+' && plus == Plus::IsBlank)) {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'+', _) if plus == Plus::IsBlank => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    Cow::Owned(bytes)
}

/// The value of one hex digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn text(bytes: &[u8], charset: Charset) -> (String, bool) {
    match (std::str::from_utf8(bytes), charset) {
        (Ok(text), _) => (text.to_owned(), true),
        (Err(_), Charset::Utf8OrLatin1) => (bytes.iter().map(|&b| char::from(b)).collect(), true),
        (Err(_), Charset::Utf8) => (String::from_utf8_lossy(bytes).into_owned(), false),
    }
}

/// A name or value as a reason may quote it: one line, at most 64 characters, nothing a terminal would obey.
pub fn shown(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { fields_max: 8, name_max_bytes: 16, value_max_bytes: 32 };

    fn pairs(body: &str) -> Vec<(String, String)> {
        Form::read(body.as_bytes(), &LIMITS, Charset::Utf8).expect(body).fields().to_vec()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn fields_keep_their_order_and_their_bytes() {
        for (body, expected) in [
            ("b=2&a=1&", &[("b", "2"), ("a", "1")][..]),
            ("&&a=1&&b=", &[("a", "1"), ("b", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a=+x+%2B%20", &[("a", " x + ")]),
            ("a%3Db=c%26d", &[("a=b", "c&d")]),
            ("a=%C3%A4%c3%b6", &[("a", "äö")]),
            ("a=100%&b=%zz%1", &[("a", "100%"), ("b", "%zz%1")]),
            ("a&b=", &[("a", ""), ("b", "")]),
        ] {
            assert_eq!(pairs(body), owned(expected), "{body}");
        }
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let fields = [("a b", "ä & ö=1+1"), ("n*", "~"), ("e", "")];
        let body = encode(fields);
        assert_eq!(body, "a+b=%C3%A4+%26+%C3%B6%3D1%2B1&n%2A=%7E&e=");
        assert_eq!(pairs(&body), owned(&fields));
    }

    #[test]
    fn ambiguous_text_is_named_and_never_mended() {
        for (body, flaw) in [
            ("a=1&b=2&a=3", Flaw::DuplicateName { name: "a".into() }),
            ("a=1&%61=1", Flaw::DuplicateName { name: "a".into() }),
            ("a=%E4", Flaw::InvalidUtf8 { name: "a".into() }),
            ("%E4=a", Flaw::InvalidUtf8 { name: "\u{fffd}".into() }),
            ("a=x%00y", Flaw::ControlCharacter { name: "a".into() }),
            ("a%0A=x", Flaw::ControlCharacter { name: "a\u{fffd}".into() }),
            ("a=%C2%85", Flaw::ControlCharacter { name: "a".into() }),
        ] {
            let form = Form::read(body.as_bytes(), &LIMITS, Charset::Utf8).expect(body);
            assert_eq!(form.flaw(), Some(&flaw), "{body}");
        }
        let twice = Form::read(b"a=1&a=2", &LIMITS, Charset::Utf8).expect("a form");
        assert_eq!(twice.get("a"), Some("1"));
        let latin = Form::read(b"a=%D6st", &LIMITS, Charset::Utf8OrLatin1).expect("a form");
        assert_eq!((latin.get("a"), latin.flaw()), (Some("Öst"), None));
    }

    #[test]
    fn what_is_too_large_or_no_form_is_refused_by_name() {
        let long_name = format!("{}=1", "n".repeat(17));
        let long_value = format!("n={}", "v".repeat(33));
        for (body, refusal) in [
            ("", NotAForm::Empty),
            ("&&&", NotAForm::Empty),
            ("hello", NotAForm::Empty),
            (" <a b='c'/>", NotAForm::ADocument),
            ("{\"a\":\"=\"}", NotAForm::ADocument),
            ("a=&b=&c=&d=&e=&f=&g=&h=&i=", NotAForm::TooManyFields { max: 8 }),
            (&long_name, NotAForm::NameTooLong { at: 1, max: 16 }),
            (&long_value, NotAForm::ValueTooLong { at: 1, max: 32 }),
        ] {
            assert_eq!(Form::read(body.as_bytes(), &LIMITS, Charset::Utf8), Err(refusal), "{body}");
        }
    }
}
