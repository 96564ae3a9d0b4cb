//! Buffers for ciphertext, reused by all TLS connections of a shard, and held only while bytes are on their way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A head with a small body, and its records' overhead. No power of two: see the shard's other buffers.
const SMALL_BYTES: usize = 8 * 1024 + 192;
/// Two records of the longest kind (RFC 8446 5.2: 16,384 bytes, at most 256 more, and the header).
const LARGE_BYTES: usize = 2 * (16_384 + 256 + 5) + 64;
/// Kept for reuse: 4 MiB and 4 MiB, a burst's worth.
const SMALL_KEPT_MAX: usize = 512;
const LARGE_KEPT_MAX: usize = 128;

/// A shard's ciphertext buffers.
#[derive(Debug, Default)]
pub struct CipherBuffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    in_use: Cell<u64>,
}

impl CipherBuffers {
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Buffers that connections hold; 0 when all rest.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.in_use.get()
    }

    /// Room for `bytes` at least.
    pub(super) fn take(self: &Rc<Self>, bytes: usize) -> CipherBuffer {
        self.in_use.set(self.in_use.get() + 1);
        let (kept, size) =
            if bytes <= SMALL_BYTES { (&self.small, SMALL_BYTES) } else { (&self.large, LARGE_BYTES) };
        let taken = kept.borrow_mut().pop();
        let bytes = taken.unwrap_or_else(|| Vec::with_capacity(size.max(bytes)));
        CipherBuffer { bytes, buffers: Some(Rc::clone(self)) }
    }

    fn give(&self, mut bytes: Vec<u8>) {
        self.in_use.set(self.in_use.get() - 1);
        bytes.clear();
        let (kept, kept_max) = match bytes.capacity() {
            SMALL_BYTES => (&self.small, SMALL_KEPT_MAX),
            LARGE_BYTES => (&self.large, LARGE_KEPT_MAX),
            // One that grew for a long handshake message, or one that was lost with a dropped read.
            _ => return,
        };
        let mut kept = kept.borrow_mut();
        if kept.len() < kept_max {
            kept.push(bytes);
        }
    }
}

/// A buffer that goes back when it is dropped; the default one is none and has no room.
#[derive(Debug, Default)]
pub(super) struct CipherBuffer {
    pub(super) bytes: Vec<u8>,
    buffers: Option<Rc<CipherBuffers>>,
}

impl CipherBuffer {
    /// As a first read sees it: room for most requests.
    pub(super) const SMALL_BYTES: usize = SMALL_BYTES;
    pub(super) const LARGE_BYTES: usize = LARGE_BYTES;
}

impl Drop for CipherBuffer {
    fn drop(&mut self) {
        if let Some(buffers) = &self.buffers {
            buffers.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_are_counted() {
        let buffers = CipherBuffers::new();
        let mut small = buffers.take(100);
        small.bytes.extend_from_slice(b"of another connection");
        let (address, large) = (small.bytes.as_ptr(), buffers.take(SMALL_BYTES + 1));
        assert_eq!((buffers.in_use(), large.bytes.capacity()), (2, LARGE_BYTES));
        drop((small, large));
        assert_eq!(buffers.in_use(), 0);
        let again = buffers.take(SMALL_BYTES);
        assert_eq!((again.bytes.as_ptr(), again.bytes.len()), (address, 0));
    }

    #[test]
    fn what_was_lost_or_grew_is_counted_and_not_kept() {
        let buffers = CipherBuffers::new();
        let mut lost = buffers.take(1);
        lost.bytes = Vec::new();
        let mut grown = buffers.take(1);
        grown.bytes.reserve(100_000);
        drop((lost, grown));
        assert_eq!((buffers.in_use(), buffers.small.borrow().len()), (0, 0));
    }
}
