//! The gate every XML document passes: bytes to a flat list of tokens, or a named refusal.
//!
//! One reader serves both the signature and the values, so that what was hashed is what is read.
//! Refused: DOCTYPE (and with it all declared entities), processing instructions, encodings
//! outside [`decode_text`]'s list, anything nested deeper than [`DEPTH_MAX`], elements with more
//! than [`ATTRIBUTES_MAX`] attributes, names outside a plain grammar, a second root, text around it.
//! Comments vanish and the text on both sides is joined, as canonical XML does it.

use std::borrow::Cow;
use std::ops::Range;

use encoding_rs::Encoding;
use quick_xml::Reader;
use quick_xml::events::Event;

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

/// The namespaces that a name can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Space {
    /// In no namespace at all.
    None,
    /// One of [`PAYMENT_NAMESPACES`].
    Payment,
    /// [`DSIG_NAMESPACE`].
    Dsig,
    Strange,
}

impl Space {
    fn of(uri: &str) -> Space {
        match uri {
            "" => Space::None,
            DSIG_NAMESPACE => Space::Dsig,
            uri if PAYMENT_NAMESPACES.contains(&uri) => Space::Payment,
            _ => Space::Strange,
        }
    }
}

/// One token of a document. Text is unescaped and whole: never two in a row.
///
/// A document is mostly a list of these, so they are kept small: positions fit 32 bits, for no body is longer than
/// [`super::BODY_MAX_BYTES`].
#[derive(Debug)]
pub(super) enum Token<'a> {
    Start(Element<'a>),
    Text(Cow<'a, str>),
    End,
}

#[derive(Debug)]
pub(super) struct Element<'a> {
    /// Name as written, prefix included.
    pub qname: &'a str,
    /// Where its `End` stands among the tokens.
    end: u32,
    /// Its attributes in [`Document::attributes`], declarations left out.
    attributes: Range<u32>,
    /// Its own declarations in [`Document::declarations`].
    declarations: Range<u32>,
    /// The namespace the name is in.
    pub space: Space,
}

impl<'a> Element<'a> {
    /// The name without its prefix.
    pub fn local(&self) -> &'a str {
        self.qname.split_once(':').map_or(self.qname, |(_, local)| local)
    }

    /// Where its `End` stands among the tokens.
    pub fn end(&self) -> usize {
        self.end as usize
    }
}

fn indices(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// A position among tokens, attributes or declarations: each takes at least a byte of the body.
fn index(at: usize) -> u32 {
    u32::try_from(at).expect("no body has 2^32 bytes")
}

#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub qname: &'a str,
    pub local: &'a str,
    pub namespace: Cow<'a, str>,
    pub value: Cow<'a, str>,
}

/// `xmlns:prefix="uri"`; the prefix is empty for `xmlns="uri"`.
#[derive(Debug, Clone)]
pub(super) struct Declaration<'a> {
    pub prefix: &'a str,
    pub uri: Cow<'a, str>,
    space: Space,
}

/// A document that passed the gate. Token 0 is the root's start, the last one its end.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub tokens: Vec<Token<'a>>,
    attributes: Vec<Attribute<'a>>,
    declarations: Vec<Declaration<'a>>,
}

impl<'a> Document<'a> {
    pub fn element(&self, at: usize) -> &Element<'a> {
        match &self.tokens[at] {
            Token::Start(element) => element,
            Token::Text(_) | Token::End => unreachable!("positions come from `children`, which yields starts only"),
        }
    }

    pub fn attributes(&self, element: &Element<'a>) -> &[Attribute<'a>] {
        &self.attributes[indices(&element.attributes)]
    }

    pub fn declarations(&self, element: &Element<'a>) -> &[Declaration<'a>] {
        &self.declarations[indices(&element.declarations)]
    }

    /// The value of an attribute without prefix.
    pub fn attribute(&self, at: usize, name: &str) -> Option<&str> {
        let attributes = self.attributes(self.element(at));
        attributes.iter().find(|a| a.qname == name).map(|a| a.value.as_ref())
    }

    /// The child elements of the element at `parent`, as positions of their starts.
    pub fn children(&self, parent: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = parent + 1;
        std::iter::from_fn(move || {
            loop {
                match &self.tokens[at] {
                    Token::Start(element) => {
                        let child = at;
                        at = element.end() + 1;
                        return Some(child);
                    }
                    Token::Text(_) => at += 1,
                    Token::End => return None,
                }
            }
        })
    }

    /// All text directly inside an element, joined.
    pub fn text(&self, at: usize) -> Cow<'_, str> {
        let mut joined = Cow::Borrowed("");
        let mut next = at + 1;
        loop {
            match &self.tokens[next] {
                Token::Start(element) => next = element.end() + 1,
                Token::Text(text) => {
                    append(&mut joined, Cow::Borrowed(text.as_ref()));
                    next += 1;
                }
                Token::End => return joined,
            }
        }
    }
}

