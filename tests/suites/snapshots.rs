//! A gateway's configuration: what is published is served, what is corrupt is refused with its reason, and
//! neither a lost publisher nor a restart stops the service.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use turnpike_snapshot::{Root, Unit, UnitHash, UnitRef, encode_root, encode_unit};
use turnpike_tests::{DataPlane, Gateway, Options, Origin, Publisher, account, http_api, request};

fn two_origins() -> (Origin, Origin) {
    let reply = |text: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    (Origin::replying(reply("one")), Origin::replying(reply("two")))
}

#[test]
fn is_not_ready_before_the_first_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(&Options::new().data_dir(&directory.path().join("gateway")));
    assert_eq!(gateway.admin("GET", "/healthz").status, 200);
    assert_eq!(gateway.admin("GET", "/readyz").status, 503);
    let reply = gateway.exchange(request("GET", "a1", "/"));
    assert!(reply.status >= 400, "{}", reply.status);
    gateway.assert_at_rest();
}

/// Gateways are upgraded before control: then the format before comes, and is on their disks.
#[test]
fn a_unit_of_the_format_before_is_served_and_served_again_after_a_restart() {
    const STAGE: &[u8] = include_bytes!("../../gateway/snapshot/fuzz/corpus/unit/good-format-3-2");
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("publish.sock");
    let options = Options::new().publish_socket(&socket).data_dir(&directory.path().join("gateway"));
    let mut publisher = Publisher::start(&socket);
    let mut gateway = Gateway::start(&options);
    let units = vec![encode_unit(&account(&[])).unwrap(), (turnpike_snapshot::hash(STAGE), STAGE.to_vec())];
    publisher.publish_encoded(1, units).unwrap();
    gateway.wait_for_version(1);
    let served = |gateway: &Gateway| {
        let reply = gateway.exchange(request("PUT", "a1b2c3d4e5", "/prod/pets"));
        assert_eq!((reply.status, reply.text()), (403, r#"{"message":"Missing Authentication Token"}"#));
    };
    served(&gateway);
    gateway.process().terminate();
    gateway.process().wait();
    drop(publisher);
    let gateway = Gateway::start(&options);
    gateway.wait_for_version(1);
    served(&gateway);
    gateway.assert_at_rest();
}

#[test]
fn a_new_version_serves_the_next_request_on_an_open_connection() {
    let (one, two) = two_origins();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &one.url("/"))]);
    assert_eq!(plane.gateway.admin("GET", "/readyz").status, 200);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).text(), "one");
    for round in 0..10 {
        let (origin, expected) = if round % 2 == 0 { (&two, "two") } else { (&one, "one") };
        plane.publish(&[http_api("a1").route("$default", &origin.url("/"))]);
        assert_eq!(client.exchange(request("GET", "a1", "/")).text(), expected);
    }
    plane.publish(&[]);
    assert!(matches!(client.exchange(request("GET", "a1", "/")).status, 403 | 404));
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_request_keeps_the_snapshot_that_it_began_with() {
    let (continue_body, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let one = Origin::scripted(move |connection, _| {
        while let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold").unwrap();
            wait.lock().unwrap().recv().unwrap();
            connection.send("old").unwrap();
        }
    });
    let (_, two) = two_origins();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &one.url("/"))]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    let head = client.head();
    plane.publish(&[http_api("a1").route("$default", &two.url("/"))]);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), "two", "new requests get the new version");
    continue_body.send(()).unwrap();
    let mut body = Vec::new();
    client.body_into(&head, |bytes| body.extend_from_slice(bytes)).unwrap();
    assert_eq!(body, b"oldold");
    assert_eq!(client.exchange(request("GET", "a1", "/")).text(), "two");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn no_request_fails_while_versions_change_under_load() {
    let (one, two) = two_origins();
    let stage = |origin: &Origin| http_api("a1").route("$default", &origin.url("/"));
    let mut plane = DataPlane::with(&Options::new().shards(2), &[stage(&one)]);
    let address = plane.gateway.address;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = turnpike_tests::Client::connect(address);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
                }
            });
        }
        for round in 0..30 {
            plane.publish(&[stage(if round % 2 == 0 { &two } else { &one })]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    plane.assert_at_rest();
}

#[test]
fn only_units_that_changed_are_asked_for() {
    let origin = Origin::echo();
    let stage = |api: &str, path: &str| http_api(api).route("GET /x", &origin.url(path));
    let stages: Vec<_> = (0..20).map(|number| stage(&format!("a{number}"), "/first")).collect();
    let mut plane = DataPlane::serving(&stages);
    let asked = plane.publisher.units_sent();
    assert_eq!(asked, 21, "the stages and the account");
    let mut changed = stages;
    changed[7] = stage("a7", "/second");
    plane.publish(&changed);
    assert_eq!(plane.publisher.units_sent(), asked + 1);
    assert_eq!(plane.exchange(request("GET", "a7", "/x")).echo().target, "/second");
    assert_eq!(plane.exchange(request("GET", "a8", "/x")).echo().target, "/first");
    plane.assert_at_rest();
}

/// Publishes something broken: it is refused with a reason, and what was served goes on.
fn assert_refused(break_it: impl FnOnce(&mut Publisher, u64) -> String, reason: &[&str]) {
    let (one, _) = two_origins();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &one.url("/"))]);
    let next = plane.version() + 1;
    let said = break_it(&mut plane.publisher, next).to_lowercase();
    assert!(reason.iter().any(|part| said.contains(part)), "the reason, '{said}', says none of {reason:?}");
    assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), "one");
    assert_eq!(plane.gateway.admin("GET", "/readyz").status, 200);
    // And the next good one is taken.
    plane.publish(&[http_api("b1").route("$default", &one.url("/"))]);
    assert_eq!(plane.exchange(request("GET", "b1", "/")).text(), "one");
    plane.assert_at_rest();
}

