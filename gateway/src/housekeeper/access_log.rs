//! Writes access logs, off the shards: shards offer chunks of rendered lines, two threads write them.
//!
//! A shard never waits: a queue holds at most `queue_bytes_max`, and a chunk that finds it full is
//! given up and counted. Standard output has a queue and a thread of its own, so that a pipe nobody
//! reads can't hold up the files. What a full disk loses is counted and said once, and once more when
//! writing works again.

mod files;
mod whole_lines;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use tokio::time::timeout;
use turnpike_snapshot::{SemanticError, check_log_group, escaped_log_group};

use crate::settings::{LogDestination, Settings};
use files::{Files, Health, Progress};
use whole_lines::WholeLines;

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SinkId(u32);

impl SinkId {
    const STDOUT: Self = Self(0);
}

/// Rendered lines for one sink, each ending in a line feed.
#[derive(Debug)]
pub(crate) struct LogChunk {
    pub(crate) sink: SinkId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u32,
}

/// The queue had no room, or writing has ended: so many lines are lost, for the shard to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) lines: u32,
}

/// What has been written and lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AccessLogFigures {
    pub(crate) queued_bytes: u64,
    pub(crate) written_lines_total: u64,
    /// Taken from a queue, but not written: a full disk, a closed pipe, a directory that may not be written.
    pub(crate) unwritten_lines_total: u64,
    /// Failed opens and writes.
    pub(crate) errors_total: u64,
}

/// Why access logs can't be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessLogError {
    #[error(
        "access_log: cannot open {path} for appending: {error}; name a file in a directory that this user may write",
        path = path.display()
    )]
    Open { path: PathBuf, error: std::io::Error },
    #[error("cannot start the thread that writes access logs: {0}; raise the limit on threads")]
    Thread(std::io::Error),
    #[error(transparent)]
    Group(#[from] SemanticError),
}

/// Lines were still queued when the time to write them was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("access logs: {queued_bytes} bytes of lines couldn't be written before the drain's end")]
pub(crate) struct Unwritten {
    pub(crate) queued_bytes: u64,
}

/// The housekeeper's side: knows the sinks, owns the threads.
#[derive(Debug)]
pub(crate) struct AccessLog {
    queue: AccessLogQueue,
    main: Option<SinkId>,
    sinks: HashMap<PathBuf, SinkId>,
    group_dir: PathBuf,
}

/// A shard's side: one handle per shard, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AccessLogQueue {
    stdout: Option<Lane>,
    files: Lane,
    progress: Arc<Progress>,
}

/// A queue and the thread behind it.
#[derive(Debug, Clone)]
struct Lane {
    sender: Sender<Message>,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
}

#[derive(Debug)]
enum Message {
    Chunk(LogChunk),
    /// Comes before the sink's first chunk.
    Register {
        sink: SinkId,
        path: PathBuf,
    },
    Reopen,
    Finish(oneshot::Sender<()>),
}

impl AccessLog {
    /// Opens the log that the settings name, and starts the threads.
    ///
    /// # Errors
    /// The file can't be opened, or a thread can't be started.
    pub(crate) fn start(settings: &Settings) -> Result<Self, AccessLogError> {
        Self::start_with(settings, Box::new(WholeLines(std::io::stdout())))
    }

    fn start_with(settings: &Settings, stdout: Box<dyn Write + Send>) -> Result<Self, AccessLogError> {
        let progress = Arc::new(Progress::default());
        let to_stdout = settings.access_log == Some(LogDestination::Stdout);
        let queue = AccessLogQueue {
            stdout: if to_stdout { Some(start_stdout(settings, &progress, stdout)?) } else { None },
            files: start_files(settings, &progress)?,
            progress,
        };
        let mut log =
            Self { queue, main: None, sinks: HashMap::new(), group_dir: settings.access_log_dir.clone() };
        log.main = match &settings.access_log {
            None => None,
            Some(LogDestination::Stdout) => Some(SinkId::STDOUT),
            Some(LogDestination::File(path)) => {
                // Found out now rather than with the first request.
                files::open(path).map_err(|error| AccessLogError::Open { path: path.clone(), error })?;
                Some(log.register(path.clone()))
            }
        };
        Ok(log)
    }

    /// A handle for a shard.
    pub(crate) fn queue(&self) -> AccessLogQueue {
        self.queue.clone()
    }

    /// The sink of the gateway's own log, if it has one.
    pub(crate) fn main_sink(&self) -> Option<SinkId> {
        self.main
    }

    /// The sink of a stage's log group: a file of that name, with `.log` and `%2F` for `/`, in `access_log_dir`.
    ///
    /// # Errors
    /// The name isn't a log group's, or too long for a file.
    pub(crate) fn group_sink(&mut self, group: &str) -> Result<SinkId, AccessLogError> {
        let path = self.group_dir.join(group_file(group)?);
        Ok(self.register(path))
    }

    /// Opens all files anew before their next line: for log rotation, on SIGHUP.
    pub(crate) fn reopen(&self) {
        self.queue.files.tell(Message::Reopen);
    }

    /// Writes what is queued and ends the threads. The shards' last chunks must have been offered before.
    ///
    /// # Errors
    /// Lines are left when `time` is over; their thread goes on until the process ends.
    pub(crate) async fn finish(self, time: Duration) -> Result<(), Unwritten> {
        let mut finishing = Vec::new();
        for lane in self.queue.lanes() {
            let (done, finished) = oneshot::channel();
            lane.tell(Message::Finish(done));
            finishing.push(finished);
        }
        let all_finished = async {
            for finished in finishing {
                // An error means that the thread is gone, and so is what it would have written.
                finished.await.ok();
            }
        };
        timeout(time, all_finished).await.ok();
        match self.queue.figures().queued_bytes {
            0 => Ok(()),
            queued_bytes => Err(Unwritten { queued_bytes }),
        }
    }

