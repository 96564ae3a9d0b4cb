//! Respond: passes the upstream's answer to the client, as it comes.
//!
//! Framing is kept where the client can read it; a chunked body is decoded for an HTTP/1.0 client, and a
//! body that only the upstream's close ends is chunked for an HTTP/1.1 client, who can then tell a whole
//! body from a cut one. Over HTTP/2, the head goes as fields and the body without framing. A connection goes back to its pool when the answer ended where its framing said,
//! nothing came behind it, and the request was sent whole.

#[cfg(feature = "bench")]
pub(super) mod bench;

use std::cell::Cell;
use std::rc::Rc;

use turnpike_http::{
    ChunkError, HeadLimits, Header, HeaderName, Method, Progress, ResponseFraming, ResponseHead, Version,
    encode,
};
use turnpike_snapshot::{Compression, Protocol};

use super::body::Body;
use super::cache::{Hit, Tee};
use super::compress::{Edits, Planned};
use super::integrate::{Sent, UpstreamFault, chunk_limits};
use super::lines::{self, Pass};
use super::pieces::{self, Pace};
use super::refusal::{self, Failure, Refusal};
use super::upload::UploadControl;
use super::{Answered, Exchange, Record, Wire, duplex};
use crate::http2::Left;
use crate::table::{Address, Integration};
use crate::upstream::{Connection, Lease};

/// Interim answers (1xx) before the final one; an upstream that sends more isn't speaking HTTP.
const INTERIM_MAX: usize = 32;
/// What REST APIs rename in an answer, as AWS does.
const REMAPPED: &[u8] = b"x-amzn-Remapped-";

pub(super) async fn relay<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    sent: Sent<'a>,
    tee: Option<&Tee<'_, 'a>>,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    let began = Cell::new(false);
    let uploaded = Cell::new(sent.upload.is_none());
    let download = Download {
        exchange,
        protocol: address.stage.protocol,
        integration: sent.integration,
        method: sent.method,
        compression: sent.compression,
        tee,
        began: &began,
        uploaded: &uploaded,
        upload: sent.upload.as_ref().map(|upload| upload.control()),
    };
    let Some(upload) = sent.upload else {
        let kept = download.run(sent.connection, sent.answer, record).await;
        let kept = kept.map_err(|fault| download.failure(fault))?;
        let unread = !kept && exchange.head.keep_alive;
        return Ok(Answered { kept, unread, body_bytes: sent.body_bytes, ahead: None });
    };
    // Boxed: rare, and several times the size of the rest.
    Box::pin(duplex::relay(exchange, *upload, download, sent.connection, record)).await
}

/// Why an answer ended early.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Upstream(UpstreamFault),
    ClientGone,
}

/// Passing one answer.
#[derive(Debug)]
pub(super) struct Download<'x, 't, 'a> {
    pub(super) exchange: &'x Exchange<'a>,
    protocol: Protocol,
    pub(super) integration: &'x Integration,
    /// As sent upstream.
    method: Method,
    compression: Option<Compression>,
    /// What a cache keeps of it.
    tee: Option<&'x Tee<'t, 'a>>,
    /// Set once a byte of the final answer may have been sent.
    pub(super) began: &'x Cell<bool>,
    /// Whether the request has been sent whole.
    pub(super) uploaded: &'x Cell<bool>,
    /// What goes on sending it, if it wasn't sent whole at once.
    upload: Option<Rc<UploadControl>>,
}

/// How the body's framing changes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Same,
    Dechunk,
    Enchunk,
    /// The client asked for the head only, and the integration for more.
    Discard,
}

