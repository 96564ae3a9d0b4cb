//! Compress: what a client takes compressed is compressed while it passes.
//!
//! An answer whose length isn't known is held back until as much of it is there as its API compresses from, or all of
//! it (AWS decides by size); then nothing is: what the upstream has sent so far is flushed whenever the next piece of
//! it has to be waited for. A whole answer gets its length, others are chunked. After `compression_turn_bytes`, others
//! get their turn. What may be compressed says so to caches (`Vary`), whether it is this time or not.
//! (AWS: Receive an API response with a compressed payload; RFC 9110 8.4, 8.8.3, 12.5.3.)

mod plan;

use turnpike_http::{ResponseFraming, ResponseHead, Version, encode};

pub(super) use plan::{Edits, Plan, Planned};

use super::body::Body;
use super::integrate::{UpstreamFault, chunk_limits};
use super::pieces::Pace;
use super::respond::{Download, Fault};
use super::{Record, Wire};
use crate::buffers::Buffers;
use crate::compression::LentEncoder;
use crate::upstream::Connection;

/// An answer that is all there is compressed before its head is sent, and so gets a length, up to this size; what it
/// comes to is held for as long.
const WHOLE_BYTES_MAX: usize = 256 * 1024;
/// What is taken at once, and sent while the upstream has more: with it, an answer holds less than its compressor does.
const PIECE_BYTES: usize = 32 * 1024;

/// A buffer of the shard's, which goes back to it.
#[derive(Debug)]
struct Lent<'s> {
    buffers: &'s Buffers,
    /// Without capacity until it is needed.
    bytes: Vec<u8>,
}

impl<'s> Lent<'s> {
    fn small(buffers: &'s Buffers) -> Self {
        Self { buffers, bytes: buffers.small() }
    }

    /// A large one, once it is needed.
    fn later(buffers: &'s Buffers) -> Self {
        Self { buffers, bytes: Vec::new() }
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = self.buffers.large();
        }
        &mut self.bytes
    }

    /// To be given back by whom it goes to.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.bytes())
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.bytes.capacity() > 0 {
            self.buffers.give(std::mem::take(&mut self.bytes));
        }
    }
}

/// An answer's body on its way.
#[derive(Debug)]
struct Flow<'s> {
    body: Body,
    /// The upstream's close has ended it.
    closed: bool,
    /// Bytes came behind its end.
    extra: bool,
    pace: Pace,
    /// As it came.
    piece: Lent<'s>,
    /// Without framing, to be compressed.
    payload: Lent<'s>,
    trailers: Vec<u8>,
    /// `None`: it isn't compressed after all.
    encoder: Option<LentEncoder<'s>>,
    /// Compressed, to be framed.
    coded: Lent<'s>,
    /// To be sent, once its head is in it.
    out: Lent<'s>,
    decided: bool,
    begun: bool,
    chunked: bool,
}

impl<'s> Flow<'s> {
    fn new(body: Body, encoder: LentEncoder<'s>, buffers: &'s Buffers) -> Self {
        Self {
            body,
            closed: false,
            extra: false,
            pace: Pace::default(),
            piece: Lent::later(buffers),
            payload: Lent::small(buffers),
            trailers: Vec::new(),
            encoder: Some(encoder),
            coded: Lent::small(buffers),
            out: Lent::small(buffers),
            decided: false,
            begun: false,
            chunked: false,
        }
    }

    fn is_done(&self) -> bool {
        self.closed || self.body.is_done()
    }

    /// Takes what came; the upstream is at fault if it isn't as it was announced.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let taken = self.body.take_payload(bytes, self.payload.bytes(), &mut self.trailers);
        let taken = taken.map_err(|_| Fault::Upstream(UpstreamFault::Malformed))?;
        self.extra |= taken < bytes.len();
        Ok(taken)
    }

    /// Frames what there is.
    fn frame(&mut self, last: bool, record: &mut Record<'_>) {
        let out = self.out.bytes();
        let before = out.len();
        match self.chunked {
            true => encode::chunk(out, &self.coded.bytes),
            false => out.extend_from_slice(&self.coded.bytes),
        }
        self.coded.bytes.clear();
        if last && self.chunked {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(&self.trailers);
            out.extend_from_slice(b"\r\n");
        }
        record.body_bytes_out += (out.len() - before) as u64;
    }
}

