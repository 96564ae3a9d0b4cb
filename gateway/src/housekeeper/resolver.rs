//! Resolves the host names that the current snapshot's integrations use, so that no shard ever asks DNS.
//!
//! One task on the housekeeper looks every name up, again before its answer expires, and publishes an
//! immutable table that shards read. An answer that can't be refreshed serves on; an answer that says
//! there is no address takes effect. An address written as a literal resolves to itself.

mod dns;
mod refresh;
mod services;

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
pub(crate) use services::ServiceAddress;
use services::Services;

/// What a name can resolve to.
pub(crate) trait Resolved: Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// What such a name is called in the log.
    const NAME: &str;

    /// What needs no looking up.
    fn literal(name: &str) -> Option<Self>;
}

impl Resolved for IpAddr {
    const NAME: &str = "host name";

    fn literal(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

/// What every name of the snapshot resolved to, last.
#[derive(Debug)]
pub(crate) struct Addresses<R = IpAddr> {
    hosts: HashMap<Arc<str>, Resolution<R>>,
}

impl<R> Default for Addresses<R> {
    fn default() -> Self {
        Self { hosts: HashMap::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Resolution<R> {
    /// Never empty.
    addresses: Option<Arc<[R]>>,
    /// Why there is no address, or why the addresses are stale.
    problem: Option<Arc<str>>,
}

impl<R> Resolution<R> {
    const UNANSWERED: Self = Self { addresses: None, problem: None };
}

/// Why there is no address for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unresolved<'a> {
    /// Not answered yet, or no host of the current snapshot.
    Pending,
    /// What the resolver said.
    Failed(&'a str),
}

#[cfg(test)]
impl<R: Clone> Addresses<R> {
    /// What names resolved to; without addresses, that there are none.
    pub(crate) fn of_test(answers: &[(&str, &[R])]) -> Self {
        let resolution = |addresses: &[R]| match addresses {
            [] => Resolution { addresses: None, problem: Some("no such name".into()) },
            addresses => Resolution { addresses: Some(addresses.into()), problem: None },
        };
        let hosts = answers.iter().map(|(name, addresses)| ((*name).into(), resolution(addresses)));
        Self { hosts: hosts.collect() }
    }
}

impl<R> Addresses<R> {
    /// At least one address; of a host, IPv4 before IPv6, otherwise in the name server's order. `host` is spelled as
    /// it was given to [`Resolver::set_hosts`].
    pub(crate) fn of(&self, host: &str) -> Result<&Arc<[R]>, Unresolved<'_>> {
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

impl ResolverFigures {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            hosts: self.hosts + other.hosts,
            hosts_unresolved: self.hosts_unresolved + other.hosts_unresolved,
            lookups_total: self.lookups_total + other.lookups_total,
            failures_total: self.failures_total + other.failures_total,
            stale_answers_total: self.stale_answers_total + other.stale_answers_total,
        }
    }
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

impl Pace {
    fn of(settings: &Settings) -> Self {
        Self {
            ttl_min: Duration::from_millis(settings.dns_ttl_min_ms),
            ttl_max: Duration::from_millis(settings.dns_ttl_max_ms),
            failure_ttl: Duration::from_millis(settings.dns_failure_ttl_ms),
            queries_in_flight_max: settings.dns_queries_in_flight_max,
        }
    }
}

/// The hosts that are to be resolved; the generation grows each time they are set.
#[derive(Debug, Default)]
struct Wanted {
    generation: u64,
    hosts: BTreeSet<String>,
}

/// A handle on the task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Resolver<R = IpAddr> {
    wanted: watch::Sender<Wanted>,
    /// The generation of which every host has an answer or a failure.
    settled: watch::Receiver<u64>,
    published: watch::Receiver<()>,
    addresses: Arc<ArcSwap<Addresses<R>>>,
    counters: Arc<Counters>,
}

impl Resolver {
    /// Starts the task on the current tokio runtime. Where the system has no usable name server, names that
    /// /etc/hosts doesn't know fail with a message that says so.
    pub(crate) fn start(settings: &Settings) -> Self {
        Self::start_with(Dns::of(settings), Pace::of(settings))
    }
}

impl Resolver<ServiceAddress> {
    /// As [`Resolver::start`], for SRV names.
    pub(crate) fn start_services(settings: &Settings) -> Self {
        Self::start_with(Services(Dns::of(settings)), Pace::of(settings))
    }
}

impl<R: Resolved> Resolver<R> {
    fn start_with(source: impl NameSource<R>, pace: Pace) -> Self {
        let (wanted, wanted_seen) = watch::channel(Wanted::default());
        let (settled_sender, settled) = watch::channel(0);
        let (publishing, published) = watch::channel(());
        let (addresses, counters) = (Arc::<ArcSwap<Addresses<R>>>::default(), Arc::<Counters>::default());
        let refresher =
            Refresher::new(source, pace, addresses.clone(), settled_sender, publishing, counters.clone());
        tokio::spawn(refresher.run(wanted_seen));
        Self { wanted, settled, published, addresses, counters }
    }

    /// The complete set of hosts; those that aren't in it are forgotten.
    pub(crate) fn set_hosts(&self, hosts: impl IntoIterator<Item = String>) {
        let hosts = hosts.into_iter().collect();
        self.wanted.send_modify(|wanted| *wanted = Wanted { generation: wanted.generation + 1, hosts });
    }

    /// The table that shards load from.
    pub(crate) fn addresses(&self) -> Arc<ArcSwap<Addresses<R>>> {
        self.addresses.clone()
    }

    /// Tells of each new table.
    pub(crate) fn published(&self) -> watch::Receiver<()> {
        self.published.clone()
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
struct Answer<R = IpAddr> {
    addresses: Vec<R>,
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
trait NameSource<R = IpAddr>: Send + Sync + 'static {
    fn look_up(&self, name: &str) -> impl Future<Output = Result<Answer<R>, LookupError>> + Send;
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may block")]
mod tests;
