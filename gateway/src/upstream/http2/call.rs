//! One exchange with an upstream over HTTP/2, which the pipeline sees as a connection that speaks HTTP/1.1: it sends
//! the request's bytes and receives the answer's.
//!
//! Bytes are taken as the upstream's windows allow. Of an answer, a call holds at most one DATA frame that
//! the pipeline has had no room for; the rest waits in the stream's window.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use turnpike_http::{ChunkLimits, ChunkedDecoder, Framing, encode};
use turnpike_rt::Channel;

use super::Multiplexed;
use super::head::{self, AnswerFraming};
use crate::http2::fields;

/// A piece isn't split further to fit a window.
const PIECE_BYTES: usize = 16 * 1024;

pub(super) struct Call {
    connection: Rc<Multiplexed>,
    outgoing: RefCell<Outgoing>,
    incoming: RefCell<Incoming>,
    /// Of the answer, and not taken yet.
    received: RefCell<Vec<u8>>,
    /// To be reset, if need be.
    stream: RefCell<Option<SendStream<Bytes>>>,
    to_head: Cell<bool>,
    ended: Cell<bool>,
    unprocessed: Cell<bool>,
    /// Of who reads and who writes.
    wakers: RefCell<[Option<Waker>; 2]>,
}

/// What is being sent.
enum Outgoing {
    /// The head, as far as it has come.
    Head(Vec<u8>),
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Box<Chunked>),
    Done,
}

struct Chunked {
    decoder: ChunkedDecoder,
    trailers: Vec<u8>,
}

/// What is being received.
enum Incoming {
    /// The request hasn't been sent.
    Nothing,
    Head(ResponseFuture),
    Body {
        body: RecvStream,
        framing: AnswerFraming,
    },
    Done,
}

const READER: usize = 0;
const WRITER: usize = 1;

impl std::fmt::Debug for Call {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Call").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Call {
    pub(super) fn new(connection: Rc<Multiplexed>) -> Self {
        Self {
            connection,
            outgoing: RefCell::new(Outgoing::Head(Vec::new())),
            incoming: RefCell::new(Incoming::Nothing),
            received: RefCell::default(),
            stream: RefCell::new(None),
            to_head: Cell::new(false),
            ended: Cell::new(false),
            unprocessed: Cell::new(false),
            wakers: RefCell::default(),
        }
    }

    fn wait(&self, who: usize, context: &Context<'_>) {
        self.wakers.borrow_mut()[who] = Some(context.waker().clone());
    }

    fn wake(&self) {
        self.wakers.take().into_iter().flatten().for_each(Waker::wake);
    }

