//! The architecture as rules about the source text: who may name whom, and who may name what.
//!
//! The source is read as text, not compiled. Comments and tests are left out; a rule that is broken names file
//! and line.

use std::fs;
use std::path::{Path, PathBuf};

/// One source file without comments and without tests.
struct Source {
    /// Relative to the crate root.
    path: String,
    /// Where it stands in the module tree: `["engine", "settle"]`; the crate root is empty.
    module: Vec<String>,
    lines: Vec<String>,
}

/// One place where a path is named.
struct Mention {
    line: usize,
    /// From the crate root: `["core", "look", "Answer"]`.
    path: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    files_below(&root().join("src"), &mut files);
    let sources: Vec<Source> = files.iter().filter_map(|file| source(file)).collect();
    assert!(sources.len() > 50, "only {} files were read: the rules would prove nothing", sources.len());
    sources
}

/// Reads a file; `None` for files of tests.
fn source(file: &Path) -> Option<Source> {
    let inside = file.strip_prefix(root().join("src")).expect("below src");
    let mut module: Vec<String> =
        inside.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.iter().any(|part| part == "tests") {
        return None;
    }
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    let text = fs::read_to_string(file).expect("a readable file");
    let lines = without_tests(text.lines().map(without_comment).collect());
    Some(Source { path: format!("src/{}", inside.display()), module, lines })
}

/// A line up to its comment. A `//` inside of a text ends the line as well: texts name no modules.
fn without_comment(line: &str) -> String {
    line.split("//").next().unwrap_or_default().to_owned()
}

/// Blanks out what stands behind `#[cfg(test)]`: the next item, to the end of its braces or to its semicolon.
fn without_tests(mut lines: Vec<String>) -> Vec<String> {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim() != "#[cfg(test)]" {
            at += 1;
            continue;
        }
        let indent = lines[at].len() - lines[at].trim_start().len();
        let mut is_over = false;
        while at < lines.len() && !is_over {
            let line = std::mem::take(&mut lines[at]);
            let is_outermost = line.len() - line.trim_start().len() == indent;
            let ends = line.trim_end().ends_with(';') || line.trim() == "}" || line.trim_end().ends_with("{}");
            is_over = is_outermost && ends;
            at += 1;
        }
    }
    lines
}

/// Everything a file names by `crate::` or `super::`, groups in braces taken apart.
fn mentions(source: &Source) -> Vec<Mention> {
    let text = source.lines.join("\n");
    let mut found = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for start in ["crate::", "super::"] {
        let mut from = 0;
        while let Some(offset) = text[from..].find(start) {
            let at = from + offset;
            from = at + start.len();
            if text[..at].chars().next_back().is_some_and(is_word) {
                continue;
            }
            let mut base = match start {
                "crate::" => Vec::new(),
                _ => source.module[..source.module.len().saturating_sub(1)].to_vec(),
            };
            let mut rest = &text[from..];
            while start == "super::"
                && let Some(upper) = rest.strip_prefix("super::")
            {
                base.pop();
                rest = upper;
            }
            let line = text[..at].matches('\n').count() + 1;
            for path in expand(rest, base) {
                found.push(Mention { line, path });
            }
        }
    }
    found
}

/// The paths that `a::b::{c, d::e}` names.
fn expand(text: &str, mut path: Vec<String>) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        return members(inside).into_iter().flat_map(|member| expand(member, path.clone())).collect();
    }
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.is_empty() {
        return vec![path];
    }
    let rest = &text[word.len()..];
    path.push(word);
    match rest.strip_prefix("::") {
        Some(rest) => expand(rest, path),
        None => vec![path],
    }
}

/// The members of a group, up to its closing brace.
fn members(inside: &str) -> Vec<&str> {
    let (mut depth, mut from, mut members) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&inside[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

/// The modules a file declares, in order.
fn declared(file: &str) -> Vec<String> {
    let source = source(&root().join(file)).expect("no file of tests");
    let name = |line: &String| {
        let line = line.trim().trim_start_matches("pub ").to_owned();
        line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).map(str::to_owned)
    };
    let names: Vec<String> = source.lines.iter().filter_map(name).collect();
    assert!(names.len() > 2, "{file} declares {names:?} only: the rule would prove nothing");
    names
}

fn check(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn a_module_names_only_those_above_it_in_lib_rs() {
    let order = declared("src/lib.rs");
    let rank = |name: &str| order.iter().position(|known| known == name);
    let mut broken = Vec::new();
    for source in sources() {
        let Some(own) = source.module.first().and_then(|name| rank(name)) else { continue };
        for mention in mentions(&source) {
            let Some(named) = mention.path.first() else { continue };
            if rank(named).is_some_and(|other| other > own) {
                broken.push(format!("{}:{} names crate::{named}, which stands below it", source.path, mention.line));
            }
        }
    }
    check("a module imports only from those above it in src/lib.rs", broken);
}

#[test]
fn inside_core_store_and_engine_a_module_names_only_those_above_it() {
    let mut broken = Vec::new();
    for area in ["core", "store", "engine"] {
        let order = declared(&format!("src/{area}/mod.rs"));
        let rank = |name: &str| order.iter().position(|known| known == name);
        for source in sources().iter().filter(|s| s.module.len() > 1 && s.module[0] == area) {
            let Some(own) = rank(&source.module[1]) else { continue };
            for mention in mentions(source).iter().filter(|m| m.path.len() > 1 && m.path[0] == area) {
                if rank(&mention.path[1]).is_some_and(|other| other > own) {
                    let named = mention.path[..2].join("::");
                    broken
                        .push(format!("{}:{} names crate::{named}, which stands below it", source.path, mention.line));
                }
            }
        }
    }
    check("a module imports only from those above it in its mod.rs", broken);
}

/// Every line of the files that names one of the words, as a word of its own.
fn lines_with<'s>(sources: impl Iterator<Item = &'s Source>, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        for (at, line) in source.lines.iter().enumerate() {
            if let Some(word) = words.iter().find(|word| names_word(line, word)) {
                found.push(format!("{}:{} names {word}", source.path, at + 1));
            }
        }
    }
    found
}

