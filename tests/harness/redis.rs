//! A Redis that belongs to one test, on a Unix socket in a directory of its own, and if wanted on a port. What it has
//! acknowledged outlives it. Several make a cluster.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, run, until};

/// Runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    directory: TempDir,
    arguments: Vec<String>,
}

impl Redis {
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With further settings, each its name and its value.
    #[must_use]
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let mut redis = Self::prepare(settings);
        redis.resume();
        redis
    }

    /// On a port of the system's choice, with the settings that are made for it.
    #[must_use]
    pub fn on_port(settings: impl Fn(u16) -> Vec<(&'static str, String)>) -> (Self, u16) {
        until("a port that nobody else takes meanwhile", || {
            let port = free_port();
            let settings = settings(port);
            let settings: Vec<(&str, &str)> =
                settings.iter().map(|(name, value)| (*name, &**value)).collect();
            let mut redis = Self::prepare(&settings);
            redis.launch();
            redis.comes_up().then_some((redis, port))
        })
    }

    fn prepare(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = [("port", "0"), ("appendonly", "yes"), ("appendfsync", "always"), ("save", "")];
        let dir = directory.path().to_str().expect("a path in UTF-8");
        let socket = socket(directory.path());
        let places = [("dir", dir), ("unixsocket", socket.to_str().expect("a path in UTF-8"))];
        let arguments = own.iter().chain(&places).chain(settings);
        let arguments =
            arguments.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect();
        Self { process: None, directory, arguments }
    }

    /// What redis-cli says to a command, by words.
    ///
    /// # Panics
    /// When it fails; an error of the server's isn't a failure.
    pub fn command(&self, words: &[&str]) -> String {
        let socket = socket(self.directory.path());
        let mut arguments = vec!["-s", socket.to_str().expect("a path in UTF-8")];
        arguments.extend(words);
        let output = run(Path::new("redis-cli"), &arguments, 20);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", socket(self.directory.path()).display())
    }

    /// As a host that fails does.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Answers nothing any more, and keeps its connections.
    pub fn hang(&self) {
        self.process.as_ref().expect("it runs").signal_alone(Signal::STOP);
    }

    pub fn wake(&self) {
        self.process.as_ref().expect("it runs").signal_alone(Signal::CONT);
    }

    /// Starts it again, with what it knew.
    ///
    /// # Panics
    /// When it ends.
    pub fn resume(&mut self) {
        self.launch();
        assert!(self.comes_up(), "Redis ends: {}", self.process.as_ref().expect("it was started").log());
    }

    fn launch(&mut self) {
        let _ = std::fs::remove_file(socket(self.directory.path()));
        self.process = Some(Process::start_bound(Path::new("redis-server"), &self.arguments, &[]));
    }

    /// False if it ends.
    fn comes_up(&mut self) -> bool {
        until("Redis to answer", || {
            if self.answers() {
                return Some(true);
            }
            self.process.as_mut().is_some_and(Process::has_ended).then_some(false)
        })
    }

    /// It may still be reading what it knew, or ask for a password.
    fn answers(&self) -> bool {
        use std::io::{Read, Write};
        let Ok(mut connection) = UnixStream::connect(socket(self.directory.path())) else { return false };
        let mut reply = [0; 5];
        connection.write_all(b"PING\r\n").is_ok()
            && connection.read_exact(&mut reply).is_ok()
            && matches!(&reply, b"+PONG" | b"-NOAU")
    }
}

/// Three masters, each with a replica; all end with the test.
#[derive(Debug)]
pub struct RedisCluster {
    /// First the masters, then a replica of each in the same order.
    pub nodes: Vec<Redis>,
    ports: Vec<u16>,
}

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

