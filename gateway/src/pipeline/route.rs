//! Route: from path, host and method to a route of a stage.

use turnpike_http::path;

use super::{Exchange, Failure, Record, Refusal};
use crate::table::{self, Approached, Backend, HeaderLines, Integration, Matched, Stage};

/// What a request is for, as all that comes behind needs it; the rest of what was found is in the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'t, 'p> {
    pub(super) stage: &'t Stage,
    /// Below the stage or base path; starts with `/`.
    pub(super) path: &'p str,
}

/// The route that a request takes, and what it leads to.
#[derive(Debug)]
pub(super) struct Selected<'t, 'p> {
    pub(super) matched: Matched<'t, 'p>,
    pub(super) integration: &'t Integration,
}

/// The path as it is routed and forwarded.
pub(super) fn path<'p>(exchange: &Exchange<'p>, spelling: &'p mut Vec<u8>) -> Result<&'p str, Failure> {
    if exchange.head.upgrade.is_some_and(|protocol| !is_cleartext_http2(protocol.of(exchange.bytes))) {
        return Err(Refusal::UpgradeNotSupported.into());
    }
    let raw = exchange.head.path.of(exchange.bytes);
    let path = match exchange.head.path_is_plain {
        true => raw,
        false => path::normalize(raw, spelling).map_err(Refusal::Path)?,
    };
    // A normalized path is ASCII.
    Ok(std::str::from_utf8(path).unwrap_or("/"))
}

/// RFC 9113 took this upgrade back: a server goes on in HTTP/1.1 as if it had not been offered.
fn is_cleartext_http2(protocol: &[u8]) -> bool {
    protocol.eq_ignore_ascii_case(b"h2c")
}

/// The stage, which was approached before.
pub(super) fn address<'a, 'p>(
    exchange: &Exchange<'a>,
    approached: Approached<'a, '_>,
    path: &'p str,
    record: &mut Record<'a>,
) -> Result<Address<'a, 'p>, Failure> {
    let headers = HeaderLines { lines: &exchange.head.headers, bytes: exchange.bytes };
    let found = exchange.table.address(approached, path, headers).map_err(Refusal::Address)?;
    refuse_unproven(exchange, &found)?;
    record.stage = Some(found.stage);
    record.base_path = found.base_path;
    record.rule = found.rule;
    Ok(Address { stage: found.stage, path: found.path })
}

/// A domain that demands a certificate takes it from the handshake for its own name alone: a connection that was
/// made for another domain, or without TLS, proves nothing here (RFC 9110 15.5.20; AWS answers 403).
fn refuse_unproven(exchange: &Exchange<'_>, found: &table::Address<'_, '_>) -> Result<(), Failure> {
    let Some(demand) = found.demand else { return Ok(()) };
    match &exchange.client.tls {
        Some(client) if client.meets(demand) => Ok(()),
        Some(_) => Err(Refusal::Misdirected.into()),
        None => Err(Refusal::CertificateDemanded.into()),
    }
}

/// The route, unless it is refused or the shard has too much to do already.
pub(super) fn look_up<'a, 'p>(
    exchange: &Exchange<'a>,
    address: &Address<'a, 'p>,
    record: &mut Record<'a>,
) -> Result<Selected<'a, 'p>, Failure> {
    let protocol = address.stage.protocol;
    let in_flight = exchange.shard.stats.borrow().gauges.exchanges_in_flight as usize;
    if in_flight > exchange.shard.settings.exchanges_in_flight_max {
        return Err(Refusal::ExchangesInFlight(protocol).into());
    }
    let (release, canary) = address.stage.release_for(exchange.source_ip);
    record.canary = canary;
    release.fetch();
    let matched = release.routes.look_up(exchange.method(), address.path);
    let matched = matched.ok_or(Refusal::RouteUnknown(protocol))?;
    record.route = Some(matched.route);
    match release.backend(&matched) {
        Backend::HttpProxy(integration) => Ok(Selected { matched, integration }),
        Backend::Refused => Err(Refusal::RouteRefused(protocol).into()),
    }
}