    /// Collects the head; sends it when it is whole.
    fn poll_send_head(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(mut requests) = ready!(self.connection.poll_open(context)) else {
            // Whoever made the connection found that it couldn't be made, or it has ended since.
            self.unprocessed.set(true);
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing::Head(text) = &mut *outgoing else { return Poll::Ready(Ok(0)) };
        let before = text.len();
        text.extend_from_slice(bytes);
        let scheme = self.connection.scheme();
        let parsed = head::request(text, &scheme).map_err(|()| io::ErrorKind::InvalidInput)?;
        let Some(parsed) = parsed else { return Poll::Ready(Ok(bytes.len())) };
        let taken = parsed.head_bytes - before;
        *outgoing = match parsed.framing {
            Framing::None | Framing::Length(0) => Outgoing::Done,
            Framing::Length(length) => Outgoing::Length(length),
            Framing::Chunked => Outgoing::Chunked(Box::new(Chunked {
                decoder: ChunkedDecoder::new(ChunkLimits::default()),
                trailers: Vec::new(),
            })),
        };
        let ends = matches!(*outgoing, Outgoing::Done);
        drop(outgoing);
        self.to_head.set(parsed.request.method() == http::Method::HEAD);
        self.send_request(&mut requests, parsed.request, ends)?;
        self.wake();
        Poll::Ready(Ok(taken))
    }

    fn send_request(
        &self,
        requests: &mut SendRequest<Bytes>,
        request: http::Request<()>,
        ends: bool,
    ) -> io::Result<()> {
        match requests.send_request(request, ends) {
            Ok((response, stream)) => {
                *self.incoming.borrow_mut() = Incoming::Head(response);
                *self.stream.borrow_mut() = Some(stream);
                Ok(())
            }
            Err(error) => {
                // Not a byte has left.
                self.unprocessed.set(true);
                Err(io::Error::other(error))
            }
        }
    }

    /// Sends as much of a body as the upstream takes.
    fn poll_send_body(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(context, bytes.len()))?;
        let bytes = &bytes[..bytes.len().min(room)];
        let mut outgoing = self.outgoing.borrow_mut();
        let (taken, done) = match &mut *outgoing {
            Outgoing::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                self.send_data(&bytes[..taken], *left == 0)?;
                (taken, *left == 0)
            }
            Outgoing::Chunked(chunked) => {
                let step = chunked.decoder.step(bytes).map_err(io::Error::other)?;
                if let Some(data) = step.data {
                    self.send_data(&bytes[data], false)?;
                }
                chunked.trailers.extend_from_slice(&bytes[step.trailers]);
                if step.done {
                    self.send_end(&chunked.trailers)?;
                }
                (step.consumed, step.done)
            }
            Outgoing::Head(_) | Outgoing::Done => (bytes.len(), true),
        };
        if done {
            *outgoing = Outgoing::Done;
        }
        Poll::Ready(Ok(taken))
    }

    /// How much may be sent; framing alone needs no room, but waits like the rest.
    fn poll_room(&self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.reserve_capacity(wanted.min(PIECE_BYTES));
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match ready!(stream.poll_capacity(context)) {
            Some(Ok(room)) => Poll::Ready(Ok(room)),
            Some(Err(error)) => Poll::Ready(Err(self.failure(error))),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn send_data(&self, data: &[u8], ends: bool) -> io::Result<()> {
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.send_data(Bytes::copy_from_slice(data), ends).map_err(|error| self.failure(error))
    }

    fn send_end(&self, trailers: &[u8]) -> io::Result<()> {
        if trailers.is_empty() {
            return self.send_data(&[], true);
        }
        let mut stream = self.stream.borrow_mut();
        let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.send_trailers(fields::trailers(trailers)).map_err(|error| self.failure(error))
    }

    /// RFC 9113 8.7: a refused stream, and one above a GOAWAY's last, was not processed.
    fn failure(&self, error: h2::Error) -> io::Error {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        if error.is_remote() && (refused || error.is_go_away()) {
            self.unprocessed.set(true);
        }
        io::Error::other(error)
    }

    fn poll_head(
        &self,
        context: &mut Context<'_>,
        response: &mut ResponseFuture,
        out: &mut Vec<u8>,
    ) -> Poll<io::Result<Option<Incoming>>> {
        match response.poll_informational(context) {
            Poll::Ready(Some(Ok(informational))) => {
                head::interim(&informational, out);
                return Poll::Ready(Ok(None));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.failure(error))),
            Poll::Ready(None) | Poll::Pending => {}
        }
        let response = match ready!(Pin::new(response).poll(context)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(self.failure(error))),
        };
        let ends = response.body().is_end_stream();
        let framing = head::answer(&response, ends, self.to_head.get(), out);
        Poll::Ready(Ok(Some(if ends || framing == AnswerFraming::None {
            Incoming::Done
        } else {
            Incoming::Body { body: response.into_body(), framing }
        })))
    }

    /// Appends the next piece of the body in its framing; true at its end.
    fn poll_body(
        &self,
        context: &mut Context<'_>,
        body: &mut RecvStream,
        framing: AnswerFraming,
        out: &mut Vec<u8>,
    ) -> Poll<io::Result<bool>> {
        if let Some(data) = ready!(body.poll_data(context)) {
            let data = data.map_err(|error| self.failure(error))?;
            // It was received; the stream may be gone since, and its windows with it.
            let _ = body.flow_control().release_capacity(data.remaining());
            match framing {
                AnswerFraming::Chunked => encode::chunk(out, &data),
                AnswerFraming::Length | AnswerFraming::None => out.extend_from_slice(&data),
            }
            return Poll::Ready(Ok(false));
        }
        let trailers = ready!(body.poll_trailers(context)).map_err(|error| self.failure(error))?;
        if framing == AnswerFraming::Chunked {
            out.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                fields::trailer_lines(&trailers, out);
            }
            out.extend_from_slice(b"\r\n");
        }
        Poll::Ready(Ok(true))
    }

    /// Appends the next bytes of the answer, as many as come together.
    fn poll_answer(&self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let mut incoming = self.incoming.borrow_mut();
        let next = match &mut *incoming {
            Incoming::Nothing => {
                self.wait(READER, context);
                return Poll::Pending;
            }
            Incoming::Head(response) => match ready!(self.poll_head(context, response, out))? {
                Some(next) => next,
                None => return Poll::Ready(Ok(())),
            },
            Incoming::Body { body, framing } => {
                if !ready!(self.poll_body(context, body, *framing, out))? {
                    return Poll::Ready(Ok(()));
                }
                Incoming::Done
            }
            Incoming::Done => return Poll::Ready(Ok(())),
        };
        *incoming = next;
        Poll::Ready(Ok(()))
    }
}

impl Channel for Call {
    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Poll<io::Result<usize>> {
        if self.ended.get() {
            return Poll::Ready(Ok(0));
        }
        let mut received = self.received.borrow_mut();
        while received.is_empty() {
            if matches!(&*self.incoming.borrow(), Incoming::Done) {
                return Poll::Ready(Ok(0));
            }
            ready!(self.poll_answer(context, &mut received))?;
        }
        let count = received.len().min(bytes_max);
        buffer.extend_from_slice(&received[..count]);
        received.drain(..count);
        Poll::Ready(Ok(count))
    }

    fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.ended.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.wait(WRITER, context);
        let in_head = matches!(&*self.outgoing.borrow(), Outgoing::Head(_));
        if in_head { self.poll_send_head(context, bytes) } else { self.poll_send_body(context, bytes) }
    }

    fn end(&self) {
        self.ended.set(true);
        if let Some(stream) = &mut *self.stream.borrow_mut() {
            stream.send_reset(Reason::CANCEL);
        }
        self.wake();
    }

    fn distrust(&self) {
        self.connection.retire();
    }

    fn is_unprocessed(&self) -> bool {
        self.unprocessed.get()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.connection.call_ended();
    }
}
