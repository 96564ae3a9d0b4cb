//! A client's connection: reads heads, has the pipeline answer them, turns refusals into replies.
//!
//! One request at a time, in the order of arrival; what a client sends ahead waits in its socket. A
//! connection that rests holds no buffer, but for `idle_buffers_kept_max` that keep theirs. Invariants: `start <= input.len()`, and `input` holds at most
//! one head's limit and what came with it.

use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use turnpike_http::{Framing, HeadLimits, Progress, RequestError, RequestHead};
use turnpike_rt::{Stream, TlsStream, Transport};

use crate::crowd::Place;
use crate::entrance::{self, Accepted, Admitted, Ends};
use crate::http2;
use crate::listener;
use crate::pipeline::{self, Answered, Exchange, Forwarded, Record, Refusal, Unparsed, Wire};
use crate::settings::Settings;
use crate::shard::Shard;
use crate::tls::{self, Secured, TlsClient};
use crate::wheel::{OnExpiry, Watch};

/// After a reply that ends the connection while the client still sends: how much more is read, and for
/// how long, so that the reply isn't lost to a reset (RFC 9112 9.6).
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_MS: u64 = 1_000;

/// The client's side of an exchange.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) peer: SocketAddr,
    pub(crate) forwarded: Forwarded,
    /// What the handshake has shown; `None` without TLS.
    pub(crate) tls: Option<Rc<TlsClient>>,
    _place: Option<Place>,
}

struct Connection {
    shard: Rc<Shard>,
    /// Shared by the streams of HTTP/2.
    client: Rc<Client>,
    input: Vec<u8>,
    /// What comes before has been served.
    start: usize,
    /// Requests served since the connection last had to wait for one.
    pipelined: usize,
    /// A request has been served.
    served: bool,
    is_http2: bool,
    /// When the first byte of the last head was there.
    started_us: u64,
    /// The last head wasn't there at once.
    came_in_pieces: bool,
    /// A wait without a buffer has ended with bytes, or with the client's end.
    is_readable: bool,
}

/// Why there is no next request.
enum End {
    Closed,
    Refused(Refusal),
    /// It is HTTP/2 that the client speaks.
    Http2,
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(shard: Rc<Shard>, number: u64, accepted: Accepted) {
    if listener::admit(&shard) {
        shard.stats.borrow_mut().gauges.connections_open += 1;
        // A connection that broke before it was served needs no reply and no report.
        if let Some(client) = Box::pin(Client::admit(&shard, accepted)).await {
            shard.watch(number, &client.watch);
            let mut connection = Connection {
                shard: Rc::clone(&shard),
                client: Rc::new(client),
                input: Vec::new(),
                start: 0,
                pipelined: 0,
                served: false,
                is_http2: false,
                started_us: 0,
                came_in_pieces: false,
                is_readable: false,
            };
            connection.run().await;
            connection.release_buffer();
            shard.unwatch(number);
        }
        shard.stats.borrow_mut().gauges.connections_open -= 1;
    }
    shard.loads.closed(shard.index);
}

impl Client {
    async fn admit(shard: &Rc<Shard>, accepted: Accepted) -> Option<Self> {
        let Accepted { descriptor, peer, entrance } = accepted;
        let stream = Stream::from_accepted(descriptor).ok()?;
        let admitted = entrance::admit(shard, &stream, peer, entrance).await?;
        if !entrance.tls {
            let stream = Rc::new(Transport::Plain(stream));
            let watch = Watch::new(Rc::clone(&stream));
            return Some(Self::new(shard, stream, watch, admitted, None));
        }
        // Boxed: over before the connection's first request.
        let Secured { stream, watch, client } =
            Box::pin(tls::accept(shard, stream, admitted.ends.peer.ip())).await?;
        Some(Self::new(shard, stream, watch, admitted, Some(Rc::new(client))))
    }

    pub(crate) fn new(
        shard: &Shard,
        stream: Rc<Transport>,
        watch: Rc<Watch>,
        admitted: Admitted,
        tls: Option<Rc<TlsClient>>,
    ) -> Self {
        let Admitted { ends: Ends { peer, local }, place } = admitted;
        let forwarded = Forwarded::new(&shard.settings, peer, local, tls.is_some());
        Self { stream, watch, peer, forwarded, tls, _place: place }
    }

