//! Questions over HTTP and their answers, rude ones included. No socket here: a request and a reply are values.

use super::gateway::Gateway;
use super::outage::Manner;
use super::shop::Shop;
use crate::words::id::MerchantName;
use crate::words::time::Timestamp;

/// One HTTP request as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The value of a query parameter, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name))?.1;
        Some(decoded(value))
    }
}

/// What comes back over the wire, if anything does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Answer(Answer),
    /// The connection stays open and nothing comes.
    Silence,
    /// The connection is closed without an answer.
    Closed,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<&'static str>,
    pub retry_after_seconds: Option<u32>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { status, content_type: Some(content_type), retry_after_seconds: None, body: body.into() }
    }

    pub fn empty(status: u16) -> Answer {
        Answer { status, content_type: None, retry_after_seconds: None, body: Vec::new() }
    }
}

impl Gateway {
    /// Answers one question of the retriever, or of a shop that generates an order number.
    pub fn answer(&mut self, now: Timestamp, request: &Request) -> Reply {
        let path = request.path();
        if let Some((_, tail)) = path.split_once("/engine/rest/") {
            let asker = self.wpg_asker(request).cloned();
            let genuine = self.answer_wpg(now, tail, asker.as_ref(), request);
            return self.in_manner(now, asker.as_ref(), genuine);
        }
        if path.ends_with("/toolkit.php") || path.contains("/backend/") {
            let fields = form(request.body);
            let asker = self.checkout_asker(&fields).map(|shop| shop.account.name.clone());
            let genuine = self.answer_checkout(now, path, asker.as_ref(), &fields, request);
            return self.in_manner(now, asker.as_ref(), genuine);
        }
        Reply::Answer(Answer::new(404, "text/plain", "no such page\n"))
    }

    fn in_manner(&self, now: Timestamp, asker: Option<&MerchantName>, genuine: Answer) -> Reply {
        let manner = self.outages.iter().find(|outage| outage.covers(asker, now)).map(|outage| outage.manner);
        let is_wpg = asker.and_then(|name| self.shops.get(name)).is_some_and(|shop| shop.wpg().is_some());
        match manner {
            None => Reply::Answer(genuine),
            Some(manner) => rude(manner, genuine, is_wpg),
        }
    }

    pub(super) fn find_shop(&self, fits: impl Fn(&Shop) -> bool) -> Option<&Shop> {
        self.shops.values().find(|shop| fits(shop))
    }
}

fn rude(manner: Manner, genuine: Answer, is_wpg: bool) -> Reply {
    const PAGE: &str =
        "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><p>We are back soon.</body></html>";
    // Readable as an answer, and saying nothing about the payment (fact sheet wpg a.5).
    const DENIED_XML: &str = "<payment xmlns=\"http://www.elastic-payments.com/schema/payment\"><statuses>\
        <status code=\"403.1166\" description=\"Access Denied\" severity=\"error\"/></statuses></payment>";
    const DENIED_FORM: &str = "status=1&errors=1&error.1.errorCode=30015&error.1.message=Credentials+are+wrong.";
    Reply::Answer(match manner {
        Manner::Unavailable => Answer::empty(503),
        Manner::Broken => Answer::new(500, "text/plain", "java.lang.NullPointerException\n\tat Engine.java:42\n"),
        Manner::TooMany { retry_after_seconds } => {
            Answer { retry_after_seconds: Some(retry_after_seconds), ..Answer::empty(429) }
        }
        Manner::Silent => return Reply::Silence,
        Manner::Closed => return Reply::Closed,
        Manner::Page => Answer::new(200, "text/html; charset=UTF-8", PAGE),
        Manner::Empty => Answer { body: Vec::new(), status: 200, ..genuine },
        Manner::Truncated if genuine.body.is_empty() => return Reply::Closed,
        Manner::Truncated => Answer { body: genuine.body[..genuine.body.len() / 2].to_vec(), ..genuine },
        Manner::Denied if is_wpg => Answer::new(200, "application/xml;charset=UTF-8", DENIED_XML),
        Manner::Denied => Answer::new(200, "text/plain", DENIED_FORM),
    })
}

/// The fields of a form body, in order.
pub(super) fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(super) fn is_json_wanted(request: &Request) -> bool {
    request.header("accept").is_some_and(|accept| accept.contains("json")) || request.path().ends_with(".json")
}
