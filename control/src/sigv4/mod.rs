//! AWS Signature Version 4, header form: checks the signature of a management call, and makes one.
//!
//! Sans-I/O: the request's parts and the time are passed in. Nothing of a request is believed before
//! [`verify`] has returned. Source: 'AWS Signature Version 4 for API requests' in the IAM user guide.

mod authorization;
mod canonical;
mod sign;
mod verify;

pub use sign::{SignedHeaders, sign};
pub use verify::{AuthError, Claim, Policy, verify};

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret stays out of logs and panics.
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The parts of a request that a signature covers, as they came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    pub method: &'a str,
    /// Percent-encoded, without the query.
    pub path: &'a str,
    /// Without `?`, possibly empty.
    pub query: &'a str,
    /// Names in any case; a name may come more than once.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl<'a> SignedRequest<'a> {
    /// The values of every header of this (lower-case) name.
    fn header_values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self.headers;
        headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.header_values(name).next()
    }
}

/// What a key is good for: a day, a region, a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scope<'a> {
    /// `YYYYMMDD`.
    day: &'a str,
    region: &'a str,
    service: &'a str,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

impl std::fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{TERMINATOR}", self.day, self.region, self.service)
    }
}

#[cfg(test)]
mod tests;
