//! Heads of requests and answers, read without changing a byte of them.
//!
//! A request is read strictly: where two readers could disagree about where it ends (RFC 9112 section 11.2,
//! "request smuggling"), it is refused before anything goes upstream. An answer is read as its sender may write
//! it, and refused only where its end can't be told.

use std::ops::Range;

/// Longest head, in bytes, from its first line to the empty line behind it.
pub const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Most header lines of one head.
pub const HEADERS_MAX: usize = 128;

/// Where a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailer.
    Chunked,
    /// With the connection (answers only).
    UntilClose,
}

/// What the proxy needs to know of a request's head. The bytes themselves stay where they were read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// Length of the head in the buffer.
    pub bytes: usize,
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub content_type: Option<String>,
    pub framing: Framing,
    /// Where the Host header's value stands in the buffer.
    pub host: Option<Range<usize>>,
    /// The sender waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Another request may follow on the connection.
    pub persists: bool,
}

/// What the proxy needs to know of an answer's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerHead {
    pub bytes: usize,
    pub status: u16,
    pub framing: Framing,
    pub encoding: Encoding,
    pub persists: bool,
}

/// How the answer's body is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Plain,
    Gzip,
    Deflate,
    /// Nothing we read.
    Other,
}

/// Why a request is refused. None of these reaches the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("the head is not HTTP/1.0 or HTTP/1.1")]
    NotHttp,
    #[error("a line of the head ends in a bare line feed or holds a bare carriage return")]
    BareLineEnd,
    #[error("a header is folded over two lines")]
    Folded,
    #[error("there is both a Content-Length and a Transfer-Encoding")]
    TwoFramings,
    #[error("there is more than one Content-Length, or it is not a number")]
    Length,
    #[error("the Transfer-Encoding is not `chunked` alone, or it is HTTP/1.0")]
    TransferEncoding,
    #[error("there is not exactly one Host header")]
    Host,
    #[error("the target is not a path: point the gateway's base URL here instead of using this as a forward proxy")]
    NotAPath,
    #[error("the head is longer than 65536 bytes or has more than 128 lines")]
    TooLong,
}

/// Why an answer can't be passed on as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("the gateway's answer is not HTTP")]
    NotHttp,
    #[error("the gateway's answer states two lengths")]
    Length,
    #[error("the head of the gateway's answer is longer than 65536 bytes or has more than 128 lines")]
    TooLong,
}

/// Reads a request's head. `None`: more bytes are needed.
pub fn request(buffer: &[u8]) -> Result<Option<RequestHead>, Refused> {
    let Some(bytes) = strict_end(buffer)? else {
        return if buffer.len() >= HEAD_MAX_BYTES { Err(Refused::TooLong) } else { Ok(None) };
    };
    if bytes > HEAD_MAX_BYTES {
        return Err(Refused::TooLong);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(&buffer[..bytes]) {
        Ok(httparse::Status::Complete(end)) if end == bytes => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooLong),
        Ok(_) | Err(_) => return Err(Refused::NotHttp),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refused::NotHttp);
    };
    if !target.starts_with('/') || method == "CONNECT" {
        return Err(Refused::NotAPath);
    }
    let lengths: Vec<&[u8]> = named(parsed.headers, "content-length").collect();
    let codings: Vec<&[u8]> = named(parsed.headers, "transfer-encoding").collect();
    let framing = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Framing::None,
        ([length], []) => Framing::Length(number(length).ok_or(Refused::Length)?),
        ([_, _, ..], []) => return Err(Refused::Length),
        ([], [coding]) if version == 1 && coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        ([], _) => return Err(Refused::TransferEncoding),
        ([_, ..], [_, ..]) => return Err(Refused::TwoFramings),
    };
    let hosts: Vec<&[u8]> = named(parsed.headers, "host").collect();
    let host = match hosts.as_slice() {
        [host] => Some(place(buffer, host)),
        // HTTP/1.0 knows no Host: passed as it came.
        [] if version == 0 => None,
        _ => return Err(Refused::Host),
    };
    let content_type = named(parsed.headers, "content-type").next();
    Ok(Some(RequestHead {
        bytes,
        method: method.to_owned(),
        target: target.to_owned(),
        content_type: content_type.map(|value| String::from_utf8_lossy(value).into_owned()),
        framing,
        host,
        expects_continue: version == 1
            && named(parsed.headers, "expect").any(|value| value.eq_ignore_ascii_case(b"100-continue")),
        persists: persists(parsed.headers, version),
    }))
}