fn append<'a>(joined: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if joined.is_empty() {
        *joined = more;
    } else {
        joined.to_mut().push_str(&more);
    }
}

/// Bytes to text by the document's own word: a UTF-8 mark, or the XML declaration, or UTF-8.
///
/// Known are UTF-8, ASCII, ISO-8859-x and windows-125x; bytes that do not fit are an error, never a
/// replacement. The Content-Type header has no say (fact sheet wpg b.2).
pub(super) fn decode_text(body: &[u8]) -> Result<Cow<'_, str>, Unreadable> {
    if let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        return utf8(rest);
    }
    let Some(label) = declared_encoding(body) else { return utf8(body) };
    let lower = label.to_ascii_lowercase();
    if matches!(lower.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii") {
        return utf8(body);
    }
    let is_known = lower.starts_with("iso-8859-") || lower.starts_with("windows-125");
    let encoding = Encoding::for_label(lower.as_bytes()).filter(|_| is_known);
    let Some(encoding) = encoding else {
        return Err(Unreadable::new(format!("xml: the encoding `{}` is not one we read", shown(&label))));
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
fn declared_encoding(body: &[u8]) -> Option<String> {
    let start = body.iter().position(|b| !b.is_ascii_whitespace())?;
    let declaration = body[start..].strip_prefix(b"<?xml")?;
    let end = declaration.iter().take(256).position(|b| *b == b'>')?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let (_, after) = declaration.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(after[1..].split(quote).next()?.to_owned())
}

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
        && let Some(at) = text.bytes().position(is_control)
    {
        return Err(refused("a control character", at));
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    // About a token for every 12 bytes; more are made room for as they come.
    let mut document = Document { tokens: Vec::with_capacity(text.len() / 12 + 4), ..Document::default() };
    let ends = |piece| if bytes.has_special { line_ends(piece) } else { piece };
    let mut open: Vec<usize> = Vec::new();
    let mut scope: Vec<Declaration> = Vec::new();
    let mut is_done = false;
    let mut elements = 0;
    loop {
        let from = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|error| refused(&shown(&error.to_string()), from))?;
        let to = reader.buffer_position() as usize;
        match event {
            Event::Start(_) | Event::Empty(_) => {
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
                let is_empty = matches!(event, Event::Empty(_));
                let tag = &text[from + 1..to - if is_empty { 2 } else { 1 }];
                let at = document.tokens.len();
                let element = start(tag, from, bytes, &mut document, &mut scope)?;
                document.tokens.push(Token::Start(element));
                open.push(at);
                if is_empty {
                    is_done = close(&mut document, &mut open, &mut scope);
                }
            }
            Event::End(_) => is_done = close(&mut document, &mut open, &mut scope),
            Event::Text(piece) => push_text(&mut document, &open, ends(piece.into_inner()), from)?,
            Event::CData(piece) if open.is_empty() => {
                return Err(refused(
                    if piece.is_empty() { "CDATA outside the root" } else { "text outside the root" },
                    from,
                ));
            }
            Event::CData(piece) => push_text(&mut document, &open, ends(piece.into_inner()), from)?,
            Event::GeneralRef(reference) => {
                let c = entity(&reference).ok_or_else(|| refused("an entity other than the five of XML", from))?;
                push_text(&mut document, &open, Cow::Owned(c.to_string()), from)?;
            }
            Event::Comment(_) => {}
            Event::Decl(_) if from == 0 => {}
            Event::Decl(_) => return Err(refused("an XML declaration that is not first", from)),
            Event::PI(_) => return Err(refused("a processing instruction", from)),
            Event::DocType(_) => return Err(refused("a DOCTYPE", from)),
            Event::Eof if is_done => return Ok(document),
            Event::Eof => return Err(refused("an end before the root is closed", from)),
        }
    }
}

