//! What is wrong with a configuration: file, key, what, and what to do. Values are never repeated,
//! because a value may be a secret somebody put where a file name belongs.

use std::fmt;

use figment::error::{Actual, Kind};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file or environment variable the key came from.
    pub source: String,
    /// The key, with dots: `merchants.shop-eu.base_url`. Empty where the whole file is meant.
    pub key: String,
    pub what: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(source: impl fmt::Display, key: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem { source: source.to_string(), key: key.into(), what: what.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// What figment found, without the values it found. `file` is named where figment knows no source.
pub fn of_figment(error: figment::Error, file: &str) -> Problem {
    let source = match error.metadata.as_ref() {
        Some(m) if m.name.contains("environment") => "environment (RECONCILED_…)".to_owned(),
        Some(m) if m.name == FLAGS => FLAGS.to_owned(),
        _ => file.to_owned(),
    };
    let mut path = error.path.clone();
    let (what, hint) = match &error.kind {
        Kind::UnknownField(name, known) => {
            // figment ends the path of an unknown key in that key.
            ("unknown key".to_owned(), Some(did_you_mean(name, known)))
        }
        Kind::MissingField(name) => {
            path.push(name.to_string());
            ("this key is missing".to_owned(), None)
        }
        Kind::DuplicateField(name) => {
            path.push(name.to_string());
            ("this key stands twice".to_owned(), None)
        }
        Kind::InvalidType(found, expected) => {
            let quote = matches!(found, Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) | Actual::Bool(_))
                && expected.contains("string");
            (
                format!("expected {expected}, found {}", kind_of(found)),
                quote.then(|| "put the value in quotes".to_owned()),
            )
        }
        Kind::InvalidValue(found, expected) => (format!("expected {expected}, found another {}", kind_of(found)), None),
        Kind::InvalidLength(length, expected) => (format!("expected {expected}, found {length} items"), None),
        Kind::UnknownVariant(_, known) => (format!("expected one of {}", known.join(", ")), None),
        // The text of a syntax error quotes the line it stands in: the position is enough.
        Kind::Message(text) if path.is_empty() => (format!("not valid TOML: {}", first_line(text)), None),
        Kind::Message(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_) => ("the value can't be read".to_owned(), None),
    };
    Problem { source, key: path.join("."), what, hint }
}

/// The name of the layer that holds the command line's flags.
pub const FLAGS: &str = "command line";

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(120).collect()
}

fn kind_of(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "number",
        Actual::Char(_) | Actual::Str(_) | Actual::Bytes(_) => "text",
        Actual::Unit | Actual::Option => "nothing",
        Actual::Seq => "list",
        Actual::Map => "table",
        _ => "value",
    }
}

/// The known name that is nearest to a misspelt one, or all of them.
pub fn did_you_mean<S: AsRef<str>>(name: &str, known: &[S]) -> String {
    if matches!(name, "secret" | "password" | "webhook_secret" | "admin_token") {
        return format!("secrets come from files: use `{name}_file`");
    }
    let nearest = known.iter().map(|k| (distance(name, k.as_ref()), k.as_ref())).min();
    match nearest {
        Some((distance, nearest)) if distance <= 3 => format!("did you mean `{nearest}`?"),
        _ => format!("known here: {}", known.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")),
    }
}

/// Edits (insert, delete, replace) between two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_gets_its_nearest_neighbour() {
        assert_eq!(did_you_mean("base_ulr", &["base_url", "user"]), "did you mean `base_url`?");
        assert_eq!(did_you_mean("password", &["password_file"]), "secrets come from files: use `password_file`");
        assert_eq!(did_you_mean("colour", &["base_url", "user"]), "known here: base_url, user");
    }
}
