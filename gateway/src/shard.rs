//! A shard: what one pinned core owns, and its reactor's tasks.
//!
//! Made in `main`, held as `Rc<Shard>` by the connections that it serves. Nothing in here is shared with
//! another shard but the published table, the resolved addresses and the loads, all of which it only reads
//! (its own load it also writes). It hears of everything else through its mailbox.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use tokio::sync::mpsc;
use turnpike_rt::{Arena, BellListener, CipherBuffers, Clock, Listener, Scratch};

use crate::agreement::Agreement;
use crate::buffers::Buffers;
use crate::compression::Compression;
use crate::connection;
use crate::crowd::Crowd;
use crate::entrance::{Accepted, Entrance};
use crate::housekeeper::access_log::AccessLogQueue;
use crate::housekeeper::collector::Reply;
use crate::housekeeper::resolver::Addresses;
use crate::housekeeper::targets::TargetEvent;
use crate::http2::Workers;
use crate::ids::Ids;
use crate::limits::{LimiterLine, Limits};
use crate::listener;
use crate::log_lines::LogLines;
use crate::mailbox::{Loads, Mailbox, ToShard};
use crate::quotas::{Now, QuotaLine, Quotas};
use crate::response_cache::ResponseCache;
use crate::settings::{Live, Settings};
use crate::stats::{SampleQueue, ShardStats};
use crate::table::{StageLog, Table};
use crate::tls::Site;
use crate::upstream::Pools;
use crate::wheel::{TICK_MS, Watch, Wheel};

/// Idle upstream connections are looked through this often.
const SWEEP_EVERY_MS: u64 = 1_000;

/// What a shard is made of; can be sent to its thread.
#[derive(Debug)]
pub(crate) struct ShardParts {
    pub(crate) index: usize,
    pub(crate) core: usize,
    pub(crate) settings: &'static Settings,
    pub(crate) listeners: Vec<(TcpListener, Entrance)>,
    /// For hosts without a site of their own; `None` without `tls_listen`.
    pub(crate) default_site: Option<Arc<Site>>,
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) addresses: Arc<ArcSwap<Addresses>>,
    pub(crate) loads: Loads,
    pub(crate) crowd: Crowd,
    /// Of all shards, this one's among them.
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) bell: BellListener,
    /// The limiter's, too.
    pub(crate) clock: Clock,
    pub(crate) limiter: LimiterLine,
    pub(crate) quotas: QuotaLine,
    pub(crate) arena: Option<Arena>,
    pub(crate) log_queue: AccessLogQueue,
    pub(crate) samples: SampleQueue,
    pub(crate) target_events: mpsc::Sender<TargetEvent>,
    /// For requests of stages without a log of their own, and of none.
    pub(crate) log: Option<StageLog>,
    pub(crate) id_seed: [u64; 2],
}

/// One core's state.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) settings: Live,
    pub(crate) clock: Clock,
    pub(crate) wheel: Wheel,
    pub(crate) buffers: Buffers,
    pub(crate) cipher_buffers: Rc<CipherBuffers>,
    default_site: Option<Arc<Site>>,
    /// What polled transports receive into.
    pub(crate) scratch: Scratch,
    pub(crate) http2_workers: Workers,
    pub(crate) pools: Pools,
    pub(crate) cache: ResponseCache,
    pub(crate) compression: Compression,
    pub(crate) limits: Limits,
    pub(crate) quotas: Quotas,
    pub(crate) stats: RefCell<ShardStats>,
    pub(crate) addresses: Arc<ArcSwap<Addresses>>,
    pub(crate) loads: Loads,
    pub(crate) crowd: Crowd,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) ids: Ids,
    pub(crate) log_lines: LogLines,
    pub(crate) log: Option<StageLog>,
    target_events: mpsc::Sender<TargetEvent>,
    tables: RefCell<Cache<Arc<ArcSwap<Table>>, Arc<Table>>>,
    /// The table that was adopted last: requests count their references here, off the other shards' cache lines.
    adopted: RefCell<Rc<Adopted>>,
    /// Let go of when the shard leaves.
    listeners: RefCell<Vec<(Rc<Listener>, Entrance)>>,
    /// Tasks that accept.
    acceptors: Cell<usize>,
    /// IMF-fixdate of the current second.
    date: Cell<[u8; 29]>,
    /// Of all open connections.
    watches: RefCell<HashMap<u64, Rc<Watch>>>,
    connections_seen: Cell<u64>,
    leaving: Cell<Leaving>,
    stopping: Cell<bool>,
}

