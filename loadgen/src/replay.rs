//! `turnpike-loadgen replay`: sends again what an access log says, at the recorded times or a multiple of their speed.
//!
//! The log is read once, a line at a time; kept are each request's time (8 bytes), its index (4 bytes) and the distinct
//! requests. It is an open loop: latency counts from the recorded time, and every request of the log is sent, late or not.

mod line;
mod log;
mod time;

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::cli::{Args, Length, Settings};
use crate::output;
use crate::request::{Parts, Protocol, Request, check_header};
use crate::schedule::{OpenLoop, Spacing};
use crate::supply::Load;
use crate::target::Url;
use log::{Entry, Recording};

const SPEED_MAX: f64 = 1_000_000.0;
/// How gzip's files begin (RFC 1952, section 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Send what an access log says, when it says so
///
/// Read are Turnpike's and AWS's access logs as JSON or CLF, and nginx's and Apache's combined format. Bodies aren't in
/// logs: methods that have one are sent without, unless --body or --body-bytes gives one.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The access log; '-' is standard input, as for 'zcat access.log.gz | turnpike-loadgen replay - URL'
    pub log: PathBuf,

    /// So many times as fast as it was recorded; 0.5 is half as fast
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub speed: f64,

    #[command(flatten)]
    pub run: Args,
}

/// The requests of a log in their order.
#[derive(Debug)]
pub struct Recorded {
    requests: &'static [Request],
    order: &'static [u32],
}

/// One reactor's part of them: each so many from its first on, as its tickets are.
#[derive(Debug)]
pub(crate) struct RecordedPart {
    recorded: &'static Recorded,
    next: Cell<usize>,
    step: usize,
}

impl RecordedPart {
    pub(crate) fn new(recorded: &'static Recorded, index: usize, reactors: usize) -> Self {
        Self { recorded, next: Cell::new(index), step: reactors }
    }

    pub(crate) fn next(&self) -> Request {
        let at = self.next.get();
        self.next.set(at + self.step);
        // There are as many tickets as requests.
        let order = self.recorded.order;
        self.recorded.requests[order[at % order.len()] as usize].clone()
    }
}

impl ReplayArgs {
    /// Reads the log and checks everything else. Errors are sentences for the user.
    pub fn check(&self) -> Result<Settings, String> {
        self.check_options()?;
        let url = self.run.target()?;
        if url.websocket {
            return Err("replay needs an http:// or https:// URL".to_owned());
        }
        let way = self.run.way(&url)?;
        let recording = self.recording()?;
        let (load, notes) = self.load(&url, way.protocol, &recording)?;
        for note in recording.notes().into_iter().chain(notes) {
            output::tell(&note);
        }
        let mut times_ns = recording.times_ns(self.speed);
        let count = (self.run.requests.unwrap_or(u64::MAX)).min(times_ns.len() as u64);
        times_ns.truncate(count as usize);
        let open = OpenLoop::recorded(Arc::from(times_ns));
        self.run.settings(&url, way, load, Some(open), Length::Requests(count))
    }

    fn check_options(&self) -> Result<(), String> {
        if !(self.speed > 0.0 && self.speed <= SPEED_MAX) {
            return Err(format!("--speed: more than 0, up to {SPEED_MAX}"));
        }
        let run = &self.run;
        let pace = &run.pace;
        let of_the_log = [
            ("--rate", pace.rate.is_some()),
            ("--ramp", pace.ramp.is_some()),
            ("--steps", pace.steps.is_some()),
            ("--arrivals", pace.arrivals != Spacing::default()),
            ("--duration", run.duration.is_some()),
            ("--warmup", !run.warmup.is_zero()),
            ("--scenario", run.scenario.scenario.is_some()),
            ("--seed", pace.seed.is_some()),
            ("--method", run.method.is_some()),
            ("--path-list", run.path_list.is_some()),
            ("--header-list", run.header_list.is_some()),
        ];
        match of_the_log.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(format!("replay can't be used with {option}: the log says what is sent, and when"))
            }
            None => Ok(()),
        }
    }

    fn recording(&self) -> Result<Recording, String> {
        let limits = self.run.limits.limits();
        if self.log.as_os_str() == "-" {
            let read = Recording::read(std::io::stdin().lock(), &limits);
            return read.map_err(|reason| format!("standard input: {reason}"));
        }
        let in_log = |reason: String| format!("{}: {reason}", self.log.display());
        let file = File::open(&self.log).map_err(|error| in_log(error.to_string()))?;
        let mut log = BufReader::with_capacity(1 << 20, file);
        if log.fill_buf().map_err(|error| in_log(error.to_string()))?.starts_with(GZIP) {
            return Err(in_log("it is compressed: unpack it, or let zcat write it to 'replay -'".to_owned()));
        }
        Recording::read(log, &limits).map_err(in_log)
    }

    fn load(
        &self,
        url: &Url,
        protocol: Protocol,
        recording: &Recording,
    ) -> Result<(Load, Option<String>), String> {
        let shape = self.run.shape()?;
        let prefix = url.path.trim_end_matches('/');
        if prefix.contains('?') {
            return Err("replay: the URL has a query, behind which no path can be put".to_owned());
        }
        let mut fields = Vec::new();
        for header in &shape.headers {
            let (name, value) = check_header(header)?;
            fields.push((name.to_owned(), value.to_owned()));
        }
        let body = shape.body.map(|body| Bytes::from_static(Vec::leak(body)));
        let request = |entry: &Entry| {
            let parts = Parts {
                method: entry.method.to_string(),
                authority: url.authority.clone(),
                path: format!("{prefix}{}", entry.path),
                fields: fields.clone(),
                body: body.clone().filter(|_| entry.takes_body()),
                chunked: shape.chunked,
                close: !shape.keep_alive,
                ..Parts::default()
            };
            protocol.encode(&parts).leak()
        };
        let requests: Vec<Request> = recording.entries.iter().map(request).collect();
        let bodiless = recording.order().filter(|entry| entry.takes_body()).count();
        let note = (bodiless > 0 && body.is_none()).then(|| {
            format!(
                "{bodiless} requests with methods that have a body are sent without one, since logs hold none; \
                 --body gives them one"
            )
        });
        let order: Vec<u32> = recording.requests.iter().map(|request| request.entry).collect();
        let recorded = Recorded { requests: Vec::leak(requests), order: Vec::leak(order) };
        let checks = self.run.plain_checks()?;
        Ok((Load::Recorded { recorded: Box::leak(Box::new(recorded)), checks }, note))
    }
}
