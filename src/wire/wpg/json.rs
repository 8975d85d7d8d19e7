//! A small JSON reader that keeps what serde_json's values lose: the spelling of numbers (money is
//! never a float here) and names that come twice.
//!
//! It accepts exactly what RFC 8259 does, nested at most [`DEPTH_MAX`] deep.

use std::borrow::Cow;

use super::Unreadable;

/// Deepest nesting; real messages reach 6.
pub const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// As spelt.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// The value under a name; none where two stand, because neither can be trusted.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let Json::Object(members) = self else { return None };
        let mut found = members.iter().filter(|(n, _)| n == name).map(|(_, value)| value);
        found.next().filter(|_| found.next().is_none())
    }

    /// Text, or a number as spelt.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            Json::Number(number) => Some(number),
            Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
        }
    }
}

/// A document, and the first name that some object of it holds twice.
pub(super) struct Document<'a> {
    pub value: Json<'a>,
    pub twin: Option<String>,
}

pub(super) fn read(text: &str) -> Result<Document<'_>, Unreadable> {
    let mut reader = Reader { text, at: 0, twin: None };
    let value = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.refused("something after the end of the document"));
    }
    Ok(Document { value, twin: reader.twin })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    twin: Option<String>,
}

impl<'a> Reader<'a> {
    fn refused(&self, what: &str) -> Unreadable {
        Unreadable::new(format!("json: {what} at byte {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        if depth > DEPTH_MAX {
            return Err(self.refused(&format!("values nested deeper than {DEPTH_MAX}")));
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.refused("no value"))
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.blanks();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.refused("no name"));
            }
            let name = self.string()?;
            self.blanks();
            if !self.take(b':') {
                return Err(self.refused("no `:` after a name"));
            }
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.blanks();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(self.refused("neither `,` nor `}`"));
            }
        }
        if self.twin.is_none() {
            let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
            names.sort_unstable();
            self.twin = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned());
        }
        Ok(Json::Object(members))
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, Unreadable> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.take(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take(b']') {
                return Ok(Json::List(items));
            }
            if !self.take(b',') {
                return Err(self.refused("neither `,` nor `]`"));
            }
        }
    }

    fn number(&mut self) -> Result<Json<'a>, Unreadable> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            reader.at > from
        };
        self.take(b'-');
        let whole = self.take(b'0') || digits(self);
        let part = !self.take(b'.') || digits(self);
        let exponent = if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            digits(self)
        } else {
            true
        };
        if whole && part && exponent {
            Ok(Json::Number(&self.text[start..self.at]))
        } else {
            Err(self.refused("a broken number"))
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unreadable> {
        self.at += 1;
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let start = self.at;
            while self.peek().is_some_and(|b| b != b'"' && b != b'\\' && b >= b' ') {
                self.at += 1;
            }
            let plain = &self.text[start..self.at];
            if text.is_empty() {
                text = Cow::Borrowed(plain);
            } else if !plain.is_empty() {
                text.to_mut().push_str(plain);
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    text.to_mut().push(c);
                }
                Some(_) => return Err(self.refused("a control character in a text")),
                None => return Err(self.refused("an end inside a text")),
            }
        }
    }

    /// One escape, the backslash already taken.
    fn escape(&mut self) -> Result<char, Unreadable> {
        let Some(letter) = self.peek() else { return Err(self.refused("an end inside a text")) };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.four_hex()?;
                let code = if (0xD800..0xDC00).contains(&high) {
                    if !(self.take(b'\\') && self.take(b'u')) {
                        return Err(self.refused("half a surrogate pair"));
                    }
                    let low = self.four_hex()?;
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(self.refused("half a surrogate pair"));
                    }
                    0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    high
                };
                char::from_u32(code).ok_or_else(|| self.refused("half a surrogate pair"))?
            }
            _ => return Err(self.refused("an unknown escape")),
        })
    }

    fn four_hex(&mut self) -> Result<u32, Unreadable> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return Err(self.refused("a broken \\u escape")) };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, d| code * 16 + char::from(*d).to_digit(16).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What serde_json makes of the same value.
    fn same(ours: &Json, theirs: &serde_json::Value) -> bool {
        match (ours, theirs) {
            (Json::Null, serde_json::Value::Null) => true,
            (Json::Bool(a), serde_json::Value::Bool(b)) => a == b,
            (Json::Number(a), serde_json::Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
            (Json::Text(a), serde_json::Value::String(b)) => a == b,
            (Json::List(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Json::Object(a), serde_json::Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, a)| b.get(name.as_ref()).is_some_and(|b| same(a, b)))
            }
            _ => false,
        }
    }

    #[test]
    fn numbers_keep_their_spelling_and_twins_are_seen() {
        let document = read(r#"{"a":1.990000,"b":[{"c":1,"c":2}]}"#).expect("json");
        assert_eq!(document.value.get("a"), Some(&Json::Number("1.990000")));
        assert_eq!(document.twin.as_deref(), Some("c"));
        assert_eq!(read(r#"{"a":1,"\u0061":2}"#).expect("json").twin.as_deref(), Some("a"));
    }

    #[test]
    fn nesting_ends_at_the_limit() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(read(&nested(DEPTH_MAX + 2)).is_err());
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn it_accepts_what_serde_json_accepts(text in r#"[\[\]{}:,"\\ue0-3a-fE.+ntrls-]{0,24}"#) {
            match (read(&text), serde_json::from_str::<serde_json::Value>(&text)) {
                // serde_json keeps the last twin and refuses numbers beyond f64; we do neither.
                (Ok(ours), Ok(theirs)) => prop_assert!(ours.twin.is_some() || same(&ours.value, &theirs), "{text}"),
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{text}: {error}"),
                (Err(error), Ok(_)) => prop_assert!(false, "{text}: {error}"),
            }
        }
    }
}
