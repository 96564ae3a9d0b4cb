//! Writes values into a line so that none can end it, or leave the string that it stands in.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use turnpike_http::encode::decimal;
use turnpike_http::host_name;

use super::{AccessRecord, CertificateField, ClfTimes, Variable};
use crate::tls::ClientCertificate;

/// A line in the making.
pub(super) struct Line<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) markup: Markup,
    pub(super) times: &'o ClfTimes,
}

impl Line<'_> {
    /// The variable's value, or a dash where it has none.
    pub(super) fn variable(&mut self, variable: Variable, record: &AccessRecord<'_>) {
        match variable {
            Variable::RequestId if record.is_rest => self.out.extend_from_slice(&record.id.uuid()),
            Variable::RequestId | Variable::ExtendedRequestId => {
                self.out.extend_from_slice(&record.id.short());
            }
            Variable::RequestTime => {
                self.out.extend_from_slice(&self.times.at(record.request_time_ms / 1_000));
            }
            Variable::RequestTimeEpoch => self.number(record.request_time_ms),
            Variable::HttpMethod => self.peer(record.http_method),
            Variable::Path => self.peer(record.path),
            Variable::Protocol => self.text(record.protocol),
            Variable::SourceIp => self.address(record.source_ip),
            Variable::UserAgent => self.peer(record.user_agent.unwrap_or_default()),
            Variable::ClientCertificate(field) => self.certificate(field, record.client_certificate),
            Variable::ApiKeyId => self.text_or_dash(record.api_key_id),
            Variable::DomainName => self.peer(host_name(record.host)),
            Variable::DomainPrefix => self.peer(first_label(host_name(record.host))),
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
        match u16::try_from(number) {
            // Statuses, and most latencies.
            Ok(number) if number < 1_000 => {
                let (digits, leading) = three_digits(number);
                digits[leading..].iter().for_each(|digit| self.out.push(*digit));
            }
            _ => decimal(self.out, number),
        }
    }

    fn number_or_dash(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.dash(),
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                let (text, bytes) = dotted(address);
                self.out.extend_from_slice(&text[..bytes]);
            }
            IpAddr::V6(address) => write!(self.out, "{address}").expect("writing to memory can't fail"),
        }
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
        if self.markup.is_plain(bytes) {
            return self.out.extend_from_slice(bytes);
        }
        for chunk in bytes.utf8_chunks() {
            self.escaped(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            self.dash();
        } else if self.markup.is_plain(text.as_bytes()) {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            self.escaped(text);
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
}

/// What a peer's bytes must not break out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    /// JSON, and CLF's quoted strings, which follow the same rules.
    Json,
    Xml,
}

impl Markup {
    /// Whether these are bytes of ASCII that stand for themselves, as nearly all are: told without a branch for each.
    fn is_plain(self, bytes: &[u8]) -> bool {
        let specials = bytes.iter().fold(0, |found, byte| found | SPECIALS[usize::from(*byte)]);
        specials & self.bit() == 0
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn is_special_ascii(self, byte: u8) -> bool {
        match self {
            Self::Json => matches!(byte, b'"' | b'\\'),
            Self::Xml => matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\''),
        }
    }

    fn is_special(self, character: char) -> bool {
        let breaks_line = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
        breaks_line || u8::try_from(character).is_ok_and(|byte| self.is_special_ascii(byte))
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

/// For each byte, a bit for each markup in which it doesn't stand for itself, or isn't ASCII.
const SPECIALS: [u8; 256] = specials();

const fn specials() -> [u8; 256] {
    let mut table = [Markup::Json.bit() | Markup::Xml.bit(); 256];
    let mut byte = b' ';
    while byte < 0x7f {
        let (json, xml) = (Markup::Json.is_special_ascii(byte), Markup::Xml.is_special_ascii(byte));
        table[byte as usize] = (json as u8 * Markup::Json.bit()) | (xml as u8 * Markup::Xml.bit());
        byte += 1;
    }
    table
}

/// A number below 1,000, and how many zeros it begins with; 0 itself is one digit.
fn three_digits(number: u16) -> ([u8; 3], usize) {
    let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8);
    (digits, usize::from(number < 100) + usize::from(number < 10))
}

/// An address as text, and its length.
fn dotted(address: Ipv4Addr) -> ([u8; 15], usize) {
    let (mut text, mut end) = ([b'.'; 15], 0);
    for octet in address.octets() {
        let (digits, leading) = three_digits(octet.into());
        let significant = &digits[leading..];
        text[end..end + significant.len()].copy_from_slice(significant);
        // And the dot after them.
        end += significant.len() + 1;
    }
    (text, end - 1)
}

fn truth(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn first_label(domain: &[u8]) -> &[u8] {
    domain.split(|byte| *byte == b'.').next().unwrap_or_default()
}
