//! Format 4: stages without compression. Its writers keep no count of quotas, so that plans have none: a gateway that asked
//! them what is left of one would refuse every request until they are upgraded.

use rkyv::{Archive, Deserialize, Serialize};

use crate::unit::{
    self, AccessLog, AccountUnit, ApiKeysUnit, CertificateUnit, Integration, Protocol, Route, StageCache,
    TargetGroupUnit, TrustStoreUnit, UsagePlanUnit,
};

pub(crate) const FORMAT_VERSION: u16 = 4;

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) enum Unit {
    Stage(StageUnit),
    Account(AccountUnit),
    Certificate(CertificateUnit),
    TrustStore(TrustStoreUnit),
    TargetGroup(TargetGroupUnit),
    UsagePlan(UsagePlanUnit),
    ApiKeys(ApiKeysUnit),
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct StageUnit {
    pub(super) api_id: String,
    pub(super) protocol: Protocol,
    pub(super) stage: String,
    pub(super) deployment_id: String,
    pub(super) execute_api_endpoint_disabled: bool,
    pub(super) access_log: Option<AccessLog>,
    pub(super) integrations: Vec<Integration>,
    pub(super) routes: Vec<Route>,
    pub(super) canary: Option<Canary<Route>>,
    pub(super) cache: Option<StageCache>,
}

/// Of format 3 as well, whose routes are others.
#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct Canary<R> {
    clients_per_10_000: u16,
    deployment_id: String,
    integrations: Vec<Integration>,
    routes: Vec<R>,
}

impl<R> Canary<R> {
    pub(super) fn map_routes<N>(self, map: impl Fn(R) -> N) -> Canary<N> {
        let Self { clients_per_10_000, deployment_id, integrations, routes } = self;
        Canary {
            clients_per_10_000,
            deployment_id,
            integrations,
            routes: routes.into_iter().map(map).collect(),
        }
    }
}

impl From<Unit> for unit::Unit {
    fn from(past: Unit) -> Self {
        match past {
            Unit::Stage(stage) => Self::Stage(stage.into()),
            Unit::Account(account) => Self::Account(account),
            Unit::Certificate(certificate) => Self::Certificate(certificate),
            Unit::TrustStore(store) => Self::TrustStore(store),
            Unit::TargetGroup(group) => Self::TargetGroup(group),
            Unit::UsagePlan(plan) => Self::UsagePlan(UsagePlanUnit { quota: None, ..plan }),
            Unit::ApiKeys(keys) => Self::ApiKeys(keys),
        }
    }
}

impl From<StageUnit> for unit::StageUnit {
    fn from(past: StageUnit) -> Self {
        Self {
            api_id: past.api_id,
            protocol: past.protocol,
            stage: past.stage,
            deployment_id: past.deployment_id,
            execute_api_endpoint_disabled: past.execute_api_endpoint_disabled,
            access_log: past.access_log,
            integrations: past.integrations,
            routes: past.routes,
            canary: past.canary.map(Into::into),
            cache: past.cache,
            compression: None,
        }
    }
}

impl From<Canary<Route>> for unit::Canary {
    fn from(Canary { clients_per_10_000, deployment_id, integrations, routes }: Canary<Route>) -> Self {
        Self {
            clients_per_10_000,
            shares_cache: false,
            deployment_id,
            integrations,
            routes,
            compression: None,
        }
    }
}
