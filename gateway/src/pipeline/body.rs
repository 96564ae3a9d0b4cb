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

    /// As [`take`](Self::take), and appends the payload without its framing, and the trailers' lines apart.
    pub(super) fn take_payload(
        &mut self,
        bytes: &[u8],
        payload: &mut Vec<u8>,
        trailers: &mut Vec<u8>,
    ) -> Result<usize, ChunkError> {
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
            trailers.extend_from_slice(&rest[step.trailers]);
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

    /// Whether more than `bytes_max` of payload are announced, before any has passed.
    pub(super) fn announces_more_than(&self, bytes_max: u64) -> bool {
        self.left().is_some_and(|left| left > bytes_max)
    }

    /// Whether more than `bytes_max` of payload have passed that weren't announced.
    pub(super) fn has_outgrown(&self, bytes_max: u64) -> bool {
        match self {
            Self::Chunked(decoder) => decoder.data_bytes() > bytes_max,
            Self::Length(_) | Self::UntilClose => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &[u8] = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n";

    fn chunked() -> Body {
        Body::of_request(Framing::Chunked, ChunkLimits::default())
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut body = Body::of_request(Framing::Length(5), ChunkLimits::default());
        assert_eq!((body.take(b"abc").unwrap(), body.is_done(), body.left()), (3, false, Some(2)));
        assert_eq!((body.take(b"deGET /").unwrap(), body.is_done()), (2, true));
        assert_eq!(body.take(b"GET /").unwrap(), 0);
    }

    #[test]
    fn no_framing_is_no_body() {
        assert!(Body::of_request(Framing::None, ChunkLimits::default()).is_done());
        assert!(Body::of_response(ResponseFraming::None, ChunkLimits::default()).is_done());
    }

    #[test]
    fn chunks_end_behind_their_trailers_at_whatever_offset_they_are_split() {
        for split in 0..CHUNKED.len() {
            let mut body = chunked();
            let (mut payload, mut trailers) = (Vec::new(), Vec::new());
            assert_eq!(body.take_payload(&CHUNKED[..split], &mut payload, &mut trailers).unwrap(), split);
            assert!(!body.is_done(), "at {split}");
            let rest = [&CHUNKED[split..], b"GET /"].concat();
            let taken = body.take_payload(&rest, &mut payload, &mut trailers).unwrap();
            assert_eq!(taken, rest.len() - 5, "at {split}");
            assert!(body.is_done());
            assert_eq!((&payload[..], &trailers[..]), (&b"abcdefg"[..], &b"T: v\r\n"[..]));
        }
    }

    #[test]
    fn limits_count_payload() {
        let mut body = chunked();
        body.take(CHUNKED).unwrap();
        assert!(body.has_outgrown(6) && !body.has_outgrown(7));
        let announced = Body::of_request(Framing::Length(8), ChunkLimits::default());
        assert!(announced.announces_more_than(7) && !announced.announces_more_than(8));
    }

    #[test]
    fn what_only_a_close_ends_is_never_done() {
        let mut body = Body::of_response(ResponseFraming::UntilClose, ChunkLimits::default());
        assert_eq!((body.take(b"abc").unwrap(), body.is_done(), body.left()), (3, false, None));
    }
}
