//! Decompressing in pieces, within limits: what comes out is bounded, alone and in relation to what went in.
//!
//! A gzip body may be several members, one behind the other (RFC 1952 2.2). What comes behind its end isn't passed
//! over: two readers could disagree about it.

use flate2::{Decompress, FlushDecompress, Status};

use crate::ContentCoding;

const WINDOW_BITS: u8 = 15;
/// Members of a gzip body; each is begun at some cost.
const MEMBERS_MAX: u32 = 1_024;
/// Below it, no ratio is too high.
const RATIO_FREE_BYTES: u64 = 64 * 1024;

/// What a body may come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    pub bytes_max: u64,
    /// Bytes that one byte may come to, on average, beyond the first 64 KiB.
    pub ratio_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// It isn't in its coding, or is cut off, or something comes behind it.
    Malformed,
    /// More than `bytes_max`.
    TooLarge,
    /// More than `ratio_max`.
    TooDense,
}

/// One body's decompressor; it takes about [`Decoder::BYTES`].
pub struct Decoder {
    state: Decompress,
    coding: ContentCoding,
    limits: DecodeLimits,
    members: u32,
    /// Of all members.
    bytes_in: u64,
    bytes_out: u64,
    /// A member has ended, and no other has begun.
    ended: bool,
}

// The library's state says nothing.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Memory that one takes: the window, and tables.
    pub const BYTES: usize = 48 * 1024;

    #[must_use]
    pub fn new(coding: ContentCoding, limits: DecodeLimits) -> Self {
        let state = begin(coding);
        Self { state, coding, limits, members: 1, bytes_in: 0, bytes_out: 0, ended: false }
    }

    /// Appends to `out` what `input` comes to, as far as there is room in `out`, which doesn't grow; how much of
    /// `input` was taken. All is out once all is taken and there is room left.
    ///
    /// # Errors
    /// The body can't be decoded, or not within the limits. `out` has nothing beyond them.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut taken = 0;
        while out.len() < out.capacity() {
            if self.ended {
                if taken == input.len() {
                    break;
                }
                self.begin_member()?;
            }
            let (count, progressed) = self.step(&input[taken..], out)?;
            taken += count;
            if !progressed {
                break;
            }
        }
        Ok(taken)
    }

    /// # Errors
    /// The body isn't whole.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.ended { Ok(()) } else { Err(DecodeError::Malformed) }
    }

    /// How much was taken, and whether anything happened.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, bool), DecodeError> {
        let (before_in, before_out, had) = (self.state.total_in(), self.state.total_out(), out.len());
        let status = self.state.decompress_vec(input, out, FlushDecompress::None);
        let count_in = self.state.total_in() - before_in;
        let count_out = self.state.total_out() - before_out;
        self.bytes_in += count_in;
        self.bytes_out += count_out;
        let checked = status.map_err(|_| DecodeError::Malformed).and_then(|status| {
            self.check()?;
            Ok(status)
        });
        let status = checked.inspect_err(|_| out.truncate(had))?;
        self.ended = status == Status::StreamEnd;
        Ok((count_in as usize, count_in + count_out > 0 || self.ended))
    }

    fn check(&self) -> Result<(), DecodeError> {
        if self.bytes_out > self.limits.bytes_max {
            return Err(DecodeError::TooLarge);
        }
        let is_dense = self.bytes_out > self.bytes_in.saturating_mul(self.limits.ratio_max);
        if is_dense && self.bytes_out > RATIO_FREE_BYTES { Err(DecodeError::TooDense) } else { Ok(()) }
    }

    fn begin_member(&mut self) -> Result<(), DecodeError> {
        if self.coding != ContentCoding::Gzip || self.members == MEMBERS_MAX {
            return Err(DecodeError::Malformed);
        }
        self.members += 1;
        self.state = begin(self.coding);
        self.ended = false;
        Ok(())
    }
}

fn begin(coding: ContentCoding) -> Decompress {
    match coding {
        ContentCoding::Gzip => Decompress::new_gzip(WINDOW_BITS),
        ContentCoding::Deflate => Decompress::new_with_window_bits(true, WINDOW_BITS),
    }
}
