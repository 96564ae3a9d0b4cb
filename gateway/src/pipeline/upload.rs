//! The rest of a request's body, on its way to the upstream while the answer may already come back.
//!
//! Buffers one piece, at most 128 KiB: the next is read when the upstream has taken the last, so that a
//! slow upstream slows its client down.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use turnpike_rt::Transport;

use super::incoming::Incoming;
use super::integrate::UpstreamFault;
use super::patience::Patience;
use super::pieces::{self, Pace};
use super::{Exchange, Failure, Refusal};
use crate::http2::{BodyEnd, RequestBody};
use crate::shard::Shard;
use crate::table::Integration;
use crate::upstream::Connection;
use crate::wheel::{OnExpiry, Watch};

/// A body that is being sent.
#[derive(Debug)]
pub(super) struct Upload {
    shard: Rc<Shard>,
    client: ClientBytes,
    control: Rc<UploadControl>,
    timeout_ms: u64,
    body: Incoming,
}

/// What comes from a client, and how long it is waited for.
#[derive(Debug)]
pub(super) struct ClientBytes {
    shard: Rc<Shard>,
    stream: Rc<Transport>,
    /// Deadlines of reading, apart from those of answering.
    watch: Rc<Watch>,
    patience: Patience,
}

/// How an upload ended.
#[derive(Debug)]
pub(super) enum Uploaded {
    /// All of it was sent; these bytes came behind it.
    Whole(Vec<u8>),
    /// The upstream takes no more of it, which may still be followed by an answer.
    UpstreamEnded,
    /// The client is at fault.
    Refused(Refusal),
    ClientGone,
    /// The answer was complete before the body was.
    Stopped,
}

/// Lets the answer's side see and end an upload.
#[derive(Debug)]
pub(super) struct UploadControl {
    client_watch: Rc<Watch>,
    upstream: Rc<Transport>,
    /// How long the upstream may take to take a piece, apart from the deadlines of its answer.
    upstream_watch: Rc<Watch>,
    stopped: Cell<bool>,
    /// The gateway has ended the upstream's connection.
    ended: Cell<bool>,
}

impl UploadControl {
    /// Ends the upload soon; it is still to be awaited.
    pub(super) fn stop(&self) {
        self.stopped.set(true);
        self.client_watch.cancel.cancel();
        self.end_upstream();
    }

    /// Ends what is pending on the upstream's connection, the answer included.
    pub(super) fn end_upstream(&self) {
        self.ended.set(true);
        self.upstream.shutdown(Shutdown::Both);
    }

    /// Why the upstream's connection has ended, if that was the gateway's doing: what came of an answer is then no
    /// whole one.
    pub(super) fn own_end(&self) -> Option<UpstreamFault> {
        if self.upstream_watch.has_expired() {
            return Some(UpstreamFault::TimedOut);
        }
        self.ended.get().then_some(UpstreamFault::Closed)
    }
}

impl Upload {
    pub(super) fn new(
        exchange: &Exchange<'_>,
        connection: &Connection,
        integration: &Integration,
        body: Incoming,
    ) -> Self {
        // The answer isn't due before the body is sent; until then, the upload keeps the time.
        connection.watch.disarm();
        let client = ClientBytes::new(exchange);
        let control = Rc::new(UploadControl {
            client_watch: Rc::clone(&client.watch),
            upstream: Rc::clone(&connection.stream),
            upstream_watch: Watch::new(Rc::clone(&connection.stream)),
            stopped: Cell::new(false),
            ended: Cell::new(false),
        });
        Self { shard: Rc::clone(exchange.shard), client, control, timeout_ms: integration.timeout_ms, body }
    }

    pub(super) fn control(&self) -> Rc<UploadControl> {
        Rc::clone(&self.control)
    }

    /// Sends the body to its end.
    pub(super) async fn run(mut self, bytes_in: &Cell<u64>) -> Uploaded {
        let control = self.control();
        let mut piece = self.shard.buffers.large();
        let mut pace = Pace::default();
        let uploaded = loop {
            piece.clear();
            let ahead = match self.receive(&mut piece, &mut pace, &control, bytes_in).await {
                Ok(ahead) => ahead,
                Err(ended) => break ended,
            };
            let (sent, returned) = pieces::send(&control.upstream, std::mem::take(&mut piece), || {
                self.shard.wheel.arm(&control.upstream_watch, self.timeout_ms, OnExpiry::EndBoth);
            })
            .await;
            piece = returned;
            control.upstream_watch.disarm();
            match sent {
                Err(_) if control.stopped.get() => break Uploaded::Stopped,
                Err(_) => break Uploaded::UpstreamEnded,
                Ok(()) if self.body.is_done() => break Uploaded::Whole(ahead),
                Ok(()) => {}
            }
        };
        self.client.rest();
        self.shard.buffers.give(piece);
        uploaded
    }

