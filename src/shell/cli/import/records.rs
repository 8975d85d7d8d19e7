//! The records of a CSV file, each byte of the file in exactly one of them.
//!
//! Stricter than most readers: one that forgives a stray quote takes the rows behind it for a part of one cell, and
//! nobody sees that they are gone. Here such a record is flawed, with all the lines it swallowed. Quotes inside a cell
//! that does not begin with one are text (`TV 15"`). The rules are RFC 4180's; lines may end in LF too.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use csv::ByteRecord;

pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What is read ahead of a record's end, in bytes.
const AHEAD_MAX_BYTES: usize = 64 * 1024;

/// One record.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The line it begins on, from 1.
    pub line: u64,
    /// As it stands in the file, with all its line ends.
    pub text: Vec<u8>,
    pub cells: Result<ByteRecord, Flaw>,
}

/// Why the cells of a record can't be told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Flaw {
    #[error("the quote opened on line {line} is never closed; all lines from there on stand inside it")]
    Unclosed { line: u64 },
    #[error("on line {line} a closing quote is not followed by the end of its cell; is one missing, or one too many?")]
    Behind { line: u64 },
    #[error("line {line} looks like a row and stands inside the quote opened on line {opened}; is that not closed?")]
    Inside { line: u64, opened: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(
        "the row that begins on line {line} is longer than {max_bytes} bytes; is a quote not closed? Nothing from line {line} on was taken"
    )]
    TooLong { line: u64, max_bytes: usize },
}

pub struct Records<R> {
    reader: BufReader<R>,
    delimiter: u8,
    /// Cells of a row, once the heading is read.
    width: Option<usize>,
    /// Longest record, in bytes. A quote that is never closed would make one of the whole file.
    max_bytes: usize,
    /// Lines read.
    lines: u64,
    /// Bytes read.
    bytes: u64,
}

impl<R: Read> Records<R> {
    pub fn new(reader: R, delimiter: u8, max_bytes: usize) -> Records<R> {
        let reader = BufReader::with_capacity(AHEAD_MAX_BYTES, reader);
        Records { reader, delimiter, width: None, max_bytes, lines: 0, bytes: 0 }
    }

    /// Rows have so many cells: a line that has them, but inside a quote, is told.
    pub fn expect_width(&mut self, cells: usize) {
        self.width = Some(cells);
    }

    /// Bytes of the file behind the last record.
    pub fn position(&self) -> u64 {
        self.bytes
    }

    /// The next record, an empty line included; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Record>, Broken> {
        let line = self.lines + 1;
        let mut text = Vec::new();
        let mut cells = Cells::new(self.delimiter, self.width);
        loop {
            let from = text.len();
            let limit = (self.max_bytes + 1).saturating_sub(from) as u64;
            let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut text)?;
            if text.len() > self.max_bytes {
                return Err(Broken::TooLong { line, max_bytes: self.max_bytes });
            }
            if read == 0 {
                let flaw = Flaw::Unclosed { line: cells.opened_on };
                return Ok((!text.is_empty()).then_some(Record { line, text, cells: Err(flaw) }));
            }
            self.lines += 1;
            self.bytes += read as u64;
            let fresh = &text[from..];
            let fresh = if self.lines == 1 { fresh.strip_prefix(BYTE_ORDER_MARK).unwrap_or(fresh) } else { fresh };
            match cells.take_line(fresh, self.lines) {
                Ok(false) => {}
                Ok(true) => return Ok(Some(Record { line, text, cells: cells.finish() })),
                Err(flaw) => return Ok(Some(Record { line, text, cells: Err(flaw) })),
            }
        }
    }
}

impl<R: Read + Seek> Records<R> {
    /// Goes on at a record behind the first. Its line is not known then.
    pub fn go_to(&mut self, position: u64) -> std::io::Result<()> {
        self.reader.seek(SeekFrom::Start(position))?;
        (self.bytes, self.lines) = (position, 1);
        Ok(())
    }
}

