//! Units of format 2, as gateways have them on their disks and get them of a control that isn't upgraded yet: they are read,
//! never written. What format 3 has changed is declared here as it was; all else is as it is, so that a change to one of those
//! types puts its present form here first.

use rkyv::{Archive, Deserialize, Serialize};

use crate::unit::{
    self, AccessLog, AcmeChallenge, CertificateUnit, DomainTls, HttpProxy, Mapping, Protocol, Route,
    TargetGroupUnit, TrustStoreUnit,
};

/// The oldest format that is read.
pub(crate) const FORMAT_VERSION: u16 = 2;

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
pub(crate) struct Domain {
    name: String,
    mappings: Vec<Mapping>,
    tls: Option<DomainTls>,
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
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct Integration {
    id: String,
    timeout_ms: u32,
    kind: IntegrationKind,
}

#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) enum IntegrationKind {
    HttpProxy(HttpProxy),
}

impl From<Unit> for unit::Unit {
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
        let domains = domains.into_iter().map(Into::into).collect();
        Self { account_id, region, endpoint_suffix, domains, acme_challenges }
    }
}

impl From<Domain> for unit::Domain {
    fn from(Domain { name, mappings, tls }: Domain) -> Self {
        Self { name, rules: Vec::new(), mappings, tls }
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
            integrations: past.integrations.into_iter().map(Into::into).collect(),
            routes: past.routes,
            canary: None,
        }
    }
}

impl From<Integration> for unit::Integration {
    fn from(Integration { id, timeout_ms, kind }: Integration) -> Self {
        let IntegrationKind::HttpProxy(proxy) = kind;
        Self { id, timeout_ms, kind: unit::IntegrationKind::HttpProxy(proxy) }
    }
}
