//! What can go wrong between the gateway and an upstream.

use crate::stats::RefusalKind;
use crate::upstream::ConnectError;

/// What went wrong with the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    Unresolved,
    Connect,
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
            Self::TooManyConnections => RefusalKind::UpstreamConnections,
            Self::NoTarget => RefusalKind::UpstreamNoTarget,
            Self::CircuitOpen => RefusalKind::UpstreamCircuitOpen,
            Self::Closed => RefusalKind::UpstreamClosed,
            Self::Malformed => RefusalKind::UpstreamMalformed,
            Self::TimedOut => RefusalKind::IntegrationTimeout,
        }
    }
}

impl From<ConnectError> for UpstreamFault {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Unresolved => Self::Unresolved,
            ConnectError::Failed => Self::Connect,
            ConnectError::TimedOut => Self::TimedOut,
            ConnectError::TooMany => Self::TooManyConnections,
            ConnectError::NoTarget => Self::NoTarget,
            ConnectError::CircuitOpen => Self::CircuitOpen,
        }
    }
}
