//! What can go wrong between the gateway and an upstream.

use crate::stats::RefusalKind;
use crate::tls::UpstreamTlsFailure;
use crate::upstream::ConnectError;

/// What went wrong with the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    Unresolved,
    Connect,
    /// No handshake: whom the gateway would talk to isn't known.
    Tls(UpstreamTlsFailure),
    TooManyConnections,
    /// None of the target group's targets is in use.
    NoTarget,
    /// Every target of the group has as many requests as it may have.
    CircuitOpen,
    /// Closed or reset before the answer was whole.
    Closed,
    Malformed,
    TimedOut,
}

impl UpstreamFault {
    /// As metrics tell faults apart.
    pub(in crate::pipeline) fn kind(self) -> RefusalKind {
        match self {
            Self::Unresolved => RefusalKind::UpstreamUnresolved,
            Self::Connect => RefusalKind::UpstreamConnect,
            Self::Tls(UpstreamTlsFailure::Untrusted) => RefusalKind::UpstreamTlsUntrusted,
            Self::Tls(UpstreamTlsFailure::Name) => RefusalKind::UpstreamTlsName,
            Self::Tls(UpstreamTlsFailure::Expired) => RefusalKind::UpstreamTlsExpired,
            Self::Tls(UpstreamTlsFailure::Protocol) => RefusalKind::UpstreamTlsProtocol,
            Self::TooManyConnections => RefusalKind::UpstreamConnections,
            Self::NoTarget => RefusalKind::UpstreamNoTarget,
            Self::CircuitOpen => RefusalKind::UpstreamCircuitOpen,
            Self::Closed => RefusalKind::UpstreamClosed,
            Self::Malformed => RefusalKind::UpstreamMalformed,
            Self::TimedOut => RefusalKind::IntegrationTimeout,
        }
    }
}

impl UpstreamFault {
    /// What a log says of it beyond what the client is told.
    pub(in crate::pipeline) fn detail(self) -> Option<&'static str> {
        let Self::Tls(failure) = self else { return None };
        Some(match failure {
            UpstreamTlsFailure::Untrusted => "The endpoint's certificate is not from a trusted authority",
            UpstreamTlsFailure::Name => "The endpoint's certificate is for another name",
            UpstreamTlsFailure::Expired => "The endpoint's certificate is not valid at this time",
            UpstreamTlsFailure::Protocol => "The TLS handshake with the endpoint failed",
        })
    }
}

impl From<ConnectError> for UpstreamFault {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unresolved => Self::Unresolved,
            ConnectError::Failed => Self::Connect,
            ConnectError::Tls(failure) => Self::Tls(failure),
            ConnectError::TimedOut => Self::TimedOut,
            ConnectError::TooMany => Self::TooManyConnections,
            ConnectError::NoTarget => Self::NoTarget,
            ConnectError::CircuitOpen => Self::CircuitOpen,
        }
    }
}
