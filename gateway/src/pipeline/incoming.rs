//! A request's body as it comes from the client, framed as its head says, whatever carries it.

use turnpike_http::Framing;
use turnpike_snapshot::Compression;

use super::body::Body;
use super::decompress::{self, Decoded};
use super::integrate::chunk_limits;
use super::{Exchange, Failure, Refusal, Wire};
use crate::http2::{BodyEnd, RequestBody};

/// What is still to come of a request's body.
#[derive(Debug)]
pub(super) enum Incoming {
    /// On the client's connection, framed already; or none.
    Http1(Body),
    /// On a stream; it is framed as it comes. Boxed: it is several times the size of the other.
    Http2(Box<RequestBody>),
    /// Compressed, and sent on decompressed. Boxed likewise.
    Decoded(Box<Decoded>),
}

impl Incoming {
    /// The body, and how many of the bytes that came with the head were part of it. `compression` is its route's.
    pub(super) fn begin(
        exchange: &Exchange<'_>,
        compression: Option<Compression>,
    ) -> Result<(Self, usize), Failure> {
        let settings = &exchange.shard.settings;
        let framing = exchange.head.framing;
        let coding = match compression {
            Some(compression) => decompress::wanted(exchange, compression)?,
            None => None,
        };
        if let Wire::Http2(stream) = exchange.wire {
            if matches!(framing, Framing::Length(length) if length > settings.body_bytes_max) {
                return Err(Refusal::BodyTooLarge.into());
            }
            if let Some(coding) = coding {
                return Decoded::begin(exchange, coding, Body::Length(0), b"").map(Self::decoded);
            }
            return Ok(match framing {
                Framing::None => (Self::Http1(Body::Length(0)), 0),
                Framing::Length(_) | Framing::Chunked => {
                    (Self::Http2(Box::new(RequestBody::new(stream, framing))), 0)
                }
            });
        }
        let mut body = Body::of_request(
            framing,
            chunk_limits(settings, settings.header_bytes_max, settings.header_count_max),
        );
        if body.announces_more_than(settings.body_bytes_max) {
            return Err(Refusal::BodyTooLarge.into());
        }
        if let Some(coding) = coding {
            return Decoded::begin(exchange, coding, body, exchange.buffered()).map(Self::decoded);
        }
        let body_bytes = body.take(exchange.buffered()).map_err(Refusal::Chunk)?;
        if body.has_outgrown(settings.body_bytes_max) {
            return Err(Refusal::BodyTooLarge.into());
        }
        Ok((Self::Http1(body), body_bytes))
    }

    fn decoded((decoded, body_bytes): (Decoded, usize)) -> (Self, usize) {
        (Self::Decoded(Box::new(decoded)), body_bytes)
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_done(),
            Self::Http2(body) => body.is_done(),
            Self::Decoded(body) => body.is_done(),
        }
    }
}

/// Appends what has arrived on a stream meanwhile, so that a short request is sent in one piece.
pub(super) async fn take_arrived(
    body: &mut RequestBody,
    exchange: &Exchange<'_>,
    arrived: &mut Vec<u8>,
) -> Result<(), Failure> {
    match body.take_arrived(arrived).await {
        Ok(()) if body.payload_bytes() > exchange.shard.settings.body_bytes_max => {
            Err(Refusal::BodyTooLarge.into())
        }
        Ok(()) => Ok(()),
        Err(BodyEnd::TimedOut) => Err(Refusal::ReadTimeout.into()),
        Err(BodyEnd::Left | BodyEnd::Stopped) => Err(Failure::ClientGone),
    }
}
