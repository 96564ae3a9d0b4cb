//! A client's connection: reads heads, has the pipeline answer them, turns refusals into replies.
//!
//! One request at a time, in the order of arrival; what a client sends ahead waits in its socket. A
//! connection that rests holds no buffer. Invariants: `start <= input.len()`, and `input` holds at most
//! one head's limit and what came with it.

use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use turnpike_http::{Framing, HeadLimits, Progress, RequestError, RequestHead};
use turnpike_rt::{Stream, Transport};

use crate::entrance::{self, Accepted, Ends};
use crate::http2;
use crate::listener;
use crate::pipeline::{self, Answered, Exchange, Forwarded, Record, Refusal, Wire};
use crate::settings::Settings;
use crate::shard::Shard;
use crate::wheel::{OnExpiry, Watch};

/// After a reply that ends the connection while the client still sends: how much more is read, and for
/// how long, so that the reply isn't lost to a reset (RFC 9112 9.6).
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_MS: u64 = 1_000;

/// The client's side of an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) peer: SocketAddr,
    pub(crate) forwarded: Forwarded,
}

struct Connection {
    shard: Rc<Shard>,
    client: Client,
    input: Vec<u8>,
    /// What comes before has been served.
    start: usize,
    /// Requests served since the connection last had to wait for one.
    pipelined: usize,
    /// A request has been served.
    served: bool,
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
        if let Some(client) = Client::admit(&shard, accepted).await {
            shard.watch(number, &client.watch);
            let mut connection = Connection {
                shard: Rc::clone(&shard),
                client,
                input: Vec::new(),
                start: 0,
                pipelined: 0,
                served: false,
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
    async fn admit(shard: &Shard, accepted: Accepted) -> Option<Self> {
        let Accepted { descriptor, peer, entrance } = accepted;
        let stream = Stream::from_accepted(descriptor).ok()?;
        let ends = entrance::identify(shard, &stream, peer, entrance).await?;
        Some(Self::new(shard, stream, ends))
    }

    fn new(shard: &Shard, stream: Stream, ends: Ends) -> Self {
        let Ends { peer, local } = ends;
        let stream = Rc::new(Transport::Plain(stream));
        let forwarded = Forwarded::new(&shard.settings, peer, local);
        Self { watch: Watch::new(Rc::clone(&stream)), stream, peer, forwarded }
    }
}

impl Connection {
    async fn run(&mut self) {
        let limits = head_limits(&self.shard.settings);
        let mut head = RequestHead::new();
        loop {
            let kept = match self.read_head(&mut head, &limits).await {
                Ok(started_us) => self.exchange(&head, started_us).await,
                Err(End::Refused(refusal)) => self.refuse_unparsed(refusal).await,
                Err(End::Http2) => return self.serve_http2().await,
                Err(End::Closed) => return,
            };
            if !kept {
                return;
            }
        }
    }

    /// The next head, and when its first byte was there.
    async fn read_head(&mut self, head: &mut RequestHead, limits: &HeadLimits) -> Result<u64, End> {
        let mut started_us = None;
        loop {
            if self.start < self.input.len() {
                let started_us = *started_us.get_or_insert_with(|| self.shard.clock.now_us());
                match head.parse(&self.input[self.start..], limits) {
                    Ok(Progress::Complete) => return Ok(started_us),
                    Ok(Progress::Partial) => self.read_more(limits).await?,
                    Err(RequestError::VersionNotSupported) if self.begins_http2() => return Err(End::Http2),
                    Err(error) => return Err(End::Refused(Refusal::Request(error))),
                }
            } else {
                self.await_request().await?;
            }
        }
    }

    /// HTTP/2's preface looks like a request of a version that isn't served, so that HTTP/1.1 pays nothing for it. It
    /// may only begin a connection (RFC 9113 3.4).
    fn begins_http2(&self) -> bool {
        !self.served && http2::is_preface(&self.input[self.start..])
    }

    async fn serve_http2(&mut self) {
        let ahead = self.input.split_off(self.start);
        self.release_buffer();
        let (shard, client) = (Rc::clone(&self.shard), self.client.clone());
        // Boxed: HTTP/1.1 connections stay as small as they are.
        Box::pin(http2::serve(shard, client, ahead)).await;
        self.linger().await;
    }

    /// Waits for a request's first bytes, with a buffer at first, then without.
    async fn await_request(&mut self) -> Result<(), End> {
        self.pipelined = 0;
        self.shard.begin_wait(&self.client.watch);
        let arrived = self.await_bytes().await;
        self.shard.end_wait(&self.client.watch);
        if arrived { Ok(()) } else { Err(End::Closed) }
    }

    async fn await_bytes(&mut self) -> bool {
        let settings = &self.shard.settings;
        let (release_ms, idle_ms) = (settings.idle_buffer_release_ms, settings.idle_timeout_ms);
        let watch = Rc::clone(&self.client.watch);
        loop {
            self.make_room(0);
            self.shard.wheel.arm(&watch, release_ms, OnExpiry::TakeBuffer);
            let input = std::mem::take(&mut self.input);
            let (result, input) = self.client.stream.recv_cancelable(input, &watch.cancel).await;
            self.input = input;
            match result {
                Ok(count) => return count > 0,
                Err(error) if !turnpike_rt::is_canceled(&error) => return false,
                Err(_) => {}
            }
            self.release_buffer();
            self.shard.wheel.arm(&watch, idle_ms, OnExpiry::EndRead);
            if self.client.stream.readable().await.is_err() || watch.has_expired() {
                return false;
            }
        }
    }

    /// More of a head of which some is there.
    async fn read_more(&mut self, limits: &HeadLimits) -> Result<(), End> {
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
    async fn exchange(&mut self, head: &RequestHead, started_us: u64) -> bool {
        self.client.watch.disarm();
        self.served = true;
        self.pipelined += 1;
        let shard = Rc::clone(&self.shard);
        let table = shard.table();
        let may_keep = self.pipelined < shard.settings.pipelined_requests_max;
        let exchange = Exchange {
            shard: &shard,
            client: &self.client,
            wire: Wire::Http1,
            table: &table,
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
        };
        let mut record = Record::begin(started_us);
        shard.stats.borrow_mut().gauges.exchanges_in_flight += 1;
        let answered = pipeline::answer(&exchange, &mut record).await;
        shard.stats.borrow_mut().gauges.exchanges_in_flight -= 1;
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
        let reply = pipeline::unparsed_reply(&self.shard, refusal);
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

    /// Each open connection holds this much, idle or not, and each request touches most of it: what is rare is
    /// boxed where it begins.
    #[test]
    fn a_connections_task_is_small() {
        let bytes = future_bytes(serve);
        assert!(bytes <= 2_560, "{bytes} bytes");
    }
}
