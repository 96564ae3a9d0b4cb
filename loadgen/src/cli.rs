//! The command line as typed, and the settings that it becomes once checked.

mod help;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::budget::{Budget, BudgetArgs};
use crate::check::{Capture, CheckArgs, CheckList};
use crate::compare::CompareArgs;
use crate::limits::{Limit, LimitArgs, Limits};
use crate::list::{read_list, text_or_file};
use crate::openapi::ImportArgs;
use crate::output::OutputArgs;
use crate::protocol::{Carriage, ProtocolArgs};
use crate::replay::ReplayArgs;
use crate::request::{self, Protocol, Shape};
use crate::scenario::{Scenario, ScenarioArgs, Target};
use crate::schedule::{OpenLoop, PaceArgs};
use crate::search::SearchArgs;
use crate::self_test::SelfTestArgs;
use crate::show::ShowArgs;
use crate::supply::Load;
use crate::target::{self, Url};
use crate::timeline::IntervalArgs;
use crate::tls::{TlsArgs, TlsSettings};
use crate::view::{ViewArgs, ViewKind};
use crate::websocket::{WebSocketArgs, WebSocketSettings};

const CONNECTIONS_MAX: usize = 1_000_000;
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Sends HTTP requests or WebSocket messages, and reports throughput and the whole distribution of latencies.
#[derive(Debug, Clone, Parser)]
#[command(name = "turnpike-loadgen", version, after_help = help::EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: Args,
}

/// What else the program does; without a command, it runs load against a URL.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    Show(ShowArgs),
    Compare(CompareArgs),
    Search(Box<SearchArgs>),
    SelfTest(SelfTestArgs),
    ImportOpenapi(ImportArgs),
    Replay(Box<ReplayArgs>),
    /// List the limits that --limit sets
    Limits,
}

impl Cli {
    /// The command line of this process; ends it where that is wrong, or asks for help.
    pub fn of_this_process() -> Self {
        let mut command = help::shown(Self::command());
        let matches = command.get_matches_mut();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// A run of load.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to send requests: http://host[:port][/path][?query], or https://, ws://, wss://
    pub url: Option<String>,

    /// Connections, spread over the threads; so many to each host where a scenario names several
    #[arg(short = 'c', long, default_value_t = 64, value_name = "N")]
    pub connections: usize,

    /// How long to send, warm-up not included: 10s, 500ms, 2m [default: 10s, or the ramp's or steps']
    #[arg(short = 'd', long, value_parser = parse_duration, conflicts_with = "requests")]
    pub duration: Option<Duration>,

    /// How many requests to send, warm-up not included, instead of --duration
    #[arg(short = 'n', long, value_name = "N")]
    pub requests: Option<u64>,

    /// Send for this long before counting begins
    #[arg(long, value_parser = parse_duration, default_value = "0s", value_name = "DURATION")]
    pub warmup: Duration,

    /// Cores to run on, one pinned thread each: 0,2 or 1-3 [default: all allowed]
    #[arg(long, value_name = "LIST", conflicts_with = "threads")]
    pub cores: Option<String>,

    /// Run on the first N allowed cores
    #[arg(short = 't', long, value_name = "N")]
    pub threads: Option<usize>,

    /// Request method [default: GET, or POST with a body]
    #[arg(short = 'X', long)]
    pub method: Option<String>,

    /// A header field 'Name: value'; repeatable; Host replaces the URL's
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,

    /// Request body: the text itself, or @FILE for a file's content
    #[arg(long, value_name = "TEXT|@FILE", conflicts_with = "body_bytes")]
    pub body: Option<String>,

    /// Request body of N bytes
    #[arg(long, value_name = "N")]
    pub body_bytes: Option<u64>,

    /// Send the body in chunks (transfer-encoding: chunked)
    #[arg(long)]
    pub chunked: bool,

    /// Longest wait for one request, connecting and TLS handshake included
    #[arg(long, value_parser = parse_duration, default_value = "10s", value_name = "DURATION")]
    pub timeout: Duration,

    /// How long requests in flight at the end may take to finish; those that take longer count as unfinished
    #[arg(long, value_parser = parse_duration, default_value = "1s", value_name = "DURATION")]
    pub grace: Duration,

    /// Close each connection after N requests; 1 is a new connection for each request
    #[arg(long, value_name = "N")]
    pub requests_per_connection: Option<u64>,

    /// As --requests-per-connection 1, and each request says so (connection: close)
    #[arg(long, conflicts_with = "requests_per_connection")]
    pub no_keepalive: bool,

    /// Rotate through the paths of a file: 'path' or 'host path' a line
    #[arg(long, value_name = "FILE")]
    pub path_list: Option<PathBuf>,

    /// Rotate through the header fields of a file as well: 'Name: value' a line
    #[arg(long, value_name = "FILE")]
    pub header_list: Option<PathBuf>,

    /// Connect here, whatever a URL's host; the Host field and the TLS server name stay the URL's
    #[arg(long, value_name = "HOST:PORT")]
    pub connect_to: Option<String>,

    #[command(flatten)]
    pub pace: PaceArgs,

    #[command(flatten)]
    pub budget: BudgetArgs,

    #[command(flatten)]
    pub interval: IntervalArgs,

    #[command(flatten)]
    pub view: ViewArgs,

    /// The intervals' response times as an HdrHistogram interval log
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub hdr_log: Option<PathBuf>,

    #[command(flatten)]
    pub checks: CheckArgs,

    #[command(flatten)]
    pub scenario: ScenarioArgs,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub protocol: ProtocolArgs,

    #[command(flatten)]
    pub websocket: WebSocketArgs,

    #[command(flatten)]
    pub tls: TlsArgs,

    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How long a run lasts, warm-up not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Duration(Duration),
    Requests(u64),
}

/// A checked command line.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    /// By the index that requests have; each connection is one for each of them.
    pub hosts: Vec<Host>,
    pub load: Load,
    /// A connection is closed after so many; unlimited otherwise.
    pub requests_per_connection: Option<u64>,
    /// How connections carry requests.
    pub carriage: Carriage,
    /// For ws:// URLs.
    pub websocket: Option<WebSocketSettings>,
    pub connections: usize,
    pub length: Length,
    pub warmup: Duration,
    /// The open loop; a closed one without it.
    pub open: Option<OpenLoop>,
    pub budget: Option<Budget>,
    /// Of what is kept over time.
    pub interval: Duration,
    pub hdr_log: Option<PathBuf>,
    /// One reactor each; never more than connections.
    pub cores: Vec<usize>,
    pub timeout: Duration,
    /// For what is in flight at the end.
    pub grace: Duration,
    /// Of a reply's head.
    pub head_bytes_max: usize,
    pub view: ViewKind,
}

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Host {
    pub address: SocketAddr,
    /// For https:// URLs.
    pub tls: Option<TlsSettings>,
}