fn stage_unit(url: &str) -> Unit {
    http_api("a1").route("$default", url).unit()
}

#[test]
fn a_unit_with_flipped_bits_is_refused() {
    assert_refused(
        |publisher, version| {
            let (_, mut bytes) = encode_unit(&stage_unit("http://127.0.0.1:1/")).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            let unit = (turnpike_snapshot::hash(&bytes), bytes);
            publisher.publish_encoded(version, vec![encode_unit(&account(&[])).unwrap(), unit]).unwrap_err()
        },
        &["checksum", "damaged"],
    );
}

#[test]
fn a_unit_that_is_not_what_its_hash_says_is_refused() {
    assert_refused(
        |publisher, version| {
            let (_, bytes) = encode_unit(&stage_unit("http://127.0.0.1:1/")).unwrap();
            let (hash, _) = encode_unit(&stage_unit("http://127.0.0.1:2/")).unwrap();
            publisher
                .publish_encoded(version, vec![encode_unit(&account(&[])).unwrap(), (hash, bytes)])
                .unwrap_err()
        },
        &["content is that of"],
    );
}

#[test]
fn a_unit_that_is_cut_off_is_refused() {
    assert_refused(
        |publisher, version| {
            let (_, mut bytes) = encode_unit(&stage_unit("http://127.0.0.1:1/")).unwrap();
            bytes.truncate(bytes.len() - 9);
            let unit = (turnpike_snapshot::hash(&bytes), bytes);
            publisher.publish_encoded(version, vec![encode_unit(&account(&[])).unwrap(), unit]).unwrap_err()
        },
        &["cut off"],
    );
}

#[test]
fn a_unit_of_a_future_format_is_refused() {
    assert_refused(
        |publisher, version| {
            let (_, mut bytes) = encode_unit(&stage_unit("http://127.0.0.1:1/")).unwrap();
            bytes[8] = 99;
            let unit = (turnpike_snapshot::hash(&bytes), bytes);
            publisher.publish_encoded(version, vec![encode_unit(&account(&[])).unwrap(), unit]).unwrap_err()
        },
        &["version"],
    );
}

#[test]
fn foreign_bytes_are_refused() {
    assert_refused(
        |publisher, version| {
            let bytes = b"GIF89a, and not at all a unit of any snapshot".to_vec();
            let unit = (turnpike_snapshot::hash(&bytes), bytes);
            publisher.publish_encoded(version, vec![encode_unit(&account(&[])).unwrap(), unit]).unwrap_err()
        },
        &["no turnpike snapshot"],
    );
}

#[test]
fn a_root_without_an_account_is_refused() {
    assert_refused(
        |publisher, version| {
            let unit = encode_unit(&stage_unit("http://127.0.0.1:1/")).unwrap();
            publisher.publish_encoded(version, vec![unit]).unwrap_err()
        },
        &["account"],
    );
}

#[test]
fn a_route_to_no_integration_is_refused() {
    assert_refused(
        |publisher, version| {
            let Unit::Stage(mut stage) = stage_unit("http://127.0.0.1:1/") else { unreachable!("a stage") };
            stage.routes[0].integration = 7;
            let units = [account(&[]), Unit::Stage(stage)];
            publisher
                .publish_encoded(version, units.iter().map(|unit| encode_unit(unit).unwrap()).collect())
                .unwrap_err()
        },
        &["integration"],
    );
}

#[test]
fn a_unit_that_the_publisher_does_not_have_is_refused() {
    assert_refused(
        |publisher, version| {
            let (hash, bytes) = encode_unit(&account(&[])).unwrap();
            let missing = UnitRef { hash: UnitHash([7; 32]), bytes_len: 100 };
            let known = UnitRef { hash, bytes_len: u32::try_from(bytes.len()).unwrap() };
            let root = encode_root(&Root { version, units: vec![known, missing] }).unwrap();
            publisher.publish_root(version, root).unwrap_err()
        },
        &["unit"],
    );
}

