//! What was turned away or failed, by kind, as metrics tell it.

/// Why a request or connection was turned away, or failed, as metrics tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RefusalKind {
    /// The request breaks HTTP's rules, or its framing is ambiguous.
    Malformed,
    StartLineTooLong,
    HeaderTooLarge,
    BodyTooLarge,
    /// A compressed body in a coding that can't be taken off, or not in the one that it is said to be in.
    ContentCoding,
    /// `decompressions_max` is reached.
    Decompressions,
    ReadTimeout,
    /// A request's body comes below `body_rate_bytes_per_s_min`.
    BodyTooSlow,
    /// The client takes nothing, or too little, of its answer.
    WriteTimeout,
    /// Upgrade, CONNECT, or a version that isn't served.
    Unsupported,
    /// No API answers at this host, base path or stage.
    ApiUnknown,
    /// A mutual-TLS domain was asked for without the certificate that it wants, or over another's connection.
    ClientCertificate,
    /// The API has no such route.
    RouteUnknown,
    /// The route asks for what can't be done, such as a protection that isn't enforced yet.
    RouteRefused,
    /// A new answer was asked for instead of a cached one, without the permission.
    CacheInvalidation,
    /// Only a cached answer was wanted, and there is none.
    NotCached,
    /// A route that asks for an API key was shown none, or none that may use the stage.
    ApiKey,
    /// The account's throttle has no token left.
    ThrottledAccount,
    /// The route's throttle has no token left.
    ThrottledRoute,
    /// The usage plan's throttle of the caller's key has no token left.
    ThrottledPlan,
    /// The usage plan's throttle of the caller's key for the route has no token left.
    ThrottledPlanRoute,
    /// Whether a throttle had a token wasn't known within `limit_wait_ms`.
    ThrottleTimeout,
    /// `limits_max`, `limit_leases_max` or `limit_waiting_max` is reached, or the limiter is too far behind.
    ThrottleCrowded,
    /// The quota of the caller's usage plan is used up.
    QuotaExceeded,
    /// Whether anything was left of the quota wasn't known within `quota_wait_ms`.
    QuotaUnknown,
    /// `quota_keys_max` or `quota_waiting_max` is reached, or the quotas' desk is too far behind.
    QuotaCrowded,
    /// `exchanges_in_flight_max` is reached.
    ExchangesInFlight,
    /// `connections_max` is reached.
    Connections,
    /// `connections_per_address_max` is reached.
    ConnectionsPerAddress,
    /// The PROXY protocol's header is missing, malformed, too long or too late.
    ProxyHeader,
    /// The PROXY protocol from a peer that isn't in `proxy_protocol_from`.
    ProxyPeer,
    /// The integration's host name has no address.
    UpstreamUnresolved,
    UpstreamConnect,
    /// The upstream's certificate is of an issuer that isn't trusted, or unusable.
    UpstreamTlsUntrusted,
    /// The upstream's certificate is for another name.
    UpstreamTlsName,
    /// The upstream's certificate isn't valid yet, or any more.
    UpstreamTlsExpired,
    /// No TLS with the upstream for another reason.
    UpstreamTlsProtocol,
    /// `upstream_connections_max` and `upstream_pending_requests_max` are reached.
    UpstreamConnections,
    /// None of the target group's targets is in use.
    UpstreamNoTarget,
    /// Every target of the group has as many requests as it may have.
    UpstreamCircuitOpen,
    /// Closed or reset before the answer was whole.
    UpstreamClosed,
    /// What the integration sent isn't HTTP, or is over a limit.
    UpstreamMalformed,
    IntegrationTimeout,
    Internal,
}