/// What is spoken, and how.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) protocol: Protocol,
    pub(crate) carriage: Carriage,
    pub(crate) websocket: Option<WebSocketSettings>,
}

impl Args {
    /// Checks everything, reads the files and resolves the address. Errors are sentences for the user.
    pub fn check(&self) -> Result<Settings, String> {
        let url = self.target()?;
        let open = self.pace.check()?;
        let length = self.length(open.as_ref())?;
        let way = self.way(&url)?;
        let load = self.load(&self.shape()?, &url, &way)?;
        if let Load::Scenario(scenario) = load
            && open.is_some()
            && scenario.thinks()
        {
            return Err(
                "--rate fixes when requests are sent: the scenario's think times need the closed loop"
                    .to_owned(),
            );
        }
        self.settings(&url, way, load, open, length)
    }

    /// Where requests go.
    pub(crate) fn target(&self) -> Result<Url, String> {
        match &self.url {
            Some(given) => Url::parse(given),
            None => Err("a URL is missing (see turnpike-loadgen --help)".to_owned()),
        }
    }

    /// What is spoken.
    pub(crate) fn way(&self, url: &Url) -> Result<Way, String> {
        let protocol = self.protocol.protocol(url);
        let websocket =
            self.websocket.check(url, &request::check_headers(&self.headers)?, &self.limits.limits())?;
        let carriage = self.protocol.check(url, websocket.as_ref().and_then(|websocket| websocket.hold))?;
        self.check_carriage(carriage)?;
        Ok(Way { protocol, carriage, websocket })
    }

    /// The settings of a run that sends this, then.
    pub(crate) fn settings(
        &self,
        url: &Url,
        way: Way,
        load: Load,
        open: Option<OpenLoop>,
        length: Length,
    ) -> Result<Settings, String> {
        self.check_ranges()?;
        self.output.check()?;
        let hosts = match load {
            Load::Scenario(scenario) => self.hosts(&scenario.hosts, &way)?,
            Load::Requests { .. } | Load::Recorded { .. } => self.hosts(std::slice::from_ref(url), &way)?,
        };
        let per_connection = match load {
            Load::Scenario(scenario) => scenario.requests_per_connection,
            Load::Requests { .. } | Load::Recorded { .. } => self.no_keepalive.then_some(1),
        };
        let mut cores = self.chosen_cores()?;
        cores.truncate(self.connections);
        Ok(Settings {
            url: self.url.clone().unwrap_or_default(),
            hosts,
            load,
            requests_per_connection: self.requests_per_connection.or(per_connection),
            carriage: way.carriage,
            websocket: way.websocket,
            connections: self.connections,
            length,
            warmup: self.warmup,
            interval: self.interval.check(&length)?,
            open,
            budget: self.budget.max_errors,
            hdr_log: self.hdr_log.clone(),
            cores,
            timeout: self.timeout,
            grace: self.grace,
            head_bytes_max: self.limits.limits().count(Limit::HeadBytes),
            view: self.view.check(),
        })
    }

