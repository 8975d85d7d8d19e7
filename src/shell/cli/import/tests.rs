use std::io::Write;

use super::*;

fn map(text: &str) -> Map {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("reconciled.toml");
    std::fs::write(&file, text).expect("written");
    let mut maps = config::imports(&file, &Surroundings::default()).expect("a good map");
    maps.pop_first().expect("one").1
}

const GERMAN: &str = r#"
[import.shop]
delimiter = ";"
decimal_comma = true
time_format = "%d.%m.%Y %H:%M"
time_zone = "Europe/Vienna"
encoding = "iso-8859-1"
columns = { request_id = "Anfrage", amount = "Betrag", payment_method = "Zahlart", submitted_at = "Zeit", order_number = "Bestellung" }
defaults = { merchant = "shop-eu", currency = "EUR", transaction_type = "debit" }
values = { payment_method = { "Überweisung" = "sofortbanking" } }
"#;

/// A row's line, and its JSON or what is wrong with it.
type Found = (u64, Result<String, String>);

fn rows(bytes: &[u8], format: Format, map: &Map) -> Result<Vec<Found>, Failure> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let mut list = List::open(file.path(), format, map)?;
    let mut rows = Vec::new();
    while let Some(row) = list.next()? {
        rows.push((row.line, row.read.map(|json| json.get().to_owned())));
    }
    Ok(rows)
}

#[test]
fn a_list_of_a_german_shop_is_read_as_it_says() {
    let text = "Zeit;Anfrage;Betrag;Zahlart;Kunde;Bestellung\r\n\
        01.07.2026 12:00;r-1;1.234,50;Überweisung;\"Müller; \"\"M\"\"\r\nWien\";o-1\r\n\
        \r\n\
        01.07.2026 12:00;r-2;12.50;Überweisung;x;o-2\r\n\
        01.07.2026 12:00;r-3;12,50;Scheck;x;o-3\r\n\
        zu kurz;r-4";
    let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    let read = rows(&latin, Format::Csv, &map(GERMAN)).expect("read");
    let good = r#"{"amount":"1234.50","currency":"EUR","merchant":"shop-eu","order_number":"o-1","payment_method":"sofortbanking","request_id":"r-1","submitted_at":"2026-07-01T10:00:00Z","transaction_type":"debit"}"#;
    assert_eq!(read[0], (2, Ok(good.to_owned())));
    let wrong: Vec<(u64, String)> =
        read[1..].iter().map(|(line, row)| (*line, row.clone().expect_err("wrong"))).collect();
    assert_eq!(
        wrong,
        [
            (5, "column `Betrag`: not an amount with a decimal comma, such as 1234,50 or 1.234,50".to_owned()),
            (6, "column `Zahlart`: a value that the configuration does not translate".to_owned()),
            (7, "it has 2 columns, the heading has 6".to_owned()),
        ]
    );
}

