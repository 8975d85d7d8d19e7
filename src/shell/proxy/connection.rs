//! One connection of the shop: its requests one after the other, each kept, passed, answered and told.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream;
use tokio::pin;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::answer::{self, After, Passed};
use super::body::Body;
use super::buffer::Wiped;
use super::head::{self, Framing, HEAD_MAX_BYTES, RequestHead};
use super::plan::{self, Asked, NotKept, Plan};
use super::recorder::Told;
use super::reply::Reply;
use super::side::{Side, Silence};
use super::upstream::Unreached;
use super::{BODY_MAX_BYTES, Way};
use crate::core::account::Account;
use crate::engine::ResponseWhat;
use crate::shell::config::proxy::WhenNotKept;
use crate::wire::request::HttpRequest;

/// From a head's first byte to its last.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// From then to the last byte of a body that is read before it passes.
const BODY_DEADLINE: Duration = Duration::from_secs(120);
/// For an answer of our own to reach the shop.
const REPLY_DEADLINE: Duration = Duration::from_secs(5);
/// What a sender whose request was refused may still send before its connection is closed: closing earlier would
/// take the answer away from it.
const LINGER: Duration = Duration::from_millis(500);
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Serves until one of the two ends closes, or `stop` finds the connection idle.
pub async fn serve(shop: TcpStream, way: Arc<Way>) {
    // A second hold on the socket, to break it with; it is let go together with the first.
    let socket = shop.as_fd().try_clone_to_owned().ok();
    let recorder = way.recorder.clone();
    let mut connection = Connection { shop: Side::new(Box::new(shop)), gateway: None, way };
    loop {
        let (after, told) = match connection.next().await {
            Ok(None) => return,
            Ok(Some(head)) => connection.pass(&head).await,
            Err(reply) => (Err(reply), None),
        };
        // The shop's connection ends first, and what became of its request is journaled then: the shop waits for the
        // end of an answer without a length, and for no commit of ours.
        match after {
            Ok(After::Goes) => recorder.tell(told).await,
            Ok(After::Closes) => {
                connection.shop.sender.finish(REPLY_DEADLINE).await;
                recorder.tell(told).await;
                // A gateway may have answered before it heard all: what the shop still sends must not take that away.
                return connection.linger().await;
            }
            Ok(After::Breaks) => {
                if let Some(socket) = &socket {
                    // Where it can't be set the connection just closes.
                    let _ = set_socket_linger(socket, Some(Duration::ZERO));
                }
                drop((connection, socket));
                return recorder.tell(told).await;
            }
            Err(reply) => {
                let is_heard = connection.say(&reply).await;
                recorder.tell(told).await;
                if is_heard {
                    connection.linger().await;
                }
                return;
            }
        }
    }
}

struct Connection {
    shop: Side,
    /// Opened with the first request.
    gateway: Option<Side>,
    way: Arc<Way>,
}

/// The part of a request that was read before it may pass.
struct Collected {
    /// The body without its framing; empty where it was too long.
    content: Wiped,
    body: Body,
    /// Bytes of the inbox that are head and body.
    seen: usize,
    too_much: Option<NotKept>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// The next request's head. `None`: the connection is over.
    async fn next(&mut self) -> Result<Option<RequestHead>, Reply> {
        let mut deadline = None;
        loop {
            let inbox = &mut self.shop.reader.inbox;
            // Some clients end a body with an empty line too many (RFC 9112 section 2.2).
            while inbox.starts_with(b"\r\n") {
                inbox.consume(2);
            }
            if let Some(head) = head::request(inbox).map_err(|why| Reply::Refused(why.to_string()))? {
                return Ok(Some(head));
            }
            let is_idle = inbox.is_empty();
            let until = match is_idle {
                true => Instant::now() + self.way.times.idle,
                false => *deadline.get_or_insert_with(|| Instant::now() + HEAD_DEADLINE),
            };
            tokio::select! {
                biased;
                filled = timeout_at(until, self.shop.reader.fill()) => match filled {
                    Ok(Ok(())) => {}
                    Err(_) if !is_idle => return Err(Reply::Incomplete),
                    Ok(Err(_)) | Err(_) => return Ok(None),
                },
                // A gateway that closes an idle connection closes the shop's: so would it without us.
                () = hears(&mut self.gateway), if is_idle => return Ok(None),
                () = self.way.stop.cancelled(), if is_idle => return Ok(None),
            }
        }
    }

    /// Passes one request and its answer. Returns what follows on the shop's connection, and what the books are to be
    /// told.
    async fn pass(&mut self, head: &RequestHead) -> (Result<After, Reply>, Option<Told>) {
        let way = self.way.clone();
        let accounts = &way.recorder.writer.engine.policy.accounts;
        let account = accounts.get(&way.merchant).filter(|account| {
            // A body is read before it passes only where it may say something.
            plan::concerns_money(account, &head.method, &head.target)
        });
        match account {
            Some(account) => match self.collect(head).await {
                Ok(collected) => self.pass_recorded(head, account, collected).await,
                Err(reply) => (Err(reply), None),
            },
            None => (self.pass_unread(head).await, None),
        }
    }