impl<'x> Download<'x, '_, '_> {
    /// What becomes of an answer of a route that compresses bodies from so many bytes on.
    pub(super) fn plan(&self, bytes_min: u32, head: &ResponseHead, input: &[u8]) -> Planned<'x> {
        let exchange = self.exchange;
        let Some(plan) = Plan::of(exchange, bytes_min, head, input) else {
            return Planned::Plain(Edits::default());
        };
        match plan.encoder(exchange, head) {
            Some(encoder) => Planned::Compressed(plan, encoder),
            None => Planned::Plain(plan.edits(exchange.head.method, head, input)),
        }
    }

    /// As [`Download::relay`], of a body that is compressed, or may turn out to be.
    pub(super) async fn relay_compressed(
        &self,
        mut connection: Connection,
        input: &[u8],
        head: &ResponseHead,
        (plan, encoder): (Plan, LentEncoder<'_>),
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        let (shard, settings) = (self.exchange.shard, &self.exchange.shard.settings);
        let limits =
            chunk_limits(settings, settings.upstream_head_bytes_max, settings.upstream_header_count_max);
        let mut flow = Flow::new(Body::of_response(head.framing, limits), encoder, &shard.buffers);
        self.tee_begins(head, input);
        let taken = flow.take(&input[head.head_bytes..])?;
        self.keep(&input[head.head_bytes..][..taken], &flow.body);
        self.look_ahead(&mut connection, head, &plan, &mut flow, record).await?;
        let kept = self.decide(head, input, &plan, &mut flow).await;
        while !flow.is_done() {
            self.compress(&mut flow).await;
            if flow.coded.bytes.len() >= PIECE_BYTES {
                self.send_framed(&mut flow, false, record).await?;
            }
            self.receive(&mut connection, &mut flow, record).await?;
        }
        // The connection is free for the next request before the rest of this answer is even sent.
        self.finish(connection, head, &flow.body, flow.extra);
        self.compress(&mut flow).await;
        self.send_framed(&mut flow, true, record).await?;
        Ok(kept)
    }

    /// Waits until it is known whether a body is large enough.
    async fn look_ahead(
        &self,
        connection: &mut Connection,
        head: &ResponseHead,
        plan: &Plan,
        flow: &mut Flow<'_>,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        if let ResponseFraming::Length(_) = head.framing {
            return Ok(());
        }
        let shard = self.exchange.shard;
        let mut waiting = shard.compression.waiting();
        while !flow.is_done() && (flow.payload.bytes.len() as u64) < plan.bytes_min {
            if !waiting.grow(flow.payload.bytes.len(), shard.settings.compression_waiting_bytes_max) {
                break;
            }
            self.receive(connection, flow, record).await?;
        }
        let came = flow.payload.bytes.len() as u64;
        if came < plan.bytes_min || came == 0 && flow.is_done() {
            flow.encoder = None;
        }
        Ok(())
    }

    /// Writes the head; whether the client's connection goes on.
    async fn decide(&self, head: &ResponseHead, input: &[u8], plan: &Plan, flow: &mut Flow<'_>) -> bool {
        let whole = flow.is_done() && flow.trailers.is_empty() && flow.payload.bytes.len() <= WHOLE_BYTES_MAX;
        if flow.encoder.is_some() {
            self.exchange.shard.stats.borrow_mut().counters.compressions_total += 1;
        }
        let length = match whole {
            true => {
                self.compress(flow).await;
                Some(flow.coded.bytes.len() as u64)
            }
            false => None,
        };
        let version = self.exchange.head.version;
        flow.chunked = !whole && version == Version::Http11;
        let kept = self.exchange.keeps() && (whole || version != Version::Http10);
        let edits = match flow.encoder {
            Some(_) => plan.coded(length),
            None => plan.reframed(length),
        };
        self.encode_edited_head(head, input, flow.chunked, kept, edits, flow.out.bytes());
        flow.decided = true;
        kept
    }

    /// Compresses what came, and at its end what is left, in turns.
    async fn compress(&self, flow: &mut Flow<'_>) {
        let (payload, coded) = (&mut flow.payload.bytes, flow.coded.bytes());
        let done = flow.closed || flow.body.is_done();
        let Some(lent) = &mut flow.encoder else {
            coded.append(payload);
            return;
        };
        let before = coded.len();
        let turn_bytes = self.exchange.shard.settings.compression_turn_bytes;
        for turn in payload.chunks(turn_bytes) {
            lent.encoder().encode(turn, coded);
            if turn.len() == turn_bytes {
                turnpike_rt::yield_now().await;
            }
        }
        if done {
            lent.finish(coded);
        }
        let mut stats = self.exchange.shard.stats.borrow_mut();
        stats.counters.compression_in_bytes_total += payload.len() as u64;
        stats.counters.compression_out_bytes_total += (coded.len() - before) as u64;
        payload.clear();
    }

    /// The next piece. If it has to be waited for, the client gets all that came before it.
    async fn receive(
        &self,
        connection: &mut Connection,
        flow: &mut Flow<'_>,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let piece_bytes_max = match self.exchange.wire {
            Wire::Http1 => PIECE_BYTES,
            Wire::Http2(stream) => {
                if flow.begun {
                    stream.await_room().await.map_err(|_| Fault::ClientGone)?;
                }
                self.exchange.shard.settings.http2_send_buffer_bytes_max.min(PIECE_BYTES)
            }
        };
        flow.piece.bytes().clear();
        let at_once = flow.pace.receive(&connection.stream, flow.piece.bytes(), piece_bytes_max).await;
        let (received, timed_out) = match at_once {
            Some(received) => (received, false),
            None => {
                self.flush(flow, record).await?;
                self.await_piece(connection, flow.piece.bytes(), piece_bytes_max).await
            }
        };
        flow.closed = self.has_ended(&flow.body, received, timed_out)?;
        let piece = std::mem::take(&mut flow.piece.bytes);
        let taken = flow.take(&piece);
        if let Ok(taken) = taken {
            self.keep(&piece[..taken], &flow.body);
        }
        flow.piece.bytes = piece;
        taken.map(drop)
    }

    /// Sends all that came, once it is known what becomes of it.
    async fn flush(&self, flow: &mut Flow<'_>, record: &mut Record<'_>) -> Result<(), Fault> {
        if !flow.decided {
            return Ok(());
        }
        if let Some(lent) = &mut flow.encoder
            && lent.encoder().holds_back()
        {
            let coded = flow.coded.bytes();
            let before = coded.len();
            lent.encoder().flush(coded);
            let flushed = (coded.len() - before) as u64;
            self.exchange.shard.stats.borrow_mut().counters.compression_out_bytes_total += flushed;
        }
        if flow.coded.bytes.is_empty() && flow.out.bytes.is_empty() {
            return Ok(());
        }
        self.send_framed(flow, false, record).await
    }

    async fn send_framed(
        &self,
        flow: &mut Flow<'_>,
        last: bool,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        flow.frame(last, record);
        if let Wire::Http2(stream) = self.exchange.wire
            && last
        {
            stream.add_trailers(&flow.trailers);
        }
        self.began.set(true);
        let out = flow.out.take();
        match std::mem::replace(&mut flow.begun, true) {
            false => self.begin(out, last, record).await,
            true => self.send_piece(out, last, record).await,
        }
    }
}
