//! Caddy, as its documentation of `reverse_proxy` has it: connections to the origin kept, nothing logged, no
//! administration endpoint. Its runtime takes as many threads as it is started on cores.

use std::net::SocketAddr;
use std::process::Command;

use super::{Downstream, Peer, Role, find_program, write_config};
use crate::compare::child::{Child, free_address};

pub(crate) fn start_caddy(role: &Role<'_>) -> Result<Peer, String> {
    if !matches!(role.downstream, Downstream::Http) {
        return Err("Caddy is compared without TLS and HTTP/2 only".to_owned());
    }
    let address = free_address()?;
    let home = role.dir.join("caddy");
    let config = write_config(&home, "Caddyfile", &config(address, role.origin))?;
    let mut command = Command::new(find_program("caddy")?);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
    // It keeps certificates and its last configuration below these.
    command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("XDG_DATA_HOME", &home);
    let mut child = Child::start("caddy", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("caddy", role.downstream.scheme(), address, child))
}

fn config(address: SocketAddr, origin: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
    servers {{
        protocols h1
        timeouts {{
            idle 600s
        }}
    }}
}}
http://:{port} {{
    bind {host}
    reverse_proxy {origin} {{
        transport http {{
            versions 1.1
            compression off
            keepalive 600s
            keepalive_idle_conns 4096
            keepalive_idle_conns_per_host 4096
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_addresses() {
        let text = config("127.0.0.1:81".parse().unwrap(), "127.0.0.1:82".parse().unwrap());
        for part in ["http://:81 {", "bind 127.0.0.1\n", "reverse_proxy 127.0.0.1:82 {"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
