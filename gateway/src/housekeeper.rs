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
pub(crate) mod resolver;
mod signals;
pub(crate) mod targets;
pub(crate) mod totals;
pub(crate) mod vault;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use turnpike_rt::Driver;

use crate::access_log_format::AccessLogFormat;
use crate::mailbox::{Mailbox, ToShard};
use crate::settings::Settings;
use crate::table::{Compiler, StageLog, Table};
use access_log::AccessLog;
use admin::{Admin, Readiness};
use collector::{Ask, Collector};
use link::{Link, LinkSettings, LinkStatus};
use metrics::HousekeeperFigures;
use publish::{Names, Publication};
use resolver::{Addresses, Resolver};
use signals::Signal;
use targets::{EjectedTarget, Targets};
use totals::Totals;
use vault::Vault;

/// Log lines that are queued when the shards have ended get this long to be written.
const LOG_FINISH_MS: u64 = 5_000;

/// How long readiness waits for the first snapshot's names; those that are still unresolved then make
/// their own requests wait, not the whole gateway.
const RESOLVE_MS: u64 = 2_000;

/// What a shard's thread says of itself.
#[derive(Debug)]
pub(crate) enum ShardEvent {
    /// It accepts connections.
    Started,
    Ended {
        index: usize,
        outcome: io::Result<()>,
    },
}

/// Services that the shards need before they start.
pub(crate) struct Services {
    pub(crate) settings: Arc<Settings>,
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) log: AccessLog,
    resolver: Resolver,
    targets: Targets,
    vault: Vault,
}

impl Services {
    /// To be called on the housekeeper's runtime.
    ///
    /// # Errors
    /// The data directory is in use or can't be used, or the access log can't be opened.
    pub(crate) fn start(settings: Arc<Settings>) -> Result<Self, String> {
        let vault =
            Vault::open(&settings.data_dir, publish::limits(&settings)).map_err(|error| error.to_string())?;
        let resolver = Resolver::start(&settings);
        Ok(Self {
            tables: Arc::new(ArcSwap::from_pointee(Table::empty())),
            log: AccessLog::start(&settings).map_err(|error| error.to_string())?,
            targets: Targets::start(&settings, &resolver),
            resolver,
            vault,
            settings,
        })
    }

    pub(crate) fn addresses(&self) -> Arc<ArcSwap<Addresses>> {
        self.resolver.addresses()
    }

    pub(crate) fn ejections(&self) -> mpsc::Sender<EjectedTarget> {
        self.targets.ejections()
    }

    /// The gateway's own log, for requests that no stage logs.
    pub(crate) fn main_log(&self) -> Result<Option<StageLog>, String> {
        let Some(sink) = self.log.main_sink() else { return Ok(None) };
        let format = AccessLogFormat::compile(&self.settings.access_log_format)
            .map_err(|error| format!("access_log_format: {error}"))?;
        Ok(Some(StageLog { sink, format: Arc::new(format) }))
    }
}

