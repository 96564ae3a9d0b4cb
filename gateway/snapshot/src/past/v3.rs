//! Format 3: accounts without throttles, stages without caches, routes without settings.

use rkyv::{Archive, Deserialize, Serialize};

use super::v4;
use crate::unit::{
    self, AccessLog, AcmeChallenge, CertificateUnit, Domain, Integration, Protocol, TargetGroupUnit,
    TrustStoreUnit,
};

pub(crate) const FORMAT_VERSION: u16 = 3;

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) enum Unit {
    Stage(StageUnit),
    Account(AccountUnit),
    Certificate(CertificateUnit),
    TrustStore(TrustStoreUnit),
    TargetGroup(TargetGroupUnit),
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct AccountUnit {
    account_id: String,
    region: String,
    endpoint_suffix: String,
    domains: Vec<Domain>,
    acme_challenges: Vec<AcmeChallenge>,
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct StageUnit {
    api_id: String,
    protocol: Protocol,
    stage: String,
    deployment_id: String,
    execute_api_endpoint_disabled: bool,
    access_log: Option<AccessLog>,
    integrations: Vec<Integration>,
    routes: Vec<Route>,
    canary: Option<v4::Canary<Route>>,
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct Route {
    method: String,
    path: String,
    id: String,
    integration: u32,
}

impl From<Unit> for v4::Unit {
    fn from(past: Unit) -> Self {
        match past {
            Unit::Stage(stage) => Self::Stage(stage.into()),
            Unit::Account(account) => Self::Account(account.into()),
            Unit::Certificate(certificate) => Self::Certificate(certificate),
            Unit::TrustStore(store) => Self::TrustStore(store),
            Unit::TargetGroup(group) => Self::TargetGroup(group),
        }
    }
}

impl From<AccountUnit> for unit::AccountUnit {
    fn from(past: AccountUnit) -> Self {
        let AccountUnit { account_id, region, endpoint_suffix, domains, acme_challenges } = past;
        Self { account_id, region, endpoint_suffix, domains, acme_challenges, throttle: None }
    }
}

impl From<StageUnit> for v4::StageUnit {
    fn from(past: StageUnit) -> Self {
        Self {
            api_id: past.api_id,
            protocol: past.protocol,
            stage: past.stage,
            deployment_id: past.deployment_id,
            execute_api_endpoint_disabled: past.execute_api_endpoint_disabled,
            access_log: past.access_log,
            integrations: past.integrations,
            routes: past.routes.into_iter().map(Into::into).collect(),
            canary: past.canary.map(|canary| canary.map_routes(Into::into)),
            cache: None,
        }
    }
}

impl From<Route> for unit::Route {
    fn from(Route { method, path, id, integration }: Route) -> Self {
        Self { method, path, id, integration, settings: unit::RouteSettings::default() }
    }
}