fn refused(what: &str, at: usize) -> Unreadable {
    Unreadable::new(format!("xml: {what} at byte {at} is refused"))
}

/// What a text is made of, found in one pass over all of it: most messages are one line without references, and need no
/// second look at their pieces. The pass has no branches, so that compilers turn it into wide compares.
#[derive(Clone, Copy)]
struct Bytes {
    has_control: bool,
    /// A reference, a tab or an end of line: what values are not written as they are read.
    has_special: bool,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        let (mut control, mut special) = (false, false);
        for byte in bytes {
            control |= is_control(*byte);
            special |= (*byte == b'&') | (*byte == b'\t') | (*byte == b'\n') | (*byte == b'\r');
        }
        Bytes { has_control: control, has_special: special }
    }
}

/// A byte that no XML document holds.
fn is_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
}

fn is_not_xml_char(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// Closes the innermost element; true when it was the root.
fn close(document: &mut Document, open: &mut Vec<usize>, scope: &mut Vec<Declaration>) -> bool {
    let at = open.pop().expect("the reader checks that every end has its start");
    let end = document.tokens.len();
    document.tokens.push(Token::End);
    if let Token::Start(element) = &mut document.tokens[at] {
        element.end = index(end);
        scope.truncate(scope.len() - element.declarations.len());
    }
    open.is_empty()
}

fn push_text<'a>(
    document: &mut Document<'a>,
    open: &[usize],
    piece: Cow<'a, str>,
    at: usize,
) -> Result<(), Unreadable> {
    if open.is_empty() {
        return if piece.trim().is_empty() { Ok(()) } else { Err(refused("text outside the root", at)) };
    }
    if let Some(Token::Text(last)) = document.tokens.last_mut() {
        append(last, piece);
    } else if !piece.is_empty() {
        document.tokens.push(Token::Text(piece));
    }
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

/// Reads one start tag, declares its namespaces and resolves its names.
fn start<'a>(
    tag: &'a str,
    from: usize,
    bytes: Bytes,
    document: &mut Document<'a>,
    scope: &mut Vec<Declaration<'a>>,
) -> Result<Element<'a>, Unreadable> {
    let name_len = tag.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(tag.len());
    let qname = name(&tag[..name_len], from)?;
    let first_attribute = document.attributes.len();
    let first_declaration = document.declarations.len();
    let mut rest = &tag[name_len..];
    while let Some((key, raw, after)) = next_attribute(rest, from)? {
        rest = after;
        let count = document.attributes.len() - first_attribute + document.declarations.len() - first_declaration;
        if count >= ATTRIBUTES_MAX {
            return Err(refused(&format!("an element with more than {ATTRIBUTES_MAX} attributes"), from));
        }
        let key = name(key, from)?;
        let value =
            if bytes.has_special || raw.contains('<') { attribute_value(raw, from)? } else { Cow::Borrowed(raw) };
        let prefix = match key.strip_prefix("xmlns") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix(':'),
            None => None,
        };
        match prefix {
            Some(prefix) => {
                let is_reserved = matches!(prefix, "xml" | "xmlns") || value == XML_NAMESPACE;
                if is_reserved || (!prefix.is_empty() && value.is_empty()) || scope.len() >= NAMESPACES_MAX {
                    return Err(refused("a namespace declaration that is reserved, empty or one too many", from));
                }
                if document.declarations[first_declaration..].iter().any(|known| known.prefix == prefix) {
                    return Err(refused("an attribute that comes twice", from));
                }
                let declaration = Declaration { prefix, space: Space::of(&value), uri: value };
                scope.push(declaration.clone());
                document.declarations.push(declaration);
            }
            None => {
                if document.attributes[first_attribute..].iter().any(|known| known.qname == key) {
                    return Err(refused("an attribute that comes twice", from));
                }
                let local = key.split_once(':').map_or(key, |(_, local)| local);
                document.attributes.push(Attribute { qname: key, local, namespace: Cow::Borrowed(""), value });
            }
        }
    }
    // Names are resolved last: a declaration holds for its own element, wherever it stands in the tag.
    for attribute in &mut document.attributes[first_attribute..] {
        if let Some((prefix, _)) = attribute.qname.split_once(':') {
            attribute.namespace = match prefix {
                "xml" => Cow::Borrowed(XML_NAMESPACE),
                _ => declared(prefix, scope).ok_or_else(|| refused("an undeclared prefix", from))?.uri.clone(),
            };
        }
    }
    let prefix = qname.split_once(':').map_or("", |(prefix, _)| prefix);
    let space = match declared(prefix, scope) {
        Some(declaration) => declaration.space,
        None if prefix.is_empty() => Space::None,
        None if prefix == "xml" => Space::Strange,
        None => return Err(refused("an undeclared prefix", from)),
    };
    Ok(Element {
        qname,
        end: 0,
        attributes: index(first_attribute)..index(document.attributes.len()),
        declarations: index(first_declaration)..index(document.declarations.len()),
        space,
    })
}

