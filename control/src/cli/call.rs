//! A signed call of a running control, as the command line makes it: one connection, one request, one answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::SIGNING_NAME;
use crate::sigv4::{AccessKey, SignedRequest, sign};
use crate::time::now_s;

/// An import of a large document takes seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Far above what a large fleet's status has.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Where a control answers, and who asks.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    /// `host:port`.
    pub(super) authority: &'a str,
    pub(super) key: &'a AccessKey,
    pub(super) region: &'a str,
    /// Which content types can be read.
    pub(super) accept: &'a str,
    /// What to do when nobody answers there: `name its address with --listen`.
    pub(super) address_hint: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Caller<'_> {
    /// # Errors
    /// When nobody answers, not within 60 s, or not in HTTP. Every status is an answer. `target` is the path and perhaps
    /// a query.
    pub(super) async fn call(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, String> {
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.ask(method, target, body)).await;
        let late = |_| format!("{} didn't answer within {ANSWER_TIMEOUT:?}", self.authority);
        parse_answer(&asked.map_err(late)??)
    }

    async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let Self { authority, key, region, accept, address_hint } = self;
        let headers = [("host".to_owned(), (*authority).to_owned())];
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = SignedRequest { method, path, query, headers: &headers, body };
        let signed = sign(&request, key, region, SIGNING_NAME, now_s());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: {authority}\r\naccept: {accept}\r\nx-amz-date: {}\r\nauthorization: {}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            signed.x_amz_date,
            signed.authorization,
            body.len()
        );
        let mut stream = TcpStream::connect(authority).await.map_err(|error| {
            format!("no turnpike-control answers at {authority}: {error}. {address_hint}")
        })?;
        let mut answer = Vec::new();
        let talk = async {
            stream.write_all(&[head.as_bytes(), body].concat()).await?;
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
        };
        talk.await.map_err(|error| format!("{authority} broke off: {error}"))?;
        Ok(answer)
    }
}

/// The answer of the API's own server, which gives a length and then closes, as it was asked to.
fn parse_answer(answer: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(answer);
    let parsed = text.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    });
    parsed.ok_or_else(|| "what answered isn't a turnpike-control: it doesn't speak HTTP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse_answer(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(answer, Ok(Answer { status: 404, body: "{}".to_owned() }));
        for other in [&b"SSH-2.0"[..], b"", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"] {
            assert!(parse_answer(other).is_err(), "{other:?}");
        }
    }
}
