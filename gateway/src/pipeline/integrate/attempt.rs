//! Sending one request, again where that is safe.
//!
//! What waits is whoever awaits: here is what stands between the waits, so that a wake passes through no function that
//! would only pass it on.

use std::io;

use super::{Exchange, UpstreamFault};
use crate::table::Integration;
use crate::upstream::{self, Connection};

pub(super) struct Attempt<'a> {
    pub(super) exchange: &'a Exchange<'a>,
    pub(super) integration: &'a Integration,
    /// The head and what there is of the body.
    pub(super) request: Vec<u8>,
    /// Nothing of the body is missing.
    pub(super) whole: bool,
    pub(super) reuse: bool,
    /// On the shard's clock, as `give_up_ms`.
    pub(super) begun_us: u64,
    pub(super) give_up_ms: u64,
    /// The answer's first bytes, while tries at a target group go on.
    pub(super) answer: Option<Vec<u8>>,
}

impl Attempt<'_> {
    /// One from the pool: only what comes first is taken from there, at the time when the attempt begins.
    #[inline]
    pub(super) fn take_pooled(&self) -> Option<Connection> {
        upstream::take_pooled(self.exchange.shard, &self.integration.upstream, self.reuse, self.begun_us)
    }

    /// Where the pool has none. To be boxed: rare, and larger than all that a request on a pooled connection needs.
    pub(super) async fn open(&self) -> Result<Connection, UpstreamFault> {
        let upstream = &self.integration.upstream;
        Ok(upstream::open(self.exchange.shard, upstream, self.reuse, self.give_up_ms).await?)
    }

    /// The time in which an answer has to begin.
    #[inline]
    pub(super) fn arm(&self, connection: &Connection) {
        // A pooled connection took no time.
        let left_ms = if connection.reused {
            self.integration.timeout_ms
        } else {
            self.give_up_ms.saturating_sub(self.exchange.shard.now_ms())
        };
        self.exchange.await_upstream(&connection.watch, left_ms);
    }

    /// The request was sent: whether an answer is due.
    #[inline]
    pub(super) fn has_sent(
        &mut self,
        (sent, request): (io::Result<()>, Vec<u8>),
    ) -> Result<bool, UpstreamFault> {
        self.request = request;
        if sent.is_ok() { Ok(self.whole) } else { Err(UpstreamFault::Closed) }
    }

    /// The first bytes of an answer.
    #[inline]
    pub(super) fn has_received(
        &self,
        (received, answer): (io::Result<usize>, Vec<u8>),
    ) -> Result<Option<Vec<u8>>, UpstreamFault> {
        match received {
            Ok(count) if count > 0 => Ok(Some(answer)),
            _ => {
                self.exchange.shard.buffers.give(answer);
                Err(UpstreamFault::Closed)
            }
        }
    }

    /// Makes ready for another connection, unless the fault is the end of it.
    #[cold]
    pub(super) fn repeat_after(
        &mut self,
        fault: UpstreamFault,
        connection: &Connection,
    ) -> Result<(), UpstreamFault> {
        if self.exchange.is_abandoned() {
            return Err(fault);
        }
        if connection.watch.has_expired() {
            connection.distrust();
            return Err(UpstreamFault::TimedOut);
        }
        if !(connection.reused && (connection.is_unprocessed() || self.is_repeatable())) {
            return Err(fault);
        }
        self.exchange.shard.stats.borrow_mut().counters.upstream_retries_total += 1;
        self.reuse = false;
        Ok(())
    }

    pub(super) fn is_repeatable(&self) -> bool {
        // `Other` may be anything, so it isn't repeated; PATCH and POST aren't idempotent.
        let method = match self.integration.method.as_deref() {
            None => self.exchange.method(),
            Some(method) => method,
        };
        matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE")
    }
}
