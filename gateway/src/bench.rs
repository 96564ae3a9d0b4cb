//! What the micro-benchmarks reach of the data plane (`cargo bench -p turnpike-bench`): whole steps, as the housekeeper and
//! the shards take them. Only there with the feature `bench`, which no program is built with.

mod rewriting;

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use turnpike_snapshot::{StageUnit, Unit, UnitHash};

pub use rewriting::{Heads, Rewriter};

use crate::stats::StageSlot;
use crate::table::{Backend, Compiler, HeaderLines, StageLog, StageServices, Table};
use crate::tls::{Sites, TicketKeys};

const TIMEOUT_MS_MAX: u64 = 29_000;
const TICKET_ROTATION: Duration = Duration::from_secs(3_600);

/// Compiles one snapshot after the other, as the housekeeper does.
#[derive(Debug)]
pub struct Adoption {
    compiler: Compiler,
    slots: Slots,
}

/// Counters' slots by API and stage; no stage here has a log.
#[derive(Debug, Default)]
struct Slots(FxHashMap<(String, String), StageSlot>);

/// A compiled snapshot.
#[derive(Debug)]
pub struct Adopted(Table);

/// What a request was routed to.
#[derive(Debug, PartialEq, Eq)]
pub struct Routed<'t> {
    /// As in the snapshot.
    pub route_id: &'t str,
    /// The port that it leads to, or `None` where the route is refused.
    pub port: Option<u16>,
}

impl Adoption {
    /// Of a gateway that has served nothing yet.
    ///
    /// # Errors
    /// The system has no random numbers for TLS tickets.
    pub fn new() -> Result<Self, String> {
        let sites = Sites::new(TicketKeys::new(TICKET_ROTATION)?);
        Ok(Self { compiler: Compiler::new(TIMEOUT_MS_MAX, sites), slots: Slots::default() })
    }

    /// The table of a decoded and checked snapshot; stages that the one before had are taken over.
    ///
    /// # Errors
    /// Why the snapshot is refused.
    pub fn adopt(&mut self, version: u64, units: &[(UnitHash, Arc<Unit>)]) -> Result<Adopted, String> {
        let table = self.compiler.compile(version, units, &mut self.slots);
        table.map(Adopted).map_err(|error| error.to_string())
    }
}

impl StageServices for Slots {
    fn slots(&mut self, stages: &[(&str, &str)]) -> Vec<StageSlot> {
        let mut slot_of = |(api_id, stage): &(&str, &str)| {
            let next = StageSlot(self.0.len() as u32);
            *self.0.entry(((*api_id).to_owned(), (*stage).to_owned())).or_insert(next)
        };
        stages.iter().map(&mut slot_of).collect()
    }

    fn log(&mut self, _: &StageUnit) -> Result<Option<StageLog>, String> {
        Ok(None)
    }
}

impl Adopted {
    /// From host, method and normalized path to the integration: what a shard does for each request.
    #[must_use]
    pub fn route(&self, host: &[u8], method: &str, path: &str) -> Option<Routed<'_>> {
        let headers = HeaderLines { lines: &[], bytes: b"" };
        let address = self.0.address(self.0.approach(self.0.expect(host)), path, headers).ok()?;
        let release = &address.stage.release;
        let matched = release.routes.look_up(method, address.path)?;
        let port = match release.backend(&matched) {
            Backend::HttpProxy(integration) => Some(integration.upstream.port),
            Backend::Refused => None,
        };
        Some(Routed { route_id: &matched.route.id, port })
    }
}
