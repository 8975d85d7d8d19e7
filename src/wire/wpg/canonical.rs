//! Inclusive canonical XML 1.0 without comments, for documents that passed the gate of [`super::xml`].
//!
//! The gate leaves no DOCTYPE, no processing instruction and no comment, so what remains of the
//! recommendation (<https://www.w3.org/TR/2001/REC-xml-c14n-20010315>) is: namespace declarations
//! that change something, sorted by prefix, before attributes sorted by namespace and name; empty
//! elements in two tags; five escapes in text and six in attributes.

use std::io::Write;

use super::xml::{Document, Token};

/// The canonical form of the element at `apex`, without the element at `without`.
///
/// Where the apex is not the root, every namespace in scope at it is written on it, as for any node
/// of a larger document: a genuine SignedInfo inherits `xmlns:ns2` from the root.
pub(super) fn canonical(document: &Document, apex: usize, without: Option<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    // Prefixes with the URI last written for them; open elements with how many each added.
    let mut written: Vec<(&str, &str)> = Vec::new();
    let mut open: Vec<(&str, usize)> = Vec::new();
    let inherited = in_scope(document, apex);
    let end = document.element(apex).end();
    let mut at = apex;
    while at <= end {
        match &document.tokens[at] {
            Token::Start(element) if Some(at) == without => at = element.end(),
            Token::Start(element) => {
                out.push(b'<');
                out.extend_from_slice(element.qname.as_bytes());
                let own = document.declarations(element).iter().map(|d| (d.prefix, d.uri.as_ref()));
                let mut declared: Vec<(&str, &str)> = if at == apex { inherited.clone() } else { own.collect() };
                declared.retain(|(prefix, uri)| last_written(&written, prefix) != *uri);
                declared.sort_unstable();
                for (prefix, uri) in &declared {
                    let colon = if prefix.is_empty() { "" } else { ":" };
                    write!(out, " xmlns{colon}{prefix}=\"").expect("a Vec takes every write");
                    escape_attribute(&mut out, uri);
                    out.push(b'"');
                }
                let mut attributes: Vec<_> = document.attributes(element).iter().collect();
                attributes.sort_unstable_by_key(|a| (document.namespace(a), a.local));
                for attribute in attributes {
                    write!(out, " {}=\"", attribute.qname).expect("a Vec takes every write");
                    escape_attribute(&mut out, &attribute.value);
                    out.push(b'"');
                }
                out.push(b'>');
                open.push((element.qname, declared.len()));
                written.extend(declared);
            }
            Token::Text(text) => escape_text(&mut out, document.said(text)),
            Token::End => {
                let (name, added) = open.pop().expect("the gate pairs every end with its start");
                written.truncate(written.len() - added);
                write!(out, "</{name}>").expect("a Vec takes every write");
            }
        }
        at += 1;
    }
    out
}

fn last_written<'w>(written: &[(&str, &'w str)], prefix: &str) -> &'w str {
    written.iter().rev().find(|(p, _)| *p == prefix).map_or("", |(_, uri)| uri)
}

/// The namespaces in scope at an element: its own and those of the elements around it.
fn in_scope<'d>(document: &'d Document<'_>, apex: usize) -> Vec<(&'d str, &'d str)> {
    let mut scope: Vec<(&str, &str)> = Vec::new();
    for (at, token) in document.tokens[..=apex].iter().enumerate() {
        let Token::Start(element) = token else { continue };
        if element.end() < apex && at != apex {
            continue;
        }
        for declaration in document.declarations(element) {
            scope.retain(|(prefix, _)| *prefix != declaration.prefix);
            scope.push((declaration.prefix, &declaration.uri));
        }
    }
    scope
}

fn escape_text(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'\r' => out.extend_from_slice(b"&#xD;"),
            _ => out.push(byte),
        }
    }
}

fn escape_attribute(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\t' => out.extend_from_slice(b"&#x9;"),
            b'\n' => out.extend_from_slice(b"&#xA;"),
            b'\r' => out.extend_from_slice(b"&#xD;"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml::read;
    use super::*;

    fn of(text: &str) -> String {
        String::from_utf8(canonical(&read(text).expect(text), 0, None)).expect("canonical form is text")
    }

    #[test]
    fn the_recommendations_rules_one_by_one() {
        for (text, expected) in [
            ("<?xml version='1.0'?>\n<a/>\n", "<a></a>"),
            ("<a  c = '2'\n b='1'></a >", "<a b=\"1\" c=\"2\"></a>"),
            ("<a b='&quot;&#9;&#10;&#13;&lt;>&amp;\t'/>", "<a b=\"&quot;&#x9;&#xA;&#xD;&lt;>&amp; \"></a>"),
            ("<a>&#13;&lt;&gt;&amp;\"<![CDATA[<]]></a>", "<a>&#xD;&lt;&gt;&amp;\"&lt;</a>"),
            ("<a>1<!-- no -->2</a>", "<a>12</a>"),
            ("<a xmlns:z='u' xmlns:b='v' xmlns='w'/>", "<a xmlns=\"w\" xmlns:b=\"v\" xmlns:z=\"u\"></a>"),
            ("<a xmlns='w'><b xmlns='w'/></a>", "<a xmlns=\"w\"><b></b></a>"),
            ("<a xmlns='w'><b xmlns=''><c xmlns=''/></b></a>", "<a xmlns=\"w\"><b xmlns=\"\"><c></c></b></a>"),
            ("<a xmlns=''/>", "<a></a>"),
            (
                "<a xmlns:b='zz' xmlns:c='aa' b:x='1' c:x='2' x='3'/>",
                "<a xmlns:b=\"zz\" xmlns:c=\"aa\" x=\"3\" c:x=\"2\" b:x=\"1\"></a>",
            ),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn an_inner_element_carries_the_namespaces_around_it() {
        let document = read("<a xmlns='u' xmlns:n='v'><x xmlns:o='w'/><b xmlns='t'><c/></b></a>").expect("a document");
        let b = document.children(0).nth(1).expect("b");
        let canonical = canonical(&document, b, None);
        assert_eq!(String::from_utf8_lossy(&canonical), "<b xmlns=\"t\" xmlns:n=\"v\"><c></c></b>");
    }

    #[test]
    fn one_element_can_be_left_out() {
        let document = read("<a>1<b>x</b>2</a>").expect("a document");
        let b = document.children(0).next();
        assert_eq!(canonical(&document, 0, b), b"<a>12</a>");
    }
}
