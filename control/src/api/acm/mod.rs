//! Certificates: the part of AWS Certificate Manager that domain names need, over its JSON 1.1 protocol at the same
//! address as the rest. Source: the model of the AWS SDKs, acm 2015-12-08.

mod certificates;
mod import;
mod list;
mod request;
mod tags;

use std::sync::Arc;

use axum::http::HeaderMap;
use serde_json::Value;

use super::access::Ask;
use super::content::Content;
use super::error::ApiError;
use super::members::Members;
use crate::change::{Change, Control, Deed, View};
use crate::model::Certificate;
use crate::settings::Account;

/// What clients sign these calls for.
pub(super) const SIGNING_NAME: &str = "acm";

const TARGET_PREFIX: &str = "CertificateManager.";
const ARN_CHARS_MAX: usize = 2_048;

/// Every action of the service; those without a handler are refused by name.
const ACTIONS: [&str; 40] = [
    "AddTagsToCertificate",
    "CreateAcmeDomainValidation",
    "CreateAcmeEndpoint",
    "CreateAcmeExternalAccountBinding",
    "DeleteAcmeDomainValidation",
    "DeleteAcmeEndpoint",
    "DeleteAcmeExternalAccountBinding",
    "DeleteCertificate",
    "DescribeAcmeAccount",
    "DescribeAcmeDomainValidation",
    "DescribeAcmeEndpoint",
    "DescribeAcmeExternalAccountBinding",
    "DescribeCertificate",
    "ExportCertificate",
    "GetAccountConfiguration",
    "GetAcmeExternalAccountBindingCredentials",
    "GetCertificate",
    "ImportCertificate",
    "ListAcmeAccounts",
    "ListAcmeDomainValidations",
    "ListAcmeEndpoints",
    "ListAcmeExternalAccountBindings",
    "ListCertificateDomainValidations",
    "ListCertificates",
    "ListTagsForCertificate",
    "ListTagsForResource",
    "PutAccountConfiguration",
    "RemoveTagsFromCertificate",
    "RenewCertificate",
    "RequestCertificate",
    "ResendValidationEmail",
    "RevokeAcmeAccount",
    "RevokeAcmeExternalAccountBinding",
    "RevokeCertificate",
    "SearchCertificates",
    "TagResource",
    "UntagResource",
    "UpdateAcmeDomainValidation",
    "UpdateAcmeEndpoint",
    "UpdateCertificateOptions",
];

/// What answers an action.
#[derive(Debug, Clone, Copy)]
enum Handler {
    Look(fn(&View<'_>, Members) -> Result<Value, ApiError>),
    Change(fn(&mut Change<'_>, Members) -> Result<Value, ApiError>),
}

/// The action that a request names, if it is one of this protocol.
pub(super) fn target(headers: &HeaderMap) -> Option<String> {
    let target = headers.get("x-amz-target")?;
    Some(String::from_utf8_lossy(target.as_bytes()).into_owned())
}

/// An action that has a handler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Action {
    pub(super) name: &'static str,
    handler: Handler,
}

impl Action {
    /// # Errors
    /// When the service has no such action, or it has no handler.
    pub(super) fn of(target: &str) -> Result<Self, ApiError> {
        let unknown = || ApiError::unknown_target(target);
        let action = target.strip_prefix(TARGET_PREFIX).ok_or_else(unknown)?;
        let name = ACTIONS.into_iter().find(|known| *known == action).ok_or_else(unknown)?;
        let unsupported = || ApiError::unsupported_operation(SIGNING_NAME, name);
        Ok(Self { name, handler: handler(name).ok_or_else(unsupported)? })
    }

    pub(super) fn changes(self) -> bool {
        matches!(self.handler, Handler::Change(_))
    }

    /// What it asks to do: to the certificate that it names, to any where it makes one, or to none. `tagged` says
    /// whether it gives tags, for which AWS asks a permission of its own.
    pub(super) fn asks(self, account: &Account, members: &Value, tagged: bool) -> Vec<Ask> {
        let resource = match members["CertificateArn"].as_str() {
            Some(arn) => arn.to_owned(),
            None if self.changes() => Certificate::arn("*", &account.region, &account.id),
            None => "*".to_owned(),
        };
        let makes = matches!(self.name, "ImportCertificate" | "RequestCertificate");
        let tags = (tagged && makes).then_some("AddTagsToCertificate");
        let actions = [self.name].into_iter().chain(tags);
        actions.map(|action| Ask::new(format!("{SIGNING_NAME}:{action}"), resource.clone())).collect()
    }

    /// # Errors
    /// The action's own.
    pub(super) async fn run(
        self,
        control: &Arc<Control>,
        content: Content,
        deed: Deed,
    ) -> Result<Value, ApiError> {
        let answered = match self.handler {
            Handler::Look(look) => control.read_async(move |view| look(view, content.members()?)).await,
            Handler::Change(change) => {
                control.change_for_async(deed, move |under_way| change(under_way, content.members()?)).await
            }
        };
        answered.map_err(in_acms_words)
    }
}

fn handler(action: &str) -> Option<Handler> {
    Some(match action {
        "ImportCertificate" => Handler::Change(import::import),
        "RequestCertificate" => Handler::Change(request::request),
        "DescribeCertificate" => Handler::Look(certificates::describe),
        "GetCertificate" => Handler::Look(certificates::get),
        "ListCertificates" => Handler::Look(list::list),
        "DeleteCertificate" => Handler::Change(certificates::delete),
        "AddTagsToCertificate" => Handler::Change(tags::add),
        "ListTagsForCertificate" => Handler::Look(tags::list),
        "RemoveTagsFromCertificate" => Handler::Change(tags::remove),
        _ => return None,
    })
}

/// What the services of APIs call a bad request has another name here.
fn in_acms_words(error: ApiError) -> ApiError {
    match error.code {
        "BadRequestException" => validation(error.message),
        _ => error,
    }
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError { status: 400, code: "ValidationException", message: message.into() }
}

fn invalid_arn(arn: &str) -> ApiError {
    let message = format!(
        "The Amazon Resource Name (ARN) '{arn}' isn't one of a certificate of this account and region"
    );
    ApiError { status: 400, code: "InvalidArnException", message }
}

/// The certificate that the call names.
fn named(view: &View<'_>, members: &mut Members) -> Result<Certificate, ApiError> {
    let arn = members.required("CertificateArn", ARN_CHARS_MAX)?;
    certificate(view, &arn)
}

fn certificate(view: &View<'_>, arn: &str) -> Result<Certificate, ApiError> {
    let account = &view.settings.account;
    let id = Certificate::id_of_arn(arn, &account.region, &account.id).ok_or_else(|| invalid_arn(arn))?;
    let found = view.tx.entity("", id)?;
    found.ok_or_else(|| ApiError {
        status: 400,
        code: "ResourceNotFoundException",
        message: format!("Could not find certificate {arn}."),
    })
}

fn arn(view: &View<'_>, certificate: &Certificate) -> String {
    let account = &view.settings.account;
    Certificate::arn(&certificate.id, &account.region, &account.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_is_one_of_the_services_actions() {
        assert!(ACTIONS.is_sorted());
        assert_eq!(ACTIONS.into_iter().filter(|action| handler(action).is_some()).count(), 9);
        assert!(handler("GetCertificates").is_none());
    }
}
