//! An integration of an HTTP or WebSocket API: where a route leads, and what is changed on the way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::Part;
use super::is_default;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpIntegration {
    pub id: String,
    /// Made by quick create: can be changed, not deleted.
    pub managed: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: HttpIntegrationType,
    /// An AWS service's action, in place of a URI.
    #[serde(default, skip_serializing_if = "is_default")]
    pub subtype: Option<String>,
    pub description: Option<String>,
    /// `ANY` passes the client's method on; a mock and a subtype have none.
    pub method: Option<String>,
    /// Of HTTP, checked by [`super::super::check_uri_template`]; of AWS, an ARN.
    pub uri: Option<String>,
    pub timeout_ms: u32,
    /// Id of the VPC link that it leads through.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link_id: Option<String>,
    /// The name that an https:// upstream's certificate must have, in lower case; `None`: the URI's host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub server_name: Option<String>,
    /// `1.0` or `2.0`.
    #[serde(default = "payload_format_1")]
    pub payload_format_version: String,
    /// Checked by [`super::super::check_mappings`], or a subtype's own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_parameters: BTreeMap<String, String>,
    /// By status code.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response_parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// Templates by content type, or by what `template_selection` yields.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request_templates: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub template_selection: Option<String>,
    /// Of WebSocket APIs only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub passthrough_behavior: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_handling: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub credentials_arn: Option<String>,
    /// By id.
    #[serde(default, skip_serializing_if = "is_default")]
    pub responses: BTreeMap<String, HttpIntegrationResponse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpIntegrationType {
    #[default]
    HttpProxy,
    Http,
    AwsProxy,
    Aws,
    Mock,
}

/// What becomes of an upstream's answer before a WebSocket route answers with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpIntegrationResponse {
    pub id: String,
    /// `$default`, or an expression between slashes; no other response of the integration has it.
    pub key: String,
    pub content_handling: Option<String>,
    pub parameters: BTreeMap<String, String>,
    pub templates: BTreeMap<String, String>,
    pub template_selection: Option<String>,
}

impl HttpIntegrationType {
    pub const NAMES: [&str; 5] = ["AWS", "HTTP", "MOCK", "HTTP_PROXY", "AWS_PROXY"];

    /// By AWS's word.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::HttpProxy, Self::Http, Self::AwsProxy, Self::Aws, Self::Mock]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// AWS's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpProxy => "HTTP_PROXY",
            Self::Http => "HTTP",
            Self::AwsProxy => "AWS_PROXY",
            Self::Aws => "AWS",
            Self::Mock => "MOCK",
        }
    }

    /// Whether the upstream's answer is passed on as it is.
    #[must_use]
    pub fn is_proxy(self) -> bool {
        matches!(self, Self::HttpProxy | Self::AwsProxy)
    }

    #[must_use]
    pub fn calls_http(self) -> bool {
        matches!(self, Self::HttpProxy | Self::Http)
    }

    #[must_use]
    pub fn calls_aws(self) -> bool {
        matches!(self, Self::AwsProxy | Self::Aws)
    }
}

impl HttpIntegration {
    /// One that leads nowhere yet.
    #[must_use]
    pub fn new(id: String, kind: HttpIntegrationType, timeout_ms: u32) -> Self {
        Self {
            id,
            managed: false,
            kind,
            subtype: None,
            description: None,
            method: None,
            uri: None,
            timeout_ms,
            link_id: None,
            server_name: None,
            payload_format_version: payload_format_1(),
            request_parameters: BTreeMap::new(),
            response_parameters: BTreeMap::new(),
            request_templates: BTreeMap::new(),
            template_selection: None,
            passthrough_behavior: None,
            content_handling: None,
            credentials_arn: None,
            responses: BTreeMap::new(),
        }
    }
}

fn payload_format_1() -> String {
    "1.0".to_owned()
}

impl Part for HttpIntegration {
    const KIND: &'static str = "http-integration";

    fn id(&self) -> &str {
        &self.id
    }
}
