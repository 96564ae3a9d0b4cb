//! What is in scripts/deploy, tried: the seccomp profile and the units' filters are loaded and the processes run under
//! them; the units are checked by systemd's own analysis.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use turnpike_tests::{Client, DataPlane, Gateway, Options, Origin, Process, binary, http_api, request};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/deploy").join(file)
}

fn launcher_script() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/under_seccomp.py");
    script.display().to_string()
}

/// Words that run a command under the profile, without some of its calls.
fn under(profile: &Path, denied: &[&str]) -> Vec<String> {
    let mut words = vec!["python3".to_owned(), launcher_script(), profile.display().to_string()];
    words.extend(denied.iter().flat_map(|name| ["--deny".to_owned(), (*name).to_owned()]));
    words.push("--".to_owned());
    words
}

/// All that a gateway does in its life: serves, over HTTP/1.1 and with a name to resolve, writes logs, follows control,
/// reads its settings again, hands over, drains.
fn lives(words: &[String], driver: &str) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("settings.toml");
    std::fs::write(&settings, "").unwrap();
    let options = Options::new()
        .shards(2)
        .launcher(&words)
        .set("driver", "auto")
        .set("config", settings.display())
        .set("access_log", directory.path().join("access.log").display());
    let by_name = origin.url("/").replace("127.0.0.1", "localhost");
    let stages =
        [http_api("a1").route("$default", &origin.url("/")), http_api("b1").route("$default", &by_name)];
    let mut plane = DataPlane::with(&options, &stages);
    assert_eq!(plane.gateway.driver, driver);
    let exercise = |plane: &mut DataPlane| {
        for _ in 0..20 {
            assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
            assert_eq!(plane.exchange(request("GET", "b1", "/")).status, 200);
        }
        plane.publish(&stages);
    };
    exercise(&mut plane);
    std::fs::write(&settings, "idle_timeout_ms = 5000\n").unwrap();
    plane.gateway.process().signal_alone(Signal::HUP);
    plane.gateway.process().wait_for_log("settings changed: idle_timeout_ms");
    plane.gateway.upgrade();
    assert_eq!(plane.gateway.driver, driver);
    exercise(&mut plane);
    assert!(plane.gateway.process().wait().success());
    plane.gateway.process().signal_successor(Signal::TERM);
    plane.gateway.process().wait_for_successor();
    let lines = std::fs::read_to_string(directory.path().join("access.log")).unwrap();
    assert_eq!(lines.lines().count(), 80);
    plane.gateway.process().log()
}

fn own_driver() -> String {
    Gateway::start(&Options::new().set("driver", "auto")).driver
}

#[test]
fn the_seccomp_profile_allows_what_a_gateway_does() {
    let log = lives(&under(&deploy("seccomp-gateway.json"), &[]), &own_driver());
    assert!(!log.contains("sent with a copy"), "{log}");
}

#[test]
fn without_memory_files_in_the_profile_a_gateway_says_so() {
    let log = lives(&under(&deploy("seccomp-gateway.json"), &["memfd_create"]), &own_driver());
    assert!(
        log.contains("long cached responses are sent with a copy, which is slower: memfd_create: "),
        "{log}"
    );
}

#[test]
fn without_io_uring_in_the_profile_a_gateway_says_epoll() {
    let denied = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
    let log = lives(&under(&deploy("seccomp-gateway.json"), &denied), "epoll");
    assert!(log.contains("running on epoll, which is slower: io_uring is refused"), "{log}");
    assert!(log.contains("allow io_uring in the container's seccomp profile"), "{log}");
}

#[test]
fn the_seccomp_profile_denies_what_a_gateway_does_not_do() {
    let words = under(&deploy("seccomp-gateway.json"), &[]);
    let tries = "import os,sys\ntry:\n os.chroot('/')\nexcept OSError as e:\n sys.exit(e.errno)";
    let output = Command::new(&words[0]).args(&words[1..]).args(["python3", "-c", tries]).output().unwrap();
    assert_eq!(output.status.code(), Some(38), "{output:?}");
    let profile: Value =
        serde_json::from_slice(&std::fs::read(deploy("seccomp-gateway.json")).unwrap()).unwrap();
    let names: BTreeSet<&str> = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for never in
        ["ptrace", "mount", "bpf", "kexec_load", "init_module", "unshare", "setns", "keyctl", "userfaultfd"]
    {
        assert!(!names.contains(never), "{never}");
    }
}

