//! Which handler an operation has; one without a handler is refused by name.

use std::sync::Arc;

use serde_json::Value;

use super::call::Call;
use super::error::ApiError;
use super::operations::{Operation, Service};
use super::prepared::Prepared;
use super::reply::{Answer, Download};
use super::tags;
use super::turnpike::{apply, audit, cache, compression, diff, limits, targets};
use super::v1::test_invoke::Invocation;
use super::{domains, links, v1, v2};
use crate::change::{Change, Control, Deed, View, blocking};
use crate::model::{
    DocumentationPart, DocumentationVersion, HttpAuthorizer, HttpDeployment, HttpIntegration,
    HttpIntegrationResponse, HttpModel, HttpRoute, HttpStage, HttpVpcLink, RequestValidator, RestAuthorizer,
    RestModel, RestVpcLink, RouteResponse,
};
use crate::openapi::Document;
use crate::settings::Settings;

/// What answers an operation.
#[derive(Debug, Clone, Copy)]
enum Handler {
    Look(fn(&View<'_>, &Call) -> Result<Value, ApiError>),
    Change(fn(&mut Change<'_>, &Call) -> Result<Value, ApiError>),
    /// A change whose body is read before it begins.
    Import(fn(&Settings, &Call) -> Result<Prepared, ApiError>),
    /// A change that is undone, which looks at what it would come to.
    Rehearsal(fn(&mut Change<'_>, &Call) -> Result<Value, ApiError>),
    /// The same of an import.
    ImportRehearsal(fn(&Settings, &Call) -> Result<Prepared, ApiError>),
    /// An answer that isn't JSON of the service's own shape.
    Download(fn(&View<'_>, &Call) -> Result<Download, ApiError>),
    /// More than a look at the configuration: it takes its time, and no transaction waits for it.
    Invoke(fn(Arc<Control>, Call) -> Invocation),
}

/// A call whose body has been read.
#[derive(Debug)]
pub(super) struct ReadCall {
    pub(super) call: Call,
    /// Of an import; its errors are for who may call it.
    import: Option<Result<Prepared, ApiError>>,
}

impl ReadCall {
    /// Reads the body as the operation has it: an import's, which may be long and worth more work than its length, off
    /// the runtime's threads.
    pub(super) async fn of(control: &Arc<Control>, operation: &Operation, call: Call) -> Self {
        match handler(operation.service, operation.name) {
            Some(Handler::Import(read) | Handler::ImportRehearsal(read)) => {
                let control = Arc::clone(control);
                let read = move || {
                    let import = read(control.settings(), &call);
                    Self { call, import: Some(import) }
                };
                blocking(read).await
            }
            _ => Self { call: Call { content: call.content.into_read().await, ..call }, import: None },
        }
    }

    /// The document that an import is of.
    pub(super) fn document(&self) -> Option<&Document> {
        self.import.as_ref()?.as_ref().ok()?.document.as_deref()
    }
}

/// Runs the operation; the audit log has `deed` where it changes something.
///
/// # Errors
/// The operation's own; or it has no handler.
pub(super) async fn dispatch(
    control: &Arc<Control>,
    operation: &Operation,
    ReadCall { call, import }: ReadCall,
    deed: Deed,
) -> Result<Answer, ApiError> {
    match supported(operation.service, operation.name)? {
        Handler::Look(look) => control.read_async(move |view| look(view, &call)).await.map(Answer::Json),
        Handler::Change(change) => {
            control.change_for_async(deed, move |under_way| change(under_way, &call)).await.map(Answer::Json)
        }
        Handler::Import(read) => {
            let prepared = import.unwrap_or_else(|| read(control.settings(), &call))?;
            let put = move |under_way: &mut Change<'_>| prepared.put(under_way, &call);
            control.change_for_async(deed, put).await.map(Answer::Json)
        }
        Handler::Rehearsal(rehearse) => {
            control.rehearse_async(move |under_way| rehearse(under_way, &call)).await.map(Answer::Json)
        }
        Handler::ImportRehearsal(read) => {
            let prepared = import.unwrap_or_else(|| read(control.settings(), &call))?;
            let put = move |under_way: &mut Change<'_>| prepared.put(under_way, &call);
            control.rehearse_async(put).await.map(Answer::Json)
        }
        Handler::Download(download) => {
            control.read_async(move |view| download(view, &call)).await.map(Answer::Download)
        }
        Handler::Invoke(invoke) => invoke(Arc::clone(control), call).await.map(Answer::Json),
    }
}

/// Whether the operation changes something.
pub(super) fn changes(operation: &Operation) -> bool {
    let handler = handler(operation.service, operation.name);
    matches!(handler, Some(Handler::Change(_) | Handler::Import(_)))
}

/// Whether the answer waits for the gateways: what is flushed or purged isn't served any more by then.
pub(super) fn waits_for_gateways(operation: &Operation) -> bool {
    matches!(operation.name, "FlushStageCache" | "DeleteStageCacheData" | "PurgeStageCache")
}

/// Runs a further operation within a change that is under way, as if it had been called for itself: what one
/// call makes of many operations obeys their rules.
///
/// # Errors
/// The operation's own; or it has no handler.
pub(super) fn run_within(
    change: &mut Change<'_>,
    service: Service,
    name: &str,
    call: &Call,
) -> Result<Value, ApiError> {
    match supported(service, name)? {
        Handler::Look(look) => look(change, call),
        Handler::Change(run) => run(change, call),
        Handler::Import(read) => read(change.settings, call)?.put(change, call),
        Handler::Rehearsal(_) | Handler::ImportRehearsal(_) | Handler::Download(_) | Handler::Invoke(_) => {
            Err(ApiError::unsupported_operation(service.name(), name))
        }
    }
}

/// As [`run_within`], for an operation that only looks.
pub(super) fn look_within(
    view: &View<'_>,
    service: Service,
    name: &str,
    call: &Call,
) -> Result<Value, ApiError> {
    match supported(service, name)? {
        Handler::Look(look) => look(view, call),
        Handler::Change(_)
        | Handler::Import(_)
        | Handler::Rehearsal(_)
        | Handler::ImportRehearsal(_)
        | Handler::Download(_)
        | Handler::Invoke(_) => Err(ApiError::unsupported_operation(service.name(), name)),
    }
}

fn supported(service: Service, name: &str) -> Result<Handler, ApiError> {
    handler(service, name).ok_or_else(|| ApiError::unsupported_operation(service.name(), name))
}

fn handler(service: Service, name: &str) -> Option<Handler> {
    match service {
        Service::V1 => v1_handler(name),
        Service::V2 => v2_handler(name),
        Service::Turnpike => turnpike_handler(name),
    }
}

fn v1_handler(name: &str) -> Option<Handler> {
    Some(match name {
        "GetExport" => Handler::Download(v1::exports::export),
        "ImportRestApi" => Handler::Import(v1::imports::import),
        "PutRestApi" => Handler::Import(v1::imports::put),
        "CreateRestApi" => Handler::Change(v1::apis::create),
        "GetRestApi" => Handler::Look(v1::apis::get),
        "GetRestApis" => Handler::Look(v1::apis::list),
        "UpdateRestApi" => Handler::Change(v1::apis::update),
        "DeleteRestApi" => Handler::Change(v1::apis::delete),
        "CreateResource" => Handler::Change(v1::resources::create),
        "GetResource" => Handler::Look(v1::resources::get),
        "GetResources" => Handler::Look(v1::resources::list),
        "UpdateResource" => Handler::Change(v1::resources::update),
        "DeleteResource" => Handler::Change(v1::resources::delete),
        "PutMethod" => Handler::Change(v1::methods::put),
        "GetMethod" => Handler::Look(v1::methods::get),
        "UpdateMethod" => Handler::Change(v1::methods::update),
        "DeleteMethod" => Handler::Change(v1::methods::delete),
        "PutMethodResponse" => Handler::Change(v1::method_responses::put),
        "GetMethodResponse" => Handler::Look(v1::method_responses::get),
        "UpdateMethodResponse" => Handler::Change(v1::method_responses::update),
        "DeleteMethodResponse" => Handler::Change(v1::method_responses::delete),
        "PutIntegration" => Handler::Change(v1::integrations::put),
        "GetIntegration" => Handler::Look(v1::integrations::get),
        "UpdateIntegration" => Handler::Change(v1::integrations::update),
        "DeleteIntegration" => Handler::Change(v1::integrations::delete),
        "PutIntegrationResponse" => Handler::Change(v1::integration_responses::put),
        "GetIntegrationResponse" => Handler::Look(v1::integration_responses::get),
        "UpdateIntegrationResponse" => Handler::Change(v1::integration_responses::update),
        "DeleteIntegrationResponse" => Handler::Change(v1::integration_responses::delete),
        "CreateDeployment" => Handler::Change(v1::deployments::create),
        "GetDeployment" => Handler::Look(v1::deployments::get),
        "GetDeployments" => Handler::Look(v1::deployments::list),
        "UpdateDeployment" => Handler::Change(v1::deployments::update),
        "DeleteDeployment" => Handler::Change(v1::deployments::delete),
        "CreateStage" => Handler::Change(v1::stages::create),
        "GetStage" => Handler::Look(v1::stages::get),
        "GetStages" => Handler::Look(v1::stages::list),
        "DeleteStage" => Handler::Change(v1::stages::delete),
        "UpdateStage" => Handler::Change(v1::stages::update),
        "CreateAuthorizer" => Handler::Change(v1::authorizers::create),
        "GetAuthorizer" => Handler::Look(v1::parts::show_part::<RestAuthorizer>),
        "GetAuthorizers" => Handler::Look(v1::parts::list_parts::<RestAuthorizer>),
        "UpdateAuthorizer" => Handler::Change(v1::authorizers::update),
        "DeleteAuthorizer" => Handler::Change(v1::authorizers::delete),
        "TestInvokeAuthorizer" => Handler::Look(v1::authorizers::test),
        "CreateModel" => Handler::Change(v1::models::create),
        "GetModel" => Handler::Look(v1::models::get),
        "GetModels" => Handler::Look(v1::parts::list_parts::<RestModel>),
        "GetModelTemplate" => Handler::Look(v1::models::template),
        "UpdateModel" => Handler::Change(v1::models::update),
        "DeleteModel" => Handler::Change(v1::models::delete),
        "CreateRequestValidator" => Handler::Change(v1::request_validators::create),
        "GetRequestValidator" => Handler::Look(v1::parts::show_part::<RequestValidator>),
        "GetRequestValidators" => Handler::Look(v1::parts::list_parts::<RequestValidator>),
        "UpdateRequestValidator" => Handler::Change(v1::request_validators::update),
        "DeleteRequestValidator" => Handler::Change(v1::request_validators::delete),
        "PutGatewayResponse" => Handler::Change(v1::gateway_responses::put),
        "GetGatewayResponse" => Handler::Look(v1::gateway_responses::get),
        "GetGatewayResponses" => Handler::Look(v1::gateway_responses::list),
        "UpdateGatewayResponse" => Handler::Change(v1::gateway_responses::update),
        "DeleteGatewayResponse" => Handler::Change(v1::gateway_responses::delete),
        "CreateDocumentationPart" => Handler::Change(v1::documentation_parts::create),
        "GetDocumentationPart" => Handler::Look(v1::parts::show_part::<DocumentationPart>),
        "GetDocumentationParts" => Handler::Look(v1::documentation_parts::list),
        "UpdateDocumentationPart" => Handler::Change(v1::documentation_parts::update),
        "DeleteDocumentationPart" => Handler::Change(v1::documentation_parts::delete),
        "ImportDocumentationParts" => Handler::Import(v1::documentation_parts::import),
        "CreateDocumentationVersion" => Handler::Change(v1::documentation_versions::create),
        "GetDocumentationVersion" => Handler::Look(v1::parts::show_part::<DocumentationVersion>),
        "GetDocumentationVersions" => Handler::Look(v1::parts::list_parts::<DocumentationVersion>),
        "UpdateDocumentationVersion" => Handler::Change(v1::documentation_versions::update),
        "DeleteDocumentationVersion" => Handler::Change(v1::documentation_versions::delete),
        "GetAccount" => Handler::Look(v1::account::get),
        "UpdateAccount" => Handler::Change(v1::account::update),
        "FlushStageCache" => Handler::Change(v1::flush::flush),
        "FlushStageAuthorizersCache" => Handler::Look(v1::flush::flush_authorizers),
        "TestInvokeMethod" => Handler::Invoke(v1::test_invoke::invoke),
        "GetSdkTypes" => Handler::Look(v1::sdk::types),
        "GetSdkType" => Handler::Look(v1::sdk::type_named),
        "GetSdk" => Handler::Download(v1::sdk::get),
        "GetTags" => Handler::Look(tags::get),
        "TagResource" => Handler::Change(tags::set),
        "UntagResource" => Handler::Change(tags::remove),
        "GenerateClientCertificate" => Handler::Change(v1::client_certificates::generate),
        "GetClientCertificate" => Handler::Look(v1::client_certificates::get),
        "GetClientCertificates" => Handler::Look(v1::client_certificates::list),
        "UpdateClientCertificate" => Handler::Change(v1::client_certificates::update),
        "DeleteClientCertificate" => Handler::Change(v1::client_certificates::delete),
        "CreateDomainName" => Handler::Change(v1::domain_names::create),
        "GetDomainName" => Handler::Look(v1::domain_names::get),
        "GetDomainNames" => Handler::Look(v1::domain_names::list),
        "UpdateDomainName" => Handler::Change(v1::domain_names::update),
        "DeleteDomainName" => Handler::Change(domains::delete),
        "CreateBasePathMapping" => Handler::Change(v1::base_path_mappings::create),
        "GetBasePathMapping" => Handler::Look(v1::base_path_mappings::get),
        "GetBasePathMappings" => Handler::Look(v1::base_path_mappings::list),
        "UpdateBasePathMapping" => Handler::Change(v1::base_path_mappings::update),
        "DeleteBasePathMapping" => Handler::Change(v1::base_path_mappings::delete),
        "CreateApiKey" => Handler::Change(v1::api_keys::create),
        "GetApiKey" => Handler::Look(v1::api_keys::get),
        "GetApiKeys" => Handler::Look(v1::api_keys::list),
        "UpdateApiKey" => Handler::Change(v1::api_keys::update),
        "DeleteApiKey" => Handler::Change(v1::api_keys::delete),
        "ImportApiKeys" => Handler::Import(v1::api_keys::import),
        "CreateDomainNameAccessAssociation" => Handler::Change(v1::domain_access::create),
        "GetDomainNameAccessAssociations" => Handler::Look(v1::domain_access::list),
        "DeleteDomainNameAccessAssociation" => Handler::Change(v1::domain_access::delete),
        "RejectDomainNameAccessAssociation" => Handler::Change(v1::domain_access::reject),
        "CreateUsagePlan" => Handler::Change(v1::usage_plans::create),
        "GetUsagePlan" => Handler::Look(v1::usage_plans::get),
        "GetUsagePlans" => Handler::Look(v1::usage_plans::list),
        "UpdateUsagePlan" => Handler::Change(v1::usage_plans::update),
        "DeleteUsagePlan" => Handler::Change(v1::usage_plans::delete),
        "CreateUsagePlanKey" => Handler::Change(v1::usage_plan_keys::create),
        "GetUsagePlanKey" => Handler::Look(v1::usage_plan_keys::get),
        "GetUsagePlanKeys" => Handler::Look(v1::usage_plan_keys::list),
        "DeleteUsagePlanKey" => Handler::Change(v1::usage_plan_keys::delete),
        "GetUsage" => Handler::Look(v1::usage::get),
        "UpdateUsage" => Handler::Change(v1::usage::update),
        "CreateVpcLink" => Handler::Change(v1::vpc_links::create),
        "GetVpcLink" => Handler::Look(links::get::<RestVpcLink>),
        "GetVpcLinks" => Handler::Look(links::list::<RestVpcLink>),
        "UpdateVpcLink" => Handler::Change(v1::vpc_links::update),
        "DeleteVpcLink" => Handler::Change(links::delete::<RestVpcLink>),
        _ => return None,
    })
}

fn v2_handler(name: &str) -> Option<Handler> {
    Some(match name {
        "CreateApi" => Handler::Change(v2::apis::create),
        "GetApi" => Handler::Look(v2::apis::get),
        "GetApis" => Handler::Look(v2::apis::list),
        "UpdateApi" => Handler::Change(v2::apis::update),
        "DeleteApi" => Handler::Change(v2::apis::delete),
        "DeleteCorsConfiguration" => Handler::Change(v2::cors::delete),
        "CreateIntegration" => Handler::Change(v2::integrations::create),
        "GetIntegration" => Handler::Look(v2::show_part::<HttpIntegration>),
        "GetIntegrations" => Handler::Look(v2::list_parts::<HttpIntegration>),
        "UpdateIntegration" => Handler::Change(v2::integrations::update),
        "DeleteIntegration" => Handler::Change(v2::integrations::delete),
        "CreateIntegrationResponse" => Handler::Change(v2::integration_responses::create),
        "GetIntegrationResponse" => Handler::Look(v2::responses::get::<HttpIntegrationResponse>),
        "GetIntegrationResponses" => Handler::Look(v2::responses::list::<HttpIntegrationResponse>),
        "UpdateIntegrationResponse" => Handler::Change(v2::responses::update::<HttpIntegrationResponse>),
        "DeleteIntegrationResponse" => Handler::Change(v2::responses::delete::<HttpIntegrationResponse>),
        "CreateRoute" => Handler::Change(v2::routes::create),
        "GetRoute" => Handler::Look(v2::show_part::<HttpRoute>),
        "GetRoutes" => Handler::Look(v2::list_parts::<HttpRoute>),
        "UpdateRoute" => Handler::Change(v2::routes::update),
        "DeleteRoute" => Handler::Change(v2::routes::delete),
        "DeleteRouteRequestParameter" => Handler::Change(v2::routes::delete_request_parameter),
        "CreateRouteResponse" => Handler::Change(v2::route_responses::create),
        "GetRouteResponse" => Handler::Look(v2::responses::get::<RouteResponse>),
        "GetRouteResponses" => Handler::Look(v2::responses::list::<RouteResponse>),
        "UpdateRouteResponse" => Handler::Change(v2::responses::update::<RouteResponse>),
        "DeleteRouteResponse" => Handler::Change(v2::responses::delete::<RouteResponse>),
        "CreateAuthorizer" => Handler::Change(v2::authorizers::create),
        "GetAuthorizer" => Handler::Look(v2::show_part::<HttpAuthorizer>),
        "GetAuthorizers" => Handler::Look(v2::list_parts::<HttpAuthorizer>),
        "UpdateAuthorizer" => Handler::Change(v2::authorizers::update),
        "DeleteAuthorizer" => Handler::Change(v2::authorizers::delete),
        "ResetAuthorizersCache" => Handler::Look(v2::authorizers::reset_cache),
        "CreateModel" => Handler::Change(v2::models::create),
        "GetModel" => Handler::Look(v2::show_part::<HttpModel>),
        "GetModels" => Handler::Look(v2::list_parts::<HttpModel>),
        "GetModelTemplate" => Handler::Look(v2::models::template),
        "UpdateModel" => Handler::Change(v2::models::update),
        "DeleteModel" => Handler::Change(v2::models::delete),
        "CreateStage" => Handler::Change(v2::stages::create),
        "GetStage" => Handler::Look(v2::show_part::<HttpStage>),
        "GetStages" => Handler::Look(v2::list_parts::<HttpStage>),
        "UpdateStage" => Handler::Change(v2::stages::update),
        "DeleteStage" => Handler::Change(v2::stages::delete),
        "DeleteAccessLogSettings" => Handler::Change(v2::stages::delete_access_log),
        "DeleteRouteSettings" => Handler::Change(v2::route_settings::delete),
        "CreateDeployment" => Handler::Change(v2::deployments::create),
        "GetDeployment" => Handler::Look(v2::show_part::<HttpDeployment>),
        "GetDeployments" => Handler::Look(v2::list_parts::<HttpDeployment>),
        "UpdateDeployment" => Handler::Change(v2::deployments::update),
        "DeleteDeployment" => Handler::Change(v2::deployments::delete),
        "CreateDomainName" => Handler::Change(v2::domain_names::create),
        "GetDomainName" => Handler::Look(v2::domain_names::get),
        "GetDomainNames" => Handler::Look(v2::domain_names::list),
        "UpdateDomainName" => Handler::Change(v2::domain_names::update),
        "GetTags" => Handler::Look(tags::get),
        "TagResource" => Handler::Change(tags::set),
        "UntagResource" => Handler::Change(tags::remove),
        "DeleteDomainName" => Handler::Change(domains::delete),
        "CreateRoutingRule" => Handler::Change(v2::routing_rules::create),
        "GetRoutingRule" => Handler::Look(v2::routing_rules::get),
        "ListRoutingRules" => Handler::Look(v2::routing_rules::list),
        "PutRoutingRule" => Handler::Change(v2::routing_rules::put),
        "DeleteRoutingRule" => Handler::Change(v2::routing_rules::delete),
        "CreateApiMapping" => Handler::Change(v2::api_mappings::create),
        "GetApiMapping" => Handler::Look(v2::api_mappings::get),
        "GetApiMappings" => Handler::Look(v2::api_mappings::list),
        "UpdateApiMapping" => Handler::Change(v2::api_mappings::update),
        "DeleteApiMapping" => Handler::Change(v2::api_mappings::delete),
        "CreateVpcLink" => Handler::Change(v2::vpc_links::create),
        "ImportApi" => Handler::Import(v2::imports::import),
        "ReimportApi" => Handler::Import(v2::imports::reimport),
        "ExportApi" => Handler::Download(v2::exports::export),
        "GetVpcLink" => Handler::Look(links::get::<HttpVpcLink>),
        "GetVpcLinks" => Handler::Look(links::list::<HttpVpcLink>),
        "UpdateVpcLink" => Handler::Change(v2::vpc_links::update),
        "DeleteVpcLink" => Handler::Change(links::delete::<HttpVpcLink>),
        _ => return None,
    })
}

fn turnpike_handler(name: &str) -> Option<Handler> {
    Some(match name {
        "PutVpcLinkTargets" => Handler::Change(targets::put_of_link),
        "GetVpcLinkTargets" => Handler::Look(targets::get_of_link),
        "DeleteVpcLinkTargets" => Handler::Change(targets::delete_of_link),
        "PutIntegrationTargets" => Handler::Change(targets::put_of_integration),
        "GetIntegrationTargets" => Handler::Look(targets::get_of_integration),
        "DeleteIntegrationTargets" => Handler::Change(targets::delete_of_integration),
        "PutMethodTargets" => Handler::Change(targets::put_of_method),
        "GetMethodTargets" => Handler::Look(targets::get_of_method),
        "PlanConfiguration" => Handler::ImportRehearsal(apply::apply),
        "ApplyConfiguration" => Handler::Import(apply::apply),
        "PutStageCache" => Handler::Change(cache::put),
        "GetStageCache" => Handler::Look(cache::get),
        "DeleteStageCache" => Handler::Change(cache::delete),
        "DeleteStageCacheData" => Handler::Change(cache::flush),
        "PurgeStageCache" => Handler::Change(cache::purge),
        "PutStageLimits" => Handler::Change(limits::put_of_stage),
        "GetStageLimits" => Handler::Look(limits::get_of_stage),
        "DeleteStageLimits" => Handler::Change(limits::delete_of_stage),
        "PutUsagePlanLimits" => Handler::Change(limits::put_of_plan),
        "GetUsagePlanLimits" => Handler::Look(limits::get_of_plan),
        "DeleteUsagePlanLimits" => Handler::Change(limits::delete_of_plan),
        "PutStageCompression" => Handler::Change(compression::put),
        "GetStageCompression" => Handler::Look(compression::get),
        "DeleteStageCompression" => Handler::Change(compression::delete),
        "GetStageDiff" => Handler::Rehearsal(diff::of_stage),
        "GetAuditRecords" => Handler::Look(audit::list),
        "DeleteMethodTargets" => Handler::Change(targets::delete_of_method),
        _ => return None,
    })
}
