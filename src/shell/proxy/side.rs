//! One end of a connection: bytes in, bytes out, and no wait without an end.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;
use zeroize::Zeroize;

use super::buffer::Wiped;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The side that is read, and what was read and not used yet.
pub struct Reader {
    stream: ReadHalf<Box<dyn Stream>>,
    pub inbox: Wiped,
    scratch: Box<[u8]>,
}

pub struct Sender {
    stream: WriteHalf<Box<dyn Stream>>,
}

/// The two directions of a connection.
pub struct Side {
    pub reader: Reader,
    pub sender: Sender,
}

/// Why nothing more came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// The other end closed the connection by the book.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing came in time.
    TimeOut,
}

impl Side {
    pub fn new(stream: Box<dyn Stream>) -> Side {
        let (reading, writing) = tokio::io::split(stream);
        let scratch = vec![0; READ_BYTES].into_boxed_slice();
        Side {
            reader: Reader { stream: reading, inbox: Wiped::default(), scratch },
            sender: Sender { stream: writing },
        }
    }
}

impl Reader {
    /// Waits for more bytes. Nothing is lost where the future is dropped before it ends.
    pub async fn fill(&mut self) -> Result<(), Silence> {
        match self.stream.read(&mut self.scratch).await {
            Ok(0) => Err(Silence::Closed),
            Err(_) => Err(Silence::Broken),
            Ok(read) => {
                self.inbox.push(&self.scratch[..read]);
                self.scratch[..read].zeroize();
                Ok(())
            }
        }
    }

    pub async fn fill_within(&mut self, wait: Duration) -> Result<(), Silence> {
        timeout(wait, self.fill()).await.unwrap_or(Err(Silence::TimeOut))
    }
}

impl Sender {
    /// Sends all bytes, as long as the other end takes some in every `wait`.
    pub async fn send(&mut self, mut bytes: &[u8], wait: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = timeout(wait, self.stream.write(bytes)).await.map_err(|_| io::ErrorKind::TimedOut)??;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[sent..];
        }
        timeout(wait, self.stream.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Says that nothing more comes.
    pub async fn finish(&mut self, wait: Duration) {
        // Whether the other end still hears it does not matter any more.
        let _ = timeout(wait, self.stream.shutdown()).await;
    }
}
