//! Units in their plainest form, to be filled in: what tests and measurements begin with. Control names every member of what
//! it publishes instead, so that a new one is thought of there.

use crate::unit::{
    AccountUnit, HttpProxy, HttpVersion, Protocol, Route, RouteSettings, Scheme, StageUnit, TargetPart,
};

impl AccountUnit {
    /// Without domains and limits.
    #[must_use]
    pub fn plain(account_id: &str, region: &str, endpoint_suffix: &str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            region: region.to_owned(),
            endpoint_suffix: endpoint_suffix.to_owned(),
            domains: Vec::new(),
            acme_challenges: Vec::new(),
            throttle: None,
        }
    }
}

impl StageUnit {
    /// Without routes.
    #[must_use]
    pub fn plain(api_id: &str, protocol: Protocol, stage: &str, deployment_id: &str) -> Self {
        Self {
            api_id: api_id.to_owned(),
            protocol,
            stage: stage.to_owned(),
            deployment_id: deployment_id.to_owned(),
            execute_api_endpoint_disabled: false,
            access_log: None,
            integrations: Vec::new(),
            routes: Vec::new(),
            canary: None,
            cache: None,
            compression: None,
        }
    }
}

impl Route {
    /// Open to everybody.
    #[must_use]
    pub fn plain(method: &str, path: &str, id: &str, integration: u32) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            id: id.to_owned(),
            integration,
            settings: RouteSettings::default(),
        }
    }
}

impl HttpProxy {
    /// To one host over HTTP/1.1 without TLS, with the client's method and query.
    #[must_use]
    pub fn plain(host: &str, port: u16, target: Vec<TargetPart>) -> Self {
        Self {
            method: None,
            scheme: Scheme::Http,
            version: HttpVersion::Http1,
            tls: None,
            host: host.to_owned(),
            port,
            target_group: None,
            target,
            query: String::new(),
        }
    }
}
