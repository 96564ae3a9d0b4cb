//! TLS on a shard's stream: rustls does the protocol, this module its I/O.
//!
//! The operations are [`Stream`]'s, on plaintext. Each read of the socket is decrypted whole at once; a message
//! that fits one buffer leaves in one write. What TLS itself has to say between two messages (tickets, key
//! updates, alerts) goes out with the next message, or before the connection waits. A connection that rests holds
//! no buffer. An end of the socket without TLS's own end is an error (RFC 8446 6.1), unless this side made it.

mod buffers;
mod handshake;
mod session;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Shutdown, SocketAddr};

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion};

pub use buffers::CipherBuffers;
pub use handshake::HandshakeError;
use session::{PORTION_BYTES, Read, Session};

use crate::{Cancel, Stream};

/// Looks at what came unasked on a resting connection, so many reads at most.
const QUIET_READS_MAX: usize = 4;

/// A connection under TLS. Reading and writing may go on at once, from two futures of the shard.
#[derive(Debug)]
pub struct TlsStream {
    stream: Stream,
    /// Never borrowed while something is awaited.
    session: RefCell<Session>,
    /// A `send` has taken the queue; what is queued meanwhile it sends too.
    sending: Cell<bool>,
    reading_ended: Cell<bool>,
    writing_ended: Cell<bool>,
}

impl TlsStream {
    fn new(stream: Stream, session: Session) -> Self {
        Self {
            stream,
            session: RefCell::new(session),
            sending: Cell::new(false),
            reading_ended: Cell::new(false),
            writing_ended: Cell::new(false),
        }
    }

    /// As [`Stream::recv_at_most`].
    pub async fn recv_at_most(&self, mut buffer: Vec<u8>, bytes_max: usize) -> (io::Result<usize>, Vec<u8>) {
        loop {
            if let Some(read) = self.take(&mut buffer, bytes_max) {
                return (read, buffer);
            }
            if let Err(error) = self.fill(None).await {
                return (Err(error), buffer);
            }
        }
    }

    /// As [`Stream::recv_cancelable_at_most`].
    pub async fn recv_cancelable_at_most(
        &self,
        mut buffer: Vec<u8>,
        bytes_max: usize,
        cancel: &Cancel,
    ) -> (io::Result<usize>, Vec<u8>) {
        loop {
            if let Some(read) = self.take(&mut buffer, bytes_max) {
                return (read, buffer);
            }
            if let Err(error) = self.fill(Some(cancel)).await {
                return (Err(error), buffer);
            }
        }
    }

    /// As [`Stream::recv_at_once`].
    ///
    /// # Errors
    /// As `recv` gives them.
    pub fn recv_at_once(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<Option<usize>> {
        loop {
            if let Some(read) = self.take(buffer, bytes_max) {
                return read.map(Some);
            }
            if !self.fill_at_once()? {
                return Ok(None);
            }
        }
    }

    /// As [`Stream::readable`]; what can be read then may turn out to be none of the message's bytes.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn readable(&self) -> io::Result<()> {
        if self.session.borrow().is_readable() {
            return Ok(());
        }
        self.flush_at_once();
        self.stream.readable().await
    }

    /// As [`Stream::send`].
    pub async fn send(&self, buffer: Vec<u8>, start: usize) -> (io::Result<()>, Vec<u8>) {
        let sent = self.send_all(&buffer[start..]).await;
        (sent, buffer)
    }

