//! A connection that is closed while its peer still sends takes our answer away from it: what lies unread in the
//! socket makes the kernel reset the connection, and the answer with it (RFC 9112 section 9.6). So after an answer
//! that ends a connection we say that nothing more follows, and hear the rest of what was on its way.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Most we hear, in bytes: several of the longest bodies.
const HEARD_MAX_BYTES: usize = 8 * 1024 * 1024;
const CHUNK_BYTES: usize = 8 * 1024;

/// A stream that hears its peer out when it is shut down, if it was asked to.
pub struct Lingering<S> {
    stream: S,
    is_asked: Arc<AtomicBool>,
    longest: Duration,
    hearing: Option<Hearing>,
}

struct Hearing {
    until: Pin<Box<Sleep>>,
    heard: usize,
}

impl<S> Lingering<S> {
    /// Hears no longer than `longest`.
    pub fn new(stream: S, longest: Duration) -> Lingering<S> {
        Lingering { stream, is_asked: Arc::default(), longest, hearing: None }
    }

    /// Set, it makes the stream hear its peer out.
    pub fn asked(&self) -> Arc<AtomicBool> {
        self.is_asked.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lingering { stream, is_asked, longest, hearing } = &mut *self;
        let hearing = match hearing {
            Some(hearing) => hearing,
            None => {
                ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                if !is_asked.load(Ordering::Relaxed) {
                    return Poll::Ready(Ok(()));
                }
                hearing.insert(Hearing { until: Box::pin(sleep(*longest)), heard: 0 })
            }
        };
        let mut room = [0; CHUNK_BYTES];
        while hearing.heard < HEARD_MAX_BYTES && hearing.until.as_mut().poll(cx).is_pending() {
            let mut chunk = ReadBuf::new(&mut room);
            // A peer that broke off has heard enough.
            let Ok(()) = ready!(Pin::new(&mut *stream).poll_read(cx, &mut chunk)) else { break };
            if chunk.filled().is_empty() {
                break;
            }
            hearing.heard += chunk.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}
