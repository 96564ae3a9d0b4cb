//! Sites: what a handshake for one domain does. Compiled by the housekeeper, chosen by a shard.
//!
//! A site is a server configuration of rustls: the domain's certificate, versions and cipher suites, the trust
//! store that clients' certificates have to lead to, and tickets that are good for this site alone. Sites and parsed
//! keys are taken over from the last snapshot where their units are the same, so that 5,000 certificates cost once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use turnpike_snapshot::{CertificateUnit, Domain, DomainTls, TlsVersion, TrustStoreUnit, Unit, UnitHash};

use super::tickets::{BoundTickets, TicketKeys};
use super::{DefaultCertificate, offered_protocols, provider};

/// One domain's TLS, or that of all hosts without their own.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) config: Arc<ServerConfig>,
    /// `Some`: a client without a certificate doesn't get past the handshake.
    pub(crate) demand: Option<ClientDemand>,
}

/// Which domain wants a client's certificate, and of whom: equal only for the same domain and trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientDemand([u8; 32]);

/// Why a domain or an upstream can't have the TLS that it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SiteError {
    #[error("certificate {0} isn't in the snapshot")]
    CertificateUnknown(String),
    #[error("trust store {0} isn't in the snapshot")]
    TrustStoreUnknown(String),
    #[error("certificate {id} can't be used: {reason}")]
    Certificate { id: String, reason: String },
    #[error("trust store {id} can't be used: {reason}")]
    TrustStore { id: String, reason: String },
    #[error("this gateway doesn't have the cipher suite {name} ({number:#06x})")]
    CipherSuite { name: String, number: u16 },
    #[error("no certificate can have the name '{0}'")]
    ServerName(String),
    #[error("its cipher suites and versions leave none to use: {0}")]
    Protocol(rustls::Error),
}

/// The certificates and trust stores of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct TlsUnits<'u> {
    certificates: HashMap<&'u str, (UnitHash, &'u CertificateUnit)>,
    trust_stores: HashMap<&'u str, (UnitHash, &'u TrustStoreUnit)>,
}

impl<'u> TlsUnits<'u> {
    pub(crate) fn of(units: &'u [(UnitHash, Arc<Unit>)]) -> Self {
        let mut found = Self::default();
        for (hash, unit) in units {
            match &**unit {
                Unit::Certificate(unit) => {
                    found.certificates.insert(&unit.id, (*hash, unit));
                }
                Unit::TrustStore(unit) => {
                    found.trust_stores.insert(&unit.id, (*hash, unit));
                }
                Unit::Stage(_)
                | Unit::Account(_)
                | Unit::TargetGroup(_)
                | Unit::UsagePlan(_)
                | Unit::ApiKeys(_) => {}
            }
        }
        found
    }

    pub(super) fn certificate(&self, id: &str) -> Result<(UnitHash, &'u CertificateUnit), SiteError> {
        self.certificates.get(id).copied().ok_or_else(|| SiteError::CertificateUnknown(id.to_owned()))
    }

    pub(super) fn trust_store(&self, id: &str) -> Result<(UnitHash, &'u TrustStoreUnit), SiteError> {
        self.trust_stores.get(id).copied().ok_or_else(|| SiteError::TrustStoreUnknown(id.to_owned()))
    }
}

/// Compiles sites, and keeps what the next compilation can take over.
pub(crate) struct Sites {
    provider: Arc<CryptoProvider>,
    tickets: Arc<TicketKeys>,
    keys: HashMap<UnitHash, Arc<CertifiedKey>>,
    /// By all that a site depends on.
    sites: HashMap<[u8; 32], Arc<Site>>,
    /// Used since the compilation began.
    next_keys: HashMap<UnitHash, Arc<CertifiedKey>>,
    next_sites: HashMap<[u8; 32], Arc<Site>>,
}

impl fmt::Debug for Sites {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sites").field("sites", &self.sites.len()).finish_non_exhaustive()
    }
}

impl Sites {
    pub(crate) fn new(tickets: Arc<TicketKeys>) -> Self {
        Self {
            provider: provider(),
            tickets,
            keys: HashMap::new(),
            sites: HashMap::new(),
            next_keys: HashMap::new(),
            next_sites: HashMap::new(),
        }
    }

    /// Begins a compilation; what an earlier one left that failed is forgotten.
    pub(crate) fn begin(&mut self) {
        self.next_keys.clear();
        self.next_sites.clear();
    }

    /// The site of `domain`; `None` where it has no certificate of its own.
    pub(crate) fn of(
        &mut self,
        domain: &Domain,
        units: &TlsUnits<'_>,
    ) -> Result<Option<Arc<Site>>, SiteError> {
        let Some(tls) = &domain.tls else { return Ok(None) };
        let (certificate_hash, certificate) = units.certificate(&tls.certificate)?;
        let store = tls.client_trust_store.as_deref().map(|id| units.trust_store(id)).transpose()?;
        let rules = rules(domain, tls, store.map(|(hash, _)| hash));
        let identity = digest(&[&rules, &certificate_hash.0]);
        if let Some(known) = self.sites.get(&identity).or_else(|| self.next_sites.get(&identity)) {
            let known = Arc::clone(known);
            let key = self.key(certificate_hash, certificate)?;
            self.next_keys.insert(certificate_hash, key);
            self.next_sites.insert(identity, Arc::clone(&known));
            return Ok(Some(known));
        }
        let key = self.key(certificate_hash, certificate)?;
        let store = store.map(|(_, store)| store);
        let site = Arc::new(self.compile(tls, Arc::new(OneCertificate(key)), store, rules)?);
        self.next_sites.insert(identity, Arc::clone(&site));
        Ok(Some(site))
    }

