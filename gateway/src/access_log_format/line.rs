//! Writes values into a line so that none can end it, or leave the string that it stands in.

use std::io::Write as _;
use std::net::IpAddr;

use super::{AccessRecord, CertificateField, Variable};
use crate::tls::ClientCertificate;

/// A line in the making.
pub(super) struct Line<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) markup: Markup,
}

impl Line<'_> {
    /// The variable's value, or a dash where it has none.
    pub(super) fn variable(&mut self, variable: Variable, record: &AccessRecord<'_>) {
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
            Variable::ClientCertificate(field) => self.certificate(field, record.client_certificate),
            Variable::ApiKeyId => self.text_or_dash(record.api_key_id),
            Variable::DomainName => self.peer(record.domain_name),
            Variable::DomainPrefix => self.peer(first_label(record.domain_name)),
            Variable::AccountId => self.text(record.account_id),
            Variable::ApiId => self.text_or_dash(record.api_id),
            Variable::Stage => self.text_or_dash(record.stage),
            Variable::DeploymentId => self.text_or_dash(record.deployment_id),
            Variable::IsCanaryRequest => self.text_or_dash(record.canary.map(truth)),
            Variable::BasePathMatched => self.text_or_dash(record.base_path_matched),
            Variable::RoutingRuleMatched => self.text_or_dash(record.routing_rule_matched),
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

    fn certificate(&mut self, field: CertificateField, certificate: Option<&ClientCertificate>) {
        let Some(certificate) = certificate else { return self.dash() };
        match field {
            CertificateField::Pem => self.text(&certificate.pem()),
            CertificateField::SubjectDn => self.text(&certificate.subject_dn),
            CertificateField::IssuerDn => self.text(&certificate.issuer_dn),
            CertificateField::SerialNumber => self.text(&certificate.serial_number),
            CertificateField::NotBefore => self.text(&certificate.not_before),
            CertificateField::NotAfter => self.text(&certificate.not_after),
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

/// What a peer's bytes must not break out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    /// JSON, and CLF's quoted strings, which follow the same rules.
    Json,
    Xml,
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

fn truth(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn first_label(domain: &[u8]) -> &[u8] {
    domain.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Year, month and day (from 1) of a day counted from 1970, in the Gregorian calendar.
pub(super) fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_1600_TO_1970: u64 = 135_140;
    const DAYS_PER_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_1600_TO_1970;
    let (mut year, mut day) = (1_600 + days / DAYS_PER_400_YEARS * 400, days % DAYS_PER_400_YEARS);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while day >= days_of(month, year) {
        day -= days_of(month, year);
        month += 1;
    }
    (year, month, day + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(month: u64, year: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
