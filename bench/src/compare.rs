//! The comparison: starts origin, load generator and the proxies on cores of their own, measures them in interleaved
//! rounds and prints medians side by side, with the median of the rounds' ratios.

mod bodies;
mod cache;
mod callers;
mod child;
mod churn;
mod contenders;
pub(crate) mod facts;
mod failure;
mod features;
mod gateway;
mod generator;
mod grpc;
mod h2load;
mod handshakes;
mod hold;
mod http;
mod http2;
mod https;
mod identity;
mod idle;
pub(crate) mod instructions;
mod layout;
mod limits;
mod load;
mod management;
mod metered;
mod open_loop;
mod peers;
mod probe;
mod quota;
mod rest;
pub(crate) mod results;
mod rounds;
mod routes;
mod shards;
mod side_by_side;
mod sigv4;
mod small;
pub(crate) mod stats;
pub(crate) mod table;
mod turnpike;
mod upgrade;
mod usage;
mod wrk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use turnpike_loadgen::cli::parse_duration;

use facts::Facts;
use layout::Layout;
use load::{LoadGenerator, Target};
use peers::{Downstream, Peer, Role};
use results::{Results, Section};
use turnpike::Turnpike;

use crate::output::{self, Reader};
use crate::report;

/// Client connections that a peer is set up for, at the same time.
const CONNECTIONS_MAX: usize = 4096;

