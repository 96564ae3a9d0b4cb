//! HTTP/1.1 without I/O: what a connection of the data plane knows about bytes; and of HTTP/2 what its library
//! doesn't know.
//!
//! The first step of a request's life (parse) and the last (respond) stand on it: [`RequestHead`] and
//! [`ResponseHead`] read heads out of a buffer, [`ChunkedDecoder`] checks a chunked body while it streams,
//! [`path::normalize`] gives router and upstream one spelling of a path, [`encode`] writes what is sent.
//!
//! Nothing here reads a socket or a clock, and nothing allocates per request once a head has been reused a few
//! times. What can be read in two ways is refused, never guessed (RFC 9110, RFC 9112): an error on a
//! request means answer with [`RequestError::status`] and close; an error on a response means 502 and drop
//! the upstream connection.

#![forbid(unsafe_code)]

pub mod encode;
pub mod path;

mod assemble;
mod chunked;
mod diagnose;
mod error;
mod fields;
mod forwarded;
mod frames;
mod grammar;
mod host;
mod limits;
mod name;
mod proxy_protocol;
mod request;
mod response;
mod scan;
mod span;
mod target;

pub use assemble::{AssembleError, RequestParts};
pub use chunked::{ChunkedDecoder, Step, is_forbidden_trailer};
pub use error::{ChunkError, RequestError, ResponseError};
pub use fields::Header;
pub use forwarded::{ForwardedElement, ForwardedElements, MalformedForwarded, x_forwarded_for};
pub use frames::{FrameKind, FrameMeter, FrameRates, GoawayReader};
pub use grammar::{is_field_value, is_token};
pub use host::host_name;
pub use limits::{ChunkLimits, HeadLimits};
pub use name::HeaderName;
pub use proxy_protocol::{
    PROXY_HEADER_BYTES_CEILING, PROXY_TEXT_BYTES_MAX, ProxiedEnds, ProxyError, ProxyProgress,
    parse_proxy_header,
};
pub use request::{Framing, Method, RequestHead};
pub use response::{ResponseFraming, ResponseHead};
pub use span::Span;

/// How far a parse came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head goes on beyond the buffer and is within its limits so far: read more, then parse again from
    /// the same first byte. The head's fields mean nothing yet.
    Partial,
    /// The head ends at `head_bytes`; what follows in the buffer is body, or the next message.
    Complete,
}

/// The protocol version of a message; any other is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
    /// Never parsed: of requests that [`RequestHead::assemble`] has written.
    Http2,
}
