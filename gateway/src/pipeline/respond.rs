//! Respond: passes the upstream's answer to the client, as it comes.
//!
//! Framing is kept where the client can read it; a chunked body is decoded for an HTTP/1.0 client, and a
//! body that only the upstream's close ends is chunked for an HTTP/1.1 client, who can then tell a whole
//! body from a cut one. Over HTTP/2, the head goes as fields and the body without framing. A connection goes
//! back to its pool when the answer ended where its framing said, nothing came behind it, and the request was
//! sent whole.
//!
//! Here an answer is decided on, and its connection; its [`head`] and its body's [`stream`] pass, and are [`send`]'s
//! to bring to the client.

#[cfg(feature = "bench")]
pub(super) mod bench;
mod head;
mod send;
mod stream;

use std::cell::Cell;
use std::rc::Rc;

use turnpike_http::{Method, ResponseHead};
use turnpike_snapshot::{Compression, Protocol};

use super::body::Body;
use super::cache::{Hit, Tee};
use super::compress::{Edits, Planned};
use super::integrate::{Sent, UpstreamFault, chunk_limits};
use super::refusal::{Failure, Refusal};
use super::upload::UploadControl;
use super::{Answered, Exchange, Record, Wire, duplex};
use crate::table::{Address, Integration};
use crate::upstream::{Connection, Lease};
use stream::Coding;

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
