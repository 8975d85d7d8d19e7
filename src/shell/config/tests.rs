use super::*;
use secrecy::ExposeSecret;

const GOOD: &str = r#"
[listen]
public = "127.0.0.1:0"
admin_socket = "admin.sock"
[store]
path = "books.redb"
[merchants.shop-eu]
dialect = "wpg"
base_url = "https://api.example.com"
user = "u"
password_file = "wpg-password"
secret_file = "wpg-secret"
merchant_account_ids = ["0000"]
scheme = "nvp"
[merchants.shop-at]
dialect = "checkout"
base_url = "https://checkout.example.com"
secret_file = "checkout-secret"
product = "seamless"
customer_id = "D1"
algorithm = "hmac-sha512"
own_id_parameter = "shop_request"
"#;

const CANARY: &str = "canary-9f27";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["wpg-password", "wpg-secret", "checkout-secret", "token"] {
        std::fs::write(folder.path().join(name), format!("{CANARY}-{name}\n")).expect("written");
    }
    folder
}

fn loaded(folder: &tempfile::TempDir, text: &str, around: &Surroundings, flags: &Flags) -> Result<Config, Problem> {
    let file = folder.path().join("reconciled.toml");
    std::fs::write(&file, text).expect("written");
    load(&file, flags, around)
}

fn load_text(text: &str) -> Result<Config, Problem> {
    loaded(&folder(), text, &Surroundings::default(), &Flags::default())
}

#[test]
fn a_good_file_gives_policy_keys_and_gateways() {
    let config = load_text(GOOD).expect("a good file");
    assert_eq!(config.policy.accounts.len(), 2);
    let name = MerchantName::new("shop-eu").expect("a name");
    assert_eq!(config.keys[&name].secret.expose_secret(), format!("{CANARY}-wpg-secret"));
    assert_eq!(config.gateways[&name].requests_per_second_max, 2);
    assert!(config.store.path.is_absolute() && config.store.path.ends_with("books.redb"));
    assert!(!format!("{config:?}").contains(CANARY), "Debug prints a secret");
}

