//! Another process takes over the listening sockets: no connection is refused and no request fails.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use turnpike_tests::{
    Client, DRAINS, DataPlane, Gateway, Options, Origin, Process, Publisher, StageBuilder, TlsClient, binary,
    client_config, host, http_api, python_script, request, until,
};

fn echoing(origin: &Origin) -> StageBuilder {
    http_api("a1").route("$default", &origin.url("{request.path}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Why an upgrade was refused.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("not upgraded: "), "{said}");
    said
}

#[test]
fn a_new_process_takes_over_and_the_old_one_ends() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new().shards(2), &[echoing(&origin)]);
    let (address, admin) = (plane.gateway.address, plane.gateway.admin);
    let mut waiting = plane.connect();
    assert_eq!(waiting.exchange(request("GET", "a1", "/before")).status, 200);

    let output = plane.gateway.ask_for_upgrade(&[]);
    assert!(output.status.success(), "{output:?}");
    let id = plane.gateway.follow_successor();
    assert!(text(&output.stdout).starts_with(&format!("turnpike-gateway upgraded process={id} listen=")));
    assert_eq!((plane.gateway.address, plane.gateway.admin, plane.gateway.shards), (address, admin, 2));
    assert_ne!(id, plane.gateway.process().id());

    plane.gateway.process().wait_for_log(DRAINS);
    // A connection that waited gets its next answer, with a close.
    let reply = waiting.exchange(request("GET", "a1", "/last"));
    assert_eq!((reply.echo().target.as_str(), reply.headers.one("connection")), ("/last", Some("close")));
    waiting.assert_closed();
    let status = plane.gateway.process().wait();
    assert!(status.success(), "{status}");

    // The new one serves, at the admin address too, and follows control.
    assert_eq!(plane.gateway.admin("GET", "/readyz").status, 200);
    assert_eq!(plane.exchange(request("GET", "a1", "/after")).echo().target, "/after");
    plane.publish(&[http_api("b1").route("$default", &origin.url("/"))]);
    assert_eq!(plane.exchange(request("GET", "b1", "/")).status, 200);
    plane.assert_at_rest();
    plane.gateway.process().signal_successor(Signal::TERM);
    plane.gateway.process().wait_for_successor();
}

/// What systemd is told, so that the unit follows the new process.
#[test]
fn the_service_manager_is_told_who_serves() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(turnpike_tests::DEADLINE)).unwrap();
    let told = || {
        let mut state = [0; 512];
        let length = socket.recv(&mut state).unwrap();
        text(&state[..length])
    };
    let options = Options::new().launcher(&["env", &format!("NOTIFY_SOCKET={}", path.display())]);
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let first = plane.gateway.process().id();
    assert_eq!(told(), format!("READY=1\nMAINPID={first}\nSTATUS=serving\n"));
    let second = plane.gateway.upgrade();
    assert_eq!(told(), format!("MAINPID={second}\nREADY=1\nSTATUS=serving, upgraded\n"));
    assert!(plane.gateway.process().wait().success());
    plane.gateway.process().signal_successor(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\nSTATUS=draining\n");
    plane.gateway.process().wait_for_successor();
}

#[test]
fn an_upgrade_needs_no_room_on_the_disk() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new(), &[echoing(&origin)]);
    let pid = Pid::from_raw(plane.gateway.process().id().cast_signed()).unwrap();
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    prlimit(Some(pid), Resource::Fsize, nothing).unwrap();
    plane.gateway.upgrade();
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    plane.assert_at_rest();
}

#[test]
fn a_request_in_flight_is_finished_by_the_old_process() {
    let (origin, release) = Origin::held();
    let mut plane = DataPlane::serving(&[echoing(&origin)]);
    let mut busy = plane.connect();
    busy.send(request("GET", "a1", "/held"));
    origin.wait_for_requests(1);
    plane.gateway.upgrade();
    assert_eq!(plane.exchange(request("GET", "a1", "/other")).status, 200);
    release.send(()).unwrap();
    let reply = busy.reply();
    assert_eq!((reply.echo().target.as_str(), reply.headers.one("connection")), ("/held", Some("close")));
    busy.assert_closed();
    assert!(plane.gateway.process().wait().success());
    plane.assert_at_rest();
}

