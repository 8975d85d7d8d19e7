//! Which characters a document's bytes are.

use std::borrow::Cow;

use encoding_rs::Encoding;
use memchr::{memchr, memmem};

use super::super::Unreadable;
use super::shown;

/// Longest XML declaration, in bytes; real ones have 55.
const DECLARATION_MAX_BYTES: usize = 256;

/// Bytes to text by the document's own word: a UTF-8 mark, or the XML declaration, or UTF-8.
///
/// Known are UTF-8, ASCII, ISO-8859-x and windows-125x; bytes that do not fit are an error, never a
/// replacement. The Content-Type header has no say (fact sheet wpg b.2).
pub(in super::super) fn decode_text(body: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        return utf8(rest);
    }
    let Some(label) = declared_encoding(body) else { return utf8(body) };
    if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|utf8| label.eq_ignore_ascii_case(utf8)) {
        return utf8(body);
    }
    let lower = label.to_ascii_lowercase();
    let is_known = lower.starts_with("iso-8859-") || lower.starts_with("windows-125");
    let encoding = Encoding::for_label(lower.as_bytes()).filter(|_| is_known);
    let Some(encoding) = encoding else {
        return Err(Unreadable::new(format!("xml: the encoding `{}` is not one we read", shown(label))));
    };
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or_else(|| Unreadable::new(format!("xml: bytes that are not {}", encoding.name())))
}

fn utf8(body: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) => Err(Unreadable::new(format!("xml: not valid UTF-8 at byte {}", error.valid_up_to()))),
    }
}

/// The `encoding` of `<?xml … ?>`, read as ASCII.
fn declared_encoding(body: &[u8]) -> Option<&str> {
    let declaration = body.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = memchr(b'>', &declaration[..declaration.len().min(DECLARATION_MAX_BYTES)])?;
    let named = memmem::find(&declaration[..end], b"encoding")? + b"encoding".len();
    let after = std::str::from_utf8(&declaration[named..end]).ok()?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    after[1..].split(quote).next()
}
