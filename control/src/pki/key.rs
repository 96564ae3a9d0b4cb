//! Private keys: whatever PEM they come in, PKCS#8 (RFC 5958) that belongs to a certificate is what leaves.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use rustls_pki_types::pem::SectionKind;
use serde::{Deserialize, Serialize};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::PkiError;
use super::pem::sections;

/// AWS's names of what a gateway can sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    EcPrime256v1,
    EcSecp384r1,
}

impl KeyAlgorithm {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA_2048",
            Self::Rsa3072 => "RSA_3072",
            Self::Rsa4096 => "RSA_4096",
            Self::EcPrime256v1 => "EC_prime256v1",
            Self::EcSecp384r1 => "EC_secp384r1",
        }
    }

    /// That of a certificate's public key.
    ///
    /// # Errors
    /// Names what it has instead.
    pub(super) fn of(key: &SubjectPublicKeyInfo<'_>) -> Result<Self, PkiError> {
        let unsupported = |name: String| Err(PkiError::KeyAlgorithm(name));
        let algorithm = &key.algorithm.algorithm;
        if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            return match curve {
                Some(curve) if curve == OID_EC_P256 => Ok(Self::EcPrime256v1),
                Some(curve) if curve == OID_NIST_EC_P384 => Ok(Self::EcSecp384r1),
                curve => unsupported(format!(
                    "EC with curve {}",
                    curve.map_or("unknown".to_owned(), |c| c.to_id_string())
                )),
            };
        }
        if *algorithm != OID_PKCS1_RSAENCRYPTION {
            return unsupported(algorithm.to_id_string());
        }
        let bits = match key.parsed() {
            Ok(PublicKey::RSA(key)) => key.key_size(),
            _ => 0,
        };
        match bits {
            2048 => Ok(Self::Rsa2048),
            3072 => Ok(Self::Rsa3072),
            4096 => Ok(Self::Rsa4096),
            bits => unsupported(format!("RSA with {bits} bits")),
        }
    }
}

/// A key that can sign for its certificate: PKCS#8, DER.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    pub pkcs8: Vec<u8>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key stays out of logs and panics.
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads the one key in a PEM text, which has to be `public`'s.
    ///
    /// # Errors
    /// When there is no such key.
    pub(super) fn parse(text: &[u8], public: &SubjectPublicKeyInfo<'_>) -> Result<Self, PkiError> {
        let algorithm = KeyAlgorithm::of(public)?;
        if is_encrypted(text) {
            return Err(PkiError::EncryptedKey);
        }
        let keys: Vec<_> = sections(text, "private key")?
            .into_iter()
            .filter(|(kind, _)| {
                matches!(
                    kind,
                    SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
                )
            })
            .collect();
        let [(kind, der)] = &keys[..] else {
            return Err(match keys.is_empty() {
                false => PkiError::SeveralKeys,
                true => PkiError::NoSection("private key", "PRIVATE KEY"),
            });
        };
        let pkcs8 = match kind {
            SectionKind::PrivateKey => der.clone(),
            // Its public key says what the older forms leave out.
            _ => wrap(public, der),
        };
        match public_key_of(algorithm, &pkcs8)? {
            found if found == *public.subject_public_key.data => Ok(Self { pkcs8 }),
            _ => Err(PkiError::KeyMismatch),
        }
    }
}

/// By its label (RFC 7468 11), or by the header of the older forms (RFC 1421 4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let has = |mark: &[u8]| text.windows(mark.len()).any(|window| window == mark);
    has(b"BEGIN ENCRYPTED") || has(b"4,ENCRYPTED")
}

/// A PKCS#1 or SEC 1 key as PKCS#8: `SEQUENCE { INTEGER 0, AlgorithmIdentifier, OCTET STRING }`.
fn wrap(public: &SubjectPublicKeyInfo<'_>, key: &[u8]) -> Vec<u8> {
    // A public key's info begins with the same AlgorithmIdentifier, behind the outer header.
    let inner = contents(public.raw).unwrap_or_default();
    let algorithm_bytes = inner.len() - after(inner).map_or(inner.len(), <[u8]>::len);
    let octets = element(0x04, key);
    element(0x30, &[&[0x02, 0x01, 0x00][..], &inner[..algorithm_bytes], &octets].concat())
}

/// What a DER element holds.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let (header_bytes, content_bytes) = lengths(der)?;
    der.get(header_bytes..header_bytes.checked_add(content_bytes)?)
}

/// What stands behind the first DER element.
fn after(der: &[u8]) -> Option<&[u8]> {
    let (header_bytes, content_bytes) = lengths(der)?;
    der.get(header_bytes.checked_add(content_bytes)?..)
}

/// Lengths of an element's header and contents (X.690 8.1.3).
fn lengths(der: &[u8]) -> Option<(usize, usize)> {
    match *der.get(1)? {
        short @ 0..=0x7f => Some((2, usize::from(short))),
        long => {
            let digits = der.get(2..2 + usize::from(long & 0x7f))?;
            let length = digits.iter().try_fold(0usize, |length, digit| {
                length.checked_mul(256).map(|length| length + usize::from(*digit))
            })?;
            Some((2 + digits.len(), length))
        }
    }
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let digits = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut der = vec![tag];
    if contents.len() >= 0x80 {
        der.push(0x80 | digits.len() as u8);
    }
    der.extend_from_slice(digits);
    der.extend_from_slice(contents);
    der
}

/// The public key that belongs to a private one, as a certificate holds it.
fn public_key_of(algorithm: KeyAlgorithm, pkcs8: &[u8]) -> Result<Vec<u8>, PkiError> {
    let rejected = |error: ring::error::KeyRejected| match error.to_string().as_str() {
        // Another kind of key, or another curve, than the certificate's.
        "WrongAlgorithm" => PkiError::KeyMismatch,
        why => PkiError::Key(why.to_owned()),
    };
    let curve = match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(rejected)?;
            return Ok(pair.public_key().as_ref().to_vec());
        }
        KeyAlgorithm::EcPrime256v1 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyAlgorithm::EcSecp384r1 => &ECDSA_P384_SHA384_ASN1_SIGNING,
    };
    let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8, &SystemRandom::new()).map_err(rejected)?;
    Ok(pair.public_key().as_ref().to_vec())
}
