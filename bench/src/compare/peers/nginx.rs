//! nginx, tuned by its own guidance: a worker bound to each core, kept upstream connections, nothing on disk.
//!
//! As a cache (admin guide, "NGINX Content Caching"; core module's reference): files stay in the system's page cache and
//! their descriptors open; one request of many fetches what is missing (proxy_cache_lock). Long bodies go by sendfile,
//! which copies nothing; short ones with their head in one call instead, which is a fifth faster. tcp_nopush, which would do
//! that with sendfile, has the end of a long body wait 40 ms for an acknowledgement on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Downstream, Peer, Role, find_program, write_config};
use crate::compare::child::{Child, free_address};

/// Descriptors beside those of clients: origin, listener, files.
const DESCRIPTORS_SPARE: usize = 1024;
/// Of cached bodies that are worth a call of their own.
const SENDFILE_BYTES_MIN: usize = 16 * 1024;

/// Lines of the configuration for what a proxy doesn't do by itself.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) modules: String,
    /// In place of logging nothing.
    pub(super) access_log: Option<String>,
    pub(super) http: String,
    pub(super) location: String,
}

pub(crate) fn start_nginx(role: &Role<'_>) -> Result<Peer, String> {
    start_with("nginx", role, &Additions::default())
}

/// `name` is the peer's, and that of its directory.
pub(super) fn start_with(name: &str, role: &Role<'_>, additions: &Additions) -> Result<Peer, String> {
    let address = free_address()?;
    let home = role.dir.join(name);
    let config = write_config(&home, "nginx.conf", &config(&home, address, role, additions))?;
    let mut command = Command::new(find_program("nginx")?);
    command.arg("-p").arg(&home).arg("-c").arg(&config).args(["-e", "stderr"]);
    let mut child = Child::start(name, role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new(name, role.downstream.scheme(), address, child))
}

/// Bodies stream through memory in both directions, as they do in the other proxies: no temporary files.
fn config(home: &Path, address: SocketAddr, role: &Role<'_>, additions: &Additions) -> String {
    let Additions { modules, access_log, http, location } = additions;
    let access_log = access_log.as_deref().unwrap_or("    access_log off;\n");
    let workers = role.cores.len();
    let masks: String = role.cores.iter().map(|core| format!(" 1{}", "0".repeat(*core))).collect();
    // Started as root, the worker would run as nobody and couldn't reach its directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let descriptors = role.connections_max + DESCRIPTORS_SPARE;
    // It closes connections that rest when a sixteenth of these is left.
    let connections = descriptors + descriptors / 8;
    let (listen, tls) = listener(&role.downstream);
    let (zone, keep) = role.cached_body_bytes.map(|bytes| cache(home, bytes)).unwrap_or_default();
    let (home, origin) = (home.display(), role.origin);
    format!(
        "{modules}daemon off;
{user}worker_processes {workers};
worker_cpu_affinity{masks};
worker_rlimit_nofile {descriptors};
pid {home}/nginx.pid;
error_log stderr error;
events {{
    use epoll;
    worker_connections {connections};
    multi_accept on;
    accept_mutex off;
}}
http {{
{access_log}    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    client_max_body_size 0;
    client_body_buffer_size 256k;
    client_body_temp_path {home}/client_body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection \"\";
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffer_size 8k;
    proxy_buffers 16 64k;
    proxy_busy_buffers_size 256k;
{tls}{zone}{http}    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen {address} reuseport backlog=4096{listen};
        location / {{
            proxy_pass http://origin;
{keep}{location}        }}
    }}
}}
"
    )
}

/// Lines of the block `http`, and of the location.
fn cache(home: &Path, body_bytes: usize) -> (String, &'static str) {
    let sendfile = if body_bytes < SENDFILE_BYTES_MIN { "off" } else { "on" };
    let zone = format!(
        "    proxy_cache_path {}/cache levels=1:2 keys_zone=cache:32m max_size=1g inactive=1h use_temp_path=off;
    sendfile {sendfile};
    open_file_cache max=4096 inactive=600s;
    open_file_cache_valid 600s;
",
        home.display()
    );
    let keep = "            proxy_cache cache;
            proxy_cache_valid 200 1h;
            proxy_cache_lock on;
";
    (zone, keep)
}

/// What follows the listener's address, and lines of the block `http`.
fn listener(downstream: &Downstream<'_>) -> (&'static str, String) {
    match downstream {
        Downstream::Http => ("", String::new()),
        // As many streams on a connection as its clients may open.
        Downstream::Http2 => (" http2", "    http2_max_concurrent_streams 256;\n".to_owned()),
        // Tickets carry the sessions, so no cache has to be kept; `off` would renew no ticket of a resumed session.
        Downstream::Https(identity) => (
            " ssl",
            format!(
                "    ssl_certificate {};
    ssl_certificate_key {};
    ssl_protocols TLSv1.3;
    ssl_session_cache none;
    ssl_session_tickets on;
    ssl_session_timeout 1h;
",
                identity.certificate.display(),
                identity.private_key.display()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::identity::Identity;

    fn role(downstream: Downstream<'_>) -> Role<'_> {
        let origin = "127.0.0.1:82".parse().unwrap();
        Role {
            dir: Path::new("/tmp/x"),
            cores: &[3, 1],
            origin,
            downstream,
            connections_max: 4096,
            cached_body_bytes: None,
        }
    }

    fn plain(home: &Path, role: &Role<'_>) -> String {
        config(home, "127.0.0.1:81".parse().unwrap(), role, &Additions::default())
    }

    #[test]
    fn the_configuration_names_core_and_addresses() {
        let text = plain(Path::new("/tmp/x"), &role(Downstream::Http));
        for part in [
            "worker_processes 2;",
            "worker_cpu_affinity 1000 10;",
            "listen 127.0.0.1:81 ",
            "server 127.0.0.1:82;",
            "pid /tmp/x/",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("ssl") && !text.contains("http2") && !text.contains("proxy_cache"));
    }

    #[test]
    fn responses_are_kept_where_the_role_says_so() {
        let caching = Role { cached_body_bytes: Some(1024), ..role(Downstream::Http) };
        let text = plain(Path::new("/tmp/x"), &caching);
        for part in ["proxy_cache_path /tmp/x/cache ", "proxy_cache cache;", "proxy_cache_valid 200 1h;"] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn the_listener_speaks_what_its_role_says() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::make(dir.path(), &["a.test"]).unwrap();
        let https = plain(dir.path(), &role(Downstream::Https(&identity)));
        assert!(https.contains("backlog=4096 ssl;\n") && https.contains("ssl_certificate_key"), "{https}");
        let http2 = plain(dir.path(), &role(Downstream::Http2));
        assert!(http2.contains("backlog=4096 http2;\n"), "{http2}");
    }
}
