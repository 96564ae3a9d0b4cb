//! From a snapshot's units to a [`Table`], on the housekeeper.
//!
//! A stage whose unit is the one that is already served is taken over as it is, so that a change to one
//! stage costs one stage.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use turnpike_snapshot::{
    AccountUnit, Compression, HttpProxy, HttpVersion, IntegrationKind, Scheme, StageUnit, Unit, UnitHash,
    UpstreamTls,
};

use super::acme::Challenges;
use super::callers::KnownCallers;
use super::release::RefusedRoute;
use super::route_key::RouteKey;
use super::target_group::KnownGroups;
use super::throttles;
use super::{
    Api, Apis, Backend, Canary, DEFAULT_STAGE, Domain, Integration, Release, Route, RouteCache, Routes,
    Stage, StageCache, StageLog, Table, Target, TargetPart, TargetParts, Upstream, UpstreamNames,
};
use crate::stats::StageSlot;
use crate::tls::{DefaultCertificate, Securities, SiteError, Sites, TlsUnits, references};

/// Keeps what the next compilation can take over.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// The operator's ceiling over what integrations ask for.
    timeout_ms_max: u64,
    /// Of the newest table.
    generation: u64,
    /// By their unit.
    stages: HashMap<UnitHash, Known>,
    upstreams: HashMap<UpstreamIdentity, Weak<Upstream>>,
    upstream_slots_used: u32,
    /// Likewise.
    upstream_names: Arc<UpstreamNames>,
    sites: Sites,
    securities: Securities,
    /// The gateway's own, told of the names that it is served for.
    default_certificate: Option<Arc<DefaultCertificate>>,
    groups: KnownGroups,
    callers: KnownCallers,
}

/// A stage as it was compiled.
#[derive(Debug)]
struct Known {
    tls: Arc<[TlsNames]>,
    /// The units of those names, whose contents the stage has taken over: a change of one makes another stage of it.
    references: Vec<UnitHash>,
    stage: Arc<Stage>,
}

/// A trust store and a certificate that an integration names.
#[derive(Debug)]
struct TlsNames {
    /// The first of the stage that names these.
    integration: String,
    tls: UpstreamTls,
}

/// Host, port, version, target group and TLS: connections of two upstreams that differ in one never mix.
type UpstreamIdentity = (String, u16, HttpVersion, Option<String>, Option<[u8; 32]>);

/// Why a snapshot is refused, though its bytes were sound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("the snapshot has {0} account units instead of one")]
    AccountUnits(usize),
    #[error("API {api_id} has stage {stage} twice")]
    StageTwice { api_id: String, stage: String },
    #[error("API {api_id} is a REST API in one stage and an HTTP API in another")]
    TwoProtocols { api_id: String },
    #[error("domain {domain} maps '{key}' to stage {stage} of API {api_id}, which isn't in the snapshot")]
    MappingDangles { domain: String, key: String, api_id: String, stage: String },
    #[error("stage {stage} of API {api_id}: {error}")]
    Route { api_id: String, stage: String, error: matchit::InsertError },
    #[error("stage {stage} of API {api_id}: {reason}")]
    AccessLog { api_id: String, stage: String, reason: String },
    #[error("domain {domain}: {error}")]
    Site { domain: String, error: SiteError },
    #[error("integration {integration} of stage {stage} of API {api_id}: {error}")]
    UpstreamTls { api_id: String, stage: String, integration: String, error: Box<SiteError> },
    #[error("{0}")]
    DefaultCertificate(String),
}

/// What the housekeeper gives each stage: its counters' slot, and its log.
pub(crate) trait StageServices {
    fn slots(&mut self, stages: &[(&str, &str)]) -> Vec<StageSlot>;
    /// # Errors
    /// The format or the log group's name can't be used; checking the unit has excluded both.
    fn log(&mut self, unit: &StageUnit) -> Result<Option<StageLog>, String>;
}

impl Compiler {
    pub(crate) fn new(timeout_ms_max: u64, sites: Sites) -> Self {
        Self {
            timeout_ms_max,
            generation: 0,
            stages: HashMap::new(),
            upstreams: HashMap::new(),
            upstream_slots_used: 0,
            upstream_names: Arc::default(),
            sites,
            securities: Securities::new(),
            default_certificate: None,
            groups: KnownGroups::default(),
            callers: KnownCallers::default(),
        }
    }

