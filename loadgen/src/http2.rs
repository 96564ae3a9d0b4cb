//! HTTP/2 (RFC 9113), the client's side: frames, header compression (RFC 7541) and streams, sans-I/O.
//!
//! Own code, because a generator must cost less than what it measures: requests are encoded once before the run, a
//! reply costs no allocation, and all that one read brings is answered by one write. Strict on purpose: what
//! breaks the protocol is malformed, with the reason. Only the Huffman code comes from a library.

mod decode;
mod encode;
mod error_code;
mod frame;
mod session;
mod stream;
mod table;

pub(crate) use encode::encode_request;
pub use error_code::ErrorCode;
pub(crate) use session::Http2;

/// The protocol's name in ALPN.
pub(crate) const ALPN: &[u8] = b"h2";
