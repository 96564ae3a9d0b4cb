//! Ports, and how many connections the kernel holds until they are accepted.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::Finding;
use crate::settings::Settings;

pub(super) fn backlog(settings: &Settings) -> Finding {
    const NAME: &str = "backlog";
    let wanted = settings.listen_backlog;
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    match limit.and_then(|limit| limit.trim().parse::<i64>().ok()) {
        Some(limit) if limit < i64::from(wanted) => Finding::warning(
            NAME,
            format!("net.core.somaxconn is {limit}, listen_backlog {wanted}: the kernel takes the smaller"),
            format!("sysctl -w net.core.somaxconn={wanted}, and the same in /etc/sysctl.d"),
        ),
        Some(limit) => Finding::ok(NAME, format!("listen_backlog {wanted}, net.core.somaxconn {limit}")),
        None => Finding::ok(NAME, format!("listen_backlog {wanted}; net.core.somaxconn can't be read")),
    }
}

/// Each shard has a socket of its own on each address.
pub(super) fn shared_ports() -> Finding {
    const NAME: &str = "SO_REUSEPORT";
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let twice = turnpike_rt::bind_shared(any, 1).and_then(|first| {
        let second = turnpike_rt::bind_shared(first.local_addr()?, 1)?;
        Ok((first, second))
    });
    match twice {
        Ok(_) => Finding::ok(NAME, "two sockets can share a port"),
        Err(error) => Finding::error(
            NAME,
            format!("two sockets can't share a port: {error}"),
            "use a kernel or container runtime that has SO_REUSEPORT (Linux 3.9)",
        ),
    }
}

pub(super) fn addresses(settings: &Settings, running: bool) -> Vec<Finding> {
    let listen = settings.listen.iter().map(|address| ("listen", *address));
    listen
        .chain(settings.tls_listen.iter().map(|address| ("tls_listen", *address)))
        .chain([("admin_listen", settings.admin_listen)])
        .map(|(name, at)| address(name, at, running))
        .collect()
}

/// `running`: a gateway of this data directory runs, and has its ports.
fn address(name: &'static str, address: SocketAddr, running: bool) -> Finding {
    let Err(error) = TcpListener::bind(address) else {
        return Finding::ok(name, format!("{address} is free"));
    };
    match error.kind() {
        ErrorKind::AddrInUse if running => {
            Finding::ok(name, format!("{address} is in use, and a gateway runs on this data directory"))
        }
        ErrorKind::AddrInUse => Finding::error(
            name,
            format!("{address} is in use"),
            format!("stop what has it (ss -ltnp), or choose another with --{}", name.replace('_', "-")),
        ),
        ErrorKind::PermissionDenied => {
            Finding::error(name, format!("{address} may not be bound: {error}"), privileged_port(address))
        }
        _ => Finding::error(name, format!("{address}: {error}"), mend(&error)),
    }
}

fn privileged_port(address: SocketAddr) -> String {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    format!(
        "allow it (AmbientCapabilities=CAP_NET_BIND_SERVICE in systemd, or sysctl \
         net.ipv4.ip_unprivileged_port_start={}), or choose a port from {} on",
        address.port(),
        first.trim()
    )
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrNotAvailable => "no interface has this address (ip address): name one that is there",
        _ => "choose another address",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_unless_it_is_the_gateways_own() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        assert_eq!(address("listen", at, false).verdict, Verdict::Error);
        assert_eq!(address("listen", at, true).verdict, Verdict::Ok);
        drop(taken);
        assert_eq!(address("admin_listen", at, false).verdict, Verdict::Ok);
    }

    #[test]
    fn an_address_of_another_host_is_an_error() {
        // RFC 5737's documentation addresses belong to nobody.
        let finding = address("listen", "192.0.2.1:8080".parse().unwrap(), false);
        assert_eq!(finding.verdict, Verdict::Error);
        assert!(finding.mend.unwrap().contains("interface"));
    }

    #[test]
    fn ports_can_be_shared_here() {
        assert_eq!(shared_ports().verdict, Verdict::Ok);
    }
}
