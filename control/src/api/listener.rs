//! The management API's connections: so many at once, each for as long as something comes over it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::settings::Settings;

/// Accepts at most `connections_max` at a time; further ones wait in the kernel's queue.
#[derive(Debug)]
pub struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle_timeout: Duration,
    head_timeout: Duration,
}

impl BoundedListener {
    /// # Errors
    /// When the address can't be had.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(settings.listen).await?,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
            head_timeout: Duration::from_millis(settings.head_timeout_ms),
        })
    }

    /// # Errors
    /// When the system can't tell it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // Never closed; if it were, nobody could be bounded by it any more.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        // axum's own accept waits out a lack of descriptors.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let idle = Box::pin(sleep(self.idle_timeout));
        let stream = BoundedStream {
            stream,
            idle,
            idle_timeout: self.idle_timeout,
            head_timeout: self.head_timeout,
            reading: Reading::Nothing,
            _place: place,
        };
        (stream, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that fails when nothing comes over it for a while, or when a request's head takes too long however
/// steadily it comes.
#[derive(Debug)]
pub struct BoundedStream {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    head_timeout: Duration,
    reading: Reading,
    /// Given back when the connection ends.
    _place: Option<OwnedSemaphorePermit>,
}

/// What is being read. After an answer, the next byte begins a head.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Nothing,
    Head {
        due: Instant,
        /// Of the head's last four bytes, as many as have just come.
        matched: usize,
    },
    /// The server knows where it ends.
    Body,
}

const HEAD_END: &[u8] = b"\r\n\r\n";

impl Reading {
    fn after(self, bytes: &[u8], due: impl FnOnce() -> Instant) -> Self {
        let (due, mut matched) = match self {
            Self::Body => return self,
            Self::Nothing if bytes.is_empty() => return self,
            Self::Nothing => (due(), 0),
            Self::Head { due, matched } => (due, matched),
        };
        for byte in bytes {
            matched = match byte {
                byte if *byte == HEAD_END[matched] => matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if matched == HEAD_END.len() {
                return Self::Body;
            }
        }
        Self::Head { due, matched }
    }
}

impl BoundedStream {
    fn progress(&mut self) {
        let idle = Instant::now() + self.idle_timeout;
        let due = match self.reading {
            Reading::Head { due, .. } => due.min(idle),
            Reading::Nothing | Reading::Body => idle,
        };
        self.idle.as_mut().reset(due);
    }

    fn has_read(&mut self, bytes: &[u8]) {
        let head_timeout = self.head_timeout;
        self.reading = self.reading.after(bytes, || Instant::now() + head_timeout);
        self.progress();
    }

    fn has_written(&mut self, bytes: &[u8]) {
        // An interim answer asks for the body of the request that is being read.
        if !bytes.starts_with(b"HTTP/1.1 1") {
            self.reading = Reading::Nothing;
        }
        self.progress();
    }

    /// Without progress, waits for the end of patience.
    fn idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let filled = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.idle(cx),
            done => {
                this.has_read(&buf.filled()[filled..]);
                done
            }
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Pending => this.idle(cx),
            done => {
                this.has_written(bytes);
                done
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_head(reading: Reading) -> bool {
        matches!(reading, Reading::Head { .. })
    }

    #[test]
    fn a_head_ends_at_its_empty_line_wherever_it_is_split() {
        let head = b"GET / HTTP/1.1\r\nA: \r\r\n\r\r\n\r\n";
        for split in 1..head.len() {
            let start = Reading::Nothing.after(&head[..split], Instant::now);
            assert!(in_head(start), "{split}");
            let whole = start.after(&head[split..], || unreachable!("the head has begun"));
            assert!(matches!(whole, Reading::Body), "{split}");
        }
        assert!(matches!(Reading::Nothing.after(b"", Instant::now), Reading::Nothing));
        assert!(matches!(Reading::Body.after(b"\r\n\r\nx", Instant::now), Reading::Body));
    }
}
