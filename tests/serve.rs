//! The real process: started, asked, killed and started again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Far longer than any start or answer takes; only something stuck meets it.
const STUCK: Duration = Duration::from_secs(60);

struct Shop {
    folder: tempfile::TempDir,
}

struct Daemon {
    child: Child,
    public: String,
}

impl Shop {
    /// A folder with the repository's example, on ports of its own.
    fn new() -> Shop {
        let folder = tempfile::tempdir().expect("a folder");
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let text = std::fs::read_to_string(example.join("reconciled.toml")).expect("the example");
        let text = text.replace("127.0.0.1:8080\"", "127.0.0.1:0\"").replace("127.0.0.1:8090", "127.0.0.1:9");
        std::fs::write(folder.path().join("reconciled.toml"), text).expect("written");
        std::fs::create_dir(folder.path().join("secrets")).expect("made");
        for entry in std::fs::read_dir(example.join("secrets")).expect("the example's secrets") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), folder.path().join("secrets").join(entry.file_name())).expect("copied");
        }
        Shop { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciled"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("reconciled.toml"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    fn start(&self) -> Daemon {
        let ready = self.folder.path().join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let log =
            std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).expect("a log");
        let mut child =
            self.command(&["serve"]).arg("--ready-file").arg(&ready).stderr(log).spawn().expect("the daemon starts");
        for _ in 0..STUCK.as_millis() / 20 {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                let addresses: Value = serde_json::from_str(&text).expect("the ready file is whole");
                return Daemon { child, public: addresses["public"].as_str().expect("an address").to_owned() };
            }
            if let Some(ended) = child.try_wait().expect("a child") {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the daemon ended by itself: {ended}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the daemon was never ready");
    }

    /// Asks the admin socket.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let stream = UnixStream::connect(self.folder.path().join("data/admin.sock")).expect("the admin socket");
        stream.set_read_timeout(Some(STUCK)).expect("a time-out");
        let (status, body) = talk(stream, method, path, body);
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    fn submit(&self, request_id: &str, amount: &str) -> (u16, Value) {
        let body = json!({"merchant": "shop-eu", "request_id": request_id, "order_number": "o-1",
            "transaction_type": "debit", "amount": amount, "currency": "EUR", "payment_method": "creditcard"});
        self.ask("POST", "/v1/submissions", &body.to_string())
    }
}

impl Daemon {
    fn notify(&self, path: &str, body: &str) -> (u16, String) {
        let stream = TcpStream::connect(&self.public).expect("the public listener");
        stream.set_read_timeout(Some(STUCK)).expect("a time-out");
        talk(stream, "POST", path, body)
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM; returns the exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        self.child.wait().expect("gone").code()
    }
}

