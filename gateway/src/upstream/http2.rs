//! Connections to upstreams over HTTP/2 (RFC 9113): shared by exchanges, each of which has a [`Call`] that looks like a
//! connection of its own.
//!
//! An exchange goes to a connection that has room for it, also to one that is still being made; a new one is
//! made when all are full. A connection that the upstream ends, or on which an answer is overdue, gets no
//! more exchanges. Invariants: `active` counts the calls that live; a connection that takes no more ends with
//! the last of them.

mod call;
mod head;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::uri::Scheme;
use turnpike_rt::{Transport, poll_transport};

use super::pool::Pool;
use super::room::{Grant, Open};
use super::{ConnectError, Connection};
use crate::settings::Settings;
use crate::shard::Shard;
use crate::wheel::{OnExpiry, Watch};
use call::Call;

/// What a peer allows before it says how much; RFC 9113 6.5.2 recommends no less.
const STREAMS_UNTIL_TOLD: usize = 100;
/// For a connection that isn't used any more to be closed in order.
const LEAVE_MS: u64 = 1_000;

/// The connections of one pool.
pub(super) type Shared = RefCell<Vec<Rc<Multiplexed>>>;

/// One connection.
pub(super) struct Multiplexed {
    shard: Rc<Shard>,
    pool: Rc<Pool>,
    open: Rc<Open>,
    state: RefCell<State>,
    /// Calls that live.
    active: Cell<usize>,
    /// It rests, since then, and counts as resting.
    idle_since_ms: Cell<Option<u64>>,
    /// Calls that wait for the connection to be made.
    waiting: RefCell<Vec<Waker>>,
    /// Of the transport, once there is one.
    watch: RefCell<Option<Rc<Watch>>>,
}

enum State {
    Dialling,
    Open(SendRequest<Bytes>),
    /// Takes no more exchanges.
    Retired,
}

impl std::fmt::Debug for Multiplexed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Multiplexed").field("active", &self.active.get()).finish_non_exhaustive()
    }
}

/// An exchange over a connection that has room for one more, if there is any.
pub(super) fn take(shard: &Shard, pool: &Pool) -> Option<Connection> {
    let connections = pool.shared.borrow();
    connections.iter().find(|connection| connection.has_room(shard)).map(Multiplexed::begin)
}

/// Whether [`take`] would find one.
pub(super) fn has_room(shard: &Shard, pool: &Pool) -> bool {
    pool.shared.borrow().iter().any(|connection| connection.has_room(shard))
}

/// Ends a connection that rests, soon; false if none does.
pub(super) fn evict(pool: &Pool) -> bool {
    let rested = pool
        .shared
        .borrow()
        .iter()
        .find(|connection| connection.idle_since_ms.get().is_some())
        .map(Rc::clone);
    rested.is_some_and(|connection| {
        connection.retire();
        true
    })
}

/// A new connection, and an exchange over it.
pub(super) async fn establish(
    shard: &Rc<Shard>,
    pool: &Rc<Pool>,
    open: Rc<Open>,
    give_up_ms: u64,
) -> Result<Connection, ConnectError> {
    let multiplexed = Rc::new(Multiplexed {
        shard: Rc::clone(shard),
        pool: Rc::clone(pool),
        open,
        state: RefCell::new(State::Dialling),
        active: Cell::new(0),
        idle_since_ms: Cell::new(None),
        waiting: RefCell::default(),
        watch: RefCell::default(),
    });
    // Others may wait for it as well.
    pool.shared.borrow_mut().push(Rc::clone(&multiplexed));
    let connection = Multiplexed::begin(&multiplexed);
    let dialling = Dialling { multiplexed: &multiplexed };
    let transport = pool.dial(shard, &multiplexed.open, give_up_ms).await?;
    std::mem::forget(dialling);
    multiplexed.start(transport).await.map_err(|_| ConnectError::Failed)?;
    Ok(connection)
}

/// Retires a connection whose making failed, or was given up.
struct Dialling<'m> {
    multiplexed: &'m Rc<Multiplexed>,
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        self.multiplexed.retire();
    }
}

/// Ends connections that have rested too long, or all that rest if the pool is `unneeded`, and gives those to addresses
/// that aren't the upstream's any more no further exchanges.
pub(super) fn sweep(shard: &Shard, pool: &Pool, unneeded: bool) {
    let now_ms = shard.wheel.now_ms();
    let idle_timeout_ms = shard.settings.upstream_idle_timeout_ms;
    let over: Vec<Rc<Multiplexed>> = pool
        .shared
        .borrow()
        .iter()
        .filter(|connection| {
            let rested_ms = connection.idle_since_ms.get().map(|since_ms| now_ms.saturating_sub(since_ms));
            connection.open.outdated.get()
                || rested_ms.is_some_and(|rested_ms| unneeded || rested_ms >= idle_timeout_ms)
        })
        .map(Rc::clone)
        .collect();
    over.iter().for_each(|connection| connection.retire());
}

