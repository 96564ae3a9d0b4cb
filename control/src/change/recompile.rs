//! Compiles what a change touched, and publishes it.

use turnpike_snapshot::{StageUnit, Unit};

use super::{Change, ChangeError, View};
use crate::compile::{self, COMPILER_REVISION};
use crate::model::{HttpApi, HttpContent, HttpStage, RestApi, RestContent, RestStage};
use crate::store::Slot;

impl Change<'_> {
    /// What opening a store asks for: the account's unit as the settings have it, and everything else
    /// if another compiler made it.
    pub(super) fn open(&mut self) -> Result<(), ChangeError> {
        if self.tx.compiler_revision()? == Some(COMPILER_REVISION) {
            return Ok(());
        }
        for api_id in self.tx.api_ids()? {
            self.recompile_api(&api_id)?;
        }
        Ok(self.tx.set_compiler_revision(COMPILER_REVISION)?)
    }

    /// The new root's version; `None` when the old one still says it all.
    pub(super) fn compile_and_publish(&self) -> Result<Option<u64>, ChangeError> {
        let mut changed = self.tx.set_slot(&Slot::Account, Some(&compile::encode(&self.account_unit())?))?;
        for (api_id, stage) in &self.stages {
            let unit = self.stage_unit(api_id, stage)?;
            let encoded = unit.map(|unit| compile::encode(&Unit::Stage(unit))).transpose()?;
            let slot = Slot::Stage { api_id: api_id.clone(), stage: stage.clone() };
            changed |= self.tx.set_slot(&slot, encoded.as_ref())?;
        }
        Ok(if changed { Some(self.tx.publish()?) } else { None })
    }
}

impl View<'_> {
    fn account_unit(&self) -> Unit {
        let account = &self.settings.account;
        compile::account(&account.id, &account.region, &account.endpoint_suffix)
    }

    /// `None` when there is nothing to serve: no such API or stage, or nothing deployed to it.
    fn stage_unit(&self, api_id: &str, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        if let Some(api) = self.tx.api::<HttpApi>(api_id)? {
            return self.http_stage_unit(&api, stage);
        }
        match self.tx.api::<RestApi>(api_id)? {
            Some(api) => self.rest_stage_unit(&api, stage),
            None => Ok(None),
        }
    }

    fn http_stage_unit(&self, api: &HttpApi, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        let Some(stage) = self.tx.part::<HttpStage>(&api.id, stage)? else { return Ok(None) };
        let Some(deployment) = &stage.deployment_id else { return Ok(None) };
        let Some(content) = self.tx.part::<HttpContent>(&api.id, deployment)? else { return Ok(None) };
        Ok(Some(compile::http_stage(api, &stage, &content)?))
    }

    fn rest_stage_unit(&self, api: &RestApi, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        let Some(stage) = self.tx.part::<RestStage>(&api.id, stage)? else { return Ok(None) };
        let Some(content) = self.tx.part::<RestContent>(&api.id, &stage.deployment_id)? else {
            return Ok(None);
        };
        Ok(Some(compile::rest_stage(api, &stage, &content)?))
    }
}
