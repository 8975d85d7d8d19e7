//! Form bodies, split by hand: the signatures are over bytes that an ordinary form parser changes.

use std::borrow::Cow;

use super::Unreadable;
pub(super) use crate::wire::form::Plus;
use crate::wire::form::decoded;

/// Most pairs of one body. Real ones hold up to 80; 99 custom fields and 99 statuses would fit.
pub const PAIRS_MAX: usize = 2_000;

/// A name and its value, percent-decoded and otherwise untouched.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The pairs of a body, in the order they came.
pub(super) struct Form<'a> {
    pairs: Vec<Pair<'a>>,
    /// Positions in `pairs`, sorted by name.
    by_name: Vec<usize>,
}

impl<'a> Form<'a> {
    /// Splits at `&` and the first `=`. Empty pairs (a trailing `&`) are nothing, and so are the line breaks that a
    /// mail or a manual puts between pairs: no sender leaves a blank unescaped.
    pub fn read(body: &'a [u8], plus: Plus) -> Result<Form<'a>, Unreadable> {
        let mut pairs = Vec::new();
        for pair in body.split(|b| *b == b'&').map(<[u8]>::trim_ascii) {
            if pair.is_empty() {
                continue;
            }
            if pairs.len() >= PAIRS_MAX {
                return Err(Unreadable::new(format!("form: more than {PAIRS_MAX} fields")));
            }
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            pairs.push((decoded(name, plus), decoded(value, plus)));
        }
        let mut by_name: Vec<usize> = (0..pairs.len()).collect();
        by_name.sort_by(|a, b| pairs[*a].0.cmp(&pairs[*b].0));
        Ok(Form { pairs, by_name })
    }

    /// The bytes under a name; empty where it is missing or stands twice with different values.
    pub fn bytes(&self, name: &str) -> &[u8] {
        let key = |at: &usize| self.pairs[*at].0.as_ref();
        let from = self.by_name.partition_point(|at| key(at) < name.as_bytes());
        let mut values =
            self.by_name[from..].iter().take_while(|at| key(at) == name.as_bytes()).map(|at| &self.pairs[*at].1);
        let Some(first) = values.next() else { return b"" };
        if values.all(|other| other == first) { first } else { b"" }
    }

    /// The text under a name: UTF-8, or ISO-8859-1 where the bytes are not.
    pub fn text(&self, name: &str) -> Cow<'_, str> {
        text(self.bytes(name))
    }

    /// A name that comes twice, if one does.
    pub fn twin(&self) -> Option<Cow<'_, str>> {
        let name = |at: usize| &self.pairs[at].0;
        let found = self.by_name.windows(2).find(|two| name(two[0]) == name(two[1]))?;
        Some(text(name(found[0])))
    }

    /// All pairs as text, in the order they came.
    pub fn pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.pairs.iter().map(|(name, value)| (text(name), text(value)))
    }
}

/// ISO-8859-1 occurs (fact sheet wpg b.2); every byte of it is a character.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| encoding_rs::mem::decode_latin1(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_by_hand() {
        let form = Form::read(b"a=1%2B2&b=x+y&c&d=%zz=&=e&&\r\n ", Plus::IsBlank).expect("a form");
        let pairs: Vec<_> = form.pairs().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(pairs, ["a=1+2", "b=x y", "c=", "d=%zz=", "=e"]);
        let raw = Form::read(b"a=x+y", Plus::IsPlus).expect("a form");
        assert_eq!(raw.text("a"), "x+y");
        let folded = Form::read(b"a=1\r\n&b=2&\n c=3%0A\n", Plus::IsBlank).expect("a form");
        let pairs: Vec<_> = folded.pairs().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(pairs, ["a=1", "b=2", "c=3\n"]);
    }

    #[test]
    fn a_name_that_says_two_things_says_nothing() {
        let form = Form::read(b"b=1&a=1&b%20=3&%62=2&c=4&c=4", Plus::IsBlank).expect("a form");
        assert_eq!(form.twin().as_deref(), Some("b"));
        assert_eq!((form.bytes("b"), form.bytes("a"), form.bytes("c")), (&b""[..], &b"1"[..], &b"4"[..]));
        assert_eq!(form.bytes("d"), b"");
    }

    #[test]
    fn latin_bytes_are_read_as_latin() {
        let form = Form::read(b"last_name=M%FCller", Plus::IsBlank).expect("a form");
        assert_eq!(form.text("last_name"), "Müller");
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        assert!(Form::read("a=1&".repeat(PAIRS_MAX).as_bytes(), Plus::IsBlank).is_ok());
        assert!(Form::read("a=1&".repeat(PAIRS_MAX + 1).as_bytes(), Plus::IsBlank).is_err());
    }
}
