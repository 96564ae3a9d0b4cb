//! Listening sockets: one a shard, all on one address through SO_REUSEPORT.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

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

/// A listener on the current shard's reactor.
#[derive(Debug)]
pub struct Listener {
    inner: monoio::net::TcpListener,
}

impl Listener {
    /// # Errors
    /// The reactor refuses the socket.
    pub fn from_std(listener: StdListener) -> io::Result<Self> {
        Ok(Self { inner: monoio::net::TcpListener::from_std(listener)? })
    }

    /// The next connection, as a bare descriptor: the shard that accepts isn't always the one that serves.
    ///
    /// # Errors
    /// As `accept` gives them; out of descriptors is the one to expect.
    pub async fn accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        let (stream, peer) = self.inner.accept().await?;
        let raw = stream.into_raw_fd();
        // SAFETY: `into_raw_fd` has given up ownership of an open descriptor, and nobody else holds it.
        #[expect(unsafe_code, reason = "monoio hands the descriptor out raw")]
        let owned = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok((owned, peer))
    }

    /// Stops listening: a pending accept ends with an error, and so does each later one.
    pub fn stop(&self) {
        // SAFETY: the descriptor stays open as long as `self`, which outlives this call.
        #[expect(unsafe_code, reason = "monoio only has the raw descriptor to give")]
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.inner.as_raw_fd()) };
        // A listening socket can only refuse to stop by not listening any more.
        let _ = SockRef::from(&descriptor).shutdown(Shutdown::Both);
    }
}
