//! A small language for snapshots: `http_api("a1").route("GET /pets/{id}", &origin.url("/x/{id}"))`.

use turnpike_snapshot::{
    AccessLog, AccountUnit, Domain, HttpProxy, HttpVersion, Integration, IntegrationKind, Mapping, Protocol,
    Route, Scheme, StageUnit, TargetPart, Unit,
};

/// The region of every test's account.
pub const REGION: &str = "us-east-1";
/// What hosts of the default form end with.
const ENDPOINT_SUFFIX: &str = "localhost";
/// What integrations wait for, unless a test says otherwise.
const TIMEOUT_MS: u32 = 29_000;

/// An HTTP API with a `$default` stage.
#[must_use]
pub fn http_api(api_id: &str) -> StageBuilder {
    StageBuilder::new(api_id, Protocol::Http, "$default")
}

/// A REST API with the given stage.
#[must_use]
pub fn rest_api(api_id: &str, stage: &str) -> StageBuilder {
    StageBuilder::new(api_id, Protocol::Rest, stage)
}

/// The host of the default form of address.
#[must_use]
pub fn host(api_id: &str) -> String {
    format!("{api_id}.execute-api.{REGION}.{ENDPOINT_SUFFIX}")
}

/// What a custom domain maps: (key, API's id, stage).
pub type Mapped<'a> = (&'a str, &'a str, &'a str);

/// An account with these custom domains and their mappings.
#[must_use]
pub fn account(domains: &[(&str, &[Mapped<'_>])]) -> Unit {
    let mapping = |&(key, api_id, stage): &Mapped<'_>| Mapping {
        key: key.to_owned(),
        api_id: api_id.to_owned(),
        stage: stage.to_owned(),
    };
    let domain = |&(name, mappings): &(&str, &[_])| Domain {
        name: str::to_owned(name),
        mappings: mappings.iter().map(mapping).collect(),
        tls: None,
    };
    Unit::Account(AccountUnit {
        account_id: "000000000000".to_owned(),
        region: REGION.to_owned(),
        endpoint_suffix: ENDPOINT_SUFFIX.to_owned(),
        domains: domains.iter().map(domain).collect(),
        acme_challenges: Vec::new(),
    })
}

/// A stage in the making.
#[derive(Debug, Clone)]
pub struct StageBuilder {
    unit: StageUnit,
}

impl StageBuilder {
    fn new(api_id: &str, protocol: Protocol, stage: &str) -> Self {
        Self {
            unit: StageUnit {
                api_id: api_id.to_owned(),
                protocol,
                stage: stage.to_owned(),
                deployment_id: "d1".to_owned(),
                execute_api_endpoint_disabled: false,
                access_log: None,
                integrations: Vec::new(),
                routes: Vec::new(),
            },
        }
    }

    /// Another stage than `$default`.
    #[must_use]
    pub fn stage(mut self, stage: &str) -> Self {
        stage.clone_into(&mut self.unit.stage);
        self
    }

    #[must_use]
    pub fn endpoint_disabled(mut self) -> Self {
        self.unit.execute_api_endpoint_disabled = true;
        self
    }

    #[must_use]
    pub fn access_log(mut self, destination: &str, format: &str) -> Self {
        self.unit.access_log =
            Some(AccessLog { destination: destination.to_owned(), format: format.to_owned() });
        self
    }

    /// Sends `key` (`GET /pets/{id}`, `ANY /{proxy+}`, `$default`) to `url`, in which `{id}` stands for a path
    /// variable and `{request.path}` for the whole path.
    ///
    /// # Panics
    /// For a `url` that isn't `http://address:port/…`.
    #[must_use]
    pub fn route(self, key: &str, url: &str) -> Self {
        self.route_as(key, proxy(url), TIMEOUT_MS)
    }

    /// As [`Self::route`], to an origin that speaks HTTP/2.
    #[must_use]
    pub fn route_http2(self, key: &str, url: &str) -> Self {
        self.route_as(key, HttpProxy { version: HttpVersion::Http2, ..proxy(url) }, TIMEOUT_MS)
    }

    /// As [`Self::route_http2`]; the integration gives up after `timeout_ms`.
    #[must_use]
    pub fn route_http2_within(self, key: &str, url: &str, timeout_ms: u32) -> Self {
        self.route_as(key, HttpProxy { version: HttpVersion::Http2, ..proxy(url) }, timeout_ms)
    }

    /// As [`Self::route`]; the integration gives up after `timeout_ms`.
    #[must_use]
    pub fn route_within(self, key: &str, url: &str, timeout_ms: u32) -> Self {
        self.route_as(key, proxy(url), timeout_ms)
    }

    /// As [`Self::route`]; the origin sees `method`, whatever the client sent.
    #[must_use]
    pub fn route_with_method(self, key: &str, url: &str, method: &str) -> Self {
        self.route_as(key, HttpProxy { method: Some(method.to_owned()), ..proxy(url) }, TIMEOUT_MS)
    }

    fn route_as(mut self, key: &str, proxy: HttpProxy, timeout_ms: u32) -> Self {
        let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
        let number = self.unit.integrations.len();
        self.unit.integrations.push(Integration {
            id: format!("i{number}"),
            timeout_ms,
            kind: IntegrationKind::HttpProxy(proxy),
        });
        self.unit.routes.push(Route {
            method: method.to_owned(),
            path: path.to_owned(),
            id: format!("r{number}"),
            integration: u32::try_from(number).expect("few routes"),
        });
        self
    }

    #[must_use]
    pub fn unit(&self) -> Unit {
        Unit::Stage(self.unit.clone())
    }
}

fn proxy(url: &str) -> HttpProxy {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("'{url}' isn't http"));
    let (authority, path) = rest.find(['/', '{']).map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':').unwrap_or_else(|| panic!("'{url}' has no port"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    HttpProxy {
        method: None,
        scheme: Scheme::Http,
        version: HttpVersion::Http1,
        tls: None,
        target_group: None,
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().unwrap_or_else(|_| panic!("'{url}' has no port")),
        target: parts(path),
        query: query.to_owned(),
    }
}

fn parts(path: &str) -> Vec<TargetPart> {
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or_else(|| panic!("'{path}' has an open brace"));
        if !literal.is_empty() {
            parts.push(TargetPart::Literal(literal.to_owned()));
        }
        parts.push(match name {
            "request.path" => TargetPart::RequestPath,
            name => TargetPart::PathParameter(name.to_owned()),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TargetPart::Literal(rest.to_owned()));
    }
    parts
}