/// Where in a cell a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Start,
    Plain,
    Quoted,
    /// Behind a quote that closes, or is the first of two that stand for one.
    Closed,
}

/// Delimiters in a line of a quoted cell from which on it may be a row: one is common in a text.
const SUSPECT_DELIMITERS: usize = 2;

struct Cells {
    delimiter: u8,
    width: Option<usize>,
    done: ByteRecord,
    cell: Vec<u8>,
    within: Within,
    /// The line of the last opening quote.
    opened_on: u64,
    /// The first line inside a quote that looks like a row.
    suspect: Option<Flaw>,
}

impl Cells {
    fn new(delimiter: u8, width: Option<usize>) -> Cells {
        let (done, cell, within) = (ByteRecord::new(), Vec::new(), Within::Start);
        Cells { delimiter, width, done, cell, within, opened_on: 0, suspect: None }
    }

    fn finish(self) -> Result<ByteRecord, Flaw> {
        self.suspect.map_or(Ok(self.done), Err)
    }

    /// Takes a line with its end. Returns whether the record ends with it.
    fn take_line(&mut self, text: &[u8], line: u64) -> Result<bool, Flaw> {
        let bare = text.strip_suffix(b"\n").unwrap_or(text);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        let opened = self.opened_on;
        // Whether the cell goes on that the lines before have left open, and the delimiters in it.
        let (mut goes_on, mut inside) = (self.within == Within::Quoted, 0);
        for byte in bare {
            inside += usize::from(goes_on && self.within == Within::Quoted && *byte == self.delimiter);
            match (self.within, *byte) {
                (Within::Start, b'"') => (self.within, self.opened_on) = (Within::Quoted, line),
                (Within::Quoted, b'"') => self.within = Within::Closed,
                (Within::Closed, b'"') => {
                    self.cell.push(b'"');
                    self.within = Within::Quoted;
                }
                (Within::Start | Within::Plain | Within::Closed, byte) if byte == self.delimiter => self.end_cell(),
                (Within::Closed, _) => return Err(Flaw::Behind { line }),
                (Within::Start | Within::Plain, byte) => {
                    self.cell.push(byte);
                    self.within = Within::Plain;
                }
                (Within::Quoted, byte) => self.cell.push(byte),
            }
            goes_on &= matches!(self.within, Within::Quoted | Within::Closed);
        }
        let delimiters = bare.iter().filter(|byte| **byte == self.delimiter).count();
        if inside >= SUSPECT_DELIMITERS && self.width.is_some_and(|width| delimiters + 1 >= width) {
            self.suspect.get_or_insert(Flaw::Inside { line, opened });
        }
        if self.within == Within::Quoted {
            self.cell.extend_from_slice(&text[bare.len()..]);
            return Ok(false);
        }
        self.end_cell();
        Ok(true)
    }

    fn end_cell(&mut self) {
        self.done.push_field(&self.cell);
        self.cell.clear();
        self.within = Within::Start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &[u8]) -> Vec<Record> {
        let mut records = Records::new(text, b';', 1000);
        std::iter::from_fn(|| records.next().expect("short enough")).collect()
    }

