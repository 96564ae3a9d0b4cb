//! A client's connection over HTTP/2 (RFC 9113): one task for the connection, one for each stream, and the same
//! pipeline behind them.
//!
//! The `h2` library speaks the protocol and bounds what a peer makes it hold; what only costs time is metered
//! here ([`FrameMeter`]), and a connection that exceeds its budget is ended with ENHANCE_YOUR_CALM. Streams that
//! the gateway still works for are at most twice `http2_streams_max`, however fast a client resets them.

mod answer;
mod event;
pub(crate) mod fields;
mod request_body;
mod stream;
mod workers;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use turnpike_http::{FrameMeter, FrameRates, GoawayReader};
use turnpike_rt::{Observer, PollTransport, Turn};

pub(crate) use event::{Http2Event, Http2Events};
pub(crate) use request_body::{BodyEnd, RequestBody};
pub(crate) use stream::{Left, Stream};
pub(crate) use workers::Workers;

use workers::Job;

use crate::connection::Client;
use crate::settings::Settings;
use crate::shard::Shard;
use crate::wheel::OnExpiry;

/// What a client that speaks HTTP/2 without having negotiated it begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// For a client to leave that was told to.
const LEAVE_MS: u64 = 1_000;

/// Whether a connection's first bytes are HTTP/2's preface, as far as they go.
pub(crate) fn is_preface(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().zip(PREFACE).all(|(byte, expected)| byte == expected)
}

/// What a connection's tasks share.
#[derive(Debug)]
struct Connection {
    shard: Rc<Shard>,
    client: Rc<Client>,
    /// That tasks work for.
    streams: Cell<usize>,
    /// The connection's task.
    task: RefCell<Option<Waker>>,
}

impl Connection {
    fn stream_ended(&self) {
        self.streams.set(self.streams.get() - 1);
        if self.streams.get() == 0
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    fn count(&self, event: Http2Event) {
        self.shard.stats.borrow_mut().counters.http2_events.count(event);
    }
}

/// Counts what a client sends.
struct Meter {
    frames: FrameMeter,
    goaway: GoawayReader,
    shard: Rc<Shard>,
}

impl Observer for Meter {
    fn received(&mut self, bytes: &[u8]) {
        self.frames.receive(bytes, self.shard.wheel.now_ms() / 1_000);
    }

    fn sent(&mut self, bytes: &[u8]) {
        self.frames.send(bytes.len());
        self.goaway.read(bytes);
    }
}

type Protocol = h2::server::Connection<PollTransport<Meter>, Bytes>;

/// Serves a connection whose first bytes, `ahead`, begin with the preface, until either side ends it.
pub(crate) async fn serve(shard: Rc<Shard>, client: Rc<Client>, ahead: Vec<u8>) {
    shard.stats.borrow_mut().counters.http2_connections_total += 1;
    let rates = FrameRates {
        control_per_second_max: shard.settings.http2_control_frames_per_second_max,
        resets_per_second_max: shard.settings.http2_resets_per_second_max,
    };
    let meter = Meter {
        frames: FrameMeter::of_client(rates),
        goaway: GoawayReader::default(),
        shard: Rc::clone(&shard),
    };
    let (io, turn) =
        turnpike_rt::poll_transport(Rc::clone(&client.stream), Rc::clone(&shard.scratch), meter, ahead);
    let connection = Rc::new(Connection { shard, client, streams: Cell::new(0), task: RefCell::new(None) });
    if let Some(protocol) = shake_hands(&connection, io, &turn).await {
        let mut driver = Driver {
            connection: Rc::clone(&connection),
            protocol,
            turn,
            waits: Waits::ForStreams,
            fields_since_ms: None,
            leaving: Leaving::No,
        };
        poll_fn(|context| driver.poll(context)).await;
        driver.enter(Waits::ForStreams);
    }
    // Streams see that their client is gone, and end.
    poll_fn(|context| {
        *connection.task.borrow_mut() = Some(context.waker().clone());
        if connection.streams.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn shake_hands(
    connection: &Connection,
    io: PollTransport<Meter>,
    turn: &Turn<Meter>,
) -> Option<Protocol> {
    let (shard, watch) = (&connection.shard, &connection.client.watch);
    shard.wheel.arm(watch, shard.settings.read_head_timeout_ms, OnExpiry::EndBoth);
    let mut shaken = pin!(builder(&shard.settings).handshake(io));
    let protocol = poll_fn(|context| {
        let polled = shaken.as_mut().poll(context);
        turn.finish(context);
        polled
    })
    .await;
    if watch.has_expired() {
        connection.count(Http2Event::SlowFields);
    }
    watch.disarm();
    protocol.ok()
}

fn builder(settings: &Settings) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.http2_streams_max)
        .initial_window_size(settings.http2_stream_window_bytes)
        .initial_connection_window_size(settings.http2_connection_window_bytes)
        .max_frame_size(settings.http2_frame_bytes_max)
        .max_header_list_size(settings.http2_header_list_bytes_max)
        .max_send_buffer_size(settings.http2_send_buffer_bytes_max)
        .max_local_error_reset_streams(Some(settings.http2_error_resets_max));
    builder
}

/// What a connection's only deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Those have deadlines of their own.
    ForStreams,
    /// The client to take what was sent; so many batches were.
    ToSend(u64),
    ForFields,
    /// No stream is open.
    Idle,
    /// The client to close, after it was told to.
    ToLeave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Told that no stream will be taken any more; those under way finish.
    Gracefully,
    AtOnce,
}

/// The connection's own task.
struct Driver {
    connection: Rc<Connection>,
    protocol: Protocol,
    turn: Turn<Meter>,
    waits: Waits,
    /// When the client began fields that it hasn't ended.
    fields_since_ms: Option<u64>,
    leaving: Leaving,
}

impl Driver {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.connection.client.watch.set_task(context);
        *self.connection.task.borrow_mut() = Some(context.waker().clone());
        self.meet_deadline();
        self.obey_drain();
        let ended = self.poll_protocol(context);
        self.turn.finish(context);
        if ended.is_ready() {
            return Poll::Ready(());
        }
        self.set_deadline();
        Poll::Pending
    }