#[test]
fn what_waits_for_longer_than_the_drain_is_closed() {
    let origin = Origin::echo();
    let options = Options::new().set("drain_timeout_ms", 200);
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let mut idle = plane.connect();
    assert_eq!(idle.exchange(request("GET", "a1", "/")).status, 200);
    plane.gateway.upgrade();
    idle.assert_closed();
    assert!(plane.gateway.process().wait().success());
    assert!(!plane.gateway.process().log().contains("still in flight"), "{}", plane.gateway.process().log());
    plane.assert_at_rest();
}

/// Connections of all kinds, without a pause between their requests, until told to stop.
struct Load<'a> {
    plane: &'a DataPlane,
    stop: &'a AtomicBool,
    served: &'a AtomicU64,
}

impl Load<'_> {
    fn keep_alive(&self) {
        let mut client = None;
        while !self.stop.load(Ordering::Relaxed) {
            let mut open = client.take().unwrap_or_else(|| Client::connect(self.plane.gateway.address));
            let reply = open.exchange(request("GET", "a1", "/"));
            assert_eq!(reply.status, 200);
            self.served.fetch_add(1, Ordering::Relaxed);
            if reply.headers.one("connection") != Some("close") {
                client = Some(open);
            }
        }
    }

    fn single(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut client = Client::connect(self.plane.gateway.address);
            assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn no_request_fails_while_processes_and_their_shards_change() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("settings.toml");
    let shards = |count: usize| std::fs::write(&settings, format!("cores = '{count}'\n")).unwrap();
    shards(3);
    let options = Options::new().set("config", settings.display()).unset("cores");
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    assert_eq!(plane.gateway.shards, 3);
    for count in [1, 4, 2] {
        shards(count);
        let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
        let load = Load { plane: &plane, stop: &stop, served: &served };
        let output = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| load.keep_alive());
                scope.spawn(|| load.single());
            }
            let wait_for = |more: u64| {
                let before = served.load(Ordering::Relaxed);
                until("requests", || (served.load(Ordering::Relaxed) >= before + more).then_some(()));
            };
            wait_for(200);
            let output = plane.gateway.ask_for_upgrade(&[]);
            wait_for(400);
            stop.store(true, Ordering::Relaxed);
            output
        });
        assert!(output.status.success(), "{output:?}");
        plane.gateway.follow_successor();
        assert_eq!(plane.gateway.shards, count);
        plane.assert_at_rest();
    }
}

/// The same at a fixed rate, about half of what a debug build can do, over many connections.
#[test]
fn no_request_of_the_load_generator_fails() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new().shards(2), &[echoing(&origin)]);
    let load = std::process::Command::new(binary("turnpike-loadgen"))
        .arg(format!("http://{}/", plane.gateway.address))
        .args(["--header", &format!("host: {}", host("a1"))])
        .args(["--rate", "1000", "--duration", "3s", "--connections", "32", "--threads", "1"])
        .args(["--expect-status", "200", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for round in 1..=3 {
        origin.wait_for_requests(round * 500);
        let output = plane.gateway.ask_for_upgrade(&[]);
        assert!(output.status.success(), "{output:?}");
        plane.gateway.follow_successor();
    }
    let output = load.wait_with_output().unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let failed: u64 =
        report["errors"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(failed, 0, "{report:#}");
    assert!(report["succeeded"].as_u64().unwrap() > 1_500, "{report:#}");
}

#[test]
fn access_logs_have_every_request_once_in_whole_lines() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let options = Options::new()
        .set("access_log", log.display())
        .set("access_log_format", "$context.httpMethod $context.path $context.status");
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let mut client = plane.connect();
    for number in 0..50 {
        assert_eq!(client.exchange(request("GET", "a1", &format!("/{number}"))).status, 200);
    }
    plane.gateway.upgrade();
    let mut newer = plane.connect();
    assert_eq!(newer.exchange(request("GET", "a1", "/50")).status, 200);
    assert_eq!(client.exchange(request("GET", "a1", "/51")).status, 200);
    drop((client, newer));
    assert!(plane.gateway.process().wait().success());
    let lines = until("52 lines", || {
        let lines: Vec<String> = std::fs::read_to_string(&log).ok()?.lines().map(str::to_owned).collect();
        (lines.len() >= 52).then_some(lines)
    });
    let mut wanted: Vec<String> = (0..52).map(|number| format!("GET /{number} 200")).collect();
    let mut lines = lines;
    wanted.sort();
    lines.sort();
    assert_eq!(lines, wanted);
}

/// A program that isn't a gateway.
fn script(directory: &Path, body: &str) -> PathBuf {
    let path = directory.join("script");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn assert_unharmed(plane: &mut DataPlane, open: &mut Client, stage: StageBuilder) {
    assert_eq!(open.exchange(request("GET", "a1", "/open")).headers.one("connection"), None);
    assert_eq!(plane.exchange(request("GET", "a1", "/new")).status, 200);
    assert_eq!(plane.gateway.admin("GET", "/readyz").status, 200);
    // Control is followed again.
    plane.publish(&[stage]);
}

#[test]
fn a_successor_that_crashes_at_start_changes_nothing() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new(), &[echoing(&origin)]);
    let mut open = plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    let directory = tempfile::tempdir().unwrap();
    for (body, reason) in [("exit 7", "exit status: 7"), ("kill -SEGV $$", "signal: 11")] {
        let program = script(directory.path(), body);
        let said = refusal(&plane.gateway.ask_for_upgrade(&["--binary", program.to_str().unwrap()]));
        assert!(said.contains("ended before it served") && said.contains(reason), "{said}");
    }
    let said = refusal(&plane.gateway.ask_for_upgrade(&["--binary", "/nowhere/turnpike-gateway"]));
    assert!(said.contains("/nowhere/turnpike-gateway can't be started"), "{said}");
    assert_unharmed(&mut plane, &mut open, echoing(&origin));
    // And a good one still can.
    plane.gateway.upgrade();
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
}

