//! One pinned thread with its io_uring: opens its share of the connections, waits for the common start, then runs
//! one task a connection until the schedule is over. Nothing is shared with other reactors but the beat.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monoio::task::JoinHandle;
use monoio::time::sleep;

use crate::beat::Beat;
use crate::cli::{Host, Settings};
use crate::connection::run_connection;
use crate::core_use::CoreUse;
use crate::failure::Failure;
use crate::http2::Http2;
use crate::lanes::run_lanes;
use crate::pacer::Pacer;
use crate::pipeline::Pipeline;
use crate::protocol::Carriage;
use crate::request::Request;
use crate::schedule::{Claim, Schedule, Ticket};
use crate::seat::{Seat, Wake};
use crate::source::{self, Source};
use crate::supply::Supply;
use crate::tally::{Ended, Outcome, Tally};
use crate::timeline::{Slice, Slicer};
use crate::tls::Connector;
use crate::websocket::{WebSocket, hold};
use crate::wire::{Dialer, Exchange, Opening, Wire};

/// Connections that are opened at a time, so that a listener's backlog holds them.
const OPENING_MAX: usize = 64;
const SWEEP_MIN: Duration = Duration::from_millis(5);
const SWEEP_MAX: Duration = Duration::from_millis(100);
const RING_ENTRIES_MIN: u32 = 256;
const RING_ENTRIES_MAX: u32 = 4096;

/// What a reactor tells the main thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// Connections are open as far as they can be.
    Ready { opened: usize, unopened: Option<Unopened> },
    /// It could not even begin.
    Failed(String),
    /// A slice of time has passed.
    Slice(Box<Slice>),
    Done {
        tally: Box<Tally>,
        last: Box<Slice>,
        /// When the run ended here, in nanoseconds since the start.
        end_ns: u64,
        /// What the reactor had of its core until it was done.
        core: CoreUse,
        /// How long after the start that was.
        took: Duration,
    },
}

/// The first connection that couldn't be opened before the start.
#[derive(Debug)]
pub(crate) struct Unopened {
    pub(crate) address: SocketAddr,
    pub(crate) reason: String,
}

/// What a reactor is started with.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) core: usize,
    pub(crate) connections: usize,
    /// Its index among the reactors.
    pub(crate) index: usize,
    pub(crate) schedule: Schedule,
    /// When the last request may be intended, in nanoseconds since the start; `None` with --requests.
    pub(crate) end_ns: Option<u64>,
    pub(crate) slicer: Slicer,
    pub(crate) beat: Arc<Beat>,
}

/// What is known of a request that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Index of its label in the settings.
    pub(crate) label: usize,
    pub(crate) bytes: u64,
    /// Of the content alone.
    pub(crate) content_bytes: u64,
    /// Nanoseconds since the run began.
    pub(crate) at_ns: u64,
}

impl Sent {
    pub(crate) fn new(request: &Request, at_ns: u64) -> Self {
        let (bytes, content_bytes) = (request.bytes() as u64, request.content_bytes as u64);
        Self { label: request.label, bytes, content_bytes, at_ns }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending<'a> {
    Reply(&'a Exchange),
    Failed(&'a Failure),
    /// Cut off when the run's grace was over.
    Unfinished,
}

/// State of a running reactor, shared by its tasks.
#[derive(Debug)]
pub(crate) struct Reactor {
    pub(crate) settings: Arc<Settings>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) schedule: RefCell<Schedule>,
    pub(crate) tally: RefCell<Tally>,
    pub(crate) pacer_seat: Seat,
    /// By host.
    dialers: Vec<Dialer>,
    start: Instant,
    end_ns: Cell<Option<u64>>,
    timeout_ns: u64,
    supply: Supply,
    slicer: RefCell<Slicer>,
    beat: Arc<Beat>,
    to_main: Sender<Message>,
}

/// The body of a reactor's thread. A closed `go` means that the run was called off.
pub(crate) fn run(
    settings: Arc<Settings>,
    task: Assignment,
    go: &Receiver<Instant>,
    to_main: &Sender<Message>,
) {
    let message = match prepare(&task) {
        Ok(mut runtime) => match runtime.block_on(drive(settings, task, go, to_main)) {
            Ok(Some(done)) => done,
            Ok(None) => return,
            Err(reason) => Message::Failed(reason),
        },
        Err(reason) => Message::Failed(reason),
    };
    // Nobody listens any more once another reactor has failed.
    let _ = to_main.send(message);
}

pub(crate) type Runtime = monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>;

fn prepare(task: &Assignment) -> Result<Runtime, String> {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: task.core }) {
        return Err(format!("the thread can't be pinned to core {}", task.core));
    }
    let entries = (task.connections as u32 * 2).next_power_of_two().clamp(RING_ENTRIES_MIN, RING_ENTRIES_MAX);
    make_ring(entries).map_err(|error| explain_ring_error(&error, entries))
}

