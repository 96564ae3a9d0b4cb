//! Byte ranges into the buffer that a head was parsed from, so that a head outlives the borrow of its buffer.

use std::ops::Range;

/// A byte range in the buffer that was parsed, `start <= end`.
///
/// It stays right when the buffer moves or grows, and goes wrong when bytes before it are dropped: keep a
/// head's bytes in place until the last span has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The bytes, from the buffer that was parsed (or one that begins with the same bytes).
    ///
    /// # Panics
    /// If `buf` is shorter than the buffer that was parsed and the span lies beyond its end.
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }

    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Where `part`, a subslice of `buf`, lies. Parsers cut their input at 4 GiB, so that offsets fit.
    #[inline]
    pub(crate) fn within(buf: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr() - buf.as_ptr().addr();
        debug_assert!(start + part.len() <= buf.len(), "not a part of the buffer");
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    /// A part of this span, `range` counted from its start.
    #[inline]
    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        debug_assert!(range.start <= range.end && range.end <= self.len(), "not a part of the span");
        Self { start: self.start + range.start as u32, end: self.start + range.end as u32 }
    }
}