    async fn pass_unread(&mut self, head: &RequestHead) -> Result<After, Reply> {
        self.welcome(head).await;
        let asked = Collected {
            content: Wiped::default(),
            body: Body::new(head.framing),
            seen: head.bytes,
            too_much: None,
            _room: None,
        };
        self.connect().await.map_err(|why| Reply::NotSent(why.to_string()))?;
        let is_sent = self.send(head, asked).await;
        let after = self.answer(head, false).await.finished(head, &self.way)?;
        Ok(if is_sent || after == After::Breaks { after } else { After::Closes })
    }

    async fn pass_recorded(
        &mut self,
        head: &RequestHead,
        account: &Account,
        mut collected: Collected,
    ) -> (Result<After, Reply>, Option<Told>) {
        let way = self.way.clone();
        let Plan { keeps, lost, is_of_many, private } = match collected.too_much.take() {
            Some(why) => Plan::lost(why),
            None => {
                let request = HttpRequest {
                    method: &head.method,
                    path: &head.target,
                    content_type: head.content_type.as_deref(),
                    body: &collected.content,
                };
                plan::plan(&way.recorder.writer.engine.policy.accounts, account, &request)
            }
        };
        collected.content.clear();
        // What can't be kept whole may not pass: nothing of it is.
        if let (Some(why), WhenNotKept::FailClosed) = (lost.first(), way.when_not_kept) {
            let reply = match why {
                NotKept::TooLong => Reply::TooLong,
                why => Reply::NotKept(why.to_string()),
            };
            return (Err(reply), None);
        }
        // The connection is made meanwhile; nothing of the request is sent on it before the commit.
        let (kept, connected) = tokio::join!(way.recorder.keep(&keeps), self.connect());
        let is_closed = way.when_not_kept == WhenNotKept::FailClosed;
        let not_kept = kept.iter().find_map(|kept| kept.as_ref().err()).filter(|_| is_closed);
        let refused = match (&connected, not_kept) {
            (Err(why), _) => Some(Reply::NotSent(why.to_string())),
            (Ok(()), Some(why)) => Some(Reply::NotKept(why.to_string())),
            (Ok(()), None) => None,
        };
        if let Some(reply) = refused {
            let asked = keeps.iter().zip(kept).filter_map(|(keep, kept)| match kept {
                Ok(asked) => Some(asked),
                // Its commit may have come after all.
                Err(NotKept::Late(_)) => Some(Asked::by(keep, None)),
                Err(_) => None,
            });
            let told = Told { asked: asked.collect(), is_of_many, what: ResponseWhat::NotSent, private, _room: None };
            return (Err(reply), Some(told));
        }
        lost.iter().for_each(|why| way.recorder.passes_unkept(&way.merchant, None, why));
        let mut asked = Vec::with_capacity(keeps.len());
        for (keep, kept) in keeps.iter().zip(kept) {
            match kept {
                Ok(kept) => asked.push(kept),
                Err(why) => {
                    way.recorder.passes_unkept(&way.merchant, Some(keep), &why);
                    asked.extend(why.may_be_kept_yet().then(|| Asked::by(keep, None)));
                }
            }
        }
        let is_sent = self.send(head, collected).await;
        let passed = self.answer(head, !asked.is_empty()).await;
        let what = passed.evidence();
        let after = match passed.finished(head, &way) {
            Ok(after) if after != After::Breaks && !is_sent => Ok(After::Closes),
            after => after,
        };
        let told = Told { asked, is_of_many, what, private, _room: passed.into_room() };
        (after, Some(told))
    }