/// Which sections and proxies, and for how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Sections to run [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<SectionName>,

    /// Proxies to compare [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<PeerName>,

    /// Rounds; a figure is the median over them
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// How long each measurement lasts; where proxies are measured side by side, the slices of time that each gets
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    duration: Duration,

    /// How long load runs before a measurement begins
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    warmup: Duration,

    /// Keep-alive connections of the sections with small replies
    #[arg(long, default_values_t = [64, 256], value_delimiter = ',')]
    connections: Vec<usize>,

    /// Writes all figures, single rounds included, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Writes a self-contained page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// A Python that has grpcio, for the section grpc
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,

    /// Envoy's binary, which Debian doesn't have; it is left out without
    #[arg(long, value_name = "FILE")]
    envoy: Option<PathBuf>,

    /// The binary of bench/peers/pingora; pingora is left out without
    #[arg(long, value_name = "FILE")]
    pingora: Option<PathBuf>,

    /// Where turnpike-loadgen, turnpike-gateway and turnpike-control are [default: beside this program]
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SectionName {
    /// Small replies over keep-alive connections, closed loop
    Small,
    /// Latencies at fixed rates, open loop: shares of HAProxy's, Turnpike's and each proxy's own peak
    OpenLoop,
    /// What an API key, a usage plan, throttles, an access log and metrics cost, against nginx with Lua
    Features,
    /// A new connection for each request
    Churn,
    /// The origin is killed and comes back, under load
    Failure,
    /// On two cores, and four where there are eight: the gateway against itself on one, and against the peers
    Shards,
    /// 1 KiB, 64 KiB and 10 MiB bodies, both ways
    Bodies,
    /// 10,000 and 100,000 routes against one, and changes under load
    Routes,
    /// Small replies over kept connections under TLS 1.3
    Https,
    /// A TLS 1.3 handshake for each request, full and resumed
    Handshakes,
    /// Small replies over 32 connections of 32 streams
    Http2,
    /// Memory of 50,000 connections that rest
    Idle,
    /// 100,000 unary calls between a gRPC client and a gRPC server
    Grpc,
    /// The management API: an import, 1,000 APIs of 100 routes, 32 clients at once
    Management,
    /// New processes take over under load: 500,000 requests, and how many fail
    Upgrade,
    /// Throttles: whether they hold, and what they and quotas cost
    Limits,
    /// Throttles of three gateways on one Redis: whether they hold, and how soon load that moves is served
    SharedLimits,
    /// A quota, while gateway and control are killed 50 times
    Quota,
    /// Hits of the response cache against nginx's and Varnish's, and a flush of 100,000 entries
    Cache,
    /// The load generator on one core: requests/s against wrk's, and how exact its rate is
    Generator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PeerName {
    Turnpike,
    Haproxy,
    Nginx,
    /// HTTP/2 only
    H2o,
    /// The section cache only
    Varnish,
    Caddy,
    /// With --envoy
    Envoy,
    /// With --pingora
    Pingora,
    /// nginx with plugins in Lua, as Kong and APISIX are; the section features only
    NginxLua,
    /// The bare proxy
    Passthrough,
    /// The bare responder, without a proxy
    Responder,
}

/// What the sections work with. Fields drop in order: proxies before the directory with their files.
#[derive(Debug)]
struct Bench {
    args: Args,
    cores: Vec<usize>,
    layout: Layout,
    generator: LoadGenerator,
    binaries: PathBuf,
    turnpike: Option<Turnpike>,
    targets: Vec<Target>,
    origin: SocketAddr,
    _peers: Vec<Peer>,
    dir: tempfile::TempDir,
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let mut bench = Bench::start(args, child::work_dir()?)?;
    let mut facts = Facts::gather(bench.cores.len(), &bench.layout);
    if bench.compares(PeerName::Turnpike) {
        facts.ask_version(&require(&bench.binaries, "turnpike-gateway")?, "--version");
    }
    let peers = [
        (PeerName::Haproxy, "haproxy", "-v"),
        (PeerName::Nginx, "nginx", "-v"),
        (PeerName::H2o, "h2o", "--version"),
        (PeerName::Varnish, "varnishd", "-V"),
        (PeerName::Caddy, "caddy", "version"),
    ];
    for (peer, program, argument) in peers {
        if bench.runs(peer) && bench.compares(peer) {
            facts.ask_version(&peers::find_program(program)?, argument);
        }
    }
    if bench.compares(PeerName::Pingora) {
        facts.versions.push(peers::pingora_version());
    }
    if let Some(envoy) = args.envoy.as_deref().filter(|_| bench.compares(PeerName::Envoy)) {
        facts.ask_version(envoy, "--version");
    }
    // What sections need is asked for now rather than after twenty minutes.
    if bench.sections().contains(&SectionName::Generator) {
        facts.ask_version(&peers::find_program("wrk")?, "-v");
    }
    if bench.sections().contains(&SectionName::Grpc) {
        grpc::check_python(&args.python)?;
    }
    let mut reader = output::print(&facts)?;
    let mut results = Results { facts, sections: Vec::new() };
    for section in bench.sections() {
        if reader == Reader::Gone && args.json.is_none() && args.html.is_none() {
            // Nobody would ever see what is measured from here on.
            return Ok(());
        }
        eprintln!("section {}", section.name());
        let mut outcome = match section {
            SectionName::Small => small::run(&bench)?,
            SectionName::OpenLoop => open_loop::run(&bench, &results.sections)?,
            SectionName::Features => features::run(&bench)?,
            SectionName::Churn => churn::run(&bench)?,
            SectionName::Failure => failure::run(&bench)?,
            SectionName::Shards => shards::run(&bench)?,
            SectionName::Bodies => bodies::run(&bench)?,
            SectionName::Routes => routes::run(&mut bench)?,
            SectionName::Https => https::run(&bench)?,
            SectionName::Handshakes => handshakes::run(&bench)?,
            SectionName::Http2 => http2::run(&bench)?,
            SectionName::Idle => idle::run(&bench)?,
            SectionName::Grpc => grpc::run(&bench)?,
            SectionName::Management => management::run(&bench)?,
            SectionName::Upgrade => upgrade::run(&bench)?,
            SectionName::Limits => limits::run(&bench)?,
            SectionName::SharedLimits => limits::run_shared(&bench)?,
            SectionName::Quota => quota::run(&bench)?,
            SectionName::Cache => cache::run(&bench)?,
            SectionName::Generator => generator::run(&bench)?,
        };
        outcome.note_generator();
        reader = output::print(outcome.show())?;
        results.sections.push(outcome);
        // What was measured in an hour isn't lost with a section that can't be.
        args.json.as_deref().map_or(Ok(()), |file| results.keep(file, false))?;
    }
    results.show_checks().map_or(Ok(reader), output::print)?;
    args.json.as_deref().map_or(Ok(()), |file| results.keep(file, true))?;
    match &args.html {
        Some(path) => report::write_page(&report::parse(&results.to_json()?)?, path),
        None => Ok(()),
    }
}

impl Bench {
    fn start(args: &Args, dir: tempfile::TempDir) -> Result<Self, String> {
        let cores = layout::allowed_cores()?;
        let layout = Layout::one_proxy_core(&cores);
        let binaries = match &args.binaries {
            Some(dir) => dir.clone(),
            None => own_dir()?,
        };
        let (origin_peer, origin) = peers::start_origin(dir.path(), &layout.origin)?;
        let generator = LoadGenerator {
            binary: require(&binaries, "turnpike-loadgen")?,
            dir: dir.path().to_owned(),
            cores: layout.loadgen.clone(),
            duration: args.duration,
            warmup: args.warmup,
        };
        let mut bench = Self {
            args: args.clone(),
            cores,
            layout,
            generator,
            binaries,
            turnpike: None,
            targets: Vec::new(),
            origin,
            _peers: vec![origin_peer],
            dir,
        };
        for peer in PeerName::value_variants() {
            if bench.compares(*peer) {
                bench.start_peer(*peer)?;
            }
        }
        Ok(bench)
    }

    fn start_peer(&mut self, peer: PeerName) -> Result<(), String> {
        let (dir, origin, cores) = (self.dir.path(), self.origin, &self.layout.proxy);
        let started = match peer {
            PeerName::Turnpike => {
                let mut turnpike = Turnpike::start("turnpike", &self.binaries, dir, &self.layout)?;
                self.targets.push(turnpike.make_default_api(origin)?);
                self.turnpike = Some(turnpike);
                return Ok(());
            }
            // Their sections start them.
            PeerName::H2o | PeerName::Varnish | PeerName::NginxLua => return Ok(()),
            PeerName::Passthrough => peers::start_floor(dir, cores, Some(origin))?,
            PeerName::Responder => peers::start_floor(dir, cores, None)?,
            _ => self.start_proxy(peer, &self.role(dir))?,
        };
        self.targets.push(started.target.clone());
        self._peers.push(started);
        Ok(())
    }

    /// A peer's part where its section wants nothing else: plain HTTP in front of the origin of all.
    fn role<'a>(&'a self, dir: &'a Path) -> Role<'a> {
        Role {
            dir,
            cores: &self.layout.proxy,
            origin: self.origin,
            downstream: Downstream::Http,
            connections_max: CONNECTIONS_MAX,
            cached_body_bytes: None,
        }
    }

    /// One of others' proxies.
    fn start_proxy(&self, peer: PeerName, role: &Role<'_>) -> Result<Peer, String> {
        match peer {
            PeerName::Haproxy => peers::start_haproxy(role),
            PeerName::Nginx => peers::start_nginx(role),
            PeerName::H2o => peers::start_h2o(role),
            PeerName::Varnish => peers::start_varnish(role),
            PeerName::Caddy => peers::start_caddy(role),
            PeerName::Envoy => peers::start_envoy(role, given(self.args.envoy.as_deref(), "--envoy")?),
            PeerName::Pingora => {
                peers::start_pingora(role, given(self.args.pingora.as_deref(), "--pingora")?)
            }
            PeerName::Turnpike | PeerName::NginxLua | PeerName::Passthrough | PeerName::Responder => {
                Err(format!("{} is no proxy of others", peer.name()))
            }
        }
    }

    /// Whether it is among the peers wanted: those named, or all that are there.
    fn compares(&self, peer: PeerName) -> bool {
        let is_there = match peer {
            PeerName::Envoy => self.args.envoy.is_some(),
            PeerName::Pingora => self.args.pingora.is_some(),
            _ => true,
        };
        if self.args.peers.is_empty() { is_there } else { self.args.peers.contains(&peer) }
    }

    /// Whether a section wants it.
    fn runs(&self, peer: PeerName) -> bool {
        match peer {
            PeerName::H2o => self.sections().contains(&SectionName::Http2),
            PeerName::Varnish => self.sections().contains(&SectionName::Cache),
            _ => true,
        }
    }

    fn sections(&self) -> Vec<SectionName> {
        let wanted = |section: &SectionName| self.args.only.is_empty() || self.args.only.contains(section);
        SectionName::value_variants().iter().copied().filter(wanted).collect()
    }

    fn rounds(&self) -> usize {
        usize::from(self.args.rounds)
    }

    fn target(&self, peer: PeerName) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == peer.name())
    }
}