    /// Addresses of the hosts, and how they are spoken to.
    fn hosts(&self, urls: &[Url], way: &Way) -> Result<Vec<Host>, String> {
        if let ([first, second, ..], true) = (urls, way.carriage != Carriage::OneByOne) {
            return Err(format!(
                "--http2 and --pipeline need a scenario of one host: what is under way on a connection goes to one, and \
                 this scenario names {} and {}",
                first.authority, second.authority
            ));
        }
        let given = self.connect_to.as_deref().map(target::resolve_authority).transpose();
        let given = given.map_err(|reason| format!("--connect-to: {reason}"))?;
        let host = |(url, tls): (&Url, Option<TlsSettings>)| {
            Ok(Host {
                address: given.map_or_else(|| url.resolve(), Ok)?,
                tls: tls.map(|tls| tls.speaking(way.protocol)),
            })
        };
        urls.iter().zip(self.tls.check_all(urls)?).map(host).collect()
    }

    /// What makes no sense on a WebSocket, or on one that only rests.
    fn check_carriage(&self, carriage: Carriage) -> Result<(), String> {
        let of_http = [
            (self.method.is_some(), "--method"),
            (self.body.is_some(), "--body"),
            (self.body_bytes.is_some(), "--body-bytes"),
            (self.no_keepalive, "--no-keepalive"),
            (self.path_list.is_some(), "--path-list"),
            (self.header_list.is_some(), "--header-list"),
            (self.scenario.scenario.is_some(), "--scenario"),
            (self.checks.expect_status.is_some(), "--expect-status"),
            (!self.checks.expect_headers.is_empty(), "--expect-header"),
        ];
        let of_messages = [
            (self.requests.is_some(), "--requests"),
            (self.requests_per_connection.is_some(), "--requests-per-connection"),
            (self.checks.expect_body_bytes.is_some(), "--expect-body-bytes"),
            (self.checks.expect_body.is_some(), "--expect-body"),
            (!self.checks.expect_body_contains.is_empty(), "--expect-body-contains"),
            (self.checks.expect_body_sha256.is_some(), "--expect-body-sha256"),
            (self.pace.rate.is_some(), "--rate"),
            (self.pace.ramp.is_some(), "--ramp"),
            (self.pace.steps.is_some(), "--steps"),
        ];
        let given = |options: &[(bool, &'static str)]| {
            options.iter().find_map(|(given, option)| given.then_some(*option))
        };
        let (on_websocket, on_hold) = match carriage {
            Carriage::Messages => (given(&of_http), None),
            Carriage::Hold(_) => (given(&of_http), given(&of_messages)),
            Carriage::OneByOne | Carriage::Pipeline(_) | Carriage::Streams(_) => (None, None),
        };
        match (on_websocket, on_hold) {
            (Some(option), _) => Err(format!("{option} needs an http:// or https:// URL")),
            (None, Some(option)) => Err(format!("{option} makes no sense with --hold")),
            (None, None) => Ok(()),
        }
    }

    /// The scenario, or what the command line says of the requests.
    fn load(&self, shape: &Shape, url: &Url, way: &Way) -> Result<Load, String> {
        let limits = self.limits.limits();
        let Some(file) = &self.scenario.scenario else {
            let list = &self.path_list;
            let paths = read_option("--path-list", list.as_ref(), &limits, target::parse_path_list)?;
            let list = &self.header_list;
            let fields = read_option("--header-list", list.as_ref(), &limits, request::parse_header_list)?;
            let requests = match &way.websocket {
                Some(websocket) => websocket.requests(),
                None => shape.requests(way.protocol, url, &paths, &fields)?,
            };
            return Ok(Load::Requests { requests, checks: self.plain_checks()? });
        };
        if url.path.contains('?') {
            return Err("--scenario: the URL has a query, behind which no path can be put".to_owned());
        }
        let target = Target {
            url,
            protocol: way.protocol,
            headers: &self.headers,
            checks: &self.checks.check(&limits)?,
            captured_body_bytes_max: self.checks.captured_body_bytes_max as usize,
            seed: self.pace.seed,
            limits,
        };
        let scenario = Scenario::load(file, &target)?;
        Ok(Load::Scenario(Box::leak(Box::new(scenario))))
    }

    /// The command line's checks as those of all requests.
    pub(crate) fn plain_checks(&self) -> Result<Option<&'static CheckList>, String> {
        let checks = self.checks.check(&self.limits.limits())?;
        let body_bytes_max = self.checks.captured_body_bytes_max as usize;
        let list =
            |checks| &*Box::leak(Box::new(CheckList::new(checks, 0, Capture::Nothing, body_bytes_max)));
        Ok((!checks.is_empty()).then(|| list(checks)))
    }

