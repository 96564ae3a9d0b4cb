//! What is spoken on the connections, and how many requests each of them carries at a time.

use crate::reply::HEAD_BYTES_MAX;
use crate::request::Protocol;
use crate::target::Url;

const STREAMS_MAX: usize = 10_000;
const PIPELINE_MAX: usize = 1_000;
const RESTING_BUFFER_BYTES: usize = 1024;

/// The protocol's part of the command line.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Protocol")]
pub struct ProtocolArgs {
    /// Speak HTTP/2: chosen by ALPN on https://, known beforehand on http://
    #[arg(long, conflicts_with_all = ["pipeline", "chunked", "no_keepalive"])]
    pub http2: bool,

    /// With --http2: requests at a time on each connection, if the server allows so many [default: 1]
    #[arg(long, value_name = "N", requires = "http2")]
    pub streams: Option<usize>,

    /// HTTP/1.1: send up to N requests on a connection before their replies, each with a latency of its own [default: 1]
    #[arg(long, value_name = "N")]
    pub pipeline: Option<usize>,
}

/// How connections carry requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Carriage {
    /// HTTP/1.1, one at a time.
    OneByOne,
    /// HTTP/1.1, so many at a time.
    Pipeline(usize),
    /// HTTP/2, a stream for each of so many.
    Streams(usize),
    /// One at a time.
    Messages,
    /// WebSockets that send nothing, opened at so many a second over all reactors.
    Hold(f64),
}

impl ProtocolArgs {
    pub(crate) fn protocol(&self, url: &Url) -> Protocol {
        match (self.http2, url.websocket) {
            (_, true) => Protocol::WebSocket,
            (true, _) => Protocol::Http2 { tls: url.tls },
            (false, _) => Protocol::Http1,
        }
    }

    /// Errors are sentences for the user.
    pub(crate) fn check(&self, url: &Url, hold: Option<f64>) -> Result<Carriage, String> {
        let given = [(self.http2, "--http2"), (self.pipeline.is_some(), "--pipeline")];
        if let Some((_, option)) = given.iter().find(|(given, _)| *given && url.websocket) {
            return Err(format!("{option} needs an http:// or https:// URL"));
        }
        if !self.streams.is_none_or(|streams| (1..=STREAMS_MAX).contains(&streams)) {
            return Err(format!("--streams: 1 to {STREAMS_MAX}"));
        }
        if !self.pipeline.is_none_or(|depth| (1..=PIPELINE_MAX).contains(&depth)) {
            return Err(format!("--pipeline: 1 to {PIPELINE_MAX}"));
        }
        Ok(match (hold, url.websocket) {
            (Some(rate), _) => Carriage::Hold(rate),
            (None, true) => Carriage::Messages,
            (None, false) if self.http2 => Carriage::Streams(self.streams.unwrap_or(1)),
            (None, false) => match self.pipeline {
                Some(depth @ 2..) => Carriage::Pipeline(depth),
                _ => Carriage::OneByOne,
            },
        })
    }
}

impl Carriage {
    /// How many resting connections are opened in a second.
    pub(crate) fn held_per_s(self) -> Option<f64> {
        match self {
            Self::Hold(per_s) => Some(per_s),
            Self::OneByOne | Self::Pipeline(_) | Self::Streams(_) | Self::Messages => None,
        }
    }

    /// What a connection's read buffer holds: the largest head, or what a connection at rest may hear.
    pub(crate) fn buffer_bytes(self, head_bytes_max: usize) -> usize {
        match self {
            Self::Hold(_) => RESTING_BUFFER_BYTES,
            _ => head_bytes_max.max(HEAD_BYTES_MAX),
        }
    }

    pub(crate) fn is_hold(self) -> bool {
        matches!(self, Self::Hold(_))
    }

    /// Requests at a time on each connection.
    pub fn lanes(self) -> usize {
        match self {
            Self::OneByOne | Self::Messages | Self::Hold(_) => 1,
            Self::Pipeline(lanes) | Self::Streams(lanes) => lanes,
        }
    }
}
