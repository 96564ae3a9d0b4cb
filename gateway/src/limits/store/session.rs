//! What is under way on a connection to the store: exchanges, and questions whether each part is there.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisError, RedisResult};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use turnpike_limits::{Exchange, PARTS, Parts};

use super::Store;
use super::link::{Link, Server, epoch_key, limit_key};

const GATEWAYS_KEY: &str = "turnpike:gateways";
/// For how long it is believed that a gateway is there.
const PRESENCE_MS: u64 = 5_000;
/// Calls that wait for their answers, about 2 KiB each.
const UNDER_WAY_MAX: usize = 1_024;
/// How often all parts are asked for while some can't be reached.
const SWEEP_EVERY: Duration = Duration::from_millis(200);
/// After how long of that a cluster is looked for anew, by the addresses that were typed.
const DIAL_EVERY: Duration = Duration::from_secs(2);
/// Beyond it the scripts' numbers would not be exact.
const TOKENS_PER_S_MAX: u64 = 1_000_000_000;

pub(super) struct Session {
    link: Link,
    calls: JoinSet<Done>,
    sweep: Option<Sweep>,
    sweeps_at: Instant,
    dials_at: Instant,
    /// Some parts can't be reached.
    pub(super) is_cut: bool,
}

/// All parts are asked for.
#[derive(Default)]
struct Sweep {
    asked: usize,
    swept: Swept,
}

#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) failed: Parts,
    /// Of one of them.
    pub(super) error: Option<RedisError>,
}

/// A call that has ended.
enum Done {
    Exchange(Exchange, RedisResult<[u64; 3]>),
    Begun(u8, RedisResult<u64>),
    Present(RedisResult<u32>),
    Dialed(RedisResult<Link>),
    Servers(RedisResult<Vec<Server>>),
}

/// What is of interest of it.
#[derive(Debug)]
pub(super) enum Ended {
    Exchange(Exchange, RedisResult<[u64; 3]>),
    /// How many gateways are there.
    Present(RedisResult<u32>),
    Swept(Swept),
    /// Of the cluster.
    Servers(Vec<Server>),
}

impl Session {
    pub(super) fn on(link: Link) -> Self {
        let now = Instant::now();
        Self {
            link,
            calls: JoinSet::new(),
            sweep: None,
            sweeps_at: now,
            dials_at: now + DIAL_EVERY,
            is_cut: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < UNDER_WAY_MAX
    }

    pub(super) fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    pub(super) fn sweeps_at(&self) -> Instant {
        self.sweeps_at
    }

    /// Nothing while nothing is under way.
    pub(super) async fn next(&mut self) -> Option<RedisResult<Ended>> {
        loop {
            let done = self.calls.join_next().await?;
            if let Some(ended) = self.end(done).transpose() {
                return Some(ended);
            }
        }
    }

    /// What has ended by now.
    pub(super) fn try_next(&mut self) -> Option<RedisResult<Ended>> {
        loop {
            let done = self.calls.try_join_next()?;
            if let Some(ended) = self.end(done).transpose() {
                return Some(ended);
            }
        }
    }

    pub(super) fn exchange(&mut self, store: &Store, exchange: Exchange) {
        let Exchange { limit, version, loan, number, held, spent, needed, liked } = exchange;
        let (gateway, lease_us) = (Arc::clone(&store.gateway), store.lease_us);
        let call = move |command: &mut Cmd| {
            let rate_micro = limit.rate.micro_tokens_per_s();
            command.arg(2).arg(limit_key(limit.id)).arg(epoch_key(limit.id.part())).arg(&*gateway);
            command.arg(loan.0).arg(number).arg(held).arg(spent).arg(needed).arg(liked);
            command.arg((rate_micro / 1_000_000).min(TOKENS_PER_S_MAX)).arg(rate_micro % 1_000_000);
            command.arg(limit.rate.burst_tokens()).arg(version).arg(lease_us);
        };
        let answer = self.link.clone().run(Arc::clone(&store.scripts.exchange), call);
        self.begin(async move { Done::Exchange(exchange, answer.await) });
    }

    pub(super) fn say_present(&mut self, store: &Store) {
        let gateway = Arc::clone(&store.gateway);
        let call = move |command: &mut Cmd| {
            command.arg(1).arg(GATEWAYS_KEY).arg(&*gateway).arg(PRESENCE_MS);
        };
        let answer = self.link.clone().run(Arc::clone(&store.scripts.presence), call);
        self.begin(async move { Done::Present(answer.await) });
    }

    /// Asks for all parts.
    pub(super) fn sweep(&mut self, store: &Store) {
        self.sweeps_at = Instant::now() + SWEEP_EVERY;
        self.sweep = Some(Sweep { asked: PARTS, ..Sweep::default() });
        for part in 0..=u8::MAX {
            let lease_us = store.lease_us;
            let call = move |command: &mut Cmd| {
                command.arg(1).arg(epoch_key(part)).arg(lease_us);
            };
            let answer = self.link.clone().run(Arc::clone(&store.scripts.begin), call);
            self.begin(async move { Done::Begun(part, answer.await) });
        }
    }

    /// What the connection knows of a cluster may be of no use any more. The present one serves meanwhile.
    pub(super) fn dial_if_due(&mut self, store: &Store) {
        let now = Instant::now();
        if now >= self.dials_at {
            self.dials_at = now + DIAL_EVERY;
            let dialer = Arc::clone(&store.dialer);
            self.begin(async move { Done::Dialed(dialer.dial().await) });
        }
    }

    pub(super) fn ask_for_servers(&mut self) {
        let servers = self.link.clone().servers();
        self.begin(async move { Done::Servers(servers.await) });
    }

    fn begin(&mut self, call: impl Future<Output = Done> + Send + 'static) {
        self.calls.spawn(call);
    }

    fn end(&mut self, done: Result<Done, JoinError>) -> RedisResult<Option<Ended>> {
        Ok(match done.map_err(io::Error::other)? {
            Done::Exchange(exchange, answer) => Some(Ended::Exchange(exchange, answer)),
            Done::Present(gateways) => Some(Ended::Present(gateways)),
            Done::Begun(part, answer) => self.end_begun(part, answer.err()).map(Ended::Swept),
            Done::Dialed(link) => {
                // A cluster that has no server that answers is heard of by the parts.
                if let Ok(link) = link {
                    self.link = link;
                }
                None
            }
            // Then those that are known already have to do.
            Done::Servers(servers) => servers.ok().map(Ended::Servers),
        })
    }

    /// Of the last part, the whole sweep.
    fn end_begun(&mut self, part: u8, error: Option<RedisError>) -> Option<Swept> {
        let sweep = self.sweep.as_mut()?;
        sweep.asked -= 1;
        if let Some(error) = error {
            sweep.swept.failed.add(part);
            sweep.swept.error = Some(error);
        }
        if sweep.asked > 0 {
            return None;
        }
        self.sweep.take().map(|sweep| sweep.swept)
    }
}