    fn poll_protocol(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.protocol.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => self.start(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    self.count_end(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => match self.turn.observed(|meter| meter.frames.exceeded()) {
                    Some(kind) if self.leaving != Leaving::AtOnce => {
                        self.connection.count(Http2Event::of_flood(kind));
                        self.leave(Reason::ENHANCE_YOUR_CALM);
                    }
                    _ => return Poll::Pending,
                },
            }
        }
    }

    /// The library may come upon its own limit while the meter's is still to be looked at.
    fn count_end(&self, error: &h2::Error) {
        let event = self.turn.observed(|meter| {
            let told = Http2Event::of_error(error, meter.goaway.debug_data())?;
            Some(meter.frames.exceeded().map_or(told, Http2Event::of_flood))
        });
        if let Some(event) = event {
            self.connection.count(event);
        }
    }

    fn start(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let connection = &self.connection;
        let streams = connection.streams.get();
        if streams >= 2 * connection.shard.settings.http2_streams_max as usize {
            connection.count(Http2Event::StreamRefused);
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        connection.streams.set(streams + 1);
        let job = Job { connection: Rc::clone(connection), request, respond };
        connection.shard.http2_workers.start(&connection.shard, job);
    }

    /// Ends the connection as soon as the client has been told why.
    fn leave(&mut self, reason: Reason) {
        self.leaving = Leaving::AtOnce;
        self.protocol.abrupt_shutdown(reason);
    }

    fn obey_drain(&mut self) {
        if self.leaving == Leaving::No && self.connection.shard.is_draining() {
            self.leaving = Leaving::Gracefully;
            self.protocol.graceful_shutdown();
        }
    }

    fn meet_deadline(&mut self) {
        if !self.connection.client.watch.has_expired() || self.leaving == Leaving::AtOnce {
            return;
        }
        match self.waits {
            Waits::Idle | Waits::ToLeave => self.leave(Reason::NO_ERROR),
            Waits::ForFields => {
                self.connection.count(Http2Event::SlowFields);
                self.leave(Reason::ENHANCE_YOUR_CALM);
            }
            // The transport was ended, which the protocol sees.
            Waits::ToSend(_) | Waits::ForStreams => {}
        }
    }

    fn set_deadline(&mut self) {
        let now_ms = self.connection.shard.wheel.now_ms();
        let owes_fields = self.turn.observed(|meter| meter.frames.owes_fields());
        self.fields_since_ms = owes_fields.then(|| self.fields_since_ms.unwrap_or(now_ms));
        let waits = match self.turn.progress() {
            (batches, true) => Waits::ToSend(batches),
            _ if owes_fields => Waits::ForFields,
            _ if self.connection.streams.get() > 0 => Waits::ForStreams,
            _ if self.leaving == Leaving::No => Waits::Idle,
            _ => Waits::ToLeave,
        };
        if waits != self.waits {
            self.enter(waits);
        }
    }

    fn enter(&mut self, waits: Waits) {
        let (shard, watch) = (&self.connection.shard, &self.connection.client.watch);
        let settings = &shard.settings;
        match waits {
            Waits::ForStreams => watch.disarm(),
            Waits::ToSend(_) => shard.wheel.arm(watch, settings.write_timeout_ms, OnExpiry::EndBoth),
            Waits::ForFields => {
                let since_ms = self.fields_since_ms.unwrap_or_default();
                let spent_ms = shard.wheel.now_ms().saturating_sub(since_ms);
                let left_ms = settings.read_head_timeout_ms.saturating_sub(spent_ms);
                shard.wheel.arm(watch, left_ms, OnExpiry::WakeTask);
            }
            Waits::Idle => shard.wheel.arm(watch, settings.idle_timeout_ms, OnExpiry::WakeTask),
            Waits::ToLeave => shard.wheel.arm(watch, LEAVE_MS, OnExpiry::WakeTask),
        }
        let mut stats = shard.stats.borrow_mut();
        stats.gauges.connections_idle += u64::from(waits == Waits::Idle);
        stats.gauges.connections_idle -= u64::from(self.waits == Waits::Idle);
        drop(stats);
        self.waits = waits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_is_known_by_its_first_bytes() {
        for length in 1..=PREFACE.len() {
            assert!(is_preface(&PREFACE[..length]));
        }
        assert!(is_preface(&[PREFACE, b"frames"].concat()));
        assert!(!is_preface(b"") && !is_preface(b"PRI * HTTP/2.1\r\n") && !is_preface(b"PUT / HTTP/1.1\r\n"));
    }
}
