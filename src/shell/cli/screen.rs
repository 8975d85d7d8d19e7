//! What stdout is: a terminal of some width, which may show colours, or a file or pipe.

use std::io::IsTerminal;

/// Narrower terminals are written to as if they had this many characters.
const WIDTH_MIN_CHARS: usize = 60;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    Dim,
    Red,
    Yellow,
    Green,
}

/// The terminal's width in characters; `None` where stdout is none.
pub fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let columns = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    // A terminal that does not say is taken for the usual one.
    Some(if columns == 0 { 80 } else { columns.max(WIDTH_MIN_CHARS) })
}

/// The text in a colour, where stdout is a terminal and nobody asked for none (`NO_COLOR`).
pub fn colour(colour: Colour, text: &str) -> String {
    let is_plain = !std::io::stdout().is_terminal()
        || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
    if is_plain { text.to_owned() } else { painted(colour, text) }
}

fn painted(colour: Colour, text: &str) -> String {
    let code = match colour {
        Colour::Dim => 2,
        Colour::Red => 31,
        Colour::Yellow => 33,
        Colour::Green => 32,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
