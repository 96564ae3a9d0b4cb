//! A shard's access log lines, gathered until they are worth a message to the thread that writes them.

use std::cell::{Cell, RefCell};

use turnpike_rt::Clock;

use crate::access_log_format::{AccessRecord, ClfTimes};
use crate::housekeeper::access_log::{AccessLogQueue, LogChunk, SinkId};
use crate::shard::Shard;
use crate::table::StageLog;

/// A chunk is sent when it has grown to this, and with each tick.
const CHUNK_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct LogLines {
    queue: AccessLogQueue,
    /// One chunk for each sink that had lines since the last tick.
    chunks: RefCell<Vec<LogChunk>>,
    times: ClfTimes,
    /// When the shard's clock was at 0, as of the last tick: requests need no clock of their own.
    clock_began_unix_ms: Cell<u64>,
}

impl LogLines {
    pub(crate) fn new(queue: AccessLogQueue, clock: &Clock) -> Self {
        Self {
            queue,
            chunks: RefCell::default(),
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
        let index = position(&mut chunks, log.sink);
        let chunk = &mut chunks[index];
        log.format.render(record, &self.times, &mut chunk.bytes);
        chunk.lines += 1;
        shard.stats.borrow_mut().counters.access_log_lines_total += 1;
        if chunk.bytes.len() >= CHUNK_BYTES {
            let full = chunks.swap_remove(index);
            self.offer(shard, full);
        }
    }

    pub(crate) fn tick(&self, shard: &Shard) {
        self.clock_began_unix_ms.set(began_unix_ms(&shard.clock));
        self.flush(shard);
    }

    /// Sends what is there.
    pub(crate) fn flush(&self, shard: &Shard) {
        for chunk in self.chunks.borrow_mut().drain(..) {
            self.offer(shard, chunk);
        }
    }

    fn offer(&self, shard: &Shard, chunk: LogChunk) {
        if let Err(dropped) = self.queue.offer(chunk) {
            shard.stats.borrow_mut().counters.access_log_lines_dropped_total += u64::from(dropped.lines);
        }
    }
}

fn position(chunks: &mut Vec<LogChunk>, sink: SinkId) -> usize {
    if let Some(index) = chunks.iter().position(|chunk| chunk.sink == sink) {
        return index;
    }
    chunks.push(LogChunk { sink, bytes: Vec::with_capacity(CHUNK_BYTES), lines: 0 });
    chunks.len() - 1
}

fn began_unix_ms(clock: &Clock) -> u64 {
    Clock::unix_ms().saturating_sub(clock.now_us() / 1_000)
}
