//! Stages that another compiler took and this one doesn't: gateways serve them as before or, where what they serve can't be
//! read any more, are told to refuse them. Everything else is served all the same; whoever changes such a stage is told
//! what is wrong with it. Certificates and trust stores of domain names stay as they were, too.

use turnpike_snapshot::{Protocol, StageUnit, Unit};

use super::recompile::{encoded, slot_of};
use super::{Change, ChangeError};
use crate::compile::{self, CompileError, Encoded, Reference};
use crate::model::{HttpApi, HttpStage, RestApi, RestStage};
use crate::store::{Slot, StoreError};

impl Change<'_> {
    /// What the stage is served as, which can't be compiled because of `error`.
    pub(super) fn stage_in_place(
        &self,
        api_id: &str,
        stage: &str,
        error: &CompileError,
    ) -> Result<StageUnit, ChangeError> {
        let slot = Slot::Stage { api_id: api_id.to_owned(), stage: stage.to_owned() };
        if let Some(Unit::Stage(unit)) = self.kept(&slot)? {
            log_line!(
                "upgrade: the stage {stage} of API {api_id} is served as it was, since this version can't compile it: \
                 {error}. Mend and deploy it"
            );
            return Ok(unit);
        }
        self.refused_stage(api_id, stage, &error.to_string())
    }

    /// The unit that stages refer to, which can't be compiled because of `error`, as it was; where it isn't there, all of
    /// those stages are refused.
    pub(super) fn referred_in_place(
        &self,
        reference: &Reference,
        error: &CompileError,
    ) -> Result<Option<Encoded>, ChangeError> {
        if let Some(kept) = self.shared_in_place(&slot_of(reference), reference, error)? {
            return Ok(Some(kept));
        }
        for (api_id, stage) in self.tx.stages_referring(reference)? {
            let refused = self.refused_stage(&api_id, &stage, &format!("{reference}: {error}"))?;
            self.put_stage(&api_id, &stage, encoded(Some(refused))?)?;
        }
        Ok(None)
    }

    /// `what` fills the slot, as it was, if it can be read: a unit that others refer to and that can't be compiled because
    /// of `error`.
    pub(super) fn shared_in_place(
        &self,
        slot: &Slot,
        what: &dyn std::fmt::Display,
        error: &CompileError,
    ) -> Result<Option<Encoded>, ChangeError> {
        let Some(unit) = self.kept(slot)? else { return Ok(None) };
        log_line!(
            "upgrade: the {what} is served as it was, since this version can't compile it: {error}. Put it anew"
        );
        Ok(Some(compile::encode(&unit)?))
    }

    /// What fills the slot, if it can be read.
    fn kept(&self, slot: &Slot) -> Result<Option<Unit>, StoreError> {
        match self.tx.unit_in_slot(slot) {
            Err(StoreError::Unit { .. }) => Ok(None),
            found => found,
        }
    }

    fn refused_stage(&self, api_id: &str, stage: &str, error: &str) -> Result<StageUnit, ChangeError> {
        log_line!(
            "upgrade: the stage {stage} of API {api_id} answers 500 to every request, since this version can't compile it: \
             {error}. Mend and deploy it"
        );
        let http: Option<HttpApi> = self.tx.api(api_id)?;
        let (protocol, closed, deployment_id) = match http {
            Some(api) => {
                let stage: Option<HttpStage> = self.tx.part(api_id, stage)?;
                let deployed = stage.and_then(|stage| stage.deployment_id);
                (Protocol::Http, api.execute_api_endpoint_disabled, deployed)
            }
            None => {
                let api: Option<RestApi> = self.tx.api(api_id)?;
                let stage: Option<RestStage> = self.tx.part(api_id, stage)?;
                let closed = api.is_some_and(|api| api.execute_api_endpoint_disabled);
                (Protocol::Rest, closed, stage.map(|stage| stage.deployment_id))
            }
        };
        let mut unit = compile::refused_stage(protocol, (api_id, stage), error);
        unit.deployment_id = deployment_id.unwrap_or_default();
        unit.execute_api_endpoint_disabled = closed;
        Ok(unit)
    }
}
