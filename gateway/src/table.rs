//! A compiled snapshot: what the shards route by.
//!
//! Made by the housekeeper, immutable, shared by all shards; whatever could fail has failed while it was
//! compiled. Looking a request up takes two steps: [`Table::address`] finds the stage by host and path
//! prefix, [`Routes::look_up`] the route by method and path.

mod acme;
mod apis;
mod cache;
mod callers;
mod compile;
mod domain;
mod refused;
mod release;
mod route_key;
mod routes;
mod rules;
mod target_group;
mod throttles;
mod upstreams;

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use acme::Challenges;
use apis::{Api, Apis, Sought};
pub(crate) use cache::{KeyPart, RouteCache, StageCache};
use callers::Callers;
pub(crate) use callers::{Caller, Shown};
pub(crate) use compile::{Compiler, StageServices};
use domain::Domain;
pub(crate) use refused::Refusals;
pub(crate) use release::{Backend, Canary, Release};
use route_key::RouteKey;
pub(crate) use routes::{Matched, Routes, Variables};
pub(crate) use rules::HeaderLines;
pub(crate) use target_group::{GroupRules, HashBy, Member, MemberAddress, Members, TargetGroup};
use turnpike_limits::Limit;
use turnpike_snapshot::{Compression, HttpVersion, Protocol, Unit};
pub(crate) use upstreams::UpstreamNames;

use crate::access_log_format::AccessLogFormat;
use crate::housekeeper::access_log::SinkId;
use crate::stats::StageSlot;
use crate::tls::{ClientDemand, Site, UpstreamSecurity};

/// Hosts that are no custom domain serve every API below this path.
const EXECUTE_API_PREFIX: &str = "/_aws/execute-api/";
const DEFAULT_STAGE: &str = "$default";
/// An HTTP API's route for what no other matches.
const DEFAULT_ROUTE: &str = "$default";
/// As clients write it that escape whatever they may.
const DEFAULT_STAGE_ESCAPED: &str = "%24default";
/// A DNS name can't be longer (RFC 1035 2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// One configuration. Its keys are the operator's, so hashing needn't withstand chosen ones.
#[derive(Debug)]
pub(crate) struct Table {
    /// Control's, which falls when control is restored from a backup.
    pub(crate) version: u64,
    /// The version, as every host has it, but that it never falls.
    pub(crate) generation: u64,
    pub(crate) account_id: Box<str>,
    /// `.execute-api.us-east-1.localhost`
    host_suffix: Box<str>,
    apis: Apis,
    domains: FxHashMap<Box<str>, Domain>,
    /// The same of domains like `*.example.com`, by what follows the `*.`.
    wildcards: FxHashMap<Box<str>, Domain>,
    /// The same `Arc` as in the table before, unless they have changed.
    upstream_names: Arc<UpstreamNames>,
    acme: Challenges,
    pub(crate) callers: Callers,
    /// The stages that have a cache.
    pub(crate) caches: Box<[Arc<Stage>]>,
    /// Of all requests.
    pub(crate) throttle: Option<Limit>,
    /// With their units.
    groups: Box<[(Arc<TargetGroup>, Arc<Unit>)]>,
}

/// A deployed stage. What every request reads comes first, in few cache lines: of many stages, each is cold.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Stage {
    pub(crate) protocol: Protocol,
    execute_api_endpoint_disabled: bool,
    /// `$default`
    is_default: bool,
    /// Some route requires an API key.
    pub(crate) asks_for_keys: bool,
    pub(crate) slot: StageSlot,
    /// Short names lie in here.
    pub(crate) api_id: SmolStr,
    /// Boxed: few stages have one.
    pub(crate) canary: Option<Box<Canary>>,
    pub(crate) log: Option<StageLog>,
    pub(crate) release: Release,
    pub(crate) name: SmolStr,
    /// `a1b2c3d4e5/prod`
    path: Box<str>,
    pub(crate) cache: Option<StageCache>,
}

