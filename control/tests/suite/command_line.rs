//! The processes: ready lines, signals, the gateway that `up` keeps alive.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use turnpike_control::pki::self_signed;
use turnpike_control::time::now_s;
use turnpike_snapshot::frame::FromGateway;

use crate::support::gateway::Gateway;
use crate::support::process::{Control, KEY_ID, SECRET};

#[test]
fn serve_says_that_it_is_ready_and_stops_when_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let mut control = Control::start(&["serve"], &data_dir);
    let client = control.client();
    client.expect(200, "GET", "/v2/apis", "");
    let address = client.address.to_string();
    let status = Command::new(env!("CARGO_BIN_EXE_turnpike-control"))
        .args(["status", "--listen", &address, "--data-dir"])
        .arg(&data_dir)
        .env("TURNPIKE_ROOT_ACCESS_KEY_ID", KEY_ID)
        .env("TURNPIKE_ROOT_SECRET_ACCESS_KEY", SECRET)
        .output()
        .expect("status");
    assert_eq!(String::from_utf8_lossy(&status.stdout), "newest version 1\nno gateway is connected\n");
    // As after the lines that `up` prints.
    let by_variables = Command::new(env!("CARGO_BIN_EXE_turnpike-control"))
        .args(["status"])
        .current_dir(dir.path())
        .env_remove("TURNPIKE_CONTROL_DATA_DIR")
        .env_remove("TURNPIKE_CONTROL_LISTEN")
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .output()
        .expect("status");
    assert_eq!(by_variables.stdout, status.stdout, "{by_variables:?}");
    let keyless = Command::new(env!("CARGO_BIN_EXE_turnpike-control"))
        .args(["status", "--listen", &address, "--data-dir", "/nonexistent"])
        .env_remove("TURNPIKE_ROOT_ACCESS_KEY_ID")
        .env_remove("TURNPIKE_ROOT_SECRET_ACCESS_KEY")
        .output()
        .expect("status");
    let said = String::from_utf8_lossy(&keyless.stderr);
    for part in
        ["/nonexistent", "--data-dir", "TURNPIKE_ROOT_ACCESS_KEY_ID", "TURNPIKE_ROOT_SECRET_ACCESS_KEY"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    control.signal(Signal::HUP);
    client.expect(200, "GET", "/v2/apis", "");
    control.signal(Signal::TERM);
    assert!(control.wait().success());
    assert!(!data_dir.join("publish.sock").exists(), "the socket goes with the process");
}

#[test]
fn a_refused_version_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let mut control = Control::start(&["serve"], &data_dir);
    control.client();
    let mut gateway = Gateway::connect(&data_dir.join("publish.sock"), "g1");
    gateway.tell(&FromGateway::Refuse { version: 1, reason: "it is too large".to_owned() });
    assert_eq!(control.await_error("g1"), "publish: gateway g1 refused version 1: it is too large\n");
}

#[test]
fn a_data_directory_has_one_control() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let mut first = Control::start(&["serve"], &data_dir);
    first.client();
    let mut second = Control::start(&["serve"], &data_dir);
    second.await_error("another turnpike-control");
    assert_eq!(second.wait().code(), Some(1));
}

