//! The housekeeper: everything of a gateway that isn't serving requests, on one thread of tokio's.
//!
//! It follows control, compiles and publishes tables, resolves names, writes logs, answers at the admin
//! address, and watches over the shards, which it talks to through their mailboxes alone.

pub(crate) mod access_log;
pub(crate) mod admin;
pub(crate) mod collector;
pub(crate) mod link;
pub(crate) mod metrics;
mod publish;
mod reload;
pub(crate) mod resolver;
mod services;
mod shards;
mod signals;
mod sources;
pub(crate) mod targets;
pub(crate) mod totals;
pub(crate) mod vault;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use turnpike_rt::Driver;

use crate::limits::LimiterLine;
use crate::mailbox::{Loads, Mailbox, ToShard};
use crate::notify;
use crate::quotas::QuotaLine;
use crate::settings::Settings;
use crate::sockets::{Sockets, UPGRADE_SOCKET};
use crate::table::Compiler;
use crate::tls::{DefaultCertificate, Sites, TicketKeys};
use crate::upgrade::predecessor::Legacy;
use crate::upgrade::successor::{self, Incumbent, Outcome};
use access_log::AccessLog;
use admin::{Admin, Door, Readiness};
use collector::{Ask, Collector};
use link::{Candidate, Link, LinkSettings, LinkStatus, Order};
use publish::{Names, Publication};
use shards::Shards;
use signals::Signal;
use sources::Sources;
use totals::Totals;

pub(crate) use services::Services;
pub(crate) use shards::ShardEvent;

/// Log lines that are queued when the shards have ended get this long to be written.
const LOG_FINISH_MS: u64 = 5_000;

/// Requests of quotas that shards have left get this long to be given back to control when the shards have ended.
const QUOTAS_FINISH: Duration = Duration::from_secs(1);

/// How often a gateway that has drained looks whether its own predecessor has.
const PREDECESSOR_POLL: Duration = Duration::from_millis(20);

/// How long readiness waits for the first snapshot's names; those that are still unresolved then make
/// their own requests wait, not the whole gateway.
const RESOLVE_MS: u64 = 2_000;

/// What the housekeeper needs besides: the started shards, the sockets, and whom this gateway succeeds.
pub(crate) struct Gateway {
    pub(crate) driver: Driver,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) limiter: LimiterLine,
    pub(crate) quotas: QuotaLine,
    pub(crate) loads: Loads,
    pub(crate) events: mpsc::UnboundedReceiver<ShardEvent>,
    pub(crate) sockets: Sockets,
    pub(crate) legacy: Option<Legacy>,
    /// To be printed when connections are accepted.
    pub(crate) ready_line: String,
}

/// Runs until every shard has ended; an error names the one that ended for a reason of its own.
pub(crate) async fn run(services: Services, gateway: Gateway) -> Result<(), String> {
    let (mut housekeeper, mut opening) = prepare(services, gateway)?;
    housekeeper.shards.all_started().await?;
    if let Some(legacy) = &mut opening.legacy {
        housekeeper.succeed(legacy).await?;
    }
    // From here on this process is the gateway.
    housekeeper.shards.tell(|| ToShard::Accept).await;
    let mut open = housekeeper.open(opening)?;
    let successor = housekeeper.attend(&mut open).await?;
    housekeeper.finish(open, successor).await
}

/// The housekeeper at work.
struct Housekeeper {
    settings: &'static Settings,
    log: Arc<Mutex<AccessLog>>,
    certificate: Option<Arc<DefaultCertificate>>,
    names: Names,
    limiter: LimiterLine,
    quotas: QuotaLine,
    loads: Loads,
    link: watch::Receiver<LinkStatus>,
    readiness: watch::Sender<Readiness>,
    admin: Arc<Admin>,
    /// The admin address is told to drain.
    drains: mpsc::UnboundedReceiver<()>,
    signals: mpsc::UnboundedReceiver<Signal>,
    shards: Shards,
}

/// What begins once the shards have started.
struct Opening<A> {
    link: Link<A>,
    gateway_id: String,
    sockets: Sockets,
    legacy: Option<Legacy>,
    ready_line: String,
}

