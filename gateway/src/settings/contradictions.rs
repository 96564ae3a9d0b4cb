//! Settings that are fine alone and wrong together; each refusal names both, and what to change.

use std::net::SocketAddr;

use turnpike_rt::DriverChoice;

use super::{LogDestination, Settings, SettingsError, invalid};
use crate::access_log_format::{AccessLogFormat, DEFAULT_FORMAT};
use crate::limits;
use crate::sockets::UPGRADE_SOCKET;

/// What no single setting's range can rule out.
pub(super) fn refuse(settings: &Settings) -> Result<(), SettingsError> {
    refuse_bad_paths(settings)?;
    refuse_shared_addresses(settings)?;
    refuse_vain_proxy_protocol(settings)?;
    refuse_half_a_certificate(settings)?;
    refuse_bad_limits_store(settings)?;
    if settings.require_io_uring && settings.driver == DriverChoice::Epoll {
        return invalid(
            "require_io_uring",
            "driver is epoll, which uses no io_uring; set driver to auto or io_uring, or remove require_io_uring",
        );
    }
    if settings.upstream_idle_connections_max > settings.upstream_connections_max {
        return invalid(
            "upstream_idle_connections_max",
            format!(
                "{} idle connections can't be kept where upstream_connections_max allows only {}; lower the \
                 former or raise the latter",
                settings.upstream_idle_connections_max, settings.upstream_connections_max
            ),
        );
    }
    if settings.dns_ttl_min_ms > settings.dns_ttl_max_ms {
        return invalid(
            "dns_ttl_min_ms",
            format!(
                "{} is above dns_ttl_max_ms, {}; lower the former or raise the latter",
                settings.dns_ttl_min_ms, settings.dns_ttl_max_ms
            ),
        );
    }
    if u64::from(settings.snapshot_unit_bytes_max) > settings.snapshot_bytes_max {
        return invalid(
            "snapshot_unit_bytes_max",
            format!(
                "a unit of {} bytes can't be part of a snapshot of at most {} (snapshot_bytes_max); lower the \
                 former or raise the latter",
                settings.snapshot_unit_bytes_max, settings.snapshot_bytes_max
            ),
        );
    }
    Ok(())
}

/// The gateway's own log's format; one that nothing would be written in is a mistake.
pub(super) fn checked_format(
    typed: Option<String>,
    access_log: Option<&LogDestination>,
) -> Result<String, SettingsError> {
    const SETTING: &str = "access_log_format";
    let Some(format) = typed else { return Ok(DEFAULT_FORMAT.to_owned()) };
    if access_log.is_none() {
        return invalid(
            SETTING,
            "it formats the gateway's own access log, which is off; set access_log to a path or `-`, or remove \
             access_log_format (a stage's log has a format of its own)",
        );
    }
    match AccessLogFormat::compile(&format) {
        Ok(_) => Ok(format),
        Err(error) => invalid(SETTING, error.to_string()),
    }
}

/// What `sockaddr_un` holds, without the terminating zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn refuse_bad_paths(settings: &Settings) -> Result<(), SettingsError> {
    let named = [
        ("data_dir", &settings.data_dir),
        ("publish_socket", &settings.publish_socket),
        ("access_log_dir", &settings.access_log_dir),
        ("quota_dir", &settings.quota_dir),
    ];
    for (setting, path) in named {
        if path.as_os_str().is_empty() {
            return invalid(setting, "the path is empty; name one, or leave the setting out");
        }
    }
    let upgrade_socket = settings.data_dir.join(UPGRADE_SOCKET);
    if upgrade_socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return invalid(
            "data_dir",
            format!(
                "the socket `{}` has {} bytes, and a Unix socket's path at most {SOCKET_PATH_BYTES_MAX}; choose a shorter \
                 path",
                upgrade_socket.display(),
                upgrade_socket.as_os_str().len()
            ),
        );
    }
    let socket_bytes = settings.publish_socket.as_os_str().len();
    if socket_bytes > SOCKET_PATH_BYTES_MAX {
        return invalid(
            "publish_socket",
            format!(
                "`{}` has {socket_bytes} bytes, and a Unix socket's path at most {SOCKET_PATH_BYTES_MAX}; choose a \
                 shorter path",
                settings.publish_socket.display()
            ),
        );
    }
    Ok(())
}

fn refuse_shared_addresses(settings: &Settings) -> Result<(), SettingsError> {
    if settings.listen.is_empty() {
        return invalid("listen", "no address is given; name at least one, such as 127.0.0.1:8080");
    }
    let all: Vec<_> = settings.listen.iter().chain(&settings.tls_listen).collect();
    for (position, address) in all.iter().enumerate() {
        if address.port() == 0 {
            continue;
        }
        if all[..position].contains(address) {
            let setting = if position < settings.listen.len() { "listen" } else { "tls_listen" };
            return invalid(setting, format!("{address} is given twice; remove one"));
        }
        if settings.admin_listen == **address {
            return invalid(
                "admin_listen",
                format!("{address} is also a listen address; give the admin endpoint one of its own"),
            );
        }
    }
    Ok(())
}

fn is_listened_on(settings: &Settings, address: &SocketAddr) -> bool {
    settings.listen.contains(address) || settings.tls_listen.contains(address)
}

fn refuse_half_a_certificate(settings: &Settings) -> Result<(), SettingsError> {
    match (&settings.tls_certificate, &settings.tls_private_key) {
        (Some(_), None) => {
            invalid("tls_private_key", "tls_certificate is set without it; name the certificate's key")
        }
        (None, Some(_)) => {
            invalid("tls_certificate", "tls_private_key is set without it; name the key's certificate")
        }
        _ => Ok(()),
    }
}

fn refuse_bad_limits_store(settings: &Settings) -> Result<(), SettingsError> {
    if let Err((setting, problem)) = limits::check_store(settings) {
        return invalid(setting, problem);
    }
    if settings.limits_store_timeout_ms >= settings.limits_store_lease_ms {
        return invalid(
            "limits_store_timeout_ms",
            format!(
                "{} isn't below limits_store_lease_ms, {}, so that an answer could come when what it lends is over; \
                 lower the former or raise the latter",
                settings.limits_store_timeout_ms, settings.limits_store_lease_ms
            ),
        );
    }
    Ok(())
}

fn refuse_vain_proxy_protocol(settings: &Settings) -> Result<(), SettingsError> {
    if let Some(stray) = settings.proxy_protocol.iter().find(|address| !is_listened_on(settings, address)) {
        return invalid(
            "proxy_protocol",
            format!("nothing listens on {stray}; name an address of listen as it is written there"),
        );
    }
    match (settings.proxy_protocol.is_empty(), settings.proxy_protocol_from.is_empty()) {
        (false, true) => invalid(
            "proxy_protocol",
            "whose headers are believed isn't said; set proxy_protocol_from to the balancers' networks, such as \
             10.0.0.0/8",
        ),
        (true, false) => invalid(
            "proxy_protocol_from",
            "no listener has the PROXY protocol; set proxy_protocol to addresses of listen, or remove \
             proxy_protocol_from",
        ),
        _ => Ok(()),
    }
}
