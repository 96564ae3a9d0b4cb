//! Standard output as a log's destination: one sink, always open.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{Health, Progress};
use super::lane::Destination;
use super::{LogChunk, SinkId};

pub(super) struct Stdout<W> {
    out: W,
    health: Health,
    progress: Arc<Progress>,
}

impl<W> Stdout<W> {
    pub(super) fn new(out: W, progress: Arc<Progress>) -> Self {
        Self { out, health: Health::named("standard output".to_owned()), progress }
    }
}

impl<W: Write + Send + 'static> Destination for Stdout<W> {
    fn write(&mut self, chunk: &LogChunk) {
        self.health.write(&mut self.out, chunk, &self.progress);
    }

    fn register(&mut self, sink: SinkId, path: PathBuf) {
        unreachable!("{sink:?} is {}: files have a lane of their own", path.display());
    }

    /// There is nothing to open it by.
    fn reopen(&mut self) {}

    fn check(&mut self) {}
}