    fn check_ranges(&self) -> Result<(), String> {
        let range = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        range((1..=CONNECTIONS_MAX).contains(&self.connections), "--connections: 1 to 1000000")?;
        range(self.requests != Some(0), "--requests: at least 1")?;
        range(self.requests_per_connection != Some(0), "--requests-per-connection: at least 1")?;
        range(self.duration != Some(Duration::ZERO), "--duration: more than 0")?;
        range(self.timeout > Duration::ZERO, "--timeout: more than 0")?;
        range(self.threads != Some(0), "--threads: at least 1")?;
        let has_body = self.body.is_some() || self.body_bytes.is_some();
        range(has_body || !self.chunked, "--chunked needs --body or --body-bytes")
    }

    /// A ramp and steps last as long as they say, and go on at their last rate if the run is longer.
    fn length(&self, open: Option<&OpenLoop>) -> Result<Length, String> {
        let planned = open.and_then(OpenLoop::duration);
        if let Some(open) = open
            && open.first_rate_per_s() == 0.0
            && self.warmup > Duration::ZERO
        {
            return Err("--warmup sends at the first rate, which is 0: begin with another".to_owned());
        }
        match (self.requests, self.duration, planned) {
            (Some(requests), ..) => Ok(Length::Requests(requests)),
            (None, Some(duration), Some(planned)) if duration < planned => {
                Err(format!("--duration: the ramp or steps last {} s", planned.as_secs_f64()))
            }
            (None, duration, planned) => {
                Ok(Length::Duration(duration.or(planned).unwrap_or(DURATION_DEFAULT)))
            }
        }
    }

    pub(crate) fn shape(&self) -> Result<Shape, String> {
        let limits = self.limits.limits();
        let body = match (&self.body, self.body_bytes) {
            (Some(text), _) => {
                let read = text_or_file(text, &limits, Limit::BodyBytes);
                Some(read.map_err(|reason| format!("--body {reason}"))?.0)
            }
            (None, Some(bytes)) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                let checked = limits.check(Limit::BodyBytes, bytes);
                checked.map_err(|reason| format!("--body-bytes: {reason}"))?;
                Some(vec![b'x'; bytes])
            }
            (None, None) => None,
        };
        let default_method = if body.is_some() { "POST" } else { "GET" };
        Ok(Shape {
            method: self.method.clone().unwrap_or_else(|| default_method.to_owned()),
            headers: self.headers.clone(),
            body,
            chunked: self.chunked,
            keep_alive: !self.no_keepalive,
        })
    }

    fn chosen_cores(&self) -> Result<Vec<usize>, String> {
        let allowed = allowed_cores()?;
        if let Some(list) = &self.cores {
            let cores = parse_cores(list).map_err(|reason| format!("--cores {list}: {reason}"))?;
            return match cores.iter().find(|core| !allowed.contains(core)) {
                Some(core) => Err(format!("--cores {list}: core {core} is not one of {allowed:?}")),
                None => Ok(cores),
            };
        }
        let threads = self.threads.unwrap_or(allowed.len());
        if threads > allowed.len() {
            return Err(format!("--threads {threads}: only {} cores may be used", allowed.len()));
        }
        Ok(allowed[..threads].to_vec())
    }
}

/// What the lines of an option's file say; nothing without a file.
fn read_option<T>(
    option: &str,
    file: Option<&PathBuf>,
    limits: &Limits,
    parse: fn(&str) -> Result<Vec<T>, String>,
) -> Result<Vec<T>, String> {
    let read = |file| read_list(file, limits, parse).map_err(|reason| format!("{option} {reason}"));
    file.map_or(Ok(Vec::new()), |file| read(file))
}