    /// Keeps this certificate's names up to date.
    pub(crate) fn with_default_certificate(self, certificate: Option<Arc<DefaultCertificate>>) -> Self {
        Self { default_certificate: certificate, ..self }
    }

    pub(crate) fn compile(
        &mut self,
        version: u64,
        units: &[(UnitHash, Arc<Unit>)],
        services: &mut dyn StageServices,
    ) -> Result<Table, CompileError> {
        let account = account_of(units)?;
        // Ahead of control's versions from where they fell on, until they have caught up.
        let generation = version.max(self.generation.saturating_add(1));
        let mut table = Table {
            version,
            generation,
            account_id: account.account_id.as_str().into(),
            host_suffix: format!(".execute-api.{}.{}", account.region, account.endpoint_suffix).into(),
            apis: Apis::default(),
            domains: FxHashMap::default(),
            wildcards: FxHashMap::default(),
            upstream_names: Arc::default(),
            acme: Challenges::compile(&account.acme_challenges),
            callers: self.callers.of_snapshot(units),
            caches: Box::default(),
            throttle: account.throttle.map(|throttle| throttles::of_account(&account.account_id, throttle)),
            groups: self.groups.of_snapshot(units),
        };
        self.sites.begin();
        let tls_units = TlsUnits::of(units);
        let stages = self.stages(units, &tls_units, services)?;
        table.apis = Apis::with_room(stages.len());
        for known in stages.values() {
            table.add(&known.stage)?;
        }
        let caches = stages.values().filter(|known| known.stage.cache.is_some());
        table.caches = caches.map(|known| Arc::clone(&known.stage)).collect();
        for domain in &account.domains {
            let site = self.sites.of(domain, &tls_units);
            let site = site.map_err(|error| CompileError::Site { domain: domain.name.clone(), error })?;
            let compiled = Domain::compile(&table, domain, site)?;
            table.add_domain(&domain.name, compiled);
        }
        self.name_default_certificate(account)?;
        self.sites.settle();
        self.securities.settle();
        self.stages = stages;
        let names = table.find_upstream_names();
        if names != *self.upstream_names {
            self.upstream_names = Arc::new(names);
        }
        table.upstream_names = Arc::clone(&self.upstream_names);
        self.upstreams.retain(|_, upstream| upstream.strong_count() > 0);
        self.generation = generation;
        Ok(table)
    }

    fn name_default_certificate(&self, account: &AccountUnit) -> Result<(), CompileError> {
        let Some(certificate) = &self.default_certificate else { return Ok(()) };
        let own = format!("*.execute-api.{}.{}", account.region, account.endpoint_suffix);
        let without = account.domains.iter().filter(|domain| domain.tls.is_none());
        let names = [own].into_iter().chain(without.map(|domain| domain.name.clone())).collect();
        certificate.name(names).map_err(CompileError::DefaultCertificate)
    }

    fn stages(
        &mut self,
        units: &[(UnitHash, Arc<Unit>)],
        tls_units: &TlsUnits<'_>,
        services: &mut dyn StageServices,
    ) -> Result<HashMap<UnitHash, Known>, CompileError> {
        let units: Vec<(UnitHash, &StageUnit)> = units
            .iter()
            .filter_map(|(hash, unit)| match &**unit {
                Unit::Stage(stage) => Some((*hash, stage)),
                _ => None,
            })
            .collect();
        let slots = slots_of(&units, services);
        let mut stages = HashMap::with_capacity(units.len());
        for ((hash, unit), slots) in units.into_iter().zip(slots) {
            let known = self.stages.get(&hash);
            let tls = known.map_or_else(|| tls_names(unit), |known| Arc::clone(&known.tls));
            let references = tls_references(unit, &tls, tls_units)?;
            let same =
                known.filter(|known| known.references == references && Slots::of(&known.stage) == slots);
            let stage = match same {
                Some(known) => Arc::clone(&known.stage),
                None => Arc::new(self.stage(unit, slots, tls_units, services)?),
            };
            stages.insert(hash, Known { tls, references, stage });
        }
        Ok(stages)
    }

