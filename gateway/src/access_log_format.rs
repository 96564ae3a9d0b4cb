//! A `$context` format, parsed when a snapshot is compiled and rendered by a shard once per request.
//!
//! A line is a record: what a peer sent can neither end a line nor leave the JSON string (or the XML
//! text) that it stands in. A variable without a value, or one that isn't known, renders as `-`.
//! Sources: AWS's lists of access log variables for HTTP APIs and for REST APIs.

use std::io::Write as _;
use std::net::IpAddr;

/// The gateway's own log, where `access_log_format` is unset: every value quoted, so that each line is JSON.
pub(crate) const DEFAULT_FORMAT: &str = concat!(
    r#"{"requestId":"$context.requestId","ip":"$context.identity.sourceIp","#,
    r#""requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","path":"$context.path","#,
    r#""routeKey":"$context.routeKey","status":"$context.status","protocol":"$context.protocol","#,
    r#""responseLength":"$context.responseLength","responseLatency":"$context.responseLatency","#,
    r#""integrationStatus":"$context.integrationStatus","integrationLatency":"$context.integrationLatency","#,
    r#""apiId":"$context.apiId","stage":"$context.stage","error":"$context.error.message"}"#,
);

/// AWS's limit on a format.
pub(crate) const FORMAT_BYTES_MAX: usize = 3_000;

/// What is known of a finished request. Byte slices are as the peer sent them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRecord<'a> {
    pub(crate) request_id: &'a str,
    /// The same as `request_id` for HTTP APIs.
    pub(crate) extended_request_id: &'a str,
    /// When the request's first byte arrived, in milliseconds since 1970.
    pub(crate) request_time_ms: u64,
    pub(crate) http_method: &'a [u8],
    /// As requested, with the stage, without the query.
    pub(crate) path: &'a [u8],
    /// `HTTP/1.1`.
    pub(crate) protocol: &'a str,
    pub(crate) source_ip: IpAddr,
    pub(crate) user_agent: Option<&'a [u8]>,
    /// The host that the request named, without a port.
    pub(crate) domain_name: &'a [u8],
    pub(crate) account_id: &'a str,
    /// `None` where no API was found; likewise the following ones.
    pub(crate) api_id: Option<&'a str>,
    pub(crate) stage: Option<&'a str>,
    pub(crate) deployment_id: Option<&'a str>,
    /// The key of the mapping that a custom domain's request matched.
    pub(crate) base_path_matched: Option<&'a str>,
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
        "the access log format has {bytes} bytes, at most {FORMAT_BYTES_MAX} are allowed; log fewer variables"
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

/// What a peer's bytes must not break out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Markup {
    /// JSON, and CLF's quoted strings, which follow the same rules.
    Json,
    Xml,
}

impl AccessLogFormat {
    /// Line breaks at the end are taken off: each record gets exactly one.
    pub(crate) fn compile(format: &str) -> Result<Self, FormatError> {
        let format = format.trim_end_matches(['\n', '\r']);
        if format.trim().is_empty() {
            return Err(FormatError::Empty);
        }
        if format.len() > FORMAT_BYTES_MAX {
            return Err(FormatError::TooLong { bytes: format.len() });
        }
        if let Some(bytes) = format.find(['\n', '\r']) {
            return Err(FormatError::LineBreak { bytes });
        }
        let markup = if format.trim_start().starts_with('<') { Markup::Xml } else { Markup::Json };
        Ok(Self { parts: parse(format), markup })
    }