fn names_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let ends_open = word.ends_with(':');
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let behind = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && (ends_open || !behind.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

fn is_below(source: &Source, areas: &[&str]) -> bool {
    source.module.first().is_some_and(|area| areas.contains(&area.as_str()))
}

const CLOCKS: [&str; 4] = ["SystemTime", "Instant::now", "Timestamp::now", "Zoned::now"];

#[test]
fn the_pure_modules_name_no_clock_socket_file_runtime_or_database() {
    let files = ["std::fs", "File::", "rustix"];
    let sockets = ["TcpListener", "TcpStream", "UdpSocket", "ToSocketAddrs", "UnixListener", "UnixStream", "reqwest"];
    let words: Vec<&str> = CLOCKS.into_iter().chain(files).chain(sockets).chain(["tokio", "redb"]).collect();
    let sources = sources();
    let pure = sources.iter().filter(|source| is_below(source, &["words", "core", "wire", "sandbox"]));
    check("words, core, wire and sandbox are pure", lines_with(pure, &words));
}

#[test]
fn the_engine_reads_no_clock() {
    let sources = sources();
    let timeless = sources.iter().filter(|source| is_below(source, &["engine"]));
    check("now is an argument of the engine", lines_with(timeless, &CLOCKS));
}

#[test]
fn the_wall_clock_is_read_in_one_file() {
    let sources = sources();
    let wall = ["SystemTime::now", "Timestamp::now", "Zoned::now"];
    let mut files: Vec<String> = lines_with(sources.iter(), &wall)
        .into_iter()
        .filter_map(|line| line.split(':').next().map(str::to_owned))
        .collect();
    files.dedup();
    assert_eq!(files, ["src/shell/clock.rs"], "the wall clock is read in src/shell/clock.rs and nowhere else");
}

#[test]
fn only_the_store_names_the_database() {
    let sources = sources();
    let others = sources.iter().filter(|source| !is_below(source, &["store"]));
    check("nothing but src/store names redb", lines_with(others, &["redb::", "use redb", "extern crate redb"]));
}

#[test]
fn what_can_move_money_is_named_by_the_operators_command_alone() {
    let of_money = |path: &[String]| {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        matches!(parts.as_slice(), ["wire", "wpg" | "checkout", "operations", ..])
    };
    let sources = sources();
    let (command, others): (Vec<&Source>, Vec<&Source>) =
        sources.iter().partition(|source| source.module.starts_with(&["shell".to_owned(), "operate".to_owned()]));
    let named = |source: &Source| mentions(source).iter().filter(|mention| of_money(&mention.path)).count();
    assert!(command.iter().any(|source| named(source) > 0), "nobody names it: the rule would prove nothing");
    let mut broken = Vec::new();
    for source in others {
        for mention in mentions(source).iter().filter(|mention| of_money(&mention.path)) {
            broken.push(format!("{}:{} names {}", source.path, mention.line, mention.path.join("::")));
        }
        // Reached through an alias or a shorter import.
        broken.extend(lines_with(std::iter::once(source), &["checkout::operations", "wpg::operations"]));
    }
    check("what builds requests that move money is for src/shell/operate alone", broken);
}

#[test]
fn nothing_of_the_daemon_reaches_the_operators_command() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !is_below_shell(source, &["operate", "cli"])) {
        for mention in mentions(source) {
            let parts: Vec<&str> = mention.path.iter().map(String::as_str).collect();
            if matches!(
                parts.as_slice(),
                ["shell", "operate", ..] | ["shell", "config", "operations", "login" | "Login", ..]
            ) {
                broken.push(format!("{}:{} names {}", source.path, mention.line, mention.path.join("::")));
            }
        }
    }
    check("only the command line runs operations and reads their credentials", broken);
}

fn is_below_shell(source: &Source, modules: &[&str]) -> bool {
    source.module.first().is_some_and(|area| area == "shell")
        && source.module.get(1).is_some_and(|module| modules.contains(&module.as_str()))
}

#[test]
fn the_reader_of_these_rules_sees_what_it_must() {
    let source = Source {
        path: "src/engine/example.rs".into(),
        module: vec!["engine".into(), "example".into()],
        lines: ["use crate::{core::look::{Answer, Look}, shell};", "let x = super::judge::unpack(y);"]
            .map(str::to_owned)
            .to_vec(),
    };
    let paths: Vec<String> = mentions(&source).iter().map(|m| format!("{}:{}", m.line, m.path.join("::"))).collect();
    assert_eq!(paths, ["1:core::look::Answer", "1:core::look::Look", "1:shell", "2:engine::judge::unpack"]);
    let lines = ["a", "#[cfg(test)]", "mod tests {", "    use redb::Database;", "}", "b"].map(str::to_owned).to_vec();
    assert_eq!(without_tests(lines), ["a", "", "", "", "", "b"]);
    assert!(names_word("use redb::Database;", "redb") && !names_word("\"books.redb\"", "redb"));
    assert!(!names_word("Profile::new()", "File::") && names_word("File::open(path)", "File::"));
}
