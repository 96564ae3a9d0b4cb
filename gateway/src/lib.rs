//! Turnpike's data plane: one shard per core, and the housekeeper on the calling thread.

#![deny(clippy::print_stderr, reason = "it panics where standard error can't be written: use report!")]

#[macro_use]
mod report;
mod response_cache;

mod access_log_format;
mod agreement;
#[cfg(feature = "bench")]
pub mod bench;
mod buffers;
mod check;
mod compression;
mod connection;
mod crowd;
mod descriptors;
mod entrance;
mod housekeeper;
mod http2;
mod ids;
mod limits;
mod listener;
mod log_lines;
mod mailbox;
mod networks;
mod notify;
mod pipeline;
mod quotas;
mod settings;
mod shard;
mod sockets;
mod stats;
mod table;
mod tls;
mod upgrade;
mod upstream;
mod wheel;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use turnpike_rt::{Bell, Clock, Driver, DriverChoice};

use agreement::Agreement;
use crowd::Crowd;
use housekeeper::{Gateway, Services, ShardEvent};
use limits::{Inheritance, LimiterLine};
use mailbox::{Loads, Mailbox};
use quotas::QuotaLine;
use settings::{Settings, Task};
use shard::ShardParts;
use sockets::{Share, Sockets};
use upgrade::predecessor::Predecessor;

/// The whole of the program.
pub fn main() -> ExitCode {
    // Before anything is written, be it to a log.
    turnpike_rt::outlive_large_files();
    let predecessor = match Predecessor::meet() {
        Ok(predecessor) => predecessor,
        Err(reason) => return fail(&reason, None),
    };
    let (task, settings) = match Settings::load() {
        Ok(loaded) => loaded,
        Err(error) => {
            if let Some(predecessor) = &predecessor {
                predecessor.fail(&error.to_string());
            }
            error.exit()
        }
    };
    match task {
        Task::Check(output) => check::run(&settings, output),
        Task::Upgrade { binary } => upgrade::command::run(&settings, binary.as_deref()),
        Task::MeasureHandover(limits) => limits::measure::handover::run(&settings, limits),
        Task::MeasureLimiter(load) => limits::measure::run(&settings, load),
        Task::Run => run(settings, predecessor.as_ref()),
    }
}

fn fail(reason: &str, predecessor: Option<&Predecessor>) -> ExitCode {
    report!("turnpike-gateway: {reason}");
    if let Some(predecessor) = predecessor {
        predecessor.fail(reason);
    }
    ExitCode::FAILURE
}

fn run(settings: Settings, predecessor: Option<&Predecessor>) -> ExitCode {
    for name in settings::strangers(std::env::vars_os().map(|(name, _)| name)) {
        report!(
            "turnpike-gateway: {name} in the environment is no setting and has no effect; --help lists the settings"
        );
    }
    descriptors::raise(&settings);
    if settings.huge_pages {
        // Before there are other threads.
        if let Err(reason) = turnpike_rt::move_code() {
            report!("turnpike-gateway: machine code stays on small pages, which is slower: {reason}");
        }
    }
    match start(settings.keep(), predecessor) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason, predecessor),
    }
}

/// Starts the shards and runs the housekeeper until they have ended.
fn start(settings: &'static Settings, predecessor: Option<&Predecessor>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("can't start the housekeeper: {error}"))?;
    let _entered = runtime.enter();
    let inherited = predecessor.map(|predecessor| predecessor.inherit(settings)).transpose()?;
    let (inherited, mut legacy) = inherited.unzip();
    let inheritance = legacy.as_mut().and_then(|legacy| legacy.limits.take());
    let sockets = Sockets::open(settings, inherited)?;
    let services = Services::start(settings, &sockets.lock)?;
    let (sender, events) = mpsc::unbounded_channel();
    let loads = Loads::new(settings.cores.len());
    let Shards { mailboxes, limiter, quotas, driver } =
        start_shards(&services, sockets.shares(settings)?, &loads, &sender, inheritance)?;
    drop(sender);
    let mut ready_line = format!(
        "turnpike-gateway ready listen={} admin={} shards={} driver={} pid={}",
        sockets.addresses(),
        sockets.admin.socket.local_addr().map_err(|error| format!("admin: {error}"))?,
        settings.cores.len(),
        driver.name(),
        std::process::id(),
    );
    if let Some(addresses) = sockets.tls_addresses() {
        ready_line.push_str(&format!(" tls={addresses}"));
    }
    let gateway = Gateway { driver, mailboxes, limiter, quotas, loads, events, sockets, legacy, ready_line };
    runtime.block_on(housekeeper::run(services, gateway))
}