/// The calls that a unit's SystemCallFilter= leaves, as systemd expands its sets.
fn filter_of(unit: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(deploy(unit)).unwrap();
    let mut calls = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (remove, names) = line.strip_prefix('~').map_or((false, line), |names| (true, names));
        for name in names.split(' ').flat_map(expand) {
            if remove {
                calls.remove(&name);
            } else {
                calls.insert(name);
            }
        }
    }
    calls
}

fn expand(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let output = Command::new("systemd-analyze").args(["syscall-filter", name]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter(|line| *line != name).flat_map(expand).collect()
}

/// A unit's filter as a profile.
fn profile_of(unit: &str, directory: &Path) -> PathBuf {
    // What systemd always allows, so that the service can be executed.
    let always = expand("@default").into_iter().chain(["execve".to_owned()]);
    let names: BTreeSet<String> = filter_of(unit).into_iter().chain(always).collect();
    let syscalls = json!([{"names": names, "action": "SCMP_ACT_ALLOW"}]);
    let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": syscalls});
    let path = directory.join("profile.json");
    std::fs::write(&path, profile.to_string()).unwrap();
    path
}

#[test]
fn the_gateways_unit_allows_what_a_gateway_does() {
    let directory = tempfile::tempdir().unwrap();
    lives(&under(&profile_of("turnpike-gateway.service", directory.path()), &[]), &own_driver());
}

#[test]
fn controls_unit_allows_what_control_does() {
    let directory = tempfile::tempdir().unwrap();
    let words = under(&profile_of("turnpike-control.service", directory.path()), &[]);
    let arguments = words[1..].iter().cloned().map(PathBuf::from).chain([
        binary("turnpike-control"),
        "serve".into(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        "--data-dir".into(),
        directory.path().join("data"),
    ]);
    let mut control = Process::start_bound(Path::new(&words[0]), arguments, &[]);
    let line = control.line("turnpike-control ready ");
    let api = line.split(' ').find_map(|word| word.strip_prefix("api=")).unwrap().parse().unwrap();
    let reply =
        Client::connect(api).exchange("GET /v2/apis HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(reply.status, 403, "{}", reply.text());
    control.terminate();
    assert!(control.wait().success());
}

const UNITS: [&str; 2] = ["turnpike-gateway.service", "turnpike-control.service"];

#[test]
fn systemd_understands_the_units() {
    let root = tempfile::tempdir().unwrap();
    let place = |path: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for unit in UNITS {
        std::fs::copy(deploy(unit), place(&format!("etc/systemd/system/{unit}"))).unwrap();
        let program = unit.trim_end_matches(".service");
        std::fs::copy(binary(program), place(&format!("usr/bin/{program}"))).unwrap();
    }
    for target in ["network-online", "sysinit", "basic", "shutdown", "multi-user"] {
        let text = "[Unit]\nDescription=stands in\n";
        std::fs::write(place(&format!("etc/systemd/system/{target}.target")), text).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--root"])
        .arg(root.path())
        .args(UNITS.map(|unit| root.path().join("etc/systemd/system").join(unit)))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_units_expose_little() {
    for unit in UNITS {
        // Tenths; systemd calls 2.0 'OK' and what most services have, 9.6, 'UNSAFE'.
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=18"])
            .arg(deploy(unit))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_dockerfile_builds_from_what_is_there_by_the_pinned_toolchain() {
    let top = deploy("../..");
    let ignore = std::fs::read_to_string(deploy("Dockerfile.dockerignore")).unwrap();
    for kept in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(top.join(kept).exists(), "{kept}");
    }
    // Every member of the workspace has to be there for cargo to read it.
    let manifest = std::fs::read_to_string(top.join("Cargo.toml")).unwrap();
    let members = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap().0;
    for member in members.split('"').filter(|part| part.starts_with(char::is_alphabetic)) {
        let folder = member.split('/').next().unwrap();
        assert!(ignore.lines().any(|line| line == format!("!{folder}")), "{folder} isn't copied");
    }
    let toolchain = std::fs::read_to_string(top.join("rust-toolchain.toml")).unwrap();
    let version = toolchain.split_once("channel = \"").unwrap().1.split_once('"').unwrap().0;
    let dockerfile = std::fs::read_to_string(deploy("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-bookworm AS build")), "not {version}");
    let position = |wanted: &str| dockerfile.lines().position(|line| line.starts_with(wanted));
    let user = position("USER 10001:10001").expect("a user without rights");
    assert!(user < position("CMD").expect("a command"));
}
