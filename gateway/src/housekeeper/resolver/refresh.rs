//! When each name is looked up: the resolver's schedule, without any network.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::{Addresses, Answer, Counters, LookupError, NameSource, Pace, Resolution, Resolved, Wanted};

/// The task behind [`super::Resolver`].
pub(super) struct Refresher<S, R> {
    source: Arc<S>,
    pace: Pace,
    generation: u64,
    hosts: HashMap<Arc<str>, Host<R>>,
    /// The hosts in [`State::Due`], soonest first.
    due: BTreeSet<(Instant, Arc<str>)>,
    lookups: JoinSet<Finished<R>>,
    lookups_started: u64,
    /// The table is behind `hosts`.
    changed: bool,
    addresses: Arc<ArcSwap<Addresses<R>>>,
    settled: watch::Sender<u64>,
    publishing: watch::Sender<()>,
    counters: Arc<Counters>,
}

struct Host<R> {
    state: State,
    resolution: Resolution<R>,
}

enum State {
    /// A literal address, which never changes.
    Literal,
    Due(Instant),
    /// With the number of the lookup: an answer to an earlier one comes too late.
    InFlight(u64),
}

struct Finished<R> {
    number: u64,
    host: Arc<str>,
    result: Result<Answer<R>, LookupError>,
}

impl<S: NameSource<R>, R: Resolved> Refresher<S, R> {
    pub(super) fn new(
        source: S,
        pace: Pace,
        addresses: Arc<ArcSwap<Addresses<R>>>,
        settled: watch::Sender<u64>,
        publishing: watch::Sender<()>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            source: Arc::new(source),
            pace,
            generation: 0,
            hosts: HashMap::new(),
            due: BTreeSet::new(),
            lookups: JoinSet::new(),
            lookups_started: 0,
            changed: false,
            addresses,
            settled,
            publishing,
            counters,
        }
    }

    /// Runs until the other end of `wanted` is dropped.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        loop {
            self.start_lookups();
            self.publish();
            let next_due = self.next_due();
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => self.adopt(&wanted.borrow_and_update()),
                    Err(_) => return,
                },
                Some(finished) = self.lookups.join_next() => {
                    self.finish(finished.expect("a lookup neither panics nor is aborted"));
                    while let Some(finished) = self.lookups.try_join_next() {
                        self.finish(finished.expect("a lookup neither panics nor is aborted"));
                    }
                }
                () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
            }
        }
    }

    fn adopt(&mut self, wanted: &Wanted) {
        self.generation = wanted.generation;
        self.changed = true;
        let due = &mut self.due;
        self.hosts.retain(|name, host| {
            let kept = wanted.hosts.contains(&**name);
            if let (false, State::Due(at)) = (kept, &host.state) {
                due.remove(&(*at, name.clone()));
            }
            kept
        });
        let now = Instant::now();
        for name in &wanted.hosts {
            if !self.hosts.contains_key(name.as_str()) {
                let name: Arc<str> = name.as_str().into();
                let host = Host::new(&name, now);
                if let State::Due(at) = host.state {
                    self.due.insert((at, name.clone()));
                }
                self.hosts.insert(name, host);
            }
        }
    }

    /// As many as are due and allowed at once.
    fn start_lookups(&mut self) {
        let now = Instant::now();
        while self.lookups.len() < self.pace.queries_in_flight_max {
            if self.due.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((_, name)) = self.due.pop_first() else { return };
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            self.lookups_started += 1;
            host.state = State::InFlight(self.lookups_started);
            self.counters.lookups.fetch_add(1, Ordering::Relaxed);
            let (source, number) = (self.source.clone(), self.lookups_started);
            self.lookups.spawn(async move {
                let result = source.look_up(&name).await;
                Finished { number, host: name, result }
            });
        }
    }

    /// When a lookup can be started next, if only time is in the way.
    fn next_due(&self) -> Option<Instant> {
        let has_place = self.lookups.len() < self.pace.queries_in_flight_max;
        self.due.first().filter(|_| has_place).map(|(at, _)| *at)
    }

    fn finish(&mut self, finished: Finished<R>) {
        let Some(host) = self.hosts.get_mut(&finished.host) else { return };
        if !matches!(host.state, State::InFlight(number) if number == finished.number) {
            return;
        }
        let before = host.resolution.clone();
        let wait = match finished.result {
            Ok(answer) => host.take(&finished.host, answer, self.pace),
            Err(error) => host.fail(&finished.host, error, self.pace, &self.counters),
        };
        self.changed |= before != host.resolution;
        let at = Instant::now() + wait;
        host.state = State::Due(at);
        self.due.insert((at, finished.host));
    }

    /// Brings the table up to date, and then says so.
    fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let table: HashMap<_, _> =
            self.hosts.iter().map(|(name, host)| (name.clone(), host.resolution.clone())).collect();
        let unresolved = table.values().filter(|resolution| resolution.addresses.is_none()).count();
        let unanswered = table.values().any(|resolution| *resolution == Resolution::UNANSWERED);
        self.counters.hosts.store(table.len() as u64, Ordering::Relaxed);
        self.counters.hosts_unresolved.store(unresolved as u64, Ordering::Relaxed);
        self.addresses.store(Arc::new(Addresses { hosts: table }));
        self.publishing.send_replace(());
        if !unanswered {
            self.settled.send_replace(self.generation);
        }
    }
}

impl<R: Resolved> Host<R> {
    fn new(name: &str, now: Instant) -> Self {
        match R::literal(name) {
            Some(address) => Self {
                state: State::Literal,
                resolution: Resolution { addresses: Some([address].into()), problem: None },
            },
            None => Self { state: State::Due(now), resolution: Resolution::UNANSWERED },
        }
    }

    /// How long until the next lookup.
    fn take(&mut self, name: &str, answer: Answer<R>, pace: Pace) -> Duration {
        if self.resolution.problem.is_some() {
            report!("turnpike-gateway: {} `{name}` resolves again", R::NAME);
        }
        self.resolution = Resolution { addresses: Some(answer.addresses.into()), problem: None };
        let ttl = answer.ttl.clamp(pace.ttl_min, pace.ttl_max);
        // A tenth of its life is left to refresh an answer in.
        (ttl - ttl / 10).max(pace.ttl_min)
    }

    /// How long until the next lookup.
    fn fail(&mut self, name: &str, error: LookupError, pace: Pace, counters: &Counters) -> Duration {
        let problem = match error {
            LookupError::NoAddress(problem) => {
                self.resolution.addresses = None;
                problem
            }
            LookupError::Failed(problem) => {
                counters.failures.fetch_add(1, Ordering::Relaxed);
                let is_stale = self.resolution.addresses.is_some();
                counters.stale_answers.fetch_add(is_stale.into(), Ordering::Relaxed);
                problem
            }
        };
        if self.resolution.problem.is_none() {
            let meanwhile = match self.resolution.addresses {
                Some(_) => "its last addresses serve on",
                None => "requests to it fail until it resolves",
            };
            report!("turnpike-gateway: cannot resolve {} `{name}`: {problem}; {meanwhile}", R::NAME);
        }
        self.resolution.problem = Some(problem.into());
        pace.failure_ttl
    }
}
