//! What becomes of a request that has found its route.

use rkyv::{Archive, Deserialize, Serialize};

use super::UpstreamTls;

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Integration {
    pub id: String,
    /// 1 to [`crate::Limits::timeout_ms_max`]; AWS's narrower bounds are control's to apply.
    pub timeout_ms: u32,
    pub kind: IntegrationKind,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum IntegrationKind {
    HttpProxy(HttpProxy),
    /// Answers every request with 500: the route asks for what can't be done, such as a protection that isn't
    /// enforced yet.
    Refused {
        /// For logs; one line.
        reason: String,
    },
}

impl IntegrationKind {
    /// What it passes requests to, if it does.
    #[must_use]
    pub fn proxy(&self) -> Option<&HttpProxy> {
        match self {
            Self::HttpProxy(proxy) => Some(proxy),
            Self::Refused { .. } => None,
        }
    }
}

/// Passes the request to an HTTP endpoint and its answer back.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct HttpProxy {
    /// `None` passes the client's method on.
    pub method: Option<String>,
    pub scheme: Scheme,
    pub version: HttpVersion,
    /// With [`Scheme::Https`], and only then.
    pub tls: Option<UpstreamTls>,
    /// A DNS name or an address; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Id of the [`TargetGroupUnit`](super::TargetGroupUnit) that is connected to; `host` and `port` then only say what `Host` says.
    pub target_group: Option<String>,
    /// The path that is sent, in order; it begins with a literal `/` or the request's path, so that it starts
    /// with `/` whatever the parts yield.
    pub target: Vec<TargetPart>,
    /// Sent before the client's own query; without `?`, possibly empty.
    pub query: String,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rkyv(derive(Debug))]
pub enum HttpVersion {
    Http1,
    /// By ALPN over TLS, by prior knowledge otherwise (RFC 9113 3).
    Http2,
}

/// A piece of an integration's path.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum TargetPart {
    /// Already percent-encoded.
    Literal(String),
    /// The route's path variable of this name, as the client encoded it.
    PathParameter(String),
    /// The request's whole path below the stage or base path (a `$default` route).
    RequestPath,
}
