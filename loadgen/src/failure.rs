//! How a request can fail, sorted into the kinds that the report counts.

use std::fmt;
use std::io;

use crate::check::Mismatch;
use crate::http2::ErrorCode;
use crate::reply::Malformed;
use crate::tls::TlsFailure;
use crate::websocket::{CloseCode, Refusal};

/// Order of the counters in a tally and of the lines in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connect,
    Tls,
    Reset,
    Timeout,
    Malformed,
    ClosedEarly,
    ShortBody,
    StreamReset,
    GoAway,
    Upgrade,
    WebSocketClosed,
    Unexpected,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Tls,
        Self::Reset,
        Self::Timeout,
        Self::Malformed,
        Self::ClosedEarly,
        Self::ShortBody,
        Self::StreamReset,
        Self::GoAway,
        Self::Upgrade,
        Self::WebSocketClosed,
        Self::Unexpected,
    ];

    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::ClosedEarly => "closed_early",
            Self::ShortBody => "short_body",
            Self::StreamReset => "stream_reset",
            Self::GoAway => "goaway",
            Self::Upgrade => "upgrade",
            Self::WebSocketClosed => "websocket_closed",
            Self::Unexpected => "unexpected",
        }
    }
}

/// One failed request.
#[derive(Debug)]
pub enum Failure {
    /// No connection could be opened.
    Connect(io::Error),
    /// The handshake failed, or the session broke later.
    Tls(TlsFailure),
    /// Sending or receiving failed on an open connection.
    Reset(io::Error),
    Timeout,
    Malformed(Malformed),
    /// The server closed before the reply's head, or any message of an open WebSocket, was complete.
    ClosedEarly,
    /// The server closed in the middle of the reply's body.
    ShortBody,
    /// HTTP/2: the server gave the request up (RST_STREAM).
    StreamReset(ErrorCode),
    /// HTTP/2: the server went away before it took the request, or in the middle of it.
    GoAway(ErrorCode),
    /// The server refused to open a WebSocket.
    Upgrade(Refusal),
    /// The server closed an open WebSocket.
    WebSocketClosed(CloseCode),
    /// A complete reply that doesn't pass these checks, or has not what is to be taken out of it; never none.
    Unexpected(Vec<Mismatch>),
}

impl Failure {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::Tls(_) => Kind::Tls,
            Self::Reset(_) => Kind::Reset,
            Self::Timeout => Kind::Timeout,
            Self::Malformed(_) => Kind::Malformed,
            Self::ClosedEarly => Kind::ClosedEarly,
            Self::ShortBody => Kind::ShortBody,
            Self::StreamReset(_) => Kind::StreamReset,
            Self::GoAway(_) => Kind::GoAway,
            Self::Upgrade(_) => Kind::Upgrade,
            Self::WebSocketClosed(_) => Kind::WebSocketClosed,
            Self::Unexpected(_) => Kind::Unexpected,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Tls(failure) => write!(f, "{failure}"),
            Self::Reset(error) => write!(f, "the connection broke: {error}"),
            Self::Timeout => f.write_str("no complete reply within --timeout"),
            Self::Malformed(reason) => write!(f, "{reason}"),
            Self::ClosedEarly => f.write_str("the server closed before it replied"),
            Self::ShortBody => f.write_str("the server closed in the middle of the reply's body"),
            Self::StreamReset(code) => write!(f, "the server reset the stream: {code}"),
            Self::GoAway(code) => write!(f, "the server went away: {code}"),
            Self::Upgrade(refusal) => write!(f, "the server opened no WebSocket: {refusal}"),
            Self::WebSocketClosed(code) => write!(f, "the server closed the WebSocket: {code}"),
            Self::Unexpected(missed) => match missed.as_slice() {
                [first, ..] => write!(f, "{first}"),
                [] => f.write_str("an unexpected reply"),
            },
        }
    }
}