    /// All hosts' site that have none of their own.
    pub(crate) fn default_site(&self, certificate: &DefaultCertificate) -> Result<Arc<Site>, SiteError> {
        let tls = DomainTls {
            certificate: String::new(),
            version_min: TlsVersion::Tls12,
            cipher_suites: Vec::new(),
            client_trust_store: None,
        };
        let rules = digest(&[b"default"]);
        self.compile(&tls, certificate.resolver(), None, rules).map(Arc::new)
    }

    /// Ends a compilation: forgets what it didn't use.
    pub(crate) fn settle(&mut self) {
        self.keys = std::mem::take(&mut self.next_keys);
        self.sites = std::mem::take(&mut self.next_sites);
    }

    pub(super) fn key(
        &mut self,
        hash: UnitHash,
        unit: &CertificateUnit,
    ) -> Result<Arc<CertifiedKey>, SiteError> {
        let known = self.next_keys.get(&hash).or_else(|| self.keys.get(&hash)).map(Arc::clone);
        let key = match known {
            Some(key) => key,
            None => Arc::new(certified_key(unit, &self.provider)?),
        };
        self.next_keys.insert(hash, Arc::clone(&key));
        Ok(key)
    }

    fn compile(
        &self,
        tls: &DomainTls,
        certificate: Arc<dyn ResolvesServerCert>,
        client_trust: Option<&TrustStoreUnit>,
        rules: [u8; 32],
    ) -> Result<Site, SiteError> {
        let provider = self.provider_for(&tls.cipher_suites)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(tls.version_min))
            .map_err(SiteError::Protocol)?;
        let builder = match client_trust {
            None => builder.with_no_client_auth(),
            Some(store) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, store)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                let refused = |error: rustls::server::VerifierBuilderError| SiteError::TrustStore {
                    id: store.id.clone(),
                    reason: error.to_string(),
                };
                builder.with_client_cert_verifier(verifier.map_err(refused)?)
            }
        };
        let mut config = builder.with_cert_resolver(certificate);
        config.alpn_protocols = offered_protocols();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(BoundTickets { keys: Arc::clone(&self.tickets), binding: rules });
        config.ignore_client_order = true;
        Ok(Site { config: Arc::new(config), demand: client_trust.map(|_| ClientDemand(rules)) })
    }

    /// With exactly these cipher suites, in this order; none means all.
    fn provider_for(&self, suites: &[u16]) -> Result<Arc<CryptoProvider>, SiteError> {
        if suites.is_empty() {
            return Ok(Arc::clone(&self.provider));
        }
        let known = &self.provider.cipher_suites;
        let suites = suites.iter().map(|number| {
            let suite = CipherSuite::from(*number);
            let found = known.iter().find(|known| known.suite() == suite).copied();
            found.ok_or_else(|| SiteError::CipherSuite { name: suite_name(*number), number: *number })
        });
        let cipher_suites = suites.collect::<Result<_, _>>()?;
        Ok(Arc::new(CryptoProvider { cipher_suites, ..(*self.provider).clone() }))
    }
}

/// The one certificate of a domain, whatever the client asks for: the domain is chosen already.
#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    const NEWEST: &[&SupportedProtocolVersion] = &[&version::TLS13];
    match min {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => NEWEST,
    }
}

/// Suites that AWS's security policies have and this gateway doesn't, by IANA's names: without forward secrecy, or
/// with ciphers that don't authenticate.
const MISSING_SUITES: [(u16, &str); 15] = [
    (0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"),
    (0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"),
    (0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
    (0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"),
    (0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
];

fn suite_name(number: u16) -> String {
    let missing = MISSING_SUITES.iter().find(|(missing, _)| *missing == number);
    missing.map_or_else(|| format!("{:?}", CipherSuite::from(number)), |(_, name)| (*name).to_owned())
}

/// What a session of the domain was made under; its certificate isn't part of it, so that a renewal ends none.
fn rules(domain: &Domain, tls: &DomainTls, store: Option<UnitHash>) -> [u8; 32] {
    let mut suites = Vec::with_capacity(2 * tls.cipher_suites.len());
    tls.cipher_suites.iter().for_each(|suite| suites.extend_from_slice(&suite.to_be_bytes()));
    let version = [tls.version_min as u8];
    let store: &[u8] = store.as_ref().map_or(&[], |hash| &hash.0);
    digest(&[b"domain", domain.name.as_bytes(), &version, &suites, store])
}

pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The chain and its key, checked to belong together.
pub(super) fn certified_key(
    unit: &CertificateUnit,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, SiteError> {
    let chain = unit.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(unit.private_key.clone()));
    CertifiedKey::from_der(chain, key, provider)
        .map_err(|error| SiteError::Certificate { id: unit.id.clone(), reason: error.to_string() })
}

pub(super) fn add_roots(roots: &mut RootCertStore, unit: &TrustStoreUnit) -> Result<(), SiteError> {
    for der in &unit.certificates {
        let added = roots.add(CertificateDer::from(der.clone()));
        added.map_err(|error| SiteError::TrustStore { id: unit.id.clone(), reason: error.to_string() })?;
    }
    Ok(())
}
