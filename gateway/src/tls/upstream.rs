//! TLS towards upstreams: whom the gateway trusts, and what it shows. Compiled by the housekeeper; each shard's pools
//! resume sessions of their own.
//!
//! Certificates are verified against the system's authorities and the integration's trust store, name and dates
//! included. `insecureSkipVerification` leaves out who has issued the certificate, and nothing else, as AWS has it.
//! A host without authorities of its own starts all the same: its https integrations without a trust store then
//! fail one by one, and standard error says why.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use turnpike_snapshot::{HttpProxy, HttpVersion, UnitHash, UpstreamTls};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::FromDer as _;

use super::site::{SiteError, Sites, TlsUnits, add_roots, digest};
use super::{HTTP2, provider};

/// Sessions that a pool can go on from. One target's, which hands out several tickets at a time.
const SESSIONS_MAX: usize = 8;

/// How an upstream is talked to under TLS.
pub(crate) struct UpstreamSecurity {
    /// All that it was made from: connections of two that differ in it never mix.
    identity: [u8; 32],
    config: ClientConfig,
    name: ServerName<'static>,
    /// What has to be agreed on by ALPN, where it matters.
    protocol: Option<&'static [u8]>,
}

impl fmt::Debug for UpstreamSecurity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UpstreamSecurity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for UpstreamSecurity {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for UpstreamSecurity {}

impl UpstreamSecurity {
    pub(crate) fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// A configuration with sessions of its own, so that no two shards share them.
    pub(crate) fn of_pool(&self) -> Arc<ClientConfig> {
        let mut config = self.config.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Arc::new(config)
    }

    /// Whether what was agreed on by ALPN will do: without an agreement, it is HTTP/1.1 (RFC 9113 3.2).
    pub(crate) fn agrees(&self, protocol: Option<&[u8]>) -> bool {
        self.protocol.is_none_or(|wanted| protocol == Some(wanted))
    }

    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

/// Compiles what integrations ask for, and keeps what the next compilation can take over.
pub(crate) struct Securities {
    provider: Arc<CryptoProvider>,
    system: OnceCell<Arc<RootCertStore>>,
    known: HashMap<[u8; 32], Weak<UpstreamSecurity>>,
}

impl fmt::Debug for Securities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Securities").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Securities {
    pub(crate) fn new() -> Self {
        Self { provider: provider(), system: OnceCell::new(), known: HashMap::new() }
    }

    /// How `proxy`'s upstream is talked to; `tls` is what it says of that.
    pub(crate) fn of(
        &mut self,
        proxy: &HttpProxy,
        tls: &UpstreamTls,
        units: &TlsUnits<'_>,
        sites: &mut Sites,
    ) -> Result<Arc<UpstreamSecurity>, SiteError> {
        let (trust, shown) = references(tls, units)?;
        let name = tls.server_name.as_ref().unwrap_or(&proxy.host);
        let identity = digest(&[
            name.as_bytes(),
            &[u8::from(tls.insecure_skip_verification), proxy.version as u8],
            hash_bytes(trust.as_ref()),
            hash_bytes(shown.as_ref()),
        ]);
        if let Some(known) = self.known.get(&identity).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let security = Arc::new(UpstreamSecurity {
            identity,
            config: self.config(proxy.version, tls, units, sites)?,
            name: server_name(name)?,
            protocol: (proxy.version == HttpVersion::Http2).then_some(HTTP2),
        });
        self.known.insert(identity, Arc::downgrade(&security));
        Ok(security)
    }

    /// Ends a compilation: forgets what nothing uses.
    pub(crate) fn settle(&mut self) {
        self.known.retain(|_, security| security.strong_count() > 0);
    }

