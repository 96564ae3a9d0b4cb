//! One health check of one target: a connection, and, for HTTP, a request and its answer's status.
//!
//! Plain HTTP/1.1 on a connection of its own. What is wrong with a target is a sentence for the log.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use turnpike_snapshot::{HealthCheck, Probe};

use crate::table::MemberAddress;

/// `HTTP/1.1 200`
const STATUS_END: usize = 12;
/// How much of an answer is read beyond its status, and for how long, so that closing doesn't reset the connection
/// under a target that is still writing.
const REST_BYTES_MAX: u64 = 64 * 1024;
const REST_TIMEOUT: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    address: MemberAddress,
    host: Arc<str>,
    probe: Probe,
    timeout: Duration,
}

impl Plan {
    pub(super) fn new(rules: &HealthCheck, target: &MemberAddress, named: &Arc<str>) -> Self {
        let address = match (target, rules.port) {
            (MemberAddress::Ip(address), Some(port)) => {
                MemberAddress::Ip(SocketAddr::new(address.ip(), port))
            }
            (address, _) => address.clone(),
        };
        let host = match &rules.probe {
            Probe::Http { host: Some(host), .. } => host.as_str().into(),
            Probe::Http { host: None, .. } | Probe::Tcp => Arc::clone(named),
        };
        let timeout = Duration::from_millis(rules.timeout_ms.into());
        Self { address, host, probe: rules.probe.clone(), timeout }
    }
}

/// Makes the check.
pub(super) async fn run(plan: Plan) -> Result<(), String> {
    match timeout(plan.timeout, plan.attempt()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} ms", plan.timeout.as_millis())),
    }
}

impl Plan {
    async fn attempt(&self) -> Result<(), String> {
        let unreachable = |error: io::Error| format!("it can't be connected to ({error})");
        match &self.address {
            MemberAddress::Ip(address) => {
                self.converse(TcpStream::connect(address).await.map_err(unreachable)?).await
            }
            MemberAddress::Unix(path) => {
                self.converse(UnixStream::connect(path).await.map_err(unreachable)?).await
            }
        }
    }

    async fn converse(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
        let Probe::Http { path, status_min, status_max, .. } = &self.probe else { return Ok(()) };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Turnpike-HealthChecker\r\nConnection: close\r\n\r\n",
            self.host
        );
        let broken = |error: io::Error| format!("the connection broke ({error})");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut start = [0; STATUS_END];
        stream.read_exact(&mut start).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection without an answer".to_owned(),
            _ => broken(error),
        })?;
        let status = status(&start).ok_or_else(|| "its answer isn't HTTP".to_owned())?;
        // What comes of the rest changes nothing.
        let _ =
            timeout(REST_TIMEOUT, tokio::io::copy(&mut stream.take(REST_BYTES_MAX), &mut tokio::io::sink()))
                .await;
        if (*status_min..=*status_max).contains(&status) {
            return Ok(());
        }
        Err(format!("it answered {status}"))
    }
}

fn status(start: &[u8; STATUS_END]) -> Option<u16> {
    let digits = start.strip_prefix(b"HTTP/1.")?.get(2..)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