/// Completions wait until the thread asks for them, which spares it an interrupt for each: a third more requests on one
/// core. Linux 6.1 defers them, 6.0 runs them cooperatively, older kernels know neither.
pub(crate) fn make_ring(entries: u32) -> io::Result<Runtime> {
    let builder =
        || monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(entries).enable_timer();
    let mut deferred = io_uring::IoUring::builder();
    deferred.setup_defer_taskrun().setup_single_issuer();
    let mut cooperative = io_uring::IoUring::builder();
    cooperative.setup_coop_taskrun().setup_single_issuer();
    for ring in [deferred, cooperative] {
        match builder().uring_builder(ring).build() {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            made => return made,
        }
    }
    builder().build()
}

fn explain_ring_error(error: &io::Error, entries: u32) -> String {
    let hint = match rustix::io::Errno::from_io_error(error) {
        Some(rustix::io::Errno::NOMEM | rustix::io::Errno::NOBUFS) => {
            "locked memory is used up: raise 'ulimit -l' (RLIMIT_MEMLOCK) or use fewer --threads"
        }
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
            "io_uring is denied here (container seccomp profile, or sysctl kernel.io_uring_disabled)"
        }
        Some(rustix::io::Errno::NOSYS) => "this kernel has no io_uring (5.10 or later is needed)",
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => "too many open files: raise 'ulimit -n'",
        _ => "see io_uring_setup(2)",
    };
    format!("an io_uring with {entries} entries can't be made: {error}; {hint}")
}

async fn drive(
    settings: Arc<Settings>,
    task: Assignment,
    go: &Receiver<Instant>,
    to_main: &Sender<Message>,
) -> Result<Option<Message>, String> {
    let pacer = settings.open.as_ref().map(|_| Pacer::new()).transpose()?;
    let tally = Tally::new(settings.load.labels().len())?;
    let upgrade = settings.websocket.as_ref().map(|websocket| Rc::new(websocket.upgrade.clone()));
    let dialer = |host: &Host| Dialer {
        address: host.address,
        tls: host.tls.as_ref().map(Connector::new),
        upgrade: upgrade.clone(),
        buffer_bytes: settings.carriage.buffer_bytes(settings.head_bytes_max),
        head_bytes_max: settings.head_bytes_max,
    };
    let dialers: Vec<Dialer> = settings.hosts.iter().map(dialer).collect();
    let (wires, unopened) = open_connections(&settings, &dialers, task.connections).await;
    let opened = wires.iter().flatten().flatten().count();
    if to_main.send(Message::Ready { opened, unopened }).is_err() {
        return Ok(None);
    }
    // Blocks the thread: nothing is in flight yet.
    let Ok(start) = go.recv() else { return Ok(None) };
    let reactor = Rc::new(Reactor {
        seats: wires.iter().map(|_| Seat::new()).collect(),
        schedule: RefCell::new(task.schedule),
        tally: RefCell::new(tally),
        pacer_seat: Seat::new(),
        dialers,
        start,
        end_ns: Cell::new(task.end_ns),
        timeout_ns: settings.timeout.as_nanos() as u64,
        supply: Supply::new(settings.load, task.index, settings.cores.len()),
        slicer: RefCell::new(task.slicer),
        beat: task.beat,
        to_main: to_main.clone(),
        settings,
    });
    let core_before = CoreUse::now();
    monoio::spawn(Rc::clone(&reactor).sweep());
    if let Some(pacer) = pacer {
        monoio::spawn(pacer.run(Rc::clone(&reactor)));
    }
    let tasks: Vec<_> =
        wires.into_iter().enumerate().map(|(index, wires)| reactor.start_connection(index, wires)).collect();
    for task in tasks {
        task.await;
    }
    reactor.count_unsent();
    let (core, took) = (CoreUse::now().since(&core_before), start.elapsed());
    // Moved, not copied: of histograms that hold little, most pages were never touched.
    let tally = Box::new(reactor.tally.replace(Tally::new(0)?));
    let end_ns = reactor.end_ns.get().unwrap_or(tally.last_end_ns);
    let last = Box::new(reactor.slicer.borrow().clone().finish());
    Ok(Some(Message::Done { tally, last, end_ns, core, took }))
}

