//! What a peer may make the gateway buffer: every head and every chunk line is bounded before it is complete.

use crate::error::HeadFault;

/// Bounds of one head. All are inclusive: a head exactly at a limit is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Request line or status line, without its CRLF.
    pub start_line_bytes_max: usize,
    /// All header lines together, their CRLFs included, the empty line that ends the head excluded.
    pub header_bytes_max: usize,
    /// Header lines; at most [`HeadLimits::HEADER_COUNT_CEILING`].
    pub header_count_max: usize,
}

impl HeadLimits {
    /// The largest `header_count_max` that has an effect: the parser's slots are on the stack. Whoever reads
    /// settings refuses more than this.
    pub const HEADER_COUNT_CEILING: usize = 1024;

    /// The bytes that a buffer must be able to hold so that every head within the limits fits, the tolerated
    /// empty line before it included.
    pub const fn head_bytes_max(&self) -> usize {
        const LINE_ENDS: usize = 3 * "\r\n".len();
        self.start_line_bytes_max.saturating_add(self.header_bytes_max).saturating_add(LINE_ENDS)
    }

    /// Refuses an unfinished head that can't become one within the limits, so that nothing is buffered in vain.
    pub(crate) fn check_partial(&self, head: &[u8]) -> Result<(), HeadFault> {
        match head.iter().position(|byte| *byte == b'\n') {
            // Its last byte may be the CR of the line's end.
            None if head.len() > self.start_line_bytes_max.saturating_add(1) => {
                Err(HeadFault::StartLineTooLong)
            }
            None => Ok(()),
            Some(line_feed) => self.check_start_line(head, line_feed).and_then(|()| {
                let header_bytes = head.len() - line_feed - 1;
                // Its last byte may be the CR of the empty line.
                let fits = header_bytes <= self.header_bytes_max.saturating_add(1);
                if fits { Ok(()) } else { Err(HeadFault::FieldsTooLarge) }
            }),
        }
    }

    /// Checks the start line of a head whose first line feed is at `line_feed`.
    pub(crate) fn check_start_line(&self, head: &[u8], line_feed: usize) -> Result<(), HeadFault> {
        let line = &head[..line_feed];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.start_line_bytes_max { Err(HeadFault::StartLineTooLong) } else { Ok(()) }
    }
}

impl Default for HeadLimits {
    /// AWS allows 10,240 bytes of headers; the other two are what most servers allow.
    fn default() -> Self {
        Self { start_line_bytes_max: 8192, header_bytes_max: 10_240, header_count_max: 100 }
    }
}

/// Bounds of a chunked body's framing; its payload is bounded by whoever counts `data_bytes`. All inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// One chunk-size line, extensions included, without its CRLF.
    pub chunk_line_bytes_max: usize,
    /// Chunk extensions of all chunks together, their `;` included: they carry nothing, and small chunks could
    /// otherwise make a body many times as long as its payload.
    pub chunk_extension_bytes_max: usize,
    /// All trailer lines together, their CRLFs included, the empty line that ends the body excluded.
    pub trailer_bytes_max: usize,
    /// Trailer lines.
    pub trailer_count_max: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            chunk_line_bytes_max: 256,
            chunk_extension_bytes_max: 16_384,
            trailer_bytes_max: 10_240,
            trailer_count_max: 100,
        }
    }
}
