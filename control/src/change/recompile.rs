//! Compiles what a change touched, and publishes it.

use std::collections::BTreeSet;

use turnpike_snapshot::{StageUnit, Unit};

use super::{Change, ChangeError, View};
use crate::compile::{self, COMPILER_REVISION, Encoded, Reference};
use crate::model::{ApiProtocol, HttpApi, HttpContent, HttpStage, RestApi, RestContent, RestStage, link_id};
use crate::store::{Slot, StoreError};

impl Change<'_> {
    /// What opening a store asks for: the account's unit as the settings have it, and everything else
    /// if another compiler made it.
    pub(super) fn open(&mut self) -> Result<(), ChangeError> {
        self.recompile_account();
        if self.tx.compiler_revision()? == Some(COMPILER_REVISION) {
            return Ok(());
        }
        for api_id in self.tx.api_ids()? {
            self.recompile_api(&api_id)?;
        }
        self.is_upgrade = true;
        self.referred.extend(self.view.tx.referred_in_slots()?);
        self.recompile_domains()?;
        self.recompile_callers();
        Ok(self.tx.set_compiler_revision(COMPILER_REVISION)?)
    }

    /// Two compilers must not fill one store in turn: what the other has made wouldn't be made again.
    pub(super) fn is_own_store(&self) -> Result<(), StoreError> {
        match self.tx.compiler_revision()? {
            Some(COMPILER_REVISION) => Ok(()),
            found => Err(StoreError::TakenOver { found: found.unwrap_or(0), known: COMPILER_REVISION }),
        }
    }

    /// The new root's version; `None` when the old one still says it all.
    pub(super) fn compile_and_publish(&self) -> Result<Option<u64>, ChangeError> {
        let mut changed = false;
        for (api_id, stage) in &self.stages {
            changed |= self.fill_stage(api_id, stage)?;
        }
        // What a stage leads to that is refused for now may be all that there is of it.
        if !self.is_upgrade {
            self.trimmed.iter().try_for_each(|api_id| self.drop_unused_targets(api_id))?;
        }
        changed |= self.fill_referred()?;
        changed |= self.fill_callers()?;
        changed |= self.fill_account()?;
        Ok(if changed { Some(self.tx.publish()?) } else { None })
    }

    /// Whether the stage had another unit before.
    fn fill_stage(&self, api_id: &str, stage: &str) -> Result<bool, ChangeError> {
        let unit = match self.stage_unit(api_id, stage).and_then(encoded) {
            Err(ChangeError::Compile(error)) if self.is_upgrade => {
                encoded(Some(self.stage_in_place(api_id, stage, &error)?))?
            }
            unit => unit?,
        };
        self.put_stage(api_id, stage, unit)
    }

    /// Whether the stage had another unit before.
    pub(super) fn put_stage(
        &self,
        api_id: &str,
        stage: &str,
        unit: Option<(Vec<Reference>, Encoded)>,
    ) -> Result<bool, ChangeError> {
        let slot = Slot::Stage { api_id: api_id.to_owned(), stage: stage.to_owned() };
        let changed = self.tx.set_slot(&slot, unit.as_ref().map(|(_, encoded)| encoded))?;
        if let Some((references, _)) = unit.filter(|_| changed) {
            self.tx.set_references(api_id, stage, &references)?;
        }
        Ok(changed)
    }

    /// Takes in what stages newly refer to, takes out what they no longer do, and compiles again what has changed.
    fn fill_referred(&self) -> Result<bool, ChangeError> {
        let wanted: BTreeSet<Reference> = self.tx.references()?.into_iter().collect();
        let present: BTreeSet<Reference> = self.tx.referred_in_slots()?.into_iter().collect();
        let mut changed = false;
        for gone in present.difference(&wanted) {
            changed |= self.tx.set_slot(&slot_of(gone), None)?;
        }
        for reference in &wanted {
            if !present.contains(reference) || self.referred.contains(reference) {
                let unit = self.referred_unit(reference);
                let encoded = match unit.and_then(|unit| Ok(compile::encode(&unit)?)) {
                    Err(ChangeError::Compile(error)) if self.is_upgrade => {
                        let Some(kept) = self.referred_in_place(reference, &error)? else {
                            // Those that referred to it are refused now, and refer to nothing.
                            return self.fill_referred().map(|_| true);
                        };
                        kept
                    }
                    encoded => encoded?,
                };
                changed |= self.tx.set_slot(&slot_of(reference), Some(&encoded))?;
            }
        }
        Ok(changed)
    }
}