    fn config(
        &self,
        version: HttpVersion,
        tls: &UpstreamTls,
        units: &TlsUnits<'_>,
        sites: &mut Sites,
    ) -> Result<ClientConfig, SiteError> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(SiteError::Protocol)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(tls, units)?);
        let mut config = match &tls.client_certificate {
            None => builder.with_no_client_auth(),
            Some(id) => {
                let (hash, unit) = units.certificate(id)?;
                builder.with_client_cert_resolver(Arc::new(OneIdentity(sites.key(hash, unit)?)))
            }
        };
        config.alpn_protocols = vec![protocol(version).to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn verifier(
        &self,
        tls: &UpstreamTls,
        units: &TlsUnits<'_>,
    ) -> Result<Arc<dyn ServerCertVerifier>, SiteError> {
        if tls.insecure_skip_verification {
            return Ok(Arc::new(AnyIssuer(Arc::clone(&self.provider))));
        }
        let mut roots = Arc::clone(self.system.get_or_init(system_roots));
        if let Some(id) = &tls.trust_store {
            let (_, store) = units.trust_store(id)?;
            add_roots(Arc::make_mut(&mut roots), store)?;
        }
        if roots.is_empty() {
            return Ok(Arc::new(NoIssuer(Arc::clone(&self.provider))));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider)).build();
        Ok(verifier.map_err(|error| SiteError::TrustStore {
            id: tls.trust_store.clone().unwrap_or_else(|| "of the system".to_owned()),
            reason: error.to_string(),
        })?)
    }
}

/// The trust store's and the certificate's hashes, where there are any: what an integration depends on besides its
/// own unit.
pub(crate) fn references(
    tls: &UpstreamTls,
    units: &TlsUnits<'_>,
) -> Result<(Option<UnitHash>, Option<UnitHash>), SiteError> {
    let trust = tls.trust_store.as_deref().map(|id| units.trust_store(id)).transpose()?;
    let shown = tls.client_certificate.as_deref().map(|id| units.certificate(id)).transpose()?;
    Ok((trust.map(|(hash, _)| hash), shown.map(|(hash, _)| hash)))
}

fn hash_bytes(hash: Option<&UnitHash>) -> &[u8] {
    hash.map_or(&[], |hash| &hash.0)
}

/// What is asked for by ALPN; an upstream that doesn't know ALPN speaks HTTP/1.1.
fn protocol(version: HttpVersion) -> &'static [u8] {
    match version {
        HttpVersion::Http1 => b"http/1.1",
        HttpVersion::Http2 => HTTP2,
    }
}

/// SNI has no dot at the end (RFC 6066 3).
fn server_name(name: &str) -> Result<ServerName<'static>, SiteError> {
    let plain = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(plain.to_owned()).map_err(|_| SiteError::ServerName(name.to_owned()))
}

fn system_roots() -> Arc<RootCertStore> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The system's authorities are taken as far as they can be: a broken one is nobody's reason to trust none.
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        let why: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        report!(
            "turnpike-gateway: the system has no certificate authorities that could be read{}{}; https integrations \
             without a trust store of their own fail until the package ca-certificates is installed, or \
             SSL_CERT_FILE names a PEM file, and the gateway is started again",
            if why.is_empty() { "" } else { ": " },
            why.join("; ")
        );
    }
    Arc::new(roots)
}

/// The one certificate that upstreams are shown, whomever they would accept.
#[derive(Debug)]
struct OneIdentity(Arc<CertifiedKey>);

impl ResolvesClientCert for OneIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Takes certificates of any issuer, and checks their name and dates.
#[derive(Debug)]
struct AnyIssuer(Arc<CryptoProvider>);

/// Takes none: there is no authority to trust.
#[derive(Debug)]
struct NoIssuer(Arc<CryptoProvider>);

fn verify_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = X509Certificate::from_der(certificate);
    let (_, parsed) = parsed.map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

macro_rules! verify_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for AnyIssuer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        verify_dates(end_entity, now)?;
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}

impl ServerCertVerifier for NoIssuer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(CertificateError::UnknownIssuer.into())
    }

    verify_signatures!();
}
