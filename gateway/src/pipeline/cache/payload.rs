//! A body on its way into the store: a short one on the heap, a long one in the shard's arena, from where it is sent
//! without a copy.
//!
//! Which it is to be is known at once where its length is; otherwise it moves when it has become long. Where the arena
//! has no room, it stays on the heap.

use std::io;

use bytes::Bytes;
use turnpike_rt::{Draft, arena_bytes};

use crate::response_cache::ResponseCache;

#[derive(Debug)]
pub(super) struct Payload<'x> {
    cache: &'x ResponseCache,
    /// What isn't in the draft.
    heap: Vec<u8>,
    draft: Option<Draft>,
    /// Before it moves to the arena.
    heap_bytes_max: usize,
    /// Known, or most.
    bytes_max: usize,
}

impl<'x> Payload<'x> {
    /// `length` is `None` where it isn't known.
    pub(super) fn new(cache: &'x ResponseCache, length: Option<usize>, bytes_max: usize) -> Self {
        let heap_bytes_max = cache.heap_bytes_max();
        let draft = length.filter(|length| *length > heap_bytes_max).and_then(|length| cache.draft(length));
        let heap = Vec::with_capacity(if draft.is_some() { 0 } else { length.unwrap_or(0) });
        Self { cache, heap, draft, heap_bytes_max, bytes_max: length.unwrap_or(bytes_max) }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len() + self.draft.as_ref().map_or(0, Draft::written)
    }

    /// More has come than was said, and what is there can't be finished.
    pub(super) fn is_too_long(&self) -> bool {
        self.len() > self.bytes_max
    }

    /// Has more appended, which may be too much.
    ///
    /// # Errors
    /// What `append` says, or there is no memory.
    pub(super) fn extend<E>(
        &mut self,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<io::Result<()>, E> {
        append(&mut self.heap)?;
        if self.draft.is_none() && self.heap.len() > self.heap_bytes_max && !self.is_too_long() {
            self.draft = self.cache.draft(self.bytes_max);
            // Asked once.
            self.heap_bytes_max = usize::MAX;
        }
        let is_too_long = self.is_too_long();
        let Some(draft) = self.draft.as_mut().filter(|_| !is_too_long) else { return Ok(Ok(())) };
        let appended = draft.append(&self.heap);
        self.heap.clear();
        Ok(appended)
    }

    /// All of it, and what it takes in memory.
    pub(super) fn finish(self) -> (Bytes, usize) {
        debug_assert!(!self.is_too_long(), "its end isn't in its draft");
        match self.draft {
            Some(draft) => {
                let bytes = draft.finish();
                let held_bytes = arena_bytes(bytes.len());
                (bytes, held_bytes)
            }
            None => {
                let mut heap = self.heap;
                heap.shrink_to_fit();
                let held_bytes = heap.len();
                (heap.into(), held_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use turnpike_rt::Arena;

    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_body_that_becomes_too_long_is_counted_and_no_fault_of_the_memory() {
        let settings = Settings { cache_sendfile_bytes_min: 10_000, ..Settings::defaults() };
        let cache = ResponseCache::new(&settings, Some(Arena::new(1 << 20).unwrap()));
        for bytes_max in [5_000, 20_000, 50_000] {
            let mut payload = Payload::new(&cache, None, bytes_max);
            for pieces in 1..=6 {
                let appended = payload.extend(|heap| {
                    heap.extend_from_slice(&[b'x'; 10_000]);
                    Ok::<_, Infallible>(())
                });
                assert!(matches!(appended, Ok(Ok(()))), "{pieces} of {bytes_max}");
                let bytes = 10_000 * pieces;
                assert_eq!((payload.len(), payload.is_too_long()), (bytes, bytes > bytes_max));
            }
        }
        assert!(cache.draft(1 << 20).is_some(), "nothing is left behind");
    }
}
