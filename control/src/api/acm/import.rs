//! `ImportCertificate`: a new certificate, or another one in place of an imported one.

use serde_json::{Value, json};

use super::super::error::ApiError;
use super::super::members::Members;
use super::tags::take_tags;
use super::{ARN_CHARS_MAX, arn, certificate, validation};
use crate::change::{Change, View};
use crate::model::{Certificate, Issued, new_uuid};
use crate::pki::{Facts, Imported, Material, PkiError, to_pem};

/// AWS's limits.
const CERTIFICATE_BYTES_MAX: usize = 32_768;
const CHAIN_BYTES_MAX: usize = 2_097_152;
const PRIVATE_KEY_BYTES_MAX: usize = 5_120;

pub(super) fn import(change: &mut Change<'_>, mut members: Members) -> Result<Value, ApiError> {
    let replaced = members.string("CertificateArn", ARN_CHARS_MAX)?.filter(|arn| !arn.is_empty());
    let leaf = required(members.blob("Certificate", CERTIFICATE_BYTES_MAX)?, "Certificate")?;
    let private_key = required(members.blob("PrivateKey", PRIVATE_KEY_BYTES_MAX)?, "PrivateKey")?;
    let chain = members.blob("CertificateChain", CHAIN_BYTES_MAX)?.filter(|chain| !chain.is_empty());
    let tags = take_tags(&mut members)?;
    members.finish()?;
    let material = Material { certificate: &leaf, chain: chain.as_deref(), private_key: &private_key };
    let imported = crate::pki::import(&material, change.now_s)?;
    let certificate = match replaced {
        None => {
            super::certificates::check_quota(change)?;
            let id = new_uuid().map_err(|error| ApiError::internal(&error))?;
            let issued = Some(issued(change, &id, imported)?);
            Certificate { id, tags, created_at_s: change.now_s, issued, request: None }
        }
        Some(_) if !tags.is_empty() => {
            return Err(validation("Tags can't be applied when a certificate is imported again"));
        }
        Some(arn) => {
            let mut certificate = certificate(change, &arn)?;
            if certificate.request.is_some() {
                return Err(validation(format!(
                    "The certificate {arn} was requested, so that none can be imported to it"
                )));
            }
            check_replacement(certificate.issued.as_ref(), &imported.facts)?;
            certificate.issued = Some(issued(change, &certificate.id, imported)?);
            certificate
        }
    };
    change.tx.put_entity(&certificate)?;
    change.recompile_certificate(&certificate.id);
    Ok(json!({"CertificateArn": arn(change, &certificate)}))
}

/// As the store keeps it.
pub(super) fn issued(view: &View<'_>, id: &str, imported: Imported) -> Result<Issued, ApiError> {
    let chain = std::iter::once(&imported.certificate).chain(&imported.chain);
    Ok(Issued {
        chain: chain.map(|der| to_pem(der)).collect(),
        private_key: view.tx.seal(&Certificate::key_context(id), &imported.private_key.pkcs8)?,
        facts: imported.facts,
        at_s: view.now_s,
    })
}

/// AWS's conditions, as far as a gateway would mind.
fn check_replacement(before: Option<&Issued>, facts: &Facts) -> Result<(), ApiError> {
    let Some(before) = before else { return Ok(()) };
    if before.facts.key_algorithm != facts.key_algorithm {
        return Err(validation(format!(
            "The key type and size can't be changed when a certificate is imported again: it has {} so far, not {}",
            before.facts.key_algorithm.name(),
            facts.key_algorithm.name()
        )));
    }
    let kept =
        before.facts.names.is_empty() || before.facts.names.iter().any(|name| facts.names.contains(name));
    if !kept {
        return Err(validation("A certificate that is imported again has to keep one of its domain names"));
    }
    Ok(())
}

fn required(bytes: Option<Vec<u8>>, name: &str) -> Result<Vec<u8>, ApiError> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| validation(format!("{name} is required and can't be empty")))
}

impl From<PkiError> for ApiError {
    fn from(error: PkiError) -> Self {
        validation(error.to_string())
    }
}