    /// Appends one line.
    pub(crate) fn render(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let mut line = Line { out, markup: self.markup };
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
    DomainName,
    DomainPrefix,
    AccountId,
    ApiId,
    Stage,
    DeploymentId,
    BasePathMatched,
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

impl Variable {
    fn named(name: &str) -> Self {
        match name {
            "requestId" => Self::RequestId,
            "extendedRequestId" => Self::ExtendedRequestId,
            "requestTime" => Self::RequestTime,
            "requestTimeEpoch" => Self::RequestTimeEpoch,
            "httpMethod" => Self::HttpMethod,
            "path" => Self::Path,
            "protocol" => Self::Protocol,
            "identity.sourceIp" => Self::SourceIp,
            "identity.userAgent" => Self::UserAgent,
            "domainName" => Self::DomainName,
            "domainPrefix" => Self::DomainPrefix,
            "accountId" => Self::AccountId,
            "apiId" => Self::ApiId,
            "stage" => Self::Stage,
            "deploymentId" => Self::DeploymentId,
            "customDomain.basePathMatched" => Self::BasePathMatched,
            "routeKey" => Self::RouteKey,
            "resourcePath" => Self::ResourcePath,
            "resourceId" => Self::ResourceId,
            "status" => Self::Status,
            "responseLength" => Self::ResponseLength,
            "responseLatency" => Self::ResponseLatency,
            "integrationStatus" | "integration.status" | "integration.integrationStatus" => {
                Self::IntegrationStatus
            }
            "integrationLatency" | "integration.latency" => Self::IntegrationLatency,
            "integrationErrorMessage" | "integration.error" => Self::IntegrationError,
            "error.message" => Self::ErrorMessage,
            "error.messageString" => Self::ErrorMessageString,
            "error.responseType" => Self::ErrorResponseType,
            _ => Self::Absent,
        }
    }
}

/// A line in the making.
struct Line<'o> {
    out: &'o mut Vec<u8>,
    markup: Markup,
}

impl Line<'_> {
    fn variable(&mut self, variable: Variable, record: &AccessRecord<'_>) {
        match variable {
            Variable::RequestId => self.text(record.request_id),
            Variable::ExtendedRequestId => self.text(record.extended_request_id),
            Variable::RequestTime => self.clf_time(record.request_time_ms / 1_000),
            Variable::RequestTimeEpoch => self.number(record.request_time_ms),
            Variable::HttpMethod => self.peer(record.http_method),
            Variable::Path => self.peer(record.path),
            Variable::Protocol => self.text(record.protocol),
            Variable::SourceIp => self.address(record.source_ip),
            Variable::UserAgent => self.peer(record.user_agent.unwrap_or_default()),
            Variable::DomainName => self.peer(record.domain_name),
            Variable::DomainPrefix => self.peer(first_label(record.domain_name)),
            Variable::AccountId => self.text(record.account_id),
            Variable::ApiId => self.text_or_dash(record.api_id),
            Variable::Stage => self.text_or_dash(record.stage),
            Variable::DeploymentId => self.text_or_dash(record.deployment_id),
            Variable::BasePathMatched => self.text_or_dash(record.base_path_matched),
            Variable::RouteKey => self.text_or_dash(record.route_key),
            Variable::ResourcePath => self.text_or_dash(record.resource_path),
            Variable::ResourceId => self.text_or_dash(record.resource_id),
            Variable::Status => self.number(u64::from(record.status)),
            Variable::ResponseLength => self.number(record.response_length),
            Variable::ResponseLatency => self.number(record.response_latency_ms),
            Variable::IntegrationStatus => self.number_or_dash(record.integration_status.map(u64::from)),
            Variable::IntegrationLatency => self.number_or_dash(record.integration_latency_ms),
            Variable::IntegrationError => self.text_or_dash(record.integration_error),
            Variable::ErrorMessage => self.text_or_dash(record.error_message),
            Variable::ErrorMessageString => self.quoted(record.error_message),
            Variable::ErrorResponseType => self.text_or_dash(record.error_response_type),
            Variable::Absent => self.dash(),
        }
    }

    fn dash(&mut self) {
        self.out.push(b'-');
    }

    fn number(&mut self, number: u64) {
        write!(self.out, "{number}").expect("writing to memory can't fail");
    }

    fn number_or_dash(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.dash(),
        }
    }

    fn address(&mut self, address: IpAddr) {
        write!(self.out, "{address}").expect("writing to memory can't fail");
    }

    fn text_or_dash(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    fn quoted(&mut self, text: Option<&str>) {
        self.out.push(b'"');
        self.text_or_dash(text);
        self.out.push(b'"');
    }

    /// What isn't UTF-8 becomes U+FFFD: neither JSON nor XML may hold it.
    fn peer(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.dash();
        }
        for chunk in bytes.utf8_chunks() {
            self.escaped(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) {
        match text {
            "" => self.dash(),
            text => self.escaped(text),
        }
    }

    fn escaped(&mut self, text: &str) {
        let mut plain_from = 0;
        for (at, character) in text.char_indices() {
            if !self.markup.is_special(character) {
                continue;
            }
            self.out.extend_from_slice(&text.as_bytes()[plain_from..at]);
            self.markup.escape(character, self.out);
            plain_from = at + character.len_utf8();
        }
        self.out.extend_from_slice(&text.as_bytes()[plain_from..]);
    }

    /// `dd/MMM/yyyy:HH:mm:ss +0000`
    fn clf_time(&mut self, unix_s: u64) {
        let (year, month, day) = civil_date(unix_s / 86_400);
        let (hour, minute, second) = (unix_s / 3_600 % 24, unix_s / 60 % 60, unix_s % 60);
        let month = MONTHS[month as usize - 1];
        write!(self.out, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
            .expect("writing to memory can't fail");
    }
}

impl Markup {
    fn is_special(self, character: char) -> bool {
        let breaks_line = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
        breaks_line
            || match self {
                Self::Json => matches!(character, '"' | '\\'),
                Self::Xml => matches!(character, '<' | '>' | '&' | '"' | '\''),
            }
    }

    fn escape(self, character: char, out: &mut Vec<u8>) {
        match (self, character) {
            (Self::Json, '"' | '\\') => out.extend_from_slice(&[b'\\', character as u8]),
            (Self::Json, _) => {
                write!(out, "\\u{:04x}", u32::from(character)).expect("writing to memory can't fail");
            }
            (Self::Xml, '<' | '>' | '&' | '"' | '\'' | '\t' | '\n' | '\r' | '\u{7f}'..) => {
                write!(out, "&#{};", u32::from(character)).expect("writing to memory can't fail");
            }
            // XML has no way to write the other control characters.
            (Self::Xml, _) => out.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn first_label(domain: &[u8]) -> &[u8] {
    domain.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Year, month and day of a day counted from 1970, in the Gregorian calendar. Years begin in March here, so
/// that the leap day is a year's last.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_MARCH_0000: u64 = 719_468;
    const DAYS_PER_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_MARCH_0000;
    let (era, day_of_era) = (days / DAYS_PER_400_YEARS, days % DAYS_PER_400_YEARS);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