#[test]
fn headings_may_be_the_names_of_the_fields_behind_a_byte_order_mark() {
    let text = "\u{feff}merchant,request_id,amount,currency,note\nshop-eu,r-1,12.50,EUR,ä\n";
    let read = rows(text.as_bytes(), Format::Csv, &Map::default()).expect("read");
    let good = r#"{"amount":"12.50","currency":"EUR","merchant":"shop-eu","request_id":"r-1"}"#;
    assert_eq!(read, [(2, Ok(good.to_owned()))]);
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for end in ["\n", "\r\n"] {
        for last_end in ["", end] {
            let text =
                ["merchant,request_id,amount,currency", "", "m,a,1,EUR", "", "", "m,\"b", "c\",1,EUR", "m,d,1,EUR"];
            let text = format!("{}{last_end}", text.join(end));
            let read = rows(text.as_bytes(), Format::Csv, &Map::default()).expect("read");
            let lines: Vec<u64> = read.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, [3, 6, 8], "{text:?}");
            assert!(read[2].1.as_ref().is_ok_and(|json| json.contains(r#""currency":"EUR""#)), "{read:?}");
        }
    }
}

#[test]
fn a_list_that_can_not_be_read_is_refused_whole() {
    let endless = format!("merchant,request_id,amount,currency\nm,\"{}", "x\n".repeat(list::ROW_MAX_BYTES));
    let long = endless.replace('\n', "\r");
    for (bytes, says) in [
        (&b""[..], "it is empty"),
        (b"merchant,request_id,currency\n", "no column `amount`"),
        (b"merchant,request_id,amount,amount,currency\n", "the column `amount` twice"),
        (b"merchant,request_id,\"amount,currency\n", "its heading: the quote opened on line 1 is never closed"),
        (b"merchant,request_id,amount,currency\rm,r,1,EUR\r", "its lines end in CR alone"),
        (b"merchant,request_id,amount,currency\rm,\"r,1,EUR\r", "its lines end in CR alone"),
        (long.as_bytes(), "do its lines end in CR alone?"),
        (b"\xff\xfem\0e\0r\0", "UTF-16"),
        (b"merchant,request_id,amount,currency,\xe4\n", "set `encoding`"),
        (endless.as_bytes(), "is a quote not closed?"),
    ] {
        let failure = rows(bytes, Format::Csv, &Map::default()).expect_err(says);
        assert!(failure.code == exit::DATA && failure.message.contains(says), "{}", failure.message);
    }
}

#[test]
fn a_mapped_column_that_the_list_lacks_is_named_before_anything_is_taken() {
    let strict = map(GERMAN);
    let text = b"Anfrage;Betrag;Zahlart;Bestellung;Zeitstempel\nr-1;12,50;;o-1;01.07.2026 12:00\n";
    let failure = rows(text, Format::Csv, &strict).expect_err("`Zeit` was renamed");
    let says = "it has no column `Zeit`; its columns are Anfrage, Betrag, Zahlart, Bestellung, Zeitstempel; ";
    assert!(failure.code == exit::DATA && failure.message.contains(says), "{}", failure.message);
    let failure = rows(b"Anfrage;Betrag\n", Format::Csv, &strict).expect_err("three are not there");
    assert!(failure.message.contains("no column `Bestellung`, `Zahlart`, `Zeit`;"), "{}", failure.message);
    let lenient = map(&format!("{GERMAN}optional = [\"submitted_at\"]\n"));
    let read = rows(text, Format::Csv, &lenient).expect("the map says that it may be missing");
    assert!(read[0].1.as_ref().is_ok_and(|json| !json.contains("submitted_at")), "{read:?}");
    assert!(rows(b"Anfrage;Betrag;Zeit;Zahlart\n", Format::Csv, &lenient).is_err(), "the others may not");
}

#[test]
fn a_cell_in_another_encoding_is_a_row_that_is_skipped() {
    let bytes = b"merchant,request_id,amount,currency,payment_method\nm,r,1,EUR,\xe4\nm,r,2,EUR,x\n";
    let read = rows(bytes, Format::Csv, &Map::default()).expect("read");
    assert!(read[0].1.as_ref().is_err_and(|why| why.starts_with("column `payment_method`: a text that is not UTF-8")));
    assert!(read[1].1.is_ok());
}

#[test]
fn json_lines_are_taken_as_they_stand() {
    let text = "\u{feff}{\"amount\": \"1\"}\r\n\n{\"amount\": 12.500000000000000000001}\n{\"amount\"\nnot\n";
    let read = rows(text.as_bytes(), Format::Jsonl, &Map::default()).expect("read");
    assert_eq!(read[0], (1, Ok("{\"amount\": \"1\"}".to_owned())));
    assert_eq!(read[1], (3, Ok("{\"amount\": 12.500000000000000000001}".to_owned())));
    assert!(read[2].0 == 4 && read[2].1.is_err() && read[3].0 == 5 && read[3].1.is_err());
    let long = format!("{{\"a\": \"{}\"}}\n{{\"a\": 1}}\n", "x".repeat(3 * list::ROW_MAX_BYTES));
    let read = rows(long.as_bytes(), Format::Jsonl, &Map::default()).expect("the row behind it is read");
    assert!(read[0].0 == 1 && read[0].1.as_ref().is_err_and(|why| why.contains("longer")), "{read:?}");
    assert_eq!(read[1], (2, Ok("{\"a\": 1}".to_owned())));
}

/// What is read of a list, and the file of what is rejected of it.
fn imported(bytes: &[u8], map: &Map) -> (Vec<(u64, String)>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, bytes).expect("written");
    let mut list = List::open(&path, Format::Csv, map).expect("opened");
    let mut rejects = Rejects::beside(&path, &list, map).expect("a folder of ours");
    let mut taken = Vec::new();
    while let Some(row) = list.next().expect("read") {
        match &row.read {
            Ok(json) => taken.push((row.line, json.get().to_owned())),
            Err(why) => rejects.add(row.line, &row.raw, why).expect("added"),
        }
    }
    let place = rejects.path().to_owned();
    assert!(!place.exists(), "whole or not at all");
    let has_any = rejects.finish().expect("finished");
    assert_eq!(has_any, place.exists());
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1 + usize::from(has_any));
    (taken, if has_any { std::fs::read_to_string(place).expect("text") } else { String::new() })
}

