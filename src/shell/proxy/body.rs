//! Where a body ends, told while its bytes pass: nothing is held back and nothing is rewritten.

use super::head::Framing;

/// Longest line of chunk framing (size, extension, one trailer field), in bytes.
const LINE_MAX_BYTES: usize = 4 * 1024;
/// Longest trailer, in bytes.
const TRAILER_MAX_BYTES: usize = 16 * 1024;
/// Digits of a chunk's size: 64 bits.
const SIZE_MAX_DIGITS: usize = 16;

/// The chunks of a body are not framed as RFC 9112 section 7.1 has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body's chunks are malformed")]
pub struct Malformed;

/// A body on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Body(Rest);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Rest {
    Done,
    Bytes(u64),
    Chunks(Chunks),
    UntilClose,
}

impl Body {
    pub fn new(framing: Framing) -> Body {
        Body(match framing {
            Framing::None | Framing::Length(0) => Rest::Done,
            Framing::Length(bytes) => Rest::Bytes(bytes),
            Framing::Chunked => Rest::Chunks(Chunks::default()),
            Framing::UntilClose => Rest::UntilClose,
        })
    }

    /// How many of `bytes` belong to the body. Their content, without framing, goes to `content`.
    pub fn take(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        match &mut self.0 {
            Rest::Done => Ok(0),
            Rest::UntilClose => {
                content(bytes);
                Ok(bytes.len())
            }
            Rest::Bytes(left) => {
                let own = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                content(&bytes[..own]);
                *left -= own as u64;
                if *left == 0 {
                    self.0 = Rest::Done;
                }
                Ok(own)
            }
            Rest::Chunks(chunks) => {
                let own = chunks.take(bytes, content)?;
                if chunks.at == At::End {
                    self.0 = Rest::Done;
                }
                Ok(own)
            }
        }
    }

    pub fn is_done(&self) -> bool {
        self.0 == Rest::Done
    }

    /// The connection ended: whether the body is whole all the same.
    pub fn is_whole_at_close(&self) -> bool {
        matches!(self.0, Rest::Done | Rest::UntilClose)
    }
}

/// Reads the framing of chunks, byte by byte where it is framing and in stretches where it is content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Chunks {
    at: At,
    size: u64,
    digits: usize,
    /// Bytes of the line, or of the trailer, so far.
    line: usize,
    trailer: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Content,
    ContentEnd,
    ContentEndLf,
    /// At the first byte of a line of the trailer.
    Trailer,
    TrailerLine,
    TrailerLineLf,
    LastLf,
    End,
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.at != At::End {
            if self.at == At::Content {
                let stretch = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                content(&bytes[at..at + stretch]);
                self.size -= stretch as u64;
                at += stretch;
                if self.size == 0 {
                    self.at = At::ContentEnd;
                }
                continue;
            }
            self.at = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        self.line += 1;
        if self.line > LINE_MAX_BYTES {
            return Err(Malformed);
        }
        match (self.at, byte) {
            (At::Size, digit) if digit.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > SIZE_MAX_DIGITS {
                    return Err(Malformed);
                }
                let value = (digit as char).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(value);
                Ok(At::Size)
            }
            (At::Size, _) if self.digits == 0 => Err(Malformed),
            (At::Size, b'\r') => Ok(At::SizeEnd),
            (At::Size, b';' | b' ' | b'\t') => Ok(At::Extension),
            (At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Extension, b'\n') => Err(Malformed),
            (At::Extension, _) => Ok(At::Extension),
            (At::SizeEnd, b'\n') => {
                (self.digits, self.line) = (0, 0);
                Ok(if self.size == 0 { At::Trailer } else { At::Content })
            }
            (At::ContentEnd, b'\r') => Ok(At::ContentEndLf),
            (At::ContentEndLf, b'\n') => {
                self.line = 0;
                Ok(At::Size)
            }
            (At::Trailer, b'\r') => Ok(At::LastLf),
            (At::Trailer | At::TrailerLine, b'\n') => Err(Malformed),
            (At::Trailer | At::TrailerLine, byte) => {
                self.trailer += 1;
                if self.trailer > TRAILER_MAX_BYTES {
                    return Err(Malformed);
                }
                Ok(if byte == b'\r' { At::TrailerLineLf } else { At::TrailerLine })
            }
            (At::TrailerLineLf, b'\n') => {
                self.line = 0;
                Ok(At::Trailer)
            }
            (At::LastLf, b'\n') => Ok(At::End),
            (
                At::Size
                | At::SizeEnd
                | At::Content
                | At::ContentEnd
                | At::ContentEndLf
                | At::TrailerLineLf
                | At::LastLf
                | At::End,
                _,
            ) => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body's content, how many bytes are the body's, and whether it ended; fed in pieces of `step` bytes.
    fn read(framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut body, mut content, mut own) = (Body::new(framing), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            let taken = body.take(piece, |bytes| content.extend_from_slice(bytes))?;
            own += taken;
            if taken < piece.len() {
                break;
            }
        }
        Ok((content, own, body.is_done()))
    }

    /// Framing and bytes; content, how many bytes are the body's, and whether it ended.
    type Case = (Framing, &'static [u8], &'static [u8], usize, bool);

    #[test]
    fn bodies_end_where_their_framing_says_in_pieces_of_any_size() {
        let table: [Case; 8] = [
            (Framing::None, b"GET /", b"", 0, true),
            (Framing::Length(0), b"GET /", b"", 0, true),
            (Framing::Length(3), b"abcGET", b"abc", 3, true),
            (Framing::Length(9), b"abc", b"abc", 3, false),
            (Framing::UntilClose, b"abc", b"abc", 3, false),
            (Framing::Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", 13, true),
            (Framing::Chunked, b"3;x=\"y\"\r\nabc\r\n1\r\nd\r\n000\r\nA: b\r\nC: d\r\n\r\n", b"abcd", 39, true),
            (Framing::Chunked, b"A\r\n0123456789\r\n", b"0123456789", 15, false),
        ];
        for (framing, bytes, content, own, done) in table {
            for step in [1, 2, 3, 7, 64] {
                let read = read(framing, bytes, step);
                assert_eq!(read, Ok((content.to_vec(), own, done)), "{framing:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn chunks_that_two_readers_could_read_in_two_ways_are_malformed() {
        let long = [b"1;".as_slice(), &[b'x'; LINE_MAX_BYTES]].concat();
        let table: [&[u8]; 13] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"0x3\r\nabc\r\n",
            b"3\nabc\n",
            b"3;x\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"3\r\rabc",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"00000000000000003\r\n",
            &long,
        ];
        for bytes in table {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
            assert_eq!(read(Framing::Chunked, bytes, 5), Err(Malformed), "{shown:?}");
        }
    }

    #[test]
    fn only_a_body_that_may_end_with_the_connection_is_whole_then() {
        assert!(Body::new(Framing::UntilClose).is_whole_at_close());
        assert!(Body::new(Framing::None).is_whole_at_close());
        assert!(!Body::new(Framing::Length(1)).is_whole_at_close());
        assert!(!Body::new(Framing::Chunked).is_whole_at_close());
    }
}
