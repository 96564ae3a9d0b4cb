//! What usage plans and API keys lose when a stage goes: AWS takes it out of them, and so nothing dangles.

use super::Change;
use crate::model::{ApiKey, UsagePlan};
use crate::store::StoreError;

impl Change<'_> {
    /// The stage is gone, or with `None` the API and all of its stages.
    ///
    /// # Errors
    /// The store's.
    pub fn forget_stage(&self, api_id: &str, stage: Option<&str>) -> Result<(), StoreError> {
        let is_gone = |api: &str, name: &str| api == api_id && stage.is_none_or(|stage| stage == name);
        for mut plan in self.tx.entities::<UsagePlan>()? {
            let before = plan.stages.len();
            plan.stages.retain(|named| !is_gone(&named.api_id, &named.stage));
            if plan.stages.len() < before {
                self.tx.put_entity(&plan)?;
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
}
