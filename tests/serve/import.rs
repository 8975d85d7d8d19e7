//! Order lists, imported by the real process.

use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::shop::{Shop, say, text, until};

/// So many rows that a run can be killed in their middle.
const MANY_ROWS: u64 = 8_000;

fn write_list(shop: &Shop, name: &str, rows: u64) -> String {
    let path = shop.path(name);
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    writeln!(file, "merchant,request_id,order_number,transaction_type,amount,currency,submitted_at").expect("written");
    for n in 0..rows {
        let at = format!("2026-01-{:02}T12:00:00Z", 1 + n % 28);
        writeln!(file, "shop-eu,i-{n},o-{n},debit,{}.50,EUR,{at}", 1 + n % 90).expect("written");
    }
    file.flush().expect("written");
    path.to_str().expect("text").to_owned()
}

fn summary(shop: &Shop, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = shop.run(&[&["import", "--json"], arguments].concat());
    let said = serde_json::from_slice(&output.stdout);
    (output.status.code(), said.unwrap_or_else(|_| panic!("{}{}", text(&output.stdout), text(&output.stderr))))
}

fn numbers(said: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| said[*name].as_u64().unwrap_or_else(|| panic!("no {name} in {said}"))).collect()
}

fn payments(shop: &Shop) -> u64 {
    shop.ask("GET", "/v1/status", "").1["payments"].as_u64().expect("a count")
}