#[test]
fn every_slip_is_named_by_its_key() {
    let change = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1)
    };
    for (text, key, says) in [
        (
            change("base_url = \"https://api", "base_ulr = \"https://api"),
            "merchants.shop-eu.base_ulr",
            "did you mean `base_url`",
        ),
        (change("[store]", "[sotre]"), "sotre", "did you mean `store`"),
        (change("public =", "pubic ="), "listen.pubic", "did you mean `public`"),
        (
            change("secret_file = \"wpg-secret\"", "secret = \"canary-9f27\""),
            "merchants.shop-eu.secret",
            "use `secret_file`",
        ),
        (change("user = \"u\"", "user = 12345"), "merchants.shop-eu.user", "quotes"),
        (change("https://api.example.com", "http://api.example.com"), "merchants.shop-eu.base_url", "https"),
        (
            change("https://checkout.example.com", "https://checkout.wirecard.com"),
            "merchants.shop-at.base_url",
            "https://checkout.wirecard.com/seamless",
        ),
        (change("scheme = \"nvp\"", "scheme = \"canary-9f27\""), "merchants.shop-eu.scheme", "expected"),
        (change("scheme = \"nvp\"", ""), "merchants.shop-eu.scheme", "missing"),
        (change("dialect = \"wpg\"\n", ""), "merchants.shop-eu.dialect", "missing"),
        (change("scheme = \"nvp\"", "scheme = \"xml-dsig\""), "merchants.shop-eu.pin_files", "pinned"),
        (change("product = \"seamless\"", "product = \"seamles\""), "merchants.shop-at.product", "expected"),
        (
            change("product = \"seamless\"", "product = \"seamless\"\nuser = \"x\""),
            "merchants.shop-at.user",
            "not a key",
        ),
        (change("password_file = \"wpg-password\"", ""), "merchants.shop-eu.password_file", "go together"),
        (change("\"wpg-secret\"", "\"nowhere\""), "merchants.shop-eu.secret_file", "can't read"),
        (change("[store]", "[store]\ncache_mib = 0"), "store.cache_mib", "at least 1"),
        (format!("{GOOD}\n[report]\ntime_zone = \"Europe/Wien\""), "report.time_zone", "Europe/Vienna"),
        (format!("{GOOD}\n[report]\nat = \"2:30\""), "report.at", "02:30"),
        (format!("{GOOD}\n[schedule.eps]\nwindow = \"30\""), "schedule.eps.window", "30m"),
        (format!("{GOOD}\n[schedule.eps]\nwindw = \"30m\""), "schedule.eps.windw", "window"),
        (format!("{GOOD}\n[alerts]\nwebhook_url = \"https://a.example\""), "alerts.webhook_secret_file", "signed"),
        (format!("{GOOD}\n[alerts]\nlarge = [\"12.505 EUR\"]"), "alerts.large", "500.00 EUR"),
        (
            change("[store]", "admin_tcp = \"0.0.0.0:1\"\nadmin_token_file = \"token\"\n[store]"),
            "listen.admin_tcp",
            "loopback",
        ),
        (change("[store]", "admin_tcp = \"127.0.0.1:1\"\n[store]"), "listen.admin_token_file", "token"),
        (
            change("scheme = \"nvp\"", "scheme = \"nvp\"\nsiblings = [\"shop-at\"]"),
            "merchants.shop-eu.siblings",
            "not another wpg",
        ),
        (change("scheme = \"nvp\"", "scheme = \"nvp\"\nallow_sha1 = true"), "merchants.shop-eu.allow_sha1", "xml-dsig"),
        (
            change("product = \"seamless\"", "product = \"seamless\"\nallow_sha1 = true"),
            "merchants.shop-at.allow_sha1",
            "dialect checkout",
        ),
        (
            change("scheme = \"nvp\"", "scheme = \"xml-dsig\"\npin_files = [\"token\"]"),
            "merchants.shop-eu.pin_files",
            "holds no PEM",
        ),
        ("x = ".to_owned(), "", "not valid TOML"),
    ] {
        let problem = load_text(&text).expect_err(&text);
        assert_eq!(problem.key, key, "{problem}");
        let printed = problem.to_string();
        assert!(printed.contains(says), "{printed}");
        assert!(printed.contains("reconciled.toml"), "{printed}");
        assert!(!printed.contains(CANARY) && !printed.contains("12345"), "a value is printed: {printed}");
    }
}

#[test]
fn a_pin_is_read_from_a_certificate_and_allows_sha1_only_where_asked() {
    let folder = folder();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    for file in ["wpg-gateway.crt", "wpg-gateway.pub"] {
        for (line, allows) in [("", false), ("allow_sha1 = false\n", false), ("allow_sha1 = true\n", true)] {
            let pins = format!("scheme = \"xml-dsig\"\n{line}pin_files = [\"{}\"]", keys.join(file).display());
            let text = GOOD.replace("scheme = \"nvp\"", &pins);
            let config = loaded(&folder, &text, &Surroundings::default(), &Flags::default()).expect(&text);
            let [pin] = config.keys[&MerchantName::new("shop-eu").expect("a name")].pins.as_slice() else {
                panic!("one pin")
            };
            assert_eq!(pin.allows_sha1(), allows, "{line}");
            assert_eq!(
                Some(pin.key()),
                crate::wire::wpg::pin_from_pem(include_str!("../../../tests/keys/wpg-gateway.pub"))
                    .ok()
                    .as_ref()
                    .map(|p| p.key())
            );
        }
    }
}