/// Something that behaves like a gateway towards `up`, and notes its process id and how it is stopped.
fn stand_in(dir: &Path) -> PathBuf {
    let path = dir.join("gateway");
    let notes = dir.join("notes");
    let script = format!(
        "#!/bin/sh\n\
         trap 'echo drained >> {notes}; exit 0' TERM\n\
         echo \"started $$ $*\" >> {notes}\n\
         echo 'turnpike-gateway ready listen=127.0.0.1:18080 admin=127.0.0.1:19901 shards=1 driver=epoll'\n\
         # In the background, since a shell runs traps between commands; 0 is what it was given.\n\
         cat <&3 > /dev/null & wait\n",
        notes = notes.display()
    );
    std::fs::write(&path, script.replace("#!/bin/sh\n", "#!/bin/sh\nexec 3<&0\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("executable");
    path
}

fn notes(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("notes")).expect("notes");
    text.lines().map(str::to_owned).collect()
}

fn started(note: &str) -> Pid {
    let pid =
        note.strip_prefix("started ").and_then(|rest| rest.split(' ').next()).and_then(|p| p.parse().ok());
    pid.and_then(Pid::from_raw).unwrap_or_else(|| panic!("no start: {note}"))
}

#[test]
fn up_introduces_itself_and_drains_its_gateway() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control =
        Control::start(&["up", "--gateway-bin", gateway, "--gateway-cores", "1"], &dir.path().join("data"));
    let client = control.client();
    assert!(control.line().starts_with("turnpike-gateway ready listen=127.0.0.1:18080 "));
    let mut said = String::new();
    while !said.contains("Ctrl-C") {
        said = format!("{said}{}\n", control.line());
    }
    for line in [
        format!("export AWS_ACCESS_KEY_ID={KEY_ID}"),
        format!("export AWS_SECRET_ACCESS_KEY={SECRET}"),
        "export AWS_DEFAULT_REGION=us-east-1".to_owned(),
        format!("export AWS_ENDPOINT_URL=http://{}", client.address),
        "aws apigatewayv2 create-api --name first --protocol-type HTTP --target http://127.0.0.1:3000"
            .to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line} in {said}");
    }
    assert!(said.contains("at the ApiEndpoint that this prints"), "as the AWS CLI writes it: {said}");
    let made = client.expect(201, "POST", "/v2/apis", r#"{"name":"a","protocolType":"HTTP"}"#);
    assert!(made.text("apiEndpoint").ends_with(":18080"), "{made:?}");
    let note = notes(dir.path()).remove(0);
    for part in ["--exit-with-parent", "--cores 1", "--listen 127.0.0.1:8080", "publish.sock"] {
        assert!(note.contains(part), "{part} in {note}");
    }
    control.signal(Signal::INT);
    assert!(control.wait().success());
    assert_eq!(notes(dir.path()).last().map(String::as_str), Some("drained"));
}

/// An hour, if it were waited for.
const AUTHORITY_TIMEOUT_MS: &str = "3600000";
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// One that is asked for a certificate and doesn't answer.
#[test]
fn a_stop_waits_for_no_authority() {
    let dir = tempfile::tempdir().expect("a directory");
    let ca_file = dir.path().join("ca.pem");
    let ca = self_signed("an authority", 0, now_s() + 86_400).expect("made");
    std::fs::write(&ca_file, ca.certificate_pem).expect("written");
    let authority = TcpListener::bind("127.0.0.1:0").expect("a port");
    let directory = format!("https://{}/dir", authority.local_addr().expect("an address"));
    let arguments =
        ["serve", "--acme-directory-url", &directory, "--acme-ca-file", ca_file.to_str().expect("UTF-8")];
    let patience = ["--acme-request-timeout-ms", AUTHORITY_TIMEOUT_MS];
    let mut control = Control::start(&[&arguments[..], &patience[..]].concat(), &dir.path().join("data"));
    let request = json!({"DomainName": "a.example.com", "ValidationMethod": "HTTP"});
    control.client().acm("RequestCertificate", &request);
    let _asked = authority.accept().expect("a connection");
    control.signal(Signal::TERM);
    let (stopped, has_stopped) = mpsc::channel::<()>();
    let pid = control.pid();
    let watch = std::thread::spawn(move || {
        if has_stopped.recv_timeout(STOPS_WITHIN) == Err(RecvTimeoutError::Timeout) {
            kill_process(pid, Signal::KILL).expect("it runs");
        }
    });
    let ended = control.wait();
    drop(stopped);
    watch.join().expect("no panic");
    assert!(ended.success(), "it was waited for: {ended}");
}

