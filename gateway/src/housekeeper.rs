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
mod signals;
pub(crate) mod targets;
pub(crate) mod totals;
pub(crate) mod vault;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use turnpike_rt::Driver;

use crate::access_log_format::AccessLogFormat;
use crate::limits::LimiterLine;
use crate::mailbox::{Loads, Mailbox, ToShard};
use crate::notify;
use crate::quotas::QuotaLine;
use crate::settings::Settings;
use crate::sockets::{Sockets, UPGRADE_SOCKET};
use crate::stats::{SampleCalls, SampleQueue};
use crate::table::{Compiler, StageLog, Table};
use crate::tls::{DefaultCertificate, Site, Sites, TicketKeys};
use crate::upgrade::predecessor::Legacy;
use crate::upgrade::successor::{self, Incumbent, Outcome};
use access_log::AccessLog;
use admin::{Admin, Door, Readiness};
use collector::{Ask, Collector};
use link::{Link, LinkSettings, LinkStatus, Order};
use metrics::HousekeeperFigures;
use publish::{Names, Publication};
use resolver::{Addresses, Resolver};
use signals::Signal;
use targets::{TargetEvent, Targets};
use totals::Totals;
use vault::{Files, Lock, Vault};

/// Log lines that are queued when the shards have ended get this long to be written.
const LOG_FINISH_MS: u64 = 5_000;

/// Requests of quotas that shards have left get this long to be given back to control when the shards have ended.
const QUOTAS_FINISH: Duration = Duration::from_secs(1);

/// How often a gateway that has drained looks whether its own predecessor has.
const PREDECESSOR_POLL: Duration = Duration::from_millis(20);

/// How long readiness waits for the first snapshot's names; those that are still unresolved then make
/// their own requests wait, not the whole gateway.
const RESOLVE_MS: u64 = 2_000;

/// What a shard's thread says of itself.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// It can accept connections.
    Started,
    Ended {
        index: usize,
        outcome: io::Result<()>,
    },
}

/// Services that the shards need before they start.
pub(crate) struct Services {
    pub(crate) settings: &'static Settings,
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) log: AccessLog,
    /// `None` where HTTPS is turned off.
    https: Option<Https>,
    tickets: Arc<TicketKeys>,
    resolver: Resolver,
    targets: Targets,
    vault: Vault,
    samples: (SampleQueue, SampleCalls),
}

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

impl Services {
    /// To be called on the housekeeper's runtime, with the data directory locked.
    ///
    /// # Errors
    /// The data directory can't be used, or the access log can't be opened.
    pub(crate) fn start(settings: &'static Settings, lock: &Lock) -> Result<Self, String> {
        let limits = publish::limits(settings);
        let vault = Vault::open_locked(Box::new(Files), &settings.data_dir, limits, lock.clone());
        let tickets = TicketKeys::new(Duration::from_millis(settings.tls_ticket_rotation_ms))?;
        let resolver = Resolver::start(settings);
        Ok(Self {
            https: Https::prepare(settings, &tickets)?,
            tickets,
            tables: Arc::new(ArcSwap::from_pointee(Table::empty())),
            log: AccessLog::start(settings).map_err(|error| error.to_string())?,
            targets: Targets::start(settings, &resolver),
            resolver,
            vault: vault.map_err(|error| error.to_string())?,
            samples: SampleQueue::new(),
            settings,
        })
    }

    pub(crate) fn addresses(&self) -> Arc<ArcSwap<Addresses>> {
        self.resolver.addresses()
    }

    /// For hosts without a site of their own; `None` where HTTPS is turned off.
    pub(crate) fn default_site(&self) -> Option<Arc<Site>> {
        self.https.as_ref().map(|https| Arc::clone(&https.site))
    }

    pub(crate) fn samples(&self) -> SampleQueue {
        self.samples.0.clone()
    }

    pub(crate) fn target_events(&self) -> mpsc::Sender<TargetEvent> {
        self.targets.events()
    }

    /// The gateway's own log, for requests that no stage logs.
    pub(crate) fn main_log(&self) -> Result<Option<StageLog>, String> {
        let Some(sink) = self.log.main_sink() else { return Ok(None) };
        let format = AccessLogFormat::compile(&self.settings.access_log_format)
            .map_err(|error| format!("access_log_format: {error}"))?;
        Ok(Some(StageLog { sink, format: Arc::new(format) }))
    }
}

/// What HTTPS answers with at hosts without a certificate of their own.
struct Https {
    certificate: Arc<DefaultCertificate>,
    site: Arc<Site>,
}

