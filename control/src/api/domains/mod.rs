//! Custom domain names, as both versions of the API have them: what they share below their own wire shapes.

pub(super) mod mappings;
mod truststore;

use serde_json::{Value, json};

use super::call::{Call, compact};
use super::error::ApiError;
use super::members::Members;
use crate::change::{Change, View};
use crate::model::{
    ApiMapping, Certificate, DEFAULT_SECURITY_POLICY, DomainAccess, DomainName, MutualTls, PrivateDomain,
    RoutingMode, RoutingRule, Tags, new_id, parse_domain_name, security_policy,
};

const ALIAS_ID_LEN: usize = 10;
const PRIVATE: &str = "PRIVATE";
const URI_CHARS_MAX: usize = 2_048;
const VERSION_CHARS_MAX: usize = 64;
const IP_ADDRESS_TYPE_CHARS_MAX: usize = 64;
const IP_ADDRESS_TYPES: [&str; 2] = ["ipv4", "dualstack"];

/// What a call says of a domain; what it leaves out stays, or has a default.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) certificate_arn: Option<String>,
    pub(super) certificate_name: Option<String>,
    /// Empty for none.
    pub(super) ownership_certificate_arn: Option<String>,
    pub(super) endpoint_type: Option<String>,
    pub(super) security_policy: Option<String>,
    pub(super) truststore: Option<WantedTruststore>,
    pub(super) routing_mode: Option<RoutingMode>,
    pub(super) dual_stack: Option<bool>,
    /// Who may call a private domain, as JSON; empty for everybody.
    pub(super) policy: Option<String>,
    /// Who may make associations with a private domain, as JSON; empty for everybody.
    pub(super) management_policy: Option<String>,
}

#[derive(Debug)]
pub(super) struct WantedTruststore {
    /// Empty turns mutual TLS off; `None` keeps the URI and reads it again.
    pub(super) uri: Option<String>,
    /// The file's SHA-256 in hexadecimal, which it then has to have.
    pub(super) version: Option<String>,
}

/// # Errors
/// When there is no such domain.
pub(super) fn named(view: &View<'_>, name: &str) -> Result<DomainName, ApiError> {
    let found = view.tx.entity("", &name.to_ascii_lowercase())?;
    found.ok_or_else(unknown)
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found("Invalid domain name identifier specified")
}

/// The domain that a call's path names, and `domainNameId` if it is private.
///
/// # Errors
/// When there is no such domain.
pub(super) fn of_call(view: &View<'_>, call: &Call) -> Result<DomainName, ApiError> {
    let domain = named(view, call.parameter(0))?;
    match call.query_value("domainNameId")? {
        Some(id) if domain.private.as_ref().is_none_or(|private| private.id != id) => Err(unknown()),
        _ => Ok(domain),
    }
}

/// Whether a list is asked for what other accounts have, of which there is none.
pub(super) fn owned_by_others(call: &Call) -> Result<bool, ApiError> {
    match call.query_value("resourceOwner")?.as_deref() {
        None | Some("SELF") => Ok(false),
        Some("OTHER_ACCOUNTS") => Ok(true),
        Some(other) => Err(ApiError::bad_request(format!(
            "resourceOwner has to be one of SELF, OTHER_ACCOUNTS, not '{other}'"
        ))),
    }
}

/// # Errors
/// When the domain can't be made as it is wanted; `over_quota` makes the error for one too many.
pub(super) fn create(
    change: &mut Change<'_>,
    name: &str,
    default_endpoint_type: &str,
    tags: Tags,
    wanted: Wanted,
    over_quota: impl Fn(usize) -> ApiError,
) -> Result<DomainName, ApiError> {
    let name = parse_domain_name(name).map_err(ApiError::bad_request)?;
    check_foreign(change, &name)?;
    if change.tx.entity::<DomainName>("", &name)?.is_some() {
        return Err(ApiError::conflict("The domain name you provided already exists"));
    }
    let max = change.settings.quotas.domain_names_max;
    if change.tx.entity_count::<DomainName>("")? >= max {
        return Err(over_quota(max));
    }
    if wanted.certificate_arn.is_none() {
        return Err(ApiError::bad_request("A certificate is required: name the ARN of one"));
    }
    let new_id = || new_id(ALIAS_ID_LEN).map_err(|error| ApiError::internal(&error));
    let private = match wanted.endpoint_type.as_deref() {
        Some(PRIVATE) => Some(PrivateDomain { id: new_id()?, policy: None, management_policy: None }),
        _ => None,
    };
    let id = new_id()?;
    let mut domain = DomainName {
        name,
        alias: format!("d-{id}"),
        certificate_id: String::new(),
        certificate_name: None,
        certificate_at_s: change.now_s,
        ownership_certificate_arn: None,
        endpoint_type: default_endpoint_type.to_owned(),
        security_policy: DEFAULT_SECURITY_POLICY.to_owned(),
        mutual_tls: None,
        routing_mode: RoutingMode::default(),
        dual_stack: false,
        private,
        tags,
    };
    apply(change, &mut domain, wanted)?;
    Ok(domain)
}

