//! What users have configured, as the store keeps it: AWS's entities with every default filled in.
//!
//! The second of three shapes: the wire's members are parsed into these by `api`, and `compile` turns
//! them into units. Whatever has a grammar is checked before it gets here.

mod account;
mod api_key;
mod canary;
mod certificate;
mod client_certificate;
mod documentation;
mod domain_access;
mod domain_name;
mod gateway_response;
mod http;
mod iam;
mod ids;
mod mapping;
mod partition;
mod path_part;
mod rest_api;
mod rest_authorizer;
mod rest_method;
mod rest_model;
mod rest_stage;
mod route_key;
mod routing_rule;
mod security_policy;
mod selection;
mod server_name;
mod stage;
mod stage_cache;
mod targets;
mod uri;
mod usage_plan;
mod vpc_link;

pub use account::AccountSettings;
pub use api_key::{ApiKey, check_api_key_value};
pub use canary::Canary;
pub use certificate::{AcmeAccount, Certificate, Challenge, Issued, Order, Request, RequestFailure};
pub use client_certificate::ClientCertificate;
pub use documentation::{
    DocumentationLocation, DocumentationPart, DocumentationSnapshot, DocumentationVersion,
    documentation_kinds,
};
pub use domain_access::{DomainAccess, PrivateDomain, access_id, check_vpc_endpoint};
pub use domain_name::{ApiMapping, DomainName, MutualTls, check_mapping_key, parse_domain_name};
pub use gateway_response::{GatewayResponse, gateway_response_types};
pub use http::{
    API_KEY_HEADER, ApiProtocol, AuthorizerKind, Cors, FUNCTION_AUTHORIZER_TTL_S, HttpApi, HttpAuthorizer,
    HttpContent, HttpDeployment, HttpIntegration, HttpIntegrationResponse, HttpIntegrationType, HttpModel,
    HttpRoute, HttpStage, JwtIssuer, LOGGING_LEVELS, RouteAuthorization, RouteResponse, RouteSettings,
    check_cors, check_model_name, check_model_schema, check_subtype,
};
pub use iam::{User, UserAccessKey, UserPolicy, check_user_name, check_user_path};
pub use ids::{IdError, new_id, new_uuid};
pub use mapping::{
    check_action_parameter, check_message_mapping, check_message_response_mapping, check_request_mapping,
    check_response_mapping, check_route_parameter, check_status,
};
pub use partition::{LimitsPartition, LimitsPartitions};
pub use path_part::{PathPart, PathPartError};
pub use rest_api::{ApiKeySource, Resource, RestApi, RestContent, RestDeployment};
pub use rest_authorizer::{
    AUTHORIZER_RESULT_TTL_S_DEFAULT, AUTHORIZER_RESULT_TTL_S_MAX, RestAuthorizer, RestAuthorizerKind,
    RestJwt, RestJwtClaim, RestJwtIssuer,
};
pub use rest_method::{
    AuthorizationType, INTEGRATION_REQUEST, IntegrationResponse, METHOD_REQUEST, Method, MethodResponse,
    RestIntegration, RestIntegrationKind,
};
pub use rest_model::{RequestValidator, RestModel};
pub use rest_stage::{MethodSetting, RestAccessLog, RestStage};
pub use route_key::{METHODS, RouteKey, RouteKeyError, path_variables};
pub use routing_rule::{
    HEADER_CONDITIONS_MAX, HeaderGlob, PRIORITY_MAX, RoutingCondition, RoutingMode, RoutingRule,
    check_base_path, check_header_glob,
};
pub use security_policy::{DEFAULT_SECURITY_POLICY, SecurityPolicy, SecurityPolicyError, security_policy};
pub use selection::check_selection;
pub use server_name::server_name;
pub use stage::{
    AccessLogSettings, Variables, check_stage_name, check_variable, check_variables, log_group_of_arn,
};
pub use stage_cache::{HttpCaching, RouteCaching, StageCache};
pub use targets::{
    Balancing, CircuitBreaker, Endpoint, HealthCheck, IntegrationTargets, OutlierEjection, Probe,
    ProtocolVersion, Retry, Target, Targets, TargetsTls, rest_integration_id,
};
pub use uri::{IntegrationUri, Piece, UriError, check_uri_template};
pub use usage_plan::{Granted, Period, PlanQuota, PlanStage, Throttle, UsagePlan, UsagePlanKey, method_key};
pub use vpc_link::{HttpVpcLink, LinkTargets, RestVpcLink, link_id, link_variable};

use std::collections::BTreeMap;

/// Tags of an API or a stage.
pub type Tags = BTreeMap<String, String>;

/// Something that the store keeps as a document under an API.
pub trait Part: serde::Serialize + serde::de::DeserializeOwned {
    /// Its table's discriminator; never changes once released.
    const KIND: &'static str;

    /// Unique among the parts of this kind of one API.
    fn id(&self) -> &str;

    /// A second name that is unique among the parts of this kind of one API.
    fn name(&self) -> Option<String> {
        None
    }
}

/// Something of the account's, beside the APIs, that the store keeps as a document.
pub trait Entity: serde::Serialize + serde::de::DeserializeOwned {
    /// Its table's discriminator; never changes once released.
    const KIND: &'static str;

    /// Unique among the entities of this kind and owner.
    fn id(&self) -> &str;

    /// Id of the entity that it is a part of.
    fn owner(&self) -> &str {
        ""
    }

    /// A second name that is unique among the entities of this kind and owner.
    fn name(&self) -> Option<String> {
        None
    }

    /// Id of what it depends on, to be found by that.
    fn uses(&self) -> Option<&str> {
        None
    }
}

/// An API itself; its parts go with it.
pub trait Api: serde::Serialize + serde::de::DeserializeOwned {
    /// Its table's discriminator; never changes once released.
    const KIND: &'static str;

    /// Unique among all APIs, since it names the API's host.
    fn id(&self) -> &str;
}
