//! Turnpike under test: `turnpike-control serve` and `turnpike-gateway`, with APIs made by signed calls to the
//! management API, as any client would make them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::child::{Child, ready_value};
use super::http::Client;
use super::identity::Identity;
use super::layout::{self, Layout};
use super::load::Target;
use super::sigv4::Signer;
use super::usage::usage;

const REGION: &str = "us-east-1";
/// Every API's default host.
pub(crate) const WILDCARD_HOST: &str = "*.execute-api.us-east-1.localhost";
/// How long a new API may take until the gateway serves it.
const SERVE_TIMEOUT: Duration = Duration::from_secs(20);
const SERVE_POLL: Duration = Duration::from_millis(5);

/// Both processes and a connection to the management API.
#[derive(Debug)]
pub(crate) struct Turnpike {
    pub(crate) address: SocketAddr,
    /// Where HTTPS is spoken, if it was started so.
    tls_address: Option<SocketAddr>,
    admin: SocketAddr,
    api: Management,
    gateway: Child,
    control: Child,
    gateway_binary: PathBuf,
    gateway_data: PathBuf,
}

/// What a section wants besides the defaults.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// HTTPS is spoken with it.
    pub(crate) identity: Option<&'a Identity>,
    /// Arguments.
    pub(crate) gateway: &'a [&'a str],
    /// A program that runs the gateway, with its arguments.
    pub(crate) wrapper: &'a [&'a str],
    /// Variables of control's environment.
    pub(crate) control: &'a [(&'a str, &'a str)],
}

impl Turnpike {
    /// Starts both with `name` in their logs' and data's names; the gateway gets one shard for each proxy core.
    pub(crate) fn start(name: &str, binaries: &Path, dir: &Path, layout: &Layout) -> Result<Self, String> {
        Self::start_with(name, binaries, dir, layout, &Options::default())
    }

    /// The same, with what a section wants besides.
    pub(crate) fn start_with(
        name: &str,
        binaries: &Path,
        dir: &Path,
        layout: &Layout,
        options: &Options<'_>,
    ) -> Result<Self, String> {
        let identity = options.identity;
        let data = dir.join(name);
        std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let signer = Signer {
            access_key_id: "AKIATURNPIKEBENCH000".to_owned(),
            secret_access_key: "only/for/this/benchmark/on/loopback+0000".to_owned(),
            region: REGION.to_owned(),
            service: "apigateway".to_owned(),
        };
        let mut command = Command::new(find_binary(binaries, "turnpike-control")?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .env("TURNPIKE_ROOT_ACCESS_KEY_ID", &signer.access_key_id)
            .env("TURNPIKE_ROOT_SECRET_ACCESS_KEY", &signer.secret_access_key)
            // Above what any section makes.
            .env("TURNPIKE_CONTROL_APIS_MAX", "4000")
            .env("TURNPIKE_CONTROL_ROUTES_PER_API_MAX", "100000")
            .env("TURNPIKE_CONTROL_RESOURCES_PER_API_MAX", "1000")
            .env("TURNPIKE_CONTROL_API_KEYS_MAX", "200000")
            // AWS's default for an account is below what is measured.
            .env("TURNPIKE_CONTROL_ACCOUNT_THROTTLE_RATE_PER_S", "0")
            .envs(options.control.iter().copied());
        let (control, line) =
            Child::start_and_wait(&format!("{name}-control"), dir, &layout.loadgen, &command)?;
        let api_host = ready_value(&line, "api")?.to_owned();
        let gateway_binary = find_binary(binaries, "turnpike-gateway")?;
        let gateway_data = data.join("gateway");
        let mut command = match options.wrapper {
            [] => Command::new(&gateway_binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&gateway_binary);
                command
            }
        };
        command
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--cores", "all"])
            .arg("--require-io-uring")
            .arg("--data-dir")
            .arg(&gateway_data)
            .args(["--publish-socket", ready_value(&line, "publish")?])
            .args(["--tls-listen", if identity.is_some() { "127.0.0.1:0" } else { "" }])
            .args(options.gateway);
        if let Some(identity) = identity {
            command.arg("--tls-certificate").arg(&identity.certificate);
            command.arg("--tls-private-key").arg(&identity.private_key);
        }
        let (gateway, line) =
            Child::start_and_wait(&format!("{name}-gateway"), dir, &layout.proxy, &command)?;
        let shards = ready_value(&line, "shards")?;
        if shards != layout.proxy.len().to_string() {
            return Err(format!("the gateway has {shards} shards on cores {}", layout::list(&layout.proxy)));
        }
        Ok(Self {
            address: parse_address(ready_value(&line, "listen")?)?,
            tls_address: ready_value(&line, "tls").ok().map(parse_address).transpose()?,
            admin: parse_address(ready_value(&line, "admin")?)?,
            api: Management { client: Client::connect(parse_address(&api_host)?)?, api_host, signer },
            gateway,
            control,
            gateway_binary,
            gateway_data,
        })
    }