    fn stage(
        &mut self,
        unit: &StageUnit,
        slots: Slots,
        tls_units: &TlsUnits<'_>,
        services: &mut dyn StageServices,
    ) -> Result<Stage, CompileError> {
        let log = services.log(unit).map_err(|reason| CompileError::AccessLog {
            api_id: unit.api_id.clone(),
            stage: unit.stage.clone(),
            reason,
        })?;
        let own = Deployed {
            deployment_id: &unit.deployment_id,
            routes: &unit.routes,
            integrations: &unit.integrations,
            compression: unit.compression,
        };
        let canary = match (&unit.canary, slots.canary) {
            (Some(canary), Some(slot)) => {
                let deployed = Deployed {
                    deployment_id: &canary.deployment_id,
                    routes: &canary.routes,
                    integrations: &canary.integrations,
                    compression: canary.compression,
                };
                let release = self.release(unit, &deployed, tls_units)?;
                Some(Box::new(Canary::new(unit, canary, release, slot)))
            }
            _ => None,
        };
        Ok(Stage {
            api_id: SmolStr::new(&unit.api_id),
            protocol: unit.protocol,
            name: SmolStr::new(&unit.stage),
            is_default: unit.stage == DEFAULT_STAGE,
            path: Stage::path_of(&unit.api_id, &unit.stage),
            slot: slots.stage,
            execute_api_endpoint_disabled: unit.execute_api_endpoint_disabled,
            log,
            cache: unit.cache.as_ref().map(StageCache::compile),
            release: self.release(unit, &own, tls_units)?,
            asks_for_keys: asks_for_keys(unit),
            canary,
        })
    }

    fn release(
        &mut self,
        unit: &StageUnit,
        deployed: &Deployed<'_>,
        tls_units: &TlsUnits<'_>,
    ) -> Result<Release, CompileError> {
        let routes: Vec<Route> =
            deployed.routes.iter().map(|route| compile_route(unit, route, deployed.compression)).collect();
        let refused = deployed.refused(&routes);
        let routes = Routes::compile(unit.protocol, deployed.routes, routes).map_err(|error| {
            CompileError::Route { api_id: unit.api_id.clone(), stage: unit.stage.clone(), error }
        })?;
        let backends = deployed.integrations.iter().map(|integration| {
            self.backend(integration, tls_units).map_err(|error| upstream_tls(unit, &integration.id, error))
        });
        let backends: Box<[Backend]> = backends.collect::<Result<_, _>>()?;
        Ok(Release {
            deployment_id: deployed.deployment_id.into(),
            upstreams: upstreams_of(&backends),
            backends,
            routes,
            refused,
        })
    }

    fn backend(
        &mut self,
        unit: &turnpike_snapshot::Integration,
        tls_units: &TlsUnits<'_>,
    ) -> Result<Backend, SiteError> {
        let proxy = match &unit.kind {
            IntegrationKind::HttpProxy(proxy) => proxy,
            IntegrationKind::Refused { .. } => return Ok(Backend::Refused),
        };
        Ok(Backend::HttpProxy(Integration {
            timeout_ms: u64::from(unit.timeout_ms).min(self.timeout_ms_max),
            method: proxy.method.as_deref().map(Into::into),
            upstream: self.upstream(proxy, tls_units)?,
            target: compile_target(proxy),
        }))
    }

    fn upstream(&mut self, proxy: &HttpProxy, tls_units: &TlsUnits<'_>) -> Result<Arc<Upstream>, SiteError> {
        let security = match &proxy.tls {
            None => None,
            Some(tls) => Some(self.securities.of(proxy, tls, tls_units, &mut self.sites)?),
        };
        let group = proxy.target_group.as_deref().and_then(|id| self.groups.named(id));
        let identity = security.as_ref().map(|security| security.identity());
        let group_id = proxy.target_group.clone();
        let name = (proxy.host.clone(), proxy.port, proxy.version, group_id, identity);
        let known = self.upstreams.entry(name).or_default();
        if let Some(upstream) = known.upgrade() {
            return Ok(upstream);
        }
        let upstream = Arc::new(Upstream {
            slot: self.upstream_slots_used,
            ip: proxy.host.parse().ok(),
            host: proxy.host.as_str().into(),
            port: proxy.port,
            security,
            version_and_host: format!(" HTTP/1.1\r\nHost: {}\r\n", authority(proxy)).into(),
            version: proxy.version,
            group,
        });
        self.upstream_slots_used += 1;
        *known = Arc::downgrade(&upstream);
        Ok(upstream)
    }
}

