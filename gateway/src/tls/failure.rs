//! Why handshakes fail, as metrics tell it apart.

use rustls::{AlertDescription, CertificateError, Error};
use turnpike_rt::HandshakeError;

/// What ended a client's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum TlsFailure {
    /// `tls_handshakes_in_flight_max` is reached.
    InFlight,
    /// `tls_handshake_timeout_ms` has passed.
    Timeout,
    /// The client went away.
    Closed,
    /// HTTP without TLS.
    NotTls,
    /// Bytes that break the protocol.
    Malformed,
    /// No version, cipher suite, group or application protocol in common.
    Incompatible,
    ClientCertificateMissing,
    ClientCertificateExpired,
    /// Of another authority than the domain's trust store has, or unusable.
    ClientCertificateUntrusted,
    /// The client has refused the certificate that it was shown, or something else, by an alert.
    RefusedByClient,
    Internal,
}

impl TlsFailure {
    /// In order of the discriminants.
    pub(crate) const ALL: [Self; 11] = [
        Self::InFlight,
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::Malformed,
        Self::Incompatible,
        Self::ClientCertificateMissing,
        Self::ClientCertificateExpired,
        Self::ClientCertificateUntrusted,
        Self::RefusedByClient,
        Self::Internal,
    ];

    /// As the metrics' label says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Malformed => "malformed",
            Self::Incompatible => "incompatible",
            Self::ClientCertificateMissing => "client_certificate_missing",
            Self::ClientCertificateExpired => "client_certificate_expired",
            Self::ClientCertificateUntrusted => "client_certificate_untrusted",
            Self::RefusedByClient => "refused_by_client",
            Self::Internal => "internal",
        }
    }

    /// Of a client's handshake that failed while its time wasn't over.
    pub(super) fn of(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Closed | HandshakeError::Io(_) => Self::Closed,
            HandshakeError::NotTls(_) => Self::NotTls,
            HandshakeError::HelloTooLarge => Self::Malformed,
            HandshakeError::Tls(error) => Self::of_tls(error),
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::NoCertificatesPresented => Self::ClientCertificateMissing,
            Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::ClientCertificateExpired,
            Error::InvalidCertificate(_) => Self::ClientCertificateUntrusted,
            Error::AlertReceived(AlertDescription::CloseNotify | AlertDescription::UserCanceled) => {
                Self::Closed
            }
            Error::AlertReceived(_) => Self::RefusedByClient,
            Error::General(_) | Error::FailedToGetCurrentTime | Error::FailedToGetRandomBytes => {
                Self::Internal
            }
            _ => Self::Malformed,
        }
    }
}

/// What ended a handshake with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpstreamTlsFailure {
    /// Of an issuer that nobody vouches for, or unusable.
    Untrusted,
    /// Of another name.
    Name,
    /// Not valid yet, or any more.
    Expired,
    /// The upstream doesn't speak TLS, has nothing in common, went away, or refused the gateway by an alert.
    Protocol,
}

impl UpstreamTlsFailure {
    pub(crate) fn of(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Tls(Error::InvalidCertificate(error)) => match error {
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::Name
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::Untrusted,
            },
            _ => Self::Protocol,
        }
    }
}

/// Failures by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TlsFailures([u64; TlsFailure::ALL.len()]);

impl TlsFailures {
    pub(crate) fn count(&mut self, kind: TlsFailure) {
        self.0[kind as usize] += 1;
    }

    pub(crate) fn of(&self, kind: TlsFailure) -> u64 {
        self.0[kind as usize]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_is_counted_apart() {
        for (index, kind) in TlsFailure::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let mut failures = TlsFailures::default();
            failures.count(kind);
            assert_eq!(TlsFailure::ALL.map(|other| failures.of(other)).iter().sum::<u64>(), 1);
            assert_eq!(failures.of(kind), 1);
        }
        let mut names = TlsFailure::ALL.map(TlsFailure::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