    /// Has a new process of the same binary take over.
    pub(crate) fn upgrade(&self) -> Result<(), String> {
        let mut command = Command::new(&self.gateway_binary);
        let output = command.args(["upgrade", "--data-dir"]).arg(&self.gateway_data).output();
        let output = output.map_err(|error| format!("turnpike-gateway upgrade: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.gateway.explain(String::from_utf8_lossy(&output.stderr).trim()))
    }

    pub(crate) fn gateway_process(&self) -> u32 {
        self.gateway.group()
    }

    /// One signed call; an answer other than a success is an error.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        self.api.call(method, path, body)
    }

    /// Calls go over a new connection: control closes one that has rested for a minute.
    pub(crate) fn reconnect(&mut self) -> Result<(), String> {
        self.api = self.client()?;
        Ok(())
    }

    /// Another client of the management API, on a connection of its own.
    pub(crate) fn client(&self) -> Result<Management, String> {
        let Management { api_host, signer, .. } = &self.api;
        let client = Client::connect(parse_address(api_host)?)?;
        Ok(Management { client, api_host: api_host.clone(), signer: signer.clone() })
    }

    /// Memory of control that is resident now.
    pub(crate) fn control_rss_bytes(&self) -> Result<u64, String> {
        Ok(usage(self.control.group())?.rss_bytes)
    }

    /// An HTTP API whose default route passes everything on to `origin`; ready to serve.
    pub(crate) fn make_default_api(&mut self, origin: SocketAddr) -> Result<Target, String> {
        let api = json!({"name": "bench", "protocolType": "HTTP", "target": format!("http://{origin}")});
        let api_id = text(&self.call("POST", "/v2/apis", Some(&api))?, "apiId")?;
        self.await_served(&api_id, "/")?;
        Ok(self.target("turnpike", &api_id))
    }

    /// An HTTP API whose default route passes gRPC calls on to `origin`.
    pub(crate) fn make_grpc_api(&mut self, origin: SocketAddr) -> Result<Target, String> {
        let api = json!({"name": "grpc", "protocolType": "HTTP", "target": format!("http://{origin}")});
        let api_id = text(&self.call("POST", "/v2/apis", Some(&api))?, "apiId")?;
        let integration_id = self.integration_id(&api_id)?;
        let targets = json!({
            "targets": [{"host": origin.ip().to_string(), "port": origin.port()}],
            "protocolVersion": "GRPC",
        });
        let path = format!("/turnpike/v1/apis/{api_id}/integrations/{integration_id}/targets");
        self.call("PUT", &path, Some(&targets))?;
        Ok(self.target("turnpike", &api_id))
    }

    /// An HTTP API with these routes, all to one integration at `origin`; deployed once, at the end.
    pub(crate) fn make_api(&mut self, origin: SocketAddr, route_keys: &[String]) -> Result<String, String> {
        let api = json!({"name": "bench", "protocolType": "HTTP"});
        let api_id = text(&self.call("POST", "/v2/apis", Some(&api))?, "apiId")?;
        let integration = json!({
            "integrationType": "HTTP_PROXY",
            "integrationMethod": "ANY",
            "integrationUri": format!("http://{origin}/"),
            "payloadFormatVersion": "1.0",
        });
        let path = format!("/v2/apis/{api_id}/integrations");
        let integration_id = text(&self.call("POST", &path, Some(&integration))?, "integrationId")?;
        for route_key in route_keys {
            self.make_route(&api_id, route_key, &integration_id)?;
        }
        let stage = json!({"stageName": "$default", "autoDeploy": true});
        self.call("POST", &format!("/v2/apis/{api_id}/stages"), Some(&stage))?;
        Ok(api_id)
    }

    /// Adds a route for an integration of the API.
    pub(crate) fn make_route(
        &mut self,
        api_id: &str,
        route_key: &str,
        integration_id: &str,
    ) -> Result<(), String> {
        let route = json!({"routeKey": route_key, "target": format!("integrations/{integration_id}")});
        self.call("POST", &format!("/v2/apis/{api_id}/routes"), Some(&route)).map(|_| ())
    }

    /// The API's only integration.
    pub(crate) fn integration_id(&mut self, api_id: &str) -> Result<String, String> {
        let path = format!("/v2/apis/{api_id}/integrations");
        let list = self.call("GET", &path, None)?;
        text(list.pointer("/items/0").unwrap_or(&Value::Null), "integrationId")
    }

    pub(crate) fn target(&self, name: &str, api_id: &str) -> Target {
        Target {
            name: name.to_owned(),
            origin: format!("http://{}", self.address),
            address: self.address,
            host: Some(host(api_id)),
            group: self.gateway.group(),
        }
    }

    /// The same API over HTTPS.
    pub(crate) fn https(&self, target: &Target) -> Result<Target, String> {
        let address = self.tls_address.ok_or("the gateway's ready line has no tls=")?;
        Ok(Target { origin: format!("https://{address}"), address, ..target.clone() })
    }

    /// Waits until the gateway answers 200 for the path.
    pub(crate) fn await_served(&self, api_id: &str, path: &str) -> Result<(), String> {
        self.await_served_to(api_id, path, "")
    }

    /// The same, of requests with these header lines.
    pub(crate) fn await_served_to(&self, api_id: &str, path: &str, lines: &str) -> Result<(), String> {
        let deadline = Instant::now() + SERVE_TIMEOUT;
        let headers = format!("host: {}\r\n{lines}", host(api_id));
        let mut client = Client::connect(self.address)?;
        loop {
            let status = client.call("GET", path, &headers, b"")?.status;
            if status == 200 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let what = format!("answers {status} for {path} of API {api_id}");
                return Err(self.gateway.explain(&what));
            }
            thread::sleep(SERVE_POLL);
        }
    }

