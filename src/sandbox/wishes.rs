//! What a request wants told, where and how: its own `notifications` win over the account's (fact sheet wpg b.1).
//!
//! ```text
//! XML   <notifications format="application/json-signed"><notification url="…" transaction-state="success"/></notifications>
//! JSON  "notifications": {"format": …, "notification": [{"url": …, "transaction-state": …}]}
//! NVP   notifications_format, notification_url(_n), notification_transaction_state(_n)
//! ```

use super::answer::{form, is_on_this_desk};
use super::script::Writing;

/// Most entries of one request (fact sheet wpg b.1).
const TARGETS_MAX: usize = 99;

/// Where and how a payment's notifications go, as far as its request says so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wishes {
    /// Empty: to the account's URL, in every state.
    pub targets: Vec<Target>,
    /// `None`: as the account is set up.
    pub writing: Option<Writing>,
}

/// One entry: a URL, and the state it is told of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// `None`: not a desk's to call; the account's URL stands for it.
    url: Option<String>,
    /// `None`: every state.
    state: Option<String>,
}

impl Target {
    fn new(url: &str, state: &str) -> Option<Target> {
        let url = url.trim();
        let state = state.trim();
        (!url.is_empty()).then(|| Target {
            url: is_on_this_desk(url).then(|| url.to_owned()),
            state: (!state.is_empty()).then(|| state.to_ascii_lowercase()),
        })
    }
}

impl Wishes {
    /// Everything to one URL, if it is one of this desk.
    pub fn at(url: Option<&str>) -> Wishes {
        let target = url.filter(|url| is_on_this_desk(url)).and_then(|url| Target::new(url, ""));
        Wishes { targets: target.into_iter().collect(), writing: None }
    }

    /// What a request to the Payment Gateway wants, whatever format it is in.
    pub fn of(body: &[u8]) -> Wishes {
        let text = String::from_utf8_lossy(body);
        let (format, targets) = match text.trim_start().chars().next() {
            Some('<') => of_xml(&text),
            Some('{') => of_json(&text),
            Some(_) | None => of_form(body),
        };
        Wishes { targets, writing: format.as_deref().and_then(writing) }
    }

    /// The URLs that are told of a transaction in this state: one message for each entry that asks for it, and one to
    /// the account's own URL for all that are not a desk's to call.
    pub fn urls(&self, state: Option<&str>, account: &str) -> Vec<String> {
        if self.targets.is_empty() {
            return vec![account.to_owned()];
        }
        let fits = |target: &&Target| target.state.as_deref().is_none_or(|wanted| Some(wanted) == state);
        let mut is_account_told = false;
        let url = |target: &Target| match &target.url {
            Some(url) => Some(url.clone()),
            None if std::mem::replace(&mut is_account_told, true) => None,
            None => Some(account.to_owned()),
        };
        self.targets.iter().filter(fits).filter_map(url).collect()
    }
}

/// The writing a format stands for (fact sheet wpg b.2). HTML is for people, and no message.
fn writing(format: &str) -> Option<Writing> {
    match format.trim().to_ascii_lowercase().as_str() {
        "application/json-signed" => Some(Writing::JsonSigned),
        "application/json" => Some(Writing::Json),
        "application/x-www-form-urlencoded" => Some(Writing::Nvp),
        // Signed where a key is set up for the account.
        "application/xml" => Some(Writing::XmlDsig),
        _ => None,
    }
}

type Asked = (Option<String>, Vec<Target>);

fn of_xml(text: &str) -> Asked {
    let format = tags(text, "notifications").find_map(|tag| attribute(tag, "format"));
    let target =
        |tag: &str| Target::new(&attribute(tag, "url")?, &attribute(tag, "transaction-state").unwrap_or_default());
    (format, tags(text, "notification").filter_map(target).take(TARGETS_MAX).collect())
}