/// More than the pipes between them hold, so that a pipe that isn't read would hold the gateway up.
#[test]
fn up_passes_its_gateways_output_on() {
    const LINES: usize = 20_000;
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let script = std::fs::read_to_string(&gateway).expect("a script");
    let talkative =
        script.replace("driver=epoll'\n", &format!("driver=epoll'\nseq -f 'line %.0f' {LINES}\n"));
    std::fs::write(&gateway, talkative.replace("echo drained", "echo last words; echo drained"))
        .expect("written");
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control = Control::start(&["up", "--gateway-bin", gateway], &dir.path().join("data"));
    control.client();
    while !control.line().contains("Ctrl-C") {}
    for n in 1..=LINES {
        assert_eq!(control.line(), format!("line {n}"));
    }
    control.signal(Signal::TERM);
    assert_eq!(control.line(), "last words");
    assert!(control.wait().success());
    assert_eq!(control.line(), "");
}

#[test]
fn up_passes_hangups_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let script = std::fs::read_to_string(&gateway).expect("a script");
    let minds = "trap 'echo reopened' HUP\ntrap 'echo drained";
    let script = script.replace("trap 'echo drained", minds).replace("& wait\n", "& wait\nwait\n");
    std::fs::write(&gateway, script).expect("written");
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control = Control::start(&["up", "--gateway-bin", gateway], &dir.path().join("data"));
    let client = control.client();
    while !control.line().contains("Ctrl-C") {}
    control.signal(Signal::HUP);
    assert_eq!(control.line(), "reopened");
    client.expect(200, "GET", "/v2/apis", "");
    control.signal(Signal::TERM);
    assert!(control.wait().success());
    assert_eq!(notes(dir.path()).last().map(String::as_str), Some("drained"));
}

#[test]
fn nobody_has_to_read_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control = Control::start(&["up", "--gateway-bin", gateway], &dir.path().join("data"));
    control.client();
    while !control.line().contains("Ctrl-C") {}
    control.errors = None;
    control.signal(Signal::TERM);
    assert!(control.wait().success());
    assert_eq!(notes(dir.path()).last().map(String::as_str), Some("drained"));
}

#[test]
fn up_starts_its_gateway_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control = Control::start(&["up", "--gateway-bin", gateway], &dir.path().join("data"));
    let client = control.client();
    control.line();
    kill_process(started(&notes(dir.path())[0]), Signal::KILL).expect("it runs");
    control.await_error("the gateway is ready again");
    let second = notes(dir.path()).remove(1);
    assert!(second.contains("--listen 127.0.0.1:18080"), "where the first one was: {second}");
    client.expect(200, "GET", "/v2/apis", "");
}

#[test]
fn a_killed_up_leaves_no_gateway() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = stand_in(dir.path());
    let gateway = gateway.to_str().expect("UTF-8");
    let mut control = Control::start(&["up", "--gateway-bin", gateway], &dir.path().join("data"));
    control.client();
    control.line();
    control.signal(Signal::KILL);
    control.wait();
    // The gateway holds the other end as well: this ends when both have.
    let mut errors = control.errors.take().expect("not closed");
    errors.read_to_end(&mut Vec::new()).expect("readable");
}

#[test]
fn up_says_why_its_gateway_cannot_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = |bin: &str, expected: &str| {
        let mut control = Control::start(&["up", "--gateway-bin", bin], &dir.path().join("data"));
        control.await_error(expected);
        assert_eq!(control.wait().code(), Some(1));
    };
    run("/nonexistent/gateway", "--gateway-bin");
    run("/bin/false", "ended before it was ready: exit status: 1");
    run(
        "/bin/false",
        "is --gateway-listen (127.0.0.1:8080), --gateway-tls-listen (127.0.0.1:8443) and --gateway-admin-listen (127.0.0.1:9901) here",
    );
    run("/bin/echo", "where its ready line was expected");
}