/// Where the unit is that stages refer to by this name.
pub(super) fn slot_of(Reference { kind, id }: &Reference) -> Slot {
    Slot::Shared { family: kind.family(), id: id.clone() }
}

/// A stage's unit as it is stored, after what it refers to.
pub(super) fn encoded(unit: Option<StageUnit>) -> Result<Option<(Vec<Reference>, Encoded)>, ChangeError> {
    let Some(unit) = unit else { return Ok(None) };
    let references = compile::references(&unit);
    Ok(Some((references, compile::encode(&Unit::Stage(unit))?)))
}

impl View<'_> {
    /// What gateways get of the stage; `None` when there is nothing to serve: no such API or stage, or nothing deployed
    /// to it.
    ///
    /// # Errors
    /// The store's, or it can't be compiled.
    pub fn stage_unit(&self, api_id: &str, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        if let Some(api) = self.tx.api::<HttpApi>(api_id)? {
            return self.http_stage_unit(&api, stage);
        }
        match self.tx.api::<RestApi>(api_id)? {
            Some(api) => self.rest_stage_unit(&api, stage),
            None => Ok(None),
        }
    }

    /// Gateways don't serve WebSocket APIs.
    fn http_stage_unit(&self, api: &HttpApi, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        if api.protocol == ApiProtocol::WebSocket {
            return Ok(None);
        }
        let Some(stage) = self.tx.part::<HttpStage>(&api.id, stage)? else { return Ok(None) };
        let Some(deployment) = &stage.deployment_id else { return Ok(None) };
        let Some(content) = self.tx.part::<HttpContent>(&api.id, deployment)? else { return Ok(None) };
        let links = content.integrations.iter().filter_map(|integration| integration.link_id.as_deref());
        let upstreams = self.upstreams(&api.id, links, None)?;
        Ok(Some(compile::http_stage(api, &stage, &content, &upstreams)?))
    }

    fn rest_stage_unit(&self, api: &RestApi, stage: &str) -> Result<Option<StageUnit>, ChangeError> {
        let Some(stage) = self.tx.part::<RestStage>(&api.id, stage)? else { return Ok(None) };
        let Some(content) = self.tx.part::<RestContent>(&api.id, &stage.deployment_id)? else {
            return Ok(None);
        };
        let on_trial = stage.on_trial();
        let trial = match &on_trial {
            Some(on_trial) => self.tx.part::<RestContent>(&api.id, &on_trial.deployment_id)?,
            None => None,
        };
        let links = rest_links(&stage, &content);
        let links =
            links.chain(on_trial.iter().zip(&trial).flat_map(|(stage, trial)| rest_links(stage, trial)));
        let upstreams = self.upstreams(&api.id, links, stage.client_certificate_id.as_ref())?;
        Ok(Some(compile::rest_stage(api, &stage, &content, trial.as_ref(), &upstreams)?))
    }
}

/// The links that a deployment's integrations lead through; a variable that the stage hasn't is the compiler's to refuse.
fn rest_links<'a>(stage: &'a RestStage, content: &'a RestContent) -> impl Iterator<Item = &'a str> {
    let integrations = content.resources.iter().flat_map(|resource| resource.methods.values());
    let integrations = integrations.filter_map(|method| method.integration.as_ref());
    let connections = integrations.filter_map(|integration| integration.connection_id.as_deref());
    connections.filter_map(|id| link_id(id, &stage.variables).ok())
}
