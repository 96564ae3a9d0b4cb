//! Refusals: every way in which a request isn't answered by its integration, and what the client is told.
//!
//! [`Refusal::terms`] is the one place that decides status, words and type. They are AWS's: REST APIs name the
//! error in `x-amzn-ErrorType` and answer with `x-amzn-RequestId`, HTTP APIs answer with `apigw-requestid`.
//! (AWS: gateway responses of REST APIs; error messages of HTTP APIs as observed.)

use turnpike_http::{ChunkError, Method, RequestError, Version, encode, path::PathError};
use turnpike_snapshot::Protocol;

use super::integrate::UpstreamFault;
use super::rate_limit;
use super::throttle::Throttled;
use super::unparsed::Unparsed;
use super::{Exchange, Record};
use crate::ids::RequestId;
use crate::quotas::QuotaRefusal;
use crate::shard::Shard;
use crate::stats::RefusalKind;
use crate::table::AddressError;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Request(RequestError),
    Path(PathError),
    Chunk(ChunkError),
    UpgradeNotSupported,
    BodyTooLarge,
    /// The body isn't in the coding that it is said to be in, or that can't be taken off.
    ContentCoding,
    /// `decompressions_max`
    Decompressions,
    ReadTimeout,
    /// HTTP without TLS came to a listener for HTTPS.
    NotTls,
    /// A mutual-TLS domain over a connection that was made for another.
    Misdirected,
    /// A mutual-TLS domain without TLS.
    CertificateDemanded,
    BodyTooSlow,
    Address(AddressError),
    RouteUnknown(Protocol),
    /// The route asks for what can't be done.
    RouteRefused(Protocol),
    /// No API key where one is required, or none that may use the stage.
    ApiKey(Protocol),
    /// `Cache-Control: max-age=0` without the permission, where the route refuses that.
    CacheInvalidation(Protocol),
    /// `Cache-Control: only-if-cached` (RFC 9111 5.2.1.7).
    NotCached(Protocol),
    ExchangesInFlight(Protocol),
    Throttled(Throttled, Protocol),
    Quota(QuotaRefusal, Protocol),
    Upstream(UpstreamFault, Protocol),
}

/// How a request ends without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused(Refusal),
    /// The client has part of an answer that can't be completed: the connection is reset.
    CutOff(UpstreamFault),
    ClientGone,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a refusal says.
#[derive(Debug, Clone, Copy)]
struct Terms {
    kind: RefusalKind,
    status: u16,
    message: &'static str,
    /// REST APIs' `x-amzn-ErrorType`.
    error_type: &'static str,
    /// The gateway response's type, for logs.
    response_type: &'static str,
    /// Whose form the reply has; `None` where no API was found.
    protocol: Option<Protocol>,
}

