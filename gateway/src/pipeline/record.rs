//! Record: what a request leaves behind in counters and logs, whatever became of it.

use crate::access_log_format::AccessRecord;
use crate::stats::{Outcome, RefusalKind};
use crate::table::{Caller, Canary, Route, Stage};
use turnpike_http::{HeaderName, Version};
use turnpike_snapshot::Protocol;

use super::Exchange;
use super::integrate::UpstreamFault;

/// Gathered while a request is served.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    /// When the head's first byte was there.
    started_us: u64,
    pub(crate) stage: Option<&'a Stage>,
    pub(crate) base_path: Option<&'a str>,
    /// Id of the routing rule that led to the stage.
    pub(crate) rule: Option<&'a str>,
    /// Where the stage's canary serves the request.
    pub(crate) canary: Option<&'a Canary>,
    pub(crate) route: Option<&'a Route>,
    /// Of whom the route asked for a key.
    pub(crate) caller: Option<Caller<'a>>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) body_bytes_out: u64,
    /// What the client was told; 0 if nothing.
    status: u16,
    refused: Option<Refused>,
    /// Why the integration failed, where more can be told than the client is.
    pub(super) upstream_detail: Option<&'static str>,
    /// Of a route with a cache: whether it is answered from there.
    pub(super) cached: Option<bool>,
    integration_started_us: Option<u64>,
    integration_status: Option<u16>,
    integration_us: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Refused {
    message: &'static str,
    response_type: &'static str,
}

/// The connection ended before an answer could be given; nginx's number, for logs alone.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl<'a> Record<'a> {
    pub(crate) fn begin(started_us: u64) -> Self {
        Self {
            started_us,
            stage: None,
            base_path: None,
            rule: None,
            canary: None,
            route: None,
            caller: None,
            bytes_in: 0,
            bytes_out: 0,
            body_bytes_out: 0,
            status: 0,
            refused: None,
            upstream_detail: None,
            cached: None,
            integration_started_us: None,
            integration_status: None,
            integration_us: None,
        }
    }

    pub(super) fn integration_begins(&mut self, now_us: u64) {
        self.integration_started_us = Some(now_us);
    }

    pub(super) fn integration_answers(&mut self, status: u16, now_us: u64) {
        self.status = status;
        self.integration_status = Some(status);
        self.integration_us = self.integration_started_us.map(|started_us| now_us.saturating_sub(started_us));
    }

    /// By the gateway itself.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    pub(super) fn refused(
        &mut self,
        kind: RefusalKind,
        status: u16,
        message: &'static str,
        response_type: &'static str,
        exchange: &Exchange<'_>,
    ) {
        self.status = status;
        self.refused = Some(Refused { message, response_type });
        exchange.shard.stats.borrow_mut().counters.refusals.count(kind);
    }

    /// The client has the head of an answer that can't be completed: its status can't show it any more.
    pub(crate) fn cut_off(&mut self, fault: UpstreamFault, exchange: &Exchange<'_>) {
        let (message, response_type) = match fault {
            UpstreamFault::TimedOut => {
                ("Endpoint stopped in the middle of its answer", "INTEGRATION_TIMEOUT")
            }
            _ => ("Endpoint ended its answer early", "INTEGRATION_FAILURE"),
        };
        self.refused = Some(Refused { message, response_type });
        exchange.shard.stats.borrow_mut().counters.refusals.count(fault.kind());
    }

    /// The client closed its connection, or, where it has `stalled`, was closed for not taking its answer.
    pub(crate) fn client_gone(&mut self, stalled: bool, exchange: &Exchange<'_>) {
        let mut stats = exchange.shard.stats.borrow_mut();
        let message = if stalled {
            stats.counters.refusals.count(RefusalKind::WriteTimeout);
            "Client took its answer too slowly"
        } else {
            stats.counters.clients_gone_total += 1;
            "Client closed the connection"
        };
        self.refused = Some(Refused { message, response_type: "DEFAULT_4XX" });
    }

    /// Counts and logs.
    pub(crate) fn end(mut self, exchange: &Exchange<'_>) {
        let now_us = exchange.shard.clock.now_us();
        if let (None, Some(started_us)) = (self.integration_us, self.integration_started_us) {
            self.integration_us = Some(now_us.saturating_sub(started_us));
        }
        let latency_us = now_us.saturating_sub(self.started_us);
        if self.status == 0 {
            self.status = CLIENT_CLOSED_REQUEST;
        }
        let mut stats = exchange.shard.stats.borrow_mut();
        stats.counters.bytes_in_total += self.bytes_in;
        stats.counters.bytes_out_total += self.bytes_out;
        match self.stage {
            Some(stage) => {
                let outcome = Outcome {
                    status: self.status,
                    latency_us,
                    integration_latency_us: self.integration_us,
                    cached: self.cached,
                };
                stats.record(stage.slot, &outcome);
                if let Some(canary) = self.canary {
                    stats.record_also(canary.slot, &outcome);
                }
            }
            None => stats.record_without_stage(),
        }
        drop(stats);
        let log = self.stage.and_then(|stage| stage.log.as_ref()).or(exchange.shard.log.as_ref());
        if let Some(log) = log {
            self.log(exchange, log, latency_us);
        }
    }

    fn log(&self, exchange: &Exchange<'_>, log: &crate::table::StageLog, latency_us: u64) {
        let rest = self.stage.is_none_or(|stage| stage.protocol == Protocol::Rest);
        let release = self.stage.map(|stage| self.canary.map_or(&stage.release, |canary| &canary.release));
        let user_agent = exchange.head.headers.iter().find(|header| header.name == HeaderName::UserAgent);
        let record = AccessRecord {
            id: exchange.id,
            is_rest: rest,
            request_time_ms: exchange.shard.log_lines.unix_ms(self.started_us),
            http_method: exchange.head.method_span.of(exchange.bytes),
            path: exchange.head.path.of(exchange.bytes),
            protocol: match exchange.head.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::Http2 => "HTTP/2.0",
            },
            source_ip: exchange.source_ip,
            user_agent: user_agent.map(|header| header.value_span.of(exchange.bytes)),
            client_certificate: exchange.client.tls.as_ref().and_then(|tls| tls.certificate.as_ref()),
            api_key_id: self.caller.map(Caller::key_id),
            host: exchange.head.host.of(exchange.bytes),
            account_id: &exchange.table.account_id,
            api_id: self.stage.map(|stage| &*stage.api_id),
            stage: self.stage.map(|stage| &*stage.name),
            deployment_id: release.map(|release| &*release.deployment_id),
            canary: self.stage.filter(|stage| stage.canary.is_some()).map(|_| self.canary.is_some()),
            base_path_matched: self.base_path,
            routing_rule_matched: self.rule,
            route_key: self.route.filter(|_| !rest).map(|route| route.key()),
            resource_path: self.route.filter(|_| rest).map(|route| route.path()),
            resource_id: self.route.filter(|_| rest).map(|route| &*route.id),
            status: self.status,
            response_length: self.body_bytes_out,
            response_latency_ms: latency_us / 1000,
            integration_status: self.integration_status,
            integration_latency_ms: self.integration_us.map(|us| us / 1000),
            integration_error: self
                .refused
                .filter(|_| self.integration_started_us.is_some())
                .map(|refused| self.upstream_detail.unwrap_or(refused.message)),
            error_message: self.refused.map(|refused| refused.message),
            error_response_type: self.refused.map(|refused| refused.response_type),
        };
        exchange.shard.log_lines.append(exchange.shard, log, &record);
    }
}
