//! Why a message is refused. Small and `Copy`; reasons are fixed texts and never repeat a peer's bytes.

use std::fmt;

/// What is wrong with a head, requests and responses alike; each side's public error names it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFault {
    Malformed,
    BareCr,
    BareLf,
    ObsFold,
    SpaceBeforeColon,
    Nul,
    InvalidHeaderName,
    InvalidHeaderValue,
    InvalidContentLength,
    ConflictingContentLength,
    LengthWithTransferCoding,
    InvalidTransferCoding,
    UnsupportedTransferCoding,
    TransferEncodingInHttp10,
    InvalidConnection,
    ProtectedConnectionOption,
    StartLineTooLong,
    FieldsTooLarge,
    VersionNotSupported,
}

/// Why a request is refused. Whichever it is: answer with [`Self::status`] and close, since where the next
/// request would begin is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// 400: The request line is not `method SP target SP version` (RFC 9112 3), or more than one empty line
    /// comes before it (2.2).
    Malformed,
    /// 400: A CR without its LF (RFC 9112 2.2).
    BareCr,
    /// 400: A line ends in LF alone; RFC 9112 2.2 lets a recipient accept it, which is how heads get split.
    BareLf,
    /// 400: A header value goes on in the next line (RFC 9112 5.2).
    ObsFold,
    /// 400: Whitespace between a field name and its colon (RFC 9112 5.1).
    SpaceBeforeColon,
    /// 400: A NUL byte in the head (RFC 9110 5.5).
    Nul,
    /// 400: A field name is empty or not a token, or a line has no colon (RFC 9110 5.1).
    InvalidHeaderName,
    /// 400: A control character other than HTAB in a field value (RFC 9110 5.5).
    InvalidHeaderValue,
    /// 400: HTTP/1.1 without `Host` (RFC 9112 3.2).
    MissingHost,
    /// 400: `Host` more than once (RFC 9112 3.2).
    DuplicateHost,
    /// 400: `Host` is empty or no host with an optional port (RFC 9112 3.2, RFC 3986 3.2.2); see
    /// [`crate::host_name`] for what is accepted.
    InvalidHost,
    /// 400: The target has none of the forms of RFC 9112 3.2, a fragment, user information (RFC 9110
    /// 4.2.4), or bytes outside of 0x21 to 0x7e; `*` is for OPTIONS only.
    InvalidTarget,
    /// 400: `Content-Length` isn't one decimal that fits 64 bits (RFC 9112 6.3).
    InvalidContentLength,
    /// 400: More than one `Content-Length`, in lines or as a list, equal ones included (RFC 9112 6.3).
    ConflictingContentLength,
    /// 400: Both `Content-Length` and `Transfer-Encoding` (RFC 9112 6.1, 6.3).
    LengthWithTransferCoding,
    /// 400: `Transfer-Encoding` comes twice, is no list of tokens, doesn't end in `chunked` or has it twice
    /// (RFC 9112 6.3).
    InvalidTransferCoding,
    /// 501: A coding under `chunked`, which RFC 9112 6.1 answers with 501.
    UnsupportedTransferCoding,
    /// 400: `Transfer-Encoding` in HTTP/1.0, whose framing RFC 9112 6.1 calls faulty.
    TransferEncodingInHttp10,
    /// 400: A field that is called `Content-Length` or `Transfer-Encoding` but for an underscore, which CGI takes for
    /// either.
    FramingLookalike,
    /// 400: `Connection` is no list of tokens, or has more than 32 (RFC 9110 7.6.1).
    InvalidConnection,
    /// 400: `Connection` names a field that is meant for every recipient; see
    /// [`crate::HeaderName::is_end_to_end`] (RFC 9110 7.6.1).
    ProtectedConnectionOption,
    /// 400: Chunked coding, or a trailer, is wrong; the chunk error says how (RFC 9112 7.1).
    Chunk(ChunkError),
    /// 414: The request line is over its limit (RFC 9112 3, RFC 9110 15.5.15).
    UriTooLong,
    /// 431: More header bytes or lines than allowed (RFC 6585 5).
    HeaderFieldsTooLarge,
    /// 505: Neither HTTP/1.0 nor HTTP/1.1, HTTP/2's preface included (RFC 9110 15.6.6).
    VersionNotSupported,
    /// 417: An expectation other than `100-continue` (RFC 9110 10.1.1).
    ExpectationFailed,
    /// 501: CONNECT: a gateway has no resource that it applies to, and 405 would have to list what a
    /// resource allows (RFC 9110 9.1, 9.3.6, 15.6.2).
    ConnectNotSupported,
}

