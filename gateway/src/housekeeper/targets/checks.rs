//! Health checks: when each target is asked, and what its answers change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use turnpike_balance::{CheckRules, Checked, Health};
use turnpike_snapshot::{HealthCheck, Probe};

use super::probe::{self, Plan};
use super::{Groups, Watched};

/// An interval is this much longer or shorter each time, so that checks don't come in step.
const JITTER: f64 = 0.1;

/// One target's checks.
#[derive(Debug)]
pub(super) struct Check {
    checked: Checked,
    /// When the next begins, or the present one began.
    at: Instant,
    in_flight: bool,
}

impl Check {
    pub(super) fn health(&self) -> Health {
        self.checked.health()
    }
}

/// A check has ended.
#[derive(Debug)]
pub(super) struct Probed {
    group: Arc<str>,
    key: u64,
    began: Instant,
    outcome: Result<(), String>,
}

/// The checks that are under way.
#[derive(Debug)]
pub(super) struct Probing {
    in_flight: JoinSet<Probed>,
    in_flight_max: usize,
}

impl Probing {
    pub(super) fn new(in_flight_max: usize) -> Self {
        Self { in_flight: JoinSet::new(), in_flight_max }
    }

    /// Starts as many as are due and allowed; when the next one is, if only time is in the way.
    pub(super) fn start_due(&mut self, groups: &mut Groups) -> Option<Instant> {
        let now = Instant::now();
        while self.in_flight.len() < self.in_flight_max {
            let at = groups.due.first().map(|(at, _, _)| *at)?;
            if at > now {
                return Some(at);
            }
            let (at, group, key) = groups.due.pop_first()?;
            let Some(plan) = groups.begin_check(&group, key, at, now) else { continue };
            self.in_flight.spawn(async move {
                let outcome = probe::run(plan).await;
                Probed { group, key, began: now, outcome }
            });
        }
        None
    }

    pub(super) async fn next(&mut self) -> Option<Probed> {
        let probed = self.in_flight.join_next().await?;
        Some(probed.expect("a check neither panics nor is aborted"))
    }
}

impl Groups {
    /// `None`: the check is void.
    fn begin_check(&mut self, group: &Arc<str>, key: u64, at: Instant, now: Instant) -> Option<Plan> {
        let watched = self.by_id.get_mut(group)?;
        let check = watched.checks.get_mut(&key)?;
        let rules = watched.unit.health_check.as_ref()?;
        if check.at != at || check.in_flight {
            return None;
        }
        (check.at, check.in_flight) = (now, true);
        let found = watched.found.iter().find(|found| found.member.key == key)?;
        Some(Plan::new(rules, &found.member.address, &found.host))
    }

    /// Takes a check's outcome over and schedules the next.
    pub(super) fn note(&mut self, probed: Probed) {
        let Some(watched) = self.by_id.get_mut(&probed.group) else { return };
        let Some(rules) = watched.unit.health_check.clone() else { return };
        let Some(check) = watched.checks.get_mut(&probed.key) else { return };
        // One that has left meanwhile and come back is checked anew.
        if !check.in_flight || check.at != probed.began {
            return;
        }
        let before = check.health();
        let changed = check.checked.note(probed.outcome.is_ok(), thresholds(&rules));
        let factor = 1.0 - JITTER + 2.0 * JITTER * self.random.fraction();
        let interval = Duration::from_millis(rules.interval_ms.into()).mul_f64(factor);
        check.in_flight = false;
        check.at = (probed.began + interval).max(Instant::now());
        self.due.insert((check.at, Arc::clone(&probed.group), probed.key));
        if let Some(health) = changed {
            // First what the log then says is so.
            let settled = watched.group.members.load().settled;
            watched.publish(settled);
            // That a new target is healthy is as it should be.
            if (before, health) != (Health::Unknown, Health::Healthy) {
                watched.log_health(probed.key, probed.outcome.err(), &rules);
            }
        }
    }
}

fn thresholds(rules: &HealthCheck) -> CheckRules {
    CheckRules { healthy_threshold: rules.healthy_threshold, unhealthy_threshold: rules.unhealthy_threshold }
}

impl Watched {
    /// Checks begin for targets that are new, at once, and end for those that are gone.
    pub(super) fn schedule_checks(&mut self, due: &mut BTreeSet<(Instant, Arc<str>, u64)>) {
        let Some(rules) = &self.unit.health_check else { return self.checks.clear() };
        let found = &self.found;
        self.checks.retain(|key, _| found.iter().any(|found| found.member.key == *key));
        let now = Instant::now();
        let latest = now + Duration::from_millis(rules.interval_ms.into());
        for key in found.iter().map(|found| found.member.key) {
            let check = self.checks.entry(key).or_insert_with(|| {
                due.insert((now, Arc::clone(&self.group.id), key));
                Check { checked: Checked::default(), at: now, in_flight: false }
            });
            // The interval has become shorter.
            if !check.in_flight && check.at > latest {
                due.insert((latest, Arc::clone(&self.group.id), key));
                check.at = latest;
            }
        }
    }

    fn log_health(&self, key: u64, problem: Option<String>, rules: &HealthCheck) {
        let Some(found) = self.found.iter().find(|found| found.member.key == key) else { return };
        let healthy = self.checks.values().filter(|check| check.health() == Health::Healthy).count();
        let (id, name, total) = (&self.group.id, &found.member.name, self.found.len());
        match problem {
            Some(problem) => report!(
                "turnpike-gateway: target group {id}: {name} is unhealthy after {} failed checks in a row, the last: \
                 {problem}; {healthy} of {total} targets are healthy; see that it runs and answers {}",
                rules.unhealthy_threshold,
                describe(&rules.probe)
            ),
            None => report!(
                "turnpike-gateway: target group {id}: {name} is healthy again; {healthy} of {total} targets are healthy"
            ),
        }
    }
}

fn describe(probe: &Probe) -> String {
    match probe {
        Probe::Tcp => "connections".to_owned(),
        Probe::Http { path, status_min, status_max, .. } if status_min == status_max => {
            format!("GET {path} with {status_min}")
        }
        Probe::Http { path, status_min, status_max, .. } => {
            format!("GET {path} with {status_min} to {status_max}")
        }
    }
}
