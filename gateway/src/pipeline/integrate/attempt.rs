//! Sending one request, again where that is safe.

use std::rc::Rc;

use super::{Exchange, UpstreamFault};
use crate::shard::Shard;
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
    pub(super) async fn run(&mut self) -> Result<(Connection, Option<Vec<u8>>), UpstreamFault> {
        let shard = self.exchange.shard;
        if let Some(group) = &self.integration.upstream.group {
            // Boxed: only requests to groups need the room.
            return Box::pin(self.run_balanced(group)).await;
        }
        loop {
            let upstream = &self.integration.upstream;
            // Only what comes first is taken from a pool, at the time when the attempt begins.
            let mut connection =
                upstream::connect(shard, upstream, self.reuse, self.begun_us, self.give_up_ms).await?;
            // A pooled connection took no time.
            let left_ms = if connection.reused {
                self.integration.timeout_ms
            } else {
                self.give_up_ms.saturating_sub(shard.now_ms())
            };
            self.exchange.await_upstream(&connection.watch, left_ms);
            let outcome = self.once(&mut connection).await;
            match outcome {
                Ok(answer) => return Ok((connection, answer)),
                Err(fault) if self.exchange.is_abandoned() => return Err(fault),
                Err(_) if connection.watch.has_expired() => {
                    connection.distrust();
                    return Err(UpstreamFault::TimedOut);
                }
                Err(fault)
                    if !(connection.reused && (connection.is_unprocessed() || self.is_repeatable())) =>
                {
                    return Err(fault);
                }
                Err(_) => {
                    shard.stats.borrow_mut().counters.upstream_retries_total += 1;
                    self.reuse = false;
                }
            }
        }
    }

    /// Sends, and waits for the first bytes of the answer if all of the request is sent.
    pub(super) async fn once(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<u8>>, UpstreamFault> {
        let shard: &Rc<Shard> = self.exchange.shard;
        let (sent, request) = connection.stream.send(std::mem::take(&mut self.request), 0).await;
        self.request = request;
        if sent.is_err() {
            return Err(UpstreamFault::Closed);
        }
        if !self.whole {
            return Ok(None);
        }
        let (received, answer) = connection.stream.recv(shard.buffers.small()).await;
        match received {
            Ok(count) if count > 0 => Ok(Some(answer)),
            _ => {
                shard.buffers.give(answer);
                Err(UpstreamFault::Closed)
            }
        }
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
