//! Questions over HTTP and their answers, rude ones included. No socket here: a request and a reply are values.

use super::gateway::Gateway;
use super::outage::Manner;
use super::page_form;
use super::shop::Shop;
use crate::wire;
use crate::wire::request::HttpRequest;
use crate::words::id::MerchantName;
use crate::words::time::{SignedDuration, Timestamp};

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
    /// Where what was made can be found.
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// How long it is kept back.
    pub late_by: Option<SignedDuration>,
    /// The connection is closed in the middle of the body.
    pub is_cut: bool,
}

impl Answer {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer { content_type: Some(content_type), body: body.into(), ..Answer::empty(status) }
    }

    pub fn empty(status: u16) -> Answer {
        Answer {
            status,
            content_type: None,
            retry_after_seconds: None,
            location: None,
            body: Vec::new(),
            late_by: None,
            is_cut: false,
        }
    }
}

/// What a payer's browser sees. The script decides what becomes of the payment, not a click.
pub(super) const PAYERS_PAGE: &str = "<!DOCTYPE html><html lang=\"en\"><head><title>Sandbox</title></head><body><h1>The payer is here</h1>\
    <p>What becomes of this payment is decided already: by what was set with POST /control/play, or as usual.</p>\
    </body></html>";

impl Gateway {
    /// Answers one request: a question of the retriever, or what a shop sends.
    pub fn answer(&mut self, now: Timestamp, request: &Request) -> Reply {
        let path = request.path();
        if path.contains("/engine/rest/") || path.ends_with("/api/payment/register") {
            return self.answer_wpg_request(now, request);
        }
        if page_form::is_page(path) {
            return self.answer_page_form(now, request);
        }
        let is_checkout =
            ["/toolkit.php", "/init.php", "/init-server.php", "/frontend/init"].iter().any(|page| path.ends_with(page))
                || ["/backend/", "/dataStorage/"].iter().any(|folder| path.contains(folder));
        if is_checkout {
            return self.answer_checkout_request(now, request);
        }
        let is_payers = path.starts_with("/redirect/") || path == "/processing" || path == "/select.php";
        if is_payers && request.method == "GET" {
            return Reply::Answer(Answer::new(200, "text/html; charset=UTF-8", PAYERS_PAGE));
        }
        Reply::Answer(Answer::new(404, "text/plain", "no such page\n"))
    }

    /// A question or a submission to the Payment Gateway: the login first, then what it is.
    fn answer_wpg_request(&mut self, now: Timestamp, request: &Request) -> Reply {
        let asker = self.wpg_asker(request).cloned();
        let asked = HttpRequest {
            method: request.method,
            path: request.target,
            content_type: request.header("content-type"),
            body: request.body,
        };
        match (wire::wpg::request::read(&asked), &asker) {
            (Ok(wire::request::Request::Submits(all)), Some(merchant)) => {
                self.taken_in_manner(now, Some(merchant), |gateway| gateway.take_wpg(now, merchant, &all, request))
            }
            (Err(why), Some(_)) => Reply::Answer(Answer::new(400, "text/plain;charset=UTF-8", format!("{why}\n"))),
            (Ok(wire::request::Request::Asks(_) | wire::request::Request::Unknown), _) | (_, None) => {
                let tail = request.path().split_once("/engine/rest/").map_or("", |(_, tail)| tail);
                let genuine = self.answer_wpg(now, tail, asker.as_ref(), request);
                self.in_manner(now, asker.as_ref(), genuine)
            }
        }
    }

    /// The signed form of payment page v1, from the payer's browser.
    fn answer_page_form(&mut self, now: Timestamp, request: &Request) -> Reply {
        if request.method != "POST" {
            return Reply::Answer(Answer::empty(405));
        }
        let asked = HttpRequest { method: "POST", path: request.target, content_type: None, body: request.body };
        let facts = match wire::wpg::request::read(&asked) {
            Ok(wire::request::Request::Submits(mut all)) if all.len() == 1 => all.remove(0),
            Ok(_) => return Reply::Answer(page_form::unreadable("it is not one payment")),
            Err(why) => return Reply::Answer(page_form::unreadable(&why.to_string())),
        };
        let Some(merchant) = self.page_asker(request.body).cloned() else {
            return Reply::Answer(page_form::unsigned());
        };
        self.taken_in_manner(now, Some(&merchant), |gateway| gateway.take_page(now, &merchant, &facts, request))
    }

    pub(super) fn in_manner(&self, now: Timestamp, asker: Option<&MerchantName>, genuine: Answer) -> Reply {
        let manner = self.outages.iter().find(|outage| outage.covers(asker, now)).map(|outage| outage.manner);
        let is_wpg = asker.and_then(|name| self.shops.get(name)).is_some_and(|shop| shop.wpg().is_some());
        match manner {
            None => Reply::Answer(genuine),
            Some(manner) => rude(manner, genuine, is_wpg),
        }
    }

    /// Takes what a shop sends, or fails to, in the manner of the moment.
    pub(super) fn taken_in_manner(
        &mut self,
        now: Timestamp,
        asker: Option<&MerchantName>,
        take: impl FnOnce(&mut Gateway) -> Reply,
    ) -> Reply {
        let is_wpg = asker.and_then(|name| self.shops.get(name)).is_some_and(|shop| shop.wpg().is_some());
        let found = self.submission_outages.iter().find(|(outage, _)| outage.covers(asker, now));
        let Some((manner, executes)) = found.map(|(outage, executes)| (outage.manner, *executes)) else {
            return take(self);
        };
        if !executes && !manner.passes_the_work() {
            return rude(manner, Answer::empty(503), is_wpg);
        }
        match take(self) {
            Reply::Answer(genuine) => rude(manner, genuine, is_wpg),
            other => other,
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
        Manner::Late { by } => Answer { late_by: Some(by), ..genuine },
        Manner::WrongType => {
            let other = if is_wpg { "text/html;charset=UTF-8" } else { "application/xml" };
            Answer { content_type: Some(other), ..genuine }
        }
        Manner::Cut => Answer { is_cut: true, ..genuine },
    })
}

/// Whether a URL is plain http to this machine.
pub(super) fn is_on_this_desk(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
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
