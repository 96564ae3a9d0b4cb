//! A transport as tokio's traits want it, for protocol libraries that poll: HTTP/2 stands on it.
//!
//! Nothing is ever dropped while the kernel has it. Reading waits for readiness, without a buffer, and takes
//! the bytes with a call that doesn't wait; a write in flight is kept here and polled again until it is done.
//! Bounds: what is given to write and not yet sent is below `UNSENT_BYTES_MAX` and one write more, for each of
//! the batch that is on its way and the one behind it. Reading pauses after [`TURN_BYTES_MAX`], so that a fast
//! peer doesn't keep the shard from its other connections.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Transport;

/// More isn't taken before the batch that is on its way has been sent.
const UNSENT_BYTES_MAX: usize = 64 * 1024;
/// Read in one turn of the connection's task.
const TURN_BYTES_MAX: usize = 128 * 1024;
/// A larger buffer isn't kept for the next batch.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Sees all bytes of a connection.
pub trait Observer {
    fn received(&mut self, bytes: &[u8]);
    fn sent(&mut self, bytes: &[u8]);
}

/// Sees nothing.
impl Observer for () {
    fn received(&mut self, _: &[u8]) {}
    fn sent(&mut self, _: &[u8]) {}
}

/// Where bytes are received into before they are given on: one for all connections of a shard, since nobody
/// waits while it is in use.
pub type Scratch = Rc<RefCell<Vec<u8>>>;

/// A scratch of the size that one read takes at most.
#[must_use]
pub fn scratch() -> Scratch {
    Rc::new(RefCell::new(Vec::with_capacity(16 * 1024)))
}

/// What the protocol library reads from and writes to.
///
/// `poll_flush` is ready at once: what was written goes out when the connection's task calls
/// [`Turn::finish`], in one piece.
pub struct PollTransport<O> {
    shared: Rc<Shared<O>>,
}

/// The connection's task's hold on the same transport.
pub struct Turn<O> {
    shared: Rc<Shared<O>>,
}

struct Shared<O> {
    transport: Rc<Transport>,
    scratch: Scratch,
    observer: RefCell<O>,
    /// Bytes that had been read before.
    ahead: RefCell<Vec<u8>>,
    readiness: RefCell<Readiness>,
    turn_bytes: Cell<usize>,
    outgoing: Rc<Outgoing>,
    writer: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<O> std::fmt::Debug for PollTransport<O> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PollTransport").finish_non_exhaustive()
    }
}

impl<O> std::fmt::Debug for Turn<O> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// `ahead` is what has already been read from the transport.
pub fn poll_transport<O: Observer>(
    transport: Rc<Transport>,
    scratch: Scratch,
    mut observer: O,
    ahead: Vec<u8>,
) -> (PollTransport<O>, Turn<O>) {
    observer.received(&ahead);
    let outgoing = Rc::<Outgoing>::default();
    let shared = Rc::new(Shared {
        readiness: RefCell::new(Readiness::new(Rc::clone(&transport))),
        writer: RefCell::new(Box::pin(write(Rc::clone(&transport), Rc::clone(&outgoing)))),
        transport,
        scratch,
        observer: RefCell::new(observer),
        ahead: RefCell::new(ahead),
        turn_bytes: Cell::new(0),
        outgoing,
    });
    (PollTransport { shared: Rc::clone(&shared) }, Turn { shared })
}

impl<O: Observer> Turn<O> {
    /// Sends what was written in this turn, unless a batch is on its way; to be called at the end of each turn of
    /// the connection's task, which is woken when the batch is sent.
    pub fn finish(&self, context: &mut Context<'_>) {
        self.shared.turn_bytes.set(0);
        self.shared.drive(context);
    }

    /// How many batches have been sent, and whether one is on its way: a peer that takes nothing leaves both
    /// as they are.
    #[must_use]
    pub fn progress(&self) -> (u64, bool) {
        let outgoing = &self.shared.outgoing;
        (outgoing.batches.get(), outgoing.in_flight.get() || !outgoing.next.borrow().is_empty())
    }

    /// Looks at the observer.
    pub fn observed<T>(&self, look: impl FnOnce(&mut O) -> T) -> T {
        look(&mut self.shared.observer.borrow_mut())
    }
}

impl<O: Observer> Shared<O> {
    fn drive(&self, context: &mut Context<'_>) {
        if self.outgoing.failed.get().is_none() {
            // The writer only ends by failing.
            let _ = self.writer.borrow_mut().as_mut().poll(context);
        }
    }