impl Refusal {
    /// Whether what follows on the connection can't be trusted or isn't wanted.
    pub(super) fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::Request(_)
                | Self::Path(_)
                | Self::Chunk(_)
                | Self::BodyTooLarge
                | Self::ReadTimeout
                | Self::BodyTooSlow
        )
    }

    fn terms(self) -> Terms {
        use Protocol::{Http, Rest};
        match self {
            Self::Request(error) => request_terms(error),
            Self::Path(error) => bad_request(RefusalKind::Malformed, error.status(), error.reason()),
            Self::Chunk(error) => {
                let too_large = error == ChunkError::TrailersTooLarge;
                let kind = if too_large { RefusalKind::HeaderTooLarge } else { RefusalKind::Malformed };
                bad_request(kind, error.status(), error.reason())
            }
            Self::UpgradeNotSupported => bad_request(
                RefusalKind::Unsupported,
                400,
                "This API does not support the protocol that Upgrade names",
            ),
            Self::BodyTooLarge => Terms {
                kind: RefusalKind::BodyTooLarge,
                status: 413,
                message: "Request Too Long",
                error_type: "RequestTooLargeException",
                response_type: "REQUEST_TOO_LARGE",
                protocol: None,
            },
            Self::ContentCoding => Terms {
                response_type: "UNSUPPORTED_MEDIA_TYPE",
                ..bad_request(RefusalKind::ContentCoding, 415, "Unsupported Media Type")
            },
            Self::Decompressions => {
                Terms { protocol: None, ..unavailable(RefusalKind::Decompressions, Rest) }
            }
            Self::ReadTimeout => bad_request(RefusalKind::ReadTimeout, 408, "Request Timeout"),
            Self::NotTls => bad_request(
                RefusalKind::Malformed,
                400,
                "The plain HTTP request was sent to a port for HTTPS",
            ),
            Self::Misdirected => Terms {
                kind: RefusalKind::ClientCertificate,
                status: 421,
                message: "Misdirected Request",
                error_type: "ForbiddenException",
                response_type: "ACCESS_DENIED",
                protocol: None,
            },
            Self::CertificateDemanded => Terms { kind: RefusalKind::ClientCertificate, ..forbidden(None) },
            Self::BodyTooSlow => bad_request(RefusalKind::BodyTooSlow, 408, "Request Timeout"),
            Self::Address(AddressError::ApiUnknown) => forbidden(None),
            Self::Address(AddressError::StageUnknown(Rest) | AddressError::EndpointDisabled(Rest)) => {
                forbidden(Some(Rest))
            }
            Self::Address(AddressError::StageUnknown(Http) | AddressError::EndpointDisabled(Http)) => {
                not_found(RefusalKind::ApiUnknown)
            }
            Self::RouteUnknown(Http) => not_found(RefusalKind::RouteUnknown),
            Self::RouteUnknown(Rest) => Terms {
                kind: RefusalKind::RouteUnknown,
                status: 403,
                message: "Missing Authentication Token",
                error_type: "MissingAuthenticationTokenException",
                response_type: "MISSING_AUTHENTICATION_TOKEN",
                protocol: Some(Rest),
            },
            Self::RouteRefused(protocol) => Terms {
                kind: RefusalKind::RouteRefused,
                status: 500,
                message: match protocol {
                    Rest => "Internal server error",
                    Http => "Internal Server Error",
                },
                error_type: "InternalServerErrorException",
                response_type: "DEFAULT_5XX",
                protocol: Some(protocol),
            },
            Self::ApiKey(protocol) => Terms {
                kind: RefusalKind::ApiKey,
                response_type: "INVALID_API_KEY",
                ..forbidden(Some(protocol))
            },
            Self::CacheInvalidation(protocol) => {
                Terms { kind: RefusalKind::CacheInvalidation, ..forbidden(Some(protocol)) }
            }
            Self::NotCached(protocol) => Terms {
                kind: RefusalKind::NotCached,
                status: 504,
                message: "Not cached",
                error_type: "InternalServerErrorException",
                response_type: "DEFAULT_5XX",
                protocol: Some(protocol),
            },
            Self::ExchangesInFlight(protocol) => too_many(RefusalKind::ExchangesInFlight, protocol),
            Self::Throttled(throttled, protocol) => too_many(throttled.kind(), protocol),
            Self::Quota(QuotaRefusal::UsedUp, protocol) => Terms {
                message: "Limit Exceeded",
                error_type: "LimitExceededException",
                response_type: "QUOTA_EXCEEDED",
                ..too_many(RefusalKind::QuotaExceeded, protocol)
            },
            Self::Quota(QuotaRefusal::Unknown, protocol) => unavailable(RefusalKind::QuotaUnknown, protocol),
            Self::Quota(QuotaRefusal::Crowded, protocol) => unavailable(RefusalKind::QuotaCrowded, protocol),
            Self::Upstream(fault, protocol) => upstream_terms(fault, protocol),
        }
    }
}

fn request_terms(error: RequestError) -> Terms {
    let kind = match error.status() {
        414 => RefusalKind::StartLineTooLong,
        431 => RefusalKind::HeaderTooLarge,
        417 | 501 | 505 => RefusalKind::Unsupported,
        _ => RefusalKind::Malformed,
    };
    bad_request(kind, error.status(), error.reason())
}

fn bad_request(kind: RefusalKind, status: u16, message: &'static str) -> Terms {
    let (error_type, response_type) = ("BadRequestException", "DEFAULT_4XX");
    Terms { kind, status, message, error_type, response_type, protocol: None }
}

fn forbidden(protocol: Option<Protocol>) -> Terms {
    Terms {
        kind: RefusalKind::ApiUnknown,
        status: 403,
        message: "Forbidden",
        error_type: "ForbiddenException",
        response_type: "ACCESS_DENIED",
        protocol,
    }
}

fn too_many(kind: RefusalKind, protocol: Protocol) -> Terms {
    Terms {
        kind,
        status: 429,
        message: "Too Many Requests",
        error_type: "TooManyRequestsException",
        response_type: "THROTTLED",
        protocol: Some(protocol),
    }
}

fn unavailable(kind: RefusalKind, protocol: Protocol) -> Terms {
    Terms {
        kind,
        status: 503,
        message: "Service Unavailable",
        error_type: "ServiceUnavailableException",
        response_type: "DEFAULT_5XX",
        protocol: Some(protocol),
    }
}

fn not_found(kind: RefusalKind) -> Terms {
    Terms {
        kind,
        status: 404,
        message: "Not Found",
        error_type: "NotFoundException",
        response_type: "RESOURCE_NOT_FOUND",
        protocol: Some(Protocol::Http),
    }
}

fn upstream_terms(fault: UpstreamFault, protocol: Protocol) -> Terms {
    use Protocol::{Http, Rest};
    use UpstreamFault as Fault;
    let (status, message) = match (protocol, fault) {
        (Rest, Fault::TimedOut) => (504, "Endpoint request timed out"),
        (Rest, Fault::Unresolved | Fault::Connect | Fault::Tls(_) | Fault::Closed) => {
            (504, "Network error communicating with endpoint")
        }
        (Rest, Fault::Malformed) => (502, "Internal server error"),
        (Http, Fault::TimedOut) => (504, "Gateway Timeout"),
        (Http, Fault::Closed | Fault::Malformed) => (502, "Bad Gateway"),
        (Http, Fault::Unresolved | Fault::Connect | Fault::Tls(_))
        | (_, Fault::TooManyConnections | Fault::NoTarget | Fault::CircuitOpen) => {
            (503, "Service Unavailable")
        }
    };
    let (error_type, response_type) = match fault {
        Fault::TimedOut => ("InternalServerErrorException", "INTEGRATION_TIMEOUT"),
        Fault::TooManyConnections | Fault::NoTarget | Fault::CircuitOpen => {
            ("ServiceUnavailableException", "DEFAULT_5XX")
        }
        _ => ("InternalServerErrorException", "INTEGRATION_FAILURE"),
    };
    Terms { kind: fault.kind(), status, message, error_type, response_type, protocol: Some(protocol) }
}

