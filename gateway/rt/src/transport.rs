//! What clients and upstreams are talked to through: one set of operations, whatever carries the bytes.
//!
//! The operations are [`Stream`]'s, and so is the rule of the crate's page for stopping them. A plain connection
//! pays one predictable branch an operation; what TLS waits for is boxed, since it is several times the size of what a
//! plain connection does, and each task would hold room for it.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};

use bytes::Bytes;

use crate::channel::{self, Channel};
use crate::either::Either;
use crate::stream::{Received, Sent};
use crate::{Arena, Cancel, Stream, TlsStream};

/// One connection's bytes. Reading and writing may go on at once, from two futures of the shard.
#[derive(Debug)]
pub enum Transport {
    Plain(Stream),
    Tls(Box<TlsStream>),
    /// One of many exchanges over one connection.
    Channel(Box<dyn Channel>),
}

impl Transport {
    /// As [`Stream::recv`].
    #[inline(always)]
    pub fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Received> {
        self.recv_at_most(buffer, usize::MAX)
    }

    /// As [`Stream::recv_at_most`].
    #[inline(always)]
    pub fn recv_at_most(&self, buffer: Vec<u8>, bytes_max: usize) -> impl Future<Output = Received> {
        match self {
            Self::Plain(stream) => Either::First(stream.recv_at_most(buffer, bytes_max)),
            Self::Tls(stream) => {
                Either::Second(Either::First(Box::pin(stream.recv_at_most(buffer, bytes_max))))
            }
            Self::Channel(channel) => {
                Either::Second(Either::Second(channel::recv(&**channel, buffer, bytes_max)))
            }
        }
    }

    /// As [`Stream::recv_cancelable`].
    #[inline]
    pub fn recv_cancelable(&self, buffer: Vec<u8>, cancel: &Cancel) -> impl Future<Output = Received> {
        self.recv_cancelable_at_most(buffer, usize::MAX, cancel)
    }

    /// As [`Stream::recv_cancelable_at_most`].
    #[inline]
    pub fn recv_cancelable_at_most(
        &self,
        buffer: Vec<u8>,
        bytes_max: usize,
        cancel: &Cancel,
    ) -> impl Future<Output = Received> {
        match self {
            Self::Plain(stream) => Either::First(stream.recv_cancelable_at_most(buffer, bytes_max, cancel)),
            Self::Tls(stream) => Either::Second(Either::First(Box::pin(
                stream.recv_cancelable_at_most(buffer, bytes_max, cancel),
            ))),
            // No read of the kernel's is under way: dropping the future takes it back.
            Self::Channel(channel) => {
                Either::Second(Either::Second(channel::recv(&**channel, buffer, bytes_max)))
            }
        }
    }

