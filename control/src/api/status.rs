//! What `turnpike-control status` shows: the newest version, which gateway serves which, how many targets there are, and
//! what is configured but does nothing yet, or makes routes answer errors.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ApiError;
use super::server::Api;
use crate::change::{RefusedRoute, Unenforced, View};
use crate::compile::{GroupOwner, Reference, ReferenceKind};
use crate::model::{HttpVpcLink, IntegrationTargets, LinkTargets, RestVpcLink};
use crate::store::StoreError;

/// Outside of AWS's paths; signed like every other call.
pub const STATUS_PATH: &str = "/_turnpike/status";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the newest root.
    pub version: u64,
    pub gateways: Vec<StatusGateway>,
    /// VPC links first, then integrations that have targets of their own.
    pub groups: Vec<StatusGroup>,
    /// Absent in what an older control answers.
    #[serde(default)]
    pub unenforced: Vec<StatusUnenforced>,
    /// [`REFUSED_ROUTES_MAX`] of them at most; likewise.
    #[serde(default)]
    pub refused_routes: Vec<StatusRefusedRoute>,
    /// How many there are.
    #[serde(default)]
    pub refused_routes_total: usize,
}

/// Refused routes that are listed.
const REFUSED_ROUTES_MAX: usize = 1_000;

/// A route that answers 500, because it asks for what gateways don't do yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRefusedRoute {
    pub api_id: String,
    pub stage: String,
    /// The stage's, or its canary's.
    pub deployment_id: String,
    /// `GET /pets/{id}`, `$default`
    pub route: String,
    pub reason: String,
}

/// A setting that is stored and shown, without effect on what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusUnenforced {
    /// `None`: the account's.
    pub api_id: Option<String>,
    /// `None`: the whole API's.
    pub stage: Option<String>,
    pub setting: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusGateway {
    pub id: String,
    /// 0 is nothing.
    pub serving_version: u64,
    /// The last version that it refused, and why, unless it has taken one since.
    pub refused: Option<(u64, String)>,
}

/// What leads to targets, with or without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusGroup {
    pub name: String,
    /// As configured; a name can stand for several.
    pub targets: usize,
    /// Whether a stage that is served leads to it.
    pub in_use: bool,
}

impl Status {
    pub(super) async fn of(api: &Api) -> Result<Self, ApiError> {
        let look =
            |view: &View<'_>| Ok::<_, StoreError>((view.tx.version()?, groups(view)?, view.unenforced()?));
        let (version, groups, unenforced) = api.control.read_async(look).await?;
        let gateways = api.publisher.gateways().into_iter().map(|gateway| StatusGateway {
            id: gateway.id,
            serving_version: gateway.serving_version,
            refused: gateway.refused.map(|refusal| (refusal.version, refusal.reason)),
        });
        let unenforced = unenforced.into_iter().map(|Unenforced { api_id, stage, setting }| {
            StatusUnenforced { api_id, stage, setting: setting.to_owned() }
        });
        let refused = api.control.refused_routes().await.map_err(|error| ApiError::internal(&*error))?;
        Ok(Self {
            version,
            gateways: gateways.collect(),
            groups,
            unenforced: unenforced.collect(),
            refused_routes_total: refused.len(),
            refused_routes: refused.into_iter().take(REFUSED_ROUTES_MAX).map(shown).collect(),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::json!(self)
    }
}

fn shown(refused: RefusedRoute) -> StatusRefusedRoute {
    let RefusedRoute { api_id, stage, deployment_id, route, reason } = refused;
    StatusRefusedRoute { api_id, stage, deployment_id, route, reason }
}

fn groups(view: &View<'_>) -> Result<Vec<StatusGroup>, StoreError> {
    let in_use: HashSet<String> = view.tx.references()?.into_iter().filter_map(group_id).collect();
    let group = |name: String, owner: &GroupOwner, targets: usize| StatusGroup {
        name,
        targets,
        in_use: in_use.contains(&owner.unit_id()),
    };
    let held: Vec<LinkTargets> = view.tx.entities()?;
    let held: HashMap<String, usize> =
        held.into_iter().map(|held| (held.link_id, held.targets.targets.len())).collect();
    let rest: Vec<RestVpcLink> = view.tx.entities()?;
    let http: Vec<HttpVpcLink> = view.tx.entities()?;
    let links = rest.into_iter().map(|link| (link.id, link.name));
    let links = links.chain(http.into_iter().map(|link| (link.id, link.name)));
    let mut groups: Vec<StatusGroup> = links
        .map(|(id, name)| {
            let targets = held.get(&id).copied().unwrap_or(0);
            group(format!("VPC link {id} ({name})"), &GroupOwner::Link { id }, targets)
        })
        .collect();
    for (api_id, IntegrationTargets { integration_id, targets }) in view.tx.all_parts()? {
        let name = format!("integration {integration_id} of API {api_id}");
        let owner = GroupOwner::Integration { api_id, integration_id };
        groups.push(group(name, &owner, targets.targets.len()));
    }
    Ok(groups)
}

fn group_id(reference: Reference) -> Option<String> {
    (reference.kind == ReferenceKind::TargetGroup).then_some(reference.id)
}
