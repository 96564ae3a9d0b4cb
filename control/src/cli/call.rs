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
            stream.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer).await
        };
        talk.await.map_err(|error| format!("{authority} broke off: {error}"))?;
        Ok(answer)
    }
}

/// The answer of the API's own server, which gives a length and then closes, as it was asked to. Half a document must not
/// be taken for a whole one.
fn parse_answer(answer: &[u8]) -> Result<Answer, String> {
    if answer.len() as u64 > ANSWER_BYTES_MAX {
        return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let parsed = end.and_then(|end| {
        let head = std::str::from_utf8(&answer[..end]).ok()?;
        let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
        Some((status, head, &answer[end + 4..]))
    });
    let (status, head, body) =
        parsed.ok_or("what answered isn't a turnpike-control: it doesn't speak HTTP")?;
    match length(head) {
        Some(length) if length != body.len() => {
            Err(format!("the answer broke off after {} of {length} bytes", body.len()))
        }
        _ => Ok(Answer { status, body: String::from_utf8_lossy(body).into_owned() }),
    }
}

/// An answer that can have no body has none.
fn length(head: &str) -> Option<usize> {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse_answer(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}");
        assert_eq!(answer, Ok(Answer { status: 404, body: "{}".to_owned() }));
        let empty = parse_answer(b"HTTP/1.1 204 No Content\r\ndate: x\r\n\r\n");
        assert_eq!(empty, Ok(Answer { status: 204, body: String::new() }));
        let half = parse_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nopenapi:").expect_err("half");
        assert!(half.contains("after 8 of 9 bytes"), "{half}");
        let endless = vec![b' '; usize::try_from(ANSWER_BYTES_MAX).expect("fits") + 1];
        assert!(parse_answer(&endless).expect_err("too long").contains("16777216"));
        for other in [&b"SSH-2.0"[..], b"", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"] {
            assert!(parse_answer(other).is_err(), "{other:?}");
        }
    }
}
