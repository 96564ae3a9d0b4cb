//! A `turnpike-gateway` under test, which can be killed and started again at the addresses that it had.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::child::{Child, ready_value};
use super::http::Client;
use super::identity::Identity;
use super::layout;

/// How it is started.
#[derive(Debug, Clone)]
pub(crate) struct GatewayPlan {
    /// Of its log.
    pub(crate) name: String,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) data: PathBuf,
    /// One shard for each.
    pub(crate) cores: Vec<usize>,
    /// Where control publishes.
    pub(crate) publish: String,
    /// A program that runs it, with arguments; none for itself.
    pub(crate) wrapper: Vec<String>,
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    /// Where HTTPS is spoken, if it was started so.
    pub(crate) tls_address: Option<SocketAddr>,
    admin: SocketAddr,
    plan: GatewayPlan,
    /// `None` while it is killed.
    child: Option<Child>,
}

impl Gateway {
    pub(crate) fn start(plan: GatewayPlan, identity: Option<&Identity>) -> Result<Self, String> {
        let tls = identity.is_some().then_some("127.0.0.1:0");
        let mut command = plan.command("127.0.0.1:0", "127.0.0.1:0", tls);
        if let Some(identity) = identity {
            command.arg("--tls-certificate").arg(&identity.certificate);
            command.arg("--tls-private-key").arg(&identity.private_key);
        }
        let (child, line) = plan.spawn(&command)?;
        let shards = ready_value(&line, "shards")?;
        if shards != plan.cores.len().to_string() {
            return Err(format!("the gateway has {shards} shards on cores {}", layout::list(&plan.cores)));
        }
        Ok(Self {
            address: parse_address(ready_value(&line, "listen")?)?,
            tls_address: ready_value(&line, "tls").ok().map(parse_address).transpose()?,
            admin: parse_address(ready_value(&line, "admin")?)?,
            plan,
            child: Some(child),
        })
    }

    pub(crate) fn kill(&mut self) {
        self.child = None;
    }

    /// One that was killed begins again at its addresses, without HTTPS.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let command = self.plan.command(&self.address.to_string(), &self.admin.to_string(), None);
        self.child = Some(self.plan.spawn(&command)?.0);
        Ok(())
    }

    /// Has a new process of the same binary take over.
    pub(crate) fn upgrade(&self) -> Result<(), String> {
        let mut command = Command::new(&self.plan.binary);
        let output = command.args(["upgrade", "--data-dir"]).arg(&self.plan.data).output();
        let output = output.map_err(|error| format!("turnpike-gateway upgrade: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.explain(String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// The process group's id; 0 while it is killed.
    pub(crate) fn group(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::group)
    }

    /// An error with the end of its log.
    pub(crate) fn explain(&self, what: &str) -> String {
        self.child.as_ref().map_or_else(|| format!("the killed gateway {what}"), |child| child.explain(what))
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> Result<String, String> {
        let mut client = Client::connect(self.admin)?;
        let headers = format!("host: {}\r\nconnection: close\r\n", self.admin);
        let reply = client.call("GET", "/metrics", &headers, b"")?;
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }
}

impl GatewayPlan {
    fn command(&self, listen: &str, admin: &str, tls: Option<&str>) -> Command {
        let mut command = match &*self.wrapper {
            [] => Command::new(&self.binary),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&self.binary);
                command
            }
        };
        command
            .args(["--listen", listen, "--admin-listen", admin, "--cores", "all"])
            .arg("--require-io-uring")
            .arg("--data-dir")
            .arg(&self.data)
            .args(["--publish-socket", &self.publish])
            .args(["--tls-listen", tls.unwrap_or_default()])
            .args(&self.arguments);
        command
    }

    fn spawn(&self, command: &Command) -> Result<(Child, String), String> {
        Child::start_and_wait(&self.name, &self.dir, &self.cores, command)
    }
}

pub(crate) fn find_binary(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is missing: cargo build --release -p {name}, or leave Turnpike out with --peers",
        path.display()
    ))
}

pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_how_to_build_it() {
        let error = find_binary(Path::new("/nonexistent"), "turnpike-gateway").unwrap_err();
        assert!(error.contains("cargo build --release -p turnpike-gateway"), "{error}");
    }
}
