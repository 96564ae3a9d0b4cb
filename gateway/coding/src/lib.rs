//! Content codings (RFC 9110 8.4): which one a client gets, which responses are left as they are, and gzip (RFC 1952)
//! and deflate (RFC 1950) both ways, in pieces; without I/O.
//!
//! Where HTTP leaves a choice, it is API Gateway's (AWS: Payload compression for REST APIs). What reaches this crate was
//! sent by strangers: nothing here panics on it, and nothing grows without a bound.

#![forbid(unsafe_code)]

mod accept;
mod decoder;
mod encoder;
mod fields;
mod media_types;

pub use accept::choose;
pub use decoder::{DecodeError, DecodeLimits, Decoder};
pub use encoder::Encoder;
pub use fields::{RequestCoding, forbids_transforming, is_transformable, request_coding, varies_by_coding};
pub use media_types::{MediaTypes, MediaTypesError};

/// What is compressed into, and decompressed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentCoding {
    Gzip,
    /// In zlib's format.
    Deflate,
}

impl ContentCoding {
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Deflate];

    /// As fields say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// In any case, as field values are; `x-gzip` is another name of gzip (RFC 9110 8.4.1.3).
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"gzip") => Some(Self::Gzip),
            6 if name.eq_ignore_ascii_case(b"x-gzip") => Some(Self::Gzip),
            7 if name.eq_ignore_ascii_case(b"deflate") => Some(Self::Deflate),
            _ => None,
        }
    }
}