#[test]
fn a_successor_with_broken_settings_says_so() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("settings.toml");
    std::fs::write(&settings, "").unwrap();
    let options = Options::new().set("config", settings.display());
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let mut open = plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    std::fs::write(&settings, "idle_timeout_ms = 0\n").unwrap();
    let said = refusal(&plane.gateway.ask_for_upgrade(&[]));
    assert!(said.contains("the new process can't serve: idle_timeout_ms: 0 is outside"), "{said}");
    assert_unharmed(&mut plane, &mut open, echoing(&origin));
}

#[test]
fn a_successor_that_hangs_is_killed_in_time() {
    let origin = Origin::echo();
    let options = Options::new().set("upgrade_timeout_ms", 300);
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let mut open = plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    let directory = tempfile::tempdir().unwrap();
    let program = script(directory.path(), "exec sleep 1000");
    let said = refusal(&plane.gateway.ask_for_upgrade(&["--binary", program.to_str().unwrap()]));
    assert!(said.contains("wasn't ready within 300 ms (upgrade_timeout_ms) and is killed"), "{said}");
    assert_unharmed(&mut plane, &mut open, echoing(&origin));
}

#[test]
fn a_second_upgrade_is_refused_while_one_is_under_way() {
    let origin = Origin::echo();
    let options = Options::new().set("upgrade_timeout_ms", 1_000);
    let mut plane = DataPlane::with(&options, &[echoing(&origin)]);
    let mut open = plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    let directory = tempfile::tempdir().unwrap();
    let started = directory.path().join("started");
    let program = script(directory.path(), &format!("echo $$ > {}\nexec sleep 1000", started.display()));
    let first = plane.gateway.begin_upgrade(&["--binary", program.to_str().unwrap()]);
    let id = until("the first successor", || {
        std::fs::read_to_string(&started).ok().filter(|id| id.ends_with('\n'))
    });
    let said = refusal(&plane.gateway.ask_for_upgrade(&[]));
    assert!(said.contains(&format!("another upgrade to process {} is under way", id.trim())), "{said}");
    refusal(&first.wait_with_output().unwrap());
    assert_unharmed(&mut plane, &mut open, echoing(&origin));
}

/// A gateway whose successor takes up to two seconds to be ready: it waits for a name server that says nothing.
struct Slow {
    plane: DataPlane,
    origin: Origin,
    _silent: UdpSocket,
}

