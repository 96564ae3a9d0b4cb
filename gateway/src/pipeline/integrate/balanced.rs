//! Sending a request to a target group: tries, on one target after the other, where that is safe.
//!
//! A try may be followed by another if no byte of the request was sent, or if repeating the request is safe (its
//! method is idempotent and the gateway still has all of it; RFC 9110 9.2.2), and nothing of an answer has gone
//! to the client. Tries are bounded by the policy's number and budget, and all together by the integration's
//! timeout. A pooled connection that turns out to be closed is no failure of its target, and costs no try.

use std::rc::Rc;
use std::sync::Arc;

use turnpike_balance::hash_bytes;
use turnpike_http::{HeadLimits, Progress, ResponseFraming, ResponseHead};

use super::attempt::Attempt;
use super::{Exchange, UpstreamFault};
use crate::shard::Shard;
use crate::table::{HashBy, TargetGroup};
use crate::upstream::{Adopted, Connection, Group, Lease, Retry, Wish};

/// `HTTP/1.1 503`
const STATUS_END: usize = 12;

type Answered = (Connection, Option<Vec<u8>>);

/// A request's tries at a group.
struct Tries<'t, 'a> {
    attempt: &'t mut Attempt<'a>,
    group: Rc<Group>,
    adopted: Rc<Adopted>,
    hash: Option<u64>,
    /// Targets that it has failed at; allocates with the first failure.
    tried: Vec<u64>,
    count: u32,
}

/// A try that failed.
struct Failed {
    fault: UpstreamFault,
    /// Bytes of the request may have reached the target.
    sent: bool,
    target: Option<u64>,
}

impl Attempt<'_> {
    pub(super) async fn run_balanced(&mut self, group: &Arc<TargetGroup>) -> Result<Answered, UpstreamFault> {
        let shard = self.exchange.shard;
        let group = shard.pools.groups.of(shard, group);
        let adopted = group.adopted(shard);
        let hash = hash(self.exchange, &adopted.rules().hash_by);
        let mut tries = Tries { attempt: self, group, adopted, hash, tried: Vec::new(), count: 0 };
        tries.run().await
    }
}

impl Tries<'_, '_> {
    async fn run(&mut self) -> Result<Answered, UpstreamFault> {
        let mut retry = None;
        loop {
            self.count += 1;
            match self.once(&mut retry).await {
                Ok((connection, answer)) => match self.retry_instead(&connection, answer.as_deref()) {
                    Some(again) => {
                        self.note_tried(connection.lease.as_ref().map(|lease| lease.target().key()));
                        recycle(self.attempt.exchange.shard, connection, answer);
                        retry = Some(again);
                    }
                    None => return Ok((connection, answer)),
                },
                Err(failed) => {
                    self.note_tried(failed.target);
                    retry = Some(self.retry_after(&failed).ok_or(failed.fault)?);
                }
            }
        }
    }

    /// One target's turn, and once more at the same where a pooled connection was closed.
    async fn once(&mut self, retry: &mut Option<Retry>) -> Result<Answered, Failed> {
        let (shard, give_up_ms) = (self.attempt.exchange.shard, self.try_ends_ms());
        let upstream = &self.attempt.integration.upstream;
        let wish = Wish { hash: self.hash, tried: &self.tried, give_up_ms };
        let connected = self.group.connect(shard, upstream, &wish).await;
        let mut connection = connected.map_err(Failed::to_connect)?;
        if let (Some(lease), Some(retry)) = (&connection.lease, retry.take()) {
            lease.keep(retry);
        }
        loop {
            let Err(failed) = self.exchange_on(&mut connection, give_up_ms).await else {
                let answer = self.attempt.answer.take();
                return Ok((connection, answer));
            };
            let stale = connection.reused && failed.fault == UpstreamFault::Closed;
            let repeatable = connection.is_unprocessed() || self.attempt.is_repeatable();
            let lease = connection.lease.clone();
            drop(connection);
            let Some(lease) = lease else { return Err(failed) };
            if self.attempt.exchange.is_abandoned() {
                return Err(failed);
            }
            if stale && repeatable {
                shard.stats.borrow_mut().counters.upstream_retries_total += 1;
                if let Some(fresh) = self.group.connect_to(shard, upstream, &lease, false, give_up_ms).await {
                    connection = fresh.map_err(Failed::to_connect)?;
                    continue;
                }
            }
            lease.failed(failed.why());
            return Err(failed);
        }
    }

    /// Sends, and waits for the first bytes of the answer if all of the request is sent.
    async fn ask(&mut self, connection: &Connection) -> Result<Option<Vec<u8>>, UpstreamFault> {
        let request = std::mem::take(&mut self.attempt.request);
        let sent = connection.stream.send(request, 0).await;
        if !self.attempt.has_sent(sent)? {
            return Ok(None);
        }
        let buffer = self.attempt.exchange.shard.buffers.small();
        self.attempt.has_received(connection.stream.recv(buffer).await)
    }

