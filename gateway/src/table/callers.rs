//! API keys and the usage plans that they are in: who calls, of whom a route asks for a key.
//!
//! A key is looked up by the SHA-256 of what the caller shows ([`keys`]), which is all that is known of its value.

mod keys;

use std::collections::HashMap;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use rustc_hash::FxHashMap;
use turnpike_limits::Limit;
use turnpike_snapshot::{ApiKeysUnit, PlanRoute, Quota, Unit, UnitHash, UsagePlanUnit};

use super::{Route, Stage, throttles};
use crate::quotas::{Names, Place, QuotaOf};
use keys::{Key, KeySlice, Keys, Secret};

/// All keys of a snapshot, and all plans.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    keys: Keys,
    /// The plans that slices name, in their order; one for all that name the same.
    plans: Vec<Box<[Option<Arc<Plan>>]>>,
    /// Index of each slice's plans; a slice without keys has none.
    plans_of: Box<[u32]>,
}

/// What a caller shows, as keys are known by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown([u8; 32]);

/// Who shows a key, by a plan that has the stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'t> {
    key: Key<'t>,
    plan: &'t Plan,
    routes: &'t FxHashMap<Box<str>, Limit>,
}

#[derive(Debug)]
struct Plan {
    id: Box<str>,
    /// Tells its quotas from those of other plans.
    salt: u64,
    /// Of each key.
    throttle: Option<Limit>,
    /// Of each key.
    quota: Option<Quota>,
    /// By [`Stage::path`], the throttles of each key by [`Route::key`].
    stages: FxHashMap<Box<str>, FxHashMap<Box<str>, Limit>>,
}

impl Callers {
    fn of(slices: Vec<(&ApiKeysUnit, KeySlice)>, plans: &FxHashMap<&str, Arc<Plan>>, secret: Secret) -> Self {
        let Some((first, _)) = slices.first() else { return Self::default() };
        let mut callers = Self {
            keys: Keys::new(first.slices, secret),
            plans: Vec::new(),
            plans_of: vec![0; first.slices as usize].into(),
        };
        let mut known = FxHashMap::default();
        for (unit, keys) in slices {
            let index = *known.entry(&*unit.plans).or_insert_with(|| {
                callers.plans.push(unit.plans.iter().map(|plan| plans.get(plan.as_str()).cloned()).collect());
                // No more than slices.
                callers.plans.len() as u32 - 1
            });
            callers.plans_of[unit.slice as usize] = index;
            callers.keys.put(unit.slice, keys);
        }
        callers
    }

    /// What a value is looked up by. Where it would be comes to the core's caches meanwhile, which takes about as long as to
    /// find a route.
    pub(crate) fn expect(&self, value: &[u8]) -> Shown {
        let mut shown = Shown([0; 32]);
        shown.0.copy_from_slice(digest(&SHA256, value).as_ref());
        self.keys.expect(&shown.0);
        shown
    }

    /// Whose key this is, if one of its plans has the stage.
    pub(crate) fn look_up(&self, shown: &Shown, stage: &Stage) -> Option<Caller<'_>> {
        let key = self.keys.look_up(&shown.0)?;
        // Mostly all slices name the same, and which has which needn't be fetched.
        let plans = match &self.plans[..] {
            [plans] => plans,
            several => &several[self.plans_of[self.keys.slice_of(&shown.0)] as usize],
        };
        let mut plans = key.plans().filter_map(|plan| plans[plan as usize].as_ref());
        plans.find_map(|plan| Some(Caller { key, plan, routes: plan.stages.get(&stage.path)? }))
    }
}

impl<'t> Caller<'t> {
    pub(crate) fn key_id(self) -> &'t str {
        self.key.id()
    }

    /// Of the key, over all stages of the plan.
    pub(crate) fn throttle(&self) -> Option<Limit> {
        self.plan.throttle.map(|limit| throttles::of_key(limit, self.key.salt()))
    }

    /// Of the key, over all stages of the plan; `generation` is the table's.
    pub(crate) fn quota(&self, generation: u64) -> Option<QuotaOf> {
        let terms = self.plan.quota?;
        let number = self.plan.salt.wrapping_add(self.key.salt());
        let plan = std::ptr::from_ref(self.plan).addr();
        Some(QuotaOf { terms, number, place: Place { generation, plan, key: self.key.address() } })
    }

    pub(crate) fn names(&self) -> Names<'t> {
        Names { plan_id: &self.plan.id, key_id: self.key.id() }
    }

    /// Of the key, for this route alone.
    pub(crate) fn route_throttle(&self, route: &Route) -> Option<Limit> {
        self.routes.get(route.key()).map(|limit| throttles::of_key(*limit, self.key.salt()))
    }
}

/// The slices and plans of the last compilation, of which the next takes over what has stayed the same.
#[derive(Debug, Default)]
pub(super) struct KnownCallers {
    secret: Secret,
    slices: HashMap<UnitHash, KeySlice>,
    plans: HashMap<UnitHash, Arc<Plan>>,
}