/// What the housekeeper needs of the started shards.
struct Shards {
    mailboxes: Vec<Mailbox>,
    limiter: LimiterLine,
    quotas: QuotaLine,
    driver: Driver,
}

/// Starts all shards' threads and has them agree on a driver.
fn start_shards(
    services: &Services,
    listeners: Vec<Share>,
    loads: &Loads,
    events: &mpsc::UnboundedSender<ShardEvent>,
    inheritance: Option<Inheritance>,
) -> Result<Shards, String> {
    let settings = services.settings;
    let mut mailboxes = Vec::new();
    let mut bells = Vec::new();
    for _ in &settings.cores {
        let (bell, listener) = Bell::pair().map_err(|error| format!("can't make a shard's bell: {error}"))?;
        mailboxes.push(Mailbox::new(bell));
        bells.push(listener);
    }
    let clock = inheritance.as_ref().map_or_else(Clock::start, |inheritance| inheritance.clock);
    let limiter = LimiterLine::new(settings, &mailboxes, clock, inheritance);
    let limiter = limiter.map_err(|error| format!("limits: {error}"))?;
    let quotas = quotas::start(settings, mailboxes.clone(), clock);
    let quotas = quotas.map_err(|error| format!("can't begin to count quotas: {error}"))?;
    let crowd = Crowd::new(settings.connections_per_address_max);
    let log = services.main_log()?;
    let (arbiter, agreements) = agreement::parts(driver_choice(settings), settings.cores.len());
    let arenas = response_cache::arenas(settings);
    let shards = settings.cores.iter().zip(listeners).zip(bells).zip(agreements).zip(arenas);
    for (index, ((((core, listeners), bell), agreement), arena)) in shards.enumerate() {
        let parts = ShardParts {
            index,
            core: *core,
            settings,
            listeners,
            default_site: services.default_site(),
            tables: Arc::clone(&services.tables),
            addresses: services.addresses(),
            loads: loads.clone(),
            crowd: crowd.clone(),
            mailboxes: mailboxes.clone(),
            bell,
            clock,
            limiter: limiter.clone(),
            quotas: quotas.clone(),
            arena,
            log_queue: services.log.queue(),
            samples: services.samples(),
            target_events: services.target_events(),
            log: log.clone(),
            id_seed: random_seed()?,
        };
        start_shard(parts, agreement, events.clone())?;
    }
    let (driver, refusal) = arbiter.decide()?;
    if let Some(refusal) = refusal {
        report!("turnpike-gateway: running on epoll, which is slower: {refusal}");
    }
    Ok(Shards { mailboxes, limiter, quotas, driver })
}

fn driver_choice(settings: &Settings) -> DriverChoice {
    match settings.driver {
        DriverChoice::Auto if settings.require_io_uring => DriverChoice::IoUring,
        choice => choice,
    }
}

fn start_shard(
    parts: ShardParts,
    agreement: Agreement,
    events: mpsc::UnboundedSender<ShardEvent>,
) -> Result<(), String> {
    let index = parts.index;
    let started = events.clone();
    let run = move || {
        let outcome = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            shard::run(parts, agreement, move || {
                // Nobody listens any more only when the gateway is ending.
                started.send(ShardEvent::Started).ok();
            })
        });
        let outcome = outcome.and_then(|shard| {
            shard.join().unwrap_or_else(|_| Err(std::io::Error::other("it panicked; see the message above")))
        });
        events.send(ShardEvent::Ended { index, outcome }).ok();
    };
    // A thread that only waits: it turns a shard's panic into an event.
    let waiter = thread::Builder::new().name(format!("watch-{index}")).spawn(run);
    waiter.map(drop).map_err(|error| format!("can't start a thread for shard {index}: {error}"))
}

fn random_seed() -> Result<[u64; 2], String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    let (high, low) = bytes.split_at(8);
    let number = |half: &[u8]| half.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Ok([number(high), number(low)])
}