    /// Reads a body whole, as long as it is not too long to be kept.
    async fn collect(&mut self, head: &RequestHead) -> Result<Collected, Reply> {
        let (mut body, mut content, mut seen) = (Body::new(head.framing), Wiped::default(), head.bytes);
        let mut room: Option<OwnedSemaphorePermit> = None;
        let told_too_long = matches!(head.framing, Framing::Length(bytes) if bytes > BODY_MAX_BYTES as u64);
        let mut too_much = told_too_long.then_some(NotKept::TooLong);
        let until = Instant::now() + BODY_DEADLINE;
        self.welcome(head).await;
        while too_much.is_none() {
            let inbox = &self.shop.reader.inbox;
            let own = body
                .take(&inbox[seen..], |bytes| content.push(bytes))
                .map_err(|malformed| Reply::Refused(malformed.to_string()))?;
            seen += own;
            // Framing costs room too: chunks of one byte would take six times theirs.
            if content.len() > BODY_MAX_BYTES || seen - head.bytes > 2 * BODY_MAX_BYTES {
                too_much = Some(NotKept::TooLong);
                break;
            }
            if body.is_done() {
                break;
            }
            match self.way.room.clone().try_acquire_many_owned(u32::try_from(own).unwrap_or(u32::MAX)) {
                Ok(more) => match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                },
                Err(_) => {
                    too_much = Some(NotKept::NoRoom);
                    break;
                }
            }
            // A shop that goes away in the middle of its request has sent nothing.
            let filled = timeout_at(until, self.shop.reader.fill_within(self.way.times.idle)).await;
            filled.unwrap_or(Err(Silence::TimeOut)).map_err(|_| Reply::Incomplete)?;
        }
        Ok(Collected { content, body, seen, too_much, _room: room })
    }

    /// Lets a sender go on that waits to be asked for its body. The gateway's own word for it is then left out.
    async fn welcome(&mut self, head: &RequestHead) {
        let has_come = self.shop.reader.inbox.len() > head.bytes;
        if head.expects_continue && head.framing != Framing::None && !has_come {
            // A shop that is gone is noticed when its body does not come.
            let _ = self.shop.sender.send(CONTINUE, REPLY_DEADLINE).await;
        }
    }

    async fn connect(&mut self) -> Result<(), Unreached> {
        if let Some(gateway) = &mut self.gateway
            // What an idle connection has to say is that it is over.
            && timeout(Duration::ZERO, gateway.reader.fill()).await.is_ok()
        {
            self.gateway = None;
        }
        if self.gateway.is_none() {
            self.gateway = Some(self.way.upstream.connect().await?);
        }
        Ok(())
    }

    /// Sends head and body to the gateway, the rest of the body as it comes. Returns whether all of it went out; the
    /// gateway may have an answer ready even where it did not.
    async fn send(&mut self, head: &RequestHead, collected: Collected) -> bool {
        let Some(gateway) = &mut self.gateway else { return false };
        let times = self.way.times;
        let Collected { mut body, seen, .. } = collected;
        let inbox = &mut self.shop.reader.inbox;
        let mut outgoing = Wiped::default();
        match &head.host {
            None => outgoing.push(&inbox[..seen]),
            Some(host) => {
                outgoing.reserve(seen + self.way.upstream.authority.len());
                outgoing.push(&inbox[..host.start]);
                outgoing.push(self.way.upstream.authority.as_bytes());
                outgoing.push(&inbox[host.end..seen]);
            }
        }
        inbox.consume(seen);
        let mut goes_on = send_listening(gateway, &outgoing, times.answer).await;
        while goes_on && !body.is_done() {
            let inbox = &mut self.shop.reader.inbox;
            match body.take(inbox, |_| ()) {
                Ok(0) => {
                    goes_on = tokio::select! {
                        filled = self.shop.reader.fill_within(times.idle) => filled.is_ok(),
                        // It answered before it heard all: its answer counts, and nothing follows it.
                        heard = gateway.reader.fill() => heard.is_ok() && gateway.reader.inbox.len() < HEAD_MAX_BYTES,
                    };
                }
                Ok(own) => {
                    goes_on = send_listening(gateway, &inbox[..own], times.answer).await;
                    inbox.consume(own);
                }
                Err(_) => goes_on = false,
            }
        }
        if !goes_on || !body.is_done() {
            debug!(merchant = %self.way.merchant, "a request did not pass whole");
            // The gateway must not wait for the rest, nor take what follows for it.
            gateway.sender.finish(REPLY_DEADLINE).await;
            return false;
        }
        true
    }

    async fn answer(&mut self, head: &RequestHead, is_recorded: bool) -> Passed {
        let Some(gateway) = &mut self.gateway else { return Passed::Broken };
        let room = is_recorded.then_some(&self.way.room);
        answer::pass(gateway, &mut self.shop.sender, head, &self.way.times, room).await
    }

    /// Says something of our own, and that nothing more comes. Returns whether the shop was there.
    async fn say(&mut self, reply: &Reply) -> bool {
        let is_heard = self.shop.sender.send(&reply.bytes(), REPLY_DEADLINE).await.is_ok();
        if is_heard {
            self.shop.sender.finish(REPLY_DEADLINE).await;
        }
        is_heard
    }

    /// Hears what is still on its way, for a moment.
    async fn linger(&mut self) {
        let until = Instant::now() + LINGER;
        while let Ok(Ok(())) = timeout_at(until, self.shop.reader.fill()).await {
            self.shop.reader.inbox.clear();
        }
    }
}

/// Waits until the gateway says something, or closes.
async fn hears(gateway: &mut Option<Side>) {
    match gateway {
        // Whatever it is, nobody asked for it.
        Some(gateway) => drop(gateway.reader.fill().await),
        None => std::future::pending().await,
    }
}

/// Sends, and listens meanwhile: a gateway may answer, and stop reading, before it heard all.
async fn send_listening(gateway: &mut Side, bytes: &[u8], wait: Duration) -> bool {
    let Side { reader, sender } = gateway;
    let sending = sender.send(bytes, wait);
    pin!(sending);
    loop {
        let has_room = reader.inbox.len() < HEAD_MAX_BYTES;
        tokio::select! {
            biased;
            sent = &mut sending => return sent.is_ok(),
            heard = reader.fill(), if has_room => match heard {
                Ok(()) => {}
                Err(Silence::Closed | Silence::Broken | Silence::TimeOut) => return false,
            },
        }
    }
}
