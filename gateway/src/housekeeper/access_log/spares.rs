//! Buffers that have been written out, on their way back to the shards: a new one for each chunk would have to be grown,
//! and be freed by another thread than the one that allocated it.

use crossbeam::queue::ArrayQueue;

/// What writing many lines at once is worth is had with far fewer. Arbitrary.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Room for a line or two, for sinks that get few.
const NEW_BUFFER_BYTES: usize = 1_024;
/// The parts of a queue's bytes that a buffer may be, and that all spare ones together may be.
const QUEUE_PARTS: usize = 4;

/// At most a quarter of a queue's bytes.
#[derive(Debug)]
pub(super) struct Spares {
    buffers: ArrayQueue<Vec<u8>>,
    buffer_bytes: usize,
}

impl Spares {
    pub(super) fn within(queue_bytes_max: usize) -> Self {
        let spare_bytes_max = queue_bytes_max / QUEUE_PARTS;
        let buffer_bytes = spare_bytes_max.min(BUFFER_BYTES_MAX);
        Self { buffers: ArrayQueue::new(spare_bytes_max / buffer_bytes), buffer_bytes }
    }

    /// A full-grown buffer's.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_else(|| Vec::with_capacity(NEW_BUFFER_BYTES))
    }

    /// Keeps the buffer, if it is full-grown, no larger, and one is missing.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        if (self.buffer_bytes / 2 + 1..=self.buffer_bytes).contains(&buffer.capacity()) {
            buffer.clear();
            // Freed where there are enough.
            self.buffers.push(buffer).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_grown_buffers_come_back_empty_and_in_number_they_are_limited() {
        let spares = Spares::within(1 << 20);
        assert_eq!(spares.buffer_bytes(), BUFFER_BYTES_MAX);
        for bytes in [0, 100, BUFFER_BYTES_MAX / 2, BUFFER_BYTES_MAX * 2] {
            spares.give(Vec::with_capacity(bytes));
            assert_eq!(spares.take().capacity(), NEW_BUFFER_BYTES, "{bytes}");
        }
        for _ in 0..10 {
            let mut used = Vec::with_capacity(BUFFER_BYTES_MAX);
            used.push(b'x');
            spares.give(used);
        }
        let taken: Vec<Vec<u8>> = (0..5).map(|_| spares.take()).collect();
        let bytes: Vec<usize> = taken.iter().map(Vec::capacity).collect();
        assert_eq!(bytes, [[BUFFER_BYTES_MAX; 4].as_slice(), &[NEW_BUFFER_BYTES]].concat());
        assert!(taken.iter().all(Vec::is_empty));
    }

    #[test]
    fn a_small_queue_has_small_buffers() {
        let spares = Spares::within(65_536);
        assert_eq!((spares.buffer_bytes(), spares.buffers.capacity()), (16_384, 1));
    }
}
