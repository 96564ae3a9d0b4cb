//! The targets that a stage's integrations lead to, and those that none leads to any more.

use std::collections::HashSet;

use turnpike_snapshot::Unit;

use super::{Change, ChangeError, View};
use crate::compile::{self, CompileError, GroupOwner, Reference, ReferenceKind, Upstreams};
use crate::model::{
    ClientCertificate, HttpIntegration, HttpVpcLink, IntegrationTargets, LinkTargets, Resource, RestVpcLink,
    Targets, rest_integration_id,
};
use crate::store::StoreError;

impl View<'_> {
    /// Whether a VPC link of either service has this id.
    ///
    /// # Errors
    /// The store's.
    pub fn has_link(&self, id: &str) -> Result<bool, StoreError> {
        let rest: Option<RestVpcLink> = self.tx.entity("", id)?;
        Ok(rest.is_some() || self.tx.entity::<HttpVpcLink>("", id)?.is_some())
    }

    /// What the API's integrations lead to, through these links among others, in a stage with this client certificate.
    /// A link that doesn't exist isn't there.
    pub(super) fn upstreams<'l>(
        &self,
        api_id: &str,
        links: impl Iterator<Item = &'l str>,
        client_certificate: Option<&String>,
    ) -> Result<Upstreams, StoreError> {
        let own: Vec<IntegrationTargets> = self.tx.parts(api_id)?;
        let own = own.into_iter().map(|held| (held.integration_id, held.targets)).collect();
        let client_certificate = client_certificate.cloned();
        let mut upstreams = Upstreams { own, client_certificate, ..Upstreams::default() };
        for id in links {
            if !upstreams.links.contains_key(id) && self.has_link(id)? {
                upstreams.links.insert(id.to_owned(), self.targets_of_link(id)?);
            }
        }
        Ok(upstreams)
    }

    /// The unit that stages refer to by this name.
    pub(super) fn referred_unit(&self, reference: &Reference) -> Result<Unit, ChangeError> {
        let missing = || CompileError::Missing(reference.clone());
        match reference.kind {
            ReferenceKind::TargetGroup => {
                let owner = GroupOwner::of_unit_id(&reference.id).ok_or_else(missing)?;
                let targets = self.targets_of(&owner)?.ok_or_else(missing)?;
                Ok(Unit::TargetGroup(compile::target_group(&owner, &targets)))
            }
            ReferenceKind::UpstreamTrustStore => {
                let owner = GroupOwner::of_unit_id(&reference.id).ok_or_else(missing)?;
                let ca_pem = self.targets_of(&owner)?.and_then(|targets| targets.tls.ca_pem);
                let store = compile::upstream_trust_store(&owner, &ca_pem.ok_or_else(missing)?);
                Ok(Unit::TrustStore(store.map_err(CompileError::from)?))
            }
            ReferenceKind::ClientCertificate => {
                let id = compile::client_certificate_of_unit_id(&reference.id).ok_or_else(missing)?;
                let held: ClientCertificate = self.tx.entity("", id)?.ok_or_else(missing)?;
                let key = self.tx.open(&ClientCertificate::key_context(id), &held.private_key)?;
                let unit = compile::client_certificate(id, &held.certificate, key);
                Ok(Unit::Certificate(unit.map_err(CompileError::from)?))
            }
        }
    }

    fn targets_of(&self, owner: &GroupOwner) -> Result<Option<Targets>, StoreError> {
        match owner {
            GroupOwner::Link { id } => Ok(Some(self.targets_of_link(id)?)),
            GroupOwner::Integration { api_id, integration_id } => {
                let held: Option<IntegrationTargets> = self.tx.part(api_id, integration_id)?;
                Ok(held.map(|held| held.targets))
            }
        }
    }

    fn targets_of_link(&self, id: &str) -> Result<Targets, StoreError> {
        let held: Option<LinkTargets> = self.tx.entity("", id)?;
        Ok(held.map(|held| held.targets).unwrap_or_default())
    }
}

impl Change<'_> {
    /// Integrations of this API may be gone: so are their targets, once no stage leads to them any more.
    pub fn trim_targets(&mut self, api_id: &str) {
        self.trimmed.insert(api_id.to_owned());
    }

    /// Drops the targets of integrations that neither the API nor a stage has.
    pub(super) fn drop_unused_targets(&self, api_id: &str) -> Result<(), StoreError> {
        let held: Vec<IntegrationTargets> = self.tx.parts(api_id)?;
        if held.is_empty() {
            return Ok(());
        }
        let integrations = self.integration_ids(api_id)?;
        let served: HashSet<Reference> = self.tx.references_of_api(api_id)?.into_iter().collect();
        for IntegrationTargets { integration_id, .. } in held {
            let owner =
                GroupOwner::Integration { api_id: api_id.to_owned(), integration_id: integration_id.clone() };
            let in_use = integrations.contains(&integration_id)
                || served.contains(&owner.reference(ReferenceKind::TargetGroup));
            if !in_use {
                self.tx.delete_part::<IntegrationTargets>(api_id, &integration_id)?;
            }
        }
        Ok(())
    }

    /// Of either kind of API.
    fn integration_ids(&self, api_id: &str) -> Result<HashSet<String>, StoreError> {
        let http: Vec<HttpIntegration> = self.tx.parts(api_id)?;
        let mut ids: HashSet<String> = http.into_iter().map(|integration| integration.id).collect();
        for resource in self.tx.parts::<Resource>(api_id)? {
            let with = resource.methods.iter().filter(|(_, method)| method.integration.is_some());
            ids.extend(with.map(|(name, _)| rest_integration_id(&resource.id, name)));
        }
        Ok(ids)
    }
}
