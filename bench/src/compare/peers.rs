//! nginx, HAProxy and the two floors, each tuned for what is compared: one worker on one core, keep-alive on both
//! sides, no logs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{Child, free_address, ready_value};
use super::load::Target;

/// A proxy under test.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) target: Target,
    /// Killed when the peer is dropped.
    _child: Child,
}

impl Peer {
    fn new(name: &str, address: SocketAddr, child: Child) -> Self {
        let target = Target {
            name: name.to_owned(),
            origin: format!("http://{address}"),
            host: None,
            group: child.group(),
        };
        Self { target, _child: child }
    }
}

pub(crate) fn start_nginx(dir: &Path, core: usize, origin: SocketAddr) -> Result<Peer, String> {
    let address = free_address()?;
    let home = dir.join("nginx");
    let config = write_config(&home, "nginx.conf", &nginx_config(&home, core, address, origin))?;
    let mut command = Command::new(find_program("nginx")?);
    command.arg("-p").arg(&home).arg("-c").arg(&config).args(["-e", "stderr"]);
    let mut child = Child::start("nginx", dir, &[core], &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("nginx", address, child))
}

/// Bodies stream through memory in both directions, as they do in the other proxies: no temporary files.
fn nginx_config(home: &Path, core: usize, address: SocketAddr, origin: SocketAddr) -> String {
    let mask = format!("1{}", "0".repeat(core));
    // Started as root, the worker would run as nobody and couldn't reach its directory.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let home = home.display();
    format!(
        "daemon off;
{user}worker_processes 1;
worker_cpu_affinity {mask};
worker_rlimit_nofile 16384;
pid {home}/nginx.pid;
error_log stderr error;
events {{
    use epoll;
    worker_connections 8192;
    multi_accept on;
    accept_mutex off;
}}
http {{
    access_log off;
    keepalive_timeout 75s;
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
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 75s;
    }}
    server {{
        listen {address} reuseport backlog=4096;
        location / {{
            proxy_pass http://origin;
        }}
    }}
}}
"
    )
}

pub(crate) fn start_haproxy(dir: &Path, core: usize, origin: SocketAddr) -> Result<Peer, String> {
    let address = free_address()?;
    let config = write_config(&dir.join("haproxy"), "haproxy.cfg", &haproxy_config(core, address, origin))?;
    let mut command = Command::new(find_program("haproxy")?);
    command.args(["-db", "-f"]).arg(&config);
    let mut child = Child::start("haproxy", dir, &[core], &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("haproxy", address, child))
}

fn haproxy_config(core: usize, address: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    cpu-map auto:1/1 {core}
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 75s
    timeout http-keep-alive 75s
    http-reuse always
frontend clients
    bind {address} backlog 4096
    default_backend origin
backend origin
    server origin {origin}
"
    )
}

/// The pass-through floor, or the responder floor when there is no `upstream`.
pub(crate) fn start_floor(dir: &Path, cores: &[usize], upstream: Option<SocketAddr>) -> Result<Peer, String> {
    let name = if upstream.is_some() { "passthrough" } else { "responder" };
    start_own(name, dir, cores, upstream).map(|(peer, _)| peer)
}

/// The origin behind the proxies.
pub(crate) fn start_origin(dir: &Path, cores: &[usize]) -> Result<(Peer, SocketAddr), String> {
    start_own("origin", dir, cores, None)
}

fn start_own(
    name: &str,
    dir: &Path,
    cores: &[usize],
    upstream: Option<SocketAddr>,
) -> Result<(Peer, SocketAddr), String> {
    let program = std::env::current_exe().map_err(|error| format!("own path unknown: {error}"))?;
    let mut command = Command::new(program);
    command.arg(if upstream.is_some() { "passthrough" } else { "origin" });
    command.args(["--listen", "127.0.0.1:0", "--cores", &super::layout::list(cores)]);
    if let Some(upstream) = upstream {
        command.args(["--upstream", &upstream.to_string()]);
    }
    let (child, line) = Child::start_and_wait(name, dir, cores, &command)?;
    let address = ready_value(&line, "listen")?;
    let address = address.parse().map_err(|_| format!("'{address}' is no address"))?;
    Ok((Peer::new(name, address, child), address))
}

/// A program in PATH or where Debian keeps servers.
pub(crate) fn find_program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            format!("{name} is not installed: apt-get install {name}, or leave it out with --peers")
        })
}

fn write_config(dir: &Path, file: &str, text: &str) -> Result<PathBuf, String> {
    let path = dir.join(file);
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_name_core_and_addresses() {
        let (address, origin) = ("127.0.0.1:81".parse().unwrap(), "127.0.0.1:82".parse().unwrap());
        let nginx = nginx_config(Path::new("/tmp/x"), 3, address, origin);
        for part in
            ["worker_cpu_affinity 1000;", "listen 127.0.0.1:81 ", "server 127.0.0.1:82;", "pid /tmp/x/"]
        {
            assert!(nginx.contains(part), "{part}");
        }
        let haproxy = haproxy_config(3, address, origin);
        for part in ["cpu-map auto:1/1 3\n", "bind 127.0.0.1:81 ", "server origin 127.0.0.1:82\n"] {
            assert!(haproxy.contains(part), "{part}");
        }
    }

    #[test]
    fn a_missing_program_says_how_to_install_it() {
        assert!(find_program("no-such-proxy").unwrap_err().contains("apt-get install no-such-proxy"));
    }
}
