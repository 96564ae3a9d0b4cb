//! Target groups as shards read them: rules from the snapshot, members as names and health checks say.
//!
//! An integration holds its [`TargetGroup`] for as long as it lives; what the group consists of at the moment is
//! published in it by the housekeeper, so that an answer of DNS or a health check needs no new table, and a table
//! that is still in use sees what a newer one has made of the group.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use turnpike_balance::{BudgetRules, Maglev, OutlierRules, Rules, Seat};
use turnpike_snapshot::{Balancing, TargetGroupUnit, Unit, UnitHash};

/// A target group, from the first snapshot that has it to the last.
#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) id: Arc<str>,
    /// Index of each shard's state.
    pub(crate) slot: u32,
    pub(crate) members: Arc<ArcSwap<Members>>,
    /// The newest snapshot has it; shards needn't keep anything for those that aren't.
    served: AtomicBool,
}

impl PartialEq for TargetGroup {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot
    }
}

impl Eq for TargetGroup {}

/// What a group consists of at a moment.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) rules: Arc<GroupRules>,
    /// In the order of `seats`; each has a key of its own.
    pub(crate) list: Box<[Arc<Member>]>,
    pub(crate) seats: Box<[Seat]>,
    /// Of `seats`, where a hash decides.
    pub(crate) table: Option<Arc<Maglev>>,
    /// Every name has an answer, or is known to have none.
    pub(crate) settled: bool,
}

/// One target.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Of `name`: the same whenever and wherever the target is known.
    pub(crate) key: u64,
    /// `10.0.0.7:8080`, `unix:/run/orders.sock`
    pub(crate) name: Arc<str>,
    pub(crate) address: MemberAddress,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberAddress {
    Ip(SocketAddr),
    Unix(Box<Path>),
}

/// How a group treats requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GroupRules {
    pub(crate) balance: Rules,
    pub(crate) hash_by: HashBy,
    /// Tries in all; at least 1.
    pub(crate) tries_max: u32,
    /// 0: only the integration's timeout bounds a try.
    pub(crate) try_timeout_ms: u64,
    pub(crate) budget: BudgetRules,
    pub(crate) retried_statuses: Box<[u16]>,
    /// Per target; 0 leaves it to the settings.
    pub(crate) connections_max: usize,
    /// Per target; 0 sets no bound.
    pub(crate) requests_max: u32,
    /// Of the whole group; 0 leaves it to the settings.
    pub(crate) pending_requests_max: usize,
}

/// What the requests of one target have in common.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HashBy {
    Nothing,
    /// Lower case.
    Header(Box<str>),
    SourceAddress,
}

impl TargetGroup {
    fn new(unit: &TargetGroupUnit, slot: u32) -> Self {
        let members = Members {
            rules: Arc::new(GroupRules::of(unit)),
            list: Box::default(),
            seats: Box::default(),
            table: None,
            settled: false,
        };
        Self {
            id: unit.id.as_str().into(),
            slot,
            members: Arc::new(ArcSwap::from_pointee(members)),
            served: AtomicBool::new(true),
        }
    }

    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// For the housekeeper alone.
    pub(crate) fn set_served(&self, served: bool) {
        self.served.store(served, Ordering::Relaxed);
    }
}

impl GroupRules {
    pub(crate) fn of(unit: &TargetGroupUnit) -> Self {
        let (balancing, hash_by) = match &unit.balancing {
            Balancing::RoundRobin => (turnpike_balance::Balancing::RoundRobin, HashBy::Nothing),
            Balancing::LeastRequest => (turnpike_balance::Balancing::LeastRequest, HashBy::Nothing),
            Balancing::HashHeader { name } => {
                (turnpike_balance::Balancing::Hash, HashBy::Header(name.as_str().into()))
            }
            Balancing::HashSourceAddress => (turnpike_balance::Balancing::Hash, HashBy::SourceAddress),
        };
        let outliers = unit.outlier_ejection.as_ref().map(|ejection| OutlierRules {
            consecutive_failures: ejection.consecutive_failures,
            ejection_ms: ejection.ejection_ms.into(),
            ejection_ms_max: ejection.ejection_ms_max.into(),
            ejected_percent_max: ejection.ejected_percent_max,
        });
        Self {
            balance: Rules {
                balancing,
                slow_start_ms: unit.slow_start_ms.into(),
                panic_threshold_percent: unit.panic_threshold_percent,
                outliers,
            },
            hash_by,
            tries_max: unit.retry.tries_max,
            try_timeout_ms: unit.retry.try_timeout_ms.into(),
            budget: BudgetRules { percent: unit.retry.budget_percent, retries_min: unit.retry.retries_min },
            retried_statuses: unit.retry.statuses.as_slice().into(),
            connections_max: unit.circuit_breaker.connections_max as usize,
            requests_max: unit.circuit_breaker.requests_max,
            pending_requests_max: unit.circuit_breaker.pending_requests_max as usize,
        }
    }
}

/// The groups that live, for the next compilation: a group that is in both snapshots stays the same one.
#[derive(Debug, Default)]
pub(super) struct KnownGroups {
    by_id: HashMap<String, Weak<TargetGroup>>,
    slots_used: u32,
}

impl KnownGroups {
    /// Those of a snapshot, with their units.
    pub(super) fn of_snapshot(
        &mut self,
        units: &[(UnitHash, Arc<Unit>)],
    ) -> Box<[(Arc<TargetGroup>, Arc<Unit>)]> {
        self.by_id.retain(|_, group| group.strong_count() > 0);
        let groups = units.iter().filter_map(|(_, unit)| match &**unit {
            Unit::TargetGroup(group) => Some((self.of(group), Arc::clone(unit))),
            _ => None,
        });
        groups.collect()
    }

    /// The group that an integration names; checking the snapshot has made sure that it is there.
    pub(super) fn named(&self, id: &str) -> Option<Arc<TargetGroup>> {
        self.by_id.get(id).and_then(Weak::upgrade)
    }

    fn of(&mut self, unit: &TargetGroupUnit) -> Arc<TargetGroup> {
        let known = self.by_id.entry(unit.id.clone()).or_default();
        if let Some(group) = known.upgrade() {
            return group;
        }
        let group = Arc::new(TargetGroup::new(unit, self.slots_used));
        self.slots_used += 1;
        *known = Arc::downgrade(&group);
        group
    }
}
