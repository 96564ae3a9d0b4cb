//! The connection over which a limiter hands its buckets over, in an upgrade, and over which its process's requests are
//! granted until it has drained. What goes over it, and why no window has more than its bound, is
//! `turnpike_limits::Departing`'s and `Arriving`'s to say.
//!
//! A thread of its own on either side, so that neither limiter waits for the other, nor for a housekeeper that compiles.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::sleep;
use turnpike_limits::{ToPredecessor, ToSuccessor};
use turnpike_rt::Clock;

use self::wire::{Message, decode, encode};
use super::limiter::LimiterLine;

mod wire;

/// Of what is said. Limiters that differ in it don't hand anything over.
pub(crate) const PROTOCOL: u32 = 1;

/// Messages that wait for the connection; a limiter keeps what is more. About 100 bytes each.
pub(super) const MESSAGES_MAX: usize = 4_096;
const BATCH_MESSAGES: usize = 256;
/// How long a limiter's full queue is left alone.
const AGAIN: Duration = Duration::from_millis(1);

/// What the limiter hears of the process before this one, or of the one after it.
#[derive(Debug)]
pub(super) enum FromSuccession {
    Predecessor(ToSuccessor),
    PredecessorGone,
    /// All is handed over from now on.
    Depart(Sender<ToSuccessor>),
    Successor(ToPredecessor),
    SuccessorGone,
}

/// What a limiter that takes over needs.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) stream: UnixStream,
    /// Of the predecessor.
    pub(crate) holders: usize,
    /// About so many will come.
    pub(crate) limits: usize,
    /// Goes on from the predecessor's.
    pub(crate) clock: Clock,
}

/// # Errors
/// The stream can't be used, or the system has no thread left.
pub(super) fn follow_predecessor(
    stream: UnixStream,
    says: Receiver<ToPredecessor>,
    line: LimiterLine,
) -> io::Result<()> {
    let told = |said| FromSuccession::Predecessor(said);
    start(stream, says, Teller { line, told, gone: FromSuccession::PredecessorGone })
}

/// # Errors
/// As [`follow_predecessor`].
pub(super) fn follow_successor(
    stream: UnixStream,
    says: Receiver<ToSuccessor>,
    line: LimiterLine,
) -> io::Result<()> {
    let told = |said| FromSuccession::Successor(said);
    start(stream, says, Teller { line, told, gone: FromSuccession::SuccessorGone })
}

/// Whom what comes is told, and how.
struct Teller<I> {
    line: LimiterLine,
    told: fn(I) -> FromSuccession,
    gone: FromSuccession,
}

fn start<O, I>(stream: UnixStream, says: Receiver<O>, teller: Teller<I>) -> io::Result<()>
where
    O: Message + Send + 'static,
    I: Message + Send + 'static,
{
    stream.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("limits-upgrade".to_owned());
    thread.spawn(move || runtime.block_on(carry(stream, says, teller)))?;
    Ok(())
}

async fn carry<O: Message, I: Message>(stream: UnixStream, says: Receiver<O>, teller: Teller<I>) {
    let ended = match tokio::net::UnixStream::from_std(stream) {
        Ok(stream) => {
            let (read, write) = stream.into_split();
            tokio::select! {
                ended = send(write, says, &teller.line) => ended,
                ended = hear(read, &teller) => ended,
            }
        }
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        report!("turnpike-gateway: throttles aren't handed over any more: {error}");
    }
    tell(&teller.line, teller.gone).await;
    teller.line.attend_outside();
}

async fn send<O: Message>(
    mut stream: OwnedWriteHalf,
    mut says: Receiver<O>,
    line: &LimiterLine,
) -> io::Result<()> {
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_MESSAGES), BytesMut::new());
    while says.recv_many(&mut batch, BATCH_MESSAGES).await > 0 {
        batch.drain(..).for_each(|message| encode(&message, &mut bytes));
        stream.write_all(&bytes).await?;
        bytes.clear();
        // There is room for more.
        line.attend_outside();
    }
    Ok(())
}

async fn hear<I: Message>(mut stream: OwnedReadHalf, teller: &Teller<I>) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    while stream.read_buf(&mut bytes).await? > 0 {
        while let Some(said) = decode(&mut bytes)? {
            tell(&teller.line, (teller.told)(said)).await;
        }
        teller.line.attend_outside();
    }
    Ok(())
}

/// The limiter is told everything, in order: it is never behind for long.
async fn tell(line: &LimiterLine, mut message: FromSuccession) {
    while let Err(unsaid) = line.tell_of_succession(message) {
        message = unsaid;
        line.attend_outside();
        sleep(AGAIN).await;
    }
}