/// The declaration that holds for a prefix: the innermost.
fn declared<'s, 'a>(prefix: &str, scope: &'s [Declaration<'a>]) -> Option<&'s Declaration<'a>> {
    // Most names have no prefix, and two empty ones need no comparing.
    let is_it =
        |known: &&Declaration| known.prefix.len() == prefix.len() && (prefix.is_empty() || known.prefix == prefix);
    scope.iter().rev().find(is_it)
}

/// An attribute's name and value as written, and what stands behind it.
type Written<'a> = (&'a str, &'a str, &'a str);

/// The next attribute of a tag: blanks, a name, `=`, a value in quotes.
fn next_attribute(tag: &str, at: usize) -> Result<Option<Written<'_>>, Unreadable> {
    let text = tag.trim_ascii_start();
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() == tag.len() {
        return Err(refused("an attribute without a blank before it", at));
    }
    let equals = text.bytes().position(|b| b == b'=').ok_or_else(|| refused("an attribute without a value", at))?;
    let (key, value) = (text[..equals].trim_ascii_end(), text[equals + 1..].trim_ascii_start());
    let quoted = match value.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => value[1..].split_once(char::from(*quote)),
        _ => None,
    };
    let (value, after) = quoted.ok_or_else(|| refused("an attribute whose value is not in quotes", at))?;
    Ok(Some((key, value, after)))
}

/// The bytes of plain names behind their first.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_' | b'.');
        byte += 1;
    }
    table
};