    /// Sends all of `bytes`, and what is still queued.
    ///
    /// # Errors
    /// As `send` gives them.
    pub async fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut taken = 0;
        loop {
            let portion = &bytes[taken..bytes.len().min(taken + PORTION_BYTES)];
            self.encrypt(portion)?;
            taken += portion.len();
            self.flush().await?;
            if taken == bytes.len() {
                return Ok(());
            }
        }
    }

    /// Sends what the socket takes without waiting; how many of `bytes` needn't be given again, though some of
    /// them may still be queued: see [`is_flushed`](Self::is_flushed).
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while self.try_flush()? && taken < bytes.len() {
            let portion = &bytes[taken..bytes.len().min(taken + PORTION_BYTES)];
            self.encrypt(portion)?;
            taken += portion.len();
        }
        Ok(taken)
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.session.borrow().is_flushed()
    }

    /// Whether the peer has neither ended the connection nor sent a byte of a message.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        for _ in 0..QUIET_READS_MAX {
            if self.session.borrow().is_readable() {
                return false;
            }
            if self.stream.is_quiet() {
                return self.session.borrow().incoming().is_empty();
            }
            // Tickets may come whenever the peer likes (RFC 8446 4.6.1).
            let read = self.fill_at_once();
            let advanced = self.session.borrow_mut().advance();
            if read.is_err() || advanced.is_err() {
                return false;
            }
        }
        false
    }

    /// As [`Stream::shutdown`]; tells the peer of a whole end of the sending side.
    pub fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Write {
            self.reading_ended.set(true);
        }
        match how {
            Shutdown::Write => self.end_writing(),
            Shutdown::Both => self.writing_ended.set(true),
            Shutdown::Read => {}
        }
        self.stream.shutdown(how);
    }

    /// As [`Stream::reset_on_close`]; the peer isn't told that all is there.
    pub fn reset_on_close(&self) {
        self.writing_ended.set(true);
        self.stream.reset_on_close();
    }

    /// As [`Stream::is_reset`].
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.stream.is_reset()
    }

    /// As [`Stream::acknowledged_bytes`]; records count, not what is in them.
    #[must_use]
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        self.stream.acknowledged_bytes()
    }

    /// As [`Stream::local_address`].
    ///
    /// # Errors
    /// The socket is broken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_address()
    }

    /// What both sides chose by ALPN (RFC 7301); `None` before the handshake and where nothing was.
    #[must_use]
    pub fn protocol(&self) -> Option<Vec<u8>> {
        self.session.borrow().common()?.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// `None` before the handshake.
    #[must_use]
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.session.borrow().common()?.protocol_version()
    }

    /// Whether the session goes on from an earlier connection's.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        let session = self.session.borrow();
        session.common().and_then(|common| common.handshake_kind()) == Some(HandshakeKind::Resumed)
    }

    /// The certificate that the peer has proven to own, in DER.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        self.session.borrow().common()?.peer_certificates()?.first().cloned()
    }

    /// Plaintext that is there; `None` says to read on.
    fn take(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> Option<io::Result<usize>> {
        let read = self.session.borrow_mut().read(buffer, bytes_max);
        match read {
            Ok(Read::Bytes(count)) => Some(Ok(count)),
            Ok(Read::Ended) => Some(Ok(0)),
            Ok(Read::Nothing) => None,
            Err(error) => {
                self.flush_at_once();
                Some(Err(io::Error::new(io::ErrorKind::InvalidData, error)))
            }
        }
    }

    /// Reads once from the socket.
    async fn fill(&self, cancel: Option<&Cancel>) -> io::Result<()> {
        self.flush_at_once();
        let mut lent = self.session.borrow_mut().lend_incoming();
        let bytes = std::mem::take(&mut lent.bytes);
        let (read, bytes) = match cancel {
            None => self.stream.recv(bytes).await,
            Some(cancel) => self.stream.recv_cancelable(bytes, cancel).await,
        };
        lent.bytes = bytes;
        self.session.borrow_mut().return_incoming(lent);
        self.note(read)
    }

    /// Reads what there is; false says that there is nothing.
    fn fill_at_once(&self) -> io::Result<bool> {
        let mut lent = self.session.borrow_mut().lend_incoming();
        let read = self.stream.recv_at_once(&mut lent.bytes, usize::MAX);
        self.session.borrow_mut().return_incoming(lent);
        match read {
            Ok(None) => Ok(false),
            Ok(Some(count)) => self.note(Ok(count)).map(|()| true),
            Err(error) => Err(error),
        }
    }

    fn note(&self, read: io::Result<usize>) -> io::Result<()> {
        match read? {
            0 if self.reading_ended.get() => {
                self.session.borrow_mut().end_reading();
                Ok(())
            }
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn encrypt(&self, bytes: &[u8]) -> io::Result<()> {
        if self.writing_ended.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let encrypted = self.session.borrow_mut().encrypt(bytes);
        encrypted.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Sends all that is queued.
    async fn flush(&self) -> io::Result<()> {
        loop {
            let Some((mut queue, start)) = self.session.borrow_mut().take_outgoing() else { return Ok(()) };
            self.sending.set(true);
            let (sent, bytes) = self.stream.send(std::mem::take(&mut queue.bytes), start).await;
            queue.bytes = bytes;
            self.sending.set(false);
            sent?;
        }
    }

    /// Sends of what is queued as much as the socket takes now; whether that was all.
    fn try_flush(&self) -> io::Result<bool> {
        if self.sending.get() {
            return Ok(false);
        }
        let mut session = self.session.borrow_mut();
        while !session.is_flushed() {
            match self.stream.send_at_once(session.outgoing())? {
                0 => return Ok(false),
                count => session.sent(count),
            }
        }
        Ok(true)
    }

    /// As [`try_flush`](Self::try_flush), for what goes along: a socket that is broken says so to the next read.
    fn flush_at_once(&self) {
        let _ = self.try_flush();
    }

    /// Says that what was sent is all, unless something is still on its way: then the peer sees a cut.
    fn end_writing(&self) {
        if self.writing_ended.replace(true) || self.sending.get() || !self.is_flushed() {
            return;
        }
        self.session.borrow_mut().close();
        self.flush_at_once();
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.end_writing();
    }
}

#[cfg(test)]
mod tests;