/// The reply to a request that was parsed, in a buffer of the shard's.
pub(super) fn reply(
    exchange: &Exchange<'_>,
    refusal: Refusal,
    kept: bool,
    record: &mut Record<'_>,
) -> Vec<u8> {
    let mut terms = refusal.terms();
    terms.protocol = terms.protocol.or(record.stage.map(|stage| stage.protocol));
    record.refused(terms.kind, terms.status, terms.message, terms.response_type, exchange);
    if let Refusal::Upstream(fault, _) = refusal {
        record.upstream_detail = fault.detail();
    }
    let mut out = exchange.shard.buffers.small();
    encode_head(&terms, exchange.id, exchange.shard, &mut out);
    if let Refusal::Throttled(throttled, _) = refusal
        && exchange.shard.settings.rate_limit_fields
    {
        rate_limit::encode(exchange, throttled, record, &mut out);
    }
    encode_connection(kept, exchange.head.version, &mut out);
    out.extend_from_slice(b"\r\n");
    if exchange.head.method != Method::Head {
        let before = out.len();
        encode_body(&terms, &mut out);
        record.body_bytes_out += (out.len() - before) as u64;
    }
    record.bytes_out += out.len() as u64;
    out
}

/// The reply to a request that couldn't be parsed; it ends the connection.
pub(crate) fn unparsed_reply(shard: &Shard, refusal: Refusal, unparsed: &Unparsed<'_>) -> Vec<u8> {
    let terms = refusal.terms();
    let id = shard.ids.next();
    let mut out = shard.buffers.small();
    encode_head(&terms, id, shard, &mut out);
    encode_connection(false, Version::Http11, &mut out);
    out.extend_from_slice(b"\r\n");
    encode_body(&terms, &mut out);
    let mut stats = shard.stats.borrow_mut();
    stats.counters.refusals.count(terms.kind);
    stats.counters.bytes_in_total += unparsed.bytes.len() as u64;
    stats.counters.bytes_out_total += out.len() as u64;
    stats.record_without_stage();
    drop(stats);
    unparsed.log(shard, id, terms.status, terms.message, terms.response_type, body_bytes(&terms) as u64);
    out
}

fn encode_head(terms: &Terms, id: RequestId, shard: &Shard, out: &mut Vec<u8>) {
    encode::status_line(out, terms.status);
    encode::date(out, &shard.date());
    encode::header(out, "Content-Type", b"application/json");
    encode::content_length(out, body_bytes(terms) as u64);
    if terms.protocol != Some(Protocol::Http) {
        encode::header(out, "x-amzn-ErrorType", terms.error_type.as_bytes());
    }
    encode_ids(terms.protocol, id, out);
}

/// The request's id, where AWS puts it.
pub(super) fn encode_ids(protocol: Option<Protocol>, id: RequestId, out: &mut Vec<u8>) {
    match protocol {
        // In one piece: most answers have it.
        Some(Protocol::Http) => {
            let mut line = *b"apigw-requestid: 000000000000000=\r\n";
            line[17..33].copy_from_slice(&id.short());
            out.extend_from_slice(&line);
        }
        Some(Protocol::Rest) => {
            let mut lines = *b"x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\n\
                x-amz-apigw-id: 000000000000000=\r\n";
            lines[18..54].copy_from_slice(&id.uuid());
            lines[72..88].copy_from_slice(&id.short());
            out.extend_from_slice(&lines);
        }
        None => encode::header(out, "x-amzn-RequestId", &id.uuid()),
    }
}

/// RFC 9112 9.3: said only where it isn't the version's default.
pub(super) fn encode_connection(kept: bool, version: Version, out: &mut Vec<u8>) {
    match (kept, version) {
        (_, Version::Http2) => {}
        (false, _) => encode::header(out, "Connection", b"close"),
        (true, Version::Http10) => encode::header(out, "Connection", b"keep-alive"),
        (true, Version::Http11) => {}
    }
}

const BODY_BEFORE: &[u8] = b"{\"message\":\"";
const BODY_AFTER: &[u8] = b"\"}";

fn body_bytes(terms: &Terms) -> usize {
    BODY_BEFORE.len() + terms.message.len() + BODY_AFTER.len()
}

/// The messages are the gateway's own and need no escapes.
fn encode_body(terms: &Terms, out: &mut Vec<u8>) {
    out.extend_from_slice(BODY_BEFORE);
    out.extend_from_slice(terms.message.as_bytes());
    out.extend_from_slice(BODY_AFTER);
}