impl Multiplexed {
    /// One more exchange.
    fn begin(this: &Rc<Self>) -> Connection {
        this.rest(false);
        this.active.set(this.active.get() + 1);
        let call = Call::new(Rc::clone(this));
        Connection::over(Transport::Channel(Box::new(call)), &this.pool, Rc::clone(&this.open))
    }

    fn scheme(&self) -> Scheme {
        if self.pool.upstream.security.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    fn has_room(&self, shard: &Shard) -> bool {
        let streams_max = match &mut *self.state.borrow_mut() {
            State::Dialling => STREAMS_UNTIL_TOLD,
            State::Open(requests) => {
                // The library says whether the upstream has taken its leave.
                match requests.poll_ready(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Ok(())) => requests.current_max_send_streams(),
                    Poll::Ready(Err(_)) | Poll::Pending => 0,
                }
            }
            State::Retired => 0,
        };
        self.active.get() < streams_max.min(shard.settings.upstream_http2_streams_max)
    }

    /// Begins HTTP/2 on a new transport; a task of its own then drives it.
    async fn start(self: &Rc<Self>, transport: Transport) -> Result<(), h2::Error> {
        let transport = Rc::new(transport);
        *self.watch.borrow_mut() = Some(Watch::new(Rc::clone(&transport)));
        let (io, turn) = poll_transport(transport, Rc::clone(&self.shard.scratch), (), Vec::new());
        let handshake = builder(&self.shard.settings).handshake::<_, Bytes>(io).await;
        let (requests, connection) = match handshake {
            Ok(shaken) => shaken,
            Err(error) => {
                self.retire();
                return Err(error);
            }
        };
        *self.state.borrow_mut() = State::Open(requests);
        self.waiting.take().into_iter().for_each(Waker::wake);
        let this = Rc::clone(self);
        turnpike_rt::spawn(async move {
            {
                let mut connection = pin!(connection);
                poll_fn(|context| {
                    let ended = connection.as_mut().poll(context);
                    turn.finish(context);
                    ended.map(drop)
                })
                .await;
            }
            this.retire();
        });
        Ok(())
    }

    /// A handle to send one request with, once the connection is made.
    fn poll_open(&self, context: &Context<'_>) -> Poll<Option<SendRequest<Bytes>>> {
        match &*self.state.borrow() {
            State::Dialling => {
                self.waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
            State::Open(requests) => Poll::Ready(Some(requests.clone())),
            State::Retired => Poll::Ready(None),
        }
    }

    /// Gives it no more exchanges. Those that have been given go on; the connection ends with the last.
    fn retire(&self) {
        if matches!(self.state.replace(State::Retired), State::Retired) {
            return;
        }
        if self.active.get() == 0 {
            self.rest(false);
            self.leave();
        }
        self.pool.shared.borrow_mut().retain(|other| !std::ptr::eq(&**other, self));
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// The library closes a connection that nobody holds any more; a peer that doesn't let it is ended.
    fn leave(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            self.shard.wheel.arm(watch, LEAVE_MS, OnExpiry::EndBoth);
        }
    }

    /// A call has ended: there may be room for an exchange that waits.
    fn call_ended(&self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            let retired = matches!(&*self.state.borrow(), State::Retired);
            if retired {
                self.leave();
            } else if self.shard.is_draining() {
                self.retire();
            } else {
                self.rest(true);
            }
        }
        if self.open.room.is_wanted()
            && let Some(connection) = take(&self.shard, &self.pool)
        {
            // Somebody waits; if nobody does after all, the exchange ends with the grant.
            drop(self.open.room.line().grant(Grant::Connection(connection)));
        }
    }

    /// Connections that rest are told apart from those in use.
    fn rest(&self, rests: bool) {
        let rested = self.idle_since_ms.replace(rests.then(|| self.shard.wheel.now_ms())).is_some();
        let mut stats = self.shard.stats.borrow_mut();
        stats.gauges.upstream_connections_idle += u64::from(rests);
        stats.gauges.upstream_connections_idle -= u64::from(rested);
    }
}

fn builder(settings: &Settings) -> Builder {
    /// What RFC 9113 10.5.1 counts for a field besides its bytes.
    const FIELD_BYTES: usize = 32;
    let list_bytes_max = settings.upstream_head_bytes_max + FIELD_BYTES * settings.upstream_header_count_max;
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(STREAMS_UNTIL_TOLD)
        .initial_window_size(settings.upstream_http2_stream_window_bytes)
        .initial_connection_window_size(settings.upstream_http2_connection_window_bytes)
        .max_header_list_size(u32::try_from(list_bytes_max).unwrap_or(u32::MAX));
    builder
}
