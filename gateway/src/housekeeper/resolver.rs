//! Resolves the host names that the current snapshot's integrations use, so that no shard ever asks DNS.
//!
//! One task on the housekeeper looks every name up, again before its answer expires, and publishes an
//! immutable table that shards read. An answer that can't be refreshed serves on; an answer that says
//! there is no address takes effect. An address written as a literal resolves to itself.

mod dns;
mod refresh;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::settings::Settings;
use dns::Dns;
use refresh::Refresher;

/// What every host name of the snapshot resolved to, last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    hosts: HashMap<Arc<str>, Resolution>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Resolution {
    /// Never empty.
    addresses: Option<Arc<[IpAddr]>>,
    /// Why there is no address, or why the addresses are stale.
    problem: Option<Arc<str>>,
}

/// Why there is no address for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unresolved<'a> {
    /// Not answered yet, or no host of the current snapshot.
    Pending,
    /// What the resolver said.
    Failed(&'a str),
}

impl Addresses {
    /// At least one address, IPv4 before IPv6, otherwise in the name server's order. `host` is spelled as
    /// it was given to [`Resolver::set_hosts`].
    pub(crate) fn of(&self, host: &str) -> Result<&Arc<[IpAddr]>, Unresolved<'_>> {
        match self.hosts.get(host) {
            None => Err(Unresolved::Pending),
            Some(Resolution { addresses: Some(addresses), .. }) => Ok(addresses),
            Some(Resolution { problem: Some(problem), .. }) => Err(Unresolved::Failed(problem)),
            Some(Resolution { problem: None, .. }) => Err(Unresolved::Pending),
        }
    }
}

/// Counts and states for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ResolverFigures {
    pub(crate) hosts: u64,
    /// Without an address.
    pub(crate) hosts_unresolved: u64,
    pub(crate) lookups_total: u64,
    /// Lookups that no name server answered; that a name doesn't exist is an answer.
    pub(crate) failures_total: u64,
    /// Failed lookups whose host keeps its last good answer.
    pub(crate) stale_answers_total: u64,
}

/// The task's side of [`ResolverFigures`].
#[derive(Debug, Default)]
struct Counters {
    hosts: AtomicU64,
    hosts_unresolved: AtomicU64,
    lookups: AtomicU64,
    failures: AtomicU64,
    stale_answers: AtomicU64,
}

/// How often names are asked for; see the settings of the same names.
#[derive(Debug, Clone, Copy)]
struct Pace {
    ttl_min: Duration,
    ttl_max: Duration,
    failure_ttl: Duration,
    queries_in_flight_max: usize,
}

/// The hosts that are to be resolved; the generation grows each time they are set.
#[derive(Debug, Default)]
struct Wanted {
    generation: u64,
    hosts: BTreeSet<String>,
}

/// A handle on the task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Resolver {
    wanted: watch::Sender<Wanted>,
    /// The generation of which every host has an answer or a failure.
    settled: watch::Receiver<u64>,
    addresses: Arc<ArcSwap<Addresses>>,
    counters: Arc<Counters>,
}

impl Resolver {
    /// Starts the task on the current tokio runtime. Where the system has no usable name server, names that
    /// /etc/hosts doesn't know fail with a message that says so.
    pub(crate) fn start(settings: &Settings) -> Self {
        let dns = Dns::new(&settings.dns_servers, Duration::from_millis(settings.dns_query_timeout_ms));
        let pace = Pace {
            ttl_min: Duration::from_millis(settings.dns_ttl_min_ms),
            ttl_max: Duration::from_millis(settings.dns_ttl_max_ms),
            failure_ttl: Duration::from_millis(settings.dns_failure_ttl_ms),
            queries_in_flight_max: settings.dns_queries_in_flight_max,
        };
        Self::start_with(dns, pace)
    }

    fn start_with(source: impl NameSource, pace: Pace) -> Self {
        let (wanted, wanted_seen) = watch::channel(Wanted::default());
        let (settled_sender, settled) = watch::channel(0);
        let (addresses, counters) = (Arc::<ArcSwap<Addresses>>::default(), Arc::<Counters>::default());
        let refresher = Refresher::new(source, pace, addresses.clone(), settled_sender, counters.clone());
        tokio::spawn(refresher.run(wanted_seen));
        Self { wanted, settled, addresses, counters }
    }

    /// The complete set of hosts; those that aren't in it are forgotten.
    pub(crate) fn set_hosts(&self, hosts: impl IntoIterator<Item = String>) {
        let hosts = hosts.into_iter().collect();
        self.wanted.send_modify(|wanted| *wanted = Wanted { generation: wanted.generation + 1, hosts });
    }

    /// The table that shards load from.
    pub(crate) fn addresses(&self) -> Arc<ArcSwap<Addresses>> {
        self.addresses.clone()
    }

    /// Waits until each host set so far has an answer or a failure; `false` when `deadline` comes first.
    pub(crate) async fn resolved(&self, deadline: Instant) -> bool {
        let generation = self.wanted.borrow().generation;
        let mut settled = self.settled.clone();
        let reached = timeout_at(deadline, settled.wait_for(|settled| *settled >= generation)).await;
        reached.is_ok_and(|task| task.is_ok())
    }

    pub(crate) fn figures(&self) -> ResolverFigures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResolverFigures {
            hosts: of(&self.counters.hosts),
            hosts_unresolved: of(&self.counters.hosts_unresolved),
            lookups_total: of(&self.counters.lookups),
            failures_total: of(&self.counters.failures),
            stale_answers_total: of(&self.counters.stale_answers),
        }
    }
}

/// Addresses, never empty, and for how long they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LookupError {
    /// Answered: there are none.
    NoAddress(String),
    /// Not answered.
    Failed(String),
}

/// Who knows names' addresses.
trait NameSource: Send + Sync + 'static {
    fn look_up(&self, host: &str) -> impl Future<Output = Result<Answer, LookupError>> + Send;
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests;