#[test]
fn rejected_rows_stand_beside_the_list_and_can_be_read_again() {
    let map = Map { delimiter: b';', ..Map::default() };
    let list = "\u{feff}merchant;request_id;amount;currency;note\r\nm;r-1;\"1\";EUR\r\n\r\nm;r-2;2;EUR;\"a\"\"\r\nb\"\r\nm;r;;";
    let (taken, rejected) = imported(list.as_bytes(), &map);
    assert_eq!(taken.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4]);
    assert_eq!(
        rejected,
        "\u{feff}rejected_line;rejected_because;merchant;request_id;amount;currency;note\r\n\
         2;it has 4 columns, the heading has 5;m;r-1;\"1\";EUR\r\n\
         6;it has 4 columns, the heading has 5;m;r;;\n"
    );
    let mended = rejected.replace("EUR\r\n", "EUR;x\r\n").replace("m;r;;", "m;r-3;3;EUR;");
    let (taken, rejected) = imported(mended.as_bytes(), &map);
    assert_eq!((taken.len(), rejected.as_str()), (2, ""));
}

#[test]
fn a_quote_that_is_never_closed_loses_no_row() {
    let map = Map { delimiter: b';', ..Map::default() };
    let heading = "merchant;request_id;amount;currency";
    let open = "m;im-2;2.00;\"EUR\nm;im-3;3;EUR\nm;im-4;4;EUR\n";
    for (before, line) in [("", 2), ("m;im-1;1;EUR\nm;im-1;1;EUR\n", 4)] {
        let (taken, rejected) = imported(format!("{heading}\n{before}{open}").as_bytes(), &map);
        assert!(taken.iter().all(|(_, json)| json.contains("im-1")) && taken.len() as u64 == line - 2, "{taken:?}");
        let why = format!("the quote opened on line {line} is never closed; all lines from there on stand inside it");
        let told: String = open.lines().zip(line..).map(|(row, n)| format!("{n};\"{why}\";{row}\n")).collect();
        assert_eq!(rejected, format!("rejected_line;rejected_because;{heading}\n{told}"));
        // Closed where it should have been, the rows that it swallowed are rows again.
        let (taken, rejected) = imported(rejected.replace("\"EUR", "EUR").as_bytes(), &map);
        assert_eq!((taken.len(), rejected.as_str()), (3, ""));
    }
}

proptest::proptest! {
    #[test]
    fn every_line_of_a_list_is_taken_or_rejected(rows in proptest::collection::vec(
        ("[0-9]{1,3}", "(EUR|\"EUR\"|\"EUR|EUR\"|E\"R|\"\"EUR\"|\"E\nR\"|;)", "(\r?\n){1,2}"), 0..12,
    )) {
        let map = Map { delimiter: b';', ..Map::default() };
        let body: String = rows.iter().map(|(amount, currency, end)| format!("m;<r>;{amount};{currency}{end}")).collect();
        // Each has an id of its own.
        let mut parts = body.split("<r>");
        let first = parts.next().unwrap_or_default().to_owned();
        let body = parts.enumerate().fold(first, |text, (n, part)| format!("{text}<{n}>{part}"));
        let text = format!("merchant;request_id;amount;currency\n{body}");
        let (taken, rejected) = imported(text.as_bytes(), &map);
        for n in 0..rows.len() {
            let id = format!("<{n}>");
            let times = |text: &str| text.matches(&id).count();
            let taken = taken.iter().map(|(_, json)| times(json)).sum::<usize>();
            proptest::prop_assert_eq!(taken + times(&rejected), 1, "{} of {:?}: {:?}", id, text, rejected);
        }
        for (number, line) in text.lines().enumerate().skip(1) {
            let stands = rejected.lines().any(|told| told.starts_with(&format!("{};", number + 1)) && told.ends_with(line));
            let is_taken = taken.iter().any(|(at, _)| *at == number as u64 + 1 || *at == number as u64);
            proptest::prop_assert!(line.is_empty() || stands || is_taken, "{:?} of {:?}: {:?}", line, text, rejected);
        }
    }
}

