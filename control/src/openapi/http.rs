//! HTTP APIs (apigatewayv2) and OpenAPI 3: the plan of an import, and the document of an export.

mod export;
mod plan;

pub use export::{HttpExport, export_http};
pub use plan::{HttpPlan, Planned, PlannedRoute, plan_http, tags_of_http};

/// Where a document has the default route.
const DEFAULT_PATH: &str = "/$default";

/// An integration's members as a document calls them, and as the operations do.
const INTEGRATION_MEMBERS: [(&str, &str); 12] = [
    ("connectionId", "connectionId"),
    ("connectionType", "connectionType"),
    ("credentials", "credentialsArn"),
    ("httpMethod", "integrationMethod"),
    ("integrationSubtype", "integrationSubtype"),
    ("payloadFormatVersion", "payloadFormatVersion"),
    ("requestParameters", "requestParameters"),
    ("responseParameters", "responseParameters"),
    ("timeoutInMillis", "timeoutInMillis"),
    ("tlsConfig", "tlsConfig"),
    ("type", "integrationType"),
    ("uri", "integrationUri"),
];

/// An authorizer's members as a document calls them, and as the operations do; others are written differently.
const AUTHORIZER_MEMBERS: [(&str, &str); 6] = [
    ("authorizerCredentials", "authorizerCredentialsArn"),
    ("authorizerPayloadFormatVersion", "authorizerPayloadFormatVersion"),
    ("authorizerResultTtlInSeconds", "authorizerResultTtlInSeconds"),
    ("authorizerUri", "authorizerUri"),
    ("enableSimpleResponses", "enableSimpleResponses"),
    ("identityValidationExpression", "identityValidationExpression"),
];
