//! The origin: answers `/` (and any other path) with a small body, `/bytes/N` with N bytes, `/delay/MS` after that
//! many milliseconds, `/count` with how many other requests there were, and reads any request body to its end before it
//! answers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use monoio::io::AsyncWriteRentExt;
use monoio::net::TcpStream;
use turnpike_loadgen::chunked::ChunkedBody;

use super::head::{Framing, HEAD_BYTES_MAX, Head, request_target};
use super::listen;

const SMALL_BODY: &[u8] = b"hello from the origin\n";
/// Largest `/bytes/N`.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Different `/bytes/N` that a core keeps, made once each.
const BODIES_MAX: usize = 16;
const DELAY_MS_MAX: u64 = 60_000;
/// Also how much of a request body is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;
const _: () = assert!(BUFFER_BYTES > HEAD_BYTES_MAX);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: listen::ListenArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let requests = Arc::new(AtomicU64::new(0));
    listen::run("origin", &args.listen, move || {
        let replies = Rc::new(Replies::new());
        let requests = Arc::clone(&requests);
        move |stream| serve(stream, Rc::clone(&replies), Arc::clone(&requests))
    })
}

/// `requests` counts those of all cores.
async fn serve(mut stream: TcpStream, replies: Rc<Replies>, requests: Arc<AtomicU64>) -> Result<(), String> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while let Some(head) = listen::receive_head(&mut stream, &mut buffer).await? {
        let answer = Answer::choose(&buffer[..head.bytes]);
        buffer.drain(..head.bytes);
        if !drain_body(&mut stream, &mut buffer, &head).await? {
            return Ok(());
        }
        let sent = if answer == Answer::Count {
            stream.write_all(reply_of("200 OK", requests.load(Relaxed).to_string().as_bytes())).await.0
        } else {
            requests.fetch_add(1, Relaxed);
            stream.write_all(replies.find(answer).await).await.0
        };
        // A client that has gone needs no answer.
        if sent.is_err() || head.close {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a request's body to its end; false when the client closed before.
async fn drain_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &Head) -> Result<bool, String> {
    if head.expects_continue && head.framing != Framing::Length(0) {
        let (sent, _) = stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]).await;
        if sent.is_err() {
            return Ok(false);
        }
    }
    let mut body = match head.framing {
        Framing::Length(left) => Body::Length(left),
        Framing::Chunked => Body::Chunked(ChunkedBody::new()),
    };
    loop {
        let (taken, done) = body.read(buffer)?;
        buffer.drain(..taken);
        if done {
            return Ok(true);
        }
        if listen::receive(stream, buffer).await == 0 {
            return Ok(false);
        }
    }
}

enum Body {
    Length(u64),
    Chunked(ChunkedBody),
}

impl Body {
    /// How many of `bytes` belong to the body, and whether it ends with them.
    fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), String> {
        match self {
            Self::Length(left) => {
                let taken = (bytes.len() as u64).min(*left);
                *left -= taken;
                Ok((taken as usize, *left == 0))
            }
            Self::Chunked(body) => {
                let progress = body.read(bytes).map_err(|reason| reason.to_string())?;
                Ok((progress.taken, progress.done))
            }
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Small,
    Bytes(usize),
    Delayed(Duration),
    Count,
    Refused,
}

impl Answer {
    fn choose(head: &[u8]) -> Self {
        let target = request_target(head).unwrap_or_default();
        if target == b"/count" {
            return Self::Count;
        }
        let number = |prefix: &[u8], max: u64| -> Option<Option<u64>> {
            let digits = target.strip_prefix(prefix)?;
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            Some(number.filter(|number| *number <= max))
        };
        if let Some(bytes) = number(b"/bytes/", BODY_BYTES_MAX as u64) {
            return bytes.map_or(Self::Refused, |bytes| Self::Bytes(bytes as usize));
        }
        if let Some(delay) = number(b"/delay/", DELAY_MS_MAX) {
            return delay.map_or(Self::Refused, |ms| Self::Delayed(Duration::from_millis(ms)));
        }
        Self::Small
    }
}

/// A core's replies, formatted once; they live as long as the process.
struct Replies {
    small: &'static [u8],
    refused: &'static [u8],
    sized: RefCell<HashMap<usize, &'static [u8]>>,
}

impl Replies {
    fn new() -> Self {
        let reason = format!(
            "refused: /bytes/N takes up to {BODY_BYTES_MAX}, {BODIES_MAX} different N; \
             /delay/MS up to {DELAY_MS_MAX}\n"
        );
        Self {
            small: format_reply("200 OK", SMALL_BODY),
            refused: format_reply("400 Bad Request", reason.as_bytes()),
            sized: RefCell::default(),
        }
    }

    async fn find(&self, answer: Answer) -> &'static [u8] {
        match answer {
            Answer::Small => self.small,
            // Answered where it is counted.
            Answer::Refused | Answer::Count => self.refused,
            Answer::Bytes(bytes) => self.sized(bytes),
            Answer::Delayed(delay) => {
                monoio::time::sleep(delay).await;
                self.small
            }
        }
    }

    fn sized(&self, bytes: usize) -> &'static [u8] {
        let mut sized = self.sized.borrow_mut();
        if let Some(reply) = sized.get(&bytes) {
            return reply;
        }
        if sized.len() >= BODIES_MAX {
            return self.refused;
        }
        let reply = format_reply("200 OK", &vec![b'x'; bytes]);
        sized.insert(bytes, reply);
        reply
    }
}

fn format_reply(status: &str, body: &[u8]) -> &'static [u8] {
    Vec::leak(reply_of(status, body))
}

fn reply_of(status: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_chooses_the_answer() {
        let choose = |target: &str| Answer::choose(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
        assert_eq!(choose("/"), Answer::Small);
        assert_eq!(choose("/anything?x"), Answer::Small);
        assert_eq!(choose("/count"), Answer::Count);
        assert_eq!(choose("/bytes/65536"), Answer::Bytes(65536));
        assert_eq!(choose("/delay/20"), Answer::Delayed(Duration::from_millis(20)));
        for wrong in ["/bytes/", "/bytes/x", "/bytes/99999999999", "/delay/60001"] {
            assert_eq!(choose(wrong), Answer::Refused, "{wrong}");
        }
    }

    #[test]
    fn different_sizes_are_bounded() {
        let replies = Replies::new();
        for bytes in 0..BODIES_MAX {
            assert!(replies.sized(bytes).starts_with(b"HTTP/1.1 200"));
        }
        assert!(replies.sized(BODIES_MAX).starts_with(b"HTTP/1.1 400"));
        assert!(replies.sized(1).ends_with(b"content-length: 1\r\n\r\nx"));
    }
}