impl Https {
    fn prepare(settings: &Settings, tickets: &Arc<TicketKeys>) -> Result<Option<Self>, String> {
        if settings.tls_listen.is_empty() {
            return Ok(None);
        }
        let certificate = DefaultCertificate::load(settings)?;
        if let Some(authority) = certificate.authority() {
            report!(
                "turnpike-gateway: HTTPS has a development certificate for hosts without one of their own; its \
                 authority, for clients to trust: {}",
                authority.display()
            );
        }
        let site = Sites::new(Arc::clone(tickets)).default_site(&certificate);
        let site = site.map_err(|error| format!("the default certificate: {error}"))?;
        Ok(Some(Self { certificate: Arc::new(certificate), site }))
    }
}

/// Runs until every shard has ended; an error names the one that ended for a reason of its own.
pub(crate) async fn run(services: Services, gateway: Gateway) -> Result<(), String> {
    let Services { mut settings, tables, log, https, tickets, resolver, targets, vault, samples } = services;
    let Gateway { driver, mailboxes, limiter, quotas, loads, mut events, sockets, legacy, ready_line } =
        gateway;
    let (samples, sample_calls) = samples;
    let totals = Arc::new(Mutex::new(Totals::new(mailboxes.len(), samples)));
    tokio::spawn(totals::keep_counting(Arc::clone(&totals), sample_calls));
    let log_queue = log.queue();
    let log = Arc::new(Mutex::new(log));
    let resolver = Arc::new(resolver);
    let targets = Arc::new(targets);
    let certificate = https.map(|https| https.certificate);
    let compiler = Compiler::new(settings.integration_timeout_ms_max, Sites::new(Arc::clone(&tickets)))
        .with_default_certificate(certificate.clone());
    tokio::spawn(tickets.keep_rotating());
    if let Some(certificate) = certificate.clone() {
        tokio::spawn(certificate.keep_renewing());
    }
    let names = Names { resolver: Arc::clone(&resolver), targets: Arc::clone(&targets) };
    let publication = Publication::new(tables, Arc::clone(&totals), Arc::clone(&log), names, compiler)
        .with_huge_pages(settings.huge_pages);
    let publish_counts = publication.counts();
    tokio::spawn(publication.free_retired());

    let limits = limiter.clone();
    let gateway_id = legacy.as_ref().map_or_else(gateway_id, |legacy| legacy.gateway_id.clone());
    let link_settings = LinkSettings {
        limits: publish::limits(settings),
        ..LinkSettings::new(settings.publish_socket.clone(), gateway_id.clone())
    };
    let link = Link::new(link_settings, vault, publication.into_apply()).with_quotas(quotas.clone());
    let link_status = link.status();
    let link_orders = watch::Sender::new(Order::Follow);

    let target_metrics_max = settings.target_metrics_max;
    let (readiness, readiness_seen) = watch::channel(Readiness::Starting);
    let (drain_wanted, mut drains) = mpsc::unbounded_channel();
    let admin = Arc::new(Admin {
        collector: Mutex::new(Collector::new(
            Arc::clone(&totals),
            mailboxes.iter().map(ask).collect(),
            Duration::from_millis(settings.metrics_collect_timeout_ms),
        )),
        totals,
        figures: Box::new({
            let (link_status, readiness) = (link_status.clone(), readiness_seen.clone());
            let (resolver, targets) = (Arc::clone(&resolver), Arc::clone(&targets));
            move || HousekeeperFigures {
                driver: driver.name(),
                snapshot_version: link_status.borrow().serving_version,
                snapshot_unkept: link_status.borrow().not_kept.is_some(),
                snapshot_applied_total: publish_counts.applied(),
                snapshot_refused_total: publish_counts.refused(),
                refused_routes: publish_counts.refused_routes(),
                control_connected: link_status.borrow().connected,
                draining: *readiness.borrow() == Readiness::Draining,
                resolver: resolver.figures().and(targets.services().figures()),
                target_groups: targets.figures(),
                target_metrics_max,
                access_log: log_queue.figures(),
                limiter: limiter.figures(),
            }
        }),
        readiness: readiness_seen,
        drain: Box::new(move || {
            // Fails only when the gateway is ending anyway.
            drain_wanted.send(()).ok();
        }),
    });

    let mut signals =
        signals::listen(settings.exit_with_parent).map_err(|error| format!("signals: {error}"))?;
    let mut watch = Watch { mailboxes: &mailboxes, running: mailboxes.len(), started: 0, failure: None };
    watch.all_started(&mut events).await?;
    let legacy = match legacy {
        Some(legacy) => Some(succeed(legacy, link_status.clone(), &resolver, &targets).await?),
        None => None,
    };
    // From here on this process is the gateway.
    watch.tell(|| ToShard::Accept).await;
    let admin_listener = sockets.admin.socket.try_clone().and_then(TcpListener::from_std);
    let admin_listener = admin_listener.map_err(|error| format!("admin: {error}"))?;
    let door = Door::new(
        admin_listener,
        settings.admin_connections_max,
        Duration::from_millis(settings.admin_idle_timeout_ms),
    );
    let admin_task = tokio::spawn(admin::serve(door, admin, std::future::pending()));
    let readiness_task =
        tokio::spawn(follow_readiness(link_status.clone(), resolver, targets, readiness.clone()));
    tokio::spawn(link.run(link_orders.subscribe()));
    let (outcomes, mut upgraded) = mpsc::unbounded_channel();
    let upgrade_listener = sockets.upgrade.try_clone().and_then(UnixListener::from_std);
    let upgrade_listener = upgrade_listener.map_err(|error| format!("upgrades: {error}"))?;
    let incumbent = Arc::new(Incumbent {
        sockets,
        limiter: limits.clone(),
        data_dir: settings.data_dir.clone(),
        gateway_id,
        link: link_status,
        link_orders,
        timeout_ms: AtomicU64::new(settings.upgrade_timeout_ms),
        outcomes,
        underway: Mutex::default(),
    });
    let upgrades = tokio::spawn(successor::serve(Arc::clone(&incumbent), upgrade_listener));
    println!("{ready_line}");
    let predecessor_gone = Arc::new(Notify::new());
    match legacy {
        // The predecessor tells the service manager.
        Some(legacy) => {
            let alone = predecessor_gone.clone();
            tokio::spawn(async move {
                legacy.serving(&ready_line).await;
                alone.notify_one();
            });
        }
        None => notify::ready(),
    }
    let successor = loop {
        tokio::select! {
            event = events.recv() => {
                watch.note(event)?;
                break None;
            }
            signal = signals.recv() => match signal {
                Some(Signal::Reload) => {
                    log.lock().await.reopen();
                    if let Some(Err(error)) = certificate.as_ref().map(|certificate| certificate.reload()) {
                        report!("turnpike-gateway: {error}; the certificate that was read before is served on");
                    }
                    if let Some(reread) = reload::reread(settings) {
                        settings = reread;
                        incumbent.timeout_ms.store(settings.upgrade_timeout_ms, Ordering::Relaxed);
                        watch.tell(|| ToShard::Adopt(settings)).await;
                    }
                }
                Some(Signal::Drain) | None => break None,
            },
            Some(()) = drains.recv() => break None,
            () = predecessor_gone.notified() => watch.tell(|| ToShard::Look).await,
            Some(outcome) = upgraded.recv() => match outcome {
                Outcome::HandedOver(successor) => break Some(successor),
                Outcome::Failed => watch.tell(|| ToShard::Look).await,
            },
        }
    };
    if successor.is_none() {
        notify::stopping();
        // Best effort: the next start replaces a socket that is left behind.
        let _ = std::fs::remove_file(settings.data_dir.join(UPGRADE_SOCKET));
    }
    readiness_task.abort();
    readiness.send_replace(Readiness::Draining);
    // Its sockets are to be closed with the shards', so that nobody connects in vain.
    upgrades.abort();
    let _ = upgrades.await;
    drop(incumbent);
    if successor.is_some() {
        admin_task.abort();
    }
    let time = Duration::from_millis(settings.drain_timeout_ms);
    let is_succeeded = successor.is_some();
    let deadline = Instant::now() + time;
    watch.drain(&mut events, &mut signals, time, successor.map(|successor| (successor, loads))).await?;
    if is_succeeded {
        // One that drains since before goes on asking the successor, through this process.
        let _ = timeout_at(deadline, alone(&limits)).await;
    }
    // What doesn't get home in time is on file, and goes home with the next start.
    let _ = timeout_at(Instant::now() + QUOTAS_FINISH, quotas.finish()).await;
    admin_task.abort();
    drop(readiness);
    finish_log(&log).await;
    watch.failure.map_or(Ok(()), Err)
}

