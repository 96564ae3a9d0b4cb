//! The files behind the access log's sinks: opened with their first line, reopened when moved, closed
//! in turn when too many are open.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lane::Destination;
use super::{AccessLogFigures, LogChunk, SinkId};

/// What the writing threads count.
#[derive(Debug, Default)]
pub(super) struct Progress {
    written_lines: AtomicU64,
    unwritten_lines: AtomicU64,
    errors: AtomicU64,
}

impl Progress {
    /// All but what is queued.
    pub(super) fn figures(&self) -> AccessLogFigures {
        AccessLogFigures {
            queued_bytes: 0,
            written_lines_total: self.written_lines.load(Ordering::Relaxed),
            unwritten_lines_total: self.unwritten_lines.load(Ordering::Relaxed),
            errors_total: self.errors.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug)]
pub(super) struct Files {
    sinks: HashMap<SinkId, Sink>,
    open_count: usize,
    open_max: usize,
    /// Grows with each chunk; says which file was used longest ago.
    turn: u64,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: Option<OpenFile>,
    used: u64,
    health: Health,
}

#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
}

impl Files {
    pub(super) fn new(open_max: usize, progress: Arc<Progress>) -> Self {
        Self { sinks: HashMap::new(), open_count: 0, open_max, turn: 0, progress }
    }

    /// Closes the file that was used longest ago if `wanted` has to be opened and all places are taken.
    fn make_room(&mut self, wanted: SinkId) {
        let is_open = self.sinks.get(&wanted).is_some_and(|sink| sink.file.is_some());
        if is_open || self.open_count < self.open_max {
            return;
        }
        let open = self.sinks.values_mut().filter(|sink| sink.file.is_some());
        if let Some(oldest) = open.min_by_key(|sink| sink.used) {
            oldest.close(&mut self.open_count);
        }
    }
}

impl Destination for Files {
    fn register(&mut self, sink: SinkId, path: PathBuf) {
        let health = Health::named(path.display().to_string());
        self.sinks.insert(sink, Sink { path, file: None, used: 0, health });
    }

    fn write(&mut self, chunk: &LogChunk) {
        self.make_room(chunk.sink);
        self.turn += 1;
        let Some(sink) = self.sinks.get_mut(&chunk.sink) else {
            unreachable!("a sink is registered before its id is given out, over the same queue");
        };
        sink.used = self.turn;
        if sink.file.is_none() {
            match open(&sink.path) {
                Ok(file) => {
                    self.open_count += 1;
                    sink.file = Some(file);
                }
                Err(error) => return sink.health.lose(u64::from(chunk.lines), &error, &self.progress),
            }
        }
        if let Some(open) = &mut sink.file {
            sink.health.write(&mut open.file, chunk, &self.progress);
        }
    }

    fn reopen(&mut self) {
        for sink in self.sinks.values_mut() {
            sink.close(&mut self.open_count);
        }
    }

    /// Closes the files that are no longer at their path; their next line opens a new one.
    fn check(&mut self) {
        for sink in self.sinks.values_mut() {
            if sink.file.as_ref().is_some_and(|open| !open.is_at(&sink.path)) {
                sink.close(&mut self.open_count);
            }
        }
    }
}

impl Sink {
    fn close(&mut self, open_count: &mut usize) {
        if self.file.take().is_some() {
            *open_count -= 1;
        }
    }
}

impl OpenFile {
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }
}

/// Opens for appending; makes the file, and its directory, when absent.
pub(super) fn open(path: &Path) -> io::Result<OpenFile> {
    let append = || OpenOptions::new().append(true).create(true).open(path);
    let file = match append() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            append()?
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    Ok(OpenFile { file, identity: (found.dev(), found.ino()) })
}

/// How writing to one sink goes.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    /// Lines lost since writing began to fail.
    failing: Option<u64>,
    /// The last write ended within a line.
    torn: bool,
}

impl Health {
    /// `name` is how messages call the sink.
    pub(super) fn named(name: String) -> Self {
        Self { name, failing: None, torn: false }
    }

    /// Writes the chunk as far as `out` takes it; the rest is counted as lost.
    pub(super) fn write(&mut self, out: &mut impl Write, chunk: &LogChunk, progress: &Progress) {
        if self.torn {
            match write_as_far_as_possible(out, b"\n") {
                (_, Ok(())) => self.torn = false,
                (_, Err(error)) => return self.lose(u64::from(chunk.lines), &error, progress),
            }
        }
        let (written_bytes, result) = write_as_far_as_possible(out, &chunk.bytes);
        let written = &chunk.bytes[..written_bytes];
        let written_lines = match &result {
            Ok(()) => u64::from(chunk.lines),
            Err(_) => written.iter().filter(|byte| **byte == b'\n').count() as u64,
        };
        progress.written_lines.fetch_add(written_lines, Ordering::Relaxed);
        match result {
            Ok(()) => self.recover(),
            Err(error) => {
                self.torn = written.last().is_some_and(|last| *last != b'\n');
                self.lose(u64::from(chunk.lines).saturating_sub(written_lines), &error, progress);
            }
        }
    }

    /// Counts what is lost, and says so when it begins.
    fn lose(&mut self, lines: u64, error: &io::Error, progress: &Progress) {
        progress.unwritten_lines.fetch_add(lines, Ordering::Relaxed);
        progress.errors.fetch_add(1, Ordering::Relaxed);
        match &mut self.failing {
            Some(lost) => *lost += lines,
            None => {
                self.failing = Some(lines);
                report!(
                    "turnpike-gateway: access log {}: {error}; lines are lost, and counted, until it can be written \
                     again",
                    self.name
                );
            }
        }
    }

    fn recover(&mut self) {
        if let Some(lost) = self.failing.take() {
            report!("turnpike-gateway: access log {}: written again; {lost} lines were lost", self.name);
        }
    }
}

/// Bytes written, and what ended it early.
fn write_as_far_as_possible(out: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, out.flush())
}
