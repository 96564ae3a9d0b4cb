//! A request's body that comes over HTTP/2, on its way to an upstream that speaks HTTP/1.1: framed as its head
//! says, in pieces.
//!
//! Bytes are taken from the client's window with each piece, and given back when the upstream has taken it: a
//! stream holds at most its window.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use turnpike_http::{Framing, encode};

use super::fields;
use super::stream::Stream;
use crate::shard::Shard;
use crate::wheel::{OnExpiry, Watch};

/// A piece isn't added to above this.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct RequestBody {
    stream: Rc<Stream>,
    /// Once there is something to wait for.
    watch: Option<Rc<Watch>>,
    chunked: bool,
    /// Lines, where nothing frames the body that they could come behind.
    trailers: Vec<u8>,
    done: bool,
    /// Payload so far.
    payload_bytes: u64,
    /// Taken from the client's window, and not given back.
    unreleased_bytes: usize,
}

/// Why no piece came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Left,
    TimedOut,
    /// Nobody wants it any more.
    Stopped,
}

impl RequestBody {
    pub(crate) fn new(stream: &Rc<Stream>, framing: Framing) -> Self {
        Self {
            stream: Rc::clone(stream),
            watch: None,
            chunked: framing == Framing::Chunked,
            trailers: Vec::new(),
            done: false,
            payload_bytes: 0,
            unreleased_bytes: 0,
        }
    }

    /// As its bytes come.
    pub(crate) fn unframed(stream: &Rc<Stream>) -> Self {
        Self::new(stream, Framing::None)
    }

    /// Behind an unframed body.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Of payload, so far.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// What is there already; possibly nothing.
    pub(crate) async fn take_arrived(&mut self, piece: &mut Vec<u8>) -> Result<(), BodyEnd> {
        poll_fn(|context| match self.poll_fill(context, piece) {
            Poll::Ready(filled) => Poll::Ready(filled),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// The next piece; the last one has been taken by the upstream.
    pub(crate) async fn fill(
        &mut self,
        shard: &Shard,
        timeout_ms: u64,
        piece: &mut Vec<u8>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<(), BodyEnd> {
        self.release();
        let watch = Rc::clone(self.watch.get_or_insert_with(Watch::of_task));
        shard.wheel.arm(&watch, timeout_ms, OnExpiry::WakeTask);
        let filled = poll_fn(|context| {
            if is_stopped() {
                return Poll::Ready(Err(BodyEnd::Stopped));
            }
            if watch.has_expired() {
                return Poll::Ready(Err(BodyEnd::TimedOut));
            }
            watch.set_task(context);
            self.poll_fill(context, piece)
        })
        .await;
        watch.disarm();
        filled
    }

    fn release(&mut self) {
        if self.unreleased_bytes > 0 {
            self.stream.release(std::mem::take(&mut self.unreleased_bytes));
        }
    }

    /// Ready with at least a byte of framing more than before, or at the end.
    fn poll_fill(&mut self, context: &mut Context<'_>, piece: &mut Vec<u8>) -> Poll<Result<(), BodyEnd>> {
        let before = piece.len();
        while !self.done && piece.len() - before < PIECE_BYTES {
            match self.stream.poll_data(context) {
                Poll::Ready(Some(Ok(data))) => {
                    self.payload_bytes += data.len() as u64;
                    self.unreleased_bytes += data.len();
                    if self.chunked {
                        encode::chunk(piece, &data);
                    } else {
                        piece.extend_from_slice(&data);
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyEnd::Left)),
                Poll::Ready(None) => match self.stream.poll_trailers(context) {
                    Poll::Ready(Ok(trailers)) => {
                        self.done = true;
                        if self.chunked {
                            piece.extend_from_slice(b"0\r\n");
                            if let Some(trailers) = trailers {
                                fields::trailer_lines(&trailers, piece);
                            }
                            piece.extend_from_slice(b"\r\n");
                        } else if let Some(trailers) = trailers {
                            fields::trailer_lines(&trailers, &mut self.trailers);
                        }
                        self.release();
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(BodyEnd::Left)),
                    Poll::Pending => break,
                },
                Poll::Pending => break,
            }
        }
        if self.done || piece.len() > before { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for RequestBody {
    /// What nobody reads any more still counts against the connection's window.
    fn drop(&mut self) {
        self.release();
    }
}
