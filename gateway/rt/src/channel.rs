//! One exchange among many on a connection, as if it had a connection of its own.
//!
//! Who multiplexes (HTTP/2) stands behind it and keeps what is in flight; nothing here waits for the kernel.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, Waker};

/// The bytes of one exchange. One task reads, and the same or another writes.
pub trait Channel: std::fmt::Debug {
    /// Appends at most `bytes_max` bytes, and says how many. 0: there are no more.
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>>;

    /// Takes at least one of `bytes`, which aren't empty, and says how many.
    fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Ends the exchange at once; what is pending ends with it.
    fn end(&self);

    /// An answer is overdue: the connection may be dead, and is for no further exchanges.
    fn distrust(&self);

    /// Whether the peer has said that it did nothing of what was asked, so that it may be asked again.
    fn is_unprocessed(&self) -> bool;
}

pub(crate) async fn recv(
    channel: &dyn Channel,
    mut buffer: Vec<u8>,
    bytes_max: usize,
) -> (io::Result<usize>, Vec<u8>) {
    let room = (buffer.capacity() - buffer.len()).min(bytes_max);
    let received = poll_fn(|context| channel.poll_recv(context, &mut buffer, room)).await;
    (received, buffer)
}

pub(crate) fn recv_at_once(
    channel: &dyn Channel,
    buffer: &mut Vec<u8>,
    bytes_max: usize,
) -> io::Result<Option<usize>> {
    let room = (buffer.capacity() - buffer.len()).min(bytes_max);
    // Whoever then waits is woken: waiting polls anew.
    match channel.poll_recv(&mut Context::from_waker(Waker::noop()), buffer, room) {
        Poll::Ready(received) => received.map(Some),
        Poll::Pending => Ok(None),
    }
}

pub(crate) async fn send(channel: &dyn Channel, buffer: Vec<u8>, start: usize) -> (io::Result<()>, Vec<u8>) {
    let sent = send_all(channel, &buffer[start..]).await;
    (sent, buffer)
}

pub(crate) async fn send_all(channel: &dyn Channel, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|context| channel.poll_send(context, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}