    /// The same client, as far as an upstream is told, with another connection.
    pub(crate) fn apart(&self, stream: Rc<Transport>) -> Self {
        let watch = Watch::new(Rc::clone(&stream));
        let (forwarded, tls) = (self.forwarded.clone(), self.tls.clone());
        Self { stream, watch, peer: self.peer, forwarded, tls, _place: None }
    }

    /// By ALPN.
    fn has_agreed_on_http2(&self) -> bool {
        self.stream.tls().and_then(TlsStream::protocol).is_some_and(|protocol| protocol == tls::HTTP2)
    }
}

/// What a wait for a request came to.
enum Wait {
    Arrived,
    /// Nothing has come for so long that the connection should hold nothing.
    Rested,
    Ended,
}

impl Connection {
    async fn run(&mut self) {
        self.is_http2 = self.client.has_agreed_on_http2();
        let mut goes_on = !self.is_http2;
        while goes_on {
            // What serving takes is boxed for as long as requests follow each other: a connection that rests
            // doesn't hold it, and one that is busy doesn't allocate it for each request.
            goes_on = Box::pin(self.be_active()).await && self.rest().await;
        }
        if self.is_http2 {
            Box::pin(self.serve_http2()).await;
        }
    }

    /// Serves what comes until nothing has come for a while; false if the connection has ended.
    async fn be_active(&mut self) -> bool {
        let shard = Rc::clone(&self.shard);
        let mut head = shard.buffers.request_head();
        let goes_on = loop {
            match self.await_request().await {
                Wait::Arrived if self.serve_requests(&mut head).await => {}
                Wait::Rested => break true,
                Wait::Arrived | Wait::Ended => break false,
            }
        };
        shard.buffers.give_request_head(head);
        goes_on
    }

    /// Serves what has arrived, and what arrives meanwhile; false if the connection has ended.
    async fn serve_requests(&mut self, head: &mut RequestHead) -> bool {
        while self.start < self.input.len() {
            let kept = match self.read_head(head).await {
                Ok(()) => self.exchange(head).await,
                Err(End::Refused(refusal)) => self.refuse_unparsed(refusal).await,
                Err(End::Http2) => {
                    self.is_http2 = true;
                    false
                }
                Err(End::Closed) => false,
            };
            if !kept {
                return false;
            }
        }
        true
    }

    /// The next head, of which something is there.
    async fn read_head(&mut self, head: &mut RequestHead) -> Result<(), End> {
        let limits = head_limits(&self.shard.settings);
        self.started_us = self.shard.clock.now_us();
        self.came_in_pieces = false;
        loop {
            match head.parse(&self.input[self.start..], &limits) {
                Ok(Progress::Complete) => return Ok(()),
                Ok(Progress::Partial) => self.read_more(&limits).await?,
                Err(RequestError::VersionNotSupported) if self.begins_http2() => return Err(End::Http2),
                Err(error) => return Err(End::Refused(Refusal::Request(error))),
            }
        }
    }

    /// HTTP/2's preface looks like a request of a version that isn't served, so that HTTP/1.1 pays nothing for it. It
    /// may only begin a connection (RFC 9113 3.4), and over TLS only where it was agreed on (3.2).
    fn begins_http2(&self) -> bool {
        !self.served && self.client.tls.is_none() && http2::is_preface(&self.input[self.start..])
    }

    async fn serve_http2(&mut self) {
        let ahead = self.input.split_off(self.start);
        self.release_buffer();
        let (shard, client) = (Rc::clone(&self.shard), Rc::clone(&self.client));
        http2::serve(shard, client, ahead).await;
        self.linger().await;
    }

