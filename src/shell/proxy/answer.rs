//! The gateway's answer on its way to the shop, and the copy that becomes evidence.

use std::io::Read as _;
use std::sync::Arc;

use flate2::read::{GzDecoder, ZlibDecoder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::body::Body;
use super::buffer::Wiped;
use super::head::{self, AnswerHead, Encoding, Framing, RequestHead};
use super::reply::Reply;
use super::side::{Sender, Side, Silence};
use super::{BODY_MAX_BYTES, Way};
use crate::engine::ResponseWhat;
use crate::shell::config::proxy::Times;

/// How an answer passed.
pub enum Passed {
    /// All of it.
    Whole { head: AnswerHead, copy: Copy, persists: bool },
    /// Its head passed, its body did not come whole.
    Cut { framing: Framing },
    /// The gateway closed the connection without an answer.
    Broken,
    /// What came can't be passed on.
    Unreadable(String),
    /// Nothing came.
    Silent,
}

/// What follows an answer on the shop's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Another request may.
    Goes,
    Closes,
    /// It is reset, so that nobody takes its end for an end.
    Breaks,
}

impl Passed {
    /// What the books are told.
    pub fn evidence(&self) -> ResponseWhat {
        match self {
            Passed::Whole { head, copy, .. } => {
                let http_status = head.status;
                match copy.content(head.encoding) {
                    Some(body) => ResponseWhat::Answered { http_status, body },
                    None => ResponseWhat::AnsweredUnread { http_status },
                }
            }
            Passed::Cut { .. } | Passed::Broken | Passed::Unreadable(_) | Passed::Silent => {
                ResponseWhat::OutcomeUnknown
            }
        }
    }

    /// The room the evidence goes on taking until it is told.
    pub fn into_room(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Passed::Whole { copy, .. } => copy.held,
            Passed::Cut { .. } | Passed::Broken | Passed::Unreadable(_) | Passed::Silent => None,
        }
    }

    /// What follows on the shop's connection; or what is left to tell the shop.
    pub fn finished(&self, request: &RequestHead, way: &Way) -> Result<After, Reply> {
        match self {
            Passed::Whole { persists: true, .. } if request.persists && !way.stop.is_cancelled() => Ok(After::Goes),
            Passed::Whole { .. } => Ok(After::Closes),
            // Its end would look like the answer's: the shop must not take what came for the whole.
            Passed::Cut { framing: Framing::UntilClose } => Ok(After::Breaks),
            Passed::Cut { .. } => Ok(After::Closes),
            Passed::Broken => Err(Reply::OutcomeUnknown("the gateway closed the connection without an answer".into())),
            Passed::Unreadable(why) => Err(Reply::OutcomeUnknown(why.clone())),
            Passed::Silent => Err(Reply::Silent(way.times.answer.as_millis())),
        }
    }
}

/// Passes an answer as it comes. `room`: where a copy of it is to become evidence, then it is read to its end even if
/// the shop is gone.
pub async fn pass(
    gateway: &mut Side,
    shop: &mut Sender,
    request: &RequestHead,
    times: &Times,
    room: Option<&Arc<Semaphore>>,
) -> Passed {
    let head = loop {
        let head = match head::answer(&gateway.reader.inbox, &request.method) {
            Ok(Some(head)) => head,
            Ok(None) => match gateway.reader.fill_within(times.answer).await {
                Ok(()) => continue,
                Err(Silence::TimeOut) => return Passed::Silent,
                Err(Silence::Closed | Silence::Broken) => return Passed::Broken,
            },
            Err(why) => return Passed::Unreadable(why.to_string()),
        };
        match head.status {
            101 => return Passed::Unreadable("the gateway changed the protocol".into()),
            // The shop had ours.
            100 if request.expects_continue => {}
            // A shop that is gone is noticed at the answer itself.
            100..200 => drop(shop.send(&gateway.reader.inbox[..head.bytes], times.idle).await),
            _ => break head,
        }
        gateway.reader.inbox.consume(head.bytes);
    };
    let mut copy = Copy::new(room);
    let (mut body, mut at, mut is_shop_there) = (Body::new(head.framing), head.bytes, true);
    loop {
        let inbox = &mut gateway.reader.inbox;
        let taken = body.take(&inbox[at..], |bytes| copy.push(bytes));
        let own = at + taken.unwrap_or(0);
        if is_shop_there && own > 0 {
            is_shop_there = shop.send(&inbox[..own], times.idle).await.is_ok();
        }
        inbox.consume(own);
        at = 0;
        if taken.is_err() || (!is_shop_there && room.is_none()) {
            return Passed::Cut { framing: head.framing };
        }
        if body.is_done() {
            break;
        }
        match gateway.reader.fill_within(times.answer).await {
            Ok(()) => {}
            Err(Silence::Closed) if body.is_whole_at_close() => break,
            Err(_) => return Passed::Cut { framing: head.framing },
        }
    }
    if !is_shop_there {
        debug!("the shop was gone before the answer came");
    }
    // Bytes behind an answer belong to no request.
    let persists = head.persists && is_shop_there && gateway.reader.inbox.is_empty();
    Passed::Whole { head, copy, persists }
}

