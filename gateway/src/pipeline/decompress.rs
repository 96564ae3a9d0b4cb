//! Decompress: a request's compressed body goes to the upstream as what it stands for (AWS: Call an API method with a
//! compressed payload).
//!
//! A short one is waited for, and gets a length; anything else is chunked. Of what it comes to,
//! a turn's bytes (`compression_turn_bytes`) are held at once, and no more is read from the client before they are
//! gone. `decompressed_bytes_max` and `decompression_ratio_max` bound it; a body that isn't in its coding is refused
//! (415), be it in the middle.

use turnpike_coding::{ContentCoding, DecodeError, RequestCoding, request_coding};
use turnpike_http::{Framing, encode};
use turnpike_snapshot::Compression;

use super::body::Body;
use super::incoming::take_arrived;
use super::pieces::Pace;
use super::upload::{ClientBytes, Uploaded};
use super::{Exchange, Failure, Record, Refusal, Wire};
use crate::compression::LentDecoder;
use crate::http2::RequestBody;
use crate::settings::Settings;

/// What is that long at most, compressed, is waited for; and gets a length if it comes to that at most.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

/// A compressed body on its way.
#[derive(Debug)]
pub(super) struct Decoded {
    source: Source,
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
enum Source {
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
                if body.has_outgrown(settings.body_bytes_max) {
                    return Err(Refusal::BodyTooLarge.into());
                }
                (Source::Http1(body), taken)
            }
            Wire::Http2(stream) => (Source::Http2(RequestBody::unframed(stream)), 0),
        };
        // There is something only if the body has come whole, which may still be long when it is decompressed.
        let ahead = arrived[body_bytes..].to_vec();
        let decoded =
            Self { source, decoder, payload, taken: 0, drained: false, trailers, ahead, done: false };
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

    /// What goes with the head: how the body is framed, and its beginning. A short one is waited for, as not every
    /// origin takes chunks.
    pub(super) async fn begin_upload(
        &mut self,
        exchange: &Exchange<'_>,
        plain: &mut Vec<u8>,
        record: &mut Record<'_>,
    ) -> Result<Framing, Failure> {
        if let Source::Http2(body) = &mut self.source {
            take_arrived(body, exchange, &mut self.payload).await?;
        }
        let is_short =
            matches!(exchange.head.framing, Framing::Length(length) if length <= WHOLE_BYTES_MAX as u64);
        if is_short && !exchange.head.expect_continue {
            self.gather(exchange, record).await?;
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

    /// Reads the rest of a short body.
    async fn gather(&mut self, exchange: &Exchange<'_>, record: &mut Record<'_>) -> Result<(), Failure> {
        let (mut client, mut pace) = (ClientBytes::new(exchange), Pace::default());
        while !self.has_come() {
            let came = self.receive(&mut client, &mut pace, || false).await?;
            record.bytes_in += came as u64;
        }
        client.rest();
        Ok(())
    }

    /// Appends what comes of the body next, framed: at least a byte. How many bytes came from the client for it.
    pub(super) async fn next(
        &mut self,
        client: &mut ClientBytes,
        pace: &mut Pace,
        piece: &mut Vec<u8>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<u64, Uploaded> {
        let mut came = 0;
        loop {
            turnpike_rt::yield_now().await;
            self.encode(&client.shard().settings, piece).map_err(Uploaded::Refused)?;
            if self.done || !piece.is_empty() {
                return Ok(came);
            }
            // All before has been given.
            self.payload.clear();
            self.taken = 0;
            came += self.receive(client, pace, &is_stopped).await? as u64;
        }
    }

    /// Reads more of the body; what comes behind its end is kept.
    async fn receive(
        &mut self,
        client: &mut ClientBytes,
        pace: &mut Pace,
        is_stopped: impl Fn() -> bool,
    ) -> Result<usize, Uploaded> {
        self.drained = false;
        let body = match &mut self.source {
            Source::Http1(body) => body,
            Source::Http2(body) => return client.fill(body, &mut self.payload, is_stopped).await,
        };
        // A small one: what is waited for with it comes to more than a turn's bytes anyway.
        let mut coded = client.shard().buffers.small();
        let came = client.receive(&mut coded, body.left(), pace, is_stopped).await;
        let taken = body.take_payload(&coded, &mut self.payload, &mut self.trailers);
        self.ahead.extend_from_slice(&coded[taken.unwrap_or(0)..]);
        client.shard().buffers.give(coded);
        let too_large = body.has_outgrown(client.shard().settings.body_bytes_max);
        match (came, taken) {
            (Err(ended), _) => Err(ended),
            (Ok(_), Err(error)) => Err(Uploaded::Refused(Refusal::Chunk(error))),
            (Ok(_), Ok(_)) if too_large => Err(Uploaded::Refused(Refusal::BodyTooLarge)),
            (Ok(came), Ok(_)) => Ok(came),
        }
    }

    /// Appends the next chunk, and what ends the body behind the last. Nothing may come of it before more is read.
    fn encode(&mut self, settings: &Settings, piece: &mut Vec<u8>) -> Result<(), Refusal> {
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
