//! One start tag: its names by a plain grammar, its attributes, the namespaces it declares.

use std::borrow::Cow;

use memchr::memchr2;

use super::super::Unreadable;
use super::document::{Attribute, Declaration, Document, Element, Namespace, Space, Token, index};
use super::{ATTRIBUTES_MAX, Bytes, NAMESPACES_MAX, XML_NAMESPACE, entity, line_ends, refused, shown};

/// A start tag without its brackets.
pub(super) struct Tag<'a> {
    pub text: &'a str,
    /// What stands before the first blank.
    pub name_bytes: usize,
    /// Where it starts in the document.
    pub at: usize,
    /// What the whole document is made of.
    pub bytes: Bytes,
}

/// A name in its two parts; most have no prefix.
#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    prefix: &'a str,
    local: &'a str,
}

impl<'a> Name<'a> {
    fn without_prefix(text: &'a str) -> Name<'a> {
        Name { text, prefix: "", local: text }
    }
}

impl<'a> Tag<'a> {
    /// Reads the tag into the document, declares its namespaces and resolves its names.
    pub fn read(&self, document: &mut Document<'a>, scope: &mut Vec<u32>) -> Result<(), Unreadable> {
        let (text, mut rest) = self.text.split_at(self.name_bytes);
        let name = self.name(text)?;
        let (first_attribute, first_declaration) = (document.attributes.len(), document.declarations.len());
        let mut has_prefix = false;
        while let Some((key, raw, after)) = self.next_attribute(rest)? {
            rest = after;
            let count = document.attributes.len() - first_attribute + document.declarations.len() - first_declaration;
            if count >= ATTRIBUTES_MAX {
                return Err(self.refused(&format!("an element with more than {ATTRIBUTES_MAX} attributes")));
            }
            let value = if self.bytes.has_special() { self.value(raw)? } else { Cow::Borrowed(raw) };
            let declared = match key {
                Name { prefix: "", local: "xmlns", .. } => "",
                Name { prefix: "xmlns", local, .. } => local,
                Name { text, prefix, local } => {
                    if document.attributes[first_attribute..].iter().any(|known| known.qname == text) {
                        return Err(self.refused("an attribute that comes twice"));
                    }
                    has_prefix |= !prefix.is_empty();
                    document.attributes.push(Attribute { qname: text, local, namespace: Namespace::None, value });
                    continue;
                }
            };
            let is_reserved = matches!(declared, "xml" | "xmlns") || value == XML_NAMESPACE;
            if is_reserved || (!declared.is_empty() && value.is_empty()) || scope.len() >= NAMESPACES_MAX {
                return Err(self.refused("a namespace declaration that is reserved, empty or one too many"));
            }
            if document.declarations[first_declaration..].iter().any(|known| known.prefix == declared) {
                return Err(self.refused("an attribute that comes twice"));
            }
            scope.push(index(document.declarations.len()));
            let space = Space::of(&value);
            document.declarations.push(Declaration { prefix: declared, space, uri: value });
        }
        // Names are resolved last: a declaration holds for its own element, wherever it stands in the tag.
        if has_prefix {
            for attribute in &mut document.attributes[first_attribute..] {
                if let Some((prefix, _)) = attribute.qname.split_once(':') {
                    attribute.namespace = match (prefix, declared(prefix, scope, &document.declarations)) {
                        ("xml", _) => Namespace::Xml,
                        (_, Some(at)) => Namespace::Declared(at),
                        (_, None) => return Err(self.refused("an undeclared prefix")),
                    };
                }
            }
        }
        let space = match declared(name.prefix, scope, &document.declarations) {
            Some(at) => document.declarations[at as usize].space,
            None if name.prefix.is_empty() => Space::None,
            None if name.prefix == "xml" => Space::Strange,
            None => return Err(self.refused("an undeclared prefix")),
        };
        document.tokens.push(Token::Start(Element {
            qname: name.text,
            local_at: index(name.text.len() - name.local.len()),
            end: 0,
            attributes: index(first_attribute)..index(document.attributes.len()),
            declarations: index(first_declaration)..index(document.declarations.len()),
            space,
        }));
        Ok(())
    }

