//! Target groups on the housekeeper: what their names resolve to, which of their targets are healthy, and the log
//! of both. What comes out is published in each [`TargetGroup`], where the shards read it.
//!
//! One task resolves, checks and publishes. A target keeps its health for as long as its group has it, whatever
//! else a new snapshot changes. Targets that are checked begin as unknown, which are used only where none is known
//! to be healthy; targets that aren't checked count as healthy.

mod checks;
mod members;
mod probe;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use turnpike_balance::{Ejection, Health, Maglev, Random, Seat};
use turnpike_snapshot::TargetGroupUnit;

use super::resolver::{Addresses, Resolver, ServiceAddress};
use crate::settings::Settings;
use crate::table::{GroupRules, HashBy, Members, TargetGroup};
use checks::{Check, Probing};
use members::{Found, Gathered};

/// Events that the log may be behind by; more of them are counted, but not logged.
const EVENTS_QUEUED_MAX: usize = 1_024;

/// What a shard has seen of a target.
#[derive(Debug)]
pub(crate) struct TargetEvent {
    pub(crate) shard: usize,
    pub(crate) group: Arc<str>,
    pub(crate) target: Arc<str>,
    pub(crate) change: Change,
}

#[derive(Debug)]
pub(crate) enum Change {
    /// It was taken out.
    Ejected { ejection: Ejection, why: &'static str },
    /// The ejection is over.
    Returned,
}

/// A group as the metrics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupFigures {
    pub(crate) id: Arc<str>,
    /// Names, and whether they are healthy.
    pub(crate) targets: Vec<(Arc<str>, bool)>,
}

/// A handle on the task, which ends with the runtime.
#[derive(Debug)]
pub(crate) struct Targets {
    groups: Arc<Mutex<Groups>>,
    changed: Arc<Notify>,
    services: Resolver<ServiceAddress>,
    events: mpsc::Sender<TargetEvent>,
}

/// All groups of the snapshot.
#[derive(Debug)]
struct Groups {
    by_id: BTreeMap<Arc<str>, Watched>,
    hosts: Arc<ArcSwap<Addresses>>,
    services: Arc<ArcSwap<Addresses<ServiceAddress>>>,
    addresses_max: usize,
    /// Checks that are to be made, soonest first; one whose target has another time, or is gone, is void.
    due: BTreeSet<(Instant, Arc<str>, u64)>,
    random: Random,
}

/// One group.
#[derive(Debug)]
struct Watched {
    group: Arc<TargetGroup>,
    unit: TargetGroupUnit,
    rules: Arc<GroupRules>,
    found: Vec<Found>,
    left_out: usize,
    checks: HashMap<u64, Check>,
    /// Too few targets are healthy to use only those.
    panicking: bool,
}

impl Targets {
    /// Starts the task on the current tokio runtime; `hosts` is where the groups' host names are resolved.
    pub(crate) fn start(settings: &Settings, hosts: &Resolver) -> Self {
        let services = Resolver::start_services(settings);
        let groups = Groups {
            by_id: BTreeMap::new(),
            hosts: hosts.addresses(),
            services: services.addresses(),
            addresses_max: settings.target_group_addresses_max,
            due: BTreeSet::new(),
            random: Random::seeded(u64::from(std::process::id())),
        };
        let groups = Arc::new(Mutex::new(groups));
        let changed = Arc::new(Notify::new());
        let (events, happened) = mpsc::channel(EVENTS_QUEUED_MAX);
        let task = Task {
            groups: Arc::clone(&groups),
            changed: Arc::clone(&changed),
            events: happened,
            probing: Probing::new(settings.health_checks_in_flight_max),
        };
        tokio::spawn(task.run(hosts.published(), services.published()));
        Self { groups, changed, services, events }
    }

    /// Where shards tell what they see.
    pub(crate) fn events(&self) -> mpsc::Sender<TargetEvent> {
        self.events.clone()
    }

    /// The complete set of groups. Those whose targets are known by now are published before this returns.
    pub(crate) fn set<'u>(&self, groups: impl Iterator<Item = (&'u Arc<TargetGroup>, &'u TargetGroupUnit)>) {
        let mut known = self.groups.try_lock().expect(ONE_THREAD);
        let mut before = std::mem::take(&mut known.by_id);
        for (group, unit) in groups {
            let watched = match before.remove(&group.id) {
                Some(watched) if Arc::ptr_eq(&watched.group, group) => watched.with(unit),
                _ => Watched::new(group, unit),
            };
            group.set_served(true);
            known.by_id.insert(Arc::clone(&group.id), watched);
        }
        before.values().for_each(|gone| gone.group.set_served(false));
        known.refresh_all();
        self.changed.notify_one();
    }

    pub(crate) fn services(&self) -> &Resolver<ServiceAddress> {
        &self.services
    }

    pub(crate) fn figures(&self) -> Vec<GroupFigures> {
        let groups = self.groups.try_lock().expect(ONE_THREAD);
        groups.by_id.values().map(Watched::figures).collect()
    }
}

const ONE_THREAD: &str = "the housekeeper has one thread, and holds this lock across no await";

struct Task {
    groups: Arc<Mutex<Groups>>,
    changed: Arc<Notify>,
    events: mpsc::Receiver<TargetEvent>,
    probing: Probing,
}