fn talk(mut stream: impl Read + Write, method: &str, path: &str, body: &str) -> (u16, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_and_the_books_agree() {
    let shop = Shop::new();
    let daemon = shop.start();
    assert_eq!(shop.ask("GET", "/readyz", "").0, 200);

    assert_eq!(shop.submit("r-1", "12.5").0, 201);
    assert_eq!(shop.submit("r-1", "12.500").0, 200, "the same again");
    let (status, conflict) = shop.submit("r-1", "13");
    assert_eq!((status, conflict["field"].as_str()), (409, Some("amount")));
    let (status, refused) = shop.submit("r-2", "12.505");
    assert_eq!((status, refused["field"].as_str()), (422, Some("amount")));
    let (status, sent) = shop.ask(
        "POST",
        "/v1/responses",
        &json!({"merchant": "shop-eu", "request_id": "r-1", "http_status": 201, "body": "<x/>"}).to_string(),
    );
    assert_eq!((status, sent["outcome"].as_str()), (200, Some("kept")));

    assert_eq!(daemon.notify("/ipn/shop-eu", "transaction_state=success&request_id=r-1").0, 200);
    assert_eq!(daemon.notify("/ipn/shop-eu", "<!DOCTYPE a [<!ENTITY b \"c\">]><payment/>").0, 200);
    let (status, token) = daemon.notify("/confirm/shop-at", "paymentState=CANCEL&shopRequestId=x");
    assert_eq!((status, token.as_str()), (200, r#"<QPAY-CONFIRMATION-RESPONSE result="OK" />"#));
    assert_eq!(daemon.notify("/confirm/shop-eu", "x=1").0, 404, "that merchant speaks the other dialect");
    assert_eq!(daemon.notify("/v1/submissions", "{}").0, 404, "the admin interface is not public");

    // A second daemon finds the first before it opens any port.
    let second = shop.run(&["serve"]);
    assert_eq!(second.status.code(), Some(75));
    assert!(text(&second.stderr).contains(&daemon.child.id().to_string()), "{}", text(&second.stderr));

    daemon.kill();
    let unclean = shop.run(&["open"]);
    assert_eq!(unclean.status.code(), Some(75), "{}", text(&unclean.stderr));
    assert!(text(&unclean.stderr).contains("reconciled serve"), "{}", text(&unclean.stderr));

    let daemon = shop.start();
    let (status, payment) = shop.ask("GET", "/v1/payments/shop-eu/r-1", "");
    assert_eq!((status, payment["amount"].as_str()), (200, Some("12.50")));
    assert_eq!(shop.ask("GET", "/v1/orders/shop-eu/o-1", "").0, 200);
    assert_eq!(shop.ask("GET", "/v1/payments/shop-eu/nope", "").0, 404);
    let (status, page) = shop.ask("GET", "/v1/journal?after=0&limit=2", "");
    assert_eq!((status, page["items"].as_array().map(Vec::len)), (200, Some(2)));
    assert_eq!(shop.ask("GET", "/v1/journal?aftr=0", "").0, 422);
    assert!(shop.run(&["explain", "o-1"]).status.success());
    assert_eq!(shop.run(&["explain", "nope"]).status.code(), Some(1));

    assert_eq!(daemon.stop(), Some(0));
    let checked = shop.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let rebuilt = shop.run(&["rebuild"]);
    assert!(text(&rebuilt.stdout).contains(" 0 rows changed"), "{}{}", text(&rebuilt.stdout), text(&rebuilt.stderr));
    let open = shop.run(&["open", "--json"]);
    let open: Value = serde_json::from_slice(&open.stdout).expect("JSON");
    assert_eq!(open["items"][0]["request_id"], "r-1");
    assert_eq!(shop.run(&["retrieve", "r-1"]).status.code(), Some(69), "only the daemon asks gateways");
}

#[test]
fn a_wrong_configuration_opens_nothing() {
    let shop = Shop::new();
    let file = shop.folder.path().join("reconciled.toml");
    let good = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, good.replace("base_url = \"http://127.0.0.1:9\"    #", "base_ulr = \"x\" #"))
        .expect("written");
    let refused = shop.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = text(&refused.stderr);
    assert!(said.contains("merchants.shop-eu.base_ulr") && said.contains("did you mean `base_url`?"), "{said}");
    assert!(!shop.folder.path().join("data").exists(), "something was opened");
}

#[test]
fn spooled_files_are_taken_and_bad_ones_get_a_reason() {
    let shop = Shop::new();
    let spool = shop.folder.path().join("data/spool");
    std::fs::create_dir_all(&spool).expect("made");
    let put = |name: &str, content: &str| {
        std::fs::write(spool.join(format!(".{name}")), content).expect("written");
        std::fs::rename(spool.join(format!(".{name}")), spool.join(name)).expect("renamed");
    };
    put("2.notification", &json!({"merchant": "shop-eu", "body_base64": "cmVxdWVzdF9pZD1y"}).to_string());
    put(
        "1.submission.json",
        r#"{"merchant":"shop-eu","request_id":"s-1","transaction_type":"debit","amount":"1","currency":"EUR"}"#,
    );
    put(
        "3.submission.json",
        r#"{"merchant":"shop-eu","request_id":"s-2","transaction_type":"debit","amount":1,"currency":"EUR"}"#,
    );
    put("4.submission.json.tmp", "not yet");
    let daemon = shop.start();
    for _ in 0..STUCK.as_millis() / 20 {
        if spool.join("rejected/3.submission.json").exists() && !spool.join("2.notification").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!spool.join("1.submission.json").exists() && !spool.join("2.notification").exists());
    let reason = std::fs::read_to_string(spool.join("rejected/3.submission.json.reason.txt")).expect("a reason");
    assert!(reason.starts_with("`amount` must be a JSON string"), "{reason}");
    assert!(spool.join("4.submission.json.tmp").exists());
    assert_eq!(shop.ask("GET", "/v1/payments/shop-eu/s-1", "").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn decode_speaks_json_and_says_why_not() {
    let decode = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_reconciled"))
            .arg("decode")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    };
    let good = decode(&[], "paymentState=CANCEL&own=1");
    let printed: Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert_eq!((good.status.code(), &printed["authenticity"]["verdict"]), (Some(0), &json!("unverifiable")));
    for body in ["", "<a", "\u{0}"] {
        let bad = decode(&["--dialect", "wpg"], body);
        assert_eq!((bad.status.code(), bad.stdout.len()), (Some(65), 0), "{body:?}");
        assert_eq!(text(&bad.stderr).trim_end().lines().count(), 1);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s").expect("written");
    let secret = secret.to_str().expect("text");
    assert_eq!(decode(&["--secret-file", secret], "paymentState=SUCCESS").status.code(), Some(64));
    assert_eq!(decode(&["--algorithm", "rot13"], "").status.code(), Some(64));
}
