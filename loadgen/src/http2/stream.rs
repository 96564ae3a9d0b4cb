//! One request and its reply on a connection.

use bytes::Bytes;

use super::decode::Head;
use crate::reply::{Malformed, Reply};
use crate::source::{Keep, Kept};
use crate::wire::Exchange;

/// A request in flight.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) lane: usize,
    pub(super) keep: Keep,
    pub(super) kept: Kept,
    head_method: bool,
    /// 0 until the reply's head is complete.
    status: u16,
    content_length: Option<u64>,
    body_bytes: u64,
    pub(super) received_bytes: u64,
    /// How much more the server takes.
    pub(super) send_window: i64,
    /// How much more it may send.
    pub(super) receive_window: i64,
    /// What of the request is still to be sent.
    pub(super) body: Bytes,
}

impl Stream {
    pub(super) fn new(lane: usize, head_method: bool, keep: Keep, body: Bytes) -> Self {
        Self {
            lane,
            keep,
            kept: Kept::default(),
            head_method,
            status: 0,
            content_length: None,
            body_bytes: 0,
            received_bytes: 0,
            send_window: 0,
            receive_window: 0,
            body,
        }
    }

    /// Whether the reply has begun.
    pub(super) fn has_head(&self) -> bool {
        self.status != 0
    }

    /// Takes a header block: an interim head, the head, or trailers (RFC 9113, section 8.1).
    pub(super) fn take_head(&mut self, head: Head, ends: bool) -> Result<(), Malformed> {
        if head.is_request {
            return Err(Malformed("the reply has a pseudo-header field other than :status"));
        }
        match head.status {
            Some(_) if self.has_head() => Err(Malformed("the reply's trailers have a :status")),
            Some(101) => Err(Malformed("the server switched protocols, which HTTP/2 has no way for")),
            Some(100..=199) if ends => Err(Malformed("an interim reply ends the stream")),
            Some(100..=199) => {
                self.kept.fields.clear();
                Ok(())
            }
            Some(status) => {
                self.status = status;
                self.content_length = head.content_length;
                Ok(())
            }
            None if !self.has_head() => Err(Malformed("the reply has no :status")),
            None if !ends => Err(Malformed("trailers don't end the stream")),
            None => Ok(()),
        }
    }

    pub(super) fn take_body(&mut self, part: &[u8]) -> Result<(), Malformed> {
        if !self.has_head() {
            return Err(Malformed("the reply's body comes before its head"));
        }
        self.body_bytes += part.len() as u64;
        self.kept.push_body(part, self.keep);
        Ok(())
    }

    /// The reply, which is complete.
    pub(super) fn finish(self) -> Result<Exchange, Malformed> {
        let bodiless = self.head_method || matches!(self.status, 204 | 304);
        if !bodiless && self.content_length.is_some_and(|length| length != self.body_bytes) {
            return Err(Malformed("the reply's body has another length than its content-length says"));
        }
        let reply = Reply { status: self.status, body_bytes: self.body_bytes, reusable: true };
        let kept = self.keep.any().then(|| Box::new(self.kept));
        Ok(Exchange { reply, received_bytes: self.received_bytes, kept })
    }
}
