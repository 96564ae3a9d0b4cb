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
mod upstream;

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;

pub(crate) use accept::{Secured, TlsClient, accept};
pub(crate) use client_certificate::ClientCertificate;
pub(crate) use default_certificate::DefaultCertificate;
pub(crate) use failure::{TlsFailure, TlsFailures, UpstreamTlsFailure};
pub(crate) use site::{ClientDemand, Site, SiteError, Sites, TlsUnits};
pub(crate) use tickets::TicketKeys;
pub(crate) use upstream::{Securities, UpstreamSecurity, references};

/// The protocols that clients are offered by ALPN, the preferred first.
pub(crate) fn offered_protocols() -> Vec<Vec<u8>> {
    vec![HTTP2.to_vec(), b"http/1.1".to_vec()]
}

/// HTTP/2's name (RFC 9113 3.1).
pub(crate) const HTTP2: &[u8] = b"h2";

/// All that ring can do, in the order in which it is preferred: AES with 128 bits first, as AWS's security policies
/// have it, since it costs least where the core does AES.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites.sort_by_key(|suite| match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0,
        _ => 1,
    });
    Arc::new(provider)
}
