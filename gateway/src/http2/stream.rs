//! The client's side of one exchange over HTTP/2: what the pipeline reads a request's body from and answers to.
//!
//! An answer is given on as the client's windows allow, so that a stream holds at most the piece that is being
//! given, `http2_send_buffer_bytes_max`. A client that is gone ends what its exchange waits for at the upstream.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::Http2Event;
use super::fields;
use crate::pipeline::Patience;
use crate::shard::Shard;
use crate::wheel::{OnExpiry, Watch};

/// How much is still read of a request that is answered already, and for how long.
const LINGER_BYTES_MAX: usize = 256 * 1024;
const LINGER_MS: u64 = 1_000;

/// The client has reset the stream, is gone, or doesn't take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left;

#[derive(Debug)]
pub(crate) struct Stream {
    shard: Rc<Shard>,
    request: RefCell<RecvStream>,
    respond: RefCell<SendResponse<Bytes>>,
    /// Once the answer's head is sent.
    answer: RefCell<Option<SendStream<Bytes>>>,
    /// The answer's, as lines.
    trailers: RefCell<Vec<u8>>,
    /// For the client to take more, once it has to be waited for.
    watch: OnceCell<Rc<Watch>>,
    patience: RefCell<Patience>,
    stalled: Cell<bool>,
    /// The upstream's connection, and as whose.
    upstream: RefCell<Option<(Rc<Watch>, u64)>>,
    left: Cell<bool>,
}

impl Stream {
    pub(super) fn new(shard: Rc<Shard>, request: RecvStream, respond: SendResponse<Bytes>) -> Self {
        Self {
            request: RefCell::new(request),
            respond: RefCell::new(respond),
            answer: RefCell::new(None),
            trailers: RefCell::default(),
            watch: OnceCell::new(),
            patience: RefCell::new(Patience::for_answer(&shard.settings)),
            stalled: Cell::new(false),
            upstream: RefCell::new(None),
            left: Cell::new(false),
            shard,
        }
    }

    /// The client's leaving ends this connection, as long as it carries this exchange.
    pub(crate) fn engage(&self, upstream: &Rc<Watch>) {
        if self.left.get() {
            upstream.end_for(upstream.holder());
        }
        *self.upstream.borrow_mut() = Some((Rc::clone(upstream), upstream.holder()));
    }

    /// The client took too little of its answer.
    pub(crate) fn has_stalled(&self) -> bool {
        self.stalled.get()
    }

    pub(crate) fn has_left(&self) -> bool {
        self.left.get()
    }

    /// Looks whether the client has reset the stream or is gone, and has the task woken when it does.
    pub(super) fn watch_client(&self, context: &mut Context<'_>) {
        if self.left.get() {
            return;
        }
        let mut answer = self.answer.borrow_mut();
        let reset = match &mut *answer {
            Some(answer) => answer.poll_reset(context),
            None => self.respond.borrow_mut().poll_reset(context),
        };
        if reset.is_ready() {
            self.left.set(true);
            if let Some((upstream, holder)) = &*self.upstream.borrow() {
                upstream.end_for(*holder);
            }
        }
    }

    /// Sends an interim answer (1xx) from its head as text.
    pub(crate) fn inform(&self, head: &[u8]) -> Result<(), Left> {
        let (response, _) = fields::response(head);
        self.respond.borrow_mut().send_informational(response).map_err(|_| Left)
    }

    /// Lines that come behind the body.
    pub(crate) fn add_trailers(&self, lines: &[u8]) {
        self.trailers.borrow_mut().extend_from_slice(lines);
    }

    /// Sends the head of `text`, and what follows it as the body's beginning, or as all of it.
    pub(crate) async fn begin(&self, text: &[u8], last: bool) -> Result<(), Left> {
        let (response, head_bytes) = fields::response(text);
        let payload = &text[head_bytes..];
        let ends = last && payload.is_empty() && self.trailers.borrow().is_empty();
        let answer = self.respond.borrow_mut().send_response(response, ends).map_err(|_| Left)?;
        *self.answer.borrow_mut() = Some(answer);
        if ends { Ok(()) } else { self.send(payload, last).await }
    }

    /// Sends a piece of the body as the client takes it; with the last one, the trailers.
    pub(crate) async fn send(&self, payload: &[u8], last: bool) -> Result<(), Left> {
        self.send_shared(Bytes::copy_from_slice(payload), last).await
    }