/// Changes the domain as wanted, and keeps it.
///
/// # Errors
/// When it can't be served so.
pub(super) fn apply(
    change: &mut Change<'_>,
    domain: &mut DomainName,
    wanted: Wanted,
) -> Result<(), ApiError> {
    if let Some(arn) = wanted.certificate_arn {
        domain.certificate_id = certificate_for(change, &domain.name, &arn)?;
        domain.certificate_at_s = change.now_s;
    }
    domain.certificate_name = wanted.certificate_name.or_else(|| domain.certificate_name.take());
    if let Some(arn) = wanted.ownership_certificate_arn {
        domain.ownership_certificate_arn = ownership_certificate(arn)?;
    }
    if let Some(endpoint_type) = wanted.endpoint_type {
        check_endpoint_type(&endpoint_type, domain)?;
        domain.endpoint_type = endpoint_type;
    }
    if let Some(policy) = wanted.security_policy {
        security_policy(&policy).map_err(|error| ApiError::bad_request(error.to_string()))?;
        domain.security_policy = policy;
    }
    if let Some(truststore) = wanted.truststore {
        domain.mutual_tls = mutual_tls(change, domain.mutual_tls.take(), truststore)?;
        change.recompile_trust_store(&domain.name);
    }
    set_policies(domain, wanted.policy, wanted.management_policy)?;
    domain.routing_mode = wanted.routing_mode.unwrap_or(domain.routing_mode);
    domain.dual_stack = wanted.dual_stack.unwrap_or(domain.dual_stack);
    change.tx.put_entity(domain)?;
    change.recompile_account();
    Ok(())
}

/// What `mutualTlsAuthentication` says, if anything.
pub(super) fn take_truststore(members: &mut Members) -> Result<Option<WantedTruststore>, ApiError> {
    let Some(mut settings) = members.object("mutualTlsAuthentication")? else { return Ok(None) };
    let uri = settings.string("truststoreUri", URI_CHARS_MAX)?;
    let version = settings.string("truststoreVersion", VERSION_CHARS_MAX)?;
    settings.finish()?;
    Ok((uri.is_some() || version.is_some()).then_some(WantedTruststore { uri, version }))
}

/// What `ipAddressType` says, if anything.
pub(super) fn take_dual_stack(members: &mut Members) -> Result<Option<bool>, ApiError> {
    members.string("ipAddressType", IP_ADDRESS_TYPE_CHARS_MAX)?.map(|kind| dual_stack_of(&kind)).transpose()
}

/// What an `ipAddressType` is.
pub(super) fn dual_stack_of(kind: &str) -> Result<bool, ApiError> {
    let [ipv4, dual_stack] = IP_ADDRESS_TYPES;
    match kind {
        kind if kind == ipv4 => Ok(false),
        kind if kind == dual_stack => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "ipAddressType has to be one of {ipv4}, {dual_stack}, not '{other}'"
        ))),
    }
}

/// `ipAddressType` as both versions say it.
pub(super) fn ip_address_type(domain: &DomainName) -> &'static str {
    IP_ADDRESS_TYPES[usize::from(domain.dual_stack)]
}

fn ownership_certificate(arn: String) -> Result<Option<String>, ApiError> {
    match arn.as_str() {
        "" => Ok(None),
        text if text.starts_with("arn:") => Ok(Some(arn)),
        other => Err(ApiError::bad_request(format!(
            "ownershipVerificationCertificateArn has to be the ARN of a certificate, not '{other}'"
        ))),
    }
}

/// Removes the domain with its mappings, routing rules and access associations; what both versions of the operation do.
///
/// # Errors
/// When there is no such domain.
pub(super) fn delete(change: &mut Change<'_>, call: &Call) -> Result<Value, ApiError> {
    let domain = of_call(change, call)?;
    for access in change.tx.entities_using::<DomainAccess>(&domain.name)? {
        change.tx.delete_entity::<DomainAccess>("", &access.id)?;
    }
    change.tx.delete_entities_of::<ApiMapping>(&domain.name)?;
    change.tx.delete_entities_of::<RoutingRule>(&domain.name)?;
    change.tx.delete_entity::<DomainName>("", &domain.name)?;
    change.recompile_account();
    Ok(Value::Null)
}

/// A private domain's ARN has its account and its id, too.
pub(super) fn arn_of(view: &View<'_>, domain: &DomainName) -> String {
    let account = &view.settings.account;
    match &domain.private {
        Some(PrivateDomain { id, .. }) => {
            format!("arn:aws:apigateway:{}:{}:/domainnames/{}+{id}", account.region, account.id, domain.name)
        }
        None => arn(view, &domain.name),
    }
}

