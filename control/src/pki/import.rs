//! Takes a certificate, its chain and its key in, as ACM's ImportCertificate does.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::pem::{certificates_of, section};
use super::{Facts, PkiError, PrivateKey};
use crate::time::iso8601;

/// PEM as it was given.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    pub certificate: &'a [u8],
    pub chain: Option<&'a [u8]>,
    pub private_key: &'a [u8],
}

impl std::fmt::Debug for Material<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material").finish_non_exhaustive()
    }
}

/// A certificate that a gateway can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// DER.
    pub certificate: Vec<u8>,
    /// DER, each signed by the next; the first has signed the certificate.
    pub chain: Vec<Vec<u8>>,
    pub private_key: PrivateKey,
    pub facts: Facts,
}

/// Checks that the key is the certificate's, that the chain links, and that the certificate is valid at `now_s`.
///
/// # Errors
/// The first thing that is wrong.
pub fn import(material: &Material<'_>, now_s: i64) -> Result<Imported, PkiError> {
    let [certificate] = <[Vec<u8>; 1]>::try_from(certificates_of(material.certificate, "certificate")?)
        .map_err(|_| PkiError::SeveralCertificates)?;
    let chain = match material.chain {
        Some(chain) => certificates_of(chain, "certificate chain")?,
        None => Vec::new(),
    };
    assemble(certificate, chain, material.private_key, now_s)
}

/// As [`import`], of what an authority has issued: PEM of the certificate and its chain, and the key as PKCS#8, DER.
///
/// # Errors
/// As [`import`].
pub fn import_issued(chain: &[u8], pkcs8: &[u8], now_s: i64) -> Result<Imported, PkiError> {
    let mut chain = certificates_of(chain, "issued certificate")?;
    let certificate = chain.remove(0);
    assemble(certificate, chain, section("PRIVATE KEY", pkcs8).as_bytes(), now_s)
}

fn assemble(
    certificate: Vec<u8>,
    chain: Vec<Vec<u8>>,
    private_key: &[u8],
    now_s: i64,
) -> Result<Imported, PkiError> {
    let leaf = parse(&certificate, || "The certificate".to_owned())?;
    let facts = Facts::of(&leaf)?;
    check_validity(&facts, now_s)?;
    if leaf.issuer().iter().next().is_none() {
        return Err(PkiError::NoIssuer);
    }
    let private_key = PrivateKey::parse(private_key, leaf.public_key())?;
    check_chain(&leaf, &chain)?;
    Ok(Imported { certificate, chain, private_key, facts })
}

pub(super) fn parse(der: &[u8], what: impl Fn() -> String) -> Result<X509Certificate<'_>, PkiError> {
    match X509Certificate::from_der(der) {
        Ok((b"", certificate)) => Ok(certificate),
        Ok(_) => Err(PkiError::NotACertificate(what(), "bytes follow it".to_owned())),
        Err(error) => Err(PkiError::NotACertificate(what(), error.to_string())),
    }
}

fn check_validity(facts: &Facts, now_s: i64) -> Result<(), PkiError> {
    if now_s < facts.not_before_s {
        return Err(PkiError::NotYetValid(iso8601(facts.not_before_s)));
    }
    if now_s > facts.not_after_s {
        return Err(PkiError::Expired(iso8601(facts.not_after_s)));
    }
    Ok(())
}

/// Each certificate is signed by the next (RFC 8446 4.4.2); some clients take no other order.
fn check_chain(leaf: &X509Certificate<'_>, chain: &[Vec<u8>]) -> Result<(), PkiError> {
    if chain.is_empty() {
        return leaf.verify_signature(None).map_err(|_| PkiError::NoChain);
    }
    let name = |at: usize| format!("certificate {} of the chain", at + 1);
    let issuers = chain.iter().enumerate().map(|(at, der)| parse(der, || format!("The {}", name(at))));
    let issuers: Vec<X509Certificate<'_>> = issuers.collect::<Result<_, _>>()?;
    let mut signed = leaf;
    for (at, issuer) in issuers.iter().enumerate() {
        let who = if at == 0 { "the certificate".to_owned() } else { name(at - 1) };
        if signed.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(PkiError::Chain(format!(
                "{who} was issued by '{}', and {} is '{}'",
                signed.issuer(),
                name(at),
                issuer.subject()
            )));
        }
        signed.verify_signature(Some(issuer.public_key())).map_err(|error| {
            PkiError::Chain(format!("the signature of {who} isn't by {}: {error}", name(at)))
        })?;
        signed = issuer;
    }
    Ok(())
}
