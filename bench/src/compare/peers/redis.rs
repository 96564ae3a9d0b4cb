//! Redis, which several gateways share their limits in: a server of its own, that keeps nothing on disk.

use std::path::Path;
use std::process::Command;

use super::super::child::{Child, free_address};
use super::find_program;

/// A server under test, with its URL.
pub(crate) fn start_redis(dir: &Path, cores: &[usize]) -> Result<(Child, String), String> {
    let address = free_address()?;
    let mut command = Command::new(find_program("redis-server")?);
    command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(dir);
    let mut child = Child::start("redis", dir, cores, &command)?;
    child.await_listening(address)?;
    Ok((child, format!("redis://{address}")))
}