impl Table {
    fn add(&mut self, stage: &Arc<Stage>) -> Result<(), CompileError> {
        let Some(api) = self.apis.place(&stage.api_id) else {
            *self.apis.place(&stage.api_id) = Some(Api::One(Arc::clone(stage)));
            return Ok(());
        };
        if api.protocol() != stage.protocol {
            return Err(CompileError::TwoProtocols { api_id: stage.api_id.to_string() });
        }
        if !api.add(stage) {
            return Err(CompileError::StageTwice {
                api_id: stage.api_id.to_string(),
                stage: stage.name.to_string(),
            });
        }
        Ok(())
    }

    /// The stage that a mapping or a rule names.
    pub(super) fn stage(&self, api_id: &str, stage: &str) -> Option<&Arc<Stage>> {
        self.api(api_id)?.stage(stage)
    }

    fn add_domain(&mut self, name: &str, domain: Domain) {
        match name.strip_prefix("*.") {
            None => self.domains.insert(name.into(), domain),
            Some(below) => self.wildcards.insert(below.into(), domain),
        };
    }
}

/// Where a stage's requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slots {
    stage: StageSlot,
    canary: Option<StageSlot>,
}

impl Slots {
    fn of(stage: &Stage) -> Self {
        Self { stage: stage.slot, canary: stage.canary.as_ref().map(|canary| canary.slot) }
    }
}

/// The slots of each stage, in their order. A canary's name is its stage's and one more word, as in AWS's metrics.
fn slots_of(units: &[(UnitHash, &StageUnit)], services: &mut dyn StageServices) -> Vec<Slots> {
    let with_canary = units.iter().filter(|(_, unit)| unit.canary.is_some());
    let canaries: Vec<(&str, String)> =
        with_canary.map(|(_, unit)| (unit.api_id.as_str(), format!("{}/Canary", unit.stage))).collect();
    let names = units.iter().map(|(_, unit)| (unit.api_id.as_str(), unit.stage.as_str()));
    let names: Vec<(&str, &str)> =
        names.chain(canaries.iter().map(|(api_id, name)| (*api_id, name.as_str()))).collect();
    let given = services.slots(&names);
    let (own, of_canaries) = given.split_at(units.len());
    let mut of_canaries = of_canaries.iter();
    let mut canary_slot = |unit: &StageUnit| unit.canary.as_ref().and_then(|_| of_canaries.next().copied());
    units
        .iter()
        .zip(own)
        .map(|((_, unit), stage)| Slots { stage: *stage, canary: canary_slot(unit) })
        .collect()
}

/// What a stage, or its canary, serves.
struct Deployed<'u> {
    deployment_id: &'u str,
    routes: &'u [turnpike_snapshot::Route],
    integrations: &'u [turnpike_snapshot::Integration],
    compression: Option<Compression>,
}

impl Deployed<'_> {
    /// The routes that lead nowhere; `compiled` are all of them.
    fn refused(&self, compiled: &[Route]) -> Box<[RefusedRoute]> {
        let refused = self.routes.iter().zip(compiled).filter_map(|(unit, route)| {
            match &self.integrations[unit.integration as usize].kind {
                IntegrationKind::Refused { reason } => {
                    Some(RefusedRoute { key: route.key().into(), reason: reason.as_str().into() })
                }
                IntegrationKind::HttpProxy(_) => None,
            }
        });
        refused.collect()
    }
}

/// Where requests are passed to, each once.
fn upstreams_of(backends: &[Backend]) -> Box<[Arc<Upstream>]> {
    let integrations = backends.iter().filter_map(Backend::integration);
    let mut upstreams: Vec<_> = integrations.map(|integration| &integration.upstream).collect();
    upstreams.sort_unstable_by_key(|upstream| upstream.slot);
    upstreams.dedup_by_key(|upstream| upstream.slot);
    upstreams.into_iter().cloned().collect()
}

