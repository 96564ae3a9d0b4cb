//! Section `idle`: 50,000 kept connections that rest after one request each; how much memory of its own the proxy holds
//! for one of them.

use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::contenders::{Contenders, Protocol};
use super::hold::hold;
use super::load::Target;
use super::results::{Check, Section, Titled};
use super::stats::{grouped, mib};
use super::table::Table;
use super::usage::anonymous_bytes;
use super::{Bench, PeerName, SectionName};

const CONNECTIONS: usize = 50_000;
/// Descriptors that a proxy needs beside those of its clients.
const DESCRIPTORS_SPARE: usize = 1_200;
/// Longer than proxies keep buffers of a connection that rests.
const REST: Duration = Duration::from_secs(3);
const PROXIES: [PeerName; 3] = [PeerName::Turnpike, PeerName::Haproxy, PeerName::Nginx];
/// How clients connect, its name, and the most KiB that the gateway may hold for one.
const KINDS: [(Protocol, &str, f64); 2] =
    [(Protocol::Http, "plain HTTP", 2.0), (Protocol::Https, "TLS", 12.0)];

/// What one proxy held.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleRow {
    pub(crate) label: String,
    pub(crate) proxy: String,
    /// Open when the memory was read.
    pub(crate) connections: usize,
    pub(crate) before_bytes: u64,
    pub(crate) after_bytes: u64,
    pub(crate) bytes_each: f64,
}

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new(SectionName::Idle.name());
    let wanted = possible_connections(&mut section);
    for (protocol, label, kib_max) in KINDS {
        let name = format!("idle-{}", if protocol == Protocol::Https { "tls" } else { "plain" });
        let contenders = Contenders::start(bench, &name, &PROXIES, protocol, wanted + 64)?;
        for target in &contenders.targets {
            let row = measure(bench, target, label, wanted, &mut section)?;
            eprintln!("  {label:<16} {:<12} {:>10.0} bytes each", row.proxy, row.bytes_each);
            if row.proxy == "turnpike" {
                check(&mut section, &row, wanted, kib_max);
            }
            section.idle.push(row);
        }
    }
    section.tables = tables(&section);
    Ok(section)
}

/// As many as are wanted, or as the system's limit of descriptors allows, which is said.
fn possible_connections(section: &mut Section) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Raised for the bench's own end of the connections; what it starts inherits it.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let allowed = if raised.is_ok() { limit.maximum } else { limit.current };
    let allowed = allowed.map_or(usize::MAX, |allowed| allowed as usize);
    let possible = allowed.saturating_sub(DESCRIPTORS_SPARE).min(CONNECTIONS);
    if possible < CONNECTIONS {
        section.notes.push(format!(
            "{} of {} connections: a process may have {} files open here (ulimit -Hn), and the rest is skipped",
            grouped(possible as f64),
            grouped(CONNECTIONS as f64),
            grouped(allowed as f64)
        ));
    }
    possible
}

fn measure(
    bench: &Bench,
    target: &Target,
    label: &str,
    wanted: usize,
    section: &mut Section,
) -> Result<IdleRow, String> {
    // What a proxy makes with its first request isn't a connection's.
    drop(hold(target, 1, &bench.layout.loadgen[..1])?);
    let before_bytes = anonymous_bytes(target.group)?;
    let held = hold(target, wanted, &bench.layout.loadgen)?;
    thread::sleep(REST);
    let after_bytes = anonymous_bytes(target.group)?;
    if let Some(reason) = &held.failure {
        let reached = grouped(held.sockets.len() as f64);
        section.notes.push(format!("{label}, {}: {reached} connections were reached: {reason}", target.name));
    }
    Ok(IdleRow::new(label, &target.name, held.open(), before_bytes, after_bytes))
}

impl IdleRow {
    fn new(label: &str, proxy: &str, connections: usize, before_bytes: u64, after_bytes: u64) -> Self {
        let growth_bytes = after_bytes.saturating_sub(before_bytes);
        Self {
            label: label.to_owned(),
            proxy: proxy.to_owned(),
            connections,
            before_bytes,
            after_bytes,
            bytes_each: growth_bytes as f64 / connections.max(1) as f64,
        }
    }
}

fn check(section: &mut Section, row: &IdleRow, wanted: usize, kib_max: f64) {
    let figure = format!("idle, {}: connections held", row.label);
    section.checks.push(Check::at_least(figure, row.connections as f64, wanted as f64));
    let figure = format!("idle, {}: KiB of memory for each", row.label);
    section.checks.push(Check::at_most(figure, row.bytes_each / 1024.0, kib_max));
}

fn tables(section: &Section) -> Vec<Titled> {
    let mut tables = Vec::new();
    for (_, label, _) in KINDS {
        let mut table = Table::new(["proxy", "connections", "memory before", "after", "each"]);
        for row in section.idle.iter().filter(|row| row.label == label) {
            table.row([
                row.proxy.clone(),
                grouped(row.connections as f64),
                mib(row.before_bytes as f64),
                mib(row.after_bytes as f64),
                format!("{:.2} KiB", row.bytes_each / 1024.0),
            ]);
        }
        tables.push(Titled::new(label, table));
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_over_the_connections() {
        assert_eq!(IdleRow::new("x", "y", 4, 1_000, 5_000).bytes_each, 1_000.0);
        assert_eq!(IdleRow::new("x", "y", 0, 5_000, 1_000).bytes_each, 0.0);
    }
}