/// Compiles a snapshot and hands it to the shards.
trait Apply: FnMut(Candidate) -> Result<(), String> + Send + 'static {}

impl<A: FnMut(Candidate) -> Result<(), String> + Send + 'static> Apply for A {}

/// What goes on while the shards accept connections.
struct Open {
    admin: JoinHandle<io::Result<()>>,
    readiness: JoinHandle<()>,
    upgrades: JoinHandle<()>,
    incumbent: Arc<Incumbent>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    predecessor_gone: Arc<Notify>,
}

/// Serves what is on the disk, and asks nobody for anything yet.
fn prepare(services: Services, gateway: Gateway) -> Result<(Housekeeper, Opening<impl Apply>), String> {
    let Services { settings, tables, log, https, tickets, resolver, targets, vault, samples } = services;
    let Gateway { driver, mailboxes, limiter, quotas, loads, events, sockets, legacy, ready_line } = gateway;
    let (samples, sample_calls) = samples;
    let totals = Arc::new(Mutex::new(Totals::new(mailboxes.len(), samples)));
    tokio::spawn(totals::keep_counting(Arc::clone(&totals), sample_calls));
    let access_log = log.queue();
    let log = Arc::new(Mutex::new(log));
    let names = Names { resolver: Arc::new(resolver), targets: Arc::new(targets) };
    let certificate = https.map(|https| https.certificate);
    keep_keys_fresh(Arc::clone(&tickets), certificate.clone());

    let compiler = Compiler::new(settings.integration_timeout_ms_max, Sites::new(tickets))
        .with_default_certificate(certificate.clone());
    let publication =
        Publication::new(tables, Arc::clone(&totals), Arc::clone(&log), names.clone(), compiler)
            .with_huge_pages(settings.huge_pages);
    let publish_counts = publication.counts();
    tokio::spawn(publication.free_retired());
    let gateway_id = legacy.as_ref().map_or_else(gateway_id, |legacy| legacy.gateway_id.clone());
    let link = Link::new(link_settings(settings, &gateway_id), vault, publication.into_apply())
        .with_quotas(quotas.clone());

    let (readiness, readiness_seen) = watch::channel(Readiness::Starting);
    let sources = Sources {
        driver,
        link: link.status(),
        publish_counts,
        readiness: readiness_seen.clone(),
        names: names.clone(),
        target_metrics_max: settings.target_metrics_max,
        access_log,
        limiter: limiter.clone(),
    };
    let (drain_wanted, drains) = mpsc::unbounded_channel();
    let admin = Arc::new(Admin {
        collector: Mutex::new(collector(settings, &mailboxes, &totals)),
        totals,
        figures: Box::new(move || sources.figures()),
        readiness: readiness_seen,
        drain: Box::new(move || {
            // Fails only when the gateway is ending anyway.
            drain_wanted.send(()).ok();
        }),
    });
    let signals = signals::listen(settings.exit_with_parent).map_err(|error| format!("signals: {error}"))?;
    let housekeeper = Housekeeper {
        settings,
        log,
        certificate,
        names,
        limiter,
        quotas,
        loads,
        link: link.status(),
        readiness,
        admin,
        drains,
        signals,
        shards: Shards::new(mailboxes, events),
    };
    Ok((housekeeper, Opening { link, gateway_id, sockets, legacy, ready_line }))
}

fn link_settings(settings: &Settings, gateway_id: &str) -> LinkSettings {
    LinkSettings {
        limits: publish::limits(settings),
        ..LinkSettings::new(settings.publish_socket.clone(), gateway_id.to_owned())
    }
}

fn collector(settings: &Settings, mailboxes: &[Mailbox], totals: &Arc<Mutex<Totals>>) -> Collector {
    let timeout = Duration::from_millis(settings.metrics_collect_timeout_ms);
    Collector::new(Arc::clone(totals), mailboxes.iter().map(ask).collect(), timeout)
}

