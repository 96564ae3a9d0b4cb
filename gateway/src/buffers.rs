//! A shard's I/O buffers, reused so that a request allocates none.
//!
//! Two sizes: heads with small bodies, and pieces of a long body. What is kept for reuse is bounded, and
//! `in_use` returns to zero when no connection is active.

use std::cell::{Cell, RefCell};

use turnpike_http::{RequestHead, ResponseHead};

/// Most heads with a small body; a larger head makes its buffer grow. No power of two, so that buffers
/// don't fall on the same lines of the core's cache. Measured: a quarter more requests/s with 256 connections than
/// with 16 KiB, size and spacing changed together.
const SMALL_BYTES: usize = 8 * 1024 - 192;
/// Few enough bytes to be sent on while they are in the core's cache.
const LARGE_BYTES: usize = 128 * 1024 - 192;
/// Kept for reuse: 16 MiB each, a burst's worth. Measured: with 512 of the small ones, a thousand HTTP/2 streams spent
/// 2 % of the core on allocating more.
const SMALL_KEPT_MAX: usize = 2_048;
const LARGE_KEPT_MAX: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    request_heads: RefCell<Vec<RequestHead>>,
    #[expect(clippy::vec_box, reason = "a head is moved several times an answer, the list seldom")]
    response_heads: RefCell<Vec<Box<ResponseHead>>>,
    in_use: Cell<u64>,
    /// Of those in use, the ones that connections keep while they wait.
    kept: Cell<u64>,
}

impl Buffers {
    /// An empty buffer of `SMALL_BYTES`.
    pub(crate) fn small(&self) -> Vec<u8> {
        self.in_use.set(self.in_use.get() + 1);
        self.small.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL_BYTES))
    }

    /// An empty buffer of `LARGE_BYTES`.
    pub(crate) fn large(&self) -> Vec<u8> {
        self.in_use.set(self.in_use.get() + 1);
        self.large.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(LARGE_BYTES))
    }

    /// Takes a buffer back; one that grew past its size isn't kept.
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        self.in_use.set(self.in_use.get() - 1);
        buffer.clear();
        match buffer.capacity() {
            SMALL_BYTES => keep(&mut self.small.borrow_mut(), SMALL_KEPT_MAX, buffer),
            LARGE_BYTES => keep(&mut self.large.borrow_mut(), LARGE_KEPT_MAX, buffer),
            _ => {}
        }
    }

    /// Whether a connection may keep its buffer for as long as it waits; it then says when it has waited.
    pub(crate) fn begin_keeping(&self, kept_max: u64) -> bool {
        let may_keep = self.kept.get() < kept_max;
        self.kept.set(self.kept.get() + u64::from(may_keep));
        may_keep
    }

    pub(crate) fn end_keeping(&self) {
        self.kept.set(self.kept.get() - 1);
    }

    /// A head whose list of headers has been allocated for an earlier request.
    pub(crate) fn request_head(&self) -> RequestHead {
        self.request_heads.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_request_head(&self, head: RequestHead) {
        keep(&mut self.request_heads.borrow_mut(), SMALL_KEPT_MAX, head);
    }

    /// A head whose list of headers has been allocated by an earlier response.
    #[inline]
    pub(crate) fn response_head(&self) -> Box<ResponseHead> {
        self.response_heads.borrow_mut().pop().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn give_response_head(&self, head: Box<ResponseHead>) {
        keep(&mut self.response_heads.borrow_mut(), SMALL_KEPT_MAX, head);
    }

    pub(crate) fn in_use(&self) -> u64 {
        self.in_use.get()
    }
}

fn keep<T>(kept: &mut Vec<T>, kept_max: usize, buffer: T) {
    if kept.len() < kept_max {
        kept.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_are_counted() {
        let buffers = Buffers::default();
        let mut small = buffers.small();
        small.extend_from_slice(b"of another request");
        let (address, large) = (small.as_ptr(), buffers.large());
        assert_eq!(buffers.in_use(), 2);
        buffers.give(small);
        buffers.give(large);
        assert_eq!(buffers.in_use(), 0);
        let again = buffers.small();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let buffers = Buffers::default();
        let mut small = buffers.small();
        small.reserve(10 * SMALL_BYTES);
        buffers.give(small);
        assert_eq!((buffers.in_use(), buffers.small().capacity()), (0, SMALL_BYTES));
    }

    #[test]
    fn so_many_may_keep_theirs_and_no_more() {
        let buffers = Buffers::default();
        assert_eq!([(); 3].map(|()| buffers.begin_keeping(2)), [true, true, false]);
        buffers.end_keeping();
        assert_eq!([buffers.begin_keeping(2), buffers.begin_keeping(2)], [true, false]);
        assert!(!buffers.begin_keeping(0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let taken: Vec<_> = (0..SMALL_KEPT_MAX + 10).map(|_| buffers.small()).collect();
        taken.into_iter().for_each(|buffer| buffers.give(buffer));
        assert_eq!((buffers.in_use(), buffers.small.borrow().len()), (0, SMALL_KEPT_MAX));
    }
}
