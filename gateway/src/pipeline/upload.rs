//! The rest of a request's body, on its way to the upstream while the answer may already come back.
//!
//! Buffers one piece, at most 128 KiB: the next is read when the upstream has taken the last, so that a
//! slow upstream slows its client down.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use turnpike_rt::Transport;

use super::body::Body;
use super::decompress::Source;
use super::incoming::Incoming;
use super::patience::Patience;
use super::pieces::{self, Pace};
use super::{Exchange, Refusal};
use crate::http2::{BodyEnd, RequestBody};
use crate::shard::Shard;
use crate::table::Integration;
use crate::upstream::Connection;
use crate::wheel::{OnExpiry, Watch};

/// A body that is being sent.
#[derive(Debug)]
pub(super) struct Upload {
    shard: Rc<Shard>,
    client: Rc<Transport>,
    /// Deadlines of reading from the client, apart from those of answering it.
    client_watch: Rc<Watch>,
    upstream: Rc<Transport>,
    upstream_watch: Rc<Watch>,
    timeout_ms: u64,
    body: Incoming,
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
#[derive(Debug, Clone)]
pub(super) struct UploadControl {
    client_watch: Rc<Watch>,
    upstream: Rc<Transport>,
    stopped: Rc<Cell<bool>>,
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
        self.upstream.shutdown(Shutdown::Both);
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
        Self {
            shard: Rc::clone(exchange.shard),
            client: Rc::clone(&exchange.client.stream),
            client_watch: Watch::new(Rc::clone(&exchange.client.stream)),
            upstream: Rc::clone(&connection.stream),
            upstream_watch: Watch::new(Rc::clone(&connection.stream)),
            timeout_ms: integration.timeout_ms,
            body,
            patience: Patience::for_body(&exchange.shard.settings),
        }
    }

    pub(super) fn control(&self) -> UploadControl {
        UploadControl {
            client_watch: Rc::clone(&self.client_watch),
            upstream: Rc::clone(&self.upstream),
            stopped: Rc::default(),
        }
    }

    /// Sends the body to its end.
    pub(super) async fn run(mut self, control: UploadControl, bytes_in: &Cell<u64>) -> Uploaded {
        let mut piece = self.shard.buffers.large();
        let mut pace = Pace::default();
        let uploaded = loop {
            piece.clear();
            let ahead = match self.receive(&mut piece, &mut pace, &control, bytes_in).await {
                Ok(ahead) => ahead,
                Err(ended) => break ended,
            };
            let (sent, returned) = pieces::send(&self.upstream, std::mem::take(&mut piece), || {
                self.shard.wheel.arm(&self.upstream_watch, self.timeout_ms, OnExpiry::EndBoth);
            })
            .await;
            piece = returned;
            self.upstream_watch.disarm();
            match sent {
                Err(_) if control.stopped.get() => break Uploaded::Stopped,
                Err(_) => break Uploaded::UpstreamEnded,
                Ok(()) if self.body.is_done() => break Uploaded::Whole(ahead),
                Ok(()) => {}
            }
        };
        self.client_watch.disarm();
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
        match &mut self.body {
            Incoming::Http1(body) => {
                let left = body.left().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
                self.receive_bytes(piece, left, pace, control, bytes_in).await?;
                let taken = self.take(piece).map_err(Uploaded::Refused)?;
                Ok(piece.split_off(taken))
            }
            Incoming::Http2(body) => {
                fill(&self.shard, &mut self.patience, body, piece, control, bytes_in).await?;
                Ok(Vec::new())
            }
            Incoming::Decoded(_) => {
                let mut coded = self.shard.buffers.large();
                let received = self.receive_decoded(piece, &mut coded, pace, control, bytes_in).await;
                self.shard.buffers.give(coded);
                received
            }
        }
    }

