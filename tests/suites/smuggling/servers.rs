//! The servers behind the gateway, and what each took for requests.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use turnpike_tests::{Process, until};

/// A server that tells which requests it has taken for whole ones.
pub(crate) trait Server {
    fn address(&self) -> SocketAddr;

    /// Method and target of each request so far, in order; waits for `last`.
    fn seen_up_to(&mut self, last: &str) -> Vec<String>;
}

/// Python's `http.server`: takes bare line feeds, signs, blanks and underscores in chunk sizes, and much else.
pub(crate) struct Lenient {
    process: Process,
    address: SocketAddr,
}

impl Lenient {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("origins/lenient.py");
        let mut process = Process::start(Path::new("python3"), [script], &[]);
        let line = process.line("origin ready address=");
        let address = line.trim_start_matches("origin ready address=").parse().expect("an address");
        Self { process, address }
    }
}

impl Server for Lenient {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn seen_up_to(&mut self, last: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.process.line("seen ");
            let request: serde_json::Value = serde_json::from_str(&line["seen ".len()..]).expect("JSON");
            let text = |name: &str| request[name].as_str().expect("text").to_owned();
            seen.push(format!("{} {}", text("method"), text("target")));
            if seen.last().is_some_and(|seen| seen == last) {
                return seen;
            }
        }
    }
}

/// Debian's nginx: a front that buffers each request whole, and a server behind it that logs what it is given.
pub(crate) struct Nginx {
    _process: Process,
    address: SocketAddr,
    log: PathBuf,
    _directory: TempDir,
}

impl Nginx {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = directory.path();
        let (front, back) = (free_address(), free_address());
        let config = home.join("nginx.conf");
        std::fs::write(&config, nginx_config(home, front, back)).expect("a file");
        let arguments =
            ["-p", &home.display().to_string(), "-c", &config.display().to_string(), "-e", "stderr"];
        // Debian keeps it where not every user's PATH looks.
        let installed = Path::new("/usr/sbin/nginx");
        let program = if installed.is_file() { installed } else { Path::new("nginx") };
        let process = Process::start_bound(program, arguments, &[]);
        until("nginx to listen", || TcpStream::connect(front).ok());
        Self { _process: process, address: front, log: home.join("access.log"), _directory: directory }
    }
}

impl Server for Nginx {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn seen_up_to(&mut self, last: &str) -> Vec<String> {
        until(&format!("{last} in nginx's log"), || {
            let log = std::fs::read_to_string(&self.log).ok()?;
            let seen: Vec<String> = log.lines().map(str::to_owned).collect();
            seen.last().is_some_and(|seen| seen == last).then_some(seen)
        })
    }
}

/// nginx can't choose a port itself. Other tests use other loopback addresses.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.78:0").expect("a port");
    listener.local_addr().expect("bound")
}

fn nginx_config(home: &Path, front: SocketAddr, back: SocketAddr) -> String {
    // Started as root, the worker would run as nobody and couldn't reach its directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let home = home.display();
    format!(
        "daemon off; master_process off; {user} pid {home}/pid; error_log stderr error;
        events {{}}
        http {{
            log_format request '$request_method $request_uri';
            access_log off;
            client_body_temp_path {home}/body;
            proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi;
            scgi_temp_path {home}/scgi;
            server {{
                listen {front};
                location / {{ proxy_pass http://{back}; }}
            }}
            server {{
                listen {back};
                access_log {home}/access.log request;
                location / {{ return 200 ok; }}
            }}
        }}"
    )
}