#[test]
fn a_later_layer_wins() {
    let folder = folder();
    let mut around = Surroundings::default();
    around.variables.push(("RECONCILED_LISTEN__PUBLIC".into(), "127.0.0.1:7001".into()));
    around.variables.push(("RECONCILED_STORE__CACHE_MIB".into(), "96".into()));
    around.variables.push(("RECONCILED_STORE__PATH".into(), String::new()));
    around.variables.push(("RECONCILED_CONFIG".into(), "/elsewhere".into()));
    let config = loaded(&folder, GOOD, &around, &Flags::default()).expect("loads");
    assert_eq!((config.listen.public.port(), config.store.cache_mib), (7001, 96));
    assert!(config.store.path.ends_with("books.redb"), "an empty variable sets nothing");

    let flags = Flags { public: Some("127.0.0.1:7002".into()), ..Flags::default() };
    let config = loaded(&folder, GOOD, &around, &flags).expect("loads");
    assert_eq!(config.listen.public.port(), 7002);
}

#[test]
fn a_misspelt_variable_stops_the_start_too() {
    let mut around = Surroundings::default();
    around.variables.push(("RECONCILED_STORE_CACHE_MIB".into(), "96".into()));
    let problem = loaded(&folder(), GOOD, &around, &Flags::default()).expect_err("refused");
    assert_eq!(problem.key, "store_cache_mib");
}

#[test]
fn a_secret_everybody_knows_is_refused_for_a_live_gateway() {
    let folder = folder();
    // The gateway's own documentation prints this one.
    let published = concat!("B8AKTPWBRMNBV455", "FG6M2DANE99WU2\n");
    std::fs::write(folder.path().join("checkout-secret"), published).expect("written");
    let around = Surroundings::default();
    let problem = loaded(&folder, GOOD, &around, &Flags::default()).expect_err("refused");
    assert_eq!(problem.key, "merchants.shop-at.secret_file");
    assert!(!problem.to_string().contains("B8AK"));
    let local = GOOD.replace("https://checkout.example.com", "http://127.0.0.1:9");
    assert!(loaded(&folder, &local, &around, &Flags::default()).is_ok());
}

#[test]
fn the_sandboxs_key_is_no_pin_for_a_live_gateway() {
    let folder = folder();
    let key = include_str!("../../../config/sandbox/gateway.pub");
    std::fs::write(folder.path().join("gateway.pub"), key).expect("written");
    let pinned = "scheme = \"xml-dsig\"\npin_files = [\"gateway.pub\"]";
    let text = GOOD.replacen("scheme = \"nvp\"", pinned, 1);
    let around = Surroundings::default();
    let problem = loaded(&folder, &text, &around, &Flags::default()).expect_err("refused");
    assert_eq!(problem.key, "merchants.shop-eu.pin_files");
    let local = text.replace("https://api.example.com", "http://127.0.0.1:9");
    assert!(loaded(&folder, &local, &around, &Flags::default()).is_ok());
}

#[test]
fn a_missing_file_is_an_error_and_not_an_empty_one() {
    let problem = load(Path::new("/nowhere/reconciled.toml"), &Flags::default(), &Surroundings::default());
    assert!(problem.expect_err("refused").to_string().contains("no such file"));
}

#[test]
fn credentials_of_systemd_are_found_by_their_bare_name() {
    let credentials = tempfile::tempdir().expect("a folder");
    std::fs::write(credentials.path().join("wpg-secret"), "from-systemd").expect("written");
    let around = Surroundings { credentials: Some(credentials.path().to_owned()), ..Surroundings::default() };
    let config = loaded(&folder(), GOOD, &around, &Flags::default()).expect("loads");
    assert_eq!(config.keys[&MerchantName::new("shop-eu").expect("a name")].secret.expose_secret(), "from-systemd");
}

