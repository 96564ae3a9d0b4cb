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
use super::compress::{Edits, Plan, Planned};
use super::integrate::{Sent, UpstreamFault, chunk_limits, sent_method};
use super::refusal::{Failure, Refusal};
use super::route::{Address, Selected};
use super::upload::UploadControl;
use super::{Answered, Exchange, Record, Wire, duplex};
use crate::compression::LentEncoder;
use crate::table::Integration;
use crate::upstream::{Connection, Lease};
use stream::Coding;

pub(super) async fn relay<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    sent: Sent,
    tee: Option<&Tee<'_, 'a>>,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    let download = Download::of(exchange, address, selected, &sent, tee);
    let Some(upload) = sent.upload else {
        let answered = |relayed| download.answered(relayed, sent.body_bytes);
        return download.run(sent.connection, sent.answer, record, answered).await;
    };
    // Boxed: rare, and several times the size of the rest.
    Box::pin(duplex::relay(&download, *upload, sent.connection, record)).await
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
    pub(super) began: Cell<bool>,
    /// Whether the request has been sent whole.
    pub(super) uploaded: Cell<bool>,
    /// What goes on sending it, if it wasn't sent whole at once.
    upload: Option<Rc<UploadControl>>,
}

/// What there is to do for an answer, once its head is known.
#[derive(Debug)]
enum Course<'x> {
    /// It goes to the client in one piece, after which the client's connection goes on, or not. The upstream's is free
    /// already.
    Whole(Vec<u8>, bool),
    /// Boxed: several times the size of what most answers need.
    Long(Box<Long<'x>>),
}

/// An answer that takes more than a piece.
#[derive(Debug)]
enum Long<'x> {
    /// A cache has something else for the client.
    Instead(Connection, Hit),
    Compressed(Connection, Plan, LentEncoder<'x>),
    Streamed(Streamed),
}

/// An answer whose body isn't all there yet.
#[derive(Debug)]
struct Streamed {
    connection: Connection,
    body: Body,
    coding: Coding,
    /// The head, and what there is of the body.
    out: Vec<u8>,
    /// The client's connection goes on.
    kept: bool,
}

impl<'x, 't, 'a> Download<'x, 't, 'a> {
    #[inline]
    pub(super) fn of(
        exchange: &'x Exchange<'a>,
        address: &Address<'a, '_>,
        selected: &Selected<'a, '_>,
        sent: &Sent,
        tee: Option<&'x Tee<'t, 'a>>,
    ) -> Self {
        Self {
            exchange,
            protocol: address.stage.protocol,
            integration: selected.integration,
            method: sent_method(exchange, selected.integration),
            compression: selected.matched.route.compression,
            tee,
            began: Cell::new(false),
            uploaded: Cell::new(sent.upload.is_none()),
            upload: sent.upload.as_ref().map(|upload| upload.control()),
        }
    }

    /// What an answer comes to that no request was sent beside.
    pub(super) fn answered(
        &self,
        relayed: Result<bool, Fault>,
        body_bytes: usize,
    ) -> Result<Answered, Failure> {
        let kept = relayed.map_err(|fault| self.failure(fault))?;
        Ok(Answered { kept, unread: !kept && self.exchange.head.keep_alive, body_bytes, ahead: None })
    }

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

    /// Gives `end` whether the client's connection goes on.
    pub(super) async fn run<T>(
        &self,
        mut connection: Connection,
        answer: Option<Vec<u8>>,
        record: &mut Record<'_>,
        end: impl FnOnce(Result<bool, Fault>) -> T,
    ) -> T {
        let shard = self.exchange.shard;
        let mut head = shard.buffers.response_head();
        let mut input = answer.unwrap_or_default();
        let lease = connection.lease.clone();
        let read = match self.read_head(&input, &mut head) {
            Ok(true) => Ok(()),
            Ok(false) => Box::pin(self.read_more(&mut connection, &mut input, &mut head, record)).await,
            Err(fault) => Err(fault),
        };
        let course = match read {
            Ok(()) => {
                record.integration_answers(head.status, shard.clock.now_us());
                self.choose(connection, &input, &head, record)
            }
            Err(fault) => Err(fault),
        };
        let status = head.status;
        let relayed = match course {
            Ok(Course::Whole(out, kept)) => {
                // What was read needn't be kept until this is sent: meanwhile others use it, from the core's cache.
                self.give_back(head, input);
                match self.exchange.wire {
                    // Most answers: each wake comes here, by way of nothing that only passes it on.
                    Wire::Http1 => {
                        record.bytes_out += out.len() as u64;
                        self.exchange.await_reader();
                        let sent = self.exchange.client.stream.send(out, 0).await;
                        self.has_sent(sent).map(|()| kept)
                    }
                    Wire::Http2(_) => self.begin(out, true, record).await.map(|()| kept),
                }
            }
            Ok(Course::Long(long)) => {
                let relayed = Box::pin(self.relay_long(*long, &mut input, &head, record)).await;
                self.give_back(head, input);
                relayed
            }
            Err(fault) => {
                self.give_back(head, input);
                Err(fault)
            }
        };
        if let Some(lease) = lease
            && !self.exchange.is_abandoned()
        {
            note_outcome(&lease, status, &relayed);
        }
        end(relayed)
    }

    #[inline]
    fn give_back(&self, head: Box<ResponseHead>, input: Vec<u8>) {
        let buffers = &self.exchange.shard.buffers;
        buffers.give_response_head(head);
        if input.capacity() > 0 {
            buffers.give(input);
        }
    }

    /// What becomes of an answer whose head is there.
    fn choose(
        &self,
        connection: Connection,
        input: &[u8],
        head: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<Course<'x>, Fault> {
        if let Some(hit) = self.instead(head, input).map_err(Fault::Upstream)? {
            return Ok(Course::Long(Box::new(Long::Instead(connection, hit))));
        }
        let edits = match self.compression {
            None => Edits::default(),
            Some(Compression { bytes_min }) => match self.plan(bytes_min, head, input) {
                Planned::Compressed(plan, encoder) => {
                    return Ok(Course::Long(Box::new(Long::Compressed(connection, plan, encoder))));
                }
                Planned::Plain(edits) => edits,
            },
        };
        let shard = self.exchange.shard;
        let settings = &shard.settings;
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
        self.began.set(true);
        if !body.is_done() && coding != Coding::Discard {
            let streamed = Streamed { connection, body, coding, out, kept };
            return Ok(Course::Long(Box::new(Long::Streamed(streamed))));
        }
        // The connection is free for the next request before this answer is even sent.
        self.finish(connection, head, &body, input.len() > head.head_bytes + taken);
        Ok(Course::Whole(out, kept))
    }

    async fn relay_long(
        &self,
        long: Long<'_>,
        input: &mut Vec<u8>,
        head: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<bool, Fault> {
        match long {
            Long::Instead(connection, hit) => {
                self.answer_instead(connection, input, head, &hit, record).await
            }
            Long::Compressed(connection, plan, encoder) => {
                self.relay_compressed(connection, input, head, (plan, encoder), record).await
            }
            Long::Streamed(Streamed { mut connection, mut body, coding, out, kept }) => {
                self.begin(out, false, record).await?;
                let extra = self.stream(&mut connection, input, &mut body, coding, record).await?;
                self.finish(connection, head, &body, extra);
                Ok(kept)
            }
        }
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
