//! What the host allows: rings and their memory, and what `turnpike-gateway check` says of it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use turnpike_tests::{DataPlane, Gateway, Options, Origin, binary, http_api, request};

/// What this host says of rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rings {
    Denied,
    /// Linux 5.12 to 6.13: a ring's memory isn't held to RLIMIT_MEMLOCK.
    Uncounted,
    Counted,
}

impl Rings {
    fn probe() -> Self {
        if Gateway::start(&Options::new().set("driver", "auto")).driver == "epoll" {
            return Self::Denied;
        }
        let user = Unprivileged::new(0);
        if Gateway::start(&user.options()).driver == "epoll" { Self::Counted } else { Self::Uncounted }
    }
}

/// A gateway as a user of its own, whose locked memory nobody else uses: root isn't held to the limit.
struct Unprivileged {
    directory: TempDir,
    launcher: Vec<String>,
    /// No other process runs as this user.
    is_alone: bool,
}

impl Unprivileged {
    fn new(memlock_kib: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let limit = format!("--memlock={0}:{0}", memlock_kib * 1024);
        let mut launcher = vec!["prlimit".to_owned(), limit];
        let is_alone = rustix::process::geteuid().is_root();
        if is_alone {
            let user = next_user();
            let switch =
                ["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"];
            launcher.extend(switch.map(str::to_owned));
            std::os::unix::fs::chown(directory.path(), Some(user), Some(user)).unwrap();
        }
        Self { directory, launcher, is_alone }
    }

    /// Two shards, with their own copy of the binary: the build's may be where only its owner looks.
    fn options(&self) -> Options {
        let launcher: Vec<&str> = self.launcher.iter().map(String::as_str).collect();
        Options::new()
            .shards(2)
            .set("driver", "auto")
            .launcher(&launcher)
            .program(&readable_copy(self.directory.path()))
            .data_dir(&self.directory.path().join("gateway"))
    }
}

/// An id that no account and no other test has.
fn next_user() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    1_000_000 + std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed)
}

