//! The gate every XML document passes: bytes to a flat list of tokens, or a named refusal.
//!
//! One reader serves both the signature and the values, so that what was hashed is what is read.
//! Refused: DOCTYPE (and with it all declared entities), processing instructions, encodings
//! outside [`decode_text`]'s list, anything nested deeper than [`DEPTH_MAX`], elements with more
//! than [`ATTRIBUTES_MAX`] attributes, names outside a plain grammar, a second root, text around it.
//! Comments vanish and the text on both sides is joined, as canonical XML does it.

mod document;
mod encoding;
mod tag;

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event;

use self::document::index;
pub(super) use self::document::{Document, Space, Token};
pub(super) use self::encoding::decode_text;
use self::tag::Tag;
use super::Unreadable;

/// Deepest nesting of elements; real messages reach 7.
pub const DEPTH_MAX: usize = 32;
/// Most attributes of one element, namespace declarations included; real messages reach 9.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most elements of one document; a payment has up to 200. Bounds the memory of a flood of `<a/>`.
pub const ELEMENTS_MAX: usize = 100_000;
/// Most namespace declarations in scope at once; real messages reach 3. Keeps look-ups constant.
pub const NAMESPACES_MAX: usize = 16;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// The namespace of payments, and the spelling without hyphen that one provider's messages carry.
pub(super) const PAYMENT_NAMESPACES: [&str; 2] =
    ["http://www.elastic-payments.com/schema/payment", "http://www.elasticpayments.com/schema/payment"];
pub(super) const DSIG_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// At most 40 characters of a stranger's text, fit for one line of a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Reads a whole document, or says what and where it is refused.
pub(super) fn read(text: &str) -> Result<Document<'_>, Unreadable> {
    // The declaration may only come first; mails and copies put blanks before it.
    let text = text.trim_start();
    let bytes = Bytes::of(text.as_bytes());
    if bytes.has_control
        && let Some(at) = text.bytes().position(is_forbidden)
    {
        return Err(refused("a control character", at));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut document = Document::of(text.len());
    let ends = |piece| if bytes.has_control { line_ends(piece) } else { piece };
    let mut open: Vec<usize> = Vec::with_capacity(DEPTH_MAX);
    let mut scope: Vec<u32> = Vec::with_capacity(NAMESPACES_MAX);
    let mut is_done = false;
    let mut elements = 0;
    loop {
        let from = reader.buffer_position() as usize;
        let event = reader.read_event();
        let to = reader.buffer_position() as usize;
        match event {
            Err(error) => return Err(refused(&shown(&error.to_string()), from)),
            Ok(Event::Start(ref written) | Event::Empty(ref written)) => {
                if is_done {
                    return Err(refused("a second root element", from));
                }
                if open.len() >= DEPTH_MAX {
                    return Err(refused(&format!("elements nested deeper than {DEPTH_MAX}"), from));
                }
                elements += 1;
                if elements > ELEMENTS_MAX {
                    return Err(refused(&format!("more than {ELEMENTS_MAX} elements"), from));
                }
                let is_empty = matches!(event, Ok(Event::Empty(_)));
                let tag = &text[from + 1..to - if is_empty { 2 } else { 1 }];
                let at = document.tokens.len();
                let tag = Tag { text: tag, name_bytes: written.name().as_ref().len(), at: from, bytes };
                tag.read(&mut document, &mut scope)?;
                open.push(at);
                if is_empty {
                    is_done = close(&mut document, &mut open, &mut scope);
                }
            }
            Ok(Event::End(_)) => is_done = close(&mut document, &mut open, &mut scope),
            Ok(Event::Text(piece)) => push_text(&mut document, &open, ends(piece.into_inner()), from)?,
            Ok(Event::CData(piece)) if open.is_empty() => {
                return Err(refused(
                    if piece.is_empty() { "CDATA outside the root" } else { "text outside the root" },
                    from,
                ));
            }
            Ok(Event::CData(piece)) => push_text(&mut document, &open, ends(piece.into_inner()), from)?,
            Ok(Event::GeneralRef(reference)) => {
                let c = entity(&reference).ok_or_else(|| refused("an entity other than the five of XML", from))?;
                push_text(&mut document, &open, Cow::Owned(c.to_string()), from)?;
            }
            Ok(Event::Comment(_)) => {}
            Ok(Event::Decl(_)) if from == 0 => {}
            Ok(Event::Decl(_)) => return Err(refused("an XML declaration that is not first", from)),
            Ok(Event::PI(_)) => return Err(refused("a processing instruction", from)),
            Ok(Event::DocType(_)) => return Err(refused("a DOCTYPE", from)),
            Ok(Event::Eof) if is_done => return Ok(document),
            Ok(Event::Eof) => return Err(refused("an end before the root is closed", from)),
        }
    }
}

#[cold]
fn refused(what: &str, at: usize) -> Unreadable {
    Unreadable::new(format!("xml: {what} at byte {at} is refused"))
}

/// What a text is made of, found in one pass over all of it: most messages are one line without references, and need no
/// second look at their pieces. The pass has no branches, so that compilers turn it into wide compares.
#[derive(Clone, Copy)]
struct Bytes {
    /// Blanks other than the space, or what no document holds.
    has_control: bool,
    has_reference: bool,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        let (mut control, mut reference) = (false, false);
        for byte in bytes {
            control |= *byte < b' ';
            reference |= *byte == b'&';
        }
        Bytes { has_control: control, has_reference: reference }
    }

    /// Values that are not written as they are read.
    fn has_special(self) -> bool {
        self.has_control || self.has_reference
    }
}

/// A byte that no XML document holds.
fn is_forbidden(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')
}

fn is_not_xml_char(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// Closes the innermost element; true when it was the root.
#[inline]
fn close(document: &mut Document, open: &mut Vec<usize>, scope: &mut Vec<u32>) -> bool {
    let at = open.pop().expect("the reader checks that every end has its start");
    let end = document.tokens.len();
    document.tokens.push(Token::End);
    if let Token::Start(element) = &mut document.tokens[at] {
        element.end = index(end);
        if !element.declarations.is_empty() {
            scope.truncate(scope.len() - element.declarations.len());
        }
    }
    open.is_empty()
}

#[inline]
fn push_text<'a>(
    document: &mut Document<'a>,
    open: &[usize],
    piece: Cow<'a, str>,
    at: usize,
) -> Result<(), Unreadable> {
    if open.is_empty() {
        return if piece.trim().is_empty() { Ok(()) } else { Err(refused("text outside the root", at)) };
    }
    document.push_text(piece);
    Ok(())
}

/// Line ends as XML 1.0 normalises them (2.11): CR LF and CR become LF.
fn line_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// The five predefined entities and numeric references; nothing else exists without a DOCTYPE.
fn entity(name: &str) -> Option<char> {
    let number = match name {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        _ => name.strip_prefix('#')?,
    };
    let digits = |text: &str, radix| {
        let is_plain = !text.is_empty() && text.len() <= 8 && text.chars().all(|c| c.is_digit(radix));
        is_plain.then(|| u32::from_str_radix(text, radix).ok()).flatten()
    };
    let code = match number.strip_prefix('x') {
        Some(hex) => digits(hex, 16)?,
        None => digits(number, 10)?,
    };
    char::from_u32(code).filter(|c| !is_not_xml_char(*c))
}

#[cfg(test)]
mod tests;
