//! Integrate: sends the request to the upstream, as far as its body is there.
//!
//! A connection that was pooled may be closed by the upstream at the very moment it is used. If no byte of
//! an answer has come, the request is sent once more, on a new connection, if repeating it is safe: its
//! method is idempotent and the gateway still has all of it (RFC 9110 9.2.2, RFC 9112 9.3.1).

mod attempt;
mod balanced;
mod fault;

use turnpike_http::{ChunkLimits, Framing, Method, encode};

use attempt::Attempt;
pub(crate) use fault::UpstreamFault;

use super::incoming::{Incoming, take_arrived};
use super::route::{Address, Selected};
use super::upload::Upload;
use super::upstream_request::{self, Question};
use super::{Exchange, Failure, Record, Refusal, Wire};
use crate::settings::Settings;
use crate::table::Integration;
use crate::upstream::Connection;
use crate::wheel::OnExpiry;

/// A request that is on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) connection: Connection,
    /// The answer's first bytes, if the request was sent whole.
    pub(super) answer: Option<Vec<u8>>,
    /// The rest of the request's body, if there is one.
    pub(super) upload: Option<Box<Upload>>,
    /// How many of the bytes that came with the head were body.
    pub(super) body_bytes: usize,
}

/// `now_us` is the time, where it is known.
pub(super) async fn send<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    question: Option<&Question<'_>>,
    now_us: Option<u64>,
    record: &mut Record<'a>,
) -> Result<Sent, Failure> {
    let shard = exchange.shard;
    let Selected { matched, integration } = selected;
    let (mut body, body_bytes) = Incoming::begin(exchange, matched.route.compression)?;
    let mut head = shard.buffers.small();
    if let Incoming::Decoded(decoded) = &mut body {
        let mut plain = Vec::new();
        let framing = Box::pin(decoded.begin_upload(exchange, &mut plain, record)).await;
        let framing = framing.inspect_err(|_| shard.buffers.give(std::mem::take(&mut head)))?;
        let request = (matched, *integration, question);
        upstream_request::encode(exchange, address, request, Some(framing), &mut head);
        match framing {
            Framing::Chunked => encode::chunk(&mut head, &plain),
            Framing::Length(_) | Framing::None => head.extend_from_slice(&plain),
        }
    } else {
        upstream_request::encode(exchange, address, (matched, integration, question), None, &mut head);
        head.extend_from_slice(&exchange.buffered()[..body_bytes]);
    }
    if let Incoming::Http2(body) = &mut body
        && let Err(failure) = take_arrived(body, exchange, &mut head).await
    {
        shard.buffers.give(head);
        return Err(failure);
    }
    let now_us = now_us.filter(|_| matches!(body, Incoming::Http1(_)));
    let begun_us = now_us.unwrap_or_else(|| shard.clock.now_us());
    record.integration_begins(begun_us);
    let mut attempt = Attempt {
        exchange,
        integration,
        request: head,
        whole: body.is_done(),
        reuse: true,
        begun_us,
        give_up_ms: begun_us / 1000 + integration.timeout_ms,
        answer: None,
    };
    let sent = match &integration.upstream.group {
        // Boxed: only requests to groups need the room.
        Some(group) => Box::pin(attempt.run_balanced(group)).await,
        None => loop {
            let connection = match attempt.take_pooled() {
                Some(connection) => connection,
                None => match Box::pin(attempt.open()).await {
                    Ok(connection) => connection,
                    Err(fault) => break Err(fault),
                },
            };
            attempt.arm(&connection);
            let request = std::mem::take(&mut attempt.request);
            let answer = match attempt.has_sent(connection.stream.send(request, 0).await) {
                Ok(true) => attempt.has_received(connection.stream.recv(shard.buffers.small()).await),
                Ok(false) => Ok(None),
                Err(fault) => Err(fault),
            };
            match answer {
                Ok(answer) => break Ok((connection, answer)),
                Err(fault) => {
                    if let Err(fault) = attempt.repeat_after(fault, &connection) {
                        break Err(fault);
                    }
                }
            }
        },
    };
    shard.buffers.give(attempt.request);
    let (connection, answer) = sent.map_err(|fault| match fault {
        _ if exchange.client.watch.is_gone() => Failure::ClientGone,
        fault => Refusal::Upstream(fault, address.stage.protocol).into(),
    })?;
    let upload = if body.is_done() {
        None
    } else {
        Box::pin(invite_body(exchange, body_bytes, record)).await?;
        Some(Box::new(Upload::new(exchange, &connection, integration, body)))
    };
    Ok(Sent { connection, answer, upload, body_bytes })
}

/// Tells a client that waits for it that its body is wanted (RFC 9110 10.1.1). The gateway says so itself, once
/// the upstream is known to be there, since not every upstream does; it passes no expectation on.
async fn invite_body(
    exchange: &Exchange<'_>,
    body_bytes: usize,
    record: &mut Record<'_>,
) -> Result<(), Failure> {
    if !exchange.head.expect_continue || body_bytes > 0 {
        return Ok(());
    }
    let (shard, client) = (exchange.shard, exchange.client);
    let mut out = shard.buffers.small();
    encode::status_line(&mut out, 100);
    out.extend_from_slice(b"\r\n");
    record.bytes_out += out.len() as u64;
    let (sent, out) = match exchange.wire {
        Wire::Http1 => {
            shard.wheel.arm(&client.watch, shard.settings.write_timeout_ms, OnExpiry::EndBoth);
            let (sent, out) = client.stream.send(out, 0).await;
            client.watch.disarm();
            (sent.map_err(|_| Failure::ClientGone), out)
        }
        Wire::Http2(stream) => (stream.inform(&out).map_err(|_| Failure::ClientGone), out),
    };
    shard.buffers.give(out);
    sent
}

/// Trailers are bounded as headers are.
pub(super) fn chunk_limits(
    settings: &Settings,
    trailer_bytes_max: usize,
    trailer_count_max: usize,
) -> ChunkLimits {
    ChunkLimits {
        chunk_line_bytes_max: settings.chunk_line_bytes_max,
        chunk_extension_bytes_max: settings.chunk_extension_bytes_max,
        trailer_bytes_max,
        trailer_count_max,
    }
}

/// What is sent; decides how the answer's body is framed.
pub(super) fn sent_method(exchange: &Exchange<'_>, integration: &Integration) -> Method {
    match integration.method.as_deref() {
        None => exchange.head.method,
        Some("HEAD") => Method::Head,
        // Only HEAD changes how an answer is read.
        Some(_) => Method::Other,
    }
}
