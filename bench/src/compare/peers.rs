//! Proxies to compare with, and the two floors, each tuned for what is compared: a worker for each core, which is one but in
//! the section shards, keep-alive on both sides, no logs.

mod caddy;
mod envoy;
mod h2o;
mod haproxy;
mod nginx;
mod nginx_lua;
mod pingora;
mod redis;
mod varnish;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{Child, ready_value};
use super::http::Client;
use super::identity::Identity;
use super::load::Target;

pub(crate) use caddy::start_caddy;
pub(crate) use envoy::start_envoy;
pub(crate) use h2o::start_h2o;
pub(crate) use haproxy::start_haproxy;
pub(crate) use nginx::start_nginx;
pub(crate) use nginx_lua::{Plugins, start_nginx_lua};
pub(crate) use pingora::{pingora_version, start_pingora};
pub(crate) use redis::start_redis;
pub(crate) use varnish::start_varnish;

/// A proxy under test.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) target: Target,
    /// Killed when the peer is dropped.
    _child: Child,
}

/// What a proxy speaks with its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Downstream<'a> {
    Http,
    /// HTTP/1.1 under TLS 1.3.
    Https(&'a Identity),
    /// HTTP/2 by prior knowledge, without TLS.
    Http2,
}

/// How a peer is to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Role<'a> {
    /// Of configuration, log and process id.
    pub(crate) dir: &'a Path,
    /// A worker on each; never none.
    pub(crate) cores: &'a [usize],
    pub(crate) origin: SocketAddr,
    pub(crate) downstream: Downstream<'a>,
    /// Of clients, at the same time.
    pub(crate) connections_max: usize,
    /// It keeps responses for an hour, with bodies of about this length.
    pub(crate) cached_body_bytes: Option<usize>,
}

impl Downstream<'_> {
    fn scheme(self) -> &'static str {
        if matches!(self, Self::Https(_)) { "https" } else { "http" }
    }
}

impl Peer {
    fn new(name: &str, scheme: &str, address: SocketAddr, child: Child) -> Self {
        let target = Target {
            name: name.to_owned(),
            origin: format!("{scheme}://{address}"),
            address,
            host: None,
            group: child.group(),
        };
        Self { target, _child: child }
    }
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

/// How many requests the origin has had, this one and its like left out.
pub(crate) fn origin_count(client: &mut Client) -> Result<u64, String> {
    let body = client.call("GET", "/count", "host: origin\r\n", b"")?.body;
    let text = String::from_utf8_lossy(&body);
    text.parse().map_err(|_| format!("the origin's count is '{text}'"))
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
    Ok((Peer::new(name, "http", address, child), address))
}

/// A program in PATH or where Debian keeps servers.
pub(crate) fn find_program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            let package = match name {
                "h2load" => "nghttp2-client",
                "varnishd" => "varnish",
                name => name,
            };
            format!(
                "{name} is not installed: apt-get install {package}, or leave it out with --peers or --only"
            )
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
    fn a_missing_program_says_how_to_install_it() {
        assert!(find_program("no-such-proxy").unwrap_err().contains("apt-get install no-such-proxy"));
    }
}