impl Task {
    async fn run(
        mut self,
        mut hosts: tokio::sync::watch::Receiver<()>,
        mut services: tokio::sync::watch::Receiver<()>,
    ) {
        loop {
            let next_due = self.probing.start_due(&mut *self.groups.lock().await);
            tokio::select! {
                () = self.changed.notified() => {}
                Ok(()) = hosts.changed() => self.groups.lock().await.refresh_all(),
                Ok(()) = services.changed() => self.groups.lock().await.refresh_all(),
                Some(probed) = self.probing.next() => self.groups.lock().await.note(probed),
                Some(event) = self.events.recv() => self.groups.lock().await.log_event(&event),
                () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
            }
        }
    }
}

impl Groups {
    fn refresh_all(&mut self) {
        let (hosts, services) = (self.hosts.load_full(), self.services.load_full());
        for watched in self.by_id.values_mut() {
            let gathered = members::gather(&watched.unit, &hosts, &services, self.addresses_max);
            watched.take(gathered, self.addresses_max, &mut self.due);
        }
    }

    fn log_event(&self, event: &TargetEvent) {
        let TargetEvent { shard, group, target, change } = event;
        match change {
            Change::Ejected { ejection, why } => report!(
                "turnpike-gateway: target group {group}: shard {shard} sends nothing to {target} for {} ms, after {} \
                 failures in a row ({why}); the group has {} targets; look at that target's own log",
                ejection.for_ms,
                ejection.failures,
                self.by_id.get(group).map_or(0, |watched| watched.found.len())
            ),
            Change::Returned => {
                report!(
                    "turnpike-gateway: target group {group}: shard {shard} sends requests to {target} again"
                );
            }
        }
    }
}

impl Watched {
    fn new(group: &Arc<TargetGroup>, unit: &TargetGroupUnit) -> Self {
        Self {
            group: Arc::clone(group),
            unit: unit.clone(),
            rules: Arc::new(GroupRules::of(unit)),
            found: Vec::new(),
            left_out: 0,
            checks: HashMap::new(),
            panicking: false,
        }
    }

    fn with(self, unit: &TargetGroupUnit) -> Self {
        if self.unit == *unit {
            return self;
        }
        Self { unit: unit.clone(), rules: Arc::new(GroupRules::of(unit)), ..self }
    }

    /// Takes over what the names say now.
    fn take(
        &mut self,
        gathered: Gathered,
        addresses_max: usize,
        due: &mut BTreeSet<(Instant, Arc<str>, u64)>,
    ) {
        if gathered.left_out != self.left_out && gathered.left_out > 0 {
            report!(
                "turnpike-gateway: target group {}: its names resolve to {} targets, of which \
                 target_group_addresses_max lets {addresses_max} be used; raise it to use all",
                self.group.id,
                gathered.left_out + addresses_max
            );
        }
        self.left_out = gathered.left_out;
        // New names are waited for as long as there is something to serve with.
        if gathered.found.is_empty() && !gathered.settled && !self.found.is_empty() {
            self.publish(false);
            return;
        }
        self.found = gathered.found;
        self.schedule_checks(due);
        self.publish(gathered.settled);
    }

    fn health(&self, key: u64) -> Health {
        match (&self.unit.health_check, self.checks.get(&key)) {
            (None, _) => Health::Healthy,
            (Some(_), None) => Health::Unknown,
            (Some(_), Some(check)) => check.health(),
        }
    }

    /// Publishes the group as it is now, unless that is what has been published last.
    fn publish(&mut self, settled: bool) {
        let now = self.group.members.load();
        let seats: Box<[Seat]> = self.found.iter().map(|found| self.seat(found)).collect();
        let same_seats = now.seats == seats;
        if same_seats && now.settled == settled && *now.rules == *self.rules {
            return;
        }
        let shares = |seats: &[Seat]| seats.iter().map(|seat| (seat.key, seat.weight)).collect::<Vec<_>>();
        let table = match (&self.rules.hash_by, &now.table) {
            (HashBy::Nothing, _) => None,
            (_, Some(table)) if shares(&now.seats) == shares(&seats) => Some(Arc::clone(table)),
            _ => Maglev::build(&shares(&seats)).map(Arc::new),
        };
        let list = self.found.iter().map(|found| Arc::clone(&found.member)).collect();
        let members = Members { rules: Arc::clone(&self.rules), list, seats, table, settled };
        let members = Arc::new(members);
        self.group.members.store(Arc::clone(&members));
        self.log_panic(&members);
    }

    fn seat(&self, found: &Found) -> Seat {
        let key = found.member.key;
        Seat { key, weight: found.weight, priority: found.priority, health: self.health(key) }
    }

    /// As the shards will see it, but for their ejections.
    fn log_panic(&mut self, members: &Members) {
        let mut balance = turnpike_balance::Group::new(members.rules.balance, 0);
        balance.adopt(members.rules.balance, &members.seats, None, 0, |_| ());
        let was = std::mem::replace(&mut self.panicking, balance.is_panicking());
        let (id, threshold) = (&self.group.id, members.rules.balance.panic_threshold_percent);
        match (was, self.panicking) {
            (false, true) => report!(
                "turnpike-gateway: target group {id}: fewer than {threshold} % of its targets are healthy, so \
                 that all are used; mend those that the log names, or lower the panic threshold"
            ),
            (true, false) => report!(
                "turnpike-gateway: target group {id}: {threshold} % of its targets are healthy again, and only \
                 healthy ones are used"
            ),
            _ => {}
        }
    }

    fn figures(&self) -> GroupFigures {
        let targets = self.found.iter().map(|found| {
            let is_healthy = self.health(found.member.key) == Health::Healthy;
            (Arc::clone(&found.member.name), is_healthy)
        });
        GroupFigures { id: Arc::clone(&self.group.id), targets: targets.collect() }
    }
}