    /// As [`receive`](Self::receive), of a compressed body: as much as it comes to in one turn.
    async fn receive_decoded(
        &mut self,
        piece: &mut Vec<u8>,
        coded: &mut Vec<u8>,
        pace: &mut Pace,
        control: &UploadControl,
        bytes_in: &Cell<u64>,
    ) -> Result<Vec<u8>, Uploaded> {
        loop {
            turnpike_rt::yield_now().await;
            let Incoming::Decoded(decoded) = &mut self.body else { return Err(Uploaded::Stopped) };
            decoded.encode(&self.shard.settings, piece).map_err(Uploaded::Refused)?;
            if decoded.is_done() || !piece.is_empty() {
                let ahead = if decoded.is_done() { std::mem::take(&mut decoded.ahead) } else { Vec::new() };
                return Ok(ahead);
            }
            coded.clear();
            match &mut decoded.source {
                Source::Http1(body) => {
                    let left =
                        body.left().map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
                    self.receive_bytes(coded, left, pace, control, bytes_in).await?;
                }
                Source::Http2(body) => {
                    fill(&self.shard, &mut self.patience, body, coded, control, bytes_in).await?;
                }
            }
            let Incoming::Decoded(decoded) = &mut self.body else { return Err(Uploaded::Stopped) };
            decoded.add(coded, &self.shard.settings).map_err(Uploaded::Refused)?;
        }
    }

    async fn receive_bytes(
        &mut self,
        piece: &mut Vec<u8>,
        left: usize,
        pace: &mut Pace,
        control: &UploadControl,
        bytes_in: &Cell<u64>,
    ) -> Result<(), Uploaded> {
        let received = match pace.receive(&self.client, piece, left).await {
            Some(received) => received,
            None => self.await_piece(piece, left).await,
        };
        match received {
            Ok(count) if count > 0 => {
                bytes_in.set(bytes_in.get() + count as u64);
                self.patience.came(count);
                Ok(())
            }
            _ if control.stopped.get() => Err(Uploaded::Stopped),
            Err(_) if self.client_watch.has_expired() => Err(Uploaded::Refused(impatience(&self.patience))),
            _ => Err(Uploaded::ClientGone),
        }
    }

    async fn await_piece(&mut self, piece: &mut Vec<u8>, bytes_max: usize) -> io::Result<usize> {
        let timeout_ms = self.shard.settings.read_body_timeout_ms.min(self.patience.left_ms());
        let since_ms = self.shard.wheel.now_ms();
        self.shard.wheel.arm(&self.client_watch, timeout_ms, OnExpiry::TakeBuffer);
        let cancel = &self.client_watch.cancel;
        let (received, returned) =
            self.client.recv_cancelable_at_most(std::mem::take(piece), bytes_max, cancel).await;
        *piece = returned;
        self.patience.waited(self.shard.wheel.now_ms() - since_ms);
        received
    }

    fn take(&mut self, piece: &[u8]) -> Result<usize, Refusal> {
        let Incoming::Http1(body) = &mut self.body else { return Ok(piece.len()) };
        let taken = body.take(piece).map_err(Refusal::Chunk)?;
        // A length was checked when the request began.
        if matches!(body, Body::Chunked(_)) && body.exceeds(self.shard.settings.body_bytes_max) {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(taken)
    }
}

/// The next piece of a body that comes on a stream.
async fn fill(
    shard: &Shard,
    patience: &mut Patience,
    body: &mut RequestBody,
    piece: &mut Vec<u8>,
    control: &UploadControl,
    bytes_in: &Cell<u64>,
) -> Result<(), Uploaded> {
    let timeout_ms = shard.settings.read_body_timeout_ms.min(patience.left_ms());
    let since_ms = shard.wheel.now_ms();
    let filled = body.fill(shard, timeout_ms, piece, || control.stopped.get()).await;
    bytes_in.set(bytes_in.get() + piece.len() as u64);
    patience.waited(shard.wheel.now_ms() - since_ms);
    match filled {
        Ok(()) => patience.came(piece.len()),
        Err(BodyEnd::Left) => return Err(Uploaded::ClientGone),
        Err(BodyEnd::TimedOut) => return Err(Uploaded::Refused(impatience(patience))),
        Err(BodyEnd::Stopped) => return Err(Uploaded::Stopped),
    }
    let fits = body.payload_bytes() <= shard.settings.body_bytes_max;
    if fits { Ok(()) } else { Err(Uploaded::Refused(Refusal::BodyTooLarge)) }
}

/// Why the client is waited for no longer.
fn impatience(patience: &Patience) -> Refusal {
    if patience.left_ms() == 0 { Refusal::BodyTooSlow } else { Refusal::ReadTimeout }
}
