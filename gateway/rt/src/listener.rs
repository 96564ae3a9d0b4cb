//! Listening sockets: one a shard, all on one address through SO_REUSEPORT.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::Cancel;

/// Binds and listens, letting further sockets of this user bind the same address.
///
/// # Errors
/// As `bind` and `listen` give them: in use, not allowed, no such address.
pub fn bind_shared(address: SocketAddr, backlog: i32) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Changes how many connections the kernel holds for a socket that listens already.
///
/// # Errors
/// As `listen` gives them.
pub fn set_backlog(listener: &StdListener, backlog: i32) -> io::Result<()> {
    SockRef::from(listener).listen(backlog)
}

/// A listener on the current shard's reactor.
///
/// Its socket may be another process's as well, so that it is never shut down here: whoever wants no more of it lets
/// go of it, and the kernel ends it with the last descriptor.
#[derive(Debug)]
pub struct Listener {
    inner: monoio::net::TcpListener,
    /// The same socket once more, for [`into_queue`](Self::into_queue).
    queue: Queue,
    cancel: Cancel,
}

/// What the kernel holds for a socket that the reactor doesn't accept from any more. Dropped, it resets those.
#[derive(Debug)]
pub struct Queue(StdListener);

impl Listener {
    /// # Errors
    /// The reactor refuses the socket.
    pub fn from_std(listener: StdListener) -> io::Result<Self> {
        let queue = Queue(listener.try_clone()?);
        Ok(Self { inner: monoio::net::TcpListener::from_std(listener)?, queue, cancel: Cancel::new() })
    }

    /// The next connection, as a bare descriptor: the shard that accepts isn't always the one that serves.
    ///
    /// # Errors
    /// As `accept` gives them; out of descriptors is the one to expect. After [`stop`](Self::stop), one for which
    /// [`is_canceled`](crate::is_canceled) is true, and no connection was lost.
    pub async fn accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        let (stream, peer) = self.inner.cancelable_accept(self.cancel.handle()).await?;
        let raw = stream.into_raw_fd();
        // SAFETY: `into_raw_fd` has given up ownership of an open descriptor, and nobody else holds it.
        #[expect(unsafe_code, reason = "monoio hands the descriptor out raw")]
        let owned = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok((owned, peer))
    }

    /// Ends the accept that is pending. What the kernel holds stays with the socket, for whoever accepts next; who waits
    /// already may have to be [stopped](Self::stop) to notice.
    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// Has the reactor let go of the socket, which it does a moment later.
    #[must_use]
    pub fn into_queue(self) -> Queue {
        self.queue
    }
}

impl Queue {
    /// The next connection that is there already.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn take(&self) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
        match self.0.accept() {
            Ok((stream, peer)) => Ok(Some((stream.into(), peer))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}