/// What is held of an answer's body while it passes.
pub struct Copy {
    /// `None`: it is not wanted, or too long.
    bytes: Option<Wiped>,
    room: Option<Arc<Semaphore>>,
    held: Option<OwnedSemaphorePermit>,
}

impl Copy {
    fn new(room: Option<&Arc<Semaphore>>) -> Copy {
        Copy { bytes: room.map(|_| Wiped::default()), room: room.cloned(), held: None }
    }

    fn push(&mut self, more: &[u8]) {
        let (Some(bytes), Some(room)) = (&mut self.bytes, &self.room) else { return };
        let fits = bytes.len() + more.len() <= BODY_MAX_BYTES;
        let permits = u32::try_from(more.len()).ok().filter(|_| fits);
        match permits.and_then(|permits| room.clone().try_acquire_many_owned(permits).ok()) {
            Some(permit) => {
                bytes.push(more);
                match &mut self.held {
                    Some(held) => held.merge(permit),
                    None => self.held = Some(permit),
                }
            }
            None => (self.bytes, self.held) = (None, None),
        }
    }

    /// The body as its sender meant it; `None` where it is too long or coded in a way we don't read.
    fn content(&self, encoding: Encoding) -> Option<Vec<u8>> {
        let bytes: &[u8] = self.bytes.as_ref()?;
        let mut content = Vec::new();
        let limit = BODY_MAX_BYTES as u64 + 1;
        match encoding {
            Encoding::Plain => return Some(bytes.to_vec()),
            Encoding::Gzip => GzDecoder::new(bytes).take(limit).read_to_end(&mut content).ok()?,
            Encoding::Deflate => ZlibDecoder::new(bytes).take(limit).read_to_end(&mut content).ok()?,
            Encoding::Other => return None,
        };
        (content.len() <= BODY_MAX_BYTES).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn copied(bytes: &[u8]) -> Copy {
        let mut copy = Copy::new(Some(&Arc::new(Semaphore::new(4 * BODY_MAX_BYTES))));
        bytes.chunks(1000).for_each(|piece| copy.push(piece));
        copy
    }

    #[test]
    fn a_copy_is_read_in_the_codings_gateways_use() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"<payment/>").expect("written");
        let gzip = copied(&gzip.finish().expect("written"));
        assert_eq!(gzip.content(Encoding::Gzip).as_deref(), Some(&b"<payment/>"[..]));
        assert_eq!(gzip.content(Encoding::Deflate), None, "it is not what it says");
        assert_eq!(copied(b"x").content(Encoding::Plain).as_deref(), Some(&b"x"[..]));
        assert_eq!(copied(b"x").content(Encoding::Other), None);
    }

    #[test]
    fn a_copy_ends_at_its_cap_and_a_bomb_does_not_unfold() {
        assert!(copied(&vec![0; BODY_MAX_BYTES]).content(Encoding::Plain).is_some());
        let long = copied(&vec![0; BODY_MAX_BYTES + 1]);
        assert_eq!(long.content(Encoding::Plain), None);
        assert!(long.held.is_none(), "its room is free again");
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        bomb.write_all(&vec![0; 8 * BODY_MAX_BYTES]).expect("written");
        assert_eq!(copied(&bomb.finish().expect("written")).content(Encoding::Gzip), None);
    }

    #[test]
    fn without_room_nothing_is_copied() {
        let mut copy = Copy::new(Some(&Arc::new(Semaphore::new(10))));
        copy.push(b"12345678");
        copy.push(b"9abc");
        assert_eq!(copy.content(Encoding::Plain), None);
    }
}
