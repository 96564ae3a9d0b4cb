//! How TLS can fail a request.

use std::fmt;
use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

/// A handshake that failed, or a session that broke the protocol later.
#[derive(Debug)]
pub enum TlsFailure {
    /// One side refused what the other sent.
    Protocol(Error),
    /// The connection broke in the middle of the handshake.
    Io(io::Error),
    /// The server closed in the middle of the handshake.
    Closed,
    /// The server did not choose HTTP/2 (ALPN).
    NoHttp2,
}

/// What may be done about it.
fn hint(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)) => {
            "; --cacert FILE says whom to trust, --insecure takes any certificate"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "; --sni NAME asks for another name than the URL's",
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "; the server doesn't seem to speak TLS on this port"
        }
        _ => "",
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "TLS: {error}{}", hint(error)),
            Self::Io(error) => write!(f, "the connection broke during the TLS handshake: {error}"),
            Self::NoHttp2 => f.write_str("the server does not speak HTTP/2 (no 'h2' by ALPN)"),
            Self::Closed => f.write_str("the server closed during the TLS handshake"),
        }
    }
}