#[test]
fn the_example_in_the_repository_is_good() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reconciled.toml");
    let config = load(&file, &Flags::default(), &Surroundings::default()).expect("a good file");
    assert_eq!(config.policy.accounts.len(), 2);
    // Everybody can read its secrets: they are good on loopback only.
    let text =
        std::fs::read_to_string(&file).expect("read").replace("http://127.0.0.1:8090", "https://api.example.com");
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(file.with_file_name("secrets"), folder.path().join("secrets")).expect("linked");
    let problem = loaded(&folder, &text, &Surroundings::default(), &Flags::default()).expect_err("refused");
    assert!(problem.what.contains("published"), "{problem}");
}

#[test]
fn a_relay_is_read_with_its_limits_and_refused_by_key() {
    let with = |table: &str| {
        load_text(&format!("{}\n[merchants.shop-eu.relay]\n{table}", GOOD.replace("127.0.0.1:0", "127.0.0.1:8077")))
    };
    let config =
        with("url = \"https://shop.example.com/ipn?t=1\"\ngive_up_after = \"30d\"\nretry_max = \"6h\"").expect("good");
    let name = MerchantName::new("shop-eu").expect("a name");
    let rule = &config.policy.relays[&name];
    assert_eq!((rule.retry_max.as_hours(), rule.give_up_after.map(|d| d.as_hours())), (6, Some(720)));
    assert!(!rule.forward_refuted && !rule.forward_repeats);
    assert_eq!(config.shops[&name].timeout.as_secs(), 30);
    for (table, key) in [
        ("forward_refuted = true", "merchants.shop-eu.relay.url"),
        ("url = \"http://shop.example.com\"", "merchants.shop-eu.relay.url"),
        ("url = \"http://localhost:8077/ipn/shop-eu\"", "merchants.shop-eu.relay.url"),
        ("url = \"https://10.0.0.1\"", "merchants.shop-eu.relay.url"),
        ("url = \"https://a.example\"\nretry_first = \"2h\"\nretry_max = \"1h\"", "merchants.shop-eu.relay.retry_max"),
        ("url = \"https://a.example\"\ngive_up_after = \"1h\"", "merchants.shop-eu.relay.give_up_after"),
        ("url = \"https://a.example\"\ntimeout = \"1h\"", "merchants.shop-eu.relay.timeout"),
        ("url = \"https://a.example\"\nin_flight_max = 0", "merchants.shop-eu.relay.in_flight_max"),
        ("url = \"https://a.example\"\nforward_repeat = true", "merchants.shop-eu.relay.forward_repeat"),
    ] {
        assert_eq!(with(table).expect_err(table).key, key, "{table}");
    }
}

