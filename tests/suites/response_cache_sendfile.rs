//! Long cached bodies: they lie in a memory file of the shard's and are sent from there without a copy. Whatever
//! happens to an entry meanwhile, who began to get it gets all of it, and nothing stays behind.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use turnpike_snapshot::Freshness;
use turnpike_tests::{
    Client, Curl, DataPlane, Gateway, Options, Origin, StageBuilder, TlsClient, client_config, host,
    http_api, request, until,
};

const LONG: usize = 1_000_000;
/// More than a socket's buffers hold.
const HUGE: usize = 12_000_000;

/// A body that no other has a part of.
fn body(seed: &str, bytes: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(7_u64, |state, byte| state * 131 + u64::from(byte));
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'a' + ((state >> 33) % 26) as u8
    };
    (0..bytes).map(|_| letter()).collect()
}

/// `/NAME/BYTES`, and what else; in chunks where the name begins with `c`.
fn sized() -> Origin {
    Origin::scripted(|connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let parts: Vec<&str> = seen.target[1..].split('/').collect();
            let body = body(parts[0], parts[1].parse().unwrap());
            let kept = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"e\"\r\n";
            if !parts[0].starts_with('c') {
                connection.send(format!("{kept}Content-Length: {}\r\n\r\n", body.len())).unwrap();
                connection.send(&body).unwrap();
                continue;
            }
            connection.send(format!("{kept}Transfer-Encoding: chunked\r\n\r\n")).unwrap();
            for chunk in body.chunks(9_000) {
                connection.send(format!("{:x}\r\n", chunk.len())).unwrap();
                connection.send(chunk).unwrap();
                connection.send("\r\n").unwrap();
            }
            connection.send("0\r\n\r\n").unwrap();
        }
    })
}

fn cached(origin: &Origin, generation: u64) -> StageBuilder {
    http_api("a1").route("$default", &origin.url("{request.path}")).cached(300, &[]).cache_with(|cache| {
        (cache.generation, cache.flushed_before) = (generation, generation);
    })
}

fn target(name: &str, bytes: usize) -> String {
    format!("/{name}/{bytes}")
}

fn get(plane: &DataPlane, name: &str, bytes: usize) -> Vec<u8> {
    plane.exchange(request("GET", "a1", &target(name, bytes))).body
}

/// The shards' memory files: what they take in memory.
fn file_bytes(gateway: &Gateway) -> u64 {
    let directory = format!("/proc/{}/fd", gateway.process_id());
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:turnpike"))
    };
    files.filter(is_ours).map(|path| std::fs::metadata(path).unwrap().blocks() * 512).sum()
}

fn huge() -> Options {
    Options::new().set("cache_response_bytes_max", 16_000_000)
}

/// Clients that have asked for a huge body and got the first bytes of it; their sockets take no more for now.
fn half_served(plane: &DataPlane, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| plane.connect_with_receive_bytes(4_096)).collect();
    for client in &mut clients {
        client.send(request("GET", "a1", &target("old", HUGE)));
        assert!(client.readable_within(Duration::from_secs(20)));
    }
    let metrics = plane.gateway.metrics();
    assert_eq!(metrics.sum("turnpike_shard_exchanges_in_flight", &[]), count as f64);
    clients
}