    /// The next piece of the body; returns what came behind the body's end.
    async fn receive(
        &mut self,
        piece: &mut Vec<u8>,
        pace: &mut Pace,
        control: &UploadControl,
        bytes_in: &Cell<u64>,
    ) -> Result<Vec<u8>, Uploaded> {
        if control.stopped.get() {
            return Err(Uploaded::Stopped);
        }
        let is_stopped = || control.stopped.get();
        match &mut self.body {
            Incoming::Http1(body) => {
                let came = self.client.receive(piece, body.left(), pace, is_stopped).await?;
                bytes_in.set(bytes_in.get() + came as u64);
                let taken = self.take(piece).map_err(Uploaded::Refused)?;
                Ok(piece.split_off(taken))
            }
            Incoming::Http2(body) => {
                let came = self.client.fill(body, piece, is_stopped).await?;
                bytes_in.set(bytes_in.get() + came as u64);
                Ok(Vec::new())
            }
            Incoming::Decoded(decoded) => {
                let came = decoded.next(&mut self.client, pace, piece, is_stopped).await?;
                bytes_in.set(bytes_in.get() + came);
                Ok(if decoded.is_done() { std::mem::take(&mut decoded.ahead) } else { Vec::new() })
            }
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<usize, Refusal> {
        let Incoming::Http1(body) = &mut self.body else { return Ok(piece.len()) };
        let taken = body.take(piece).map_err(Refusal::Chunk)?;
        if body.has_outgrown(self.shard.settings.body_bytes_max) {
            Err(Refusal::BodyTooLarge)
        } else {
            Ok(taken)
        }
    }
}

impl ClientBytes {
    pub(super) fn new(exchange: &Exchange<'_>) -> Self {
        Self {
            shard: Rc::clone(exchange.shard),
            stream: Rc::clone(&exchange.client.stream),
            watch: Watch::new(Rc::clone(&exchange.client.stream)),
            patience: Patience::for_body(&exchange.shard.settings),
        }
    }

    /// Appends the next bytes on a connection of its own, at most as many as are left; how many.
    pub(super) async fn receive(
        &mut self,
        piece: &mut Vec<u8>,
        left: Option<u64>,
        pace: &mut Pace,
        is_stopped: impl Fn() -> bool,
    ) -> Result<usize, Uploaded> {
        let bytes_max = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let received = match pace.receive(&self.stream, piece, bytes_max).await {
            Some(received) => received,
            None => self.await_piece(piece, bytes_max).await,
        };
        match received {
            Ok(count) if count > 0 => {
                self.patience.came(count);
                Ok(count)
            }
            _ if is_stopped() => Err(Uploaded::Stopped),
            Err(_) if self.watch.has_expired() => Err(Uploaded::Refused(self.impatience())),
            _ => Err(Uploaded::ClientGone),
        }
    }

    async fn await_piece(&mut self, piece: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        let timeout_ms = self.shard.settings.read_body_timeout_ms.min(self.patience.left_ms());
        let since_ms = self.shard.wheel.now_ms();
        self.shard.wheel.arm(&self.watch, timeout_ms, OnExpiry::TakeBuffer);
        let cancel = &self.watch.cancel;
        let (received, returned) =
            self.stream.recv_cancelable_at_most(std::mem::take(piece), bytes_max, cancel).await;
        *piece = returned;
        self.patience.waited(self.shard.wheel.now_ms() - since_ms);
        received
    }

    /// Appends the next bytes of a body that comes on a stream; how many.
    pub(super) async fn fill(
        &mut self,
        body: &mut RequestBody,
        piece: &mut Vec<u8>,
        is_stopped: impl Fn() -> bool,
    ) -> Result<usize, Uploaded> {
        let timeout_ms = self.shard.settings.read_body_timeout_ms.min(self.patience.left_ms());
        let (since_ms, before) = (self.shard.wheel.now_ms(), piece.len());
        let filled = body.fill(&self.shard, timeout_ms, piece, is_stopped).await;
        self.patience.waited(self.shard.wheel.now_ms() - since_ms);
        let came = piece.len() - before;
        match filled {
            Ok(()) => self.patience.came(came),
            Err(BodyEnd::Left) => return Err(Uploaded::ClientGone),
            Err(BodyEnd::TimedOut) => return Err(Uploaded::Refused(self.impatience())),
            Err(BodyEnd::Stopped) => return Err(Uploaded::Stopped),
        }
        let fits = body.payload_bytes() <= self.shard.settings.body_bytes_max;
        if fits { Ok(came) } else { Err(Uploaded::Refused(Refusal::BodyTooLarge)) }
    }

    pub(super) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    /// No more is read for now.
    pub(super) fn rest(&self) {
        self.watch.disarm();
    }

    /// Why the client is waited for no longer.
    fn impatience(&self) -> Refusal {
        if self.patience.left_ms() == 0 { Refusal::BodyTooSlow } else { Refusal::ReadTimeout }
    }
}

impl From<Uploaded> for Failure {
    /// Of an upload that hasn't begun.
    fn from(ended: Uploaded) -> Self {
        match ended {
            Uploaded::Refused(refusal) => Self::Refused(refusal),
            Uploaded::Whole(_) | Uploaded::UpstreamEnded | Uploaded::ClientGone | Uploaded::Stopped => {
                Self::ClientGone
            }
        }
    }
}
