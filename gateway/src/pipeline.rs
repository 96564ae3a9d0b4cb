//! A request's life, in order; each step takes what it reads and returns what the next one needs.
//!
//! [`serve`] is the whole of it. Steps that a route doesn't use are not there at all: what a route needs
//! was decided when its table was compiled. Bodies stream both ways; no step here buffers one.

#[cfg(feature = "bench")]
pub(crate) mod bench;
mod body;
mod cache;
mod challenge;
mod compress;
mod decompress;
mod duplex;
mod forwarded;
mod identify;
mod incoming;
mod integrate;
mod lines;
mod patience;
mod pieces;
mod quota;
mod rate_limit;
mod record;
mod refusal;
mod respond;
mod route;
mod throttle;
mod unparsed;
mod upload;
mod upstream_request;

use std::net::IpAddr;
use std::rc::Rc;

pub(crate) use forwarded::{Forwarded, source_ip};
pub(crate) use patience::Patience;
pub(crate) use record::Record;
pub(crate) use refusal::{Failure, Refusal, unparsed_reply};
use respond::Download;
use turnpike_http::{RequestHead, host_name};
pub(crate) use unparsed::Unparsed;

use crate::connection::{Client, buffered_body};
use crate::http2;
use crate::ids::RequestId;
use crate::shard::Shard;
use crate::table::{Expected, Table};
use crate::wheel::{OnExpiry, Watch};

/// What carries the request's body and its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire<'a> {
    /// The client's connection, for one exchange at a time.
    Http1,
    Http2(&'a Rc<http2::Stream>),
}

/// A parsed request and what it is served with.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) shard: &'a Rc<Shard>,
    pub(crate) client: &'a Client,
    pub(crate) wire: Wire<'a>,
    /// The table that the request began with.
    pub(crate) table: &'a Table,
    /// The host, without its port, as soon as it was known.
    pub(crate) expected: Expected<'a>,
    pub(crate) head: &'a RequestHead,
    /// From the head's first byte: the head, and what came with it.
    pub(crate) bytes: &'a [u8],
    pub(crate) id: RequestId,
    /// Whom it is from: `$context.identity.sourceIp`.
    pub(crate) source_ip: IpAddr,
    /// Whether the client hasn't sent too many requests ahead.
    pub(crate) may_keep: bool,
    /// The time, where it was read just before the request began to be served.
    pub(crate) now_us: Option<u64>,
}

/// A reply was sent.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The connection goes on.
    pub(crate) kept: bool,
    /// The client may still be sending: a body that nobody has read, or requests behind the last that is
    /// answered. A close with such bytes unread is a reset, which can overtake the answer.
    pub(crate) unread: bool,
    /// How many of the bytes that came with the head were body.
    pub(crate) body_bytes: usize,
    /// What came behind a body that was streamed: the next requests' bytes. Boxed: rare, and each request passes this on.
    pub(crate) ahead: Option<Box<[u8]>>,
}

impl Answered {
    pub(crate) fn closing() -> Self {
        Self { kept: false, unread: false, body_bytes: 0, ahead: None }
    }
}

/// Answers a request, with a refusal if need be.
pub(crate) async fn answer<'a>(exchange: &Exchange<'a>, record: &mut Record<'a>) -> Answered {
    match serve(exchange, record).await {
        Ok(answered) => answered,
        Err(failure) => fail(exchange, failure, record).await,
    }
}

/// Answers a request that [`serve`] didn't, with a refusal. What can't be answered is cut off.
pub(crate) async fn fail(exchange: &Exchange<'_>, failure: Failure, record: &mut Record<'_>) -> Answered {
    match failure {
        Failure::Refused(refusal) => return exchange.refuse(refusal, record).await,
        Failure::CutOff(fault) => record.cut_off(fault, exchange),
        Failure::ClientGone => record.client_gone(exchange.has_stalled(), exchange),
    }
    exchange.cut_off();
    Answered::closing()
}

/// Answers a request, or says why not, which is [`fail`]'s to tell the client.
pub(crate) async fn serve<'a>(exchange: &Exchange<'a>, record: &mut Record<'a>) -> Result<Answered, Failure> {
    let approached = exchange.table.approach(exchange.expected);
    let mut spelling = Vec::new();
    let path = route::path(exchange, &mut spelling)?;
    if let Some(answer) = challenge::look_up(exchange, path) {
        return Ok(Box::pin(exchange.answer_challenge(answer, record)).await);
    }
    let address = route::address(exchange, approached, path, record)?;
    let shown = identify::expect(exchange, address.stage);
    let selected = route::look_up(exchange, &address, record)?;
    let caller = identify::check(exchange, &address, &selected, shown, record)?;
    let is_free = throttle::is_free(exchange, &selected, caller);
    if !is_free {
        throttle::check(exchange, &address, &selected, caller).await?;
        quota::check(exchange, &address, caller).await?;
    }
    if let Some(rules) = &selected.matched.route.cache {
        return cache::serve(exchange, &address, &selected, rules, record).await;
    }
    // Without a limit nothing has been waited for.
    let now_us = exchange.now_us.filter(|_| is_free);
    let sent = integrate::send(exchange, &address, &selected, None, now_us, record).await?;
    if sent.upload.is_some() {
        return Box::pin(respond::relay(exchange, &address, &selected, sent, None, record)).await;
    }
    // Not by way of `relay`, through which each wake would pass.
    let download = Download::of(exchange, &address, &selected, &sent, None);
    let answered = |relayed| download.answered(relayed, sent.body_bytes);
    download.run(sent.connection, sent.answer, record, answered).await
}