pub(super) fn arn(view: &View<'_>, domain: &str) -> String {
    format!("arn:aws:apigateway:{}::/domainnames/{domain}", view.settings.account.region)
}

pub(super) fn certificate_arn(view: &View<'_>, domain: &DomainName) -> String {
    let account = &view.settings.account;
    Certificate::arn(&domain.certificate_id, &account.region, &account.id)
}

/// What the domain's owner points its DNS to.
pub(super) fn alias(view: &View<'_>, domain: &DomainName) -> String {
    let account = &view.settings.account;
    format!("{}.execute-api.{}.{}", domain.alias, account.region, account.endpoint_suffix)
}

/// The same in both versions' answers.
pub(super) fn mutual_tls_answer(mutual_tls: &MutualTls) -> Value {
    compact(json!({
        "truststoreUri": mutual_tls.truststore_uri,
        "truststoreVersion": mutual_tls.truststore_version,
        "truststoreWarnings": (!mutual_tls.warnings.is_empty()).then_some(&mutual_tls.warnings),
    }))
}

/// The names under which APIs answer by themselves can't be taken.
fn check_foreign(view: &View<'_>, name: &str) -> Result<(), ApiError> {
    let account = &view.settings.account;
    let own = format!("execute-api.{}.{}", account.region, account.endpoint_suffix);
    let bare = name.strip_prefix("*.").unwrap_or(name);
    if bare == own || bare.ends_with(&format!(".{own}")) {
        return Err(ApiError::bad_request(format!("'{name}' belongs to the addresses of APIs themselves")));
    }
    Ok(())
}

/// A private domain stays private, and a public one public.
fn check_endpoint_type(endpoint_type: &str, domain: &DomainName) -> Result<(), ApiError> {
    match (endpoint_type, &domain.private) {
        ("EDGE" | "REGIONAL", None) | (PRIVATE, Some(_)) => Ok(()),
        ("EDGE" | "REGIONAL" | PRIVATE, _) => Err(ApiError::bad_request(format!(
            "The endpoint type of {} can't become {endpoint_type}: make the domain name anew",
            domain.name
        ))),
        (other, _) => Err(ApiError::bad_request(format!(
            "The endpoint type has to be EDGE, REGIONAL or PRIVATE, not '{other}'"
        ))),
    }
}

fn set_policies(
    domain: &mut DomainName,
    policy: Option<String>,
    management_policy: Option<String>,
) -> Result<(), ApiError> {
    let given = policy.is_some() || management_policy.is_some();
    let Some(private) = &mut domain.private else {
        return match given {
            false => Ok(()),
            true => Err(ApiError::bad_request("Policies are for private custom domain names")),
        };
    };
    for (member, wanted, kept) in [
        ("policy", policy, &mut private.policy),
        ("managementPolicy", management_policy, &mut private.management_policy),
    ] {
        if let Some(text) = wanted {
            let is_object = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
            if !text.is_empty() && !is_object {
                return Err(ApiError::bad_request(format!("{member} has to be a policy document in JSON")));
            }
            *kept = Some(text).filter(|text| !text.is_empty());
        }
    }
    Ok(())
}

/// The id of a certificate that is good for the domain.
fn certificate_for(view: &View<'_>, domain: &str, arn: &str) -> Result<String, ApiError> {
    let account = &view.settings.account;
    let id = Certificate::id_of_arn(arn, &account.region, &account.id);
    let found = id.map(|id| view.tx.entity::<Certificate>("", id)).transpose()?.flatten();
    let certificate = found.ok_or_else(|| {
        ApiError::bad_request(format!("There is no certificate '{arn}' in this account and region"))
    })?;
    let issued = certificate
        .issued
        .ok_or_else(|| ApiError::bad_request(format!("The certificate '{arn}' has not been issued yet")))?;
    if !issued.facts.covers(domain) {
        return Err(ApiError::bad_request(format!(
            "The certificate '{arn}' isn't valid for {domain}, but for {}",
            issued.facts.names.join(", ")
        )));
    }
    Ok(certificate.id)
}

fn mutual_tls(
    view: &View<'_>,
    before: Option<MutualTls>,
    wanted: WantedTruststore,
) -> Result<Option<MutualTls>, ApiError> {
    let uri = match wanted.uri {
        Some(uri) if uri.is_empty() => return Ok(None),
        Some(uri) => uri,
        None => match before {
            Some(before) => before.truststore_uri,
            None => return Err(ApiError::bad_request("truststoreUri is required for mutual TLS")),
        },
    };
    let version = wanted.version.filter(|version| !version.is_empty());
    truststore::read(view.settings.truststore_dir.as_deref(), &uri, version).map(Some)
}