fn readable_copy(directory: &Path) -> PathBuf {
    let copy = directory.join("turnpike-gateway");
    std::fs::copy(binary("turnpike-gateway"), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// Enough for one shard's ring, and not for two.
const ONE_RING_KIB: u32 = 330;

#[test]
fn a_memlock_limit_for_some_rings_only_puts_all_shards_on_epoll() {
    let rings = Rings::probe();
    for (memlock_kib, refused) in [(0, ""), (ONE_RING_KIB, " on 1 of 2 shards")] {
        let user = Unprivileged::new(memlock_kib);
        let mut gateway = Gateway::start(&user.options());
        assert_eq!(gateway.driver == "io_uring", rings == Rings::Uncounted);
        assert_eq!(gateway.exchange(request("GET", "a1", "/")).status, 403);
        gateway.assert_at_rest();
        if rings != Rings::Uncounted {
            gateway.process().wait_for_log("io_uring is refused");
        }
        let log = gateway.process().log();
        let said: Vec<&str> = log.lines().filter(|line| line.contains("io_uring is refused")).collect();
        assert_eq!(said.len(), usize::from(rings != Rings::Uncounted), "{log}");
        // Where the host has no rings for anybody, that is the reason.
        if rings == Rings::Counted {
            let limit = format!("memlock limit of {memlock_kib} KiB");
            // Without a user of its own, others' rings count as well.
            let refused = if user.is_alone { refused } else { "" };
            let refused = format!("running on epoll, which is slower: io_uring is refused{refused}");
            for part in [refused.as_str(), &limit, "LimitMEMLOCK=", "--cores"] {
                assert!(said[0].contains(part), "no '{part}' in {}", said[0]);
            }
        }
    }
}

#[test]
fn a_memlock_limit_for_some_rings_only_is_an_error_where_io_uring_is_required() {
    let rings = Rings::probe();
    let user = Unprivileged::new(ONE_RING_KIB);
    let options = user.options().set("require_io_uring", true);
    if rings == Rings::Uncounted {
        assert_eq!(Gateway::start(&options).driver, "io_uring");
        return;
    }
    let (status, log) = Gateway::start_in_vain(&options);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("io_uring is refused"), "{log}");
    assert!(rings == Rings::Denied || log.contains("LimitMEMLOCK="), "{log}");
}

/// What `turnpike-gateway check` says with these settings: whether it succeeded, and each finding's verdict.
fn check(settings: &[(&str, &str)]) -> (bool, serde_json::Value) {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("gateway");
    let mut command = std::process::Command::new(binary("turnpike-gateway"));
    command.args(["check", "--output", "json", "--cores", "1", "--listen", "127.0.0.1:0"]);
    command
        .args(["--admin-listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
        .env("TURNPIKE_GATEWAY_CONNECTIONS_MAX", "100")
        .arg("--data-dir")
        .arg(data_dir);
    let variables =
        settings.iter().map(|(name, value)| (format!("TURNPIKE_GATEWAY_{}", name.to_uppercase()), value));
    let output = command.envs(variables).output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    (output.status.success(), said.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

fn finding<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let found = report["checks"].as_array().unwrap().iter().find(|finding| finding["name"] == name);
    found.unwrap_or_else(|| panic!("nothing about {name} in {report:#}"))
}

#[test]
fn check_says_what_the_start_will_run_on() {
    let (succeeded, report) = check(&[("driver", "auto")]);
    assert!(succeeded, "{report:#}");
    for name in [
        "kernel",
        "cores",
        "descriptors",
        "backlog",
        "SO_REUSEPORT",
        "listen",
        "admin_listen",
        "data_dir",
        "time",
    ] {
        assert_ne!(finding(&report, name)["verdict"], "error", "{report:#}");
    }
    let rings = if Rings::probe() == Rings::Denied { "warning" } else { "ok" };
    assert_eq!(finding(&report, "io_uring")["verdict"], rings, "{report:#}");
    assert_eq!(finding(&check(&[("driver", "epoll")]).1, "io_uring")["verdict"], "ok");
}

#[test]
fn check_fails_where_the_settings_cannot_work() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let (succeeded, report) = check(&[("connections_max", "4194304"), ("driver", "epoll")]);
    let descriptors = finding(&report, "descriptors");
    if allowed.is_some_and(|allowed| allowed <= 4_194_304) {
        assert!(!succeeded && descriptors["verdict"] == "error", "{report:#}");
        assert!(descriptors["mend"].as_str().unwrap().contains("LimitNOFILE="), "{report:#}");
    } else {
        assert_ne!(descriptors["verdict"], "error");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.toml");
    std::fs::write(&file, format!("admin_listen = '{}'", taken.local_addr().unwrap())).unwrap();
    let output = std::process::Command::new(binary("turnpike-gateway"))
        .args(["check", "--listen", "127.0.0.1:0", "--config"])
        .args([&file])
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    let line = table.lines().find(|line| line.starts_with("admin_listen")).unwrap();
    assert!(line.contains("error") && line.contains("in use"), "{table}");
    assert!(table.contains("-> stop what has it"), "{table}");
}

#[test]
fn check_names_the_memlock_limit() {
    let rings = Rings::probe();
    let user = Unprivileged::new(ONE_RING_KIB);
    let words: Vec<&str> = user.launcher.iter().map(String::as_str).collect();
    let said = |required: &str| {
        let output = std::process::Command::new(words[0])
            .args(&words[1..])
            .arg(readable_copy(user.directory.path()))
            .args([
                "check",
                "--cores",
                "2",
                "--listen",
                "127.0.0.1:0",
                "--tls-listen=",
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .args(["--driver", "auto", "--connections-max", "10", &format!("--require-io-uring={required}")])
            .arg("--data-dir")
            .arg(user.directory.path().join("gateway"))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, table) = said("false");
    assert_eq!(status, Some(0), "{table}");
    if rings == Rings::Counted && user.is_alone {
        assert!(table.contains("memory for 1 of 2 rings") && table.contains("LimitMEMLOCK="), "{table}");
    }
    let (status, table) = said("true");
    assert_eq!(status, Some(i32::from(rings != Rings::Uncounted)), "{table}");
}

#[test]
fn the_soft_limit_on_open_files_is_raised_to_the_hard_one() {
    let options = Options::new().launcher(&["prlimit", "--nofile=64:1000"]).set("connections_max", 10_000);
    let mut gateway = Gateway::start(&options);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.process().id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1000"), "{line}");
    gateway.process().wait_for_log("may have 1000 files open, and connections_max may need");
}

#[test]
fn a_gateway_without_descriptors_says_so_and_serves_on_when_there_are_some() {
    let origin = Origin::echo();
    let options = Options::new().launcher(&["prlimit", "--nofile=64"]).set("cores", "1");
    let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
    let mut plane = DataPlane::with(&options, &[stage]);
    let crowd: Vec<_> = (0..100).map(|_| plane.connect()).collect();
    plane.gateway.process().wait_for_log("can't accept, trying again: Too many open files");
    drop(crowd);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    plane.assert_at_rest();
}

/// How many KiB of the gateway's code lie on huge pages.
fn code_kib_on_huge_pages(gateway: &mut Gateway) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{}/smaps", gateway.process().id())).unwrap();
    let Some(code) = maps.split_once("turnpike-code").map(|(_, behind)| behind) else { return 0 };
    let line = code.lines().find(|line| line.starts_with("ShmemPmdMapped:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn code_lies_on_huge_pages_or_the_gateway_says_why_not() {
    const WHY: &str = "machine code stays on small pages, which is slower: ";
    let mut gateway = Gateway::start(&Options::new());
    let kib = code_kib_on_huge_pages(&mut gateway);
    let log = gateway.process().log();
    assert_eq!(kib == 0, log.contains(WHY), "{kib} KiB, and the log has: {log}");
    assert_eq!(gateway.admin("GET", "/healthz").status, 200);

    let mut gateway = Gateway::start(&Options::new().set("huge_pages", false));
    assert_eq!(code_kib_on_huge_pages(&mut gateway), 0);
    assert!(!gateway.process().log().contains(WHY));
}