/// Runs until every shard has ended; an error names the one that ended for a reason of its own.
pub(crate) async fn run(
    services: Services,
    driver: Driver,
    mailboxes: Vec<Mailbox>,
    admin_listener: std::net::TcpListener,
    mut events: mpsc::UnboundedReceiver<ShardEvent>,
    ready_line: String,
) -> Result<(), String> {
    let Services { settings, tables, log, resolver, targets, vault } = services;
    let totals = Arc::new(Mutex::new(Totals::new(mailboxes.len())));
    let log_queue = log.queue();
    let log = Arc::new(Mutex::new(log));
    let resolver = Arc::new(resolver);
    let targets = Arc::new(targets);
    let compiler = Compiler::new(settings.integration_timeout_ms_max);
    let names = Names { resolver: Arc::clone(&resolver), targets: Arc::clone(&targets) };
    let publication = Publication::new(tables, Arc::clone(&totals), Arc::clone(&log), names, compiler);
    let publish_counts = publication.counts();
    tokio::spawn(publish::free_retired(publication.retired()));

    let link_settings = LinkSettings {
        limits: publish::limits(&settings),
        ..LinkSettings::new(settings.publish_socket.clone(), gateway_id())
    };
    let link = Link::new(link_settings, vault, publication.into_apply());
    let link_status = link.status();
    tokio::spawn(link.run());

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
                snapshot_applied_total: publish_counts.applied(),
                snapshot_refused_total: publish_counts.refused(),
                control_connected: link_status.borrow().connected,
                draining: *readiness.borrow() == Readiness::Draining,
                resolver: resolver.figures().and(targets.services().figures()),
                target_groups: targets.figures(),
                target_metrics_max,
                access_log: log_queue.figures(),
            }
        }),
        readiness: readiness_seen,
        drain: Box::new(move || {
            // Fails only when the gateway is ending anyway.
            drain_wanted.send(()).ok();
        }),
    });
    let admin_listener = TcpListener::from_std(admin_listener).map_err(|error| format!("admin: {error}"))?;
    let admin_task = tokio::spawn(admin::serve(admin_listener, admin, std::future::pending()));

    let mut signals =
        signals::listen(settings.exit_with_parent).map_err(|error| format!("signals: {error}"))?;
    let readiness_task = tokio::spawn(follow_readiness(link_status, resolver, targets, readiness.clone()));
    let mut watch = Watch { mailboxes: &mailboxes, running: mailboxes.len(), started: 0, failure: None };
    let mut ready_line = Some(ready_line);
    loop {
        tokio::select! {
            event = events.recv() => {
                watch.note(event)?;
                if watch.started == mailboxes.len() && let Some(line) = ready_line.take() {
                    println!("{line}");
                }
                if watch.running < mailboxes.len() { break }
            }
            signal = signals.recv() => match signal {
                Some(Signal::ReopenLogs) => log.lock().await.reopen(),
                Some(Signal::Drain) | None => break,
            },
            Some(()) = drains.recv() => break,
        }
    }
    readiness_task.abort();
    readiness.send_replace(Readiness::Draining);
    watch.drain(&mut events, &mut signals, Duration::from_millis(settings.drain_timeout_ms)).await?;
    admin_task.abort();
    drop(readiness);
    finish_log(log).await;
    watch.failure.map_or(Ok(()), Err)
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
        let deadline = Instant::now() + Duration::from_millis(RESOLVE_MS);
        resolver.resolved(deadline).await;
        targets.services().resolved(deadline).await;
        readiness.send_replace(Readiness::Ready);
    }
}

/// How control's operator tells gateways apart.
fn gateway_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_graphic).take(64).collect();
    format!("{host}-{}", std::process::id())
}

async fn finish_log(log: Arc<Mutex<AccessLog>>) {
    let Ok(log) = Arc::try_unwrap(log) else {
        // The link's task still holds it if it was in the middle of applying a snapshot; the queue's threads
        // write what they have all the same.
        return;
    };
    if let Err(unwritten) = log.into_inner().finish(Duration::from_millis(LOG_FINISH_MS)).await {
        report!("turnpike-gateway: access log: {} bytes could not be written", unwritten.queued_bytes);
    }
}

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

    /// Lets the shards finish; after `time`, or when told a second time, they close what is open.
    async fn drain(
        &mut self,
        events: &mut mpsc::UnboundedReceiver<ShardEvent>,
        signals: &mut mpsc::UnboundedReceiver<Signal>,
        time: Duration,
    ) -> Result<(), String> {
        self.tell(|| ToShard::Drain).await;
        let deadline = Instant::now() + time;
        let mut stopping = false;
        while self.running > 0 {
            tokio::select! {
                event = events.recv() => self.note(event)?,
                Some(Signal::Drain) = signals.recv(), if !stopping => {
                    stopping = true;
                    self.tell(|| ToShard::Stop).await;
                }
                Err(_) = timeout_at(deadline, std::future::pending::<()>()), if !stopping => {
                    report!("turnpike-gateway: requests are still in flight after drain_timeout_ms; closing them");
                    stopping = true;
                    self.tell(|| ToShard::Stop).await;
                }
            }
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