#[test]
fn long_bodies_are_the_same_by_every_way() {
    let origin = sized();
    let stage = http_api("a1").route("ANY /{proxy+}", &origin.url("{request.path}"));
    let stage = stage.cached(300, &[]).cache_with(|cache| cache.freshness = Freshness::Origin);
    let plane = DataPlane::serving(&[stage]);
    let authority = CertificateDer::from_pem_file(plane.gateway.data_dir.join("development-ca.pem")).unwrap();
    let trusted = client_config(&authority, None);
    for (name, bytes) in
        [("a", 32_767), ("b", 32_768), ("c", 32_768), ("d", 100 << 10), ("e", LONG), ("cf", LONG)]
    {
        let (whole, target, seen) = (body(name, bytes), target(name, bytes), origin.seen().len());
        assert!(get(&plane, name, bytes) == whole, "{target}, from the origin");
        let mut kept = plane.connect();
        for _ in 0..3 {
            assert!(kept.exchange(request("GET", "a1", &target)).body == whole, "{target}");
        }
        kept.send(request("HEAD", "a1", &target));
        assert_eq!(kept.reply_to_head().headers.all("content-length"), [bytes.to_string()]);
        for (first, last) in [(0, 0), (4_095, 4_096), (5_000, 32_000), (1, bytes - 1)] {
            let range = format!("Range: bytes={first}-{last}\r\n");
            let part = kept.exchange(format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{range}\r\n", host("a1")));
            assert!(part.status == 206 && part.body == whole[first..=last], "{target} {range}");
        }
        // Several ahead of the answers.
        kept.send(request("GET", "a1", &target).repeat(3));
        for _ in 0..3 {
            assert!(kept.reply().body == whole, "{target}, pipelined");
        }
        let old = plane.exchange(format!("GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", host("a1")));
        assert!(old.body == whole, "{target}, HTTP/1.0");
        assert!(
            Curl::http2(plane.gateway.address, &host("a1"), &target).reply().body == whole,
            "{target}, HTTP/2"
        );
        let mut secured = TlsClient::connect(plane.gateway.tls.unwrap(), &host("a1"), &trusted);
        for _ in 0..2 {
            assert!(secured.exchange(request("GET", "a1", &target)).body == whole, "{target}, TLS");
        }
        // One for each scheme.
        assert_eq!(origin.seen().len(), seen + 2, "{target}");
    }
    assert!(file_bytes(&plane.gateway) > 2 * LONG as u64);
    plane.assert_at_rest();
}

#[test]
fn who_reads_slowly_gets_the_body_that_was_there_whatever_becomes_of_the_entry() {
    let origin = sized();
    let mut plane = DataPlane::with(&huge(), &[cached(&origin, 1)]);
    let old = body("old", HUGE);
    assert!(get(&plane, "old", HUGE) == old);
    let mut clients = half_served(&plane, 3);
    // Flushed, and others come to lie where it lay once nobody refers to it.
    plane.publish(&[cached(&origin, 2)]);
    until("its place to be swept", || {
        (plane.gateway.metrics().sum("turnpike_shard_cache_responses", &[]) == 0.0).then_some(())
    });
    for mut client in clients.drain(..) {
        for name in ["new", "cnew"] {
            assert!(get(&plane, name, LONG) == body(name, LONG));
            assert!(get(&plane, name, LONG) == body(name, LONG));
        }
        assert!(client.reply().body == old);
    }
    plane.assert_at_rest();
    until("its memory to be given back", || {
        (file_bytes(&plane.gateway) < 2 * LONG as u64 + 8_192).then_some(())
    });
}

#[test]
fn an_entry_that_is_driven_out_while_it_is_sent_is_sent_whole() {
    let origin = sized();
    let plane = DataPlane::with(&huge().set("cache_bytes_max", HUGE * 2), &[cached(&origin, 1)]);
    let old = body("old", HUGE);
    assert!(get(&plane, "old", HUGE) == old);
    let mut client = half_served(&plane, 1).remove(0);
    for round in 0..30 {
        let name = format!("{round}");
        assert!(get(&plane, &name, 2 * LONG) == body(&name, 2 * LONG));
        let metrics = plane.gateway.metrics();
        assert!(metrics.sum("turnpike_shard_cache_bytes", &[]) <= (HUGE * 2) as f64);
    }
    assert!(client.reply().body == old);
    drop(client);
    plane.assert_at_rest();
    assert!(file_bytes(&plane.gateway) <= (HUGE * 2) as u64);
}

#[test]
fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    let origin = sized();
    let mut plane = DataPlane::with(&huge(), &[cached(&origin, 1)]);
    assert!(get(&plane, "old", HUGE) == body("old", HUGE));
    let kept_bytes = file_bytes(&plane.gateway);
    assert_eq!(kept_bytes, (HUGE as u64).next_multiple_of(4_096));
    for client in half_served(&plane, 10) {
        client.reset();
    }
    drop(half_served(&plane, 10));
    plane.assert_at_rest();
    assert_eq!(file_bytes(&plane.gateway), kept_bytes);
    plane.publish(&[cached(&origin, 2)]);
    until("the memory to be given back", || (file_bytes(&plane.gateway) == 0).then_some(()));
    assert!(get(&plane, "old", HUGE) == body("old", HUGE));
}