    /// Waits for a request's first bytes with a buffer, unless too many are in use or the connection has just rested
    /// and is known to be readable. Some connections keep the buffer however long that takes, the others have it taken
    /// back after a while: a read that can be taken back costs twice what one costs that can't.
    async fn await_request(&mut self) -> Wait {
        self.pipelined = 0;
        if !self.is_readable && self.shard.buffers.in_use() >= self.shard.settings.idle_buffers_max {
            self.release_buffer();
            return Wait::Rested;
        }
        self.is_readable = false;
        self.make_room(0);
        let watch = Rc::clone(&self.client.watch);
        self.shard.begin_wait(&watch);
        let input = std::mem::take(&mut self.input);
        let settings = &self.shard.settings;
        let release_ms = settings.idle_buffer_release_ms;
        let keeps = self.served
            && self.client.tls.is_none()
            && self.shard.buffers.begin_keeping(settings.idle_buffers_kept_max);
        let (result, input) = if keeps {
            self.shard.wheel.arm(
                &watch,
                release_ms.saturating_add(settings.idle_timeout_ms),
                OnExpiry::EndRead,
            );
            let received = self.client.stream.recv(input).await;
            self.shard.buffers.end_keeping();
            received
        } else {
            self.shard.wheel.arm(&watch, release_ms, OnExpiry::TakeBuffer);
            self.client.stream.recv_cancelable(input, &watch.cancel).await
        };
        self.shard.end_wait(&watch);
        self.input = input;
        match result {
            Ok(count) if count > 0 => Wait::Arrived,
            Err(error) if turnpike_rt::is_canceled(&error) => {
                self.release_buffer();
                Wait::Rested
            }
            Ok(_) if keeps && watch.has_expired() => {
                self.shard.stats.borrow_mut().counters.connections_idle_closed_total += 1;
                Wait::Ended
            }
            Ok(_) | Err(_) => Wait::Ended,
        }
    }

    /// Waits without a buffer; false if the connection has ended.
    async fn rest(&mut self) -> bool {
        let watch = Rc::clone(&self.client.watch);
        self.shard.begin_wait(&watch);
        self.shard.wheel.arm(&watch, self.shard.settings.idle_timeout_ms, OnExpiry::EndRead);
        let readable = self.client.stream.readable().await;
        self.shard.end_wait(&watch);
        self.is_readable = true;
        if watch.has_expired() {
            self.shard.stats.borrow_mut().counters.connections_idle_closed_total += 1;
            return false;
        }
        readable.is_ok()
    }

    /// More of a head of which some is there.
    async fn read_more(&mut self, limits: &HeadLimits) -> Result<(), End> {
        self.came_in_pieces = true;
        self.make_room(limits.head_bytes_max());
        let watch = &self.client.watch;
        if !watch.is_armed_for(OnExpiry::EndRead) {
            self.shard.wheel.arm(watch, self.shard.settings.read_head_timeout_ms, OnExpiry::EndRead);
        }
        let (result, input) = self.client.stream.recv(std::mem::take(&mut self.input)).await;
        self.input = input;
        match result {
            Ok(0) if self.client.watch.has_expired() => Err(End::Refused(Refusal::ReadTimeout)),
            Ok(0) | Err(_) => Err(End::Closed),
            Ok(_) => Ok(()),
        }
    }

    /// Room behind what `input` holds; `head_bytes` in all once a head is under way.
    fn make_room(&mut self, head_bytes: usize) {
        if self.input.capacity() == 0 {
            self.input = self.shard.buffers.small();
        }
        self.input.drain(..self.start);
        self.start = 0;
        if self.input.len() == self.input.capacity() {
            // A body's first bytes may have come along, so the head's limit alone doesn't say it.
            self.input.reserve(head_bytes.max(self.input.len()));
        }
    }

    fn release_buffer(&mut self) {
        let input = std::mem::take(&mut self.input);
        self.start = 0;
        if input.capacity() > 0 {
            self.shard.buffers.give(input);
        }
    }

