//! Compressing in pieces. What comes out is whole once [`Encoder::finish`] has been called, and can be decoded up to
//! the last [`Encoder::flush`] before.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::ContentCoding;

/// The largest window: 32 KiB, which every decoder has.
const WINDOW_BITS: u8 = 15;
/// Room that is made at least for each step: a flush needs six bytes at once.
const ROOM_BYTES: usize = 1_024;

/// One body's compressor; it can be used for the next. It takes about [`Encoder::BYTES`].
pub struct Encoder {
    state: Compress,
    coding: ContentCoding,
    /// Bytes have gone in since the last flush.
    holds_back: bool,
}

// The library's state says nothing.
impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Memory that one takes: window, chains, hashes, and what waits to be put out.
    pub const BYTES: usize = 300 * 1024;

    /// `level` is from 1, the fastest, to 9.
    #[must_use]
    pub fn new(coding: ContentCoding, level: u32) -> Self {
        let level = Compression::new(level.clamp(1, 9));
        let state = match coding {
            ContentCoding::Gzip => Compress::new_gzip(level, WINDOW_BITS),
            ContentCoding::Deflate => Compress::new_with_window_bits(level, true, WINDOW_BITS),
        };
        Self { state, coding, holds_back: false }
    }

    #[must_use]
    pub fn coding(&self) -> ContentCoding {
        self.coding
    }

    /// Whether something of what went in may still be inside.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// Begins another body.
    pub fn reset(&mut self) {
        self.state.reset();
        self.holds_back = false;
    }

    /// Takes all of `input`; appends to `out` what comes of it so far.
    pub fn encode(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        self.holds_back |= !input.is_empty();
        while !input.is_empty() {
            input = &input[self.step(input, out, FlushCompress::None).0..];
        }
    }

    /// Appends what is needed to decode all that went in.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        // Room that is left says that all is out.
        loop {
            self.step(&[], out, FlushCompress::Sync);
            if out.len() < out.capacity() {
                break;
            }
        }
        self.holds_back = false;
    }

    /// Appends the rest.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        while self.step(&[], out, FlushCompress::Finish).1 != Status::StreamEnd {}
        self.holds_back = false;
    }

    /// How much of `input` was taken.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> (usize, Status) {
        if out.capacity() - out.len() < ROOM_BYTES {
            out.reserve(ROOM_BYTES);
        }
        let before = self.state.total_in();
        let status = self.state.compress_vec(input, out, flush).expect("a compressor is called in order");
        ((self.state.total_in() - before) as usize, status)
    }
}
