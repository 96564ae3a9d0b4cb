//! How TLS can fail a request.

use std::fmt;
use std::io;

/// A handshake that failed, or a session that broke the protocol later.
#[derive(Debug)]
pub enum TlsFailure {
    /// One side refused what the other sent.
    Protocol(rustls::Error),
    /// The connection broke in the middle of the handshake.
    Io(io::Error),
    /// The server closed in the middle of the handshake.
    Closed,
    /// The server did not choose HTTP/2 (ALPN).
    NoHttp2,
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => write!(f, "TLS: {error}"),
            Self::Io(error) => write!(f, "the connection broke during the TLS handshake: {error}"),
            Self::NoHttp2 => f.write_str("the server does not speak HTTP/2 (no 'h2' by ALPN)"),
            Self::Closed => f.write_str("the server closed during the TLS handshake"),
        }
    }
}