/// The cores that this process may use; at least one.
pub(crate) fn allowed_cores() -> Result<Vec<usize>, String> {
    let cores = core_affinity::get_core_ids().filter(|cores| !cores.is_empty());
    let cores = cores.ok_or("the cores that this process may use can't be read (sched_getaffinity)")?;
    Ok(cores.iter().map(|core| core.id).collect())
}

/// `0,2` or `1-3`, each core once.
pub fn parse_cores(list: &str) -> Result<Vec<usize>, String> {
    let number =
        |text: &str| text.trim().parse::<usize>().map_err(|_| format!("'{text}' is not a core number"));
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if last < first || last > 4095 {
            return Err(format!("'{part}' is not a range of cores"));
        }
        for core in first..=last {
            if cores.contains(&core) {
                return Err(format!("core {core} stands there twice"));
            }
            cores.push(core);
        }
    }
    Ok(cores)
}

/// `10s`, `500ms`, `250us`, `2m`, `1h`, up to a week; fractions allowed.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    match duration_of(text)? {
        duration if duration <= DURATION_MAX => Ok(duration),
        _ => Err(format!("'{text}' is longer than a week")),
    }
}

/// The same without an end.
pub(crate) fn duration_of(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_each = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" => return Err(format!("'{text}' has no unit: us, ms, s, m or h")),
        _ => return Err(format!("'{unit}' is not a unit of time: us, ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{number}' is not a number"))?;
    Duration::try_from_secs_f64(number * seconds_each).map_err(|_| format!("'{text}' is no length of time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &[&str]) -> Result<Settings, String> {
        let all = ["turnpike-loadgen", "http://127.0.0.1:9/"].iter().chain(args);
        Cli::try_parse_from(all).map_err(|error| error.to_string())?.run.check()
    }

    fn first_head(settings: &Settings) -> &[u8] {
        match &settings.load {
            Load::Requests { requests, .. } => &requests[0].head,
            Load::Scenario(_) | Load::Recorded { .. } => panic!("no scenario was given"),
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["10", "s", "1d", "1.2.3s", "-1s", "99999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn core_lists_are_numbers_and_ranges() {
        assert_eq!(parse_cores("0,2-4"), Ok(vec![0, 2, 3, 4]));
        for wrong in ["", "a", "3-1", "1,1", "0-99999"] {
            assert!(parse_cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn defaults_follow_from_what_is_given() {
        let settings = check(&["--cores", "0"]).unwrap();
        assert_eq!(settings.length, Length::Duration(Duration::from_secs(10)));
        assert!(first_head(&settings).starts_with(b"GET / "));
        let settings = check(&["--cores", "0", "--body", "x", "-n", "5"]).unwrap();
        assert_eq!(settings.length, Length::Requests(5));
        assert!(first_head(&settings).starts_with(b"POST / "));
    }

    #[test]
    fn reactors_never_outnumber_connections() {
        assert_eq!(check(&["--connections", "1"]).unwrap().cores.len(), 1);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases: [(&[&str], &str); 22] = [
            (&["--rate", "5", "--ramp", "1:2:1s"], "cannot be used with"),
            (&["--ramp", "1:2:10s", "--duration", "9s"], "the ramp or steps last 10 s"),
            (&["--ramp", "0:2:10s", "--warmup", "1s"], "first rate, which is 0"),
            (&["--arrivals", "poisson"], "needs --rate"),
            (&["--max-errors", "many"], "neither a number"),
            (&["--json", "http://127.0.0.1:8/"], "--json would write to a file"),
            (&["--connections", "0"], "--connections"),
            (&["--rate", "0"], "--rate"),
            (&["--rate", "NaN"], "--rate"),
            (&["--requests", "0"], "--requests"),
            (&["--requests-per-connection", "0"], "--requests-per-connection"),
            (&["--requests-per-connection", "2", "--no-keepalive"], "cannot be used with"),
            (&["--insecure"], "--insecure needs an https:// URL"),
            (&["--chunked"], "--chunked needs"),
            (&["--cores", "4095"], "not one of"),
            (&["--threads", "5000"], "--threads"),
            (&["--duration", "10"], "no unit"),
            (&["--requests", "5", "--duration", "1s"], "cannot be used with"),
            (&["--path-list", "/nonexistent/list"], "--path-list /nonexistent/list: No such file"),
            (&["--body", "@/nonexistent/body"], "--body /nonexistent/body: No such file"),
            (&["--body-bytes", "99", "--limit", "body_bytes_max=98"], "--limit body_bytes_max=N allows more"),
            (&["--limit", "body_max=98"], "no limit 'body_max'"),
        ];
        for (args, reason) in cases {
            let error = check(args).unwrap_err();
            assert!(error.contains(reason), "{args:?}: {error}");
        }
    }
}
