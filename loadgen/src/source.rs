//! The seam between what is sent and how it is sent.
//!
//! A **lane** carries one request at a time: an HTTP/1.1 connection has one lane (with `--pipeline N` it has N), an
//! HTTP/2 connection one a stream, a WebSocket connection one. Each lane has a source: it asks it for the next
//! request and hands back what became of it. A source knows nothing of connections, frames or tickets; a protocol
//! knows nothing of scenarios. Most runs rotate through requests that were formatted before the run, and pay
//! nothing for the seam; a script makes each of its requests, and sees the replies that it asks to keep.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::failure::Failure;
use crate::reply::Reply;
use crate::request::Request;

/// Where a lane's requests come from.
#[derive(Debug)]
pub enum Source {
    /// Formatted before the run; all lanes of a reactor go on where the last one has stopped.
    Rotation(Rc<Rotation>),
    /// Made one by one.
    Script(Box<dyn Script>),
}

/// One lane's user. The order of calls: `pause`, `next`, `keep`, then `take` once for the request, whatever became
/// of it; a run may end after any of them.
pub trait Script: fmt::Debug {
    /// How long the user thinks before the next request. No latency begins before it is over.
    fn pause(&mut self) -> Duration {
        Duration::ZERO
    }

    /// The next request, made by [`crate::request::Protocol::encode`].
    fn next(&mut self) -> Request;

    /// What of this request's reply `take` needs to see.
    fn keep(&self) -> Keep {
        Keep::default()
    }

    /// What became of the request; an error where the reply is complete, but not the one that was asked for.
    fn take(&mut self, outcome: Outcome<'_>) -> Result<(), Failure>;
}

/// How much of a reply is kept for its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    pub head: bool,
    /// The body's first bytes; what follows is counted only.
    pub body_bytes_max: usize,
}

/// A field's name and value.
pub type Field = (Vec<u8>, Vec<u8>);

/// The parts of a reply that its source asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Names as they came (HTTP/2: lower case), values without the space around them; trailers are not among them.
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
}

/// What became of one request.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// A complete reply, and what was to be kept of it.
    Reply(&'a Reply, Option<&'a Kept>),
    Failed(&'a Failure),
    /// Cut off by the end of the run.
    Unfinished,
}

/// The preformatted requests of a run, in turn.
#[derive(Debug)]
pub struct Rotation {
    requests: &'static [Request],
    next: Cell<usize>,
}

impl Rotation {
    /// Begins with the request at `first`.
    pub fn new(requests: &'static [Request], first: usize) -> Self {
        Self { requests, next: Cell::new(first) }
    }

    pub(crate) fn next(&self) -> Request {
        let index = self.next.get();
        self.next.set(if index + 1 < self.requests.len() { index + 1 } else { 0 });
        self.requests[index].clone()
    }
}

impl Source {
    pub(crate) fn pause(&mut self) -> Duration {
        match self {
            Self::Rotation(_) => Duration::ZERO,
            Self::Script(script) => script.pause(),
        }
    }

    /// The next request, and what of its reply is to be kept.
    pub(crate) fn next(&mut self) -> (Request, Keep) {
        match self {
            Self::Rotation(rotation) => (rotation.next(), Keep::default()),
            Self::Script(script) => {
                let request = script.next();
                (request, script.keep())
            }
        }
    }

    pub(crate) fn take(&mut self, outcome: Outcome<'_>) -> Result<(), Failure> {
        match self {
            Self::Rotation(_) => Ok(()),
            Self::Script(script) => script.take(outcome),
        }
    }
}

impl Keep {
    /// Whether anything is to be kept.
    pub(crate) fn any(self) -> bool {
        self.head || self.body_bytes_max > 0
    }
}

impl Kept {
    /// Adds to the body what may still be kept of it.
    pub(crate) fn push_body(&mut self, part: &[u8], keep: Keep) {
        let room = keep.body_bytes_max.saturating_sub(self.body.len());
        self.body.extend_from_slice(&part[..part.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Parts, Protocol};

    #[test]
    fn a_rotation_begins_anew_after_its_last_request() {
        let request = |path: &str| {
            Protocol::Http1.encode(&Parts { method: "GET".into(), path: path.into(), ..Parts::default() })
        };
        let requests = Vec::leak(vec![request("/1"), request("/2"), request("/3")]);
        let rotation = Rotation::new(requests, 1);
        let paths: Vec<_> = (0..4).map(|_| rotation.next().head[5]).collect();
        assert_eq!(paths, b"2312");
    }

    #[test]
    fn no_more_of_a_body_is_kept_than_was_asked_for() {
        let keep = Keep { head: false, body_bytes_max: 5 };
        let mut kept = Kept::default();
        for part in ["abc", "def", "ghi"] {
            kept.push_body(part.as_bytes(), keep);
        }
        assert_eq!(kept.body, b"abcde");
    }
}
