//! An answer's body on its way: each piece is sent before the next one is read, from where it was read if its framing
//! stays. No more of it is held than one buffer.

use turnpike_http::{ChunkError, Method, ResponseFraming, ResponseHead, Version, encode};

use super::super::body::Body;
use super::super::integrate::UpstreamFault;
use super::super::pieces::{self, Pace};
use super::super::{Record, Wire};
use super::{Download, Fault};
use crate::upstream::Connection;

/// How the body's framing changes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Same,
    Dechunk,
    Enchunk,
    /// The client asked for the head only, and the integration for more.
    Discard,
}

impl Download<'_, '_, '_> {
    pub(super) fn coding(&self, head: &ResponseHead) -> Coding {
        let has_body = !matches!(head.framing, ResponseFraming::None | ResponseFraming::Length(0));
        match (head.framing, self.exchange.head.version) {
            _ if self.exchange.head.method == Method::Head && has_body => Coding::Discard,
            (_, Version::Http2) | (ResponseFraming::Chunked, Version::Http10) => Coding::Dechunk,
            (ResponseFraming::UntilClose, Version::Http11) => Coding::Enchunk,
            _ => Coding::Same,
        }
    }

    /// An HTTP/1.0 client knows no other end of a body without a length.
    pub(super) fn ends_with_close(&self, head: &ResponseHead) -> bool {
        self.exchange.head.version == Version::Http10
            && matches!(head.framing, ResponseFraming::Chunked | ResponseFraming::UntilClose)
    }

    /// Passes the rest of the body; whether bytes came behind its end.
    pub(super) async fn stream(
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
    pub(in crate::pipeline) fn has_ended(
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
    pub(in crate::pipeline) async fn await_piece(
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
    pub(super) fn pass(
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
    pub(in crate::pipeline) fn keep(&self, bytes: &[u8], body: &Body) {
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
}