    /// The next attribute of what is left: blanks, a name, `=`, a value in quotes.
    fn next_attribute(&self, rest: &'a str) -> Result<Option<Written<'a>>, Unreadable> {
        let text = rest.trim_ascii_start();
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() == rest.len() {
            return Err(self.refused("an attribute without a blank before it"));
        }
        let bytes = text.as_bytes();
        let (key, value) = match bytes.iter().position(|b| !PLAIN[usize::from(*b)]) {
            // As nearly all are written: a usual name, and `=` right behind it.
            Some(end) if bytes[end] == b'=' && bytes[0].is_ascii_alphabetic() => {
                (Name::without_prefix(&text[..end]), &text[end + 1..])
            }
            _ => {
                let (key, value) = text.split_once('=').ok_or_else(|| self.refused("an attribute without a value"))?;
                (self.name(key.trim_ascii_end())?, value)
            }
        };
        let value = value.trim_ascii_start();
        let Some(quote @ (b'"' | b'\'')) = value.bytes().next() else {
            return Err(self.refused("an attribute whose value is not in quotes"));
        };
        let value = &value[1..];
        match memchr2(quote, b'<', value.as_bytes()) {
            Some(end) if value.as_bytes()[end] == quote => Ok(Some((key, &value[..end], &value[end + 1..]))),
            Some(_) => Err(self.refused("`<` in an attribute")),
            None => Err(self.refused("an attribute whose value is not in quotes")),
        }
    }

    /// A name by a plain grammar: no second spelling of a tag may look like another in canonical form.
    fn name(&self, text: &'a str) -> Result<Name<'a>, Unreadable> {
        // Nearly every name is plain ASCII without a colon; a pass without branches is quicker than one that may end.
        if text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && text.bytes().fold(true, |is_usual, b| is_usual & PLAIN[usize::from(b)])
        {
            return Ok(Name::without_prefix(text));
        }
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
        let is_other = |c: char| is_first(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
        let is_plain = |part: &str| part.starts_with(is_first) && part.chars().all(is_other);
        match text.split_once(':') {
            Some((prefix, local)) if is_plain(prefix) && is_plain(local) => Ok(Name { text, prefix, local }),
            None if is_plain(text) => Ok(Name::without_prefix(text)),
            _ => Err(self.refused(&format!("the name `{}`", shown(text)))),
        }
    }

    /// An attribute's value: blanks normalised, references resolved (XML 1.0, 3.3.3).
    fn value(&self, raw: &'a str) -> Result<Cow<'a, str>, Unreadable> {
        if !raw.bytes().any(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r')) {
            return Ok(Cow::Borrowed(raw));
        }
        let raw = line_ends(Cow::Borrowed(raw)).replace(['\t', '\n'], " ");
        let mut value = String::with_capacity(raw.len());
        let mut rest = raw.as_str();
        while let Some((before, after)) = rest.split_once('&') {
            value.push_str(before);
            let (name, after) = after.split_once(';').ok_or_else(|| self.refused("a lone `&` in an attribute"))?;
            value.push(entity(name).ok_or_else(|| self.refused("an entity other than the five of XML"))?);
            rest = after;
        }
        value.push_str(rest);
        Ok(Cow::Owned(value))
    }

    #[cold]
    fn refused(&self, what: &str) -> Unreadable {
        refused(what, self.at)
    }
}

/// An attribute's name and value as written, and what stands behind it.
type Written<'a> = (Name<'a>, &'a str, &'a str);

/// The declaration that holds for a prefix: the innermost in scope.
fn declared(prefix: &str, scope: &[u32], declarations: &[Declaration]) -> Option<u32> {
    // Most names have no prefix, and two empty ones need no comparing.
    let is_it = |at: &u32| {
        let known = declarations[*at as usize].prefix;
        known.len() == prefix.len() && (prefix.is_empty() || known == prefix)
    };
    scope.iter().rev().copied().find(is_it)
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