fn keep_keys_fresh(tickets: Arc<TicketKeys>, certificate: Option<Arc<DefaultCertificate>>) {
    tokio::spawn(tickets.keep_rotating());
    if let Some(certificate) = certificate {
        tokio::spawn(certificate.keep_renewing());
    }
}

impl Housekeeper {
    /// Becomes as ready as the predecessor is, and waits for its word to go.
    async fn succeed(&self, legacy: &mut Legacy) -> Result<(), String> {
        let LinkStatus { serving_version, not_restored, .. } = self.link.borrow().clone();
        if serving_version < legacy.serving_version {
            let because = not_restored.map_or_else(String::new, |reason| format!(": {reason}"));
            return Err(format!(
                "the running gateway serves version {}, and the newest that this binary can load from the data directory is \
                 {serving_version}{because}",
                legacy.serving_version
            ));
        }
        if serving_version > 0 {
            names_resolved(&self.names).await;
        }
        legacy.ready().await
    }

    /// Answers at the admin address, follows control, takes upgrades, and says that it does.
    fn open<A: Apply>(&self, opening: Opening<A>) -> Result<Open, String> {
        let Opening { link, gateway_id, sockets, legacy, ready_line } = opening;
        let admin = self.open_admin(&sockets)?;
        let readiness = follow_readiness(self.link.clone(), self.names.clone(), self.readiness.clone());
        let readiness = tokio::spawn(readiness);
        let link_orders = watch::Sender::new(Order::Follow);
        tokio::spawn(link.run(link_orders.subscribe()));
        let upgrades = sockets.upgrade.try_clone().and_then(UnixListener::from_std);
        let upgrades = upgrades.map_err(|error| format!("upgrades: {error}"))?;
        let (outcome, outcomes) = mpsc::unbounded_channel();
        let incumbent = Arc::new(Incumbent {
            sockets,
            limiter: self.limiter.clone(),
            data_dir: self.settings.data_dir.clone(),
            gateway_id,
            link: self.link.clone(),
            link_orders,
            timeout_ms: AtomicU64::new(self.settings.upgrade_timeout_ms),
            outcomes: outcome,
            underway: Mutex::default(),
        });
        let upgrades = tokio::spawn(successor::serve(Arc::clone(&incumbent), upgrades));
        let predecessor_gone = announce(ready_line, legacy);
        Ok(Open { admin, readiness, upgrades, incumbent, outcomes, predecessor_gone })
    }

    fn open_admin(&self, sockets: &Sockets) -> Result<JoinHandle<io::Result<()>>, String> {
        let listener = sockets.admin.socket.try_clone().and_then(TcpListener::from_std);
        let door = Door::new(
            listener.map_err(|error| format!("admin: {error}"))?,
            self.settings.admin_connections_max,
            Duration::from_millis(self.settings.admin_idle_timeout_ms),
        );
        Ok(tokio::spawn(admin::serve(door, Arc::clone(&self.admin), std::future::pending())))
    }

    /// Until the gateway is to drain, or a shard has ended; the connection to the successor if there is one.
    async fn attend(&mut self, open: &mut Open) -> Result<Option<UnixStream>, String> {
        loop {
            tokio::select! {
                event = self.shards.hear() => return event.map(|()| None),
                signal = self.signals.recv() => match signal {
                    Some(Signal::Reload) => self.reload(&open.incumbent).await,
                    Some(Signal::Drain) | None => return Ok(None),
                },
                Some(()) = self.drains.recv() => return Ok(None),
                () = open.predecessor_gone.notified() => self.shards.tell(|| ToShard::Look).await,
                Some(outcome) = open.outcomes.recv() => match outcome {
                    Outcome::HandedOver(successor) => return Ok(Some(successor)),
                    Outcome::Failed => self.shards.tell(|| ToShard::Look).await,
                },
            }
        }
    }

    /// Log files, the certificate and the settings anew.
    async fn reload(&mut self, incumbent: &Incumbent) {
        self.log.lock().await.reopen();
        if let Some(Err(error)) = self.certificate.as_ref().map(|certificate| certificate.reload()) {
            report!("turnpike-gateway: {error}; the certificate that was read before is served on");
        }
        if let Some(settings) = reload::reread(self.settings) {
            self.settings = settings;
            incumbent.timeout_ms.store(settings.upgrade_timeout_ms, Ordering::Relaxed);
            self.shards.tell(|| ToShard::Adopt(settings)).await;
        }
    }