/// Where and how a stage's requests are logged.
#[derive(Debug, Clone)]
pub(crate) struct StageLog {
    pub(crate) sink: SinkId,
    pub(crate) format: Arc<AccessLogFormat>,
}

/// A REST method or an HTTP API's route. What a look-up reads is one cache line, what every request reads is two.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Route {
    key: RouteKey,
    /// Index into the stage's backends.
    integration: u32,
    /// Where the path begins in the key.
    path_at: u16,
    /// Of its path, as the index has it.
    shape: u8,
    pub(crate) api_key_required: bool,
    /// Boxed: most routes have none.
    pub(crate) cache: Option<Box<RouteCache>>,
    pub(crate) throttle: Option<Limit>,
    /// Its stage's, or the canary's.
    pub(crate) compression: Option<Compression>,
    pub(crate) id: Box<str>,
}

const _: () = assert!(std::mem::offset_of!(Route, cache) == 64 && size_of::<Route>() == 128);

/// An HTTP_PROXY integration, in one cache line as far as most requests read it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Integration {
    pub(crate) timeout_ms: u64,
    /// `None` passes the client's method on.
    pub(crate) method: Option<SmolStr>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) target: Target,
}

const _: () = assert!(size_of::<Backend>() == 64);

/// Where integrations connect to; one for all that name the same host, port, version, target group and TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Index of each shard's pool.
    pub(crate) slot: u32,
    /// Where `host` is an address and needs no resolving.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// `None` over plain HTTP.
    pub(crate) security: Option<Arc<UpstreamSecurity>>,
    /// What follows a request's target: the version, and the line that names the host.
    pub(crate) version_and_host: Box<str>,
    pub(crate) version: HttpVersion,
    /// Whose targets are connected to, instead of `host` and `port`.
    pub(crate) group: Option<Arc<TargetGroup>>,
}

/// The path and query that an upstream is asked for.
#[derive(Debug)]
pub(crate) enum Target {
    /// A path alone, the same for all requests. Short ones lie in here.
    Fixed(SmolStr),
    Parts(Box<TargetParts>),
}

#[derive(Debug)]
pub(crate) struct TargetParts {
    pub(crate) path: Box<[TargetPart]>,
    pub(crate) query: Box<str>,
}

#[derive(Debug)]
pub(crate) enum TargetPart {
    /// Short ones lie in here.
    Literal(SmolStr),
    Variable(SmolStr),
    RequestPath,
}

/// A host whose stage a request is going to need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'h> {
    pub(crate) host: &'h [u8],
    /// The API that the host names as nearly everybody writes it; those who write it otherwise lose time only.
    api: Option<Sought<'h>>,
}

/// The same, one line of memory nearer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Approached<'t, 'h> {
    host: &'h [u8],
    api: Option<(Sought<'h>, Option<&'t Api>)>,
}

/// The stage that a request addresses.
#[derive(Debug)]
pub(crate) struct Address<'t, 'p> {
    pub(crate) stage: &'t Stage,
    /// Below the stage or base path; starts with `/`.
    pub(crate) path: &'p str,
    /// The mapping's key, or the rule's base path, at a custom domain.
    pub(crate) base_path: Option<&'t str>,
    /// Id of the routing rule that led here.
    pub(crate) rule: Option<&'t str>,
    /// The certificate that the domain demands of its clients.
    pub(crate) demand: Option<ClientDemand>,
}

/// Why no stage is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// No API, domain or mapping answers here.
    ApiUnknown,
    StageUnknown(Protocol),
    /// `disableExecuteApiEndpoint`
    EndpointDisabled(Protocol),
}

