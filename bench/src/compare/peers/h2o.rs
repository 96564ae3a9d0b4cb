//! h2o, tuned by its own guidance: one thread, kept upstream connections, no logs. It has no setting for its core;
//! like every peer it is started on it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Downstream, Peer, Role, find_program, write_config};
use crate::compare::child::{Child, free_address};

/// HTTP/2 only: that is what it is compared in.
pub(crate) fn start_h2o(role: &Role<'_>) -> Result<Peer, String> {
    if !matches!(role.downstream, Downstream::Http2) {
        return Err("h2o is compared in HTTP/2 only".to_owned());
    }
    let address = free_address()?;
    let home = role.dir.join("h2o");
    let config = write_config(&home, "h2o.yaml", &config(&home, address, role))?;
    let mut command = Command::new(find_program("h2o")?);
    command.args(["-m", "worker", "-c"]).arg(&config);
    let mut child = Child::start("h2o", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("h2o", role.downstream.scheme(), address, child))
}

/// A cleartext listener takes HTTP/2 by prior knowledge without being told.
fn config(home: &Path, address: SocketAddr, role: &Role<'_>) -> String {
    let Role { origin, connections_max, .. } = role;
    // Started as root, it would look for a user of its own.
    let user = if rustix::process::geteuid().is_root() { "user: root\n" } else { "" };
    format!(
        "{user}num-threads: 1
max-connections: {connections_max}
pid-file: {pid}
listen:
  host: {host}
  port: {port}
http1-request-timeout: 600
http2-idle-timeout: 600
http2-max-concurrent-requests-per-connection: 256
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://{origin}/
        proxy.timeout.keepalive: 600000
        proxy.preserve-host: OFF
",
        pid = home.join("h2o.pid").display(),
        host = address.ip(),
        port = address.port(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_addresses() {
        let origin = "127.0.0.1:82".parse().unwrap();
        let role = Role {
            dir: Path::new("/tmp/x"),
            cores: &[3],
            origin,
            downstream: Downstream::Http2,
            connections_max: 7,
            cached_body_bytes: None,
        };
        let text = config(Path::new("/tmp/x"), "127.0.0.1:81".parse().unwrap(), &role);
        for part in ["  host: 127.0.0.1\n  port: 81\n", "http://127.0.0.1:82/\n", "max-connections: 7\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
