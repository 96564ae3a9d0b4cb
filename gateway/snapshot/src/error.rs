//! Why bytes were refused, and whose doing that is.

use crate::check::SemanticError;

/// Who has to act on a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The bytes were damaged or cut off after they were written: a disk, a link, a full file system.
    Carrier,
    /// Whoever wrote the bytes wrote something that no gateway can serve.
    Writer,
    /// The operator: versions don't fit together, or a limit is set too low.
    Operator,
}

/// Why a value couldn't be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("encoded it has {bytes} bytes; the format carries at most {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("can't serialise it: {0}")]
    Serialize(String),
}

/// Why bytes aren't taken as a unit or a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("this is no Turnpike snapshot: it doesn't begin with the snapshot's magic number")]
    NotASnapshot,
    #[error("it has format version {found}, this build reads up to {supported}: upgrade the reader first")]
    FutureFormat { found: u16, supported: u16 },
    #[error(
        "it has format version {found}, this build reads {supported} and later: control writes it anew when it is upgraded too"
    )]
    PastFormat { found: u16, supported: u16 },
    #[error("it was cut off: {found} of {expected} bytes")]
    Truncated { expected: usize, found: usize },
    #[error("it has {bytes} bytes, the limit is {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("{found} bytes where {expected} were announced")]
    TrailingBytes { expected: usize, found: usize },
    #[error("it was damaged: its checksum doesn't match its bytes")]
    ChecksumMismatch,
    #[error("a {found} where a {expected} belongs")]
    WrongKind { expected: &'static str, found: String },
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("it can't be served: {0}")]
    Semantic(#[from] SemanticError),
}

impl DecodeError {
    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Truncated { .. } | Self::TrailingBytes { .. } | Self::ChecksumMismatch => Blame::Carrier,
            Self::NotASnapshot | Self::WrongKind { .. } | Self::Malformed(_) => Blame::Writer,
            Self::FutureFormat { .. } | Self::PastFormat { .. } | Self::TooLarge { .. } => Blame::Operator,
            Self::Semantic(error) => error.blame(),
        }
    }
}