impl Table {
    /// What a gateway serves before its first snapshot.
    pub(crate) fn empty() -> Self {
        Self {
            version: 0,
            generation: 0,
            account_id: "".into(),
            host_suffix: "".into(),
            apis: Apis::default(),
            domains: FxHashMap::default(),
            wildcards: FxHashMap::default(),
            upstream_names: Arc::default(),
            acme: Challenges::default(),
            callers: Callers::default(),
            caches: Box::default(),
            throttle: None,
            groups: Box::default(),
        }
    }

    /// The first of three steps to a host's stage, each of which reads what the one before has had the core fetch: to be
    /// taken as early as can be, and apart. The host is without its port.
    pub(crate) fn expect<'h>(&self, host: &'h [u8]) -> Expected<'h> {
        let api_id = host.strip_suffix(self.host_suffix.as_bytes()).filter(|_| !self.host_suffix.is_empty());
        let api_id = api_id.and_then(|api_id| std::str::from_utf8(api_id).ok());
        Expected { host, api: api_id.map(|api_id| self.apis.expect(api_id)) }
    }

    pub(crate) fn approach<'h>(&self, expected: Expected<'h>) -> Approached<'_, 'h> {
        let api = expected.api.map(|sought| (sought, self.apis.approach(sought)));
        Approached { host: expected.host, api }
    }

    /// Finds the stage for a host, a normalized path, and the headers, which rules look at.
    pub(crate) fn address<'t, 'p>(
        &'t self,
        approached: Approached<'t, '_>,
        path: &'p str,
        headers: HeaderLines<'_>,
    ) -> Result<Address<'t, 'p>, AddressError> {
        if let Some(api) = approached.api.and_then(|(sought, api)| self.apis.get(sought, api)) {
            return api.address(path);
        }
        let mut lowered = [0; HOST_BYTES_MAX];
        let host = lower(approached.host, &mut lowered).ok_or(AddressError::ApiUnknown)?;
        if let Some(api_id) = self.api_id_in(host) {
            return self.default_form(api_id, path);
        }
        if let Some(domain) = self.domain(host) {
            return domain.address(path, headers);
        }
        let below = path.strip_prefix(EXECUTE_API_PREFIX).ok_or(AddressError::ApiUnknown)?;
        let (api_id, path) = below.split_at(memchr::memchr(b'/', below.as_bytes()).unwrap_or(below.len()));
        self.default_form(api_id, path)
    }

    /// What a handshake for a host does; `None` where the host has no certificate of its own.
    pub(crate) fn site(&self, host: &str) -> Option<&Arc<Site>> {
        let mut lowered = [0; HOST_BYTES_MAX];
        let host = lower(host.as_bytes(), &mut lowered)?;
        if self.api_id_in(host).is_some() {
            return None;
        }
        self.domain(host)?.site.as_ref()
    }

    /// Whether some certificate authority may come and look.
    pub(crate) fn has_challenges(&self) -> bool {
        !self.acme.is_empty()
    }

    /// What answers a certificate authority at a host, without its port, and a normalized path.
    pub(crate) fn acme_answer(&self, host: &[u8], path: &str) -> Option<&str> {
        let mut lowered = [0; HOST_BYTES_MAX];
        self.acme.answer(lower(host, &mut lowered)?, path)
    }

    /// Addresses of what requests read of it, all over its memory.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        self.apis.iter().flat_map(Api::stages).map(|stage| Arc::as_ptr(stage).addr())
    }

    /// A custom domain; its own name comes before a wildcard, which stands for one label.
    fn domain(&self, host: &str) -> Option<&Domain> {
        if let Some(domain) = self.domains.get(host) {
            return Some(domain);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        let (_, above) = host.split_once('.').filter(|(label, _)| !label.is_empty())?;
        self.wildcards.get(above)
    }

    fn api_id_in<'h>(&self, host: &'h str) -> Option<&'h str> {
        let api_id = host.strip_suffix(&*self.host_suffix)?;
        (!self.host_suffix.is_empty() && !api_id.bytes().any(|byte| byte == b'.')).then_some(api_id)
    }

    fn api(&self, api_id: &str) -> Option<&Api> {
        let sought = self.apis.expect(api_id);
        self.apis.get(sought, self.apis.approach(sought))
    }

    fn default_form<'p>(&self, api_id: &str, path: &'p str) -> Result<Address<'_, 'p>, AddressError> {
        self.api(api_id).ok_or(AddressError::ApiUnknown)?.address(path)
    }
}

