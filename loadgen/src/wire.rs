//! One connection, with or without TLS, and one exchange on it at a time.
//!
//! Reads are never abandoned on a connection that goes on being used: with io_uring a dropped read may already
//! have taken bytes, so whoever drops an exchange drops its connection too.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use monoio::buf::IoBufMut;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, CancelableAsyncReadRent, Canceller, OwnedReadHalf,
    OwnedWriteHalf, Splitable,
};
use monoio::net::TcpStream;
use monoio::time::timeout;
use rustix::io::Errno;

use crate::failure::Failure;
use crate::reply::{Malformed, Reply, ReplyReader};
use crate::request::Request;
use crate::source::{Keep, Kept};
use crate::tls::{self, Connector, TlsLink};
use crate::websocket::Upgrade;

/// How long a connection may take to be closed as its protocol wants it.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);

/// A complete exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) received_bytes: u64,
    /// Where the request's source asked for any of it.
    pub(crate) kept: Option<Box<Kept>>,
}

/// Where and how connections are opened.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Connector>,
    /// For ws:// URLs.
    pub(crate) upgrade: Option<Rc<Upgrade>>,
    /// Read buffer of a connection. Pages that no reply reaches stay untouched.
    pub(crate) buffer_bytes: usize,
    /// Of a reply's head.
    pub(crate) head_bytes_max: usize,
}

/// What opening a connection took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) connect: Duration,
    pub(crate) handshake: Option<Handshake>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Handshake {
    pub(crate) took: Duration,
    pub(crate) resumed: bool,
}

/// An open connection between exchanges.
#[derive(Debug)]
pub(crate) struct Wire {
    link: Link,
    /// Empty between exchanges.
    buffer: Vec<u8>,
    pub(crate) head_bytes_max: usize,
    /// Complete exchanges.
    pub(crate) exchanges: u64,
    /// When the last one ended, in nanoseconds since the run began.
    pub(crate) rests_since_ns: u64,
}

#[derive(Debug)]
enum Link {
    Plain { reader: OwnedReadHalf<TcpStream>, writer: OwnedWriteHalf<TcpStream> },
    Tls(Box<TlsLink>),
}

impl Dialer {
    /// An open connection, ready for requests or messages.
    pub(crate) async fn open(&self) -> Result<(Wire, Opening), Failure> {
        let (mut wire, opening) = self.link().await?;
        if let Some(upgrade) = &self.upgrade {
            upgrade.open(&mut wire).await?;
        }
        Ok((wire, opening))
    }

