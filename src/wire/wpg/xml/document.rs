//! A document that passed the gate: a flat list of tokens, with the names resolved.

use std::borrow::Cow;
use std::ops::Range;

use super::{DSIG_NAMESPACE, PAYMENT_NAMESPACES, XML_NAMESPACE};

/// The namespaces that a name can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Space {
    /// In no namespace at all.
    None,
    /// One of [`PAYMENT_NAMESPACES`].
    Payment,
    /// [`DSIG_NAMESPACE`].
    Dsig,
    Strange,
}

impl Space {
    pub(super) fn of(uri: &str) -> Space {
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
/// [`super::super::BODY_MAX_BYTES`].
#[derive(Debug)]
pub(in super::super) enum Token<'a> {
    Start(Element<'a>),
    Text(Text<'a>),
    End,
}

/// Text of a document: as it was written there, or made of pieces, references and line ends.
#[derive(Debug)]
pub(in super::super) enum Text<'a> {
    Written(&'a str),
    /// Its place in [`Document::made`].
    Made(Range<u32>),
}

#[derive(Debug)]
pub(in super::super) struct Element<'a> {
    /// Name as written, prefix included.
    pub qname: &'a str,
    /// Where its local part starts: behind the prefix and its colon.
    pub(super) local_at: u32,
    /// Where its `End` stands among the tokens.
    pub(super) end: u32,
    /// Its attributes in [`Document::attributes`], declarations left out.
    pub(super) attributes: Range<u32>,
    /// Its own declarations in [`Document::declarations`].
    pub(super) declarations: Range<u32>,
    /// The namespace the name is in.
    pub space: Space,
}

impl<'a> Element<'a> {
    /// The name without its prefix.
    pub fn local(&self) -> &'a str {
        &self.qname[self.local_at as usize..]
    }

    /// Where its `End` stands among the tokens.
    pub fn end(&self) -> usize {
        self.end as usize
    }
}

fn indices(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// A position among tokens, attributes, declarations or made text: each takes at least a byte of the body.
pub(super) fn index(at: usize) -> u32 {
    u32::try_from(at).expect("no body has 2^32 bytes")
}

#[derive(Debug)]
pub(in super::super) struct Attribute<'a> {
    pub qname: &'a str,
    pub local: &'a str,
    pub(super) namespace: Namespace,
    pub value: Cow<'a, str>,
}

/// The namespace of an attribute: none without a prefix.
#[derive(Debug, Clone, Copy)]
pub(super) enum Namespace {
    None,
    Xml,
    /// The place of its declaration in [`Document::declarations`].
    Declared(u32),
}

/// `xmlns:prefix="uri"`; the prefix is empty for `xmlns="uri"`.
#[derive(Debug)]
pub(in super::super) struct Declaration<'a> {
    pub prefix: &'a str,
    pub uri: Cow<'a, str>,
    pub(super) space: Space,
}

/// A document that passed the gate. Token 0 is the root's start, the last one its end.
#[derive(Debug)]
pub(in super::super) struct Document<'a> {
    pub tokens: Vec<Token<'a>>,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) declarations: Vec<Declaration<'a>>,
    /// All text that was made, in the order of the tokens: one buffer, so that tokens own nothing.
    made: String,
}

impl<'a> Document<'a> {
    /// Room for what a text of so many bytes commonly holds; more is made as it comes.
    pub(super) fn of(bytes: usize) -> Document<'a> {
        Document {
            tokens: Vec::with_capacity(bytes / 12 + 4),
            attributes: Vec::with_capacity(bytes / 96 + 4),
            declarations: Vec::with_capacity(4),
            made: String::new(),
        }
    }

    /// Adds a piece of text where the document stands; pieces in a row are one text.
    pub(super) fn push_text(&mut self, piece: Cow<'a, str>) {
        let last = match self.tokens.last_mut() {
            Some(Token::Text(last)) => last,
            _ if piece.is_empty() => return,
            _ => {
                let text = match piece {
                    Cow::Borrowed(written) => Text::Written(written),
                    Cow::Owned(made) => {
                        let start = self.made.len();
                        self.made.push_str(&made);
                        Text::Made(index(start)..index(self.made.len()))
                    }
                };
                return self.tokens.push(Token::Text(text));
            }
        };
        let start = match last {
            Text::Written(before) => {
                let start = index(self.made.len());
                self.made.push_str(before);
                start
            }
            Text::Made(before) => before.start,
        };
        self.made.push_str(&piece);
        *last = Text::Made(start..index(self.made.len()));
    }

    /// What a text token says.
    pub fn said<'d>(&'d self, text: &'d Text<'a>) -> &'d str {
        match text {
            Text::Written(written) => written,
            Text::Made(place) => &self.made[indices(place)],
        }
    }

    pub fn element(&self, at: usize) -> &Element<'a> {
        match &self.tokens[at] {
            Token::Start(element) => element,
            Token::Text(_) | Token::End => unreachable!("positions come from `children`, which yields starts only"),
        }
    }

    pub fn attributes(&self, element: &Element<'a>) -> &[Attribute<'a>] {
        &self.attributes[indices(&element.attributes)]
    }

    /// The namespace of an attribute; empty where it is in none.
    pub fn namespace(&self, attribute: &Attribute<'a>) -> &str {
        match attribute.namespace {
            Namespace::None => "",
            Namespace::Xml => XML_NAMESPACE,
            Namespace::Declared(at) => &self.declarations[at as usize].uri,
        }
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
                    // One text is the rule; texts between elements are joined.
                    match joined.is_empty() {
                        true => joined = Cow::Borrowed(self.said(text)),
                        false => joined.to_mut().push_str(self.said(text)),
                    }
                    next += 1;
                }
                Token::End => return joined,
            }
        }
    }
}
