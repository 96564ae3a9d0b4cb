//! One TCP connection and one exchange on it at a time.
//!
//! Reads are never abandoned on a connection that goes on being used: with io_uring a dropped read may already
//! have taken bytes, so whoever drops an exchange drops its connection too.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;

use crate::failure::Failure;
use crate::reply::{HEAD_BYTES_MAX, Malformed, Reply, ReplyReader};
use crate::request::Request;

/// Read buffer of a connection: holds the largest head. Pages that no reply reaches stay untouched.
const READ_BUFFER_BYTES: usize = HEAD_BYTES_MAX;

/// A complete exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) received_bytes: u64,
}

/// An open connection between exchanges.
#[derive(Debug)]
pub(crate) struct Wire {
    reader: OwnedReadHalf<TcpStream>,
    writer: OwnedWriteHalf<TcpStream>,
    /// Empty between exchanges.
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_addr(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { reader, writer, buffer: Vec::with_capacity(READ_BUFFER_BYTES) })
    }

    /// Sends a request and reads its reply. After an error, or where the reply isn't reusable, the connection is
    /// of no further use.
    pub(crate) async fn exchange(
        &mut self,
        request: &Request,
        head_method: bool,
    ) -> Result<Exchange, Failure> {
        let mut replies = Replies { reader: &mut self.reader, buffer: &mut self.buffer };
        if request.body.is_empty() {
            let sent = write_all(&mut self.writer, request.head).await;
            return settle(Some(sent), replies.read_one(head_method).await);
        }
        // A server may answer before it has read a long body, or need its reply read to go on reading.
        let writer = &mut self.writer;
        let send = async move {
            write_all(writer, request.head).await?;
            write_all(writer, request.body).await
        };
        let (sent, reply) = read_while_sending(send, replies.read_one(head_method)).await;
        settle(sent, reply)
    }
}

/// A reply counts even when the request couldn't be sent whole, but then ends the connection; without a reply, the
/// error of sending is the cause.
fn settle(sent: Option<io::Result<()>>, reply: Result<Exchange, Failure>) -> Result<Exchange, Failure> {
    match (sent, reply) {
        (Some(Ok(())), reply) => reply,
        (_, Ok(mut exchange)) => {
            exchange.reply.reusable = false;
            Ok(exchange)
        }
        (Some(Err(error)), Err(_)) => Err(Failure::Reset(error)),
        (None, Err(failure)) => Err(failure),
    }
}

async fn write_all(writer: &mut OwnedWriteHalf<TcpStream>, mut bytes: &'static [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let (written, _) = writer.write(bytes).await;
        match written? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Runs both until the reply is there; what became of the sending is `None` if it was still going on.
async fn read_while_sending<S, R>(send: S, reply: R) -> (Option<S::Output>, R::Output)
where
    S: Future,
    R: Future,
{
    let mut send = pin!(send);
    let mut reply = pin!(reply);
    let mut sent = None;
    let reply = poll_fn(|context| {
        if sent.is_none()
            && let Poll::Ready(output) = send.as_mut().poll(context)
        {
            sent = Some(output);
        }
        reply.as_mut().poll(context)
    })
    .await;
    (sent, reply)
}

struct Replies<'a> {
    reader: &'a mut OwnedReadHalf<TcpStream>,
    buffer: &'a mut Vec<u8>,
}

impl Replies<'_> {
    async fn read_one(&mut self, head_method: bool) -> Result<Exchange, Failure> {
        let mut reply = ReplyReader::new(head_method);
        let mut received_bytes = 0;
        loop {
            let received = self.receive().await.map_err(Failure::Reset)?;
            if received == 0 {
                let reply = reply.close().ok_or(Failure::ClosedEarly)?;
                return Ok(Exchange { reply, received_bytes });
            }
            received_bytes += received as u64;
            let (taken, complete) = reply.read(self.buffer).map_err(Failure::Malformed)?;
            if let Some(reply) = complete {
                if taken < self.buffer.len() {
                    return Err(Failure::Malformed(Malformed(
                        "bytes follow the reply that no request asked for",
                    )));
                }
                self.buffer.clear();
                return Ok(Exchange { reply, received_bytes });
            }
            self.buffer.drain(..taken);
        }
    }

    /// Appends to the buffer; 0 at the end of the stream.
    async fn receive(&mut self) -> io::Result<usize> {
        let buffer = std::mem::take(self.buffer);
        let (begin, end) = (buffer.len(), buffer.capacity());
        let (received, slice) = self.reader.read(buffer.slice_mut(begin..end)).await;
        *self.buffer = slice.into_inner();
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(reusable: bool) -> Exchange {
        Exchange { reply: Reply { status: 413, body_bytes: 0, reusable }, received_bytes: 1 }
    }

    #[test]
    fn an_early_reply_counts_and_ends_the_connection() {
        for sent in [None, Some(Err(io::ErrorKind::BrokenPipe.into()))] {
            assert!(!settle(sent, Ok(exchange(true))).unwrap().reply.reusable);
        }
        assert!(settle(Some(Ok(())), Ok(exchange(true))).unwrap().reply.reusable);
    }

    #[test]
    fn without_a_reply_the_first_cause_is_told() {
        let broken = Some(Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(settle(broken, Err(Failure::ClosedEarly)), Err(Failure::Reset(_))));
        assert!(matches!(settle(Some(Ok(())), Err(Failure::ClosedEarly)), Err(Failure::ClosedEarly)));
    }
}
