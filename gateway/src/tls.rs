//! TLS towards clients and upstreams: what is configured, and how a connection gets it.
//!
//! The housekeeper compiles certificates, trust stores and ticket keys ([`site`], [`tickets`],
//! [`default_certificate`]); a shard does handshakes with what it finds ([`accept`]). rustls with ring does the
//! protocol: TLS 1.2 and 1.3, no renegotiation, no compression, no early data (RFC 8446 8: it could be replayed).

mod accept;
mod client_certificate;
mod default_certificate;
mod failure;
mod site;
mod tickets;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;

pub(crate) use accept::{Secured, TlsClient, accept};
pub(crate) use client_certificate::ClientCertificate;
pub(crate) use default_certificate::DefaultCertificate;
pub(crate) use failure::{TlsFailure, TlsFailures};
pub(crate) use site::{ClientDemand, Site, SiteError, Sites, TlsUnits};
pub(crate) use tickets::TicketKeys;

/// The protocols that clients are offered by ALPN, the preferred first.
pub(crate) fn offered_protocols() -> Vec<Vec<u8>> {
    vec![HTTP2.to_vec(), b"http/1.1".to_vec()]
}

/// HTTP/2's name (RFC 9113 3.1).
pub(crate) const HTTP2: &[u8] = b"h2";

/// All that ring can do.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