#[test]
fn rejected_json_lines_stand_as_they_were_and_their_reasons_beside_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.jsonl");
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(list::ROW_MAX_BYTES));
    std::fs::write(&path, [b"{\"a\":  1.50}\n".as_slice(), long.as_bytes(), b"\n\xff{\r\n"].concat()).expect("written");
    let mut list = List::open(&path, by_ending(&path), &Map::default()).expect("opened");
    let mut rejects = Rejects::beside(&path, &list, &Map::default()).expect("a folder of ours");
    while let Some(row) = list.next().expect("read") {
        let why = row.read.err().unwrap_or_else(|| "no".to_owned());
        rejects.add(row.line, &row.raw, &why).expect("added");
    }
    let (place, reasons) = (rejects.path().to_owned(), rejects.reasons_path().expect("beside it"));
    assert!(rejects.finish().expect("finished"));
    assert_eq!(std::fs::read(&place).expect("bytes"), b"{\"a\":  1.50}\n\xff{\n", "every digit and blank");
    let told = std::fs::read_to_string(reasons).expect("text");
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(told[0], json!({"line": 1, "rejected_line": 1, "because": "no"}));
    assert!(told[1]["rejected_line"].is_null(), "too long to stand there: {:?}", told[1]["because"]);
    assert_eq!(told[1]["begins"].as_str().map(str::len), Some(1024));
    assert_eq!(told[2], json!({"line": 3, "rejected_line": 2, "because": "not UTF-8"}));
    assert_eq!(by_ending(&place), Format::Jsonl, "it is read like the list it comes from");
    assert_eq!(by_ending(Path::new("a.csv.rejected")), Format::Csv);
}

#[test]
fn a_row_is_found_again_where_it_begins() {
    let csv = "\u{feff}merchant;request_id;amount;currency\r\n\r\nm;\"r\r\n1\";1;EUR\r\nm;r-2;2;EUR\r\nm;r-3;3;EUR";
    let lines = "\u{feff}{\"a\": 1}\n\n {\"a\": 2}\r\n{\"a\": 3}";
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("orders.csv", csv), ("orders.jsonl", lines)] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        let mut list = List::open(&path, by_ending(&path), &Map { delimiter: b';', ..Map::default() }).expect("opened");
        let rows: Vec<Row> = std::iter::from_fn(|| list.next().expect("read")).collect();
        assert_eq!(rows.len(), 3, "{name}");
        for row in rows.iter().rev() {
            let again = list.row_at(row.at).expect("read").expect("a row");
            let json = |row: &Row| row.read.as_ref().ok().map(|json| json.get().to_owned());
            assert_eq!(json(&again), json(row), "{name}");
            assert!(again.at == row.at && json(row).is_some(), "{name}: {row:?}");
        }
    }
}

#[test]
fn what_a_killed_run_leaves_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.csv");
    std::fs::write(&path, "merchant,request_id,amount,currency\n").expect("written");
    let mut list = List::open(&path, Format::Csv, &Map::default()).expect("opened");
    assert!(list.next().expect("a heading and no rows").is_none());
    let _unfinished = Rejects::beside(&path, &list, &Map::default()).expect("a folder of ours");
    let names = std::fs::read_dir(folder.path()).expect("a folder");
    let names: Vec<String> = names.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    let is_telling = |name: &String| name.starts_with("orders.csv.rejected.") && name.ends_with(".unfinished");
    assert!(names.len() == 2 && names.iter().any(is_telling), "{names:?}");
}

#[test]
fn a_map_is_refused_by_its_key() {
    let refused = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("reconciled.toml");
        std::fs::write(&file, text).expect("written");
        config::imports(&file, &Surroundings::default()).expect_err(text).key
    };
    for (text, key) in [
        ("[import.a]\ncolumns = { request_id = \"a\" }", "import.a.columns.amount"),
        ("[import.a]\ncolumns = { request_id = \"a\", amount = \"b\" }", "import.a.columns.merchant"),
        ("[import.a]\ncolumns = { request = \"a\" }", "import.a.columns.request"),
        (
            "[import.a]\noptional = [\"currency\"]\ncolumns = { request_id = \"a\", amount = \"b\" }",
            "import.a.optional",
        ),
        ("[import.a]\noptional = [\"amount\"]\ncolumns = { request_id = \"a\", amount = \"b\" }", "import.a.optional"),
        ("[import.a]\ndelimiters = \";\"", "import.a.delimiters"),
    ] {
        assert_eq!(refused(text), key, "{text}");
    }
    for (good, bad, key) in [
        ("delimiter = \";\"", "delimiter = \"ab\"", "delimiter"),
        ("encoding = \"iso-8859-1\"", "encoding = \"utf-16\"", "encoding"),
        ("\"%d.%m.%Y %H:%M\"", "\"%H:%M\"", "time_format"),
        ("\"%d.%m.%Y %H:%M\"", "\"%! %Y\"", "time_format"),
        ("\"Europe/Vienna\"", "\"Europe/Atlantis\"", "time_zone"),
    ] {
        assert_eq!(refused(&GERMAN.replace(good, bad)), format!("import.shop.{key}"), "{bad}");
    }
}
