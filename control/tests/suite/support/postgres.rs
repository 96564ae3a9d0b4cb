//! A PostgreSQL of the tests' own, from Debian's package: a temporary cluster behind a Unix socket. A keeper, which
//! reads from a pipe that ends when the test program does, however that happens, stops the server and takes the
//! cluster away.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const PACKAGES: &str = "/usr/lib/postgresql";
const USER: &str = "turnpike";

/// Answers each line that it reads with a line, and ends at the pipe's end. Nothing is synced: what the host loses is
/// no matter here, and what the server loses when it is killed is in the system's memory.
const KEEPER: &str = r#"
set -u
dir=$1 bin=$2 user=$3 addresses=$4 port=$5
start() {
    "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" \
        -o "-k $dir -p $port -c listen_addresses='$addresses' -c fsync=off -c max_connections=200" start \
        >>"$dir/log" 2>&1
}
stop() { "$bin/pg_ctl" -D "$dir/data" -w -t 60 -m immediate stop >>"$dir/log" 2>&1; }
cd "$dir"
"$bin/initdb" -D "$dir/data" -U "$user" -A trust -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en \
    --no-sync >"$dir/log" 2>&1 && start && echo ready || { cat "$dir/log" >&2; echo failed; }
while read -r command; do
    case $command in
    stop) stop && echo done || echo failed ;;
    start) start && echo done || { cat "$dir/log" >&2; echo failed; } ;;
    esac
done
stop
rm -rf "$dir"
"#;

/// A running server.
pub(crate) struct Server {
    dir: PathBuf,
    bin: PathBuf,
    keeper: Child,
    /// Whose end ends the server.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    databases: AtomicUsize,
    port: u16,
}

/// Of the socket's name; no TCP port unless it is asked for.
const PORT: u16 = 5432;

impl Server {
    /// Behind a Unix socket alone.
    pub(crate) fn start() -> Self {
        Self::start_at("", PORT)
    }

    /// On a loopback port as well, which has just been found to be free.
    pub(crate) fn start_on_tcp() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        Self::start_at("127.0.0.1", free.expect("a port").port())
    }

    fn start_at(addresses: &str, port: u16) -> Self {
        let bin = binaries();
        let dir = tempfile::Builder::new().prefix("turnpike-pg-").tempdir().expect("a directory").keep();
        let mut command = unprivileged(&dir);
        command.args(["sh", "-c", KEEPER, "keeper"]).arg(&dir).arg(&bin).args([
            USER,
            addresses,
            &port.to_string(),
        ]);
        // A signal that the terminal sends to the tests isn't for the keeper.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut keeper = command.spawn().expect("setpriv and sh");
        let commands = keeper.stdin.take();
        let answers = BufReader::new(keeper.stdout.take().expect("piped"));
        let mut server = Self { dir, bin, keeper, commands, answers, databases: AtomicUsize::new(0), port };
        assert_eq!(server.answer(), "ready", "PostgreSQL doesn't start");
        server
    }

    /// The URL of a new database.
    pub(crate) fn database(&self) -> String {
        let name = format!("d{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("createdb", &[&name]);
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        self.url_by(&self.dir, database)
    }

    /// As [`Self::url`], by way of a directory with another socket of the same name.
    pub(crate) fn url_by(&self, dir: &Path, database: &str) -> String {
        format!("postgres://{USER}@/{database}?host={}&port={}", dir.display(), self.port)
    }

    /// Of a server that listens on TCP.
    pub(crate) fn tcp_url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// A file that the server can read, and nobody else.
    pub(crate) fn give_file(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
        let path = self.dir.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("made private");
        let owner = std::fs::metadata(&self.dir).expect("there");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("given away");
        path
    }

    /// What a statement prints.
    pub(crate) fn sql(&self, url: &str, sql: &str) -> String {
        self.run("psql", &["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
    }

    /// Ends the server as a crash would.
    pub(crate) fn stop(&mut self) {
        self.tell("stop");
    }

    pub(crate) fn start_again(&mut self) {
        self.tell("start");
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(self.bin.join(program));
        command.env("PGHOST", &self.dir).env("PGUSER", USER).env("PGPORT", self.port.to_string());
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().expect(program);
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.commands.as_mut().expect("until it is dropped"), "{command}")
            .expect("the keeper reads");
        assert_eq!(self.answer(), "done", "{command}");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("readable");
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It fails only when the keeper is gone.
        let _ = self.keeper.wait();
    }
}

/// The server that a test program's tests share; it ends with the program.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

/// Of the newest version that is installed.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir(PACKAGES).into_iter().flatten().flatten();
    let version = |path: &Path| -> u32 {
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap_or(0)
    };
    let newest = versions.map(|entry| entry.path()).max_by_key(|path| version(path));
    let newest = newest.unwrap_or_else(|| panic!("no {PACKAGES}: scripts/test installs Debian's postgresql"));
    newest.join("bin")
}

/// PostgreSQL refuses to run as root; then it runs as Debian's user for it, and the directory is that user's.
fn unprivileged(dir: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        let mut command = Command::new("env");
        command.arg("--");
        return command;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("readable");
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("the package's user");
    let mut ids = user.split(':').skip(2).map(|id| id.parse::<u32>().expect("a number"));
    let (user, group) = (ids.next().expect("a user"), ids.next().expect("a group"));
    chown(dir, Some(user), Some(group)).expect("given away");
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
    command
}
