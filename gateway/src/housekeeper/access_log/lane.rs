//! A queue of chunks and the thread that empties it.
//!
//! Waking a thread costs a shard more than rendering a line does, above all where both run on one core. So the thread
//! rests between two rounds, for half of `access_log_flush_ms`: meanwhile chunks are queued without waking it, unless a
//! good part of the queue has filled up. After a round it writes all that has come.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use tokio::sync::oneshot;

use super::spares::Spares;
use super::{AccessLogError, Dropped, LogChunk, SinkId};
use crate::settings::Settings;

/// The part of a queue that ends the thread's rest when it fills up. Arbitrary.
const HURRY_PARTS: usize = 4;

#[derive(Debug)]
pub(super) enum Message {
    Chunk(LogChunk),
    /// Comes before the sink's first chunk.
    Register {
        sink: SinkId,
        path: PathBuf,
    },
    Reopen,
    Finish(oneshot::Sender<()>),
}

/// Where a lane's chunks end up; on the lane's thread.
pub(super) trait Destination: Send + 'static {
    /// Writes the chunk, or counts its lines as lost.
    fn write(&mut self, chunk: &LogChunk);

    fn register(&mut self, sink: SinkId, path: PathBuf);

    /// Begins anew with the next line, where that can be done.
    fn reopen(&mut self);

    /// Comes every `access_log_reopen_check_ms`.
    fn check(&mut self);
}

/// The shards' side, and the housekeeper's; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    sender: Sender<Message>,
    thread: Thread,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
}

impl Lane {
    pub(super) fn start(
        name: &str,
        settings: &Settings,
        spares: Arc<Spares>,
        destination: impl Destination,
    ) -> Result<Self, AccessLogError> {
        let (sender, messages) = channel::unbounded();
        let queued_bytes = Arc::<AtomicUsize>::default();
        let mut writer = Writer {
            destination,
            messages,
            queued_bytes: Arc::clone(&queued_bytes),
            spares,
            rest: Duration::from_millis(settings.access_log_flush_ms / 2),
            check_every: Duration::from_millis(settings.access_log_reopen_check_ms),
        };
        let run = move || {
            let finished = writer.run();
            writer.end(finished);
        };
        let started = thread::Builder::new().name(name.into()).spawn(run).map_err(AccessLogError::Thread)?;
        let thread = started.thread().clone();
        Ok(Self { sender, thread, queued_bytes, queue_bytes_max: settings.access_log_queue_bytes_max })
    }

    /// Never blocks.
    pub(super) fn offer(&self, chunk: LogChunk) -> Result<(), Dropped> {
        let (lines, cost_bytes) = (chunk.lines, cost_bytes(&chunk));
        let before_bytes = self.queued_bytes.fetch_add(cost_bytes, Ordering::AcqRel);
        let queued_bytes = before_bytes + cost_bytes;
        if queued_bytes > self.queue_bytes_max || self.sender.send(Message::Chunk(chunk)).is_err() {
            self.queued_bytes.fetch_sub(cost_bytes, Ordering::AcqRel);
            return Err(Dropped { lines });
        }
        let hurry_bytes = self.queue_bytes_max / HURRY_PARTS;
        if (before_bytes..queued_bytes).contains(&hurry_bytes) {
            self.thread.unpark();
        }
        Ok(())
    }

    /// What the housekeeper says is rare, and isn't counted against the queue's bytes; it is heard at once.
    pub(super) fn tell(&self, message: Message) {
        // Fails only once the thread has ended, when there is nothing left to tell.
        self.sender.send(message).ok();
        self.thread.unpark();
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Acquire)
    }
}

/// A queued chunk's memory: its buffer and its place in the queue.
fn cost_bytes(chunk: &LogChunk) -> usize {
    chunk.bytes.capacity() + size_of::<Message>()
}

/// The thread's side.
struct Writer<D> {
    destination: D,
    messages: Receiver<Message>,
    queued_bytes: Arc<AtomicUsize>,
    spares: Arc<Spares>,
    rest: Duration,
    check_every: Duration,
}

impl<D: Destination> Writer<D> {
    /// Returns whom to tell that all is written, unless all handles are gone.
    fn run(&mut self) -> Option<oneshot::Sender<()>> {
        let mut check_due = now() + self.check_every;
        loop {
            match self.next(check_due) {
                Ok(Message::Chunk(chunk)) => self.write(chunk),
                Ok(Message::Register { sink, path }) => self.destination.register(sink, path),
                Ok(Message::Reopen) => self.destination.reopen(),
                Ok(Message::Finish(done)) => return Some(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            let now = now();
            if now >= check_due {
                self.destination.check();
                check_due = now + self.check_every;
            }
        }
    }

    /// Once nothing is left, rests before it waits: a wait is what a shard has to end.
    fn next(&self, check_due: Instant) -> Result<Message, RecvTimeoutError> {
        match self.messages.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                thread::park_timeout(self.rest);
                self.messages.recv_deadline(check_due)
            }
        }
    }

    fn write(&mut self, chunk: LogChunk) {
        let cost_bytes = cost_bytes(&chunk);
        self.destination.write(&chunk);
        self.spares.give(chunk.bytes);
        self.queued_bytes.fetch_sub(cost_bytes, Ordering::AcqRel);
    }

    /// Closes the queue, so that later lines are refused and counted, and then says that all is written.
    fn end(self, finished: Option<oneshot::Sender<()>>) {
        drop(self.messages);
        if let Some(done) = finished {
            // Nobody listens any more once the drain's time is over.
            done.send(()).ok();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the writing threads have no shard's clock")]
fn now() -> Instant {
    Instant::now()
}
