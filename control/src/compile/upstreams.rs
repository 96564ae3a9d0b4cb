//! What integrations lead to beside their URIs' hosts: VPC links, and targets of their own. It is looked up when a
//! stage is compiled, not when it is deployed, so that operators can move targets without a deployment.

use std::collections::HashMap;

use turnpike_snapshot::HttpVersion;

use super::CompileError;
use super::target_group::{GroupOwner, http_version};
use crate::model::Targets;

/// Everything that the integrations of one API's deployment can lead to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upstreams {
    /// By integration id.
    pub own: HashMap<String, Targets>,
    /// By link id; a link that nobody has given targets to has none.
    pub links: HashMap<String, Targets>,
}

/// What one integration leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    /// `None`: the URI's host.
    pub(super) group: Option<GroupOwner>,
    pub(super) version: HttpVersion,
}

impl Upstreams {
    /// What the integration leads to: the link that it names, or else its own targets.
    pub(super) fn of(
        &self,
        api_id: &str,
        integration_id: &str,
        link: Option<&str>,
    ) -> Result<Upstream, CompileError> {
        let (owner, targets) = match link {
            Some(id) => {
                let targets = self.links.get(id).ok_or_else(|| CompileError::NoVpcLink(id.to_owned()))?;
                (GroupOwner::Link { id: id.to_owned() }, targets)
            }
            None => {
                let Some(targets) = self.own.get(integration_id) else {
                    return Ok(Upstream { group: None, version: HttpVersion::Http1 });
                };
                let (api_id, integration_id) = (api_id.to_owned(), integration_id.to_owned());
                (GroupOwner::Integration { api_id, integration_id }, targets)
            }
        };
        Ok(Upstream { group: Some(owner), version: http_version(targets.protocol_version) })
    }
}