/// How a shard comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    No,
    /// Another process accepts; connections that wait for a request are left to wait.
    HandedOver,
    /// They are ended as well.
    Draining,
}

/// A table that this shard has adopted.
#[derive(Debug)]
pub(crate) struct Adopted(Arc<Table>);

impl std::ops::Deref for Adopted {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.0
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shard").field("index", &self.index).finish_non_exhaustive()
    }
}

/// Runs a shard on the calling thread until it has drained or is stopped.
///
/// # Errors
/// The core is refused, the reactor can't be made, or it refuses the shard's sockets.
pub(crate) fn run(parts: ShardParts, agreement: Agreement, started: impl FnOnce()) -> io::Result<()> {
    if !turnpike_rt::pin_to_core(parts.core) {
        return Err(io::Error::other(format!(
            "shard {} can't be pinned to core {}: allow the core to this process, or choose others with --cores",
            parts.index, parts.core
        )));
    }
    // However this ends, it gives no connection to another shard from then on, and spends no token.
    let (limiter, quotas) = (parts.limiter.clone(), parts.quotas.clone());
    let _ended = Ended { loads: parts.loads.clone(), limiter, quotas, index: parts.index };
    match agreement.reach()? {
        Some(reactor) => reactor.run(serve(parts, started)),
        None => Ok(()),
    }
}

struct Ended {
    loads: Loads,
    limiter: LimiterLine,
    quotas: QuotaLine,
    index: usize,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.loads.set_accepting(self.index, false);
        self.limiter.end(self.index);
        self.quotas.end(self.index);
    }
}

/// On the reactor that is to serve.
pub(crate) fn make(parts: ShardParts) -> io::Result<(Rc<Shard>, BellListener)> {
    let mut listeners = Vec::with_capacity(parts.listeners.len());
    for (listener, entrance) in parts.listeners {
        listeners.push((Rc::new(Listener::from_std(listener)?), entrance));
    }
    let clock = parts.clock;
    let shard = Rc::new(Shard {
        index: parts.index,
        wheel: Wheel::new(clock.now_us() / 1000),
        clock,
        buffers: Buffers::default(),
        cipher_buffers: CipherBuffers::new(),
        default_site: parts.default_site,
        scratch: turnpike_rt::scratch(),
        http2_workers: Workers::default(),
        pools: Pools::default(),
        cache: ResponseCache::new(parts.settings, parts.arena),
        compression: Compression::default(),
        limits: Limits::new(
            parts.index,
            parts.settings,
            parts.limiter,
            parts.mailboxes[parts.index].clone(),
            clock,
        ),
        quotas: Quotas::new(parts.index, parts.settings, parts.quotas, Now::by(&clock)),
        stats: RefCell::new(ShardStats::new(parts.samples)),
        addresses: parts.addresses,
        loads: parts.loads,
        crowd: parts.crowd,
        mailboxes: parts.mailboxes,
        ids: Ids::new(parts.id_seed),
        log_lines: LogLines::new(parts.log_queue, &clock),
        target_events: parts.target_events,
        log: parts.log,
        settings: Live::new(parts.settings),
        adopted: RefCell::new(Rc::new(Adopted(parts.tables.load_full()))),
        tables: RefCell::new(Cache::new(parts.tables)),
        listeners: RefCell::new(listeners),
        acceptors: Cell::new(0),
        date: Cell::new([b' '; 29]),
        watches: RefCell::default(),
        connections_seen: Cell::new(0),
        leaving: Cell::new(Leaving::No),
        stopping: Cell::new(false),
    });
    shard.write_date();
    shard.cache.adopt(&shard.table(), shard.mailboxes.len());
    Ok((shard, parts.bell))
}