/// Begins to fetch what leads to a request's stage, as soon as its head is there.
pub(crate) fn expect<'b>(table: &Table, head: &RequestHead, bytes: &'b [u8]) -> Expected<'b> {
    table.expect(host_name(head.host.of(bytes)))
}

impl Exchange<'_> {
    pub(crate) fn method(&self) -> &str {
        self.head.method.name().unwrap_or_else(|| {
            // A parsed method is a token, which is ASCII.
            std::str::from_utf8(self.head.method_span.of(self.bytes)).unwrap_or_default()
        })
    }

    /// Without the port.
    pub(crate) fn host(&self) -> &[u8] {
        self.expected.host
    }

    /// What came with the head.
    pub(crate) fn buffered(&self) -> &[u8] {
        &self.bytes[self.head.head_bytes..]
    }

    /// Whether the connection goes on, as far as can be said now: a drain may begin while an answer is waited for.
    pub(crate) fn keeps(&self) -> bool {
        self.head.keep_alive && self.may_keep && !self.shard.is_draining()
    }

    /// Gives an upstream time to answer, unless the client leaves meanwhile: then its connection is ended.
    fn await_upstream(&self, upstream: &Rc<Watch>, delay_ms: u64) {
        match self.wire {
            Wire::Http1 => self.shard.wheel.arm_while_asked(upstream, delay_ms, &self.client.watch),
            Wire::Http2(stream) => {
                self.shard.wheel.arm(upstream, delay_ms, OnExpiry::EndBoth);
                stream.engage(upstream);
            }
        }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self.wire {
            Wire::Http1 => self.client.watch.is_gone(),
            Wire::Http2(stream) => stream.has_left(),
        }
    }

    /// The client was there, and took too little of its answer.
    fn has_stalled(&self) -> bool {
        match self.wire {
            Wire::Http1 => self.client.watch.has_expired(),
            Wire::Http2(stream) => stream.has_stalled(),
        }
    }

    /// Makes what has been sent of an answer look as incomplete as it is.
    fn cut_off(&self) {
        match self.wire {
            Wire::Http1 => self.client.stream.reset_on_close(),
            Wire::Http2(stream) => stream.reset(h2::Reason::INTERNAL_ERROR),
        }
    }

    /// Sends a refusal instead of an answer.
    async fn refuse(&self, refusal: Refusal, record: &mut Record<'_>) -> Answered {
        let body_bytes = self.whole_body();
        let kept = self.keeps() && body_bytes.is_some() && !refusal.ends_connection();
        let reply = refusal::reply(self, refusal, kept, record);
        self.send_whole(reply, kept, body_bytes).await
    }

    async fn answer_challenge(&self, answer: &str, record: &mut Record<'_>) -> Answered {
        let body_bytes = self.whole_body();
        let kept = self.keeps() && body_bytes.is_some();
        let reply = challenge::reply(self, answer, kept, record);
        self.send_whole(reply, kept, body_bytes).await
    }

    /// How many bytes of body came with the head, if that is all of it: a body that is still on its way can't be
    /// told from a next request unless it is read, which isn't done for an answer that doesn't need it.
    fn whole_body(&self) -> Option<usize> {
        buffered_body(self.head.framing, self.buffered().len())
    }

    /// Sends a whole reply of the gateway's own, which is in a buffer of the shard's.
    async fn send_whole(&self, reply: Vec<u8>, kept: bool, body_bytes: Option<usize>) -> Answered {
        match self.send(reply).await {
            Ok(()) => Answered { kept, unread: !kept, body_bytes: body_bytes.unwrap_or(0), ahead: None },
            Err(_) => Answered::closing(),
        }
    }

    /// Gives the client time to take what is sent to it.
    fn await_reader(&self) {
        let (wheel, settings) = (&self.shard.wheel, &self.shard.settings);
        wheel.arm_while_taken(
            &self.client.watch,
            settings.write_timeout_ms,
            settings.body_rate_bytes_per_s_min,
        );
    }

    /// Sends a whole answer from a buffer of the shard's.
    async fn send(&self, reply: Vec<u8>) -> Result<(), ()> {
        let shard = self.shard;
        let (sent, reply) = match self.wire {
            Wire::Http1 => {
                shard.wheel.arm(&self.client.watch, shard.settings.write_timeout_ms, OnExpiry::EndBoth);
                let (sent, reply) = self.client.stream.send(reply, 0).await;
                (sent.map_err(drop), reply)
            }
            Wire::Http2(stream) => (stream.begin(&reply, true).await.map_err(drop), reply),
        };
        shard.buffers.give(reply);
        sent
    }
}
