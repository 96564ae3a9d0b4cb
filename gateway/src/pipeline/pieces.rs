//! Long bodies, piece by piece.
//!
//! A piece that is there is received and sent on at once, while it is in the core's cache; only what has to
//! wait goes through the reactor, which would otherwise take a piece from every connection before it sends
//! the first one on. Measured with 10 MiB bodies on 16 connections. So that a fast pair of peers
//! doesn't keep the shard from its other connections, a transfer pauses after [`PIECES_AT_ONCE`].

use std::io;

use turnpike_rt::Transport;

/// A transfer lets others run after so many pieces, 256 KiB at most. Measured: more make others wait, and no
/// transfer faster.
const PIECES_AT_ONCE: u32 = 2;

/// Counts the pieces of a transfer that didn't have to wait.
#[derive(Debug, Default)]
pub(super) struct Pace {
    at_once: u32,
}

impl Pace {
    /// The next piece if it is there; `None` says to wait for it.
    pub(super) async fn receive(
        &mut self,
        stream: &Transport,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Option<io::Result<usize>> {
        if self.at_once >= PIECES_AT_ONCE {
            self.at_once = 0;
            turnpike_rt::yield_now().await;
        }
        self.at_once += 1;
        let received = stream.recv_at_once(buffer, bytes_max).transpose();
        if received.is_none() {
            self.at_once = 0;
        }
        received
    }
}

/// Sends all of `buffer`, without waiting as far as possible; `wait` is called if the rest has to.
pub(super) async fn send(
    stream: &Transport,
    buffer: Vec<u8>,
    wait: impl FnOnce(),
) -> (io::Result<()>, Vec<u8>) {
    match stream.send_at_once(&buffer) {
        Ok(sent) if sent == buffer.len() && stream.is_flushed() => (Ok(()), buffer),
        Ok(sent) => {
            wait();
            stream.send(buffer, sent).await
        }
        Err(error) => (Err(error), buffer),
    }
}
