//! Where a body ends: counts or decodes while bytes pass, and changes none of them.

use turnpike_http::{ChunkError, ChunkLimits, ChunkedDecoder, Framing, ResponseFraming};

/// What is still to come of a body.
#[derive(Debug)]
pub(super) enum Body {
    /// Bytes left; 0 is the end.
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    /// All until the upstream ends the connection.
    UntilClose,
}

impl Body {
    pub(super) fn of_request(framing: Framing, limits: ChunkLimits) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::new(ChunkedDecoder::new(limits))),
        }
    }

    pub(super) fn of_response(framing: ResponseFraming, limits: ChunkLimits) -> Self {
        match framing {
            ResponseFraming::None => Self::Length(0),
            ResponseFraming::Length(length) => Self::Length(length),
            ResponseFraming::Chunked => Self::Chunked(Box::new(ChunkedDecoder::new(limits))),
            ResponseFraming::UntilClose => Self::UntilClose,
        }
    }

    /// How many of `bytes` belong to the body, framing included.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        match self {
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(decoder) => Ok(decoder.step_all(bytes)?.consumed),
            Self::UntilClose => Ok(bytes.len()),
        }
    }

    /// As [`take`](Self::take), and appends the payload without its framing.
    pub(super) fn take_payload(&mut self, bytes: &[u8], payload: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let Self::Chunked(decoder) = self else {
            let taken = self.take(bytes)?;
            payload.extend_from_slice(&bytes[..taken]);
            return Ok(taken);
        };
        let mut taken = 0;
        while taken < bytes.len() && !decoder.is_done() {
            let rest = &bytes[taken..];
            let step = decoder.step(rest)?;
            if let Some(data) = step.data {
                payload.extend_from_slice(&rest[data]);
            }
            taken += step.consumed;
        }
        Ok(taken)
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(decoder) => decoder.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Bytes still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Whether more than `bytes_max` of payload have passed, or are announced to.
    pub(super) fn exceeds(&self, bytes_max: u64) -> bool {
        match self {
            Self::Length(left) => *left > bytes_max,
            Self::Chunked(decoder) => decoder.data_bytes() > bytes_max,
            Self::UntilClose => false,
        }
    }
}
