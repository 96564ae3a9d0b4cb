//! Usage plans, and the API keys in them.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use turnpike_snapshot::{
    ApiKey, ApiKeysUnit, Limits, PlanRoute, PlanStage, Quota, QuotaPeriod, Unit, UsagePlanUnit, check_unit,
};

use super::throttle;
use crate::model::{self, Period, UsagePlan};

/// How many slices the API keys are cut into: of a million keys, a change of one makes 4,000 of them anew.
pub const API_KEY_SLICES: u32 = 256;

/// An API key as gateways know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInPlans {
    pub id: String,
    /// Ids of its usage plans.
    pub plans: Vec<String>,
}

/// The keys of a slice, by the digests of their values.
pub type KeysByDigest = BTreeMap<[u8; 32], KeyInPlans>;

/// By which gateways find a key.
#[must_use]
pub fn key_digest(value: &[u8]) -> [u8; 32] {
    let mut found = [0; 32];
    found.copy_from_slice(digest(&SHA256, value).as_ref());
    found
}

/// A slice of the keys; `None` without any.
#[must_use]
pub fn api_keys(slice: u32, keys: &KeysByDigest) -> Option<Unit> {
    let mut plans: BTreeMap<&str, u32> =
        keys.values().flat_map(|key| &key.plans).map(|plan| (plan.as_str(), 0)).collect();
    plans.values_mut().zip(0..).for_each(|(index, place)| *index = place);
    let key = |(value_sha256, key): (&[u8; 32], &KeyInPlans)| ApiKey {
        id: key.id.clone(),
        value_sha256: *value_sha256,
        plans: key.plans.iter().map(|plan| plans[plan.as_str()]).collect(),
    };
    let unit = ApiKeysUnit {
        slice,
        slices: API_KEY_SLICES,
        keys: keys.iter().map(key).collect(),
        plans: plans.keys().map(|plan| (*plan).to_owned()).collect(),
    };
    (!unit.keys.is_empty()).then_some(Unit::ApiKeys(unit))
}

/// The keys that [`api_keys`] made a slice of.
#[must_use]
pub fn keys_of(unit: ApiKeysUnit) -> KeysByDigest {
    let ApiKeysUnit { plans, keys, .. } = unit;
    let named = |index: u32| plans[index as usize].clone();
    let key = |key: ApiKey| {
        (key.value_sha256, KeyInPlans { id: key.id, plans: key.plans.into_iter().map(named).collect() })
    };
    keys.into_iter().map(key).collect()
}

#[must_use]
pub fn usage_plan(plan: &UsagePlan) -> Unit {
    Unit::UsagePlan(UsagePlanUnit {
        id: plan.id.clone(),
        throttle: plan.throttle.as_ref().map(|limits| throttle::of_plan(plan, limits)),
        quota: plan.quota.as_ref().map(quota),
        stages: plan.stages.iter().map(|stage| plan_stage(plan, stage)).collect(),
    })
}

fn plan_stage(plan: &UsagePlan, stage: &model::PlanStage) -> PlanStage {
    let routes = stage.throttle.iter().filter_map(|(key, limits)| {
        let (path, method) = key.rsplit_once('/')?;
        let path = if path.is_empty() { "/" } else { path };
        let route = PlanRoute {
            method: method.to_owned(),
            path: path.to_owned(),
            throttle: throttle::of_plan(plan, limits),
        };
        can_be(&route).then_some(route)
    });
    PlanStage { api_id: stage.api_id.clone(), stage: stage.stage.clone(), routes: routes.collect() }
}

/// Plans may name methods of resources that don't exist; what no resource can be called isn't a gateway's to know.
fn can_be(route: &PlanRoute) -> bool {
    let stage = PlanStage { api_id: "a".to_owned(), stage: "s".to_owned(), routes: vec![route.clone()] };
    let plan = UsagePlanUnit { id: "p".to_owned(), throttle: None, quota: None, stages: vec![stage] };
    check_unit(&Unit::UsagePlan(plan), &Limits::default()).is_ok()
}

fn quota(quota: &model::PlanQuota) -> Quota {
    Quota {
        requests: quota.requests.into(),
        period: match quota.period {
            Period::Day => QuotaPeriod::Day,
            Period::Week => QuotaPeriod::Week,
            Period::Month => QuotaPeriod::Month,
        },
        // Checked to be below 28 when the plan was put.
        offset_days: quota.offset_days as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turnpike_snapshot::Partition;

    use crate::model::{PlanQuota, Tags};

    #[test]
    fn slices_come_back() {
        let key = |id: &str, plans: &[&str]| KeyInPlans {
            id: id.to_owned(),
            plans: plans.iter().map(|plan| (*plan).to_owned()).collect(),
        };
        let keys: KeysByDigest =
            [([9; 32], key("a", &["p2", "p1"])), ([7; 32], key("b", &["p3"])), ([8; 32], key("c", &[]))]
                .into();
        let Some(Unit::ApiKeys(unit)) = api_keys(0, &keys) else { panic!("a slice") };
        assert_eq!(
            (unit.slice, unit.slices, &unit.plans[..]),
            (0, 256, &["p1", "p2", "p3"].map(str::to_owned)[..])
        );
        assert_eq!(keys_of(unit), keys);
        assert_eq!(api_keys(0, &KeysByDigest::new()), None);
    }

    #[test]
    fn plans_have_what_gateways_can_route() {
        let limits = |rate_per_s| model::Throttle { rate_per_s, burst_requests: 7 };
        let methods = ["//GET", "/pets/{id}/ANY", "/x/{p+}/PUT", "/{p+}/x/GET", "/{/GET"];
        let stage = model::PlanStage {
            api_id: "a1".to_owned(),
            stage: "prod".to_owned(),
            throttle: methods.iter().map(|method| ((*method).to_owned(), limits(0.5))).collect(),
        };
        let plan = UsagePlan {
            id: "p1".to_owned(),
            name: "plan".to_owned(),
            description: None,
            stages: vec![stage],
            throttle: Some(limits(1e300)),
            partition: Some(model::LimitsPartition::Closed),
            quota: Some(PlanQuota { requests: 5, offset_days: 3, period: Period::Week }),
            product_code: None,
            tags: Tags::new(),
        };
        let compiled = usage_plan(&plan);
        assert_eq!(check_unit(&compiled, &Limits::default()), Ok(()));
        let Unit::UsagePlan(unit) = compiled else { panic!("a plan") };
        assert_eq!(unit.throttle.map(|throttle| throttle.requests_per_1000_s), Some(1_000_000_000_000));
        assert_eq!(unit.quota, Some(Quota { requests: 5, period: QuotaPeriod::Week, offset_days: 3 }));
        let routes: Vec<(&str, &str, u64)> = unit.stages[0]
            .routes
            .iter()
            .map(|route| (&*route.method, &*route.path, route.throttle.requests_per_1000_s))
            .collect();
        let all = unit.throttle.iter().chain(unit.stages[0].routes.iter().map(|route| &route.throttle));
        assert!(all.map(|throttle| throttle.partition).all(|partition| partition == Partition::Closed));
        assert_eq!(routes, [("GET", "/", 500), ("ANY", "/pets/{id}", 500), ("PUT", "/x/{p+}", 500)]);
    }
}
