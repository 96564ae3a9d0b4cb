//! Decompress: a request's compressed body goes to the upstream as what it stands for (AWS: Call an API method with a
//! compressed payload).
//!
//! What has arrived whole with the head, and isn't large, gets a length; anything else is chunked. Of what it comes to,
//! a turn's bytes (`compression_turn_bytes`) are held at once, and no more is read from the client before they are
//! gone. `decompressed_bytes_max` and `decompression_ratio_max` bound it; a body that isn't in its coding is refused
//! (415), be it in the middle.

use turnpike_coding::{ContentCoding, DecodeError, RequestCoding, request_coding};
use turnpike_http::{Framing, encode};
use turnpike_snapshot::Compression;

use super::body::Body;
use super::incoming::take_arrived;
use super::{Exchange, Failure, Refusal, Wire};
use crate::compression::LentDecoder;
use crate::http2::RequestBody;
use crate::settings::Settings;

/// What has arrived whole gets a length if it comes to this at most.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// A compressed body on its way.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) source: Source,
    decoder: LentDecoder,
    /// Without framing, to be decompressed from `taken` on.
    payload: Vec<u8>,
    taken: usize,
    /// Everything has been decompressed that has come.
    drained: bool,
    /// Of HTTP/1.1.
    trailers: Vec<u8>,
    /// What came behind the body.
    pub(super) ahead: Vec<u8>,
    done: bool,
}

/// Where it comes from.
#[derive(Debug)]
pub(super) enum Source {
    Http1(Body),
    Http2(RequestBody),
}

/// The coding that a request's body is to be taken out of, if it is.
pub(super) fn wanted(
    exchange: &Exchange<'_>,
    compression: Compression,
) -> Result<Option<ContentCoding>, Refusal> {
    let is_large = match exchange.head.framing {
        Framing::None => false,
        Framing::Length(length) => length > 0 && length >= u64::from(compression.bytes_min),
        Framing::Chunked => true,
    };
    if !is_large {
        return Ok(None);
    }
    match request_coding(exchange.field(b"content-encoding")) {
        RequestCoding::Plain => Ok(None),
        RequestCoding::Coded(coding) => Ok(Some(coding)),
        RequestCoding::Unsupported => Err(Refusal::ContentCoding),
    }
}

/// Whether a field is about the body as it came.
pub(super) fn is_of_coding(name: &[u8]) -> bool {
    ["content-encoding", "content-md5", "content-digest", "repr-digest", "digest"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

impl Decoded {
    /// `body` is where the body stands, and `arrived` came with its head.
    pub(super) fn begin(
        exchange: &Exchange<'_>,
        coding: ContentCoding,
        mut body: Body,
        arrived: &[u8],
    ) -> Result<(Self, usize), Failure> {
        let (shard, settings) = (exchange.shard, &exchange.shard.settings);
        let decoder = shard.compression.decoder(coding, settings).ok_or(Refusal::Decompressions)?;
        shard.stats.borrow_mut().counters.decompressions_total += 1;
        let (mut payload, mut trailers) = (Vec::new(), Vec::new());
        let (source, body_bytes) = match exchange.wire {
            Wire::Http1 => {
                let taken =
                    body.take_payload(arrived, &mut payload, &mut trailers).map_err(Refusal::Chunk)?;
                (Source::Http1(body), taken)
            }
            Wire::Http2(stream) => (Source::Http2(RequestBody::unframed(stream)), 0),
        };
        let decoded = Self {
            source,
            decoder,
            payload,
            taken: 0,
            drained: false,
            trailers,
            ahead: Vec::new(),
            done: false,
        };
        Ok((decoded, body_bytes))
    }

    /// All of it has been given.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Nothing more is to be read from the client.
    fn has_come(&self) -> bool {
        match &self.source {
            Source::Http1(body) => body.is_done(),
            Source::Http2(body) => body.is_done(),
        }
    }

    fn trailers(&self) -> &[u8] {
        match &self.source {
            Source::Http1(_) => &self.trailers,
            Source::Http2(body) => body.trailers(),
        }
    }

    /// More of the body as it came, once all before has been given; what comes behind its end is kept.
    pub(super) fn add(&mut self, bytes: &[u8], settings: &Settings) -> Result<(), Refusal> {
        self.payload.clear();
        (self.taken, self.drained) = (0, false);
        match &mut self.source {
            Source::Http1(body) => {
                let taken = body.take_payload(bytes, &mut self.payload, &mut self.trailers);
                let taken = taken.map_err(Refusal::Chunk)?;
                self.ahead.extend_from_slice(&bytes[taken..]);
                let too_large = matches!(body, Body::Chunked(_)) && body.exceeds(settings.body_bytes_max);
                if too_large { Err(Refusal::BodyTooLarge) } else { Ok(()) }
            }
            Source::Http2(_) => {
                self.payload.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// What goes with the head: how the body is framed, and its beginning.
    pub(super) async fn begin_upload(
        &mut self,
        exchange: &Exchange<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Framing, Failure> {
        if let Source::Http2(body) = &mut self.source {
            take_arrived(body, exchange, &mut self.payload).await?;
        }
        let turn_bytes = exchange.shard.settings.compression_turn_bytes;
        while self.has_come() && !self.drained && plain.len() < WHOLE_BYTES_MAX {
            self.decode(turn_bytes, plain)?;
            turnpike_rt::yield_now().await;
        }
        if self.has_come() && self.drained && self.trailers().is_empty() {
            self.done = true;
            return Ok(Framing::Length(plain.len() as u64));
        }
        Ok(Framing::Chunked)
    }

    /// Appends the next chunk, and what ends the body behind the last. Nothing may come of it before more is read.
    pub(super) fn encode(&mut self, settings: &Settings, piece: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut plain = Vec::new();
        self.decode(settings.compression_turn_bytes, &mut plain)?;
        encode::chunk(piece, &plain);
        if self.drained && self.has_come() {
            piece.extend_from_slice(b"0\r\n");
            piece.extend_from_slice(self.trailers());
            piece.extend_from_slice(b"\r\n");
            self.done = true;
        }
        Ok(())
    }

    /// Decompresses up to a turn's bytes; at the body's end, it has to be whole.
    fn decode(&mut self, turn_bytes: usize, plain: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut turn = Vec::with_capacity(turn_bytes);
        let decoder = self.decoder.decoder();
        self.taken += decoder.decode(&self.payload[self.taken..], &mut turn).map_err(refusal)?;
        self.drained = self.taken == self.payload.len() && turn.len() < turn.capacity();
        plain.extend_from_slice(&turn);
        if self.drained && self.has_come() {
            self.decoder.decoder().finish().map_err(refusal)?;
        }
        Ok(())
    }
}

fn refusal(error: DecodeError) -> Refusal {
    match error {
        DecodeError::Malformed => Refusal::ContentCoding,
        DecodeError::TooLarge | DecodeError::TooDense => Refusal::BodyTooLarge,
    }
}