impl Stage {
    /// Has the core fetch what every request reads: the lines come side by side, instead of one after the other.
    fn fetch(&self) {
        turnpike_rt::prefetch(&self.protocol);
        turnpike_rt::prefetch(&self.release.routes);
        turnpike_rt::prefetch(&self.name);
    }

    fn path_of(api_id: &str, stage: &str) -> Box<str> {
        format!("{api_id}/{stage}").into()
    }
}

impl Route {
    /// `GET /pets/{id}`, `$default`
    pub(crate) fn key(&self) -> &str {
        self.key.as_str()
    }

    /// `/pets/{id}`, `$default`
    pub(crate) fn path(&self) -> &str {
        &self.key()[usize::from(self.path_at)..]
    }

    fn path_bytes(&self) -> &[u8] {
        &self.key.as_bytes()[usize::from(self.path_at)..]
    }

    /// That it names; of none that has a path.
    fn method(&self) -> &[u8] {
        self.key.as_bytes().get(..usize::from(self.path_at).saturating_sub(1)).unwrap_or_default()
    }

    /// Methods are short (checked with the snapshot).
    fn path_at(method: &str, path: &str) -> u16 {
        if path == DEFAULT_ROUTE { 0 } else { method.len() as u16 + 1 }
    }

    fn key_of(method: &str, path: &str) -> Box<str> {
        if path == DEFAULT_ROUTE { path.into() } else { format!("{method} {path}").into() }
    }
}

impl Api {
    /// `/{stage}/…`, or `/…` for a `$default` stage; AWS looks for a named stage first.
    fn address<'p>(&self, path: &'p str) -> Result<Address<'_, 'p>, AddressError> {
        let (stage, path) = match (self.named(path), self.default_stage()) {
            (Some((stage, below)), _) => (stage, below),
            (None, Some(stage)) => (stage, path),
            (None, None) => return Err(AddressError::StageUnknown(self.protocol())),
        };
        if stage.execute_api_endpoint_disabled {
            return Err(AddressError::EndpointDisabled(stage.protocol));
        }
        Ok(Address { stage, path: rooted(path), base_path: None, rule: None, demand: None })
    }

    /// The stage that a path names first, and what is below.
    fn named<'p>(&self, path: &'p str) -> Option<(&Arc<Stage>, &'p str)> {
        let below = path.strip_prefix('/').unwrap_or(path);
        // Most HTTP APIs have the one stage, whose name is hardly ever written.
        if self.has_default_alone() && !below.starts_with(['$', '%']) {
            return None;
        }
        let (name, rest) = below.split_at(memchr::memchr(b'/', below.as_bytes()).unwrap_or(below.len()));
        let name = if name == DEFAULT_STAGE_ESCAPED { DEFAULT_STAGE } else { name };
        self.stage(name).map(|stage| (stage, rest))
    }
}

/// What of a path is below whole leading segments.
fn below<'p>(key: &str, path: &'p str) -> Option<&'p str> {
    let rest = if key.is_empty() { path } else { path.strip_prefix('/')?.strip_prefix(key)? };
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn rooted(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Lower case, without the dot that may end a fully qualified name.
fn lower<'l>(host: &[u8], lowered: &'l mut [u8; HOST_BYTES_MAX]) -> Option<&'l str> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let lowered = lowered.get_mut(..host.len())?;
    lowered.copy_from_slice(host);
    lowered.make_ascii_lowercase();
    std::str::from_utf8(lowered).ok()
}

#[cfg(test)]
mod tests;