impl Slow {
    fn start() -> Self {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let options = Options::new().set("dns_servers", silent.local_addr().unwrap());
        let origin = Origin::echo();
        let named = http_api("named").route("$default", "http://silent.example:80/");
        let plane = DataPlane::with(&options, &[echoing(&origin), named]);
        until("readiness in spite of the name", || {
            (plane.gateway.admin("GET", "/readyz").status == 200).then_some(())
        });
        Self { plane, origin, _silent: silent }
    }

    /// The successor's process, once it has the sockets.
    fn begin(&mut self) -> (std::process::Child, u32) {
        let asking = self.plane.gateway.begin_upgrade(&[]);
        self.plane.gateway.process().wait_for_log("taking over from process");
        let own = self.plane.gateway.process().id();
        let children = format!("/proc/{own}/task/{own}/children");
        let id = until("the successor", || {
            std::fs::read_to_string(&children).unwrap().split_whitespace().next()?.parse().ok()
        });
        (asking, id)
    }
}

#[test]
fn the_old_process_goes_on_when_the_new_one_is_killed_in_the_middle() {
    let mut slow = Slow::start();
    let mut open = slow.plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    let (asking, id) = slow.begin();
    slow.plane.gateway.process().adopt(id);
    slow.plane.gateway.process().signal_successor(Signal::KILL);
    let said = refusal(&asking.wait_with_output().unwrap());
    assert!(said.contains("ended before it served") && said.contains("signal: 9"), "{said}");
    assert_unharmed(&mut slow.plane, &mut open, echoing(&slow.origin));
    drop(open);
    slow.plane.assert_at_rest();
}

#[test]
fn the_new_process_serves_when_the_old_one_is_killed_in_the_middle() {
    let mut slow = Slow::start();
    let (asking, id) = slow.begin();
    let process = slow.plane.gateway.process();
    process.signal_alone(Signal::KILL);
    process.adopt(id);
    process.wait();
    // Connections that come before the new one is ready wait in the queue.
    let mut early = slow.plane.connect();
    early.send(request("GET", "a1", "/early"));
    assert_eq!(slow.plane.gateway.follow_successor(), id);
    assert_eq!(early.reply().echo().target, "/early");
    drop(early);
    let said = refusal(&asking.wait_with_output().unwrap());
    assert!(said.contains("ended before it answered"), "{said}");
    slow.plane.publish(&[echoing(&slow.origin)]);
    slow.plane.assert_at_rest();
}

#[test]
fn the_new_process_serves_on_when_the_old_one_is_killed_while_it_drains() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new(), &[echoing(&origin)]);
    let mut open = plane.connect();
    assert_eq!(open.exchange(request("GET", "a1", "/")).status, 200);
    plane.gateway.upgrade();
    plane.gateway.process().signal_alone(Signal::KILL);
    open.assert_closed();
    plane.gateway.process().wait();
    assert_eq!(plane.exchange(request("GET", "a1", "/")).status, 200);
    plane.publish(&[echoing(&origin)]);
    plane.assert_at_rest();
}

#[test]
fn a_snapshot_that_could_not_be_kept_prevents_an_upgrade() {
    let origin = Origin::echo();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("publish.sock");
    let mut publisher = Publisher::start(&socket);
    let options = Options::new().publish_socket(&socket).launcher(&["prlimit", "--fsize=100000"]);
    let mut gateway = Gateway::start(&options);
    let account = || turnpike_tests::account(&[]);
    publisher.publish(&[account(), echoing(&origin).unit()]);
    // More than a file may have here, as on a full disk.
    let many = (0..3_000)
        .fold(echoing(&origin), |stage, number| stage.route(&format!("GET /{number}"), &origin.url("/")));
    publisher.publish(&[account(), many.unit()]);
    gateway.process().wait_for_log("isn't on disk");
    assert_eq!(gateway.metrics().sum("turnpike_snapshot_unkept", &[]), 1.0);
    let said = refusal(&gateway.ask_for_upgrade(&[]));
    assert!(said.contains("what is served isn't on disk") && said.contains("make room"), "{said}");
    assert_eq!(gateway.exchange(request("GET", "a1", "/1")).status, 200);
    // With a snapshot that fits, the upgrade succeeds.
    publisher.publish(&[account(), echoing(&origin).unit()]);
    assert_eq!(gateway.metrics().sum("turnpike_snapshot_unkept", &[]), 0.0);
    gateway.upgrade();
    assert_eq!(gateway.exchange(request("GET", "a1", "/1")).echo().target, "/1");
    gateway.assert_at_rest();
}

