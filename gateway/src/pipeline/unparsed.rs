//! A request whose head could not be parsed: there is no exchange, but the access log still tells of it.
//!
//! What is known: whom it came from, when, and its first line as far as that looks like one.

use std::net::IpAddr;

use turnpike_http::is_token;

use crate::access_log_format::AccessRecord;
use crate::ids::RequestId;
use crate::shard::Shard;

/// What came instead of a request.
#[derive(Debug)]
pub(crate) struct Unparsed<'a> {
    /// From the head's first byte.
    pub(crate) bytes: &'a [u8],
    pub(crate) source_ip: IpAddr,
    /// When the first byte was there.
    pub(crate) started_us: u64,
}

impl Unparsed<'_> {
    /// Writes a line of the gateway's own log, if there is one: no stage's log is known.
    pub(super) fn log(
        &self,
        shard: &Shard,
        id: RequestId,
        status: u16,
        message: &'static str,
        response_type: &'static str,
        body_bytes: u64,
    ) {
        let Some(log) = &shard.log else { return };
        let latency_ms = shard.clock.now_us().saturating_sub(self.started_us) / 1_000;
        let line = RequestLine::of(self.bytes);
        let table = shard.table();
        let record = AccessRecord {
            id,
            is_rest: true,
            request_time_ms: shard.log_lines.unix_ms(self.started_us),
            http_method: line.method,
            path: line.path,
            protocol: line.protocol,
            source_ip: self.source_ip,
            user_agent: None,
            client_certificate: None,
            api_key_id: None,
            host: b"",
            account_id: &table.account_id,
            api_id: None,
            stage: None,
            deployment_id: None,
            canary: None,
            base_path_matched: None,
            routing_rule_matched: None,
            route_key: None,
            resource_path: None,
            resource_id: None,
            status,
            response_length: body_bytes,
            response_latency_ms: latency_ms,
            integration_status: None,
            integration_latency_ms: None,
            integration_error: None,
            error_message: Some(message),
            error_response_type: Some(response_type),
        };
        shard.log_lines.append(shard, log, &record);
    }
}

/// The parts of a first line; empty where they don't look like what they should be.
#[derive(Debug, PartialEq, Eq)]
struct RequestLine<'a> {
    method: &'a [u8],
    path: &'a [u8],
    protocol: &'static str,
}

impl<'a> RequestLine<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        let (method, target, version) = (words.next(), words.next(), words.next());
        let path = target.and_then(|target| target.split(|byte| *byte == b'?').next());
        let is_visible = |path: &&[u8]| path.iter().all(|byte| matches!(byte, 0x21..=0x7e));
        Self {
            // A word alone may be anything.
            method: method.filter(|method| is_token(method) && target.is_some()).unwrap_or_default(),
            path: path.filter(is_visible).unwrap_or_default(),
            protocol: match version {
                Some(b"HTTP/1.1") => "HTTP/1.1",
                Some(b"HTTP/1.0") => "HTTP/1.0",
                Some(b"HTTP/2.0") => "HTTP/2.0",
                _ => "",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_of_a_first_line_as_looks_like_one() {
        for (bytes, method, path, protocol) in [
            ("GET /a?b=c HTTP/1.1\r\nX : y\r\n\r\n", "GET", "/a", "HTTP/1.1"),
            ("\r\nGET /a HTTP/1.0\r\n", "GET", "/a", "HTTP/1.0"),
            ("GET /a HTTP/2.0\r\n", "GET", "/a", "HTTP/2.0"),
            ("GET /a HTTP/3.0\r\n", "GET", "/a", ""),
            ("GET /a", "GET", "/a", ""),
            ("GET /a\u{1} HTTP/1.1\r\n", "GET", "", "HTTP/1.1"),
            ("G(T /a HTTP/1.1\r\n", "", "/a", "HTTP/1.1"),
            ("hello\r\n", "", "", ""),
            ("\u{16}\u{3}\u{1}", "", "", ""),
            ("", "", "", ""),
        ] {
            let line = RequestLine::of(bytes.as_bytes());
            let expected = RequestLine { method: method.as_bytes(), path: path.as_bytes(), protocol };
            assert_eq!(line, expected, "{bytes:?}");
        }
    }
}
