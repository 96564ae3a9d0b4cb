//! Challenge: the answer to a certificate authority that looks whether a host is ours, ahead of whatever else the
//! host serves (RFC 8555 8.3). It belongs to no API: it is counted and logged without one.

use turnpike_http::{Method, encode};

use super::refusal::{encode_connection, encode_ids};
use super::{Exchange, Record};

/// What answers, if a challenge is open for this host and path.
pub(super) fn look_up<'a>(exchange: &Exchange<'a>, path: &str) -> Option<&'a str> {
    match exchange.head.method {
        Method::Get | Method::Head if exchange.table.has_challenges() => {
            exchange.table.acme_answer(exchange.host(), path)
        }
        _ => None,
    }
}

/// The reply, in a buffer of the shard's.
pub(super) fn reply(exchange: &Exchange<'_>, answer: &str, kept: bool, record: &mut Record<'_>) -> Vec<u8> {
    let shard = exchange.shard;
    let mut out = shard.buffers.small();
    encode::status_line(&mut out, 200);
    encode::date(&mut out, &shard.date());
    encode::header(&mut out, "Content-Type", b"application/octet-stream");
    encode::content_length(&mut out, answer.len() as u64);
    encode_ids(None, exchange.id, &mut out);
    encode_connection(kept, exchange.head.version, &mut out);
    out.extend_from_slice(b"\r\n");
    if exchange.head.method != Method::Head {
        out.extend_from_slice(answer.as_bytes());
        record.body_bytes_out += answer.len() as u64;
    }
    record.bytes_out += out.len() as u64;
    record.answered(200);
    out
}