impl RequestError {
    pub fn status(self) -> u16 {
        match self {
            Self::UriTooLong => 414,
            Self::ExpectationFailed => 417,
            Self::HeaderFieldsTooLarge => 431,
            Self::UnsupportedTransferCoding | Self::ConnectNotSupported => 501,
            Self::VersionNotSupported => 505,
            Self::Chunk(error) => error.status(),
            Self::Malformed
            | Self::BareCr
            | Self::BareLf
            | Self::ObsFold
            | Self::SpaceBeforeColon
            | Self::Nul
            | Self::InvalidHeaderName
            | Self::InvalidHeaderValue
            | Self::MissingHost
            | Self::DuplicateHost
            | Self::InvalidHost
            | Self::InvalidTarget
            | Self::InvalidContentLength
            | Self::ConflictingContentLength
            | Self::LengthWithTransferCoding
            | Self::InvalidTransferCoding
            | Self::TransferEncodingInHttp10
            | Self::FramingLookalike
            | Self::InvalidConnection
            | Self::ProtectedConnectionOption => 400,
        }
    }

    /// One line for the reply's body and the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "request line is not 'method target HTTP/1.1'",
            Self::BareCr => "carriage return without line feed in the head",
            Self::BareLf => "line ends in a line feed without carriage return",
            Self::ObsFold => "header value continues on the next line (obs-fold)",
            Self::SpaceBeforeColon => "whitespace between header name and colon",
            Self::Nul => "NUL byte in the head",
            Self::InvalidHeaderName => "header name is empty or has an invalid character",
            Self::InvalidHeaderValue => "header value has a control character",
            Self::MissingHost => "HTTP/1.1 request without Host header",
            Self::DuplicateHost => "more than one Host header",
            Self::InvalidHost => "host is not a name or address with an optional port",
            Self::InvalidTarget => "request target is not a valid path, http URL, or '*' for OPTIONS",
            Self::InvalidContentLength => "Content-Length is not a decimal number",
            Self::ConflictingContentLength => "more than one Content-Length",
            Self::LengthWithTransferCoding => "both Content-Length and Transfer-Encoding",
            Self::InvalidTransferCoding => "Transfer-Encoding is not exactly 'chunked'",
            Self::UnsupportedTransferCoding => "transfer coding other than 'chunked' is not supported",
            Self::TransferEncodingInHttp10 => "Transfer-Encoding in an HTTP/1.0 request",
            Self::FramingLookalike => "header name is Content-Length or Transfer-Encoding with an underscore",
            Self::InvalidConnection => "Connection header is not a short list of tokens",
            Self::ProtectedConnectionOption => "Connection header names an end-to-end header",
            Self::Chunk(error) => error.reason(),
            Self::UriTooLong => "request line is longer than the limit",
            Self::HeaderFieldsTooLarge => "headers are larger or more than the limit",
            Self::VersionNotSupported => "only HTTP/1.0 and HTTP/1.1 are supported here",
            Self::ExpectationFailed => "only the expectation '100-continue' is supported",
            Self::ConnectNotSupported => "CONNECT is not supported",
        }
    }
}

impl From<HeadFault> for RequestError {
    fn from(fault: HeadFault) -> Self {
        match fault {
            HeadFault::Malformed => Self::Malformed,
            HeadFault::BareCr => Self::BareCr,
            HeadFault::BareLf => Self::BareLf,
            HeadFault::ObsFold => Self::ObsFold,
            HeadFault::SpaceBeforeColon => Self::SpaceBeforeColon,
            HeadFault::Nul => Self::Nul,
            HeadFault::InvalidHeaderName => Self::InvalidHeaderName,
            HeadFault::InvalidHeaderValue => Self::InvalidHeaderValue,
            HeadFault::InvalidContentLength => Self::InvalidContentLength,
            HeadFault::ConflictingContentLength => Self::ConflictingContentLength,
            HeadFault::LengthWithTransferCoding => Self::LengthWithTransferCoding,
            HeadFault::InvalidTransferCoding => Self::InvalidTransferCoding,
            HeadFault::UnsupportedTransferCoding => Self::UnsupportedTransferCoding,
            HeadFault::TransferEncodingInHttp10 => Self::TransferEncodingInHttp10,
            HeadFault::InvalidConnection => Self::InvalidConnection,
            HeadFault::ProtectedConnectionOption => Self::ProtectedConnectionOption,
            HeadFault::StartLineTooLong => Self::UriTooLong,
            HeadFault::FieldsTooLarge => Self::HeaderFieldsTooLarge,
            HeadFault::VersionNotSupported => Self::VersionNotSupported,
        }
    }
}

