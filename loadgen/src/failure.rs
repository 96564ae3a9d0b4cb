//! How a request can fail, sorted into the kinds that the report counts.

use std::fmt;
use std::io;

use crate::check::Mismatch;
use crate::reply::Malformed;
use crate::tls::TlsFailure;

/// Order of the counters in a tally and of the lines in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connect,
    Tls,
    Reset,
    Timeout,
    Malformed,
    ClosedEarly,
    Unexpected,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Tls,
        Self::Reset,
        Self::Timeout,
        Self::Malformed,
        Self::ClosedEarly,
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
    /// The server closed before the reply was complete.
    ClosedEarly,
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
            Self::ClosedEarly => f.write_str("the server closed before the reply was complete"),
            Self::Unexpected(missed) => match missed.as_slice() {
                [first, ..] => write!(f, "{first}"),
                [] => f.write_str("an unexpected reply"),
            },
        }
    }
}
