//! A shard's access log lines, gathered until they are worth a message to the thread that writes them.

use std::cell::{Cell, RefCell};

use turnpike_rt::Clock;

use crate::access_log_format::{AccessRecord, ClfTimes};
use crate::housekeeper::access_log::{AccessLogQueue, LogChunk, SinkId};
use crate::shard::Shard;
use crate::table::StageLog;

/// Most lines fit in what a chunk has left when it is sent: growing it then would copy all of it. Arbitrary.
const LINE_ROOM_PARTS: usize = 16;

#[derive(Debug)]
pub(crate) struct LogLines {
    queue: AccessLogQueue,
    /// A chunk that has grown to this is sent.
    full_bytes: usize,
    /// One chunk for each sink that had lines since the last flush.
    chunks: RefCell<Vec<LogChunk>>,
    flushed_ms: Cell<u64>,
    times: ClfTimes,
    /// When the shard's clock was at 0, as of the last tick: requests need no clock of their own.
    clock_began_unix_ms: Cell<u64>,
}

impl LogLines {
    pub(crate) fn new(queue: AccessLogQueue, clock: &Clock) -> Self {
        let chunk_bytes = queue.chunk_bytes();
        Self {
            queue,
            full_bytes: chunk_bytes - chunk_bytes / LINE_ROOM_PARTS,
            chunks: RefCell::default(),
            flushed_ms: Cell::new(0),
            times: ClfTimes::default(),
            clock_began_unix_ms: Cell::new(began_unix_ms(clock)),
        }
    }

    /// What the calendar said when the shard's clock was there.
    pub(crate) fn unix_ms(&self, clock_us: u64) -> u64 {
        self.clock_began_unix_ms.get() + clock_us / 1_000
    }

    pub(crate) fn append(&self, shard: &Shard, log: &StageLog, record: &AccessRecord<'_>) {
        let mut chunks = self.chunks.borrow_mut();
        let index = self.position(&mut chunks, log.sink);
        let chunk = &mut chunks[index];
        log.format.render(record, &self.times, &mut chunk.bytes);
        chunk.lines += 1;
        shard.stats.borrow_mut().counters.access_log_lines_total += 1;
        if chunk.bytes.len() >= self.full_bytes {
            let full = chunks.swap_remove(index);
            self.offer(shard, full);
        }
    }

    /// Lines wait on the shard for half of `access_log_flush_ms` at most, and a tick.
    pub(crate) fn tick(&self, shard: &Shard, now_ms: u64) {
        self.clock_began_unix_ms.set(began_unix_ms(&shard.clock));
        if now_ms - self.flushed_ms.get() >= shard.settings.access_log_flush_ms / 2 {
            self.flushed_ms.set(now_ms);
            self.flush(shard);
        }
    }

    /// Sends what is there.
    pub(crate) fn flush(&self, shard: &Shard) {
        for chunk in self.chunks.borrow_mut().drain(..) {
            let chunk = self.queue.fitted(chunk);
            self.offer(shard, chunk);
        }
    }

    fn offer(&self, shard: &Shard, chunk: LogChunk) {
        if let Err(dropped) = self.queue.offer(chunk) {
            shard.stats.borrow_mut().counters.access_log_lines_dropped_total += u64::from(dropped.lines);
        }
    }

    fn position(&self, chunks: &mut Vec<LogChunk>, sink: SinkId) -> usize {
        if let Some(index) = chunks.iter().position(|chunk| chunk.sink == sink) {
            return index;
        }
        chunks.push(LogChunk { sink, bytes: self.queue.buffer(), lines: 0 });
        chunks.len() - 1
    }
}

fn began_unix_ms(clock: &Clock) -> u64 {
    Clock::unix_ms().saturating_sub(clock.now_us() / 1_000)
}
