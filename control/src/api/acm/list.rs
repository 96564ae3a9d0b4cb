//! `ListCertificates`.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::super::call::{compact, id_token, token_id};
use super::super::error::ApiError;
use super::super::members::Members;
use super::certificates::{domain_name, in_use_by, issued_at, key_algorithm, kind, merge, names, status};
use super::{arn, validation};
use crate::change::View;
use crate::model::Certificate;

const ITEMS_MAX: u32 = 1_000;
const TOKEN_CHARS_MAX: usize = 10_000;
const NAME_CHARS_MAX: usize = 64;

/// All certificates, or those that fit the filters; unlike AWS, which leaves ECDSA out unless it is asked for.
pub(super) fn list(view: &View<'_>, mut members: Members) -> Result<Value, ApiError> {
    let filters = Filters::take(&mut members)?;
    let descending = take_order(&mut members)?;
    let limit = members.integer("MaxItems", 1..=ITEMS_MAX)?.unwrap_or(ITEMS_MAX) as usize;
    let after = members
        .string("NextToken", TOKEN_CHARS_MAX)?
        .map(|token| token_id(&token).ok_or_else(|| validation("NextToken wasn't given by an earlier call")));
    let after = after.transpose()?;
    members.finish()?;
    let (certificates, next) = page(wanted(view, &filters)?, descending, after.as_deref(), limit);
    let items =
        certificates.iter().map(|certificate| summary(view, certificate)).collect::<Result<Vec<_>, _>>()?;
    Ok(compact(json!({
        "CertificateSummaryList": items,
        "NextToken": next.map(|last| id_token(&last)),
    })))
}

fn wanted(view: &View<'_>, filters: &Filters) -> Result<Vec<Certificate>, ApiError> {
    let mut certificates: Vec<Certificate> = view.tx.entities()?;
    certificates.retain(|certificate| filters.fit(view, certificate));
    Ok(certificates)
}

/// Those that follow `after`, and where to go on if there are more than `limit`. By order and not by place, so that
/// what was deleted since leaves no gap.
fn page(
    mut certificates: Vec<Certificate>,
    descending: bool,
    after: Option<&str>,
    limit: usize,
) -> (Vec<Certificate>, Option<String>) {
    certificates.sort_by_cached_key(order);
    if descending {
        certificates.reverse();
    }
    if let Some(after) = after {
        let follows = if descending { Ordering::Less } else { Ordering::Greater };
        certificates.retain(|certificate| order(certificate).as_str().cmp(after) == follows);
    }
    let more = certificates.len() > limit;
    certificates.truncate(limit);
    let last = certificates.last().filter(|_| more).map(order);
    (certificates, last)
}

/// By creation, then by id; as text, so that a token can hold it.
fn order(certificate: &Certificate) -> String {
    format!("{:020} {}", certificate.created_at_s, certificate.id)
}

/// Whether the newest come first. AWS sorts by creation or not at all.
fn take_order(members: &mut Members) -> Result<bool, ApiError> {
    let by = members.one_of("SortBy", &["CREATED_AT"])?;
    match (by, members.string("SortOrder", NAME_CHARS_MAX)?.as_deref()) {
        (None, None) | (Some(_), Some("ASCENDING")) => Ok(false),
        (Some(_), Some("DESCENDING")) => Ok(true),
        (Some(_), Some(_)) => Err(validation("SortOrder has to be ASCENDING or DESCENDING")),
        (Some(_), None) | (None, Some(_)) => {
            Err(validation("SortBy and SortOrder have to be given together"))
        }
    }
}

/// Which certificates are wanted; an empty list wants all.
struct Filters {
    statuses: Vec<String>,
    key_types: Vec<String>,
    key_usages: Vec<String>,
    extended_key_usages: Vec<String>,
}

impl Filters {
    fn take(members: &mut Members) -> Result<Self, ApiError> {
        let statuses = members.list("CertificateStatuses")?.unwrap_or_default();
        members.unsupported(&["CertificateKeyPairOrigins"])?;
        let mut filters =
            Self { statuses, key_types: Vec::new(), key_usages: Vec::new(), extended_key_usages: Vec::new() };
        if let Some(mut includes) = members.object("Includes")? {
            filters.key_types = includes.list("keyTypes")?.unwrap_or_default();
            filters.key_usages = includes.list("keyUsage")?.unwrap_or_default();
            filters.extended_key_usages = includes.list("extendedKeyUsage")?.unwrap_or_default();
            includes.unsupported(&["exportOption", "managedBy"])?;
            includes.finish()?;
        }
        Ok(filters)
    }

    fn fit(&self, view: &View<'_>, certificate: &Certificate) -> bool {
        let wanted = |list: &[String], has: &mut dyn FnMut(&str) -> bool| {
            list.is_empty() || list.iter().any(|name| name == "ANY" || has(name))
        };
        let facts = certificate.issued.as_ref().map(|issued| &issued.facts);
        wanted(&self.statuses, &mut |name| name == status(view, certificate))
            && wanted(&self.key_types, &mut |name| key_algorithm(certificate) == Some(name))
            && wanted(&self.key_usages, &mut |name| {
                facts.is_some_and(|f| f.key_usages.iter().any(|usage| usage == name))
            })
            && wanted(&self.extended_key_usages, &mut |name| {
                facts.is_some_and(|f| f.extended_key_usages.iter().any(|(usage, _)| usage == name))
            })
    }
}

fn summary(view: &View<'_>, certificate: &Certificate) -> Result<Value, ApiError> {
    let facts = certificate.issued.as_ref().map(|issued| &issued.facts);
    let mut summary = json!({
        "CertificateArn": arn(view, certificate),
        "CreatedAt": certificate.created_at_s,
        "DomainName": domain_name(certificate),
        "Exported": false,
        "ExtendedKeyUsages":
            facts.map(|facts| facts.extended_key_usages.iter().map(|(name, _)| name).collect::<Vec<_>>()),
        "HasAdditionalSubjectAlternativeNames": false,
        "InUse": !in_use_by(view, certificate)?.is_empty(),
        "KeyAlgorithm": key_algorithm(certificate),
        "KeyUsages": facts.map(|facts| &facts.key_usages),
        "NotAfter": facts.map(|facts| facts.not_after_s),
        "NotBefore": facts.map(|facts| facts.not_before_s),
        "RenewalEligibility": "INELIGIBLE",
        "Status": status(view, certificate),
        "SubjectAlternativeNameSummaries": names(certificate),
        "Type": kind(certificate),
    });
    merge(&mut summary, issued_at(certificate));
    Ok(compact(summary))
}