async fn serve(parts: ShardParts, started: impl FnOnce()) -> io::Result<()> {
    let (shard, bell) = make(parts)?;
    let heard = Rc::clone(&shard);
    turnpike_rt::spawn(async move {
        let ended = bell.listen(|| heard.open_mail()).await;
        if let Err(error) = ended {
            // Without its bell a shard hears of nothing any more: that is no state to go on in.
            report!("turnpike-gateway: shard {} lost its mailbox's bell: {error}", heard.index);
            heard.stopping.set(true);
        }
    });
    started();
    shard.tick_until_done().await;
    shard.pools.clear(&shard);
    shard.limits.close();
    shard.quotas.close();
    shard.log_lines.flush(&shard);
    Ok(())
}

impl Shard {
    /// The table as of now; a request keeps the one that it began with.
    pub(crate) fn table(&self) -> Rc<Adopted> {
        let mut tables = self.tables.borrow_mut();
        let newest = tables.load();
        let mut adopted = self.adopted.borrow_mut();
        if !Arc::ptr_eq(newest, &adopted.0) {
            *adopted = Rc::new(Adopted(Arc::clone(newest)));
            self.cache.adopt(newest, self.mailboxes.len());
        }
        Rc::clone(&adopted)
    }

    /// What a handshake for this name does, as of now; `None` where HTTPS is turned off.
    pub(crate) fn site(&self, name: Option<&str>) -> Option<Arc<Site>> {
        let table = self.table();
        name.and_then(|name| table.site(name)).or(self.default_site.as_ref()).map(Arc::clone)
    }

