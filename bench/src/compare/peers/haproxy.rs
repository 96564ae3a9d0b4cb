//! HAProxy, tuned by its own guidance: a thread bound to each core, connections to the origin shared by all clients.

use std::net::SocketAddr;
use std::process::Command;

use super::{Downstream, Peer, Role, find_program, write_config};
use crate::compare::child::{Child, free_address};

pub(crate) fn start_haproxy(role: &Role<'_>) -> Result<Peer, String> {
    let address = free_address()?;
    let config = write_config(&role.dir.join("haproxy"), "haproxy.cfg", &config(address, role))?;
    let mut command = Command::new(find_program("haproxy")?);
    command.args(["-db", "-f"]).arg(&config);
    let mut child = Child::start("haproxy", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("haproxy", role.downstream.scheme(), address, child))
}

/// Without strict limits: it would want two descriptors for each client, and idle ones need one.
fn config(address: SocketAddr, role: &Role<'_>) -> String {
    let Role { cores, origin, connections_max, .. } = role;
    let threads = cores.len();
    let cores = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    let listen = match role.downstream {
        Downstream::Http => String::new(),
        Downstream::Http2 => " proto h2".to_owned(),
        Downstream::Https(identity) => {
            format!(" ssl crt {} ssl-min-ver TLSv1.3 alpn http/1.1", identity.both.display())
        }
    };
    format!(
        "global
    nbthread {threads}
    cpu-map auto:1/1-{threads} {cores}
    maxconn {connections_max}
    no strict-limits
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    http-reuse always
frontend clients
    bind {address} backlog 4096{listen}
    default_backend origin
backend origin
    server origin {origin}
"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::compare::identity::Identity;

    #[test]
    fn the_configuration_names_core_addresses_and_protocol() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::make(dir.path(), &["a.test"]).unwrap();
        for (downstream, part) in [
            (Downstream::Http, "bind 127.0.0.1:81 backlog 4096\n"),
            (Downstream::Http2, "backlog 4096 proto h2\n"),
            (Downstream::Https(&identity), "/both.pem ssl-min-ver TLSv1.3 "),
        ] {
            let origin = "127.0.0.1:82".parse().unwrap();
            let role = Role {
                dir: Path::new("/tmp/x"),
                cores: &[3, 2],
                origin,
                downstream,
                connections_max: 7,
                cached_body_bytes: None,
            };
            let text = config("127.0.0.1:81".parse().unwrap(), &role);
            for part in [
                "nbthread 2\n",
                "cpu-map auto:1/1-2 3 2\n",
                "server origin 127.0.0.1:82\n",
                "maxconn 7\n",
                part,
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
