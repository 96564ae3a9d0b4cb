//! Compiles what control has published, and hands it to the shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use turnpike_rt::HeapPages;
use turnpike_snapshot::{Limits, StageUnit};

use super::access_log::AccessLog;
use super::link::Candidate;
use super::resolver::Resolver;
use super::targets::Targets;
use super::totals::Totals;
use crate::access_log_format::AccessLogFormat;
use crate::settings::Settings;
use crate::stats::StageSlot;
use crate::table::{Compiler, Refusals, StageLog, StageServices, Table};

/// Lines about the refused routes of one snapshot.
const REFUSED_LINES_MAX: usize = 100;

/// How often tables that no shard uses any more are freed.
const FREE_EVERY: Duration = Duration::from_secs(1);

/// Everything that a new snapshot changes.
pub(super) struct Publication {
    tables: Arc<ArcSwap<Table>>,
    totals: Arc<Mutex<Totals>>,
    log: Arc<Mutex<AccessLog>>,
    names: Names,
    compiler: Compiler,
    counts: Arc<Counts>,
    retired: Arc<Mutex<Vec<Arc<Table>>>>,
    /// `None` where they aren't wanted, or can't be had.
    pages: Option<HeapPages>,
}

/// What turns a snapshot's names into addresses and targets.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) resolver: Arc<Resolver>,
    pub(super) targets: Arc<Targets>,
}

impl Names {
    /// Looks up the names of the table to serve and of those that requests in flight still have.
    fn look_up(&self, table: &Table, retired: &[Arc<Table>]) {
        let tables = std::iter::once(table).chain(retired.iter().map(|table| &**table));
        let mut names: Vec<_> = tables.map(Table::upstream_names).collect();
        // Most changes leave the names as they are: the tables share them.
        names.sort_unstable_by_key(|names| Arc::as_ptr(names));
        names.dedup_by_key(|names| Arc::as_ptr(names));
        self.resolver.set_hosts(names.iter().flat_map(|names| names.hosts.iter().cloned()));
        self.targets.services().set_hosts(names.iter().flat_map(|names| names.services.iter().cloned()));
    }
}

/// How many snapshots came, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    applied: AtomicU64,
    refused: AtomicU64,
    /// Of the snapshot that is served.
    refused_routes: AtomicU64,
}

impl Counts {
    pub(super) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn refused_routes(&self) -> u64 {
        self.refused_routes.load(Ordering::Relaxed)
    }
}

/// The settings' limits, in the contract's terms.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        unit_bytes_max: settings.snapshot_unit_bytes_max as _,
        units_max: settings.snapshot_units_max as _,
        snapshot_bytes_max: settings.snapshot_bytes_max,
        ..Limits::default()
    }
}

impl Publication {
    pub(super) fn new(
        tables: Arc<ArcSwap<Table>>,
        totals: Arc<Mutex<Totals>>,
        log: Arc<Mutex<AccessLog>>,
        names: Names,
        compiler: Compiler,
    ) -> Self {
        let (counts, retired) = (Arc::default(), Arc::default());
        Self { tables, totals, log, names, compiler, counts, retired, pages: None }
    }

    /// Has tables lie on huge pages, where they are so large.
    pub(super) fn with_huge_pages(self, wanted: bool) -> Self {
        Self { pages: wanted.then(HeapPages::default), ..self }
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Frees tables here, so that no shard ever spends its time on it, and forgets names that only they had.
    pub(super) fn free_retired(&self) -> impl Future<Output = ()> + Send + use<> {
        let (tables, retired, names) =
            (Arc::clone(&self.tables), Arc::clone(&self.retired), self.names.clone());
        async move {
            loop {
                tokio::time::sleep(FREE_EVERY).await;
                let mut retired = retired.lock().await;
                let before = retired.len();
                retired.retain(|table| Arc::strong_count(table) > 1);
                if retired.len() < before {
                    names.look_up(&tables.load(), &retired);
                }
            }
        }
    }

    pub(super) fn into_apply(mut self) -> impl FnMut(Candidate) -> Result<(), String> + Send {
        move |candidate| {
            let applied = self.apply(&candidate);
            let count = if applied.is_ok() { &self.counts.applied } else { &self.counts.refused };
            count.fetch_add(1, Ordering::Relaxed);
            applied
        }
    }

    /// The store into `tables` is the moment from which every shard serves the new snapshot.
    fn apply(&mut self, candidate: &Candidate) -> Result<(), String> {
        const ONE_THREAD: &str = "the housekeeper has one thread, and holds this lock across no await";
        let mut totals = self.totals.try_lock().expect(ONE_THREAD);
        let mut log = self.log.try_lock().expect(ONE_THREAD);
        let mut services = Services { totals: &mut totals, log: &mut log };
        let table = self.compiler.compile(candidate.version, &candidate.units, &mut services);
        let table = table.map_err(|error| error.to_string())?;
        let mut retired = self.retired.try_lock().expect(ONE_THREAD);
        let before = self.tables.load_full();
        let refusals = table.refusals(&before);
        gather(&mut self.pages, &table);
        retired.push(before);
        self.names.look_up(&table, &retired);
        self.names.targets.set(table.target_groups());
        self.tables.store(Arc::new(table));
        self.counts.refused_routes.store(refusals.routes as u64, Ordering::Relaxed);
        tell(&refusals);
        Ok(())
    }
}

/// Ahead of the first request to the table, which is not to wait for it.
fn gather(pages: &mut Option<HeapPages>, table: &Table) {
    let Some(heap) = pages else { return };
    if let Err(reason) = heap.gather(table.places()) {
        report!("turnpike-gateway: tables of routes stay on small pages, which is slower: {reason}");
        *pages = None;
    }
}

/// Says once which routes answer nothing but errors, and why.
fn tell(refusals: &Refusals) {
    for line in refusals.new.iter().take(REFUSED_LINES_MAX) {
        report!("turnpike-gateway: answers 500 to {line}");
    }
    if let Some(more @ 1..) = refusals.new.len().checked_sub(REFUSED_LINES_MAX) {
        report!("turnpike-gateway: answers 500 to {more} more routes of this snapshot");
    }
}

struct Services<'a> {
    totals: &'a mut Totals,
    log: &'a mut AccessLog,
}

impl StageServices for Services<'_> {
    fn slots(&mut self, stages: &[(&str, &str)]) -> Vec<StageSlot> {
        self.totals.assign_slots(stages.iter().copied())
    }

    fn log(&mut self, unit: &StageUnit) -> Result<Option<StageLog>, String> {
        let Some(wanted) = &unit.access_log else { return Ok(None) };
        let sink = self.log.group_sink(&wanted.destination).map_err(|error| error.to_string())?;
        let format = AccessLogFormat::compile(&wanted.format).map_err(|error| error.to_string())?;
        Ok(Some(StageLog { sink, format: Arc::new(format) }))
    }
}
