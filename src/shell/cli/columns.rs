//! Columns for a terminal: one line a row where the line fits, the last column wrapped below itself where
//! it is a sentence. No rules between rows, so that a page shows as many rows as it has lines.

/// Between two columns.
const GAP: &str = "  ";
/// Narrower than this a sentence is torn: it goes below its row instead.
const SENTENCE_MIN_CHARS: usize = 28;
/// How far a sentence below its row is indented.
const INDENT: &str = "    ";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

/// Lays rows out. The last cell of each row is a sentence and may be wrapped; no other is. `width` is the
/// terminal's; `None`: nobody looks, so every row stays one line that `grep` finds whole.
pub fn columns(header: &[(&str, Align)], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let fixed = header.len().saturating_sub(1);
    let mut widths: Vec<usize> = header.iter().take(fixed).map(|(name, _)| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::new();
        for ((cell, width), (_, align)) in cells.zip(&widths).zip(header) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            match align {
                Align::Left => out.extend([cell, &pad, GAP]),
                Align::Right => out.extend([&pad, cell, GAP]),
            }
        }
        out
    };
    let left = widths.iter().map(|width| width + GAP.len()).sum::<usize>();
    let beside = width.is_none_or(|width| left + SENTENCE_MIN_CHARS <= width);
    let title = header.last().filter(|_| beside).map_or("", |(name, _)| name);
    let mut out = vec![(line(&mut header.iter().map(|(name, _)| *name)) + title).trim_end().to_owned()];
    for row in rows {
        let start = line(&mut row.iter().map(String::as_str));
        let sentence = row.get(fixed).map_or("", String::as_str);
        let (first, indent) = if beside { (start, " ".repeat(left)) } else { (start, INDENT.to_owned()) };
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent.len()).max(SENTENCE_MIN_CHARS));
        let mut parts = wrapped(sentence, room).into_iter();
        let beside_first = if beside { parts.next().unwrap_or_default() } else { String::new() };
        out.push((first + &beside_first).trim_end().to_owned());
        out.extend(parts.map(|part| format!("{indent}{part}")));
    }
    out
}

/// Breaks a sentence at spaces; a longer word stays whole.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Breaks a line that is too long; what follows hangs below its start, indented a little more. Blanks inside of the
/// line stay as they are.
pub fn hung(line: &str, width: usize) -> Vec<String> {
    let start = line.chars().take_while(|c| *c == ' ').count();
    let indent = " ".repeat(start + INDENT.len());
    let mut lines = Vec::new();
    let mut rest = line.to_owned();
    while let Some((end, _)) = rest.char_indices().nth(width) {
        let blank = rest[..end].rfind(' ').filter(|at| *at > indent.len());
        // A word that is longer than the line stays whole.
        let Some(at) = blank.or_else(|| rest[end..].find(' ').map(|at| end + at)) else { break };
        lines.push(rest[..at].trim_end().to_owned());
        rest = format!("{indent}{}", rest[at..].trim_start());
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [(&str, Align); 3] = [("id", Align::Left), ("amount", Align::Right), ("reason", Align::Left)];

    fn rows() -> Vec<Vec<String>> {
        let row = |id: &str, amount: &str| {
            vec![id.to_owned(), amount.to_owned(), "no notification came yet and nothing was asked".to_owned()]
        };
        vec![row("a-rather-long-id", "9.00 EUR"), row("b", "1200.00 EUR")]
    }

    #[test]
    fn a_wide_terminal_has_the_sentence_beside_its_row() {
        let expected = [
            "id                     amount  reason",
            "a-rather-long-id     9.00 EUR  no notification came yet and",
            "                               nothing was asked",
            "b                 1200.00 EUR  no notification came yet and",
            "                               nothing was asked",
        ];
        assert_eq!(columns(&HEADER, &rows(), Some(60)), expected);
    }

    #[test]
    fn a_narrow_terminal_has_it_below() {
        let expected = [
            "id                     amount",
            "a-rather-long-id     9.00 EUR",
            "    no notification came yet and",
            "    nothing was asked",
            "b                 1200.00 EUR",
            "    no notification came yet and",
            "    nothing was asked",
        ];
        assert_eq!(columns(&HEADER, &rows(), Some(34)), expected);
    }

    #[test]
    fn a_long_line_hangs_below_its_start() {
        let expected = ["  state     open: no", "      notification", "      came yet"];
        assert_eq!(hung("  state     open: no notification came yet", 22), expected);
        assert_eq!(hung("short", 22), ["short"]);
        let id = "3f9c1f0e-0b44-4f0e-9d0a-111111111111";
        assert_eq!(hung(&format!("of {id} too"), 22), [format!("of {id}"), "    too".to_owned()]);
        assert_eq!(hung(id, 22), [id]);
    }

    #[test]
    fn where_nobody_looks_a_row_is_a_line() {
        let lines = columns(&HEADER, &rows(), None);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2], "b                 1200.00 EUR  no notification came yet and nothing was asked");
    }
}