/// The trust stores and certificates that the stage's integrations name, each pair once.
fn tls_names(unit: &StageUnit) -> Arc<[TlsNames]> {
    let mut seen = HashSet::new();
    let mut named = Vec::new();
    for integration in unit.all_integrations() {
        let Some(tls) = integration.kind.proxy().and_then(|proxy| proxy.tls.as_ref()) else { continue };
        if seen.insert((&tls.trust_store, &tls.client_certificate)) {
            named.push(TlsNames { integration: integration.id.clone(), tls: tls.clone() });
        }
    }
    named.into()
}

/// The units of these names.
fn tls_references(
    unit: &StageUnit,
    named: &[TlsNames],
    tls_units: &TlsUnits<'_>,
) -> Result<Vec<UnitHash>, CompileError> {
    let mut found = Vec::new();
    for TlsNames { integration, tls } in named {
        let (trust, shown) =
            references(tls, tls_units).map_err(|error| upstream_tls(unit, integration, error))?;
        found.extend(trust.into_iter().chain(shown));
    }
    Ok(found)
}

fn upstream_tls(unit: &StageUnit, integration_id: &str, error: SiteError) -> CompileError {
    CompileError::UpstreamTls {
        api_id: unit.api_id.clone(),
        stage: unit.stage.clone(),
        integration: integration_id.to_owned(),
        error: Box::new(error),
    }
}

fn account_of(units: &[(UnitHash, Arc<Unit>)]) -> Result<&AccountUnit, CompileError> {
    let mut accounts = units.iter().filter_map(|(_, unit)| match &**unit {
        Unit::Account(account) => Some(account),
        _ => None,
    });
    match (accounts.next(), accounts.count()) {
        (Some(account), 0) => Ok(account),
        (None, _) => Err(CompileError::AccountUnits(0)),
        (Some(_), more) => Err(CompileError::AccountUnits(more + 1)),
    }
}

fn asks_for_keys(unit: &StageUnit) -> bool {
    let canary = unit.canary.iter().flat_map(|canary| &canary.routes);
    unit.routes.iter().chain(canary).any(|route| route.settings.api_key_required)
}

fn compile_route(
    stage: &StageUnit,
    route: &turnpike_snapshot::Route,
    compression: Option<Compression>,
) -> Route {
    Route {
        key: RouteKey::new(Route::key_of(&route.method, &route.path)),
        path_at: Route::path_at(&route.method, &route.path),
        id: route.id.as_str().into(),
        api_key_required: route.settings.api_key_required,
        compression,
        cache: RouteCache::compile(stage, route),
        throttle: route.settings.throttle.map(|throttle| {
            let stage_path = Stage::path_of(&stage.api_id, &stage.stage);
            throttles::of_route(&stage_path, &route.method, &route.path, throttle)
        }),
        integration: route.integration,
        shape: 0,
    }
}

fn compile_target(proxy: &HttpProxy) -> Target {
    match &*proxy.target {
        [turnpike_snapshot::TargetPart::Literal(path)] if proxy.query.is_empty() => {
            Target::Fixed(path.into())
        }
        parts => Target::Parts(Box::new(TargetParts {
            path: parts.iter().map(compile_part).collect(),
            query: proxy.query.as_str().into(),
        })),
    }
}

fn compile_part(part: &turnpike_snapshot::TargetPart) -> TargetPart {
    match part {
        turnpike_snapshot::TargetPart::Literal(text) => TargetPart::Literal(text.into()),
        turnpike_snapshot::TargetPart::PathParameter(name) => TargetPart::Variable(name.into()),
        turnpike_snapshot::TargetPart::RequestPath => TargetPart::RequestPath,
    }
}

/// RFC 9110 7.2: the port is left out where it is the scheme's own.
fn authority(proxy: &HttpProxy) -> String {
    let host = if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
    let own = match proxy.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    if proxy.port == own { host } else { format!("{host}:{}", proxy.port) }
}