    fn poll_read(&self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.take_ahead(into) {
            return Poll::Ready(Ok(()));
        }
        if self.turn_bytes.get() >= TURN_BYTES_MAX {
            self.turn_bytes.set(0);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            ready!(self.readiness.borrow_mut().poll(context))?;
            let mut scratch = self.scratch.borrow_mut();
            scratch.clear();
            let Some(count) = self.transport.recv_at_once(&mut scratch, into.remaining())? else {
                self.readiness.borrow_mut().want();
                continue;
            };
            if count < into.remaining().min(scratch.capacity()) {
                // Nothing more is there, as a rule: waiting is cheaper than asking.
                self.readiness.borrow_mut().want();
            }
            self.turn_bytes.set(self.turn_bytes.get() + count);
            self.observer.borrow_mut().received(&scratch[..count]);
            into.put_slice(&scratch[..count]);
            return Poll::Ready(Ok(()));
        }
    }

    fn take_ahead(&self, into: &mut ReadBuf<'_>) -> bool {
        let mut ahead = self.ahead.borrow_mut();
        if ahead.is_empty() {
            return false;
        }
        let count = ahead.len().min(into.remaining());
        into.put_slice(&ahead[..count]);
        ahead.drain(..count);
        if ahead.is_empty() {
            *ahead = Vec::new();
        }
        true
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outgoing = &self.outgoing;
        if outgoing.next.borrow().len() >= UNSENT_BYTES_MAX {
            self.drive(context);
        }
        if let Some(kind) = outgoing.failed.get() {
            return Poll::Ready(Err(kind.into()));
        }
        let mut next = outgoing.next.borrow_mut();
        if next.len() >= UNSENT_BYTES_MAX {
            return Poll::Pending;
        }
        let count = bytes.len().min(UNSENT_BYTES_MAX);
        next.extend_from_slice(&bytes[..count]);
        self.observer.borrow_mut().sent(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drive(context);
        if let Some(kind) = self.outgoing.failed.get() {
            return Poll::Ready(Err(kind.into()));
        }
        if self.outgoing.in_flight.get() || !self.outgoing.next.borrow().is_empty() {
            return Poll::Pending;
        }
        self.transport.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

impl<O: Observer> AsyncRead for PollTransport<O> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.poll_read(context, into)
    }
}

impl<O: Observer> AsyncWrite for PollTransport<O> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shared.outgoing.failed.get().map_or(Ok(()), |kind| Err(kind.into())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_shutdown(context)
    }
}

/// Waits for bytes again and again, with one allocation a connection.
struct Readiness {
    wanted: Rc<Cell<bool>>,
    waiting: Pin<Box<dyn Future<Output = io::Error>>>,
    broken: Option<io::ErrorKind>,
}

impl Readiness {
    fn new(transport: Rc<Transport>) -> Self {
        let wanted = Rc::new(Cell::new(true));
        let waiting = Box::pin(wait(transport, Rc::clone(&wanted)));
        Self { wanted, waiting, broken: None }
    }

    /// The next read has to wait.
    fn want(&self) {
        self.wanted.set(true);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(kind) = self.broken {
            return Poll::Ready(Err(kind.into()));
        }
        if self.wanted.get()
            && let Poll::Ready(error) = self.waiting.as_mut().poll(context)
        {
            self.broken = Some(error.kind());
            return Poll::Ready(Err(error));
        }
        if self.wanted.get() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

/// Ends with what broke the socket.
async fn wait(transport: Rc<Transport>, wanted: Rc<Cell<bool>>) -> io::Error {
    loop {
        poll_fn(|_| if wanted.get() { Poll::Ready(()) } else { Poll::Pending }).await;
        if let Err(error) = transport.readable().await {
            return error;
        }
        wanted.set(false);
    }
}

#[derive(Debug, Default)]
struct Outgoing {
    /// Behind the batch that is on its way.
    next: RefCell<Vec<u8>>,
    in_flight: Cell<bool>,
    batches: Cell<u64>,
    failed: Cell<Option<io::ErrorKind>>,
}

async fn write(transport: Rc<Transport>, outgoing: Rc<Outgoing>) {
    let mut batch = Vec::new();
    loop {
        poll_fn(|_| if outgoing.next.borrow().is_empty() { Poll::Pending } else { Poll::Ready(()) }).await;
        std::mem::swap(&mut batch, &mut outgoing.next.borrow_mut());
        outgoing.in_flight.set(true);
        let (sent, returned) = transport.send(batch, 0).await;
        batch = returned;
        batch.clear();
        if batch.capacity() > KEPT_BYTES_MAX {
            batch = Vec::new();
        }
        outgoing.in_flight.set(false);
        outgoing.batches.set(outgoing.batches.get() + 1);
        if let Err(error) = sent {
            outgoing.failed.set(Some(error.kind()));
            return;
        }
    }
}