impl Download<'_, '_, '_> {
    /// What has begun can't be taken back: a cut-off answer must look like one.
    pub(super) fn failure(&self, fault: Fault) -> Failure {
        match fault {
            // Its own doing: nobody is left to be told of it.
            _ if self.exchange.client.watch.is_gone() => Failure::ClientGone,
            Fault::Upstream(fault) if !self.began.get() => Refusal::Upstream(fault, self.protocol).into(),
            Fault::Upstream(fault) => Failure::CutOff(fault),
            Fault::ClientGone => Failure::ClientGone,
        }
    }

    /// Whether the client's connection goes on.
    pub(super) async fn run(
        &self,
        mut connection: Connection,
        answer: Option<Vec<u8>>,
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        let shard = self.exchange.shard;
        let mut head = shard.buffers.response_head();
        let mut input = answer.unwrap_or_default();
        let lease = connection.lease.clone();
        let relayed = match self.read_head(&mut connection, &mut input, &mut head, record).await {
            Ok(()) => match self.instead(&head, &input) {
                Ok(None) => self.relay(connection, &mut input, &head, record).await,
                Ok(Some(hit)) => {
                    // Boxed likewise.
                    Box::pin(self.answer_instead(connection, &input, &head, &hit, record)).await
                }
                Err(fault) => Err(Fault::Upstream(fault)),
            },
            Err(fault) => Err(fault),
        };
        if let Some(lease) = lease
            && !self.exchange.is_abandoned()
        {
            note_outcome(&lease, head.status, &relayed);
        }
        shard.buffers.give_response_head(head);
        if input.capacity() > 0 {
            shard.buffers.give(input);
        }
        relayed
    }

    /// Reads up to the final head; afterwards `input` begins with it.
    async fn read_head(
        &self,
        connection: &mut Connection,
        input: &mut Vec<u8>,
        head: &mut ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let settings = &self.exchange.shard.settings;
        let limits = HeadLimits {
            start_line_bytes_max: settings.upstream_head_bytes_max,
            header_bytes_max: settings.upstream_head_bytes_max,
            header_count_max: settings.upstream_header_count_max,
        };
        let mut interim = 0;
        loop {
            match head.parse(input, self.method, &limits) {
                Ok(Progress::Partial) => self.read_more_head(connection, input, &limits).await?,
                Ok(Progress::Complete) if head.status >= 200 => break,
                Ok(Progress::Complete) => {
                    interim += 1;
                    if head.status == 101 || interim > INTERIM_MAX {
                        return Err(Fault::Upstream(UpstreamFault::Malformed));
                    }
                    Box::pin(self.pass_interim(input, head, record)).await?;
                    input.drain(..head.head_bytes);
                }
                Err(_) => return Err(Fault::Upstream(UpstreamFault::Malformed)),
            }
        }
        record.integration_answers(head.status, self.exchange.shard.clock.now_us());
        Ok(())
    }

    async fn read_more_head(
        &self,
        connection: &mut Connection,
        input: &mut Vec<u8>,
        limits: &HeadLimits,
    ) -> Result<(), Fault> {
        if input.capacity() > 0 && input.len() == input.capacity() {
            input.reserve(limits.head_bytes_max());
        }
        if input.capacity() == 0 {
            *input = self.exchange.shard.buffers.small();
        }
        let (received, buffer) = connection.stream.recv(std::mem::take(input)).await;
        *input = buffer;
        match received {
            Ok(count) if count > 0 => Ok(()),
            _ => {
                let own = self.own_end(connection.watch.has_expired());
                Err(Fault::Upstream(own.unwrap_or(UpstreamFault::Closed)))
            }
        }
    }

    /// Why the gateway itself has ended the upstream's connection, if it has.
    fn own_end(&self, timed_out: bool) -> Option<UpstreamFault> {
        if timed_out {
            return Some(UpstreamFault::TimedOut);
        }
        self.upload.as_ref().and_then(|upload| upload.own_end())
    }

    /// RFC 9110 15.2: an interim answer is passed on, but not to a client that can't know it.
    async fn pass_interim(
        &self,
        input: &[u8],
        head: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        if self.exchange.head.version == Version::Http10 {
            return Ok(());
        }
        let mut out = self.exchange.shard.buffers.small();
        encode::status_line(&mut out, head.status);
        lines::copy(input, &head.headers, head.head_bytes, &mut out, |header| {
            if header.hop_by_hop { Pass::Drop } else { Pass::Keep }
        });
        out.extend_from_slice(b"\r\n");
        if let Wire::Http2(stream) = self.exchange.wire {
            let informed = stream.inform(&out).map_err(|_| Fault::ClientGone);
            self.exchange.shard.buffers.give(out);
            return informed;
        }
        self.send(out, record).await
    }

    async fn relay(
        &self,
        mut connection: Connection,
        input: &mut Vec<u8>,
        head: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        let shard = self.exchange.shard;
        let settings = &shard.settings;
        let edits = match self.compression {
            None => Edits::default(),
            Some(Compression { bytes_min }) => match self.plan(bytes_min, head, input) {
                Planned::Compressed(plan, encoder) => {
                    // Boxed: several times the size of the rest.
                    let relayed = self.relay_compressed(connection, input, head, (plan, encoder), record);
                    return Box::pin(relayed).await;
                }
                Planned::Plain(edits) => edits,
            },
        };
        let mut body = Body::of_response(
            head.framing,
            chunk_limits(settings, settings.upstream_head_bytes_max, settings.upstream_header_count_max),
        );
        let coding = self.coding(head);
        let kept = self.exchange.keeps() && !self.ends_with_close(head);
        let mut out = shard.buffers.small();
        self.encode_head(head, input, coding, kept, edits, &mut out);
        self.tee_begins(head, input);
        let (taken, out) = self.pass(&mut body, coding, &input[head.head_bytes..], out, record)?;
        let mut extra = input.len() > head.head_bytes + taken;
        self.began.set(true);
        if !body.is_done() && coding != Coding::Discard {
            self.begin(out, false, record).await?;
            // Boxed, once for all its pieces: larger than all that a short answer needs.
            extra |= Box::pin(self.stream(&mut connection, input, &mut body, coding, record)).await?;
            self.finish(connection, head, &body, extra);
        } else {
            // The connection is free for the next request before this answer is even sent.
            self.finish(connection, head, &body, extra);
            match self.exchange.wire {
                // Most answers: not by way of `begin`, through which each wake would pass.
                Wire::Http1 => self.send(out, record).await?,
                Wire::Http2(_) => self.begin(out, true, record).await?,
            }
        }
        Ok(kept)
    }

    /// The cache hears of a head that is passed on.
    pub(super) fn tee_begins(&self, head: &ResponseHead, input: &[u8]) {
        if let Some(tee) = self.tee {
            tee.begin(head, input, || self.kept_lines(head, input));
        }
    }

    /// What a cache has for the client instead of this answer.
    fn instead(&self, head: &ResponseHead, input: &[u8]) -> Result<Option<Hit>, UpstreamFault> {
        let Some(tee) = self.tee else { return Ok(None) };
        tee.instead(head, input, || self.kept_lines(head, input))
    }

    /// The lines that a cache keeps of a head, and whether `Date` is among them.
    fn kept_lines(&self, head: &ResponseHead, input: &[u8]) -> (Vec<u8>, bool) {
        let mut lines = Vec::new();
        let is_age = |line: &Header| line.name_span.of(input).eq_ignore_ascii_case(b"age");
        let dated = self.copy_lines(head, input, false, &mut lines, is_age);
        (lines, dated)
    }

    /// Answers from the cache, where the upstream has said that what is there goes on, or has failed.
    async fn answer_instead(
        &self,
        connection: Connection,
        input: &[u8],
        head: &ResponseHead,
        hit: &Hit,
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        let settings = &self.exchange.shard.settings;
        let limits =
            chunk_limits(settings, settings.upstream_head_bytes_max, settings.upstream_header_count_max);
        let mut body = Body::of_response(head.framing, limits);
        let came = &input[head.head_bytes..];
        // A body that isn't there yet isn't waited for: its connection is closed.
        let extra = body.take(came).map_or(true, |taken| taken < came.len());
        self.finish(connection, head, &body, extra);
        self.began.set(true);
        let answered = hit.answer(self.exchange, self.protocol, record).await;
        answered.map(|answered| answered.kept).map_err(|_| Fault::ClientGone)
    }

    pub(super) fn finish(&self, connection: Connection, head: &ResponseHead, body: &Body, extra: bool) {
        if head.keep_alive && body.is_done() && !extra && self.uploaded.get() {
            connection.release(self.exchange.shard);
        }
    }

    /// Passes the rest of the body; whether bytes came behind its end.
    async fn stream(
        &self,
        connection: &mut Connection,
        input: &mut Vec<u8>,
        body: &mut Body,
        coding: Coding,
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        let shard = self.exchange.shard;
        shard.buffers.give(std::mem::replace(input, shard.buffers.large()));
        let mut pace = Pace::default();
        let piece_bytes_max = match self.exchange.wire {
            Wire::Http1 => usize::MAX,
            Wire::Http2(_) => shard.settings.http2_send_buffer_bytes_max,
        };
        loop {
            input.clear();
            if let Wire::Http2(stream) = self.exchange.wire {
                stream.await_room().await.map_err(|_| Fault::ClientGone)?;
            }
            let (received, timed_out) = match pace.receive(&connection.stream, input, piece_bytes_max).await {
                Some(received) => (received, false),
                None => self.await_piece(connection, input, piece_bytes_max).await,
            };
            if self.has_ended(body, received, timed_out)? {
                self.end(coding, record).await?;
                return Ok(false);
            }
            let taken = if coding == Coding::Same {
                self.forward(body, input, record).await?
            } else {
                let (taken, out) = self.pass(body, coding, input, shard.buffers.large(), record)?;
                self.send_piece(out, body.is_done(), record).await?;
                taken
            };
            if body.is_done() {
                return Ok(taken < input.len());
            }
        }
    }

    /// Whether a body has come to the end that only a close says: nobody can tell whether that was all of it, so
    /// that it isn't kept.
    pub(super) fn has_ended(
        &self,
        body: &Body,
        received: std::io::Result<usize>,
        timed_out: bool,
    ) -> Result<bool, Fault> {
        if matches!(received, Ok(count) if count > 0) {
            return Ok(false);
        }
        match (self.own_end(timed_out), received) {
            (Some(fault), _) => Err(Fault::Upstream(fault)),
            (None, Ok(_)) if matches!(body, Body::UntilClose) => Ok(true),
            (None, _) => Err(Fault::Upstream(UpstreamFault::Closed)),
        }
    }

    /// Waits for the next piece; true if the wait was too long.
    pub(super) async fn await_piece(
        &self,
        connection: &Connection,
        input: &mut Vec<u8>,
        bytes_max: usize,
    ) -> (std::io::Result<usize>, bool) {
        self.exchange.await_upstream(&connection.watch, self.integration.timeout_ms);
        let (received, returned) = connection.stream.recv_at_most(std::mem::take(input), bytes_max).await;
        *input = returned;
        let timed_out = connection.watch.has_expired();
        connection.watch.disarm();
        (received, timed_out)
    }

    /// Sends a piece from where it was read, without a copy.
    async fn forward(
        &self,
        body: &mut Body,
        input: &mut Vec<u8>,
        record: &mut Record<'_>,
    ) -> Result<usize, Fault> {
        let taken = body.take(input).map_err(|_| Fault::Upstream(UpstreamFault::Malformed))?;
        self.keep(&input[..taken], body);
        let extra = input.split_off(taken);
        record.body_bytes_out += taken as u64;
        record.bytes_out += taken as u64;
        let client = self.exchange.client;
        let (sent, returned) = pieces::send(&client.stream, std::mem::take(input), || {
            self.exchange.await_reader();
        })
        .await;
        client.watch.disarm();
        *input = returned;
        sent.map_err(|_| Fault::ClientGone)?;
        input.extend_from_slice(&extra);
        Ok(taken)
    }

    /// Appends to `out` what the client gets of `bytes`, and says how many of them were body.
    fn pass(
        &self,
        body: &mut Body,
        coding: Coding,
        bytes: &[u8],
        mut out: Vec<u8>,
        record: &mut Record<'_>,
    ) -> Result<(usize, Vec<u8>), Fault> {
        let start = out.len();
        let taken = match coding {
            Coding::Discard => Ok(0),
            Coding::Dechunk => self.take_payload(body, bytes, &mut out),
            Coding::Same => body.take(bytes).inspect(|taken| out.extend_from_slice(&bytes[..*taken])),
            Coding::Enchunk => body.take(bytes).inspect(|taken| {
                if *taken > 0 {
                    encode::chunk(&mut out, &bytes[..*taken]);
                }
            }),
        };
        record.body_bytes_out += (out.len() - start) as u64;
        match taken {
            Ok(taken) => {
                self.keep(&bytes[..taken], body);
                Ok((taken, out))
            }
            Err(_) => {
                self.exchange.shard.buffers.give(out);
                Err(Fault::Upstream(UpstreamFault::Malformed))
            }
        }
    }

    /// Lets the cache have bytes of the body, framed as they came.
    pub(super) fn keep(&self, bytes: &[u8], body: &Body) {
        if let Some(tee) = self.tee {
            tee.add(bytes, body.is_done());
        }
    }

    /// Takes the framing off, and keeps the trailers for who can have them.
    fn take_payload(&self, body: &mut Body, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let mut trailers = Vec::new();
        let taken = body.take_payload(bytes, out, &mut trailers)?;
        if let Wire::Http2(stream) = self.exchange.wire {
            stream.add_trailers(&trailers);
        }
        Ok(taken)
    }

    fn coding(&self, head: &ResponseHead) -> Coding {
        let has_body = !matches!(head.framing, ResponseFraming::None | ResponseFraming::Length(0));
        match (head.framing, self.exchange.head.version) {
            _ if self.exchange.head.method == Method::Head && has_body => Coding::Discard,
            (_, Version::Http2) | (ResponseFraming::Chunked, Version::Http10) => Coding::Dechunk,
            (ResponseFraming::UntilClose, Version::Http11) => Coding::Enchunk,
            _ => Coding::Same,
        }
    }

    /// An HTTP/1.0 client knows no other end of a body without a length.
    fn ends_with_close(&self, head: &ResponseHead) -> bool {
        self.exchange.head.version == Version::Http10
            && matches!(head.framing, ResponseFraming::Chunked | ResponseFraming::UntilClose)
    }

    /// The head of an answer whose body is framed anew.
    pub(super) fn encode_edited_head(
        &self,
        head: &ResponseHead,
        input: &[u8],
        chunked: bool,
        kept: bool,
        edits: Edits,
        out: &mut Vec<u8>,
    ) {
        let coding = if chunked { Coding::Enchunk } else { Coding::Dechunk };
        self.encode_head(head, input, coding, kept, edits, out);
    }

    fn encode_head(
        &self,
        head: &ResponseHead,
        input: &[u8],
        coding: Coding,
        kept: bool,
        edits: Edits,
        out: &mut Vec<u8>,
    ) {
        encode::status_line(out, head.status);
        let dated = if edits.are_none() {
            self.copy_lines(head, input, self.passes_length(head), out, |_| false)
        } else {
            let passes_length = self.passes_length(head) && !edits.replaces_length;
            let dated = self.copy_lines(head, input, passes_length, out, |line| edits.drop(line, input));
            edits.encode(head, input, out);
            dated
        };
        match (head.framing, coding) {
            (_, Coding::Enchunk) | (ResponseFraming::Chunked, Coding::Same | Coding::Discard) => {
                encode::header(out, "Transfer-Encoding", b"chunked");
            }
            (ResponseFraming::None, _) if self.lost_its_body(head) => {
                encode::header(out, "Content-Length", b"0");
            }
            _ => {}
        }
        if !dated {
            encode::header(out, "Date", &self.exchange.shard.date());
        }
        refusal::encode_ids(Some(self.protocol), self.exchange.id, out);
        refusal::encode_connection(kept, self.exchange.head.version, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the lines that the client gets but for those that `drop` knows; whether `Date` is one of them.
    fn copy_lines(
        &self,
        head: &ResponseHead,
        input: &[u8],
        passes_length: bool,
        out: &mut Vec<u8>,
        drop: impl Fn(&Header) -> bool,
    ) -> bool {
        let mut dated = false;
        lines::copy(input, &head.headers, head.head_bytes, out, |header| match header.name {
            _ if header.hop_by_hop || drop(header) => Pass::Drop,
            // A length without a body is information (HEAD, 304); with one it is framing, written elsewhere.
            HeaderName::ContentLength if !passes_length => Pass::Drop,
            HeaderName::Date
            | HeaderName::Server
            | HeaderName::WwwAuthenticate
            | HeaderName::XAmznRequestId
                if self.protocol == Protocol::Rest =>
            {
                Pass::Prefix(REMAPPED)
            }
            HeaderName::Date => {
                dated = true;
                Pass::Keep
            }
            _ => Pass::Keep,
        });
        dated
    }

    /// The upstream was asked for the head only, the client waits for a body.
    fn lost_its_body(&self, head: &ResponseHead) -> bool {
        self.method == Method::Head
            && self.exchange.head.method != Method::Head
            && !matches!(head.status, 204 | 304)
    }

    fn passes_length(&self, head: &ResponseHead) -> bool {
        match head.framing {
            ResponseFraming::None => !self.lost_its_body(head) && head.status != 204,
            ResponseFraming::Length(_) => true,
            ResponseFraming::Chunked | ResponseFraming::UntilClose => false,
        }
    }

    /// Sends the head, and what there is of the body.
    pub(super) async fn begin(&self, out: Vec<u8>, last: bool, record: &mut Record<'_>) -> Result<(), Fault> {
        let Wire::Http2(stream) = self.exchange.wire else { return self.send(out, record).await };
        let sent = stream.begin(&out, last).await;
        self.given(out, sent, record)
    }

    /// Sends a piece of a body whose framing is taken off or put on.
    pub(super) async fn send_piece(
        &self,
        out: Vec<u8>,
        last: bool,
        record: &mut Record<'_>,
    ) -> Result<(), Fault> {
        let Wire::Http2(stream) = self.exchange.wire else { return self.send(out, record).await };
        let sent = stream.send(&out, last).await;
        self.given(out, sent, record)
    }

    fn given(&self, out: Vec<u8>, sent: Result<(), Left>, record: &mut Record<'_>) -> Result<(), Fault> {
        record.bytes_out += out.len() as u64;
        self.exchange.shard.buffers.give(out);
        sent.map_err(|Left| Fault::ClientGone)
    }

    /// Ends a body that the upstream's close has ended.
    async fn end(&self, coding: Coding, record: &mut Record<'_>) -> Result<(), Fault> {
        if let Wire::Http2(stream) = self.exchange.wire {
            return stream.end().map_err(|Left| Fault::ClientGone);
        }
        if coding != Coding::Enchunk {
            return Ok(());
        }
        let mut out = self.exchange.shard.buffers.small();
        out.extend_from_slice(encode::LAST_CHUNK);
        self.send(out, record).await
    }

    async fn send(&self, out: Vec<u8>, record: &mut Record<'_>) -> Result<(), Fault> {
        record.bytes_out += out.len() as u64;
        let (sent, out) = self.write(out).await;
        self.exchange.shard.buffers.give(out);
        sent
    }

    async fn write(&self, out: Vec<u8>) -> (Result<(), Fault>, Vec<u8>) {
        let client = self.exchange.client;
        self.exchange.await_reader();
        let (sent, out) = client.stream.send(out, 0).await;
        client.watch.disarm();
        (sent.map_err(|_| Fault::ClientGone), out)
    }
}

/// Tells a target's group how the exchange went.
fn note_outcome(lease: &Lease, status: u16, relayed: &Result<bool, Fault>) {
    match relayed {
        Err(Fault::Upstream(UpstreamFault::TimedOut)) => lease.failed(Lease::TIMED_OUT),
        Err(Fault::Upstream(_)) => lease.failed(Lease::CLOSED),
        Err(Fault::ClientGone) => {}
        Ok(_) => lease.answered(status),
    }
}