    /// As [`Stream::recv_at_once`].
    ///
    /// # Errors
    /// As `recv` gives them.
    pub fn recv_at_once(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<Option<usize>> {
        match self {
            Self::Plain(stream) => stream.recv_at_once(buffer, bytes_max),
            Self::Tls(stream) => stream.recv_at_once(buffer, bytes_max),
            Self::Channel(channel) => channel::recv_at_once(&**channel, buffer, bytes_max),
        }
    }

    /// As [`Stream::readable`].
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            Self::Tls(stream) => stream.readable().await,
            Self::Channel(_) => Ok(()),
        }
    }

    /// As [`Stream::send`].
    #[inline(always)]
    pub fn send(&self, buffer: Vec<u8>, start: usize) -> impl Future<Output = Sent> {
        match self {
            Self::Plain(stream) => Either::First(stream.send(buffer, start)),
            Self::Tls(stream) => Either::Second(Either::First(Box::pin(stream.send(buffer, start)))),
            Self::Channel(channel) => {
                Either::Second(Either::Second(channel::send(&**channel, buffer, start)))
            }
        }
    }

    /// Sends what can be sent without waiting, possibly nothing, and says how many of `bytes` needn't be given
    /// again. Unless that is all of them and [`is_flushed`](Self::is_flushed), `send` has to follow, for the
    /// rest or for none.
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.send_at_once(bytes),
            Self::Tls(stream) => stream.send_at_once(bytes),
            Self::Channel(_) => Ok(0),
        }
    }

    /// As [`send_at_once`](Self::send_at_once), of two pieces one behind the other.
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_both_at_once(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.send_both_at_once(first, second),
            Self::Tls(stream) => match stream.send_at_once(first)? {
                sent if sent == first.len() => Ok(sent + stream.send_at_once(second)?),
                sent => Ok(sent),
            },
            Self::Channel(_) => Ok(0),
        }
    }

    /// As [`send_both_at_once`](Self::send_both_at_once), of a client's connection. Where nothing has to be encrypted,
    /// what of `second` lies in the arena isn't copied.
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_both_from(&self, arena: Option<&Arena>, first: &[u8], second: &[u8]) -> io::Result<usize> {
        match (self, arena.and_then(|arena| arena.find(second))) {
            (Self::Plain(stream), Some(place)) => stream.send_with_place_at_once(first, &place),
            _ => self.send_both_at_once(first, second),
        }
    }

    /// As [`send_shared`](Self::send_shared), and as [`send_both_from`](Self::send_both_from).
    ///
    /// # Errors
    /// As `send` gives them.
    pub async fn send_shared_from(&self, arena: Option<&Arena>, bytes: Bytes) -> io::Result<()> {
        match (self, arena.and_then(|arena| arena.find(&bytes))) {
            (Self::Plain(stream), Some(place)) => stream.send_place(place).await,
            _ => self.send_shared(bytes).await,
        }
    }

    /// Sends all of what others hold as well, without a copy where nothing has to be encrypted; and what is still
    /// queued.
    ///
    /// # Errors
    /// As `send` gives them.
    pub async fn send_shared(&self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.send_shared(bytes).await,
            Self::Tls(stream) => stream.send_all(&bytes).await,
            Self::Channel(channel) => channel::send_all(&**channel, &bytes).await,
        }
    }

    /// Whether the socket has taken everything that was given; only [`send_at_once`](Self::send_at_once) leaves
    /// it otherwise.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Channel(_) => true,
            Self::Tls(stream) => stream.is_flushed(),
        }
    }

    /// As [`Stream::is_quiet`].
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_quiet(),
            Self::Tls(stream) => stream.is_quiet(),
            Self::Channel(_) => true,
        }
    }

    /// As [`Stream::shutdown`].
    pub fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Plain(stream) => stream.shutdown(how),
            Self::Tls(stream) => stream.shutdown(how),
            Self::Channel(channel) => channel.end(),
        }
    }

    /// As [`Stream::is_reset`].
    #[must_use]
    pub fn is_reset(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_reset(),
            Self::Tls(stream) => stream.is_reset(),
            Self::Channel(_) => false,
        }
    }

    /// As [`Stream::acknowledged_bytes`].
    #[must_use]
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        match self {
            Self::Plain(stream) => stream.acknowledged_bytes(),
            Self::Tls(stream) => stream.acknowledged_bytes(),
            Self::Channel(_) => None,
        }
    }

    /// As [`Stream::reset_on_close`].
    pub fn reset_on_close(&self) {
        match self {
            Self::Plain(stream) => stream.reset_on_close(),
            Self::Tls(stream) => stream.reset_on_close(),
            Self::Channel(channel) => channel.end(),
        }
    }

    /// As [`Stream::local_address`].
    ///
    /// # Errors
    /// The socket is broken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.local_address(),
            Self::Tls(stream) => stream.local_address(),
            Self::Channel(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The exchange, if the connection isn't its own.
    #[must_use]
    pub fn channel(&self) -> Option<&dyn Channel> {
        match self {
            Self::Plain(_) | Self::Tls(_) => None,
            Self::Channel(channel) => Some(&**channel),
        }
    }

    /// The TLS connection, for what only such a one has.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Self::Plain(_) | Self::Channel(_) => None,
            Self::Tls(stream) => Some(stream),
        }
    }
}
