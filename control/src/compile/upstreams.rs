//! What integrations lead to beside their URIs' hosts: VPC links, targets of their own, and what TLS needs there. It is
//! looked up when a stage is compiled, not when it is deployed, so that operators can move targets without a
//! deployment.

use std::collections::HashMap;

use turnpike_snapshot::{HttpVersion, UpstreamTls};

use super::target_group::{GroupOwner, http_version};
use super::{CompileError, client_certificate_unit_id};
use crate::model::{ProtocolVersion, Targets, TargetsTls};

/// Everything that the integrations of one stage can lead to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upstreams {
    /// By integration id.
    pub own: HashMap<String, Targets>,
    /// By link id; a link that nobody has given targets to has none.
    pub links: HashMap<String, Targets>,
    /// Id of the stage's client certificate.
    pub client_certificate: Option<String>,
}

/// What an integration itself says of where it leads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes<'a> {
    /// Id of the VPC link that it leads through.
    pub(super) link: Option<&'a str>,
    pub(super) server_name: Option<&'a str>,
    pub(super) insecure_skip_verification: bool,
}

/// What one integration leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    /// `None`: the URI's host.
    pub(super) group: Option<GroupOwner>,
    pub(super) version: HttpVersion,
    /// For a URI with https://.
    pub(super) tls: UpstreamTls,
}

impl Upstreams {
    /// What the integration leads to: the link that it names, or else its own targets.
    pub(super) fn of(
        &self,
        api_id: &str,
        integration_id: &str,
        wishes: Wishes<'_>,
    ) -> Result<Upstream, CompileError> {
        let found = match wishes.link {
            Some(id) => {
                let targets = self.links.get(id).ok_or_else(|| CompileError::NoVpcLink(id.to_owned()))?;
                Some((GroupOwner::Link { id: id.to_owned() }, targets))
            }
            None => self.own.get(integration_id).map(|targets| {
                let (api_id, integration_id) = (api_id.to_owned(), integration_id.to_owned());
                (GroupOwner::Integration { api_id, integration_id }, targets)
            }),
        };
        let version = found.as_ref().map_or(ProtocolVersion::Http1, |(_, targets)| targets.protocol_version);
        Ok(Upstream {
            version: http_version(version),
            tls: self.tls(wishes, found.as_ref().map(|(owner, targets)| (owner, &targets.tls))),
            group: found.map(|(owner, _)| owner),
        })
    }

    /// What stands nearer to the integration goes first: itself, its targets, its stage.
    fn tls(&self, wishes: Wishes<'_>, targets: Option<(&GroupOwner, &TargetsTls)>) -> UpstreamTls {
        let of_targets = targets.map(|(_, tls)| tls);
        let server_name = wishes.server_name.or_else(|| of_targets?.server_name.as_deref());
        let certificate = of_targets.and_then(|tls| tls.client_certificate.as_ref());
        UpstreamTls {
            server_name: server_name.map(str::to_owned),
            insecure_skip_verification: wishes.insecure_skip_verification
                || of_targets.is_some_and(|tls| tls.insecure_skip_verification),
            trust_store: targets.filter(|(_, tls)| tls.ca_pem.is_some()).map(|(owner, _)| owner.unit_id()),
            client_certificate: certificate
                .or(self.client_certificate.as_ref())
                .map(|id| client_certificate_unit_id(id)),
        }
    }
}