impl RefusalKind {
    /// In order of the discriminants.
    pub(crate) const ALL: [Self; 44] = [
        Self::Malformed,
        Self::StartLineTooLong,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::ContentCoding,
        Self::Decompressions,
        Self::ReadTimeout,
        Self::BodyTooSlow,
        Self::WriteTimeout,
        Self::Unsupported,
        Self::ApiUnknown,
        Self::ClientCertificate,
        Self::RouteUnknown,
        Self::RouteRefused,
        Self::CacheInvalidation,
        Self::NotCached,
        Self::ApiKey,
        Self::ThrottledAccount,
        Self::ThrottledRoute,
        Self::ThrottledPlan,
        Self::ThrottledPlanRoute,
        Self::ThrottleTimeout,
        Self::ThrottleCrowded,
        Self::QuotaExceeded,
        Self::QuotaUnknown,
        Self::QuotaCrowded,
        Self::ExchangesInFlight,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::ProxyHeader,
        Self::ProxyPeer,
        Self::UpstreamUnresolved,
        Self::UpstreamConnect,
        Self::UpstreamTlsUntrusted,
        Self::UpstreamTlsName,
        Self::UpstreamTlsExpired,
        Self::UpstreamTlsProtocol,
        Self::UpstreamConnections,
        Self::UpstreamNoTarget,
        Self::UpstreamCircuitOpen,
        Self::UpstreamClosed,
        Self::UpstreamMalformed,
        Self::IntegrationTimeout,
        Self::Internal,
    ];

    /// As the metrics' label says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::StartLineTooLong => "start_line_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::ContentCoding => "content_coding",
            Self::Decompressions => "decompressions",
            Self::ReadTimeout => "read_timeout",
            Self::BodyTooSlow => "body_too_slow",
            Self::WriteTimeout => "write_timeout",
            Self::Unsupported => "unsupported",
            Self::ApiUnknown => "api_unknown",
            Self::ClientCertificate => "client_certificate",
            Self::RouteUnknown => "route_unknown",
            Self::RouteRefused => "route_refused",
            Self::CacheInvalidation => "cache_invalidation",
            Self::NotCached => "not_cached",
            Self::ApiKey => "api_key",
            Self::ThrottledAccount => "throttled_account",
            Self::ThrottledRoute => "throttled_route",
            Self::ThrottledPlan => "throttled_plan",
            Self::ThrottledPlanRoute => "throttled_plan_route",
            Self::ThrottleTimeout => "throttle_timeout",
            Self::ThrottleCrowded => "throttle_crowded",
            Self::QuotaExceeded => "quota_exceeded",
            Self::QuotaUnknown => "quota_unknown",
            Self::QuotaCrowded => "quota_crowded",
            Self::ExchangesInFlight => "exchanges_in_flight",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::ProxyHeader => "proxy_header",
            Self::ProxyPeer => "proxy_peer",
            Self::UpstreamUnresolved => "upstream_unresolved",
            Self::UpstreamTlsUntrusted => "upstream_tls_untrusted",
            Self::UpstreamTlsName => "upstream_tls_name",
            Self::UpstreamTlsExpired => "upstream_tls_expired",
            Self::UpstreamTlsProtocol => "upstream_tls_protocol",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamConnections => "upstream_connections",
            Self::UpstreamNoTarget => "upstream_no_target",
            Self::UpstreamCircuitOpen => "upstream_circuit_open",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::IntegrationTimeout => "integration_timeout",
            Self::Internal => "internal",
        }
    }
}

/// Refusals by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusals([u64; RefusalKind::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self([0; RefusalKind::ALL.len()])
    }
}

impl Refusals {
    pub(crate) fn count(&mut self, kind: RefusalKind) {
        self.0[kind as usize] += 1;
    }

    pub(crate) fn of(&self, kind: RefusalKind) -> u64 {
        self.0[kind as usize]
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_refusal_is_counted_apart() {
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let mut refusals = Refusals::default();
            refusals.count(kind);
            assert_eq!(RefusalKind::ALL.map(|other| refusals.of(other)).iter().sum::<u64>(), 1);
            assert_eq!(refusals.of(kind), 1);
        }
        let mut names = RefusalKind::ALL.map(RefusalKind::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
