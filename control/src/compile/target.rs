//! An integration's URI as the path that is sent.

use turnpike_snapshot::{HttpProxy, IntegrationKind, Scheme, TargetPart};

use super::GroupOwner;
use super::upstreams::Upstream;
use crate::model::{IntegrationUri, Piece};

/// The integration that calls `uri`; `method` is the user's, where `ANY` passes the client's on.
pub(super) fn http_proxy(
    method: &str,
    uri: IntegrationUri,
    target: Vec<TargetPart>,
    upstream: &Upstream,
) -> IntegrationKind {
    IntegrationKind::HttpProxy(HttpProxy {
        method: (method != "ANY").then(|| method.to_owned()),
        scheme: uri.scheme,
        version: upstream.version,
        tls: (uri.scheme == Scheme::Https).then(|| upstream.tls.clone()),
        target_group: upstream.group.as_ref().map(GroupOwner::unit_id),
        host: uri.host,
        port: uri.port,
        target,
        query: uri.query,
    })
}

/// The URI's path with each variable replaced by what `parameter` says.
pub(super) fn exact<E>(
    uri: &IntegrationUri,
    parameter: impl Fn(&str) -> Result<String, E>,
) -> Result<Vec<TargetPart>, E> {
    let parts = uri.path.iter().map(|piece| match piece {
        Piece::Literal(text) => Ok(TargetPart::Literal(text.clone())),
        Piece::Variable(name) => parameter(name).map(TargetPart::PathParameter),
    });
    parts.collect()
}

/// The URI's path as a prefix of the request's, which brings its own slash. The path has no variables.
pub(super) fn with_request_path(uri: &IntegrationUri) -> Vec<TargetPart> {
    let path: String = uri.path.iter().filter_map(Piece::literal).collect();
    let prefix = path.strip_suffix('/').unwrap_or(&path);
    let literal = (!prefix.is_empty()).then(|| TargetPart::Literal(prefix.to_owned()));
    literal.into_iter().chain([TargetPart::RequestPath]).collect()
}