/// Waits until no process before this one is left.
async fn alone(limits: &LimiterLine) {
    while limits.is_preceded() {
        tokio::time::sleep(PREDECESSOR_POLL).await;
    }
}

/// Becomes as ready as the predecessor is, and waits for its word to go.
async fn succeed(
    mut legacy: Legacy,
    mut link: watch::Receiver<LinkStatus>,
    resolver: &Resolver,
    targets: &Targets,
) -> Result<Legacy, String> {
    let LinkStatus { serving_version, not_restored, .. } = link.borrow_and_update().clone();
    if serving_version < legacy.serving_version {
        let because = not_restored.map_or_else(String::new, |reason| format!(": {reason}"));
        return Err(format!(
            "the running gateway serves version {}, and the newest that this binary can load from the data directory is \
             {serving_version}{because}",
            legacy.serving_version
        ));
    }
    if serving_version > 0 {
        names_resolved(resolver, targets).await;
    }
    legacy.ready().await?;
    Ok(legacy)
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
    resolver: Arc<Resolver>,
    targets: Arc<Targets>,
    readiness: watch::Sender<Readiness>,
) {
    if link.wait_for(|status| status.serving_version > 0).await.is_ok() {
        names_resolved(&resolver, &targets).await;
        readiness.send_replace(Readiness::Ready);
    }
}

