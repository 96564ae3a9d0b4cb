//! A running `turnpike-gateway`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::client::{Client, Reply};
use crate::metrics::Metrics;
use crate::process::{Process, binary, until};

/// How to start a gateway: one shard, ports of the system's choice, everything else by default.
#[derive(Debug, Clone)]
pub struct Options {
    shards: usize,
    data_dir: Option<PathBuf>,
    publish_socket: Option<PathBuf>,
    settings: Vec<(String, String)>,
    program: Option<PathBuf>,
    launcher: Vec<String>,
    unset: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: 1,
            data_dir: None,
            publish_socket: None,
            settings: Vec::new(),
            program: None,
            launcher: Vec::new(),
            unset: Vec::new(),
        }
    }
}

impl Options {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// So many shards, each on a core of its own.
    #[must_use]
    pub const fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// A directory that outlives the gateway; otherwise it gets a temporary one.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    #[must_use]
    pub fn publish_socket(mut self, path: &Path) -> Self {
        self.publish_socket = Some(path.to_owned());
        self
    }

    /// Another binary than this build's.
    #[must_use]
    pub fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// A command that ends by running the gateway: `["prlimit", "--memlock=0"]`.
    #[must_use]
    pub fn launcher(mut self, words: &[&str]) -> Self {
        self.launcher = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Leaves a setting to the file or the default, where a test would choose one.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.unset.push(setting(name, "").0);
        self
    }

    /// Any setting, by the name that it has in a file: `header_count_max`. Outranks the other options.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push(setting(name, value));
        self
    }

    /// A variable of the environment that isn't the gateway's own.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A gateway that accepts connections; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    /// Where it serves APIs.
    pub address: SocketAddr,
    /// Where it serves APIs over HTTPS; `None` where that is turned off.
    pub tls: Option<SocketAddr>,
    /// Where its metrics are.
    pub admin: SocketAddr,
    /// `io_uring` or `epoll`.
    pub driver: String,
    pub shards: usize,
    pub data_dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl Gateway {
    /// Starts one and waits until it accepts connections.
    ///
    /// # Panics
    /// When it ends, or says nothing in time.
    #[must_use]
    pub fn start(options: &Options) -> Self {
        let (mut process, data_dir, temporary) = launch(options);
        let line = process.line("turnpike-gateway ready ");
        let address = |name| field(&line, name).parse().unwrap_or_else(|_| panic!("{name} in '{line}'"));
        let (listen, admin) = (address("listen"), address("admin"));
        Self {
            address: listen,
            tls: line.contains(" tls=").then(|| address("tls")),
            admin,
            driver: field(&line, "driver").to_owned(),
            shards: field(&line, "shards").parse().unwrap_or_else(|_| panic!("shards in '{line}'")),
            process,
            data_dir,
            _temporary: temporary,
        }
    }

    /// Starts one that is expected to end by itself; returns its status and what it logged.
    #[must_use]
    pub fn start_in_vain(options: &Options) -> (ExitStatus, String) {
        let (mut process, _, _temporary) = launch(options);
        let status = process.wait();
        (status, process.log())
    }

    /// A new connection to it.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request on a connection of its own.
    #[must_use]
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Reply {
        self.connect().exchange(request)
    }

    /// Asks the admin address.
    #[must_use]
    pub fn admin(&self, method: &str, path: &str) -> Reply {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        Client::connect(self.admin).exchange(request)
    }

    /// Reads its metrics.
    ///
    /// # Panics
    /// When it doesn't answer with 200.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let reply = self.admin("GET", "/metrics");
        assert_eq!(reply.status, 200, "{}", reply.text());
        Metrics::parse(reply.text())
    }

    /// Waits until every shard serves `version`.
    pub fn wait_for_version(&self, version: u64) {
        until(&format!("snapshot {version} on every shard"), || {
            let metrics = self.metrics();
            let mut shards = metrics.series(SHARD_VERSION, &[]);
            #[expect(clippy::cast_precision_loss, reason = "versions in tests are small")]
            let all = shards.all(|(_, value)| value == version as f64);
            (all && metrics.series(SHARD_VERSION, &[]).count() == self.shards).then_some(())
        });
    }

    /// Waits until nothing is in work: no client connection, no exchange, no upstream connection outside of
    /// its pool, no buffer but the one that each pooled connection holds, and no throttle's tokens.
    pub fn assert_at_rest(&self) {
        until(
            "the gateway to be at rest: no connection, exchange, buffer, upstream connection or token in use",
            || {
                let metrics = self.metrics();
                let sum = |name| metrics.sum(name, &[]);
                let pooled = sum("turnpike_shard_upstream_connections_idle");
                let in_use = [
                    sum("turnpike_shard_connections_open"),
                    sum("turnpike_shard_exchanges_in_flight"),
                    sum("turnpike_shard_upstream_connections_open") - pooled,
                    sum("turnpike_shard_buffers_in_use"),
                    sum("turnpike_shard_limit_requests_waiting"),
                    sum("turnpike_shard_limit_leases"),
                ];
                (in_use == [0.0; 6]).then_some(())
            },
        );
    }

    /// Runs `turnpike-gateway upgrade` and waits for its end.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn ask_for_upgrade(&self, arguments: &[&str]) -> Output {
        let mut command = upgrade_command(&self.data_dir, arguments);
        command.output().expect("turnpike-gateway upgrade runs")
    }

    /// As [`ask_for_upgrade`](Self::ask_for_upgrade), in the background.
    ///
    /// # Panics
    /// When it doesn't start.
    #[must_use]
    pub fn begin_upgrade(&self, arguments: &[&str]) -> Child {
        let mut command = upgrade_command(&self.data_dir, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("turnpike-gateway upgrade runs")
    }

    /// Upgrades to the same binary. From then on this is the new process, and the one before drains (once a test: it
    /// is waited for by its log).
    ///
    /// # Panics
    /// When the upgrade is refused.
    pub fn upgrade(&mut self) -> u32 {
        let output = self.ask_for_upgrade(&[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}\n{}", self.process.log());
        let id = self.follow_successor();
        self.process.wait_for_log(DRAINS);
        id
    }

    /// Waits for a successor's ready line; its process.
    ///
    /// # Panics
    /// When none comes.
    pub fn follow_successor(&mut self) -> u32 {
        let line = self.process.line("turnpike-gateway ready ");
        let address = |name| field(&line, name).parse().unwrap_or_else(|_| panic!("{name} in '{line}'"));
        (self.address, self.admin) = (address("listen"), address("admin"));
        field(&line, "driver").clone_into(&mut self.driver);
        self.shards = field(&line, "shards").parse().expect("a count");
        let id = field(&line, "pid").parse().expect("a process");
        self.process.adopt(id);
        id
    }

    /// Of the process that was started.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The process, for signals and its log.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// What a gateway logs when it has handed over and accepts no more.
pub const DRAINS: &str = "another process accepts; draining";

/// Series with one sample a shard: the version that it serves.
const SHARD_VERSION: &str = "turnpike_shard_snapshot_version";

fn upgrade_command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("turnpike-gateway"));
    command.arg("upgrade").args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    command
}

