//! Usage plans and API keys from a change to the root; and what they lose when a stage goes: AWS takes it out of them,
//! and so nothing dangles.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use turnpike_snapshot::{ApiKey as PublishedKey, Unit};

use super::{Change, ChangeError, View};
use crate::compile::{self, API_KEY_SLICES, KeyInPlans, KeysByDigest};
use crate::model::{ApiKey, UsagePlan, UsagePlanKey};
use crate::store::{Slot, StoreError};

/// The families of their units.
const USAGE_PLANS: &str = "usage-plan";
const API_KEYS: &str = "api-keys";

/// What a change has touched.
#[derive(Debug, Default)]
pub(super) struct TouchedCallers {
    plans: BTreeSet<String>,
    /// Ids, with the digests of the values, which never change.
    keys: BTreeMap<String, [u8; 32]>,
    all: bool,
}

impl Change<'_> {
    /// The usage plan has changed, or is gone.
    pub fn recompile_plan(&mut self, id: &str) {
        self.touched_callers.plans.insert(id.to_owned());
    }

    /// The key, or which plans it is in, has changed; or it is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn recompile_key(&mut self, key: &ApiKey) -> Result<(), StoreError> {
        let digest = self.view.key_digest(key)?;
        self.touched_callers.keys.insert(key.id.clone(), digest);
        Ok(())
    }

    pub(super) fn recompile_callers(&mut self) {
        self.touched_callers.all = true;
    }

    /// The stage is gone, or with `None` the API and all of its stages.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_stage(&mut self, api_id: &str, stage: Option<&str>) -> Result<(), StoreError> {
        let is_gone = |api: &str, name: &str| api == api_id && stage.is_none_or(|stage| stage == name);
        for mut plan in self.tx.entities::<UsagePlan>()? {
            let before = plan.stages.len();
            plan.stages.retain(|named| !is_gone(&named.api_id, &named.stage));
            if plan.stages.len() < before {
                self.tx.put_entity(&plan)?;
                self.recompile_plan(&plan.id);
            }
        }
        for mut key in self.tx.entities::<ApiKey>()? {
            let before = key.stage_keys.len();
            key.stage_keys
                .retain(|named| !named.split_once('/').is_some_and(|(api, name)| is_gone(api, name)));
            if key.stage_keys.len() < before {
                self.tx.put_entity(&key)?;
            }
        }
        Ok(())
    }

    /// Brings the units of plans and keys up to date. Returns whether anything changed.
    pub(super) fn fill_callers(&self) -> Result<bool, ChangeError> {
        if self.touched_callers.all {
            return self.fill_all_callers();
        }
        let mut changed = false;
        for id in &self.touched_callers.plans {
            changed |= self.fill_plan(id)?;
        }
        let mut by_slice: BTreeMap<u32, Vec<(&str, [u8; 32])>> = BTreeMap::new();
        for (id, digest) in &self.touched_callers.keys {
            by_slice.entry(slice_of(digest)).or_default().push((id, *digest));
        }
        for (slice, touched) in by_slice {
            let mut keys = self.keys_of_slice(slice)?;
            for (id, digest) in touched {
                match self.key_in_plans(id)? {
                    Some(key) => keys.insert(digest, key),
                    None => keys.remove(&digest),
                };
            }
            changed |= self.fill_slice(slice, &keys)?;
        }
        Ok(changed)
    }

    fn fill_all_callers(&self) -> Result<bool, ChangeError> {
        let plans: Vec<UsagePlan> = self.tx.entities()?;
        let known: BTreeSet<&str> = plans.iter().map(|plan| plan.id.as_str()).collect();
        let gone = self.tx.shared_in_slots(USAGE_PLANS)?;
        let mut changed = false;
        for id in known.iter().copied().chain(gone.iter().map(String::as_str)) {
            changed |= self.fill_plan(id)?;
        }
        let mut plans_of: HashMap<String, Vec<String>> = HashMap::new();
        for in_plan in self.tx.entities::<UsagePlanKey>()? {
            plans_of.entry(in_plan.key_id).or_default().push(in_plan.plan_id);
        }
        let mut slices: Vec<KeysByDigest> = (0..API_KEY_SLICES).map(|_| KeysByDigest::new()).collect();
        for key in self.tx.entities::<ApiKey>()?.into_iter().filter(|key| key.enabled) {
            let Some(plans) = plans_of.remove(&key.id) else { continue };
            let digest = self.key_digest(&key)?;
            slices[slice_of(&digest) as usize].insert(digest, KeyInPlans { id: key.id, plans });
        }
        for (slice, keys) in (0..).zip(&slices) {
            changed |= self.fill_slice(slice, keys)?;
        }
        Ok(changed)
    }

    fn fill_plan(&self, id: &str) -> Result<bool, ChangeError> {
        let plan: Option<UsagePlan> = self.tx.entity("", id)?;
        let encoded = plan.map(|plan| compile::encode(&compile::usage_plan(&plan))).transpose()?;
        let slot = Slot::Shared { family: USAGE_PLANS, id: id.to_owned() };
        Ok(self.tx.set_slot(&slot, encoded.as_ref())?)
    }

    fn fill_slice(&self, slice: u32, keys: &KeysByDigest) -> Result<bool, ChangeError> {
        let unit = compile::api_keys(slice, keys);
        let encoded = unit.map(|unit| compile::encode(&unit)).transpose()?;
        Ok(self.tx.set_slot(&slot_of(slice), encoded.as_ref())?)
    }
}

impl View<'_> {
    fn key_digest(&self, key: &ApiKey) -> Result<[u8; 32], StoreError> {
        let value = self.tx.open(&ApiKey::value_context(&key.id), &key.value)?;
        Ok(compile::key_digest(&value))
    }

    /// `None` where the key is of no use: it is gone, disabled, or in no plan.
    fn key_in_plans(&self, id: &str) -> Result<Option<KeyInPlans>, StoreError> {
        let key: Option<ApiKey> = self.tx.entity("", id)?;
        let Some(key) = key.filter(|key| key.enabled) else { return Ok(None) };
        let in_plans: Vec<UsagePlanKey> = self.tx.entities_using(id)?;
        let plans: Vec<String> = in_plans.into_iter().map(|in_plan| in_plan.plan_id).collect();
        Ok((!plans.is_empty()).then_some(KeyInPlans { id: key.id, plans }))
    }

    /// As they are published.
    fn keys_of_slice(&self, slice: u32) -> Result<KeysByDigest, StoreError> {
        match self.tx.unit_in_slot(&slot_of(slice))? {
            None => Ok(KeysByDigest::new()),
            Some(Unit::ApiKeys(unit)) => Ok(compile::keys_of(unit)),
            Some(_) => unreachable!("the slots of API keys hold nothing else"),
        }
    }
}

fn slice_of(digest: &[u8; 32]) -> u32 {
    PublishedKey::slice_of(digest, API_KEY_SLICES)
}

fn slot_of(slice: u32) -> Slot {
    Slot::Shared { family: API_KEYS, id: format!("{slice:03}") }
}