#[test]
fn a_client_that_has_ended_its_side_gets_its_answer() {
    let origin = sized();
    let plane = DataPlane::with(&huge(), &[cached(&origin, 1)]);
    assert!(get(&plane, "old", HUGE) == body("old", HUGE));
    let mut client = half_served(&plane, 1).remove(0);
    client.half_close();
    assert!(client.reply().body == body("old", HUGE));
    client.assert_closed();
    plane.assert_at_rest();
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let origin = sized();
    let plane = DataPlane::with(&huge().set("write_timeout_ms", 500), &[cached(&origin, 1)]);
    assert!(get(&plane, "old", HUGE) == body("old", HUGE));
    let mut client = half_served(&plane, 1).remove(0);
    until("the client to be given up", || {
        let metrics = plane.gateway.metrics();
        (metrics.sum("turnpike_shard_refusals_total", &["kind=\"write_timeout\""]) > 0.0).then_some(())
    });
    assert!(client.try_reply(false).is_err());
    plane.assert_at_rest();
}

#[test]
fn what_is_cut_off_while_it_comes_leaves_no_memory() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n")).unwrap();
            connection.send(body("x", LONG / 2)).unwrap();
        }
    });
    let plane = DataPlane::serving(&[cached(&origin, 1)]);
    for _ in 0..3 {
        let mut client = plane.connect();
        client.send(request("GET", "a1", &target("x", LONG)));
        assert!(client.try_reply(false).is_err());
    }
    plane.assert_at_rest();
    assert_eq!(file_bytes(&plane.gateway), 0);
}

#[test]
fn a_body_that_finds_no_place_in_the_file_is_kept_all_the_same() {
    let origin = sized();
    // The file has room for four times the bound: less than what two of unknown length may grow to.
    let options = Options::new().set("cache_bytes_max", 2_000_000).set("cache_response_bytes_max", 8_000_000);
    let plane = DataPlane::with(&options, &[cached(&origin, 1)]);
    assert!(get(&plane, "a", LONG / 5) == body("a", LONG / 5));
    for _ in 0..2 {
        assert!(get(&plane, "c", LONG / 5) == body("c", LONG / 5));
    }
    assert_eq!(origin.seen().len(), 2);
    assert_eq!(file_bytes(&plane.gateway), (LONG as u64 / 5).next_multiple_of(4_096));
    plane.assert_at_rest();
}

#[test]
fn a_body_that_turns_out_to_be_too_long_passes_without_a_word() {
    let origin = sized();
    let options = Options::new().set("cache_response_bytes_max", 300_000);
    let mut plane = DataPlane::with(&options, &[cached(&origin, 1)]);
    for _ in 0..3 {
        assert!(get(&plane, "c", LONG) == body("c", LONG));
    }
    assert_eq!((origin.seen().len(), file_bytes(&plane.gateway)), (3, 0));
    let log = plane.gateway.process().log();
    assert!(!log.contains("no memory"), "{log}");
    plane.assert_at_rest();
}

#[test]
fn the_size_is_settable_and_zero_turns_it_off() {
    for (setting, in_file) in [("0", 0), ("2000000", 0), ("1000", 4_096)] {
        let origin = sized();
        let options = Options::new().set("cache_sendfile_bytes_min", setting);
        let plane = DataPlane::with(&options, &[cached(&origin, 1)]);
        for _ in 0..3 {
            assert!(get(&plane, "x", 1_000) == body("x", 1_000));
            assert!(get(&plane, "y", 999) == body("y", 999));
        }
        assert_eq!((origin.seen().len(), file_bytes(&plane.gateway)), (2, in_file), "{setting}");
    }
}

#[test]
fn where_memory_files_are_refused_bodies_are_sent_with_a_copy() {
    let origin = sized();
    let options = Options::new().shards(2).launcher(&["prlimit", "--fsize=1000000"]);
    let mut plane = DataPlane::with(&options, &[cached(&origin, 1)]);
    for _ in 0..8 {
        assert!(get(&plane, "x", LONG) == body("x", LONG));
    }
    assert_eq!(file_bytes(&plane.gateway), 0);
    let log = plane.gateway.process().log();
    assert_eq!(log.matches("long cached responses are sent with a copy").count(), 1, "{log}");
    assert!(log.contains("files are limited to 1000000 bytes"), "{log}");
    plane.assert_at_rest();
}
