//! One measurement: the load generator as a process of its own, with what the proxy under test used meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use turnpike_loadgen::report::Report;

use super::identity::SERVER_NAME;
use super::layout;
use super::metered::{Metered, ProxyUse};
use super::side_by_side::Stoppable;

/// What a run may take beyond its warm-up and duration.
const OVERTIME: Duration = Duration::from_secs(30);

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `http://host:port`, or `https://`.
    pub(crate) origin: String,
    pub(crate) address: SocketAddr,
    /// Host field, where it differs from the address.
    pub(crate) host: Option<String>,
    /// Process group of the proxy under test.
    pub(crate) group: u32,
}

impl Target {
    pub(crate) fn is_tls(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// The name to ask for in a TLS handshake.
    pub(crate) fn server_name(&self) -> &str {
        self.host.as_deref().unwrap_or(SERVER_NAME)
    }
}

/// What is common to all measurements.
#[derive(Debug, Clone)]
pub(crate) struct LoadGenerator {
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) cores: Vec<usize>,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
}

/// What is particular to one.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) path: String,
    pub(crate) connections: usize,
    pub(crate) rate: Option<f64>,
    pub(crate) post_bytes: Option<u64>,
    pub(crate) expect_body_bytes: Option<u64>,
    pub(crate) path_list: Option<PathBuf>,
    /// `Name: value`
    pub(crate) header: Option<String>,
    pub(crate) header_list: Option<PathBuf>,
    /// So many, instead of for a time.
    pub(crate) requests: Option<usize>,
    pub(crate) requests_per_connection: Option<u64>,
    /// Of TLS sessions.
    pub(crate) resumption: bool,
}

impl Load {
    pub(crate) fn get(path: &str, connections: usize) -> Self {
        Self {
            path: path.to_owned(),
            connections,
            rate: None,
            post_bytes: None,
            expect_body_bytes: None,
            path_list: None,
            header: None,
            header_list: None,
            requests: None,
            requests_per_connection: None,
            resumption: true,
        }
    }

    /// Neither a rate nor a number of requests says when it sends.
    pub(crate) fn is_closed_for_a_time(&self) -> bool {
        self.rate.is_none() && self.requests.is_none()
    }

    fn args(&self, target: &Target) -> Vec<String> {
        let mut args = vec![format!("{}{}", target.origin, self.path), "--json".to_owned()];
        let mut option = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        option("connections", self.connections.to_string());
        option("expect-status", "200".to_owned());
        if let Some(host) = &target.host {
            option("header", format!("host: {host}"));
        }
        if let Some(header) = &self.header {
            option("header", header.clone());
        }
        if let Some(rate) = self.rate {
            option("rate", rate.to_string());
        }
        if let Some(bytes) = self.post_bytes {
            option("body-bytes", bytes.to_string());
        }
        if let Some(bytes) = self.expect_body_bytes {
            option("expect-body-bytes", bytes.to_string());
        }
        if let Some(file) = &self.path_list {
            option("path-list", file.display().to_string());
        }
        if let Some(file) = &self.header_list {
            option("header-list", file.display().to_string());
        }
        if let Some(requests) = self.requests_per_connection {
            option("requests-per-connection", requests.to_string());
        }
        if target.is_tls() {
            option("tls", "1.3".to_owned());
            option("sni", target.server_name().to_owned());
            option("tls-resumption", if self.resumption { "on" } else { "off" }.to_owned());
            // All show the same kind of certificate: whom to trust is not what is compared.
            args.push("--insecure".to_owned());
        }
        args
    }
}

/// One measurement's result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) report: Report,
    pub(crate) proxy: ProxyUse,
}

impl LoadGenerator {
    /// Starts the load generator; `Running::finish` ends the measurement.
    pub(crate) fn start(&self, target: &Target, load: &Load) -> Result<Running, String> {
        self.start_as("loadgen", target, load)
    }

    /// Several at once go by names of their own, which their output's files have.
    pub(crate) fn start_as(&self, name: &str, target: &Target, load: &Load) -> Result<Running, String> {
        let length = match load.requests {
            Some(requests) => ["--requests".to_owned(), requests.to_string()],
            None => ["--duration".to_owned(), format!("{}ms", self.duration.as_millis())],
        };
        let mut command = Command::new(&self.binary);
        command
            .args(load.args(target))
            .args(["--cores", &layout::list(&self.cores)])
            .args(length)
            .args(["--warmup", &format!("{}ms", self.warmup.as_millis())]);
        let limit = self.duration + self.warmup + OVERTIME;
        Metered::start(name, &self.dir, &self.cores, &command, target, limit).map(Running)
    }

    pub(crate) fn measure(&self, target: &Target, load: &Load) -> Result<Sample, String> {
        self.start(target, load)?.finish()
    }
}

/// A measurement under way.
#[derive(Debug)]
pub(crate) struct Running(Metered);

impl Running {
    pub(crate) fn finish(self) -> Result<Sample, String> {
        let ended = self.0.finish()?;
        let report = serde_json::from_str(&ended.output).map_err(|_| ended.measured_nothing())?;
        Ok(Sample { report, proxy: ended.proxy_use })
    }
}

impl Stoppable for Running {
    fn has_ended(&mut self) -> Result<bool, String> {
        self.0.has_ended()
    }

    fn stop(&self) -> Result<(), String> {
        self.0.stop()
    }

    fn go_on(&self) -> Result<(), String> {
        self.0.go_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(origin: &str, host: Option<&str>) -> Target {
        let address = "127.0.0.1:1".parse().unwrap();
        Target { name: "x".into(), origin: origin.into(), address, host: host.map(str::to_owned), group: 0 }
    }

    #[test]
    fn a_load_becomes_a_command_line() {
        let target = target("http://127.0.0.1:1", Some("a.test"));
        let header = Some("x-api-key: k".to_owned());
        let header_list = Some(PathBuf::from("/keys"));
        let load =
            Load { rate: Some(100.5), post_bytes: Some(7), header, header_list, ..Load::get("/x", 64) };
        let expected = "http://127.0.0.1:1/x --json --connections 64 --expect-status 200 --header host: a.test \
                        --header x-api-key: k --rate 100.5 --body-bytes 7 --header-list /keys";
        assert_eq!(load.args(&target).join(" "), expected);
    }
    #[test]
    fn a_load_of_handshakes_says_what_tls_is_to_do() {
        let load = Load { requests_per_connection: Some(1), resumption: false, ..Load::get("/", 64) };
        let expected = "https://127.0.0.1:1/ --json --connections 64 --expect-status 200 \
                        --requests-per-connection 1 --tls 1.3 --sni bench.test --tls-resumption off --insecure";
        assert_eq!(load.args(&target("https://127.0.0.1:1", None)).join(" "), expected);
        let routed = target("https://127.0.0.1:1", Some("a.test"));
        assert!(load.args(&routed).join(" ").contains("--header host: a.test"));
        assert_eq!(routed.server_name(), "a.test");
    }
}