impl RedisCluster {
    /// With further settings of each node, by its port, beside those that make it one of a cluster.
    #[must_use]
    pub fn with(settings: impl Fn(u16) -> Vec<(&'static str, String)>) -> Self {
        let (nodes, ports): (Vec<Redis>, Vec<u16>) = (0..2 * MASTERS).map(|_| node(&settings)).unzip();
        let cluster = Self { nodes, ports };
        cluster.meet();
        cluster
    }

    #[must_use]
    pub fn start() -> Self {
        Self::with(|port| vec![("port", port.to_string())])
    }

    /// Of one of the nodes, for the gateways' setting.
    #[must_use]
    pub fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.ports[node])
    }

    /// Gives all slots of a master that have keys to another, as an operator's tools do; how many.
    ///
    /// # Panics
    /// When a node refuses to.
    #[must_use]
    pub fn move_slots(&self, from: usize, to: usize) -> usize {
        let id = |node: usize| self.nodes[node].command(&["CLUSTER", "MYID"]);
        let (from_id, to_id, port) = (id(from), id(to), self.ports[to].to_string());
        let keys = self.nodes[from].command(&["KEYS", "*"]);
        let slot = |key: &str| self.nodes[from].command(&["CLUSTER", "KEYSLOT", key]);
        let slots: BTreeSet<String> = keys.lines().map(slot).collect();
        for slot in &slots {
            self.tell(to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &from_id]);
            self.tell(from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &to_id]);
            let keys = self.nodes[from].command(&["CLUSTER", "GETKEYSINSLOT", slot, "1000"]);
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let migrate: Vec<&str> = migrate.into_iter().chain(keys.lines()).collect();
            self.tell(from, &migrate);
            for node in [to, from] {
                self.tell(node, &["CLUSTER", "SETSLOT", slot, "NODE", &to_id]);
            }
        }
        slots.len()
    }

    /// The replica of a master that isn't there any more is in its place.
    pub fn wait_for_promotion(&self, master: usize) {
        self.wait_for("the replica to be a master", master + MASTERS, &["ROLE"], "master");
        for node in (0..2 * MASTERS).filter(|node| *node != master) {
            self.wait_for("the cluster to be whole", node, &["CLUSTER", "INFO"], "cluster_state:ok");
        }
    }

    fn meet(&self) {
        for master in 0..MASTERS {
            let (from, to) = (SLOTS * master / MASTERS, SLOTS * (master + 1) / MASTERS - 1);
            self.tell(master, &["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
        }
        let (port, bus) =
            (self.ports[0].to_string(), self.nodes[0].command(&["CONFIG", "GET", "cluster-port"]));
        let bus = bus.lines().last().expect("a name and a value");
        for node in 0..2 * MASTERS {
            self.tell(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(node + 1).to_string()]);
            self.tell(node, &["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        let known = format!("cluster_known_nodes:{}", 2 * MASTERS);
        for node in 0..2 * MASTERS {
            self.wait_for("the nodes to know each other", node, &["CLUSTER", "INFO"], &known);
        }
        for master in 0..MASTERS {
            let id = self.nodes[master].command(&["CLUSTER", "MYID"]);
            self.tell(master + MASTERS, &["CLUSTER", "REPLICATE", &id]);
        }
        for node in 0..2 * MASTERS {
            self.wait_for("the cluster to be whole", node, &["CLUSTER", "INFO"], "cluster_state:ok");
        }
        for replica in MASTERS..2 * MASTERS {
            self.wait_for("the replica to follow", replica, &["ROLE"], "connected");
        }
        // Only who is known to all as a replica is voted for.
        for node in 0..2 * MASTERS {
            until("every replica to be known", || {
                let nodes = self.nodes[node].command(&["CLUSTER", "NODES"]);
                (nodes.matches("slave").count() == MASTERS).then_some(())
            });
        }
    }

    fn tell(&self, node: usize, words: &[&str]) {
        assert_eq!(self.nodes[node].command(words), "OK", "{words:?}");
    }

    fn wait_for(&self, what: &str, node: usize, words: &[&str], said: &str) {
        until(what, || self.nodes[node].command(words).contains(said).then_some(()));
    }
}

fn node(settings: &impl Fn(u16) -> Vec<(&'static str, String)>) -> (Redis, u16) {
    Redis::on_port(|port| {
        let own = [
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", "1000"),
            ("cluster-require-full-coverage", "no"),
            ("bind", "127.0.0.1"),
        ];
        let own = own.into_iter().map(|(name, value)| (name, value.to_owned()));
        let bus = ("cluster-port", free_port().to_string());
        own.chain([bus]).chain(settings(port)).collect()
    })
}

/// One that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the system's choice");
    listener.local_addr().expect("a bound socket").port()
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("redis.sock")
}