impl From<ChunkError> for RequestError {
    fn from(error: ChunkError) -> Self {
        Self::Chunk(error)
    }
}

/// Why a response is refused. The client gets 502 and the upstream connection is dropped, not pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The status line is not `version SP status [SP reason]` (RFC 9112 4).
    Malformed,
    /// A status outside of 100 to 599 (RFC 9110 15).
    InvalidStatus,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
    /// A CR without its LF (RFC 9112 2.2).
    BareCr,
    /// A line ends in LF alone (RFC 9112 2.2).
    BareLf,
    /// A header value goes on in the next line (RFC 9112 5.2).
    ObsFold,
    /// Whitespace between a field name and its colon (RFC 9112 5.1).
    SpaceBeforeColon,
    /// A NUL byte in the head (RFC 9110 5.5).
    Nul,
    /// A field name is empty or not a token, or a line has no colon (RFC 9110 5.1).
    InvalidHeaderName,
    /// A control character other than HTAB in a field value or the reason (RFC 9110 5.5).
    InvalidHeaderValue,
    /// `Content-Length` isn't one decimal that fits 64 bits (RFC 9112 6.3).
    InvalidContentLength,
    /// More than one `Content-Length`, equal ones included (RFC 9112 6.3).
    ConflictingContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 6.3).
    LengthWithTransferCoding,
    /// `Transfer-Encoding` that is not exactly `chunked`, well-formed or not (RFC 9112 6.1, 6.3).
    InvalidTransferCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 6.1).
    TransferEncodingInHttp10,
    /// A 1xx or 204 that declares a body, which it can't have: whether bytes follow is anyone's guess
    /// (RFC 9110 8.6, RFC 9112 6.1).
    BodyNotAllowed,
    /// `Connection` is no list of tokens, or has more than 32 (RFC 9110 7.6.1).
    InvalidConnection,
    /// `Connection` names a field that is meant for every recipient (RFC 9110 7.6.1).
    ProtectedConnectionOption,
    /// The status line is over its limit.
    StatusLineTooLong,
    /// More header bytes or lines than allowed.
    HeaderFieldsTooLarge,
    /// Chunked coding, or a trailer, is wrong; the chunk error says how (RFC 9112 7.1).
    Chunk(ChunkError),
}

impl ResponseError {
    /// What the client is told: always 502 (RFC 9110 15.6.3).
    pub fn status(self) -> u16 {
        502
    }

    /// One line for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "upstream's status line is malformed",
            Self::InvalidStatus => "upstream's status is outside of 100 to 599",
            Self::VersionNotSupported => "upstream answered neither HTTP/1.0 nor HTTP/1.1",
            Self::BareCr => "carriage return without line feed in the upstream's head",
            Self::BareLf => "line of the upstream's head ends in a line feed without carriage return",
            Self::ObsFold => "upstream's header value continues on the next line (obs-fold)",
            Self::SpaceBeforeColon => "whitespace between the upstream's header name and colon",
            Self::Nul => "NUL byte in the upstream's head",
            Self::InvalidHeaderName => "upstream's header name is empty or has an invalid character",
            Self::InvalidHeaderValue => "upstream's header value has a control character",
            Self::InvalidContentLength => "upstream's Content-Length is not a decimal number",
            Self::ConflictingContentLength => "upstream sent more than one Content-Length",
            Self::LengthWithTransferCoding => "upstream sent both Content-Length and Transfer-Encoding",
            Self::InvalidTransferCoding => "upstream's Transfer-Encoding is not exactly 'chunked'",
            Self::TransferEncodingInHttp10 => "upstream sent Transfer-Encoding in an HTTP/1.0 response",
            Self::BodyNotAllowed => "upstream declared a body for a status that has none",
            Self::InvalidConnection => "upstream's Connection header is not a short list of tokens",
            Self::ProtectedConnectionOption => "upstream's Connection header names an end-to-end header",
            Self::StatusLineTooLong => "upstream's status line is longer than the limit",
            Self::HeaderFieldsTooLarge => "upstream's headers are larger or more than the limit",
            Self::Chunk(error) => error.reason(),
        }
    }
}

