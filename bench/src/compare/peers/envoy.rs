//! Envoy, tuned by its own guidance (FAQ, "What are best practices for benchmarking Envoy?"): a worker for each core, no circuit
//! breaker in the way, no request ids, no statistics a route, no logs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Downstream, Peer, Role, write_config};
use crate::compare::child::{Child, free_address};

const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";
/// More than any section needs: breakers are not what is compared.
const BREAKER_MAX: u32 = 1_000_000;

/// `program` is the path of its binary, which Debian doesn't have.
pub(crate) fn start_envoy(role: &Role<'_>, program: &Path) -> Result<Peer, String> {
    if matches!(role.downstream, Downstream::Https(_)) {
        return Err("Envoy is compared without TLS only".to_owned());
    }
    let address = free_address()?;
    let config =
        write_config(&role.dir.join("envoy"), "envoy.json", &config(address, role.origin).to_string())?;
    let mut command = Command::new(program);
    command.args(["--concurrency", &role.cores.len().to_string()]);
    command.args(["--disable-hot-restart", "-l", "error", "-c"]).arg(&config);
    let mut child = Child::start("envoy", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("envoy", role.downstream.scheme(), address, child))
}

fn config(address: SocketAddr, origin: SocketAddr) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": format!("{TYPES}.http.router.v3.Router"), "dynamic_stats": false},
    });
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}});
    let manager = json!({
        "@type": format!("{TYPES}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "clients",
        "generate_request_id": false,
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    let listener = json!({
        "name": "clients", "address": socket(address), "tcp_backlog_size": 4096,
        "filter_chains": [{"filters": [filter]}],
    });
    let breakers = json!({
        "max_connections": BREAKER_MAX, "max_pending_requests": BREAKER_MAX, "max_requests": BREAKER_MAX,
    });
    let endpoint = json!({"endpoint": {"address": socket(origin)}});
    let cluster = json!({
        "name": "origin", "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [breakers]},
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    json!({"static_resources": {"listeners": [listener], "clusters": [cluster]}})
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_addresses() {
        let config = config("127.0.0.1:81".parse().unwrap(), "127.0.0.1:82".parse().unwrap());
        let resources = &config["static_resources"];
        let port = |value: &Value| value["socket_address"]["port_value"].as_u64();
        assert_eq!(port(&resources["listeners"][0]["address"]), Some(81));
        let group = &resources["clusters"][0]["load_assignment"]["endpoints"][0];
        assert_eq!(port(&group["lb_endpoints"][0]["endpoint"]["address"]), Some(82));
    }
}
