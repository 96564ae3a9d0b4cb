//! Cloudflare's pingora: a library, so a small program of ours (bench/peers/pingora) with pingora-proxy from crates.io.

use std::path::Path;
use std::process::Command;

use super::{Downstream, Peer, Role};
use crate::compare::child::{Child, free_address};

/// `program` is the path of that program once it is built.
pub(crate) fn start_pingora(role: &Role<'_>, program: &Path) -> Result<Peer, String> {
    if !matches!(role.downstream, Downstream::Http) {
        return Err("pingora is compared without TLS and HTTP/2 only".to_owned());
    }
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args([address.to_string(), role.origin.to_string(), role.cores.len().to_string()]);
    let mut child = Child::start("pingora", role.dir, role.cores, &command)?;
    child.await_listening(address)?;
    Ok(Peer::new("pingora", role.downstream.scheme(), address, child))
}

/// What the program is built with.
pub(crate) fn pingora_version() -> String {
    let lock = include_str!("../../../peers/pingora/Cargo.lock");
    let version = lock.split("[[package]]").find_map(|package| {
        let lines: Vec<&str> = package.lines().collect();
        let version = lines.iter().find_map(|line| line.strip_prefix("version = "))?;
        lines.contains(&"name = \"pingora-proxy\"").then(|| version.trim_matches('"'))
    });
    format!("pingora-proxy {}", version.unwrap_or("of an unknown version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_lock_files() {
        let version = pingora_version();
        let number = version.strip_prefix("pingora-proxy ").unwrap();
        assert!(number.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    }
}
