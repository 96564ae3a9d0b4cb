//! Whom an https:// run trusts: the system's authorities, those of a file, or whoever answers.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

/// The one protocol that is spoken.
const ALPN: &[u8] = b"http/1.1";

/// Reads the authorities: those of `cacert`, or the system's, or none where any certificate will do.
pub(super) fn client_config(
    versions: &[&'static SupportedProtocolVersion],
    cacert: Option<&Path>,
    insecure: bool,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| format!("TLS can't be set up: {error}"))?;
    let own = match cacert {
        _ if insecure => Some(Trust::Anyone),
        Some(file) => {
            let read = Trust::of_file(file, &provider);
            Some(read.map_err(|reason| format!("--cacert {}: {reason}", file.display()))?)
        }
        None => None,
    };
    let builder = match own {
        Some(trust) => {
            let verifier = Arc::new(Verifier { trust, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
        None => builder.with_root_certificates(roots_of_system()?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// What the system trusts; single certificates of its store that don't parse are left out, as browsers do.
fn roots_of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let cause = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!(
            "the system has no certificate authorities{cause}; install ca-certificates, or use --cacert or --insecure"
        ));
    }
    Ok(roots)
}

/// Whom to take for the server, beside the system's authorities.
#[derive(Debug)]
enum Trust {
    /// Any certificate for any name.
    Anyone,
    /// Whom the authorities of a file vouch for, and the certificates in it themselves: a self-signed one often says that
    /// it is an authority (`openssl req -x509` makes such), as which it may not be a server's (RFC 5280, 4.2.1.9).
    File { authorities: Arc<WebPkiServerVerifier>, certificates: Vec<CertificateDer<'static>> },
}

impl Trust {
    fn of_file(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots
                .add(certificate.clone())
                .map_err(|error| format!("a certificate can't be trusted: {error}"))?;
            certificates.push(certificate);
        }
        if roots.is_empty() {
            return Err("no certificate in it".to_owned());
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        Ok(Self::File { authorities: authorities.build().map_err(|error| error.to_string())?, certificates })
    }
}

/// Takes certificates by its trust, and only from whoever holds their keys.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::File { authorities, certificates } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // Dates and names have errors of their own; this is one of the kind of the certificate.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if certificates.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