impl From<HeadFault> for ResponseError {
    fn from(fault: HeadFault) -> Self {
        match fault {
            HeadFault::Malformed => Self::Malformed,
            HeadFault::BareCr => Self::BareCr,
            HeadFault::BareLf => Self::BareLf,
            HeadFault::ObsFold => Self::ObsFold,
            HeadFault::SpaceBeforeColon => Self::SpaceBeforeColon,
            HeadFault::Nul => Self::Nul,
            HeadFault::InvalidHeaderName => Self::InvalidHeaderName,
            HeadFault::InvalidHeaderValue => Self::InvalidHeaderValue,
            HeadFault::InvalidContentLength => Self::InvalidContentLength,
            HeadFault::ConflictingContentLength => Self::ConflictingContentLength,
            HeadFault::LengthWithTransferCoding => Self::LengthWithTransferCoding,
            HeadFault::InvalidTransferCoding | HeadFault::UnsupportedTransferCoding => {
                Self::InvalidTransferCoding
            }
            HeadFault::TransferEncodingInHttp10 => Self::TransferEncodingInHttp10,
            HeadFault::InvalidConnection => Self::InvalidConnection,
            HeadFault::ProtectedConnectionOption => Self::ProtectedConnectionOption,
            HeadFault::StartLineTooLong => Self::StatusLineTooLong,
            HeadFault::FieldsTooLarge => Self::HeaderFieldsTooLarge,
            HeadFault::VersionNotSupported => Self::VersionNotSupported,
        }
    }
}

impl From<ChunkError> for ResponseError {
    fn from(error: ChunkError) -> Self {
        Self::Chunk(error)
    }
}

/// Why a chunked body is refused (RFC 9112 7.1). The message can't be completed: close both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The chunk size is not 1 to 16 hexadecimal digits, directly at the line's start and followed by CRLF or `;`.
    InvalidSize,
    /// A control character in a chunk extension.
    InvalidExtension,
    /// The chunk-size line is over its limit.
    LineTooLong,
    /// The chunk extensions of a body are more than allowed together.
    ExtensionsTooLarge,
    /// A CR without its LF.
    BareCr,
    /// A LF without its CR.
    BareLf,
    /// The chunk's data isn't followed by CRLF: it is longer than its size says.
    MissingDataEnd,
    /// A trailer line is no `name: value`, or continues the line before.
    InvalidTrailer,
    /// A trailer field that matters to framing, routing, authentication or the connection (RFC 9110 6.5.1).
    ForbiddenTrailer,
    /// More trailer bytes or lines than allowed.
    TrailersTooLarge,
}

impl ChunkError {
    /// For a request's body; a response's is a 502 whatever it is.
    pub fn status(self) -> u16 {
        match self {
            Self::TrailersTooLarge => 431,
            Self::InvalidSize
            | Self::InvalidExtension
            | Self::LineTooLong
            | Self::ExtensionsTooLarge
            | Self::BareCr
            | Self::BareLf
            | Self::MissingDataEnd
            | Self::InvalidTrailer
            | Self::ForbiddenTrailer => 400,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidSize => "chunk size is not 1 to 16 hexadecimal digits",
            Self::InvalidExtension => "chunk extension has a control character",
            Self::LineTooLong => "chunk size line is longer than the limit",
            Self::ExtensionsTooLarge => "chunk extensions are larger than the limit",
            Self::BareCr => "carriage return without line feed in chunked coding",
            Self::BareLf => "line feed without carriage return in chunked coding",
            Self::MissingDataEnd => "chunk data is not followed by CRLF",
            Self::InvalidTrailer => "trailer line is malformed",
            Self::ForbiddenTrailer => "trailer field is not allowed after a body",
            Self::TrailersTooLarge => "trailers are larger or more than the limit",
        }
    }
}

macro_rules! errors_by_reason {
    ($($error:ty),*) => {$(
        impl fmt::Display for $error {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.reason())
            }
        }

        impl std::error::Error for $error {}
    )*};
}

errors_by_reason!(RequestError, ResponseError, ChunkError, crate::path::PathError);