/// Opens each connection, to each host; those that fail are `None` and are tried again when they get a request.
async fn open_connections(
    settings: &Settings,
    dialers: &[Dialer],
    connections: usize,
) -> (Vec<Vec<Option<Wire>>>, Option<Unopened>) {
    let mut unopened = None;
    let mut all: Vec<Vec<Option<Wire>>> = Vec::new();
    all.resize_with(connections, || Vec::with_capacity(dialers.len()));
    for dialer in dialers {
        let wires = match settings.requests_per_connection == Some(1) || settings.carriage.is_hold() {
            true => std::iter::repeat_with(|| None).take(connections).collect(),
            false => open_to(dialer, settings, connections, &mut unopened).await,
        };
        all.iter_mut().zip(wires).for_each(|(hosts, wire)| hosts.push(wire));
    }
    (all, unopened)
}

/// The connections to one host, a batch at a time.
async fn open_to(
    dialer: &Dialer,
    settings: &Settings,
    connections: usize,
    unopened: &mut Option<Unopened>,
) -> Vec<Option<Wire>> {
    let mut wires = Vec::with_capacity(connections);
    while wires.len() < connections {
        let batch = (connections - wires.len()).min(OPENING_MAX);
        let tasks: Vec<_> = (0..batch)
            .map(|_| {
                let dialer = dialer.clone();
                monoio::spawn(monoio::time::timeout(settings.timeout, async move { dialer.open().await }))
            })
            .collect();
        for task in tasks {
            let opened = match task.await {
                Ok(opened) => opened.map(|(wire, _)| wire).map_err(|failure| failure.to_string()),
                Err(_) => Err("timed out".to_owned()),
            };
            match opened {
                Ok(wire) => wires.push(Some(wire)),
                Err(reason) => {
                    unopened.get_or_insert(Unopened { address: dialer.address, reason });
                    wires.push(None);
                }
            }
        }
        if wires.iter().all(Option::is_none) {
            wires.resize_with(connections, || None);
        }
    }
    wires
}

