//! The opening handshake (RFC 6455, section 4): an HTTP/1.1 request, and what its reply must say.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::failure::Failure;
use crate::reply::{self, LARGE_HEAD};
use crate::source::Field;
use crate::wire::Wire;

/// Appended to the key before it is hashed (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How a connection becomes a WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Upgrade {
    /// The request, up to the key.
    head: Bytes,
    /// Subprotocols that were offered.
    protocols: Vec<String>,
}

/// Why the server opened no WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Status(u16),
    /// A reply that is no proper agreement.
    Reply(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Reply(reason) => f.write_str(reason),
        }
    }
}

impl Upgrade {
    /// `fields` are the user's, checked.
    pub(crate) fn new(authority: &str, path: &str, fields: &[(String, String)]) -> Self {
        let named = |wanted: &'static str| {
            fields.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let mut head = format!("GET {path} HTTP/1.1\r\n");
        if named("host").next().is_none() {
            head.push_str(&format!("host: {authority}\r\n"));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n");
        let protocols = named("sec-websocket-protocol")
            .flat_map(|value| value.split(','))
            .map(|protocol| protocol.trim().to_owned())
            .collect();
        Self { head: head.into(), protocols }
    }

    /// Opens a WebSocket on a fresh connection; what the server says right after it stays in the connection's buffer.
    pub(crate) async fn open(&self, wire: &mut Wire) -> Result<(), Failure> {
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| Failure::Upgrade(Refusal::Reply("no random numbers for the request")))?;
        let key = STANDARD.encode(random);
        let request = [&self.head[..], format!("sec-websocket-key: {key}\r\n\r\n").as_bytes()].concat();
        let head_bytes_max = wire.head_bytes_max;
        let (mut sender, mut receiver, buffer) = wire.split();
        sender.send(request.into()).await.map_err(Failure::Reset)?;
        let head_bytes = loop {
            if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
                break at + 4;
            }
            reply::check_beginning(buffer).map_err(Failure::Malformed)?;
            if buffer.len() >= head_bytes_max {
                return Err(Failure::Malformed(LARGE_HEAD));
            }
            buffer.reserve(1024);
            if receiver.receive(buffer).await? == 0 {
                return Err(Failure::ClosedEarly);
            }
        };
        self.check(&buffer[..head_bytes], &key)?;
        buffer.drain(..head_bytes);
        Ok(())
    }

    fn check(&self, head: &[u8], key: &str) -> Result<(), Failure> {
        let line = memchr::memchr(b'\r', head).map_or(head, |end| &head[..end]);
        let (status, _) = reply::parse_status_line(line).map_err(Failure::Malformed)?;
        let fields = reply::head_fields(head).map_err(Failure::Malformed)?;
        if status != 101 {
            return Err(Failure::Upgrade(Refusal::Status(status)));
        }
        self.check_fields(&fields, key).map_err(|reason| Failure::Upgrade(Refusal::Reply(reason)))
    }

    fn check_fields(&self, fields: &[Field], key: &str) -> Result<(), &'static str> {
        let named = |wanted: &'static str| {
            fields
                .iter()
                .filter(move |(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
                .map(|(_, value)| value)
        };
        if !named("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err("the reply has no 'Upgrade: websocket'");
        }
        let is_upgrade = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"upgrade");
        if !named("connection").any(|value| value.split(|byte| *byte == b',').any(is_upgrade)) {
            return Err("the reply has no 'Connection: Upgrade'");
        }
        if !named("sec-websocket-accept").eq([accept_of(key).as_bytes()]) {
            return Err("the reply's Sec-WebSocket-Accept doesn't belong to the request's key");
        }
        if named("sec-websocket-extensions").next().is_some() {
            return Err("the reply agrees to an extension that was not offered");
        }
        if named("sec-websocket-protocol")
            .any(|value| !self.protocols.iter().any(|ours| ours.as_bytes() == value))
        {
            return Err("the reply chooses a subprotocol that was not offered");
        }
        Ok(())
    }
}

fn accept_of(key: &str) -> String {
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const AGREED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn check(reply: &str) -> Result<(), Failure> {
        let protocols = [("Sec-WebSocket-Protocol".to_owned(), "a, b".to_owned())];
        Upgrade::new("h", "/", &protocols).check(format!("{reply}\r\n").as_bytes(), KEY)
    }

    #[test]
    fn the_rfcs_example_is_agreed_to() {
        check(AGREED).unwrap();
        check(&format!("{AGREED}Sec-WebSocket-Protocol: b\r\n")).unwrap();
    }

    #[test]
    fn anything_less_is_refused() {
        let replies = [
            AGREED.replace("WebSocket\r\n", "h2c\r\n"),
            AGREED.replace("upgrade", "close"),
            AGREED.replace("s3p", "S3p"),
            AGREED.replace("Sec-WebSocket-Accept", "Accept"),
            format!("{AGREED}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            format!("{AGREED}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            format!("{AGREED}Sec-WebSocket-Protocol: c\r\n"),
        ];
        for reply in replies {
            assert!(matches!(check(&reply), Err(Failure::Upgrade(Refusal::Reply(_)))), "{reply}");
        }
        let refused = check("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n");
        assert!(matches!(refused, Err(Failure::Upgrade(Refusal::Status(403)))));
        assert!(matches!(check("garbage\r\n"), Err(Failure::Malformed(_))));
    }
}