    fn register(&mut self, path: PathBuf) -> SinkId {
        if let Some(sink) = self.sinks.get(&path) {
            return *sink;
        }
        let number = u32::try_from(self.sinks.len() + 1).expect("fewer log files than 2^32");
        let sink = SinkId(number);
        self.queue.files.tell(Message::Register { sink, path: path.clone() });
        self.sinks.insert(path, sink);
        sink
    }
}

impl AccessLogQueue {
    /// Never blocks.
    ///
    /// # Errors
    /// The lines are given up: the queue has no room for them.
    pub(crate) fn offer(&self, chunk: LogChunk) -> Result<(), Dropped> {
        let lane = match (&self.stdout, chunk.sink) {
            (Some(stdout), SinkId::STDOUT) => stdout,
            _ => &self.files,
        };
        lane.offer(chunk)
    }

    pub(crate) fn figures(&self) -> AccessLogFigures {
        let queued_bytes: usize = self.lanes().map(|lane| lane.queued_bytes.load(Ordering::Acquire)).sum();
        AccessLogFigures { queued_bytes: queued_bytes as u64, ..self.progress.figures() }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.stdout.iter().chain([&self.files])
    }
}

impl Lane {
    fn offer(&self, chunk: LogChunk) -> Result<(), Dropped> {
        let (lines, cost_bytes) = (chunk.lines, cost_bytes(&chunk));
        let queued_bytes = self.queued_bytes.fetch_add(cost_bytes, Ordering::AcqRel) + cost_bytes;
        if queued_bytes <= self.queue_bytes_max && self.sender.send(Message::Chunk(chunk)).is_ok() {
            return Ok(());
        }
        self.queued_bytes.fetch_sub(cost_bytes, Ordering::AcqRel);
        Err(Dropped { lines })
    }

    /// What the housekeeper says is rare, and isn't counted against the queue's bytes.
    fn tell(&self, message: Message) {
        // Fails only once the thread has ended, when there is nothing left to tell.
        self.sender.send(message).ok();
    }
}

fn group_file(group: &str) -> Result<String, AccessLogError> {
    check_log_group(group)?;
    Ok(escaped_log_group(group) + ".log")
}

/// A queued chunk's memory: its lines and its place in the queue.
fn cost_bytes(chunk: &LogChunk) -> usize {
    chunk.bytes.len() + size_of::<Message>()
}

fn lane(settings: &Settings) -> (Lane, Receiver<Message>) {
    let (sender, receiver) = channel::unbounded();
    let queue_bytes_max = settings.access_log_queue_bytes_max;
    (Lane { sender, queued_bytes: Arc::default(), queue_bytes_max }, receiver)
}

fn start_stdout(
    settings: &Settings,
    progress: &Arc<Progress>,
    mut stdout: Box<dyn Write + Send>,
) -> Result<Lane, AccessLogError> {
    let (lane, messages) = lane(settings);
    let (queued_bytes, progress) = (lane.queued_bytes.clone(), progress.clone());
    spawn("log-stdout", move || {
        let finished = write_stdout(&mut stdout, &messages, &queued_bytes, &progress);
        end(messages, finished);
    })?;
    Ok(lane)
}

fn start_files(settings: &Settings, progress: &Arc<Progress>) -> Result<Lane, AccessLogError> {
    let (lane, messages) = lane(settings);
    let queued_bytes = lane.queued_bytes.clone();
    let check_every = Duration::from_millis(settings.access_log_reopen_check_ms);
    let files = Files::new(settings.access_log_files_max, progress.clone());
    spawn("log-files", move || {
        let finished = write_files(files, &messages, &queued_bytes, check_every);
        end(messages, finished);
    })?;
    Ok(lane)
}

/// The thread behind standard output. Returns whom to tell that all is written, unless all handles are gone.
fn write_stdout(
    stdout: &mut impl Write,
    messages: &Receiver<Message>,
    queued_bytes: &AtomicUsize,
    progress: &Progress,
) -> Option<oneshot::Sender<()>> {
    let mut health = Health::named("standard output".to_owned());
    for message in messages {
        match message {
            Message::Chunk(chunk) => {
                health.write(stdout, &chunk, progress);
                queued_bytes.fetch_sub(cost_bytes(&chunk), Ordering::AcqRel);
            }
            Message::Finish(done) => return Some(done),
            Message::Register { .. } | Message::Reopen => {}
        }
    }
    None
}

/// The thread behind the files; returns as [`write_stdout`] does.
fn write_files(
    mut files: Files,
    messages: &Receiver<Message>,
    queued_bytes: &AtomicUsize,
    check_every: Duration,
) -> Option<oneshot::Sender<()>> {
    let mut check_due = files::now() + check_every;
    loop {
        match messages.recv_deadline(check_due) {
            Ok(Message::Chunk(chunk)) => {
                files.write(&chunk);
                queued_bytes.fetch_sub(cost_bytes(&chunk), Ordering::AcqRel);
            }
            Ok(Message::Register { sink, path }) => files.register(sink, path),
            Ok(Message::Reopen) => files.close_all(),
            Ok(Message::Finish(done)) => return Some(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        let now = files::now();
        if now >= check_due {
            files.close_moved();
            check_due = now + check_every;
        }
    }
}

/// Closes the queue, so that later lines are refused and counted, and then says that all is written.
fn end(messages: Receiver<Message>, finished: Option<oneshot::Sender<()>>) {
    drop(messages);
    if let Some(done) = finished {
        // Nobody listens any more once the drain's time is over.
        done.send(()).ok();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), AccessLogError> {
    thread::Builder::new().name(name.into()).spawn(body).map_err(AccessLogError::Thread)?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests;