/// Those of the snapshot that is served, or as many of them as can be in time.
async fn names_resolved(resolver: &Resolver, targets: &Targets) {
    let deadline = Instant::now() + Duration::from_millis(RESOLVE_MS);
    resolver.resolved(deadline).await;
    targets.services().resolved(deadline).await;
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

/// Tells the successor that no shard accepts any more.
async fn hang_up(successor: UnixStream, loads: Loads) {
    while loads.is_accepting() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    report!("turnpike-gateway: another process accepts; draining");
    drop(successor);
}

/// How a drain goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Connections wait for a last request, which is answered with a close.
    Waiting,
    Draining,
    Stopping,
}

impl Stage {
    fn message(self) -> ToShard {
        match self {
            Self::Waiting => ToShard::HandOver,
            Self::Draining => ToShard::Drain,
            Self::Stopping => ToShard::Stop,
        }
    }
}

/// For connections that waited in vain to close, before requests in flight are cut off.
const LAST_MS: u64 = 1_000;

/// The shards, as their events tell.
struct Watch<'a> {
    mailboxes: &'a [Mailbox],
    running: usize,
    started: usize,
    failure: Option<String>,
}

impl Watch<'_> {
    fn note(&mut self, event: Option<ShardEvent>) -> Result<(), String> {
        match event {
            Some(ShardEvent::Started) => self.started += 1,
            Some(ShardEvent::Ended { index, outcome }) => {
                self.running -= 1;
                if let Err(error) = outcome {
                    self.failure.get_or_insert(format!("shard {index}: {error}"));
                }
            }
            None => return Err("the shards' threads are gone".into()),
        }
        Ok(())
    }

    async fn all_started(&mut self, events: &mut mpsc::UnboundedReceiver<ShardEvent>) -> Result<(), String> {
        while self.started < self.mailboxes.len() {
            self.note(events.recv().await)?;
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Lets the shards finish; after `time`, or when told a second time, they close what is open. Where connections
    /// were handed over, those that only wait for a request are ended first.
    async fn drain(
        &mut self,
        events: &mut mpsc::UnboundedReceiver<ShardEvent>,
        signals: &mut mpsc::UnboundedReceiver<Signal>,
        time: Duration,
        successor: Option<(UnixStream, Loads)>,
    ) -> Result<(), String> {
        let mut stage = if successor.is_some() { Stage::Waiting } else { Stage::Draining };
        self.tell(|| stage.message()).await;
        let mut deadline = Instant::now() + time;
        if let Some((successor, loads)) = successor {
            // A shard that hangs is stopped at the deadline; the successor hears of the process's end then.
            let _ = timeout_at(deadline, hang_up(successor, loads)).await;
        }
        while self.running > 0 {
            let late = tokio::select! {
                event = events.recv() => {
                    self.note(event)?;
                    continue;
                }
                Some(Signal::Drain) = signals.recv(), if stage != Stage::Stopping => false,
                Err(_) = timeout_at(deadline, std::future::pending::<()>()), if stage != Stage::Stopping => true,
            };
            stage = match stage {
                Stage::Waiting => Stage::Draining,
                _ => Stage::Stopping,
            };
            if late && stage == Stage::Stopping {
                report!(
                    "turnpike-gateway: requests are still in flight after drain_timeout_ms; closing them"
                );
            }
            deadline = Instant::now() + Duration::from_millis(LAST_MS);
            self.tell(|| stage.message()).await;
        }
        Ok(())
    }

    /// A mailbox that is full is emptied within a moment, or its shard has ended.
    async fn tell(&self, message: impl Fn() -> ToShard) {
        for mailbox in self.mailboxes {
            let mut attempts = 0;
            while mailbox.send(message()).is_err() && attempts < 100 {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
