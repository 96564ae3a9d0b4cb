//! The management API's connections: so many at once, each for as long as something comes over it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::in_own_words;
use super::places::{Holder, Place, Places};
use crate::settings::Settings;

/// Accepts at most `connections_max` at a time; while all of them are at work, further ones wait in the kernel's queue.
#[derive(Debug)]
pub struct BoundedListener {
    listener: TcpListener,
    places: Arc<Places>,
    idle_timeout: Duration,
    head_timeout: Duration,
}

impl BoundedListener {
    /// # Errors
    /// When the address can't be had.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(settings.listen).await?,
            places: Places::new(settings.connections_max, settings.connections_per_address_max),
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
        loop {
            // axum's own accept waits out a lack of descriptors.
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            if let Some(place) = self.places.take(peer.ip()).await {
                return (BoundedStream::new(stream, peer.ip(), place, self), peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that fails when nothing comes over it for a while, when a request's head takes too long however
/// steadily it comes, or when its place is given to another.
#[derive(Debug)]
pub struct BoundedStream {
    stream: TcpStream,
    peer: IpAddr,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    head_timeout: Duration,
    reading: Reading,
    place: Place,
    /// The place has been given to another.
    is_closed: bool,
    /// What is left of an answer that is written in place of hyper's own.
    instead: Option<Bytes>,
}

/// What is being read. A connection begins with a head; after an answer, the next byte begins one.
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
    fn new(stream: TcpStream, peer: IpAddr, place: Place, of: &BoundedListener) -> Self {
        let now = Instant::now();
        let due = now + of.head_timeout;
        Self {
            stream,
            peer,
            idle: Box::pin(sleep_until(due.min(now + of.idle_timeout))),
            idle_timeout: of.idle_timeout,
            head_timeout: of.head_timeout,
            reading: Reading::Head { due, matched: 0 },
            place,
            is_closed: false,
            instead: None,
        }
    }

    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(super) fn holder(&self) -> Arc<Holder> {
        Arc::clone(&self.place.holder)
    }

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

    /// Until it is written whole, hyper offers the same `length` bytes again.
    fn write_instead(
        &mut self,
        cx: &mut Context<'_>,
        mut instead: Bytes,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        while !instead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &instead) {
                Poll::Pending => {
                    self.instead = Some(instead);
                    return self.idle(cx);
                }
                Poll::Ready(written) => instead.advance(written?),
            }
            self.progress();
        }
        Poll::Ready(Ok(length))
    }

    /// Fails once another connection has the place.
    fn check_place(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.is_closed = self.is_closed || Pin::new(&mut self.place.closed).poll(cx).is_ready();
        if self.is_closed { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Without progress, waits for the end of patience, which the client isn't tried while its call is worked on.
    fn idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.idle.as_mut().poll(cx));
            if !self.place.holder.is_at_work() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.idle.as_mut().reset(Instant::now() + self.idle_timeout);
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_place(cx)?;
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
        this.check_place(cx)?;
        // Nothing of an answer has been written since something was read: this is where one begins.
        let begins = !matches!(this.reading, Reading::Nothing);
        let own_words = || in_own_words(bytes).filter(|_| begins).map(Bytes::from);
        if let Some(instead) = this.instead.take().or_else(own_words) {
            return this.write_instead(cx, instead, bytes.len());
        }
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
