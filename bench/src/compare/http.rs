//! A blocking HTTP/1.1 client over one kept connection, for the handful of calls that set a run up and the probes
//! that watch a change arrive.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for any part of a reply.
const TIMEOUT: Duration = Duration::from_secs(30);
const REPLY_BYTES_MAX: usize = 16 << 20;

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, String> {
        let open = || {
            let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            Ok(Self { stream })
        };
        open().map_err(|error: std::io::Error| format!("no connection to {address}: {error}"))
    }

    /// One exchange; `headers` are whole lines, each with its line end, Host included.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Reply, String> {
        self.send(method, path, headers, body)?;
        self.receive().map_err(|reason| format!("{method} {path}: {reason}"))
    }

    /// The first half of an exchange.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let length = match body.len() {
            0 if method == "GET" => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\n{headers}{length}\r\n");
        self.stream
            .write_all(&[head.as_bytes(), body].concat())
            .map_err(|error| format!("{method} {path} can't be sent: {error}"))
    }

    /// The second half.
    pub(crate) fn receive(&mut self) -> Result<Reply, String> {
        let mut bytes = Vec::new();
        loop {
            if let Some(reply) = parse_reply(&bytes, false)? {
                return Ok(reply);
            }
            let mut part = [0; 16 * 1024];
            let received = self.stream.read(&mut part).map_err(|error| error.to_string())?;
            if received == 0 {
                return parse_reply(&bytes, true)?
                    .ok_or_else(|| "the connection ended before the reply did".to_owned());
            }
            bytes.extend_from_slice(&part[..received]);
            if bytes.len() > REPLY_BYTES_MAX {
                return Err(format!("the reply is larger than {REPLY_BYTES_MAX} bytes"));
            }
        }
    }
}

/// `None` while the reply is incomplete; `ended` when the server has closed.
fn parse_reply(bytes: &[u8], ended: bool) -> Result<Option<Reply>, String> {
    let Some(head_len) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|_| "the reply's head is not text")?;
    let body = &bytes[head_len + 4..];
    let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or("the reply has no status")?;
    let field = |wanted: &str| {
        head.lines().skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    let length: Option<usize> = match field("content-length") {
        Some(length) => Some(length.parse().map_err(|_| "the reply's Content-Length is not a number")?),
        None if status == 204 => Some(0),
        None => None,
    };
    match length {
        Some(length) if body.len() >= length => Ok(Some(Reply { status, body: body[..length].to_vec() })),
        Some(_) => Ok(None),
        None if field("transfer-encoding").is_some() => Err("the reply is chunked".to_owned()),
        None => Ok(ended.then(|| Reply { status, body: body.to_vec() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_end_by_length_or_with_the_connection() {
        let sized = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse_reply(&sized[..sized.len() - 1], false), Ok(None));
        assert_eq!(parse_reply(sized, false), Ok(Some(Reply { status: 201, body: b"{}".to_vec() })));
        let unsized_reply = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!(parse_reply(unsized_reply, false), Ok(None));
        assert_eq!(parse_reply(unsized_reply, true).unwrap().unwrap().body, b"abc");
        assert_eq!(parse_reply(b"HTTP/1.1 204 No Content\r\n\r\n", false).unwrap().unwrap().status, 204);
        assert!(parse_reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false).is_err());
    }
}