    /// Milliseconds on the shard's clock, exact where the wheel's are coarse.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_us() / 1000
    }

    pub(crate) fn date(&self) -> [u8; 29] {
        self.date.get()
    }

    /// Accepts no more, and answers with a close.
    pub(crate) fn is_draining(&self) -> bool {
        self.leaving.get() != Leaving::No
    }

    /// Accepts no more, and no other process does from the same sockets.
    pub(crate) fn is_last(&self) -> bool {
        self.leaving.get() == Leaving::Draining
    }

    /// Serves a connection of this shard's own or handed over by another.
    pub(crate) fn start(self: &Rc<Self>, accepted: Accepted) {
        let number = self.connections_seen.get();
        self.connections_seen.set(number + 1);
        turnpike_rt::spawn(connection::serve(Rc::clone(self), number, accepted));
    }

    /// Makes a connection known to a drain.
    pub(crate) fn watch(&self, connection: u64, watch: &Rc<Watch>) {
        self.watches.borrow_mut().insert(connection, Rc::clone(watch));
    }

    pub(crate) fn unwatch(&self, connection: u64) {
        self.watches.borrow_mut().remove(&connection);
    }

    /// A connection waits for a request, which may last; a drain ends the wait.
    pub(crate) fn begin_wait(&self, watch: &Watch) {
        self.stats.borrow_mut().gauges.connections_idle += 1;
        watch.set_waiting(true);
        if self.leaving.get() == Leaving::Draining {
            watch.end_read();
        }
    }

    pub(crate) fn end_wait(&self, watch: &Watch) {
        self.stats.borrow_mut().gauges.connections_idle -= 1;
        watch.set_waiting(false);
    }

    /// For the log. What the housekeeper is too far behind for isn't logged; ejections are counted all the same.
    pub(crate) fn tell_of_target(&self, event: TargetEvent) {
        let _ = self.target_events.try_send(event);
    }

    /// False ends the bell's listening.
    fn open_mail(self: &Rc<Self>) -> bool {
        while let Some(message) = self.mailboxes[self.index].receive() {
            match message {
                ToShard::Serve(accepted) => {
                    self.stats.borrow_mut().counters.connections_taken_over_total += 1;
                    self.start(accepted);
                }
                ToShard::Forget(outdated) => self.cache.forget(&outdated),
                ToShard::Collect(reply) => self.report(reply),
                ToShard::Quota(said) => self.quotas.hear(said, Now::by(&self.clock)),
                ToShard::Accept => self.accept(),
                ToShard::Look => self.look(),
                ToShard::Adopt(settings) => self.settings.replace(settings),
                ToShard::HandOver => self.hand_over(),
                ToShard::Drain => self.drain(),
                ToShard::Stop => self.stopping.set(true),
            }
        }
        self.limits.hear();
        !self.stopping.get()
    }

    fn report(&self, reply: Reply) {
        let mut stats = self.stats.borrow_mut();
        stats.gauges.buffers_in_use = self.buffers.in_use() + self.cipher_buffers.in_use();
        let store = self.cache.store.borrow();
        stats.gauges.cache_bytes = store.bytes();
        stats.gauges.cache_responses = store.count() as u64;
        drop(store);
        stats.counters.cache_evictions_total += self.cache.store.borrow_mut().take_evicted();
        stats.gauges.snapshot_version = self.table().version;
        stats.count_limits(self.limits.take_counts(), self.limits.waiting(), self.limits.leases());
        let mut report = stats.report();
        report.groups = self.pools.groups.report();
        reply.send(report);
    }

    fn accept(self: &Rc<Self>) {
        self.loads.set_accepting(self.index, true);
        for (listener, entrance) in &*self.listeners.borrow() {
            self.acceptors.set(self.acceptors.get() + 1);
            turnpike_rt::spawn(listener::accept(Rc::clone(self), Rc::clone(listener), *entrance));
        }
    }

    /// An accept that is ended begins again, and takes at once what waits.
    fn look(&self) {
        self.listeners.borrow().iter().for_each(|(listener, _)| listener.stop());
    }

    /// An acceptor has ended.
    pub(crate) fn stopped_accepting(&self) {
        self.acceptors.set(self.acceptors.get() - 1);
        if self.acceptors.get() == 0 {
            self.loads.set_accepting(self.index, false);
        }
    }

    fn leave(&self, how: Leaving) {
        self.leaving.set(how);
        self.listeners.take().iter().for_each(|(listener, _)| listener.stop());
    }

    fn hand_over(&self) {
        self.leave(Leaving::HandedOver);
        self.watches.borrow().values().for_each(|watch| watch.hand_over());
    }

    fn drain(&self) {
        self.leave(Leaving::Draining);
        self.watches.borrow().values().for_each(|watch| watch.drain());
    }

    async fn tick_until_done(self: &Rc<Self>) {
        let mut swept_ms = self.now_ms();
        loop {
            turnpike_rt::sleep(Duration::from_millis(TICK_MS)).await;
            let now_ms = self.now_ms();
            self.wheel.advance(now_ms);
            self.pools.expire(now_ms);
            self.cache.tick(self.wheel.now_ms(), &self.mailboxes);
            self.limits.tick();
            self.quotas.tick(Now::by(&self.clock));
            self.log_lines.tick(self, now_ms);
            if now_ms - swept_ms >= SWEEP_EVERY_MS {
                swept_ms = now_ms;
                self.pools.sweep(self);
            }
            self.write_date();
            // An idle shard lets go of old tables too.
            self.table();
            if self.stopping.get() || (self.is_draining() && self.loads.is_over(self.index)) {
                return;
            }
        }
    }

    fn write_date(&self) {
        self.date.set(turnpike_http::encode::http_date(Clock::unix_ms() / 1000));
    }
}
