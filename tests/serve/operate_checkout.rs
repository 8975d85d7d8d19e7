//! `reconciled operate` at the checkout: charges, payouts, lists of banks, and the question before anything is sent.

use std::process::{Output, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::operate::Sandbox;
use crate::shop::{Daemon, Shop, text, until};

/// A shop whose gateway is the sandbox, and the daemon beside it.
struct Desk {
    shop: Shop,
    sandbox: Sandbox,
    daemon: Daemon,
}

impl Desk {
    fn new() -> Desk {
        let shop = Shop::new();
        let sandbox = Sandbox::start(&shop);
        let daemon = shop.start();
        Desk { shop, sandbox, daemon }
    }

    /// Submits an order of 50 EUR, has it paid as told, and waits until it is seen so.
    fn order(&self, name: &str, method: &str, script: &str, state: &str) {
        let number = self.sandbox.control("order-numbers", &json!({}))["gateway_order_number"].clone();
        let submission = json!({"merchant": "shop-at", "request_id": format!("c-{name}"), "order_number": name,
            "amount": "50", "currency": "EUR", "payment_method": method, "gateway_order_number": number});
        assert_eq!(self.shop.ask("POST", "/v1/submissions", &submission.to_string()).0, 201);
        let mut payment = submission;
        payment["play"] = json!({"script": script, "after": "0s"});
        self.sandbox.control("payments", &payment);
        self.seen(&format!("c-{name}"), state, |payment| payment["state"] == state);
    }

    /// Has a request looked up until its payment is as wanted.
    fn seen(&self, request: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        until(what, || {
            assert_eq!(self.shop.ask("POST", &format!("/v1/retrieve/{request}"), "").0, 202);
            is_so(&self.payment(request))
        });
    }

    fn payment(&self, request: &str) -> Value {
        self.shop.ask("GET", &format!("/v1/payments/shop-at/{request}"), "").1
    }

    /// From now on what is sent is executed, and its answer is lost.
    fn lose_answers(&self) {
        let outage = json!({"merchant": "shop-at", "from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z",
            "manner": "closed", "to": "submissions", "executes": true});
        self.sandbox.control("outages", &outage);
    }

    fn operate(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.shop.run(&[&["operate"], arguments].concat());
        let said = format!("{arguments:?}\n{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        output
    }

    /// The number of the operation an output speaks of.
    fn operation(&self, output: &Output) -> String {
        let said = text(&output.stdout);
        let number = said.split_once("operation ").and_then(|(_, rest)| rest.split(',').next());
        number.unwrap_or_else(|| panic!("no operation in {said}")).to_owned()
    }

    /// What the daemon sent to shop-at's gateway that moves money, as its books know it.
    fn operated(&self) -> usize {
        let (_, journal) = self.shop.ask("GET", "/v1/journal?after=0&limit=1000", "");
        journal["items"].as_array().expect("a list").iter().filter(|item| item["event"] == "operated").count()
    }

    /// Stops the daemon and proves the books.
    fn close(self) {
        assert_eq!(self.daemon.stop(), Some(0));
        let check = self.shop.run(&["check"]);
        assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
    }

    /// Runs a command at a terminal where a person types `keys`; returns its code and what it wrote to stderr.
    fn at_a_terminal(&self, arguments: &[&str], keys: &[u8]) -> (Option<i32>, String) {
        let desk = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&desk).and_then(|()| unlockpt(&desk)).expect("a terminal that can be opened");
        let name = ptsname(&desk, Vec::new()).expect("its name");
        let path = name.to_str().expect("text");
        let terminal = std::fs::File::options().read(true).write(true).open(path).expect("opened");
        // Typed ahead: the terminal keeps it until the command reads.
        rustix::io::write(&desk, keys).expect("typed");
        let mut command = self.shop.command(&[&["operate"], arguments].concat());
        let output = command.stdin(terminal).stderr(Stdio::piped()).output().expect("it runs");
        (output.status.code(), text(&output.stderr))
    }
}

#[test]
fn an_order_is_charged_again_under_a_number_of_its_own() {
    let desk = Desk::new();
    desk.order("o-1", "CCARD", "reserved", "reserved");
    let held = desk.operate(&["recur", "o-1", "--amount", "7", "--request-id", "op-1", "--yes"], 0);
    assert!(text(&held.stdout).starts_with("executed: "), "{}", text(&held.stdout));
    desk.seen("op-1", "the hold", |payment| payment["state"] == "reserved");
    let taken = ["recur", "o-1", "--amount", "8", "--auto-deposit", "yes", "--request-id", "op-2"];
    let printed = text(&desk.operate(&[taken.as_slice(), &["--dry-run"]].concat(), 0).stdout);
    assert!(printed.contains("&autoDeposit=Yes&") && printed.contains("&amount=8.00&currency=EUR&"), "{printed}");
    desk.operate(&[taken.as_slice(), &["--yes"]].concat(), 0);
    desk.seen("op-2", "the second hold", |payment| payment["state"] == "reserved");
    let number = desk.payment("op-2")["gateway_order_number"].as_str().expect("a number of its own").to_owned();
    assert_ne!(desk.payment("c-o-1")["gateway_order_number"], number.as_str());

    // A number that was used before is another order's: nothing happens twice.
    let again = ["recur", "o-1", "--amount", "8", "--number", &number, "--request-id", "op-3", "--yes"];
    let refused = desk.operate(&again, 1);
    assert!(text(&refused.stderr).contains("belongs to another request"), "{}", text(&refused.stderr));

    desk.lose_answers();
    let lost = desk.operate(&["recur", "o-1", "--amount", "9", "--request-id", "op-4", "--yes"], 76);
    assert!(text(&lost.stderr).contains("do not repeat it"), "{}", text(&lost.stderr));
    desk.seen("op-4", "its effect", |payment| payment["operations"][0]["outcome"] == "executed");
    desk.close();
}

#[test]
fn a_transfer_pays_an_order_back_once() {
    let desk = Desk::new();
    desk.order("o-1", "IDL", "success", "paid_provisional");
    let refund = desk.operate(&["refund", "o-1", "--amount", "5", "--yes"], 1);
    assert!(text(&refund.stderr).contains("transfer --fund existing-order"), "{}", text(&refund.stderr));
    let nobody = desk.operate(&["transfer", "--fund", "existing-order", "--amount", "5", "--yes"], 64);
    assert!(text(&nobody.stderr).contains("name the order"), "{}", text(&nobody.stderr));
    let back = ["transfer", "o-1", "--fund", "existing-order", "--amount", "5", "--request-id", "op-1", "--yes"];
    desk.operate(&back, 0);
    let journaled = desk.payment("c-o-1")["operations"][0].clone();
    assert_eq!((&journaled["outcome"], &journaled["request_id"]), (&json!("executed"), &json!("op-1")));
    until("the credit", || {
        let (_, ledger) = desk.shop.ask("GET", "/v1/ledger?after=0&limit=100", "");
        ledger["items"].as_array().expect("a list").iter().any(|e| e["kind"] == "refund" && e["amount"] == "5.00")
    });
    let next = ["transfer", "o-1", "--fund", "existing-order", "--amount", "1", "--dry-run"];
    desk.seen("c-o-1", "books that are new enough for the next one", |_| {
        desk.shop.run(&[&["operate"], next.as_slice()].concat()).status.success()
    });
    let much = desk.operate(&["transfer", "o-1", "--fund", "existing-order", "--amount", "45.01", "--yes"], 1);
    assert!(text(&much.stderr).contains("more than the 50.00 EUR taken"), "{}", text(&much.stderr));
    desk.order("o-2", "CCARD", "reserved", "reserved");
    let card = desk.operate(&["transfer", "o-2", "--fund", "existing-order", "--amount", "5", "--yes"], 1);
    assert!(text(&card.stderr).contains("can't be transferred back"), "{}", text(&card.stderr));
    desk.close();
}

#[test]
fn a_payout_whose_reply_is_lost_is_resolved_by_a_person() {
    let desk = Desk::new();
    let file = desk.shop.path("payee.json");
    std::fs::write(&file, r#"{"owner": "Erika Mustermann", "bic": "GIBAATWWXXX", "iban": "AT611904300234573201"}"#)
        .expect("written");
    let file = file.to_str().expect("text");
    let payout = |amount: &str, further: &[&str], code| {
        let arguments = ["transfer", "--merchant", "shop-at", "--fund", "sepa-ct", "--currency", "EUR", "--amount"];
        desk.operate(&[arguments.as_slice(), &[amount], further].concat(), code)
    };
    let nobody = payout("5", &["--yes"], 64);
    assert!(text(&nobody.stderr).contains("--payee FILE"), "{}", text(&nobody.stderr));
    assert_eq!(desk.operated(), 0, "nothing is journaled that can't be built");
    let dry = payout("5", &["--payee", file, "--dry-run"], 0);
    let printed = text(&dry.stdout);
    assert!(printed.contains("fundTransferType=SEPA-CT") && printed.contains("AT611904300234573201"), "{printed}");
    let paid = payout("5", &["--payee", file, "--request-id", "op-1", "--yes"], 0);
    assert_eq!(desk.payment("op-1")["operations"][0]["outcome"], "executed");
    // It came back: the receiver's account is closed.
    desk.operate(&["resolve", &desk.operation(&paid), "--not-executed", "--because", "on the statement of May 2"], 0);
    assert_eq!(desk.payment("op-1")["state"], "failed");
    let (_, ledger) = desk.shop.ask("GET", "/v1/ledger?after=0&limit=100", "");
    let amounts: Vec<&Value> = ledger["items"].as_array().expect("a list").iter().map(|e| &e["amount"]).collect();
    assert_eq!(amounts, ["5.00", "-5.00"]);

    desk.lose_answers();
    let lost = payout("6", &["--payee", file, "--request-id", "op-2", "--yes"], 76);
    let operation = desk.operation(&lost);
    let (_, alerts) = desk.shop.ask("GET", "/v1/alerts?after=0&limit=100", "");
    let firing = alerts["items"].as_array().expect("a list").iter().filter(|alert| alert["status"] == "firing");
    assert!(firing.map(|alert| &alert["topic"]).any(|topic| topic == "operation-unknown"), "{alerts}");
    let again = payout("6", &["--payee", file, "--yes"], 1);
    assert!(text(&again.stderr).contains("the outcome of transfer op-2"), "{}", text(&again.stderr));
    let resolved = desk.operate(&["resolve", &operation, "--executed", "--because", "on the statement of May 3"], 0);
    assert_eq!(text(&resolved.stdout), "executed: on the statement of May 3\n");
    assert_eq!(desk.payment("op-2")["booked"][0]["amount"], "6.00");
    // The receiver is told to the gateway and kept nowhere.
    for name in std::fs::read_dir(desk.shop.path("data")).expect("a folder").flatten() {
        let bytes = std::fs::read(name.path()).unwrap_or_default();
        let is_in = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!is_in(b"Mustermann") && !is_in(b"AT611904300234573201"), "{:?}", name.path());
    }
    desk.close();
}

#[test]
fn an_invoice_is_taken_and_credited_at_the_sandbox_and_nobody_talks_it_away() {
    let desk = Desk::new();
    desk.order("o-1", "INVOICE", "reserved", "reserved");
    let basket = |name: &str, gross: &str| {
        let file = desk.shop.path(name);
        let line = json!([{"article_number": "A1", "name": "Lamp", "quantity": 1, "unit_gross_amount": gross,
            "unit_tax_rate": "20", "unit_net_amount": "1", "unit_tax_amount": "1"}]);
        std::fs::write(&file, line.to_string()).expect("written");
        file.to_str().expect("text").to_owned()
    };
    let (whole, part) = (basket("whole.json", "50"), basket("part.json", "12"));
    let wrong = desk.operate(&["deposit", "o-1", "--basket", &part, "--yes"], 1);
    assert!(!text(&wrong.stderr).contains("400."), "no code of the other gateway: {}", text(&wrong.stderr));
    let taken = desk.operate(&["deposit", "o-1", "--basket", &whole, "--request-id", "op-1", "--yes"], 0);
    desk.seen("c-o-1", "the deposit", |payment| payment["state"] == "paid_provisional");
    let resolve = ["resolve", &desk.operation(&taken), "--not-executed", "--because", "the customer says so"];
    let refused = desk.operate(&resolve, 1);
    let said = text(&refused.stderr);
    assert!(
        said.contains("deposit op-1) is executed, by the gateway itself") && said.contains("payment_deposited"),
        "{said}"
    );
    assert_eq!(desk.payment("c-o-1")["operations"][0]["outcome"], "executed");

    desk.sandbox.control("clock", &json!({"at": "2099-01-01T00:00:00Z"}));
    desk.seen("c-o-1", "the closed day", |payment| payment["state"] == "paid");
    let credit = ["credit", "o-1", "--amount", "12", "--basket", &part, "--request-id", "op-2", "--yes"];
    desk.operate(&credit, 0);
    desk.seen("c-o-1", "the credit", |payment| {
        let booked = payment["booked"].as_array().expect("a list");
        booked.iter().any(|entry| entry["kind"] == "refund" && entry["amount"] == "12.00")
    });
    desk.close();
}

#[test]
fn banks_are_listed_and_nothing_is_journaled() {
    let desk = Desk::new();
    let listed = desk.operate(&["financial-institutions", "--payment-type", "EPS"], 0);
    let lines = text(&listed.stdout);
    assert!(lines.lines().count() > 1 && lines.lines().all(|line| line.contains("  ")), "{lines}");
    let listed = desk.operate(&["financial-institutions", "--payment-type", "EPS", "--json"], 0);
    let printed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let items = printed["items"].as_array().expect("a list");
    assert_eq!(items.len(), lines.lines().count());
    assert!(items.iter().all(|bank| bank["id"].is_string() && bank["name"].is_string()), "{printed}");
    let dry = ["financial-institutions", "--payment-type", "IDL", "--bank-country", "NL", "--dry-run"];
    let printed = text(&desk.operate(&dry, 0).stdout);
    assert!(printed.contains("paymentType=IDL") && printed.contains("password=********"), "{printed}");
    let wpg = desk.operate(&["financial-institutions", "--payment-type", "EPS", "--merchant", "shop-eu"], 64);
    assert!(text(&wpg.stderr).contains("checkout account"), "{}", text(&wpg.stderr));
    assert_eq!(desk.operated(), 0);
    desk.close();
}

#[test]
fn nothing_is_sent_unless_a_person_at_a_terminal_says_yes() {
    const END_OF_FILE: &[u8] = &[4];
    let desk = Desk::new();
    desk.order("o-1", "CCARD", "reserved", "reserved");
    let deposit = ["deposit", "o-1", "--amount", "20", "--request-id", "op-1"];
    let unasked = desk.operate(&deposit, 64);
    assert!(text(&unasked.stderr).contains("there is no terminal to ask at"), "{}", text(&unasked.stderr));
    for keys in [b"n\n".as_slice(), b"\n", b"yep\n", b"N\n", END_OF_FILE] {
        let (code, said) = desk.at_a_terminal(&deposit, keys);
        assert_eq!(code, Some(1), "{keys:?}: {said}");
        assert!(said.contains("send this deposit of 20.00 EUR by shop-at? [y/N]"), "{said}");
        assert!(said.trim_end().ends_with("not sent"), "{said}");
        assert!(said.contains("password=********") && said.contains("reserved"), "what and how it stands: {said}");
    }
    assert_eq!(desk.operated(), 0, "not even journaled");
    for (n, yes) in [b"y\n".as_slice(), b"Y\n", b"yes\n"].into_iter().enumerate() {
        let request = format!("op-{n}");
        let (code, said) = desk.at_a_terminal(&["deposit", "o-1", "--amount", "1", "--request-id", &request], yes);
        assert_eq!(code, Some(0), "{yes:?}: {said}");
        let taken = format!("{}.00", n + 1);
        desk.seen("c-o-1", "the deposit", |payment| payment["booked"][1]["amount"] == taken.as_str());
    }
    assert_eq!(desk.operated(), 3);
    desk.close();
}