/// A name by a plain grammar: no second spelling of a tag may look like another in canonical form.
fn name(text: &str, at: usize) -> Result<&str, Unreadable> {
    // Nearly every name is plain ASCII without a colon.
    if text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && text.bytes().all(|b| PLAIN[usize::from(b)]) {
        return Ok(text);
    }
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
    let is_other = |c: char| is_first(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_plain = |part: &str| part.starts_with(is_first) && part.chars().all(is_other);
    let is_name = match text.split_once(':') {
        Some((prefix, local)) => is_plain(prefix) && is_plain(local),
        None => is_plain(text),
    };
    if is_name { Ok(text) } else { Err(refused(&format!("the name `{}`", shown(text)), at)) }
}

/// An attribute's value: blanks normalised, references resolved (XML 1.0, 3.3.3).
fn attribute_value(raw: &str, at: usize) -> Result<Cow<'_, str>, Unreadable> {
    if !raw.bytes().any(|b| matches!(b, b'<' | b'&' | b'\t' | b'\n' | b'\r')) {
        return Ok(Cow::Borrowed(raw));
    }
    if raw.contains('<') {
        return Err(refused("`<` in an attribute", at));
    }
    let raw = line_ends(Cow::Borrowed(raw)).replace(['\t', '\n'], " ");
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some((before, after)) = rest.split_once('&') {
        value.push_str(before);
        let (name, after) = after.split_once(';').ok_or_else(|| refused("a lone `&` in an attribute", at))?;
        value.push(entity(name).ok_or_else(|| refused("an entity other than the five of XML", at))?);
        rest = after;
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn what_the_gate_refuses_is_named() {
        let deep = format!("{}{}", "<a>".repeat(33), "</a>".repeat(33));
        let wide = format!("<a {}/>", (0..65).map(|n| format!("b{n}='1' ")).collect::<String>());
        let scoped = format!("<a {}/>", (0..17).map(|n| format!("xmlns:n{n}='u' ")).collect::<String>());
        for (text, expected) in [
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "a DOCTYPE"),
            ("<a>&x;</a>", "an entity other than the five"),
            ("<a b='&x;'/>", "an entity other than the five"),
            ("<a b='&'/>", "a lone `&`"),
            ("<a>&#0;</a>", "an entity other than the five"),
            ("<a><?php x?></a>", "a processing instruction"),
            ("<a/><b/>", "a second root element"),
            ("<a/>more", "text outside the root"),
            ("<a/><![CDATA[]]>", "CDATA outside the root"),
            ("more<a/>", "text outside the root"),
            ("<a>", "an end before the root is closed"),
            ("", "an end before the root is closed"),
            ("<a></b>", "xml: "),
            ("<a/><?xml version='1.0'?>", "an XML declaration that is not first"),
            ("<a b='1' b='2'/>", "comes twice"),
            ("<a b=1/>", "not in quotes"),
            ("<a b='1'c='2'/>", "without a blank"),
            ("<a b/>", "without a value"),
            ("<a b='1' c/>", "without a value"),
            ("<a ='1'/>", "the name"),
            ("<a b c='1'/>", "the name"),
            ("<a b='1/>", "xml: "),
            ("<a xmlns='u' xmlns='v'/>", "comes twice"),
            ("<x:a/>", "an undeclared prefix"),
            ("<a x:b='1'/>", "an undeclared prefix"),
            ("<a$b/>", "the name"),
            ("<a xmlns:xml='u'/>", "a namespace declaration"),
            ("<a>\u{1}</a>", "a control character"),
            (&deep, "nested deeper than 32"),
            (&wide, "more than 64 attributes"),
            (&scoped, "a namespace declaration"),
        ] {
            assert!(why(text).contains(expected), "{text}: {}", why(text));
        }
    }

    #[test]
    fn text_is_joined_over_comments_cdata_and_references() {
        let document = read("<a>19<!-- -->.<![CDATA[5]]>0&amp;&#x41;\r\n</a>").expect("a document");
        assert_eq!(document.text(0), "19.50&A\n");
    }

    #[test]
    fn attributes_are_normalised_as_xml_says() {
        let document = read("<a b='x\r\ny&#10;&quot;'/>").expect("a document");
        assert_eq!(document.attribute(0, "b"), Some("x y\n\""));
    }

    #[test]
    fn the_encoding_is_taken_from_the_document_and_strictly() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xFC</a>";
        assert!(decode_text(latin).expect("latin").contains('ü'));
        let west = b"<?xml version=\"1.0\" encoding = \"windows-1250\"?><a>\x9A</a>";
        assert!(decode_text(west).expect("1250").contains('š'));
        assert_eq!(decode_text(b"\xEF\xBB\xBF<a/>").expect("mark"), "<a/>");
        for bad in [
            &b"<a>\xFC</a>"[..],
            b"<?xml version='1.0' encoding='UTF-7'?><a/>",
            b"<?xml version='1.0' encoding='gbk'?><a/>",
            b"\xFF\xFE<\0a\0/\0>\0",
        ] {
            assert!(decode_text(bad).is_err());
        }
    }

    #[test]
    fn declarations_hold_for_their_own_element_and_below_only() {
        let text = format!(
            "<p:a xmlns:p='{}'><b xmlns='{DSIG_NAMESPACE}' p:c='1'/><d/><p:e xmlns:p='u'/></p:a>",
            PAYMENT_NAMESPACES[0]
        );
        let document = read(&text).expect("a document");
        assert_eq!(document.element(0).space, Space::Payment);
        let children: Vec<_> = document.children(0).map(|at| document.element(at).space).collect();
        assert_eq!(children, [Space::Dsig, Space::None, Space::Strange]);
        let b = document.children(0).next().expect("b");
        assert_eq!(document.attributes(document.element(b))[0].namespace, PAYMENT_NAMESPACES[0]);
    }
}