/// Another one for each connection of each run.
fn seed(connection: usize) -> u64 {
    let time_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    time_ns ^ (connection as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Reactor {
    pub(crate) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub(crate) fn deadline_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_add(self.timeout_ns)
    }

    pub(crate) fn dialer(&self, host: usize) -> &Dialer {
        &self.dialers[host]
    }

    /// Spawns the task of one connection, which is one to each host; where it has lanes, there is one host.
    fn start_connection(self: &Rc<Self>, index: usize, wires: Vec<Option<Wire>>) -> JoinHandle<()> {
        let reactor = Rc::clone(self);
        let lanes = self.settings.carriage.lanes();
        let head_bytes_max = self.settings.head_bytes_max;
        let only = |wires: Vec<Option<Wire>>| wires.into_iter().next().flatten();
        match self.settings.carriage {
            Carriage::OneByOne => monoio::spawn(run_connection(reactor, index, wires)),
            Carriage::Pipeline(depth) => {
                monoio::spawn(run_lanes(reactor, index, only(wires), lanes, move || {
                    Pipeline::new(depth, head_bytes_max)
                }))
            }
            Carriage::Streams(streams) => {
                monoio::spawn(run_lanes(reactor, index, only(wires), lanes, move || {
                    Http2::new(streams, head_bytes_max)
                }))
            }
            Carriage::Messages => {
                let make = move || reactor.websocket(index);
                monoio::spawn(run_lanes(Rc::clone(self), index, only(wires), lanes, make))
            }
            Carriage::Hold(rate_per_s) => {
                let interval_ns = 1e9 / rate_per_s * self.settings.cores.len() as f64;
                monoio::spawn(hold(reactor, index, interval_ns))
            }
        }
    }

    /// A new session of a connection. Only ws:// runs have one.
    pub(crate) fn websocket(&self, connection: usize) -> WebSocket {
        let websocket = self.settings.websocket.as_ref();
        let (text, frame_bytes_max) =
            websocket.map_or((false, 0), |settings| (settings.text, settings.frame_bytes_max));
        WebSocket::new(text, frame_bytes_max, seed(connection))
    }

    /// When the last request may be intended.
    pub(crate) fn end_ns(&self) -> Option<u64> {
        self.end_ns.get()
    }

    pub(crate) fn is_recorded(&self, intended_ns: u64) -> bool {
        u128::from(intended_ns) >= self.settings.warmup.as_nanos()
    }

    /// Counts a connection that dropped while it rested.
    pub(crate) fn record_drop(&self, failure: &Failure) {
        self.tally.borrow_mut().all.fail(failure);
        self.beat.count(&Outcome::Failed(failure));
        self.slicer.borrow_mut().count_error(false);
    }

    /// What a lane sends.
    pub(crate) fn source(&self) -> Source {
        self.supply.source()
    }

    /// Lets a user think; false when the run is over first.
    pub(crate) async fn rest(&self, pause: Duration) -> bool {
        let until_ns = self.now_ns().saturating_add(pause.as_nanos() as u64);
        loop {
            let now_ns = self.now_ns();
            let end_ns = self.end_ns.get().unwrap_or(u64::MAX);
            if now_ns >= end_ns {
                return false;
            }
            if now_ns >= until_ns {
                return true;
            }
            // In parts, so that a run that is called off needn't wait for whoever rests.
            sleep(Duration::from_nanos(until_ns.min(end_ns) - now_ns).min(SWEEP_MAX)).await;
        }
    }

    /// What a free connection does next; it is parked when that is to wait.
    pub(crate) fn claim(&self, connection: usize, now_ns: u64) -> Claim {
        let mut schedule = self.schedule.borrow_mut();
        let claim = schedule.claim(now_ns);
        if claim == Claim::Wait {
            schedule.park(connection);
            drop(schedule);
            self.pacer_seat.wake(Wake::RunOver);
        }
        claim
    }

    /// Whether a connection has carried as many requests as it may.
    pub(crate) fn is_spent(&self, exchanges: u64) -> bool {
        self.settings.requests_per_connection.is_some_and(|requests| exchanges >= requests)
    }

    /// Counts a connection that was opened for a request.
    pub(crate) fn record_opening(&self, ticket: Ticket, opening: &Opening) {
        if ticket.recorded {
            self.tally.borrow_mut().open(opening);
        }
    }

    /// Counts a request that is to be sent once more.
    pub(crate) fn record_resent(&self, ticket: Ticket) {
        self.tally.borrow_mut().resent += u64::from(ticket.recorded);
    }

    /// Tells a request's source what became of it, and counts it.
    pub(crate) fn finish(
        &self,
        source: &mut Source,
        ticket: Ticket,
        sent: &Sent,
        ending: Ending<'_>,
        now_ns: u64,
    ) {
        let verdict = source.take(match ending {
            Ending::Reply(exchange) => source::Outcome::Reply(&exchange.reply, exchange.kept.as_deref()),
            Ending::Failed(failure) => source::Outcome::Failed(failure),
            Ending::Unfinished => source::Outcome::Unfinished,
        });
        if !ticket.recorded {
            return;
        }
        let ended = Ended {
            label: sent.label,
            intended_ns: ticket.intended_ns,
            sent_ns: sent.at_ns,
            end_ns: now_ns,
            sent_bytes: sent.bytes,
            content_bytes: sent.content_bytes,
        };
        let outcome = match ending {
            Ending::Reply(exchange) => Outcome::Reply {
                reply: &exchange.reply,
                received_bytes: exchange.received_bytes,
                unexpected: verdict.err(),
            },
            Ending::Failed(Failure::Timeout) => Outcome::TimedOut,
            Ending::Failed(failure) => Outcome::Failed(failure),
            Ending::Unfinished => Outcome::Unfinished,
        };
        self.tally.borrow_mut().end(&ended, &outcome);
        self.beat.count(&outcome);
        self.advance_slice(now_ns);
        let mut slicer = self.slicer.borrow_mut();
        if outcome.has_latency() {
            slicer.count_latency(now_ns.saturating_sub(ticket.intended_ns));
        }
        if outcome.is_reply() {
            slicer.count_reply();
        }
        if outcome.failure().is_some() {
            slicer.count_error(outcome.is_reply());
        }
    }

    /// Hands the slice over that `now_ns` has left behind.
    fn advance_slice(&self, now_ns: u64) {
        if let Some(slice) = self.slicer.borrow_mut().advance(now_ns) {
            // Nobody listens any more once another reactor has failed.
            let _ = self.to_main.send(Message::Slice(Box::new(slice)));
        }
    }

    /// Ends exchanges that are past their deadline, and all of them when the grace is over.
    async fn sweep(self: Rc<Self>) {
        let grace_ns = self.settings.grace.as_nanos() as u64;
        let interval = (self.settings.timeout / 20).clamp(SWEEP_MIN, SWEEP_MAX);
        loop {
            sleep(interval).await;
            let now_ns = self.now_ns();
            if self.beat.is_called_off() {
                self.end_early(now_ns);
            }
            self.advance_slice(now_ns);
            let run_over = self.end_ns.get().is_some_and(|end_ns| now_ns >= end_ns + grace_ns);
            for seat in &self.seats {
                seat.sweep(now_ns, run_over);
            }
            self.beat.tell_waiting(self.schedule.borrow().waiting(now_ns));
        }
    }

    /// Nothing more is sent from now on; what is in flight has its grace.
    fn end_early(&self, now_ns: u64) {
        if self.end_ns.get().is_some_and(|end_ns| end_ns <= now_ns) {
            return;
        }
        self.end_ns.set(Some(now_ns));
        self.slicer.borrow_mut().end_at(now_ns);
        let mut schedule = self.schedule.borrow_mut();
        schedule.end_at(now_ns);
        for connection in schedule.unpark_all() {
            self.seats[connection].wake(Wake::RunOver);
        }
    }

    /// Open loop: what never found a free connection has waited since it was intended.
    fn count_unsent(&self) {
        let Some(end_ns) = self.end_ns.get() else { return };
        self.advance_slice(end_ns);
        let (mut tally, mut slicer) = (self.tally.borrow_mut(), self.slicer.borrow_mut());
        while let Some(ticket) = self.schedule.borrow_mut().take_unsent() {
            if ticket.recorded {
                let waited_ns = end_ns.saturating_sub(ticket.intended_ns);
                tally.leave_unsent(waited_ns);
                slicer.count_latency(waited_ns);
            }
        }
    }
}