    /// Sends, and keeps the first bytes of the answer, its status among them if it may be retried.
    async fn exchange_on(&mut self, connection: &mut Connection, give_up_ms: u64) -> Result<(), Failed> {
        let shard = self.attempt.exchange.shard;
        let left_ms = give_up_ms.saturating_sub(shard.now_ms());
        self.attempt.exchange.await_upstream(&connection.watch, left_ms);
        let mut outcome = self.ask(connection).await;
        while let Ok(Some(answer)) = &mut outcome
            && answer.len() < STATUS_END
            && self.may_retry_statuses()
        {
            let (received, buffer) = connection.stream.recv(std::mem::take(answer)).await;
            *answer = buffer;
            if !matches!(received, Ok(count) if count > 0) {
                if let Ok(Some(answer)) = outcome {
                    shard.buffers.give(answer);
                }
                outcome = Err(UpstreamFault::Closed);
            }
        }
        match outcome {
            Ok(answer) => {
                self.attempt.answer = answer;
                Ok(())
            }
            Err(fault) => {
                let fault = if connection.watch.has_expired() { UpstreamFault::TimedOut } else { fault };
                let target = connection.lease.as_ref().map(|lease| lease.target().key());
                if fault == UpstreamFault::TimedOut {
                    connection.distrust();
                }
                Err(Failed { fault, sent: !connection.is_unprocessed(), target })
            }
        }
    }

    /// Another try instead of passing this answer on.
    fn retry_instead(&self, connection: &Connection, answer: Option<&[u8]>) -> Option<Retry> {
        let status = status_of(answer?)?;
        if !self.may_retry_statuses() || !self.adopted.rules().retried_statuses.contains(&status) {
            return None;
        }
        let retry = Retry::begin(&self.group, self.adopted.rules().budget)?;
        if let Some(lease) = &connection.lease {
            lease.answered(status);
        }
        Some(retry)
    }

    /// Another try after one that failed.
    fn retry_after(&self, failed: &Failed) -> Option<Retry> {
        let of_target = match failed.fault {
            UpstreamFault::Connect
            | UpstreamFault::Tls(_)
            | UpstreamFault::Closed
            | UpstreamFault::Malformed
            | UpstreamFault::TimedOut => true,
            // The group as a whole has nothing to offer.
            UpstreamFault::Unresolved
            | UpstreamFault::TooManyConnections
            | UpstreamFault::NoTarget
            | UpstreamFault::CircuitOpen => false,
        };
        let asked = !self.attempt.exchange.is_abandoned();
        let safe = !failed.sent || self.attempt.is_repeatable() && self.attempt.whole;
        let retries = of_target && asked && failed.target.is_some() && safe && self.has_tries_left();
        if retries { Retry::begin(&self.group, self.adopted.rules().budget) } else { None }
    }

    fn may_retry_statuses(&self) -> bool {
        !self.adopted.rules().retried_statuses.is_empty()
            && self.has_tries_left()
            && self.attempt.whole
            && self.attempt.is_repeatable()
    }

    fn has_tries_left(&self) -> bool {
        self.count < self.adopted.rules().tries_max
            && self.attempt.exchange.shard.now_ms() < self.attempt.give_up_ms
    }

    fn try_ends_ms(&self) -> u64 {
        match self.adopted.rules().try_timeout_ms {
            0 => self.attempt.give_up_ms,
            try_timeout_ms => {
                let now_ms = self.attempt.exchange.shard.now_ms();
                self.attempt.give_up_ms.min(now_ms.saturating_add(try_timeout_ms))
            }
        }
    }

    fn note_tried(&mut self, target: Option<u64>) {
        self.tried.extend(target);
    }
}

impl Failed {
    fn to_connect(error: crate::upstream::TargetError) -> Self {
        Self { fault: error.error.into(), sent: false, target: error.target }
    }

    fn why(&self) -> &'static str {
        match self.fault {
            UpstreamFault::TimedOut => Lease::TIMED_OUT,
            _ => Lease::CLOSED,
        }
    }
}

/// What makes requests belong together.
fn hash(exchange: &Exchange<'_>, by: &HashBy) -> Option<u64> {
    match by {
        HashBy::Nothing => None,
        HashBy::Header(name) => {
            let mut fields = exchange.head.headers.iter();
            let field = fields
                .find(|field| field.name_span.of(exchange.bytes).eq_ignore_ascii_case(name.as_bytes()))?;
            Some(hash_bytes(field.value_span.of(exchange.bytes)))
        }
        HashBy::SourceAddress => Some(match exchange.source_ip {
            std::net::IpAddr::V4(ip) => hash_bytes(&ip.octets()),
            std::net::IpAddr::V6(ip) => hash_bytes(&ip.octets()),
        }),
    }
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.get(..STATUS_END)?.strip_prefix(b"HTTP/1.")?;
    std::str::from_utf8(&line[2..]).ok()?.parse().ok()
}

/// Gives an answer that nobody gets back, and its connection too if nothing more comes on it.
fn recycle(shard: &Shard, connection: Connection, answer: Option<Vec<u8>>) {
    let Some(answer) = answer else { return };
    let limits = HeadLimits {
        start_line_bytes_max: shard.settings.upstream_head_bytes_max,
        header_bytes_max: shard.settings.upstream_head_bytes_max,
        header_count_max: shard.settings.upstream_header_count_max,
    };
    let mut head: Box<ResponseHead> = shard.buffers.response_head();
    // A HEAD's answer has no body, which only this method would tell: its connection is closed.
    let parsed = head.parse(&answer, turnpike_http::Method::Other, &limits);
    let whole = matches!(parsed, Ok(Progress::Complete))
        && head.keep_alive
        && match head.framing {
            ResponseFraming::None => answer.len() == head.head_bytes,
            ResponseFraming::Length(length) => (answer.len() - head.head_bytes) as u64 == length,
            ResponseFraming::Chunked | ResponseFraming::UntilClose => false,
        };
    shard.buffers.give_response_head(head);
    shard.buffers.give(answer);
    if whole {
        connection.release(shard);
    }
}