/// What stands in the start tags of one name, with a prefix or without.
fn tags<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let tag = |part: &'t str| {
        let tag = part.split('>').next()?;
        let (qualified, attributes) = tag.split_once(char::is_whitespace)?;
        (qualified.rsplit(':').next() == Some(name)).then_some(attributes)
    };
    text.split('<').skip(1).filter_map(tag)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, further) = behind[1..].split_once(quote)?;
        if before.trim() == name {
            let unescaped = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            return Some(unescaped.replace("&apos;", "'").replace("&amp;", "&"));
        }
        rest = further;
    }
}

fn of_json(text: &str) -> Asked {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let asked = &value["payment"]["notifications"];
    let entries = match &asked["notification"] {
        serde_json::Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    let target = |entry: &serde_json::Value| {
        Target::new(entry["url"].as_str()?, entry["transaction-state"].as_str().unwrap_or_default())
    };
    let targets = entries.iter().filter_map(target).take(TARGETS_MAX).collect();
    (asked["format"].as_str().map(str::to_owned), targets)
}

fn of_form(body: &[u8]) -> Asked {
    let fields = form(body);
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let numbered = fields.iter().filter_map(|(name, url)| {
        let number = name.strip_prefix("notification_url")?;
        let is_one = number.is_empty()
            || number.strip_prefix('_').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let state = value(&format!("notification_transaction_state{number}")).unwrap_or_default();
        Target::new(url, state).filter(|_| is_one)
    });
    (value("notifications_format").map(str::to_owned), numbered.take(TARGETS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "http://127.0.0.1:1/account";

    #[test]
    fn one_wish_is_read_alike_in_every_format() {
        let wishes = [
            "<payment><notifications format=\"application/json-signed\"><notification transaction-state='success' \
             url=\"http://127.0.0.1:9/a?x=1&amp;y=2\"/><notification url = \"http://localhost:9/b\"/>\
             <notification url=\"https://shop.example/c\" transaction-state=\"failed\"></notification>\
             </notifications></payment>",
            r#"{"payment": {"notifications": {"format": "application/json-signed", "notification": [
                {"url": "http://127.0.0.1:9/a?x=1&y=2", "transaction-state": "success"}, {"url": "http://localhost:9/b"},
                {"url": "https://shop.example/c", "transaction-state": "failed"}]}}}"#,
            "notifications_format=application%2Fjson-signed&notification_url=http%3A%2F%2F127.0.0.1%3A9%2Fa%3Fx%3D1%26y%3D2\
             &notification_transaction_state=success&notification_url_2=http%3A%2F%2Flocalhost%3A9%2Fb\
             &notification_transaction_state_2=&notification_url_3=https%3A%2F%2Fshop.example%2Fc\
             &notification_transaction_state_3=failed&notification_urls=http%3A%2F%2Flocalhost%3A9%2Fd",
        ];
        for body in wishes {
            let wished = Wishes::of(body.as_bytes());
            assert_eq!(wished.writing, Some(Writing::JsonSigned), "{body}");
            let success = ["http://127.0.0.1:9/a?x=1&y=2", "http://localhost:9/b"];
            assert_eq!(wished.urls(Some("success"), OWN), success, "{body}");
            assert_eq!(wished.urls(Some("failed"), OWN), ["http://localhost:9/b", OWN], "{body}");
            assert_eq!(wished.urls(Some("in-progress"), OWN), ["http://localhost:9/b"], "{body}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_accounts() {
        for body in [
            "<payment><notifications/></payment>",
            "<payment><notification-of-death url=\"http://localhost:9/\"/></payment>",
            r#"{"payment": {"request-id": "r"}}"#,
            "{",
            "notification_url=&notification_transaction_state=&notifications_format=application%2Fhtml",
            "",
        ] {
            let wished = Wishes::of(body.as_bytes());
            assert_eq!((wished.writing, wished.urls(Some("success"), OWN)), (None, vec![OWN.to_owned()]), "{body}");
        }
        let only_failures = Wishes::of(b"notification_url=http://localhost:9/&notification_transaction_state=failed");
        assert!(only_failures.urls(Some("success"), OWN).is_empty(), "the request wins: nobody is told of a success");
        let many = "&notification_url_1=http://localhost:9/".repeat(120);
        assert_eq!(Wishes::of(format!("a=b{many}").as_bytes()).targets.len(), TARGETS_MAX);
    }
}