impl PeerName {
    fn name(self) -> &'static str {
        match self {
            Self::Turnpike => "turnpike",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::H2o => "h2o",
            Self::Varnish => "varnish",
            Self::Caddy => "caddy",
            Self::Envoy => "envoy",
            Self::Pingora => "pingora",
            Self::NginxLua => "nginx-lua",
            Self::Passthrough => "passthrough",
            Self::Responder => "responder",
        }
    }
}

impl SectionName {
    fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::OpenLoop => "open-loop",
            Self::Features => "features",
            Self::Churn => "churn",
            Self::Failure => "failure",
            Self::Shards => "shards",
            Self::Bodies => "bodies",
            Self::Routes => "routes",
            Self::Https => "https",
            Self::Handshakes => "handshakes",
            Self::Http2 => "http2",
            Self::Idle => "idle",
            Self::Grpc => "grpc",
            Self::Management => "management",
            Self::Upgrade => "upgrade",
            Self::Limits => "limits",
            Self::SharedLimits => "shared-limits",
            Self::Quota => "quota",
            Self::Cache => "cache",
            Self::Generator => "generator",
        }
    }
}

/// An empty section that says why.
fn skipped(name: SectionName, reason: &str) -> Section {
    Section { notes: vec![format!("skipped: {reason}")], ..Section::new(name.name()) }
}

fn given<'a>(program: Option<&'a Path>, option: &str) -> Result<&'a Path, String> {
    program.ok_or_else(|| format!("where its binary is has to be said by {option} FILE; scripts/bench does"))
}

fn own_dir() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("own path unknown: {error}"))?;
    program.parent().map(Path::to_owned).ok_or_else(|| "own path has no directory".to_owned())
}

fn require(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing: cargo build --release -p {name}", path.display()))
}
