//! A `$context` format, parsed when a snapshot is compiled and rendered by a shard once per request.
//!
//! A line is a record: what a peer sent can neither end a line nor leave the JSON string (or the XML
//! text) that it stands in. A variable without a value, or one that isn't known, renders as `-`.
//! Sources: AWS's lists of access log variables for HTTP APIs and for REST APIs.

mod line;
mod times;

use std::net::IpAddr;

use line::{Line, Markup};
pub(crate) use times::ClfTimes;
use turnpike_snapshot::ACCESS_LOG_FORMAT_BYTES_MAX;

use crate::ids::RequestId;
use crate::tls::ClientCertificate;

/// The gateway's own log, where `access_log_format` is unset: every value quoted, so that each line is JSON.
pub(crate) const DEFAULT_FORMAT: &str = concat!(
    r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","#,
    r#""requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","path":"$context.path","#,
    r#""routeKey":"$context.routeKey","status":"$context.status","protocol":"$context.protocol","#,
    r#""responseLength":"$context.responseLength","responseLatency":"$context.responseLatency","#,
    r#""integrationStatus":"$context.integrationStatus","integrationLatency":"$context.integrationLatency","#,
    r#""apiId":"$context.apiId","stage":"$context.stage","error":"$context.error.message"}"#,
);

/// What is known of a finished request. Byte slices are as the peer sent them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRecord<'a> {
    pub(crate) id: RequestId,
    /// Of a REST API, or none: the id is written as those write it. HTTP APIs know its extended form alone.
    pub(crate) is_rest: bool,
    /// When the request's first byte arrived, in milliseconds since 1970.
    pub(crate) request_time_ms: u64,
    pub(crate) http_method: &'a [u8],
    /// As requested, with the stage, without the query.
    pub(crate) path: &'a [u8],
    /// `HTTP/1.1`.
    pub(crate) protocol: &'a str,
    pub(crate) source_ip: IpAddr,
    pub(crate) user_agent: Option<&'a [u8]>,
    /// What the client has proven to be, where its domain demands it.
    pub(crate) client_certificate: Option<&'a ClientCertificate>,
    /// Of whom the route asked for an API key.
    pub(crate) api_key_id: Option<&'a str>,
    /// The host that the request named, with its port if it named one.
    pub(crate) host: &'a [u8],
    pub(crate) account_id: &'a str,
    /// `None` where no API was found; likewise the following ones.
    pub(crate) api_id: Option<&'a str>,
    pub(crate) stage: Option<&'a str>,
    pub(crate) deployment_id: Option<&'a str>,
    /// Whether the stage's canary served the request; `None` where the stage has none.
    pub(crate) canary: Option<bool>,
    /// The key of the mapping that a custom domain's request matched.
    pub(crate) base_path_matched: Option<&'a str>,
    /// Id of the custom domain's routing rule that the request matched.
    pub(crate) routing_rule_matched: Option<&'a str>,
    /// `GET /pets/{id}` or `$default`, HTTP APIs only.
    pub(crate) route_key: Option<&'a str>,
    /// `/pets/{id}`, REST APIs only.
    pub(crate) resource_path: Option<&'a str>,
    pub(crate) resource_id: Option<&'a str>,
    pub(crate) status: u16,
    /// Bytes of body sent.
    pub(crate) response_length: u64,
    pub(crate) response_latency_ms: u64,
    /// `None` unless the integration answered.
    pub(crate) integration_status: Option<u16>,
    /// `None` unless the integration was called.
    pub(crate) integration_latency_ms: Option<u64>,
    pub(crate) integration_error: Option<&'a str>,
    /// The message of the gateway's own error reply.
    pub(crate) error_message: Option<&'a str>,
    /// A gateway response's type, such as `INTEGRATION_TIMEOUT`.
    pub(crate) error_response_type: Option<&'a str>,
}

/// Why a format can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("the access log format is empty; name at least $context.requestId")]
    Empty,
    #[error(
        "the access log format has {bytes} bytes, at most {ACCESS_LOG_FORMAT_BYTES_MAX} are allowed; log fewer variables"
    )]
    TooLong { bytes: usize },
    #[error(
        "the access log format has a line break after {bytes} bytes; a record is one line, so write the format as one"
    )]
    LineBreak { bytes: usize },
}

/// A format, ready to render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessLogFormat {
    parts: Vec<Part>,
    markup: Markup,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

impl AccessLogFormat {
    /// Line breaks at the end are taken off: each record gets exactly one.
    pub(crate) fn compile(format: &str) -> Result<Self, FormatError> {
        let format = format.trim_end_matches(['\n', '\r']);
        if format.trim().is_empty() {
            return Err(FormatError::Empty);
        }
        if format.len() > ACCESS_LOG_FORMAT_BYTES_MAX {
            return Err(FormatError::TooLong { bytes: format.len() });
        }
        if let Some(bytes) = format.find(['\n', '\r']) {
            return Err(FormatError::LineBreak { bytes });
        }
        let markup = if format.trim_start().starts_with('<') { Markup::Xml } else { Markup::Json };
        Ok(Self { parts: parse(format), markup })
    }

