//! Turnpike's data plane: one shard per core, and the housekeeper on this thread.

#![deny(clippy::print_stderr, reason = "it panics where standard error can't be written: use report!")]

#[macro_use]
mod report;

mod access_log_format;
mod agreement;
mod buffers;
mod check;
mod connection;
mod crowd;
mod descriptors;
mod entrance;
mod housekeeper;
mod http2;
mod ids;
mod listener;
mod log_lines;
mod mailbox;
mod networks;
mod pipeline;
mod settings;
mod shard;
mod stats;
mod table;
mod upstream;
mod wheel;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use turnpike_rt::{Bell, Driver, DriverChoice};

use agreement::Agreement;
use crowd::Crowd;
use housekeeper::{Services, ShardEvent};
use mailbox::{Loads, Mailbox};
use settings::{Settings, SettingsError, Task};
use shard::ShardParts;

fn main() -> ExitCode {
    let (task, settings) = Settings::load().unwrap_or_else(|error: SettingsError| error.exit());
    match task {
        Task::Check(output) => check::run(&settings, output),
        Task::Run => run(settings),
    }
}

fn run(settings: Settings) -> ExitCode {
    descriptors::raise(&settings);
    match start(Arc::new(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            report!("turnpike-gateway: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the shards and runs the housekeeper until they have ended.
fn start(settings: Arc<Settings>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("can't start the housekeeper: {error}"))?;
    let _entered = runtime.enter();
    let services = Services::start(Arc::clone(&settings))?;
    let (addresses, listeners) = bind(&settings)?;
    let admin_listener = bind_admin(settings.admin_listen)?;
    let (events, seen) = mpsc::unbounded_channel();
    let (mailboxes, driver) = start_shards(&services, listeners, &events)?;
    drop(events);
    let ready_line = format!(
        "turnpike-gateway ready listen={} admin={} shards={} driver={}",
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        admin_listener.local_addr().map_err(|error| format!("admin: {error}"))?,
        settings.cores.len(),
        driver.name(),
    );
    runtime.block_on(housekeeper::run(services, driver, mailboxes, admin_listener, seen, ready_line))
}

/// For each shard, a listener on each address.
fn bind(settings: &Settings) -> Result<(Vec<SocketAddr>, Vec<Vec<TcpListener>>), String> {
    let mut addresses = Vec::new();
    let mut listeners: Vec<Vec<TcpListener>> = settings.cores.iter().map(|_| Vec::new()).collect();
    for wanted in &settings.listen {
        refuse_taken(*wanted)?;
        let mut address = *wanted;
        for shard in &mut listeners {
            let listener = turnpike_rt::bind_shared(address, settings.listen_backlog)
                .and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (bound, listener) = listener.map_err(|error| listen_error(address, &error))?;
            // Port 0 is chosen by the first bind; the other shards share what it got.
            address = bound;
            shard.push(listener);
        }
        addresses.push(address);
    }
    Ok((addresses, listeners))
}

/// Sharing a port is meant for this gateway's shards: a second gateway on it would silently take a part of
/// the connections.
fn refuse_taken(address: SocketAddr) -> Result<(), String> {
    if address.port() == 0 {
        return Ok(());
    }
    let mut attempts_left = LISTEN_ATTEMPTS;
    loop {
        attempts_left -= 1;
        match TcpListener::bind(address) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse && attempts_left > 0 => {
                thread::sleep(LISTEN_PAUSE);
            }
            Err(error) => return Err(listen_error(address, &error)),
        }
    }
}

/// The kernel closes a killed gateway's listeners a moment after the process's end, when it has taken down its
/// rings: a restart in place waits that long, 2 s at most.
const LISTEN_ATTEMPTS: u32 = 40;
const LISTEN_PAUSE: Duration = Duration::from_millis(50);

fn listen_error(address: SocketAddr, error: &std::io::Error) -> String {
    format!("can't listen on {address}: {error}; choose another with --listen, or stop what has it")
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| format!("can't listen on {address}: {error}; choose another with --admin-listen"))
}

/// Starts all shards' threads and has them agree on a driver.
fn start_shards(
    services: &Services,
    listeners: Vec<Vec<TcpListener>>,
    events: &mpsc::UnboundedSender<ShardEvent>,
) -> Result<(Vec<Mailbox>, Driver), String> {
    let settings = &services.settings;
    let mut mailboxes = Vec::new();
    let mut bells = Vec::new();
    for _ in &settings.cores {
        let (bell, listener) = Bell::pair().map_err(|error| format!("can't make a shard's bell: {error}"))?;
        mailboxes.push(Mailbox::new(bell));
        bells.push(listener);
    }
    let loads = Loads::new(settings.cores.len());
    let crowd = Crowd::new(settings.connections_per_address_max);
    let log = services.main_log()?;
    let (arbiter, agreements) = agreement::parts(driver_choice(settings), settings.cores.len());
    let shards = settings.cores.iter().zip(listeners).zip(bells).zip(agreements);
    for (index, (((core, listeners), bell), agreement)) in shards.enumerate() {
        let parts = ShardParts {
            index,
            core: *core,
            settings: Arc::clone(settings),
            listeners,
            tables: Arc::clone(&services.tables),
            addresses: services.addresses(),
            loads: loads.clone(),
            crowd: crowd.clone(),
            mailboxes: mailboxes.clone(),
            bell,
            log_queue: services.log.queue(),
            ejections: services.ejections(),
            log: log.clone(),
            id_seed: random_seed()?,
        };
        start_shard(parts, agreement, events.clone())?;
    }
    let (driver, refusal) = arbiter.decide()?;
    if let Some(refusal) = refusal {
        report!("turnpike-gateway: running on epoll, which is slower: {refusal}");
    }
    Ok((mailboxes, driver))
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