#[test]
fn without_a_gateway_the_command_says_where_it_looked() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new(), &[echoing(&origin)]);
    plane.gateway.process().kill();
    let said = refusal(&plane.gateway.ask_for_upgrade(&[]));
    assert!(said.contains("no gateway is reached at") && said.contains("upgrade.sock"), "{said}");
}

/// `turnpike-control up` follows an upgrade of its gateway: it is neither restarted nor left behind.
#[test]
fn up_follows_an_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let arguments = ["up", "--listen", "127.0.0.1:0", "--gateway-listen", "127.0.0.1:0"];
    let arguments = arguments.map(PathBuf::from).into_iter().chain([
        "--gateway-admin-listen".into(),
        "127.0.0.1:0".into(),
        "--gateway-cores".into(),
        "1".into(),
        "--data-dir".into(),
        data_dir.clone(),
    ]);
    // Not the default, which another test may have.
    let environment = [("TURNPIKE_GATEWAY_TLS_LISTEN".to_owned(), "127.0.0.1:0".to_owned())];
    let mut control = Process::start_bound(&binary("turnpike-control"), arguments, &environment);
    let first = control.line("turnpike-gateway ready ");
    control.line("It answers at the ApiEndpoint");
    let upgrade = || {
        let mut command = std::process::Command::new(binary("turnpike-gateway"));
        command.args(["upgrade", "--data-dir"]).arg(data_dir.join("gateway")).output().unwrap()
    };
    for _ in 0..2 {
        let output = upgrade();
        assert!(output.status.success(), "{output:?}");
        let line = control.line("turnpike-gateway ready ");
        let place = |line: &str| line.split(" shards=").next().map(str::to_owned);
        assert_eq!(place(&line), place(&first), "where the first one was");
        let process = line.split(' ').find_map(|word| word.strip_prefix("pid=")).unwrap();
        control.wait_for_log(&format!("the gateway was upgraded, and is process {process} now"));
    }
    assert!(!control.log().contains("again"), "{}", control.log());
    control.signal_alone(Signal::TERM);
    assert!(control.wait().success(), "{}", control.log());
    let status = upgrade();
    assert!(text(&status.stderr).contains("no gateway is reached"), "{status:?}");
}

#[test]
fn http2_clients_are_told_and_their_streams_finish() {
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            released.lock().unwrap().recv().unwrap();
            connection.echo(&seen).unwrap();
        }
    });
    let mut plane = DataPlane::serving(&[echoing(&origin)]);
    let (python, script) = python_script("hostile.py");
    let address = plane.gateway.address.to_string();
    let arguments = [script, address.into(), host("a1").into(), "drain".into()];
    let mut client = Process::start(&python, arguments, &[]);
    client.line("ready");
    origin.wait_for_requests(1);
    plane.gateway.upgrade();
    client.line("told");
    release.send(()).unwrap();
    let seen: serde_json::Value = serde_json::from_str(&client.line("{")).unwrap();
    assert_eq!((&seen["statuses"]["1"], &seen["goaway"]), (&200.into(), &"NO_ERROR".into()), "{seen}");
    assert!(plane.gateway.process().wait().success());
}

#[test]
fn https_is_handed_over_too() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&Options::new().shards(2), &[echoing(&origin)]);
    let address = plane.gateway.tls.expect("HTTPS is on");
    let authority = CertificateDer::from_pem_file(plane.gateway.data_dir.join("development-ca.pem")).unwrap();
    let config = client_config(&authority, None);
    let name = host("a1");
    let mut waiting = TlsClient::connect(address, &name, &config);
    assert_eq!(waiting.exchange(request("GET", "a1", "/before")).status, 200);
    plane.gateway.upgrade();
    let reply = waiting.exchange(request("GET", "a1", "/last"));
    assert_eq!((reply.status, reply.headers.one("connection")), (200, Some("close")));
    for _ in 0..8 {
        // The new process has certificates of the same development authority.
        let mut client = TlsClient::connect(address, &name, &config);
        assert_eq!(client.exchange(request("GET", "a1", "/after")).status, 200);
    }
    drop(waiting);
    assert!(plane.gateway.process().wait().success());
    plane.assert_at_rest();
}