fn launch(options: &Options) -> (Process, PathBuf, Option<TempDir>) {
    let temporary = options.data_dir.is_none().then(|| tempfile::tempdir().expect("a temporary directory"));
    let data_dir = match (&options.data_dir, &temporary) {
        (Some(path), _) => path.clone(),
        (None, Some(directory)) => directory.path().join("gateway"),
        (None, None) => unreachable!("one of both is set"),
    };
    let socket = options.publish_socket.clone().unwrap_or_else(|| data_dir.with_file_name("publish.sock"));
    let mut settings = vec![
        setting("listen", "127.0.0.1:0"),
        setting("tls_listen", "127.0.0.1:0"),
        setting("admin_listen", "127.0.0.1:0"),
        setting("data_dir", data_dir.display()),
        setting("publish_socket", socket.display()),
        setting("cores", cores(options.shards)),
        setting("exit_with_parent", true),
    ];
    settings.extend_from_slice(&options.settings);
    settings.retain(|(name, _)| !options.unset.contains(name));
    let program = options.program.clone().unwrap_or_else(|| binary("turnpike-gateway"));
    let mut words: Vec<PathBuf> = options.launcher.iter().map(PathBuf::from).collect();
    words.push(program);
    let program = words.remove(0);
    (Process::start(&program, words, &settings), data_dir, temporary)
}

/// A setting as an environment variable.
fn setting(name: &str, value: impl ToString) -> (String, String) {
    (format!("TURNPIKE_GATEWAY_{}", name.to_uppercase()), value.to_string())
}

/// A list of `count` cores that this process may use, another one each time, so that tests that run side by
/// side don't all share core 0.
fn cores(count: usize) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let allowed = allowed_cores();
    assert!(count <= allowed.len(), "{count} shards need as many cores; there are {}", allowed.len());
    let first = std::process::id() as usize + NEXT.fetch_add(count, Ordering::Relaxed);
    let chosen: Vec<String> = (0..count)
        .map(|offset| allowed[(first + offset) % allowed.len()])
        .map(|core| format!("{core}-{core}"))
        .collect();
    chosen.join(",")
}

fn allowed_cores() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let list =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list of cores");
    let number = |text: &str| text.parse::<usize>().expect("a core's number");
    let range = |item: &str| match item.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(item)..=number(item),
    };
    list.trim().split(',').flat_map(range).collect()
}

/// The value of `name=` in a ready line.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let value = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name}= in '{line}'"))
}
