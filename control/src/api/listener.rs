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
}

impl BoundedListener {
    /// # Errors
    /// When the address can't be had.
    pub async fn bind(settings: &Settings) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(settings.listen).await?,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            idle_timeout: Duration::from_millis(settings.idle_timeout_ms),
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
        (BoundedStream { stream, idle, idle_timeout: self.idle_timeout, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// A connection that fails when nothing comes over it for a while.
#[derive(Debug)]
pub struct BoundedStream {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    /// Given back when the connection ends.
    _place: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    fn progress(&mut self) {
        self.idle.as_mut().reset(Instant::now() + self.idle_timeout);
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
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.idle(cx),
            done => {
                this.progress();
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
                this.progress();
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