    /// Appends one line.
    pub(crate) fn render(&self, record: &AccessRecord<'_>, times: &ClfTimes, out: &mut Vec<u8>) {
        let mut line = Line { out, markup: self.markup, times };
        for part in &self.parts {
            match part {
                Part::Literal(text) => line.out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => line.variable(*variable, record),
            }
        }
        out.push(b'\n');
    }
}

const PREFIX: &str = "$context.";

fn parse(mut rest: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    while let Some(start) = rest.find(PREFIX) {
        let (before, after) = rest.split_at(start);
        let name_bytes = name_bytes(&after[PREFIX.len()..]);
        literal.push_str(before);
        let (written, following) = after.split_at(PREFIX.len() + name_bytes);
        rest = following;
        if name_bytes == 0 {
            literal.push_str(written);
            continue;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Variable(Variable::named(&written[PREFIX.len()..])));
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// Length of the dotted name that `text` begins with; a dot that no name follows isn't part of it.
fn name_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut end = 0;
    loop {
        let word = bytes[end..].iter().take_while(|byte| in_name(byte)).count();
        if word == 0 {
            return end.saturating_sub(1);
        }
        end += word;
        match bytes.get(end) {
            Some(b'.') => end += 1,
            _ => return end,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    RequestId,
    ExtendedRequestId,
    RequestTime,
    RequestTimeEpoch,
    HttpMethod,
    Path,
    Protocol,
    SourceIp,
    UserAgent,
    ClientCertificate(CertificateField),
    ApiKeyId,
    DomainName,
    DomainPrefix,
    AccountId,
    ApiId,
    Stage,
    DeploymentId,
    IsCanaryRequest,
    BasePathMatched,
    RoutingRuleMatched,
    RouteKey,
    ResourcePath,
    ResourceId,
    Status,
    ResponseLength,
    ResponseLatency,
    IntegrationStatus,
    IntegrationLatency,
    IntegrationError,
    ErrorMessage,
    ErrorMessageString,
    ErrorResponseType,
    /// Of a feature that the request didn't use, or not a variable at all.
    Absent,
}

/// What is told of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CertificateField {
    Pem,
    SubjectDn,
    IssuerDn,
    SerialNumber,
    NotBefore,
    NotAfter,
}

/// By name, after the prefix; AWS has several names for some.
const VARIABLES: [(&str, Variable); 41] = [
    ("requestId", Variable::RequestId),
    ("extendedRequestId", Variable::ExtendedRequestId),
    ("requestTime", Variable::RequestTime),
    ("requestTimeEpoch", Variable::RequestTimeEpoch),
    ("httpMethod", Variable::HttpMethod),
    ("path", Variable::Path),
    ("protocol", Variable::Protocol),
    ("identity.sourceIp", Variable::SourceIp),
    ("identity.userAgent", Variable::UserAgent),
    ("identity.clientCert.clientCertPem", Variable::ClientCertificate(CertificateField::Pem)),
    ("identity.clientCert.subjectDN", Variable::ClientCertificate(CertificateField::SubjectDn)),
    ("identity.clientCert.issuerDN", Variable::ClientCertificate(CertificateField::IssuerDn)),
    ("identity.clientCert.serialNumber", Variable::ClientCertificate(CertificateField::SerialNumber)),
    ("identity.clientCert.validity.notBefore", Variable::ClientCertificate(CertificateField::NotBefore)),
    ("identity.clientCert.validity.notAfter", Variable::ClientCertificate(CertificateField::NotAfter)),
    ("identity.apiKeyId", Variable::ApiKeyId),
    ("domainName", Variable::DomainName),
    ("domainPrefix", Variable::DomainPrefix),
    ("accountId", Variable::AccountId),
    ("apiId", Variable::ApiId),
    ("stage", Variable::Stage),
    ("deploymentId", Variable::DeploymentId),
    ("isCanaryRequest", Variable::IsCanaryRequest),
    ("customDomain.basePathMatched", Variable::BasePathMatched),
    ("customDomain.routingRuleIdMatched", Variable::RoutingRuleMatched),
    ("routeKey", Variable::RouteKey),
    ("resourcePath", Variable::ResourcePath),
    ("resourceId", Variable::ResourceId),
    ("status", Variable::Status),
    ("responseLength", Variable::ResponseLength),
    ("responseLatency", Variable::ResponseLatency),
    ("integrationStatus", Variable::IntegrationStatus),
    ("integration.status", Variable::IntegrationStatus),
    ("integration.integrationStatus", Variable::IntegrationStatus),
    ("integrationLatency", Variable::IntegrationLatency),
    ("integration.latency", Variable::IntegrationLatency),
    ("integrationErrorMessage", Variable::IntegrationError),
    ("integration.error", Variable::IntegrationError),
    ("error.message", Variable::ErrorMessage),
    ("error.messageString", Variable::ErrorMessageString),
    ("error.responseType", Variable::ErrorResponseType),
];

/// The names of all variables that can have a value.
#[cfg(test)]
pub(crate) fn variable_names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

impl Variable {
    fn named(name: &str) -> Self {
        let found = VARIABLES.iter().find(|(known, _)| *known == name);
        found.map_or(Self::Absent, |(_, variable)| *variable)
    }
}

#[cfg(test)]
mod tests;