    /// The samples of one metric that carry a `shard` label, by shard.
    pub(crate) fn shard_metric(&self, name: &str) -> Result<Vec<f64>, String> {
        let mut client = Client::connect(self.admin)?;
        let headers = format!("host: {}\r\nconnection: close\r\n", self.admin);
        let reply = client.call("GET", "/metrics", &headers, b"")?;
        let values = parse_shard_metric(&String::from_utf8_lossy(&reply.body), name);
        if values.is_empty() {
            return Err(format!("the gateway's /metrics has no {name} with a shard label"));
        }
        Ok(values)
    }
}

/// A client of the management API, on one kept connection.
#[derive(Debug)]
pub(crate) struct Management {
    client: Client,
    api_host: String,
    signer: Signer,
}

impl Management {
    /// One signed call; an answer other than a success is an error.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (status, answer) = self.send(method, path, body.as_bytes())?;
        if !(200..300).contains(&status) {
            let text = String::from_utf8_lossy(&answer);
            return Err(format!("{method} {path} was answered {status}: {text}"));
        }
        serde_json::from_slice(&answer).map_err(|error| format!("{method} {path}: no JSON: {error}"))
    }

    /// One signed call, with whatever answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let headers = self.signer.headers(method, path, &self.api_host, body, SystemTime::now());
        let headers = format!("{headers}content-type: application/json\r\n");
        let reply = self.client.call(method, path, &headers, body)?;
        Ok((reply.status, reply.body))
    }
}

/// The Host field of an API's default address.
pub(crate) fn host(api_id: &str) -> String {
    format!("{api_id}.execute-api.{REGION}.localhost")
}

fn parse_shard_metric(text: &str, name: &str) -> Vec<f64> {
    let prefix = format!("{name}{{shard=\"");
    text.lines()
        .filter(|line| line.starts_with(&prefix))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
        .collect()
}

fn find_binary(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is missing: cargo build --release -p {name}, or leave Turnpike out with --peers",
        path.display()
    ))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address"))
}

pub(crate) fn text(value: &Value, member: &str) -> Result<String, String> {
    let found = value.get(member).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| format!("the management API's answer has no {member}: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_metrics_are_found_by_name() {
        let metrics = "# TYPE a counter\na{shard=\"0\"} 10\na{shard=\"1\"} 2.5e1\nab{shard=\"0\"} 7\na 3\n";
        assert_eq!(parse_shard_metric(metrics, "a"), [10.0, 25.0]);
        assert!(parse_shard_metric(metrics, "b").is_empty());
    }

    #[test]
    fn a_missing_binary_says_how_to_build_it() {
        let error = find_binary(Path::new("/nonexistent"), "turnpike-gateway").unwrap_err();
        assert!(error.contains("cargo build --release -p turnpike-gateway"), "{error}");
    }
}
