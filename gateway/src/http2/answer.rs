//! One request over HTTP/2: makes the head that the pipeline works on, and has it answered.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use h2::Reason;
use turnpike_http::{AssembleError, Framing, RequestHead, RequestParts};

use super::stream::Stream;
use super::workers::Job;
use super::{Connection, Http2Event};
use crate::connection::head_limits;
use crate::pipeline::{self, Exchange, Record, Refusal, Unparsed, Wire};

/// Answers a request, whatever becomes of it.
pub(super) async fn answer(job: Job) {
    let Job { connection, request, respond } = job;
    let shard = &connection.shard;
    let started_us = shard.clock.now_us();
    let (parts, body) = request.into_parts();
    let ends = body.is_end_stream();
    let stream = Rc::new(Stream::new(Rc::clone(shard), body, respond));
    let mut bytes = shard.buffers.small();
    let mut head = shard.buffers.request_head();
    match assemble(&connection, &parts, ends, &mut head, &mut bytes) {
        Ok(()) => {
            drop(parts);
            exchange(&connection, &stream, &head, &bytes, started_us).await;
        }
        Err(AssembleError::Refused(error)) => {
            let source_ip = connection.client.peer.ip();
            let unparsed = Unparsed { bytes: &bytes, source_ip, started_us };
            let reply = pipeline::unparsed_reply(shard, Refusal::Request(error), &unparsed);
            // A client that has left by now needs no reply.
            let _ = stream.begin(&reply, true).await;
            shard.buffers.give(reply);
            if !ends {
                stream.linger().await;
            }
        }
        Err(AssembleError::Malformed) => {
            shard.stats.borrow_mut().counters.http2_events.count(Http2Event::MalformedRequest);
            stream.reset(Reason::PROTOCOL_ERROR);
        }
    }
    shard.buffers.give_request_head(head);
    shard.buffers.give(bytes);
    connection.stream_ended();
}

fn assemble(
    connection: &Connection,
    parts: &http::request::Parts,
    ends: bool,
    head: &mut RequestHead,
    bytes: &mut Vec<u8>,
) -> Result<(), AssembleError> {
    let uri = &parts.uri;
    // The library has a path of its own for a request that came without.
    let path = if uri.path().is_empty() { "" } else { uri.path_and_query().map_or("", |path| path.as_str()) };
    let request = RequestParts {
        method: parts.method.as_str().as_bytes(),
        path: path.as_bytes(),
        authority: uri.authority().map(|authority| authority.as_str().as_bytes()),
        ends,
    };
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    head.assemble(bytes, &request, fields, &head_limits(&connection.shard.settings))
}

async fn exchange(
    connection: &Connection,
    stream: &Rc<Stream>,
    head: &RequestHead,
    bytes: &[u8],
    started_us: u64,
) {
    let shard = &connection.shard;
    let table = shard.table();
    let exchange = Exchange {
        shard,
        client: &connection.client,
        wire: Wire::Http2(stream),
        table: &table,
        expected: pipeline::expect(&table, head, bytes),
        head,
        bytes,
        id: shard.ids.next(),
        source_ip: pipeline::source_ip(&shard.settings, &connection.client, &head.headers, bytes),
        may_keep: true,
        now_us: None,
    };
    let mut record = Record::begin(started_us);
    shard.stats.borrow_mut().gauges.exchanges_in_flight += 1;
    {
        let mut answered = pin!(pipeline::answer(&exchange, &mut record));
        poll_fn(|context| match answered.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => {
                stream.watch_client(context);
                Poll::Pending
            }
        })
        .await;
    }
    shard.stats.borrow_mut().gauges.exchanges_in_flight -= 1;
    record.bytes_in += bytes.len() as u64;
    record.end(&exchange);
    if head.framing != Framing::None {
        stream.linger().await;
    }
}