#[test]
fn a_proxy_listens_on_loopback_and_passes_to_an_origin() {
    let with = |table: &str| load_text(&format!("{GOOD}\n[merchants.shop-eu.proxy]\n{table}"));
    let config = with("listen = \"127.0.0.1:8191\"").expect("a good file");
    let [only] = config.proxies.as_slice() else { panic!("one listener") };
    assert_eq!(only.upstream.as_str(), "https://api.example.com/");
    assert_eq!(only.when_not_kept, proxy::WhenNotKept::FailOpen);
    let config = with(
        "listen = \"127.0.0.1:0\"\nwhen_not_kept = \"fail-closed\"\nanswer_timeout = \"90s\"\n\
         also = [{ listen = \"[::1]:0\", upstream = \"https://wpp.example.com:8443\" }]",
    )
    .expect("a good file");
    let upstreams: Vec<&str> = config.proxies.iter().map(|p| p.upstream.as_str()).collect();
    assert_eq!(upstreams, ["https://api.example.com/", "https://wpp.example.com:8443/"]);
    assert!(config.proxies.iter().all(|p| p.when_not_kept == proxy::WhenNotKept::FailClosed));
    assert!(config.proxies.iter().all(|p| p.times.answer == std::time::Duration::from_secs(90)));

    let on = "listen = \"127.0.0.1:8191\"";
    for (table, key, said) in [
        ("listen = \"0.0.0.0:8191\"".to_owned(), "listen", "loopback"),
        ("listen = \"8191\"".to_owned(), "listen", "not an address"),
        ("upstream = \"https://a.example\"".to_owned(), "listen", "missing"),
        (format!("{on}\nupstream = \"http://a.example\""), "upstream", "https"),
        (format!("{on}\nupstream = \"https://a.example/ee\""), "upstream", "path"),
        (format!("{on}\nupstream = \"https://169.254.169.254\""), "upstream", "link-local"),
        (format!("{on}\nupstream = \"http://127.0.0.1:8191\""), "listen", "itself"),
        (format!("{on}\nwhen_not_kept = \"open\""), "when_not_kept", "fail-open"),
        (format!("{on}\nanswer_timeout = \"2h\""), "answer_timeout", "600s"),
        (format!("{on}\nconnect_timeout = \"soon\""), "connect_timeout", "not a duration"),
        (format!("{on}\nconnections_max = 0"), "connections_max", "at least 1"),
        (format!("{on}\nlisten_also = 1"), "listen_also", "unknown key"),
        (
            format!("{on}\nalso = [{{ listen = \"127.0.0.1:8191\", upstream = \"https://b.example\" }}]"),
            "proxy",
            "has 127.0.0.1:8191",
        ),
        (
            format!("{on}\nalso = [{{ listen = \"127.0.0.1:8192\", upstream = \"http://localhost:8191\" }}]"),
            "proxy",
            "listens",
        ),
    ] {
        let problem = with(&table).expect_err(&table).to_string();
        assert!(problem.contains(key) && problem.contains(said), "{table}: {problem}");
    }
}

#[test]
fn operations_are_off_and_their_slips_are_named() {
    assert!(!load_text(GOOD).expect("a good file").operations.enabled);
    let on = format!("{GOOD}\n[operations]\nenabled = true\n[operations.shop-eu]\nover_capture_percent = 40\n");
    let operations = load_text(&on).expect("a good file").operations;
    let name = MerchantName::new("shop-eu").expect("a name");
    assert_eq!((operations.enabled, operations.over_capture_percent.get(&name)), (true, Some(&40)));
    for (table, key) in [
        ("[operations.shop-ue]\nuser = \"u\"", "operations.shop-ue"),
        ("[operations.shop-eu]\nover_capture_percent = 41", "operations.shop-eu.over_capture_percent"),
        ("[operations.shop-eu]\nuser = \"u\"", "operations.shop-eu.password_file"),
        ("[operations.shop-eu]\nsecret_file = \"s\"", "operations.shop-eu.secret_file"),
        ("[operations.shop-at]\nuser = \"u\"", "operations.shop-at.user"),
    ] {
        let problem = load_text(&format!("{GOOD}\n{table}\n")).expect_err(table);
        assert_eq!(problem.key, key, "{problem}");
    }
    assert!(load_text(&format!("{GOOD}\n[operations]\nenabeld = true\n")).is_err(), "a misspelt switch");
}

#[test]
fn the_daemon_never_reads_what_operations_are_sent_with() {
    let folder = folder();
    let text = format!(
        "{GOOD}\n[operations]\nenabled = true\n[operations.shop-eu]\nuser = \"ops\"\npassword_file = \"ops-password\"\n"
    );
    let around = Surroundings::default();
    let config = loaded(&folder, &text, &around, &Flags::default()).expect("the file is not even there");
    let (file, name) = (folder.path().join("reconciled.toml"), MerchantName::new("shop-eu").expect("a name"));
    assert!(operations::login(&file, &around, &config, &name).is_err());
    std::fs::write(folder.path().join("ops-password"), "of-its-own\n").expect("written");
    let own = operations::login(&file, &around, &config, &name).expect("both are there");
    assert_eq!((own.user.as_deref(), own.password.expose_secret()), (Some("ops"), "of-its-own"));
    assert!(!format!("{own:?}").contains("of-its-own"), "Debug prints a secret");
}