    /// As [`send`](Self::send), of what others hold as well.
    pub(crate) async fn send_shared(&self, mut payload: Bytes, last: bool) -> Result<(), Left> {
        let ends = last && self.trailers.borrow().is_empty();
        while !payload.is_empty() {
            let room = self.room(payload.len()).await?;
            let piece = payload.split_to(room.min(payload.len()));
            self.patience.borrow_mut().came(piece.len());
            let ends = ends && payload.is_empty();
            self.send_within(piece, ends)?;
            if ends {
                return Ok(());
            }
        }
        if last { self.end() } else { Ok(()) }
    }

    /// Ends the body, with trailers if there are any.
    pub(crate) fn end(&self) -> Result<(), Left> {
        let trailers = fields::trailers(&self.trailers.borrow());
        if trailers.is_empty() {
            return self.send_within(Bytes::new(), true);
        }
        let mut answer = self.answer.borrow_mut();
        answer.as_mut().ok_or(Left)?.send_trailers(trailers).map_err(|_| Left)
    }

    /// Waits until the client takes a byte, so that none is read from the upstream before.
    pub(crate) async fn await_room(&self) -> Result<(), Left> {
        self.room(1).await.map(drop)
    }

    pub(crate) fn reset(&self, reason: Reason) {
        self.respond.borrow_mut().send_reset(reason);
    }

    /// The next bytes of the request's body; `None` at its end, which trailers may follow.
    pub(super) fn poll_data(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Left>>> {
        self.request.borrow_mut().poll_data(context).map(|data| data.map(|data| data.map_err(|_| Left)))
    }

    /// The request's trailers, behind its body.
    pub(super) fn poll_trailers(&self, context: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, Left>> {
        self.request.borrow_mut().poll_trailers(context).map_err(|_| Left)
    }

    /// Reads on for a moment, where an answer came before the request's end: the reset that follows could
    /// overtake it (RFC 9113 8.1).
    pub(super) async fn linger(&self) {
        if self.left.get() || self.request.borrow().is_end_stream() {
            return;
        }
        let mut left = LINGER_BYTES_MAX;
        let watch = self.watch.get_or_init(Watch::of_task);
        self.shard.wheel.arm(watch, LINGER_MS, OnExpiry::WakeTask);
        poll_fn(|context| {
            watch.set_task(context);
            while left > 0 && !watch.has_expired() {
                match self.poll_data(context) {
                    Poll::Ready(Some(Ok(data))) => {
                        left = left.saturating_sub(data.len());
                        self.release(data.len());
                    }
                    Poll::Ready(Some(Err(Left)) | None) => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        })
        .await;
        watch.disarm();
    }

    /// Lets the client send so many bytes more.
    pub(super) fn release(&self, count: usize) {
        // It was received; the stream may be gone since, and its windows with it.
        let _ = self.request.borrow_mut().flow_control().release_capacity(count);
    }

    fn send_within(&self, piece: Bytes, last: bool) -> Result<(), Left> {
        let mut answer = self.answer.borrow_mut();
        answer.as_mut().ok_or(Left)?.send_data(piece, last).map_err(|_| Left)
    }

    /// How many bytes the client takes now, at least one, up to about `wanted`.
    async fn room(&self, wanted: usize) -> Result<usize, Left> {
        if let Some(room) = self.room_at_once(wanted)? {
            return Ok(room);
        }
        let timeout_ms = self.shard.settings.write_timeout_ms.min(self.patience.borrow().left_ms());
        let since_ms = self.shard.wheel.now_ms();
        let watch = self.watch.get_or_init(Watch::of_task);
        self.shard.wheel.arm(watch, timeout_ms, OnExpiry::WakeTask);
        let room = poll_fn(|context| {
            if watch.has_expired() {
                return Poll::Ready(Err(Left));
            }
            watch.set_task(context);
            self.poll_room(context)
        })
        .await;
        watch.disarm();
        self.patience.borrow_mut().waited(self.shard.wheel.now_ms() - since_ms);
        if watch.has_expired() {
            self.stalled.set(true);
            self.shard.stats.borrow_mut().counters.http2_events.count(Http2Event::SlowReader);
            self.reset(Reason::CANCEL);
        }
        room
    }

    fn room_at_once(&self, wanted: usize) -> Result<Option<usize>, Left> {
        let mut answer = self.answer.borrow_mut();
        let answer = answer.as_mut().ok_or(Left)?;
        answer.reserve_capacity(wanted);
        Ok(Some(answer.capacity()).filter(|room| *room > 0))
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<usize, Left>> {
        let mut answer = self.answer.borrow_mut();
        let Some(answer) = answer.as_mut() else { return Poll::Ready(Err(Left)) };
        match answer.poll_capacity(context) {
            Poll::Ready(Some(Ok(room))) => Poll::Ready(Ok(room)),
            Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Err(Left)),
            Poll::Pending => Poll::Pending,
        }
    }
}
