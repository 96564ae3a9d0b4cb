//! Turnpike under test: `turnpike-control serve` and `turnpike-gateway`, with APIs made by signed calls to the
//! management API, as any client would make them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::child::{Child, ready_value};
use super::gateway::{Gateway, GatewayPlan, find_binary, parse_address};
use super::http::Client;
use super::identity::Identity;
use super::layout::Layout;
use super::load::Target;
use super::rest::Limit;
use super::sigv4::Signer;
use super::usage::usage;

const REGION: &str = "us-east-1";
/// Every API's default host.
pub(crate) const WILDCARD_HOST: &str = "*.execute-api.us-east-1.localhost";
const ACCOUNT_RATE: &str = "TURNPIKE_CONTROL_ACCOUNT_THROTTLE_RATE_PER_S";
const ACCOUNT_BURST: &str = "TURNPIKE_CONTROL_ACCOUNT_THROTTLE_BURST_REQUESTS";
/// How long a new API may take until the gateway serves it: a gateway under callgrind, on a core that others want too,
/// takes long.
const SERVE_TIMEOUT: Duration = Duration::from_secs(90);
const SERVE_POLL: Duration = Duration::from_millis(5);

/// Both processes and a connection to the management API.
#[derive(Debug)]
pub(crate) struct Turnpike {
    pub(crate) gateway: Gateway,
    /// On the same control.
    pub(crate) others: Vec<Gateway>,
    api: Management,
    control: Control,
}

/// `turnpike-control serve`, which can be started again where it was.
#[derive(Debug)]
struct Control {
    name: String,
    binary: PathBuf,
    dir: PathBuf,
    cores: Vec<usize>,
    data: PathBuf,
    environment: Vec<(String, String)>,
    /// `None` while it is killed.
    child: Option<Child>,
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
    /// Of the account, which has none otherwise.
    pub(crate) throttle: Option<Limit>,
    /// Further gateways, each with its cores.
    pub(crate) others: &'a [Vec<usize>],
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
        let data = dir.join(name);
        std::fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let signer = Signer {
            access_key_id: "AKIATURNPIKEBENCH000".to_owned(),
            secret_access_key: "only/for/this/benchmark/on/loopback+0000".to_owned(),
            region: REGION.to_owned(),
            service: "apigateway".to_owned(),
        };
        let mut control = Control {
            name: format!("{name}-control"),
            binary: find_binary(binaries, "turnpike-control")?,
            dir: dir.to_owned(),
            cores: layout.loadgen.clone(),
            data: data.clone(),
            environment: environment(&signer, options),
            child: None,
        };
        let line = control.start("127.0.0.1:0")?;
        let api_host = ready_value(&line, "api")?.to_owned();
        let plan = GatewayPlan {
            name: format!("{name}-gateway"),
            binary: find_binary(binaries, "turnpike-gateway")?,
            dir: dir.to_owned(),
            data: data.join("gateway"),
            cores: layout.proxy.clone(),
            publish: ready_value(&line, "publish")?.to_owned(),
            wrapper: options.wrapper.iter().map(|argument| (*argument).to_owned()).collect(),
            arguments: options.gateway.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        let gateway = |number: usize, cores: &[usize]| {
            let another = GatewayPlan {
                name: format!("{}-{number}", plan.name),
                data: data.join(format!("gateway-{number}")),
                cores: cores.to_vec(),
                ..plan.clone()
            };
            Gateway::start(another, options.identity)
        };
        let others = options.others.iter().zip(2..).map(|(cores, number)| gateway(number, cores));
        let others = others.collect::<Result<_, _>>()?;
        let client = Client::connect(parse_address(&api_host)?)?;
        Ok(Self {
            gateway: Gateway::start(plan, options.identity)?,
            others,
            api: Management { client, api_host, signer },
            control,
        })
    }

    /// Has a new process of the same binary take over.
    pub(crate) fn upgrade(&self) -> Result<(), String> {
        self.gateway.upgrade()
    }

    /// Its end comes at any instruction, and it is started again at its address.
    pub(crate) fn kill_control(&mut self) -> Result<(), String> {
        self.control.child = None;
        self.control.start(&self.api.api_host.clone()).map(drop)
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
        Ok(usage(self.control.child.as_ref().map_or(0, Child::group))?.rss_bytes)
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
        self.gateway.target(name, api_id)
    }

    /// The same API over HTTPS.
    pub(crate) fn https(&self, target: &Target) -> Result<Target, String> {
        let address = self.gateway.tls_address.ok_or("the gateway's ready line has no tls=")?;
        Ok(Target { origin: format!("https://{address}"), address, ..target.clone() })
    }

    /// Waits until the gateway answers 200 for the path.
    pub(crate) fn await_served(&self, api_id: &str, path: &str) -> Result<(), String> {
        self.await_served_to(api_id, path, "")
    }

    /// The same, of requests with these header lines.
    pub(crate) fn await_served_to(&self, api_id: &str, path: &str, lines: &str) -> Result<(), String> {
        self.gateways().try_for_each(|gateway| gateway.await_served_to(api_id, path, lines))
    }

    pub(crate) fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        std::iter::once(&self.gateway).chain(&self.others)
    }

    /// The samples of one metric that carry a `shard` label, by shard.
    pub(crate) fn shard_metric(&self, name: &str) -> Result<Vec<f64>, String> {
        let values = parse_shard_metric(&self.gateway.metrics()?, name);
        if values.is_empty() {
            return Err(format!("the gateway's /metrics has no {name} with a shard label"));
        }
        Ok(values)
    }
}

impl Gateway {
    pub(crate) fn target(&self, name: &str, api_id: &str) -> Target {
        Target {
            name: name.to_owned(),
            origin: format!("http://{}", self.address),
            address: self.address,
            host: Some(host(api_id)),
            group: self.group(),
        }
    }

    fn await_served_to(&self, api_id: &str, path: &str, lines: &str) -> Result<(), String> {
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
                return Err(self.explain(&what));
            }
            thread::sleep(SERVE_POLL);
        }
    }
}

impl Control {
    /// Its ready line.
    fn start(&mut self, listen: &str) -> Result<String, String> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", listen, "--data-dir"]).arg(&self.data);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let (child, line) = Child::start_and_wait(&self.name, &self.dir, &self.cores, &command)?;
        self.child = Some(child);
        Ok(line)
    }
}

fn environment(signer: &Signer, options: &Options<'_>) -> Vec<(String, String)> {
    let variables = [
        ("TURNPIKE_ROOT_ACCESS_KEY_ID", &*signer.access_key_id),
        ("TURNPIKE_ROOT_SECRET_ACCESS_KEY", &*signer.secret_access_key),
        // Above what any section makes.
        ("TURNPIKE_CONTROL_APIS_MAX", "4000"),
        ("TURNPIKE_CONTROL_ROUTES_PER_API_MAX", "100000"),
        ("TURNPIKE_CONTROL_RESOURCES_PER_API_MAX", "1000"),
        ("TURNPIKE_CONTROL_API_KEYS_MAX", "200000"),
    ];
    let mut variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    // AWS's default for an account is below what is measured; a rate of 0 is none.
    let (rate, burst) = options.throttle.map(Limit::texts).unzip();
    variables.push((ACCOUNT_RATE.to_owned(), rate.unwrap_or_else(|| "0".to_owned())));
    variables.extend(burst.map(|burst| (ACCOUNT_BURST.to_owned(), burst)));
    variables
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
}