/// Reads an answer's head. `None`: more bytes are needed. `method` is the request's: a HEAD has no body.
pub fn answer(buffer: &[u8], method: &str) -> Result<Option<AnswerHead>, Unreadable> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let mut lenient = httparse::ParserConfig::default();
    lenient.allow_spaces_after_header_name_in_responses(true).allow_obsolete_multiline_headers_in_responses(true);
    let bytes = match lenient.parse_response(&mut parsed, buffer) {
        Ok(httparse::Status::Complete(bytes)) if bytes <= HEAD_MAX_BYTES => bytes,
        Ok(httparse::Status::Partial) if buffer.len() < HEAD_MAX_BYTES => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Unreadable::TooLong),
        Err(_) => return Err(Unreadable::NotHttp),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else { return Err(Unreadable::NotHttp) };
    let has_no_body = method == "HEAD" || status < 200 || status == 204 || status == 304;
    let codings: Vec<&[u8]> = named(parsed.headers, "transfer-encoding").collect();
    let mut lengths = named(parsed.headers, "content-length");
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err(Unreadable::Length);
    }
    let framing = match (length, codings.last()) {
        _ if has_no_body => Framing::None,
        (_, Some(last)) if ends_chunked(last) => Framing::Chunked,
        (_, Some(_)) | (None, None) => Framing::UntilClose,
        (Some(length), None) => Framing::Length(number(length).ok_or(Unreadable::Length)?),
    };
    // Where an answer states two framings, whoever reads on behind it may read from another place than we do.
    let is_clear = codings.is_empty() || length.is_none();
    let encoding = match named(parsed.headers, "content-encoding").next() {
        None => Encoding::Plain,
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => Encoding::Plain,
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => {
            Encoding::Gzip
        }
        Some(coding) if coding.eq_ignore_ascii_case(b"deflate") => Encoding::Deflate,
        Some(_) => Encoding::Other,
    };
    let persists = is_clear && framing != Framing::UntilClose && persists(parsed.headers, version);
    Ok(Some(AnswerHead { bytes, status, framing, encoding, persists }))
}

/// Behind the empty line that ends a head whose lines all end in CRLF.
fn strict_end(buffer: &[u8]) -> Result<Option<usize>, Refused> {
    let mut line = 0;
    for (at, byte) in buffer.iter().enumerate() {
        match byte {
            b'\n' if at == 0 || buffer[at - 1] != b'\r' => return Err(Refused::BareLineEnd),
            b'\n' if at - line == 1 => return Ok(Some(at + 1)),
            b'\n' => line = at + 1,
            b'\r' if buffer.get(at + 1).is_some_and(|next| *next != b'\n') => return Err(Refused::BareLineEnd),
            b' ' | b'\t' if at == line && line > 0 => return Err(Refused::Folded),
            _ => {}
        }
    }
    Ok(None)
}

fn named<'b>(headers: &[httparse::Header<'b>], name: &str) -> impl Iterator<Item = &'b [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Digits and nothing else; httparse has taken the blanks around the value away.
fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok()
}

fn ends_chunked(codings: &[u8]) -> bool {
    codings.rsplit(|b| *b == b',').next().is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

fn persists(headers: &[httparse::Header<'_>], version: u8) -> bool {
    let says = |word: &str| {
        let mut options = named(headers, "connection").flat_map(|value| value.split(|b| *b == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    };
    if version == 0 { says("keep-alive") } else { !says("close") }
}

/// Where a part of the buffer stands in it.
fn place(buffer: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - buffer.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
#[path = "tests/head.rs"]
mod tests;