impl KnownCallers {
    /// Checking the snapshot has made sure that its slices fit together, and that the plans are there.
    pub(super) fn of_snapshot(&mut self, units: &[(UnitHash, Arc<Unit>)]) -> Callers {
        let mut known = Self { secret: self.secret, ..Self::default() };
        let (mut slices, mut plans) = (Vec::new(), FxHashMap::default());
        for (hash, unit) in units {
            match &**unit {
                Unit::ApiKeys(unit) => {
                    let keys = self.slices.remove(hash);
                    let keys = keys.unwrap_or_else(|| KeySlice::of(unit, self.secret));
                    known.slices.insert(*hash, keys.clone());
                    slices.push((unit, keys));
                }
                Unit::UsagePlan(unit) => {
                    let plan = self.plans.remove(hash).unwrap_or_else(|| Arc::new(Plan::of(unit)));
                    known.plans.insert(*hash, Arc::clone(&plan));
                    plans.insert(unit.id.as_str(), plan);
                }
                _ => {}
            }
        }
        *self = known;
        Callers::of(slices, &plans, self.secret)
    }
}

impl Plan {
    fn of(unit: &UsagePlanUnit) -> Self {
        let stages = unit.stages.iter().map(|stage| {
            let path = Stage::path_of(&stage.api_id, &stage.stage);
            let throttle = |route: &PlanRoute| {
                let key = Route::key_of(&route.method, &route.path);
                let limit = throttles::of_plan_route(&unit.id, &path, &key, route.throttle);
                (key, limit)
            };
            let routes = stage.routes.iter().map(throttle).collect();
            (path, routes)
        });
        Self {
            id: unit.id.as_str().into(),
            salt: throttles::salt_of_plan(&unit.id),
            throttle: unit.throttle.map(|throttle| throttles::of_plan(&unit.id, throttle)),
            quota: unit.quota,
            stages: stages.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use turnpike_snapshot::{ApiKey, PlanStage, Protocol};

    use super::super::tests::{account, stage, table};
    use super::*;

    fn unit(slice: u32, slices: u32, values: &[(&str, &[u32])]) -> Unit {
        let mut keys: Vec<ApiKey> = values
            .iter()
            .map(|(value, plans)| ApiKey {
                id: format!("id of {value}"),
                value_sha256: digest(&SHA256, value.as_bytes()).as_ref().try_into().unwrap(),
                plans: plans.to_vec(),
            })
            .filter(|key| ApiKey::slice_of(&key.value_sha256, slices) == slice)
            .collect();
        keys.sort_by_key(|key| key.value_sha256);
        Unit::ApiKeys(ApiKeysUnit { slice, slices, plans: vec!["p1".to_owned(), "p2".to_owned()], keys })
    }

    fn plan(id: &str, stages: &[(&str, &str)]) -> Unit {
        let stage = |(api_id, stage): &(&str, &str)| PlanStage {
            api_id: (*api_id).to_owned(),
            stage: (*stage).to_owned(),
            routes: Vec::new(),
        };
        Unit::UsagePlan(UsagePlanUnit {
            id: id.to_owned(),
            throttle: None,
            quota: None,
            stages: stages.iter().map(stage).collect(),
        })
    }

    #[test]
    fn a_key_is_found_in_every_cut_and_only_where_a_plan_of_it_has_the_stage() {
        let stages = ["a1", "a2"].map(|api_id| stage(api_id, Protocol::Rest, "prod", &["GET /"]));
        let table = table([account(vec![])].into_iter().chain(stages).collect());
        let (first, second) = (table.stage("a1", "prod").unwrap(), table.stage("a2", "prod").unwrap());
        let values: &[(&str, &[u32])] = &[("one", &[0]), ("two", &[1]), ("both", &[0, 1]), ("none", &[])];
        for slices in [1, 2, 3, 64] {
            let mut units = vec![plan("p1", &[("a1", "prod")]), plan("p2", &[("a2", "prod"), ("a3", "x")])];
            units.extend((0..slices).map(|slice| unit(slice, slices, values)));
            let units: Vec<_> = units
                .into_iter()
                .map(|unit| (turnpike_snapshot::encode_unit(&unit).unwrap().0, unit.into()))
                .collect();
            let mut known = KnownCallers::default();
            for _ in 0..2 {
                let callers = known.of_snapshot(&units);
                let found = |value: &str, stage| {
                    let shown = callers.expect(value.as_bytes());
                    callers.look_up(&shown, stage).map(|caller| caller.key_id())
                };
                assert_eq!((found("one", first), found("one", second)), (Some("id of one"), None));
                assert_eq!((found("two", first), found("two", second)), (None, Some("id of two")));
                assert_eq!(found("both", first).and(found("both", second)), Some("id of both"));
                assert_eq!((found("none", first), found("ONE", first), found("", first)), (None, None, None));
            }
        }
        let none = Callers::default();
        assert!(none.look_up(&none.expect(b"one"), first).is_none());
    }
}
