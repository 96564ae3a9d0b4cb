//! Accepts the admin address's connections: `admin_connections_max` at once, the others wait in the kernel's queue, and
//! one over which nothing comes for `admin_idle_timeout_ms` is closed. So whoever reaches the address can't take the
//! descriptors that clients' connections need.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle_timeout: Duration,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, connections_max: usize, idle_timeout: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(connections_max)), idle_timeout }
    }
}

impl Listener for Door {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        // axum's own accept waits out a lack of descriptors.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let idle_timeout = self.idle_timeout;
        (Visitor { stream, idle: Box::pin(sleep(idle_timeout)), idle_timeout, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, with its place.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
    /// Until when something has to come.
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let due = Instant::now() + self.idle_timeout;
            self.idle.as_mut().reset(due);
            return Poll::Ready(read);
        }
        self.idle.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn door(connections_max: usize, idle_timeout: Duration) -> (Door, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Door::new(listener, connections_max, idle_timeout), address)
    }

    #[tokio::test]
    async fn those_that_find_no_place_wait_for_one() {
        let (mut door, address) = door(2, Duration::from_secs(60)).await;
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(TcpStream::connect(address).await.unwrap());
        }
        let first = door.accept().await;
        let _second = door.accept().await;
        {
            let mut third = pin!(door.accept());
            assert!(third.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(first);
        assert_eq!(door.accept().await.1, peers[2].local_addr().unwrap());
    }

    #[tokio::test]
    async fn one_that_says_nothing_is_given_up() {
        let (mut door, address) = door(1, Duration::from_millis(1)).await;
        let _peer = TcpStream::connect(address).await.unwrap();
        let (mut visitor, _) = door.accept().await;
        assert_eq!(visitor.read(&mut [0; 1]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