    async fn link(&self) -> Result<(Wire, Opening), Failure> {
        let began = Instant::now();
        let stream = self.connect().await.map_err(Failure::Connect)?;
        let connect = began.elapsed();
        let mut buffer = Vec::with_capacity(self.buffer_bytes);
        let head_bytes_max = self.head_bytes_max;
        let Some(connector) = &self.tls else {
            let (reader, writer) = stream.into_split();
            let wire = Wire {
                link: Link::Plain { reader, writer },
                buffer,
                head_bytes_max,
                exchanges: 0,
                rests_since_ns: 0,
            };
            return Ok((wire, Opening { connect, handshake: None }));
        };
        let link = TlsLink::open(stream, connector, &mut buffer).await.map_err(Failure::Tls)?;
        let handshake = Handshake { took: began.elapsed() - connect, resumed: link.resumed() };
        let wire =
            Wire { link: Link::Tls(Box::new(link)), buffer, head_bytes_max, exchanges: 0, rests_since_ns: 0 };
        Ok((wire, Opening { connect, handshake: Some(handshake) }))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_addr(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Wire {
    /// Sends a request and reads its reply. After an error, or where the reply isn't reusable, the connection is
    /// of no further use.
    pub(crate) async fn exchange(&mut self, request: Request, keep: Keep) -> Result<Exchange, Failure> {
        self.exchanges += 1;
        let (mut sender, receiver) = self.link.split();
        let mut replies = Replies { receiver, buffer: &mut self.buffer, head_bytes_max: self.head_bytes_max };
        let reply = replies.read_one(request.head_method, keep);
        if request.body.is_empty() {
            let sent = sender.send(request.head).await;
            return settle(Some(sent), reply.await);
        }
        // A server may answer before it has read a long body, or need its reply read to go on reading.
        let send = async move {
            sender.send(request.head).await?;
            sender.send(request.body).await
        };
        let (sent, reply) = read_while_sending(send, reply).await;
        settle(sent, reply)
    }

    /// Whether a connection that rested is of no use any more: the server has closed it, or has said what nobody asked for
    /// (some do before they close).
    pub(crate) async fn has_ended(&mut self) -> bool {
        let (_, receiver, buffer) = self.split();
        !matches!(receiver.receive_ready(buffer).await, Ok(None))
    }

    /// The halves for those who read and write at once, and what was read already.
    pub(crate) fn split(&mut self) -> (Sender<'_>, Receiver<'_>, &mut Vec<u8>) {
        let (sender, receiver) = self.link.split();
        (sender, receiver, &mut self.buffer)
    }

    /// Closes a connection that could carry more, as its protocol wants it.
    pub(crate) async fn close(self) {
        if let Link::Tls(mut link) = self.link {
            // The server may have closed in the meantime, which is as good, or take nothing more.
            let _ = timeout(CLOSING, link.end()).await;
        }
    }
}

impl Link {
    fn split(&mut self) -> (Sender<'_>, Receiver<'_>) {
        match self {
            Self::Plain { reader, writer } => (Sender::Plain(writer), Receiver::Plain(reader)),
            Self::Tls(link) => {
                let (sender, receiver) = link.split();
                (Sender::Tls(sender), Receiver::Tls(receiver))
            }
        }
    }
}

pub(crate) enum Sender<'a> {
    Plain(&'a mut OwnedWriteHalf<TcpStream>),
    Tls(tls::Sender<'a>),
}

impl Sender<'_> {
    pub(crate) async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Plain(writer) => write_all(writer, bytes).await,
            Self::Tls(sender) => sender.send(&bytes).await,
        }
    }

    /// Sends all, and gives the buffer back.
    pub(crate) async fn send_owned(&mut self, bytes: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        match self {
            Self::Plain(writer) => {
                let (sent, bytes) = writer.write_all(bytes).await;
                (sent.map(|_| ()), bytes)
            }
            Self::Tls(sender) => (sender.send(&bytes).await, bytes),
        }
    }
}

pub(crate) enum Receiver<'a> {
    Plain(&'a mut OwnedReadHalf<TcpStream>),
    Tls(tls::Receiver<'a>),
}

impl Receiver<'_> {
    /// Appends to the buffer, which has room; 0 at the end of the stream.
    pub(crate) async fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Failure> {
        match self {
            Self::Plain(reader) => read(reader, buffer).await.map_err(Failure::Reset),
            Self::Tls(receiver) => receiver.receive(buffer).await,
        }
    }

    /// The same for what has come already; `None` where nothing has.
    async fn receive_ready(self, buffer: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
        match self {
            Self::Plain(reader) => read_ready(reader, buffer).await.map_err(Failure::Reset),
            Self::Tls(mut receiver) => receiver.receive_ready(buffer).await,
        }
    }
}

/// A reply counts even when the request couldn't be sent whole, but then ends the connection. Where the server has just
/// closed without one, the error of sending says more; a broken or a cut reply is the cause itself.
fn settle(sent: Option<io::Result<()>>, reply: Result<Exchange, Failure>) -> Result<Exchange, Failure> {
    match (sent, reply) {
        (Some(Ok(())), reply) => reply,
        (_, Ok(mut exchange)) => {
            exchange.reply.reusable = false;
            Ok(exchange)
        }
        (Some(Err(error)), Err(Failure::ClosedEarly)) => Err(Failure::Reset(error)),
        (_, Err(failure)) => Err(failure),
    }
}

async fn write_all(writer: &mut OwnedWriteHalf<TcpStream>, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let (written, rest) = writer.write(bytes).await;
        bytes = rest;
        match written? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes.advance(written),
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

async fn read(reader: &mut OwnedReadHalf<TcpStream>, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let free = std::mem::take(buffer);
    let (begin, end) = (free.len(), free.capacity());
    let (received, slice) = reader.read(free.slice_mut(begin..end)).await;
    *buffer = slice.into_inner();
    received
}

/// Appends what has come already; `None` where nothing has. The read is in the ring before what takes it back, so that
/// the kernel looks at the connection first.
pub(crate) async fn read_ready(
    reader: &mut OwnedReadHalf<TcpStream>,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<usize>> {
    let free = std::mem::take(buffer);
    let (begin, end) = (free.len(), free.capacity());
    let canceller = Canceller::new();
    let mut read = pin!(reader.cancelable_read(free.slice_mut(begin..end), canceller.handle()));
    let (received, slice) = match poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await {
        Poll::Ready(done) => done,
        Poll::Pending => {
            canceller.cancel();
            read.await
        }
    };
    *buffer = slice.into_inner();
    match received {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::CANCELED) => Ok(None),
        received => received.map(Some),
    }
}

fn kept_of(reader: ReplyReader, keep: Keep) -> Option<Box<Kept>> {
    keep.any().then(|| Box::new(reader.into_kept()))
}

struct Replies<'a> {
    receiver: Receiver<'a>,
    buffer: &'a mut Vec<u8>,
    head_bytes_max: usize,
}

impl Replies<'_> {
    async fn read_one(&mut self, head_method: bool, keep: Keep) -> Result<Exchange, Failure> {
        let mut reader = ReplyReader::keeping(head_method, keep, self.head_bytes_max);
        let mut received_bytes = 0;
        loop {
            let received = match self.receiver.receive(self.buffer).await {
                // Without a word, which completes nothing.
                Err(Failure::ClosedEarly) => return Err(reader.cut_short()),
                received => received?,
            };
            if received == 0 {
                let reply = reader.close().ok_or_else(|| reader.cut_short())?;
                return Ok(Exchange { reply, received_bytes, kept: kept_of(reader, keep) });
            }
            received_bytes += received as u64;
            let (taken, complete) = reader.read(self.buffer).map_err(Failure::Malformed)?;
            if let Some(reply) = complete {
                if taken < self.buffer.len() {
                    return Err(Failure::Malformed(Malformed(
                        "bytes follow the reply that no request asked for",
                    )));
                }
                self.buffer.clear();
                return Ok(Exchange { reply, received_bytes, kept: kept_of(reader, keep) });
            }
            self.buffer.drain(..taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(reusable: bool) -> Exchange {
        Exchange { reply: Reply { status: 413, body_bytes: 0, reusable }, received_bytes: 1, kept: None }
    }

    #[test]
    fn an_early_reply_counts_and_ends_the_connection() {
        for sent in [None, Some(Err(io::ErrorKind::BrokenPipe.into()))] {
            assert!(!settle(sent, Ok(exchange(true))).unwrap().reply.reusable);
        }
        assert!(settle(Some(Ok(())), Ok(exchange(true))).unwrap().reply.reusable);
    }

    #[test]
    fn without_a_reply_the_cause_that_says_most_is_told() {
        let broken = || Some(Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(settle(broken(), Err(Failure::ClosedEarly)), Err(Failure::Reset(_))));
        assert!(matches!(settle(broken(), Err(Failure::ShortBody)), Err(Failure::ShortBody)));
        let malformed = Failure::Malformed(Malformed("x"));
        assert!(matches!(settle(broken(), Err(malformed)), Err(Failure::Malformed(_))));
        assert!(matches!(settle(Some(Ok(())), Err(Failure::ClosedEarly)), Err(Failure::ClosedEarly)));
    }
}