    /// Answers one request; false ends the connection.
    async fn exchange(&mut self, head: &RequestHead) -> bool {
        let shard = Rc::clone(&self.shard);
        let table = shard.table();
        // What comes next takes about as long as the lines of memory.
        let expected = pipeline::expect(&table, head, &self.input[self.start..]);
        self.client.watch.disarm();
        self.served = true;
        self.pipelined += 1;
        let may_keep = self.pipelined < shard.settings.pipelined_requests_max;
        let exchange = Exchange {
            shard: &shard,
            client: &self.client,
            wire: Wire::Http1,
            table: &table,
            expected,
            head,
            bytes: &self.input[self.start..],
            id: shard.ids.next(),
            source_ip: pipeline::source_ip(
                &shard.settings,
                &self.client,
                &head.headers,
                &self.input[self.start..],
            ),
            may_keep,
            now_us: (!self.came_in_pieces).then_some(self.started_us),
        };
        let mut record = Record::begin(self.started_us);
        shard.stats.borrow_mut().gauges.exchanges_in_flight += 1;
        let answered = match pipeline::serve(&exchange, &mut record).await {
            Ok(answered) => answered,
            // Boxed, and not left to `answer`: what doesn't fail shouldn't pass through it at each wake.
            Err(failure) => Box::pin(pipeline::fail(&exchange, failure, &mut record)).await,
        };
        shard.stats.borrow_mut().gauges.exchanges_in_flight -= 1;
        // What came behind it is the next request's, unless there is none.
        let own = if answered.kept { head.head_bytes + answered.body_bytes } else { exchange.bytes.len() };
        record.bytes_in += own as u64;
        record.end(&exchange);
        self.settle(head, answered).await
    }

    /// Makes the input begin with the next request, or ends the connection.
    async fn settle(&mut self, head: &RequestHead, answered: Answered) -> bool {
        if !answered.kept {
            if answered.unread {
                self.linger().await;
            }
            return false;
        }
        self.start += head.head_bytes + answered.body_bytes;
        if let Some(ahead) = answered.ahead {
            debug_assert_eq!(self.start, self.input.len(), "a body was streamed while bytes of it were left");
            self.input.clear();
            self.start = 0;
            self.input.extend_from_slice(&ahead);
        }
        true
    }

    /// Answers what could not be parsed, and ends the connection.
    async fn refuse_unparsed(&mut self, refusal: Refusal) -> bool {
        let unparsed = Unparsed {
            bytes: &self.input[self.start..],
            source_ip: self.client.peer.ip(),
            started_us: self.started_us,
        };
        let reply = pipeline::unparsed_reply(&self.shard, refusal, &unparsed);
        self.shard.wheel.arm(&self.client.watch, self.shard.settings.write_timeout_ms, OnExpiry::EndBoth);
        let (sent, reply) = self.client.stream.send(reply, 0).await;
        self.shard.buffers.give(reply);
        if sent.is_ok() {
            self.linger().await;
        }
        false
    }

    /// Ends the sending side and reads on for a moment.
    async fn linger(&mut self) {
        self.client.stream.shutdown(Shutdown::Write);
        self.shard.wheel.arm(&self.client.watch, LINGER_MS, OnExpiry::EndBoth);
        let mut buffer = self.shard.buffers.small();
        let mut left = LINGER_BYTES_MAX;
        while left > 0 && !self.client.watch.has_expired() {
            buffer.clear();
            let (result, returned) = self.client.stream.recv(buffer).await;
            buffer = returned;
            match result {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                _ => break,
            }
        }
        self.shard.buffers.give(buffer);
    }
}

/// Of a request's head, in HTTP/1.1's form.
pub(crate) fn head_limits(settings: &Settings) -> HeadLimits {
    HeadLimits {
        start_line_bytes_max: settings.start_line_bytes_max,
        header_bytes_max: settings.header_bytes_max,
        header_count_max: settings.header_count_max,
    }
}

/// Whether a request's body is wholly among `buffered`, so that a refusal needn't end the connection.
pub(crate) fn buffered_body(framing: Framing, buffered: usize) -> Option<usize> {
    match framing {
        Framing::None => Some(0),
        Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= buffered),
        Framing::Chunked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_bytes<F: Future<Output = ()>>(_: impl Fn(Rc<Shard>, u64, Accepted) -> F) -> usize {
        size_of::<F>()
    }

    /// Each open connection holds this much, idle or not: what serving a request takes is boxed where it begins.
    #[test]
    fn a_connections_task_is_small() {
        let bytes = future_bytes(serve);
        assert!(bytes <= 1_024, "{bytes} bytes");
    }

    fn active_bytes<F: Future<Output = bool>>(_: impl Fn(&'static mut Connection) -> F) -> usize {
        size_of::<F>()
    }

    /// Each busy connection holds this much more: what only few requests need is boxed where they need it, since busy
    /// connections share the core's cache.
    #[test]
    fn what_serving_takes_is_small() {
        let bytes = active_bytes(|connection| connection.be_active());
        assert!(bytes <= 2_304, "{bytes} bytes");
    }
}