    /// Drains, and writes what is still to be written.
    async fn finish(mut self, open: Open, successor: Option<UnixStream>) -> Result<(), String> {
        let Open { admin, readiness, upgrades, incumbent, .. } = open;
        let is_succeeded = successor.is_some();
        if !is_succeeded {
            notify::stopping();
            // Best effort: the next start replaces a socket that is left behind.
            let _ = std::fs::remove_file(self.settings.data_dir.join(UPGRADE_SOCKET));
        }
        readiness.abort();
        self.readiness.send_replace(Readiness::Draining);
        // Its sockets are to be closed with the shards', so that nobody connects in vain.
        upgrades.abort();
        let _ = upgrades.await;
        drop(incumbent);
        if is_succeeded {
            admin.abort();
        }
        let time = Duration::from_millis(self.settings.drain_timeout_ms);
        let deadline = Instant::now() + time;
        let successor = successor.map(|successor| (successor, self.loads));
        self.shards.drain(&mut self.signals, time, successor).await?;
        if is_succeeded {
            // One that drains since before goes on asking the successor, through this process.
            let _ = timeout_at(deadline, alone(&self.limiter)).await;
        }
        // What doesn't get home in time is on file, and goes home with the next start.
        let _ = timeout_at(Instant::now() + QUOTAS_FINISH, self.quotas.finish()).await;
        admin.abort();
        finish_log(&self.log).await;
        self.shards.outcome()
    }
}

/// Prints the ready line, and has the service manager told: of a gateway with a predecessor, by that. Notified when the
/// predecessor is gone.
fn announce(ready_line: String, legacy: Option<Legacy>) -> Arc<Notify> {
    println!("{ready_line}");
    let predecessor_gone = Arc::new(Notify::new());
    let Some(legacy) = legacy else {
        notify::ready();
        return predecessor_gone;
    };
    let gone = Arc::clone(&predecessor_gone);
    tokio::spawn(async move {
        legacy.serving(&ready_line).await;
        gone.notify_one();
    });
    predecessor_gone
}

/// Waits until no process before this one is left.
async fn alone(limits: &LimiterLine) {
    while limits.is_preceded() {
        tokio::time::sleep(PREDECESSOR_POLL).await;
    }
}

fn ask(mailbox: &Mailbox) -> Ask {
    let mailbox = mailbox.clone();
    Box::new(move |reply| {
        // A full mailbox gives the question back; dropped, it says that the shard won't answer.
        drop(mailbox.send(ToShard::Collect(reply)));
    })
}

/// Ready as soon as a snapshot is served and its names are resolved, or have had time to be; a gateway that
/// starts with what is on its disk needs no control for it.
async fn follow_readiness(
    mut link: watch::Receiver<LinkStatus>,
    names: Names,
    readiness: watch::Sender<Readiness>,
) {
    if link.wait_for(|status| status.serving_version > 0).await.is_ok() {
        names_resolved(&names).await;
        readiness.send_replace(Readiness::Ready);
    }
}

/// Those of the snapshot that is served, or as many of them as can be in time.
async fn names_resolved(names: &Names) {
    let deadline = Instant::now() + Duration::from_millis(RESOLVE_MS);
    names.resolver.resolved(deadline).await;
    names.targets.services().resolved(deadline).await;
}

/// How control's operator tells gateways apart.
fn gateway_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(64).collect();
    format!("{host}-{}", std::process::id())
}

async fn finish_log(log: &Mutex<AccessLog>) {
    // The link's task, which isn't over yet, has to find it unlocked.
    let finishing = log.lock().await.finish(Duration::from_millis(LOG_FINISH_MS));
    if let Err(unwritten) = finishing.await {
        report!("turnpike-gateway: access log: {} bytes could not be written", unwritten.queued_bytes);
    }
}
