//! Writes access logs, off the shards: shards offer chunks of rendered lines, two threads write them.
//!
//! A shard never waits: a queue holds at most `access_log_queue_bytes_max`, and a chunk that finds it full is
//! given up and counted. Standard output has a queue and a thread of its own, so that a pipe nobody
//! reads can't hold up the files. What a full disk loses is counted and said once, and once more when
//! writing works again.

mod files;
mod lane;
mod spares;
mod stdout;
mod whole_lines;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use turnpike_snapshot::{SemanticError, check_log_group, escaped_log_group};

use crate::settings::{LogDestination, Settings};
use files::{Files, Progress};
use lane::{Lane, Message};
use spares::Spares;
use stdout::Stdout;
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
    spares: Arc<Spares>,
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
        let spares = Arc::new(Spares::within(settings.access_log_queue_bytes_max));
        let to_stdout = settings.access_log == Some(LogDestination::Stdout);
        let stdout = to_stdout.then(|| {
            let out = Stdout::new(stdout, Arc::clone(&progress));
            Lane::start("log-stdout", settings, Arc::clone(&spares), out)
        });
        let files = Files::new(settings.access_log_files_max, Arc::clone(&progress));
        let files = Lane::start("log-files", settings, Arc::clone(&spares), files)?;
        let queue = AccessLogQueue { stdout: stdout.transpose()?, files, progress, spares };
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
    pub(crate) fn finish(&self, time: Duration) -> impl Future<Output = Result<(), Unwritten>> + use<> {
        let mut finishing = Vec::new();
        for lane in self.queue.lanes() {
            let (done, finished) = oneshot::channel();
            lane.tell(Message::Finish(done));
            finishing.push(finished);
        }
        let queue = self.queue.clone();
        async move {
            let all_finished = async {
                for finished in finishing {
                    // An error means that the thread is gone, and so is what it would have written.
                    finished.await.ok();
                }
            };
            timeout(time, all_finished).await.ok();
            match queue.figures().queued_bytes {
                0 => Ok(()),
                queued_bytes => Err(Unwritten { queued_bytes }),
            }
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

    /// What an empty chunk's lines go into.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spares.take()
    }

    /// What `buffer` gives has room for, once it has been used a while.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.spares.buffer_bytes()
    }

    /// The chunk as it is to be queued: where most of its buffer is empty, in one of its own size.
    pub(crate) fn fitted(&self, chunk: LogChunk) -> LogChunk {
        if chunk.bytes.len() > chunk.bytes.capacity() / 2 {
            return chunk;
        }
        let bytes = chunk.bytes.as_slice().to_vec();
        self.spares.give(chunk.bytes);
        LogChunk { bytes, ..chunk }
    }

    pub(crate) fn figures(&self) -> AccessLogFigures {
        let queued_bytes: usize = self.lanes().map(Lane::queued_bytes).sum();
        AccessLogFigures { queued_bytes: queued_bytes as u64, ..self.progress.figures() }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.stdout.iter().chain([&self.files])
    }
}

fn group_file(group: &str) -> Result<String, AccessLogError> {
    check_log_group(group)?;
    Ok(escaped_log_group(group) + ".log")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests;