#[test]
fn a_gateway_restarts_from_its_disk_alone() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().data_dir(&directory.path().join("gateway"));
    let (one, _) = two_origins();
    let mut plane = DataPlane::with(&options, &[http_api("a1").route("$default", &one.url("/"))]);
    let version = plane.version();
    plane.gateway.process().kill();
    plane.publisher.stop();
    drop(plane);
    for _ in 0..2 {
        let mut gateway = Gateway::start(&options);
        gateway.wait_for_version(version);
        assert_eq!(gateway.exchange(request("GET", "a1", "/")).text(), "one");
        assert_eq!(gateway.admin("GET", "/readyz").status, 200);
        gateway.assert_at_rest();
        gateway.process().kill();
    }
}

#[test]
fn what_a_full_disk_refused_is_kept_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("publish.sock");
    let options = Options::new().publish_socket(&socket).data_dir(&directory.path().join("gateway"));
    // More than a file may have here, as on a full disk.
    let mut gateway = Gateway::start(&options.clone().launcher(&["prlimit", "--fsize=100000:"]));
    let mut publisher = Publisher::start(&socket);
    let (one, _) = two_origins();
    let stage = (0..3_000)
        .fold(http_api("a1"), |stage, number| stage.route(&format!("GET /{number}"), &one.url("/")));
    publisher.publish(&[account(&[]), stage.unit()]);
    gateway.process().wait_for_log("isn't on disk, tried again until it is: can't write");
    assert_eq!(gateway.metrics().sum("turnpike_snapshot_unkept", &[]), 1.0);
    assert_eq!(gateway.exchange(request("GET", "a1", "/7")).text(), "one");
    publisher.stop();

    let pid = Pid::from_raw(gateway.process_id().cast_signed()).unwrap();
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    gateway.process().wait_for_log("version 1 is on disk: snapshots are kept again");
    assert_eq!(gateway.metrics().sum("turnpike_snapshot_unkept", &[]), 0.0);
    gateway.process().kill();
    let gateway = Gateway::start(&options);
    gateway.wait_for_version(1);
    assert_eq!(gateway.exchange(request("GET", "a1", "/7")).text(), "one");
    gateway.assert_at_rest();
}

#[test]
fn a_damaged_disk_is_named_and_mended_by_the_publisher() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("gateway");
    let options = Options::new().data_dir(&data_dir);
    let (one, _) = two_origins();
    let mut plane = DataPlane::with(&options, &[http_api("a1").route("$default", &one.url("/"))]);
    plane.gateway.process().kill();
    damage_every_file(&data_dir);
    plane.restart_gateway(&options);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), "one");
    assert!(!plane.gateway.process().log().is_empty(), "the damage is named");
    plane.assert_at_rest();
}

fn damage_every_file(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage_every_file(&path);
            continue;
        }
        // A socket has no bytes.
        if !path.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 0x55;
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn a_gateway_outlives_its_publisher_and_finds_the_next_one() {
    let (one, two) = two_origins();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &one.url("/"))]);
    let mut client = plane.connect();
    for round in 0..3 {
        plane.publisher.stop();
        assert_eq!(client.exchange(request("GET", "a1", "/")).status, 200);
        assert_eq!(plane.gateway.admin("GET", "/readyz").status, 200);
        plane.publisher.resume();
        let (origin, expected) = if round % 2 == 0 { (&two, "two") } else { (&one, "one") };
        plane.publish(&[http_api("a1").route("$default", &origin.url("/"))]);
        assert_eq!(client.exchange(request("GET", "a1", "/")).text(), expected);
    }
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_gateway_that_missed_versions_catches_up_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().data_dir(&directory.path().join("gateway"));
    let (one, two) = two_origins();
    let mut plane = DataPlane::with(&options, &[http_api("a1").route("$default", &one.url("/"))]);
    plane.gateway.process().kill();
    plane.publish_unheard(&[
        http_api("a1").route("$default", &one.url("/")),
        http_api("b1").route("$default", &one.url("/")),
    ]);
    plane.publish_unheard(&[http_api("a1").route("$default", &two.url("/"))]);
    plane.restart_gateway(&options);
    assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), "two");
    plane.assert_at_rest();
}

#[test]
fn a_publisher_that_vanishes_in_mid_unit_leaves_the_old_version() {
    let (one, two) = two_origins();
    let mut plane = DataPlane::serving(&[http_api("a1").route("$default", &one.url("/"))]);
    plane.publisher.cut_next_unit_short();
    plane.publish_unheard(&[http_api("a1").route("$default", &two.url("/"))]);
    plane.publisher.wait_for_cut();
    assert!(matches!(plane.exchange(request("GET", "a1", "/")).text(), "one" | "two"), "never half a change");
    // It connects again by itself, and gets the version whole.
    plane.gateway.wait_for_version(plane.version());
    assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), "two");
    plane.assert_at_rest();
}

#[test]
fn two_gateways_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().data_dir(&directory.path().join("gateway"));
    let gateway = Gateway::start(&options);
    let (status, log) = Gateway::start_in_vain(&options);
    assert!(!status.success());
    assert!(log.contains(&*gateway.data_dir.to_string_lossy()), "the directory is named: {log}");
    drop(gateway);
    // What a killed gateway leaves isn't taken for a running one.
    let _ = Gateway::start(&options);
}