#[test]
fn bad_rows_are_named_and_skipped_and_nothing_is_taken_twice() {
    let shop = Shop::new();
    let daemon = shop.start();
    assert_eq!(shop.submit("r-1", "12.5").0, 201);
    let path = shop.path("orders.csv");
    let heading = "merchant,request_id,order_number,transaction_type,amount,currency,payment_method\n";
    let list = format!(
        "{heading}shop-eu,r-1,o-1,debit,12.50,EUR,creditcard\nshop-eu,r-1,o-1,debit,13,EUR,creditcard\n\
         shop-eu,n-1,o-2,debit,1.00,EUR,\nshop-xx,n-2,o-3,debit,1.00,EUR,\nshop-eu,n-3,o-3,debit,1.005,EUR,\n"
    );
    std::fs::write(&path, list).expect("written");
    let path = path.to_str().expect("text");
    const COUNTS: [&str; 5] = ["rows", "created", "same", "conflicts", "refused"];

    let (code, tried) = summary(&shop, &["--dry-run", path]);
    assert_eq!((code, numbers(&tried, &COUNTS)), (Some(65), vec![5, 1, 1, 1, 2]));
    assert_eq!(payments(&shop), 1, "a rehearsal changes nothing");

    let (code, said) = summary(&shop, &[path]);
    assert_eq!((code, numbers(&said, &COUNTS)), (Some(65), vec![5, 1, 1, 1, 2]));
    let rejected = std::fs::read_to_string(format!("{path}.rejected")).expect("the rejected rows");
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines.len(), 4, "{rejected}");
    assert!(lines[0].starts_with("rejected_line,rejected_because,merchant,"));
    assert!(lines[1].starts_with("3,column `amount`: differs from what was submitted before"), "{rejected}");
    assert!(lines[1].ends_with(",shop-eu,r-1,o-1,debit,13,EUR,creditcard"), "{rejected}");
    assert!(lines[2].starts_with("5,\"column `merchant`: no such merchant account"), "{rejected}");
    assert!(lines[3].starts_with("6,column `amount`: "), "{rejected}");

    let (code, again) = summary(&shop, &[path]);
    assert_eq!((code, again["taken_before"].as_bool()), (Some(65), Some(true)));
    assert_eq!(numbers(&again, &COUNTS), [5, 1, 1, 1, 2], "what became of it the first time");
    assert_eq!(std::fs::read_to_string(format!("{path}.rejected")).expect("the same"), rejected);
    let (_, anew) = summary(&shop, &["--again", path]);
    assert_eq!(numbers(&anew, &COUNTS), [5, 0, 2, 1, 2]);
    assert_eq!(payments(&shop), 2);

    // One alert for the list, none for a row.
    let alerts = shop.ask("GET", "/v1/alerts", "").1;
    let topics: Vec<&str> =
        alerts["items"].as_array().expect("a list").iter().filter_map(|a| a["topic"].as_str()).collect();
    assert_eq!(topics, ["import"], "{alerts}");
    assert!(text(&shop.run(&["explain", "n-1"]).stdout).contains("as an imported list says"));
    assert_eq!(daemon.stop(), Some(0));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
    assert_eq!(shop.run(&["import", path]).status.code(), Some(69), "only the daemon takes rows");
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let shop = Shop::new();
    let daemon = shop.start();
    let path = write_list(&shop, "many.csv", MANY_ROWS);
    let begin = || -> Child {
        let mut command = shop.command(&["import", &path]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs")
    };
    let mut first = begin();
    until("some rows are taken", || payments(&shop) > 0);
    first.kill().expect("killed");
    first.wait().expect("gone");
    let taken = payments(&shop);
    assert!(taken < MANY_ROWS, "too quick to be killed: take more rows");

    // The next run loses its daemon.
    let mut second = begin();
    until("some more are taken", || payments(&shop) > taken);
    daemon.kill();
    assert_ne!(second.wait().expect("ended").code(), Some(0));
    let daemon = shop.start();
    let taken = payments(&shop);
    let (code, said) = summary(&shop, &[&path]);
    assert_eq!(
        (code, numbers(&said, &["rows", "created", "same", "resumed_at"])),
        (Some(0), vec![MANY_ROWS, MANY_ROWS, 0, taken])
    );
    assert_eq!(payments(&shop), MANY_ROWS);
    assert!(!shop.path("many.csv.rejected").exists());
    say(&format!("imported {} rows a second", said["rows_per_second"]));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_quote_left_open_takes_no_other_row_with_it() {
    let shop = Shop::new();
    let daemon = shop.start();
    let path = shop.path("orders.csv");
    let heading = "merchant,request_id,order_number,amount,currency,transaction_type";
    let (good, other) = ("shop-eu,im-1,B1,1.00,EUR,debit", "shop-eu,im-1,B1,9.00,EUR,debit");
    let open = "shop-eu,im-2,B2,2.00,EUR,\"debit\nshop-eu,im-3,B3,3.00,EUR,debit\nshop-eu,im-4,B4,4.00,EUR,debit\n";
    std::fs::write(&path, format!("{heading}\n{good}\n{other}\n{open}")).expect("written");
    let path = path.to_str().expect("text");
    let (code, said) = summary(&shop, &[path]);
    assert_eq!((code, numbers(&said, &["rows", "created", "conflicts", "refused"])), (Some(65), vec![3, 1, 1, 1]));
    let rejected = format!("{path}.rejected");
    let told = std::fs::read_to_string(&rejected).expect("the rejected rows");
    let places = |told: &str| -> Vec<(String, String)> {
        let place = |line: &str| (line.split(',').next().unwrap_or_default().to_owned(), line.to_owned());
        told.lines().skip(1).map(place).collect()
    };
    let expected = [("3", other)].into_iter().chain(["4", "5", "6"].into_iter().zip(open.lines()));
    let found = places(&told);
    assert_eq!(found.len(), 4, "{told}");
    for ((line, text), (number, row)) in found.iter().zip(expected) {
        assert!(line == number && text.ends_with(row), "{text}: {number} {row}");
    }
    std::fs::write(&rejected, told.replace("\"debit", "debit")).expect("mended");
    let (code, said) = summary(&shop, &[&rejected]);
    assert_eq!((code, numbers(&said, &["rows", "created", "conflicts", "refused"])), (Some(65), vec![4, 3, 1, 0]));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_rehearsal_finds_what_the_list_contradicts_far_from_it() {
    let shop = Shop::new();
    let daemon = shop.start();
    let path = shop.path("orders.jsonl");
    let row = |id: &str, amount: &str, number: &str| {
        let number = if number.is_empty() { String::new() } else { format!(",\"gateway_order_number\":\"{number}\"") };
        format!(
            "{{\"merchant\":\"shop-at\",\"request_id\":\"{id}\",\"amount\":\"{amount}\",\"currency\":\"EUR\"{number}}}\n"
        )
    };
    let far = |tag: &str| (0..300).map(|n| row(&format!("{tag}-{n}"), "1", "")).collect::<String>();
    let refused = row("late", "no amount", "");
    let text = [
        &row("same", "1", ""),
        &row("other", "1", ""),
        &row("number", "1", ""),
        &refused,
        &far("a"),
        &row("same", "1.0", ""),
        &row("other", "2", ""),
        &row("number", "1", "77001"),
        &row("late", "5", ""),
        &far("b"),
        &row("same", "1", ""),
        &row("other", "1", ""),
        &row("number", "1", "77002"),
        &row("late", "6", ""),
    ];
    std::fs::write(&path, text.map(String::as_str).concat()).expect("written");
    let path = path.to_str().expect("text");
    const COUNTS: [&str; 6] = ["rows", "created", "same", "amended", "conflicts", "refused"];
    let expected = vec![612, 604, 3, 1, 3, 1];
    let (code, tried) = summary(&shop, &["--dry-run", path]);
    let told =
        || ["", ".reasons"].map(|end| std::fs::read_to_string(format!("{path}.rejected{end}")).expect("rejects"));
    assert_eq!((code, numbers(&tried, &COUNTS)), (Some(65), expected.clone()));
    assert!(tried["not_compared_from_line"].is_null());
    let rehearsed = told();
    let (code, said) = summary(&shop, &[path]);
    assert_eq!((code, numbers(&said, &COUNTS)), (Some(65), expected), "as it was told");
    assert_eq!(told(), rehearsed);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn json_lines_are_submissions_as_they_stand() {
    let shop = Shop::new();
    let daemon = shop.start();
    let path = shop.path("orders.jsonl");
    let good = r#"{"merchant":"shop-at","request_id":"j-1","amount":"1","currency":"EUR","custom_fields":{"a":"b"}}"#;
    let number = r#"{"merchant":"shop-at","request_id":"j-2","amount":1.5,"currency":"EUR"}"#;
    std::fs::write(&path, format!("{good}\n{number}\n{{\n")).expect("written");
    let (code, said) = summary(&shop, &[path.to_str().expect("text")]);
    assert_eq!((code, numbers(&said, &["rows", "created", "refused"])), (Some(65), vec![3, 1, 2]));
    let (rejected, reasons) = (shop.path("orders.jsonl.rejected"), shop.path("orders.jsonl.rejected.reasons"));
    assert_eq!((&said["rejected_file"], &said["reasons_file"]), (&json!(rejected), &json!(reasons)));
    assert_eq!(std::fs::read_to_string(&rejected).expect("the rejected rows"), format!("{number}\n{{\n"));
    let told = std::fs::read_to_string(reasons).expect("the reasons");
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&told[0]["line"], &told[0]["rejected_line"]), (&json!(2), &json!(1)));
    assert!(told[0]["because"].as_str().is_some_and(|why| why.starts_with("`amount`: ")), "{told:?}");
    assert_eq!((&told[1]["line"], &told[1]["rejected_line"]), (&json!(3), &json!(2)));
    assert!(told[1]["because"].as_str().is_some_and(|why| why.starts_with("not JSON")), "{told:?}");

    // Mended where it stands, it is imported like the first.
    let mended = std::fs::read_to_string(&rejected).expect("text").replace("1.5", "\"1.5\"");
    std::fs::write(&rejected, mended).expect("written");
    let (code, said) = summary(&shop, &[rejected.to_str().expect("text")]);
    assert_eq!((code, numbers(&said, &["rows", "created", "refused"])), (Some(65), vec![2, 1, 1]));
    assert_eq!(shop.ask("GET", "/v1/payments/shop-at/j-2", "").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}