    /// The cells of each record, or its flaw, behind the line it begins on.
    fn told(text: &str) -> Vec<String> {
        let shown = |record: Record| match record.cells {
            Ok(cells) => {
                let cells: Vec<_> = cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
                format!("{} {}", record.line, cells.join("|"))
            }
            Err(flaw) => format!("{} {flaw:?} {:?}", record.line, String::from_utf8_lossy(&record.text)),
        };
        records(text.as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn cells_are_told_apart_exactly_or_not_at_all() {
        for (text, expected) in [
            ("a;b\nc;d", &["1 a|b", "2 c|d"][..]),
            ("a;b\r\nc;\r\n;\r\n", &["1 a|b", "2 c|", "3 |"]),
            ("\u{feff}a;b\n", &["1 a|b"]),
            ("\u{feff}\"a\";b\n", &["1 a|b"]),
            ("a\n\n\nb\n", &["1 a", "2 ", "3 ", "4 b"]),
            ("\"a;\"\"b\"\"\r\nc\";\"\"\r\nd", &["1 a;\"b\"\r\nc|", "3 d"]),
            ("TV 15\";\"x\"\"\"\n", &["1 TV 15\"|x\""]),
            ("a;\"b\r\n\nc;d\n", &["1 Unclosed { line: 1 } \"a;\\\"b\\r\\n\\nc;d\\n\""]),
            ("a\nb;\"\n\"\"", &["1 a", "2 Unclosed { line: 2 } \"b;\\\"\\n\\\"\\\"\""]),
            ("\"a\nb\";\"c\n", &["1 Unclosed { line: 2 } \"\\\"a\\nb\\\";\\\"c\\n\""]),
            // The next row's own quote closes the one that was left open.
            ("a;\"b\nc;\"d\"\ne;f\n", &["1 Behind { line: 2 } \"a;\\\"b\\nc;\\\"d\\\"\\n\"", "3 e|f"]),
            ("\"a\" ;b\nc", &["1 Behind { line: 1 } \"\\\"a\\\" ;b\\n\"", "2 c"]),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_inside_a_quote_is_told_and_an_address_is_not() {
        for (text, flaw) in [
            ("1;2;3;\"x\n1;2;3;4\"\n", Some(Flaw::Inside { line: 2, opened: 1 })),
            ("1;2;3;\"x\n1;2;3;\"\"4\"\n", Some(Flaw::Inside { line: 2, opened: 1 })),
            ("1;2;\"x\n1;2;TV 15\";4\n", Some(Flaw::Inside { line: 2, opened: 1 })),
            ("1;2;\"x\ny\n1;2;3;4\n1;2;3;4\n\";4\n", Some(Flaw::Inside { line: 3, opened: 1 })),
            ("1;\"Main St; 1\nVienna; 1010\n\";3;4\n", None),
            ("\"a\nb\";2;3;4\n", None),
            ("\"a\nb;c\";2;3;4\n", None),
        ] {
            let mut records = Records::new(text.as_bytes(), b';', 1000);
            records.expect_width(4);
            let record = records.next().expect("short enough").expect("one");
            assert_eq!(record.cells.err(), flaw, "{text:?}");
            assert_eq!(record.text, text.as_bytes(), "all that it swallowed");
        }
    }

    #[test]
    fn a_record_longer_than_the_limit_ends_the_reading() {
        let text = format!("a\n\"{}", "x\n".repeat(600));
        let mut records = Records::new(text.as_bytes(), b';', 1000);
        assert!(records.next().is_ok_and(|record| record.is_some()));
        assert!(matches!(records.next(), Err(Broken::TooLong { line: 2, max_bytes: 1000 })));
    }

    proptest::proptest! {
        #[test]
        fn every_byte_of_a_file_stands_in_one_record(text in "[a\";\r\n]{0,80}") {
            let found = records(text.as_bytes());
            let mut again = Vec::new();
            for record in &found {
                let ends = again.iter().filter(|byte| **byte == b'\n').count() as u64;
                proptest::prop_assert_eq!(record.line, ends + 1);
                again.extend_from_slice(&record.text);
            }
            proptest::prop_assert_eq!(again, text.as_bytes());
        }

        #[test]
        fn what_a_writer_of_csv_writes_is_read_as_it_was(rows in proptest::collection::vec(
            proptest::collection::vec("[a\";\r\n]{0,6}", 2..5), 1..6,
        )) {
            let mut writer = csv::WriterBuilder::new().delimiter(b';').flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).expect("memory takes it");
            }
            let text = writer.into_inner().expect("memory takes it");
            let read: Vec<ByteRecord> = records(&text).into_iter().map(|record| record.cells.expect("sound")).collect();
            let written: Vec<ByteRecord> = rows.iter().map(|row| ByteRecord::from(row.clone())).collect();
            proptest::prop_assert_eq!(read, written);
        }
    }
}
