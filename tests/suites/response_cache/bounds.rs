//! What is kept has bounds, and what doesn't come whole isn't kept.

use super::*;

#[test]
fn bodies_of_all_sizes_and_framings_come_back_whole() {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let (framing, bytes) = seen.target[1..].split_once('/').unwrap();
            let body = "0123456789".repeat(bytes.parse::<usize>().unwrap() / 10);
            let sent = match framing {
                "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
                _ => {
                    let chunks: String = body
                        .as_bytes()
                        .chunks(7_000)
                        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
                        .collect();
                    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
                }
            };
            connection.send(sent).unwrap();
        }
    });
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    for framing in ["length", "chunked"] {
        for bytes in [0, 10, 7_000, 8_000, 100_000, 1_000_000] {
            let target = format!("/{framing}/{bytes}");
            let seen = origin.seen().len();
            let first = plane.exchange(request("GET", "a1", &target));
            for _ in 0..3 {
                let again = plane.exchange(request("GET", "a1", &target));
                assert!(again.body == first.body && first.body.len() == bytes, "{target}");
                assert_eq!(again.headers.all("content-length"), [bytes.to_string()], "{target}");
                assert!(!again.headers.has("transfer-encoding"));
            }
            let old = plane.exchange(format!("GET {target} HTTP/1.0\r\nHost: {}\r\n\r\n", host("a1")));
            assert_eq!(old.body, first.body, "{target}");
            let http2 = Curl::http2(plane.gateway.address, &host("a1"), &target).reply();
            assert!(http2.body == first.body && http2.status == 200, "{target}");
            assert_eq!(origin.seen().len(), seen + 1, "{target}");
        }
    }
    plane.assert_at_rest();
}

#[test]
fn a_slow_reader_of_a_large_body_gets_all_of_it() {
    let body: String = (0..1_000_000_u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let sent = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let origin = Origin::replying(sent);
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    for _ in 0..2 {
        let mut client = plane.connect_with_receive_bytes(4_096);
        client.send(request("GET", "a1", "/"));
        // Others are answered meanwhile.
        assert_eq!(plane.exchange(request("GET", "a1", "/")).body.len(), body.len());
        assert!(client.reply().body == body.as_bytes());
    }
    plane.assert_at_rest();
}

#[test]
fn an_answer_that_is_cut_off_is_not_kept() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        "HTTP/1.0 200 OK\r\n\r\nabc",
    ] {
        let origin = Origin::scripted(move |connection, number| {
            if let Ok(Some(_)) = connection.request() {
                let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole";
                connection.send(if number == 0 { cut } else { whole }).unwrap();
            }
        });
        let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
        let mut client = plane.connect();
        client.send(request("GET", "a1", "/"));
        let _ = client.try_reply(false);
        for _ in 0..3 {
            assert_eq!(get(&plane, "/", ""), "whole", "{cut:?}");
        }
        drop(client);
        plane.assert_at_rest();
    }
}

#[test]
fn a_client_that_leaves_leaves_nothing_behind() {
    let (left, origin_waits) = channel::<()>();
    let origin_waits = std::sync::Mutex::new(origin_waits);
    let origin = Origin::scripted(move |connection, number| {
        while let Ok(Some(_)) = connection.request() {
            if number == 0 {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\nabc").unwrap();
                origin_waits.lock().unwrap().recv().unwrap();
                let _ = connection.send("x".repeat(300_000));
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").unwrap();
        }
    });
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    client.head();
    client.reset();
    left.send(()).unwrap();
    plane.assert_at_rest();
    assert_eq!(get(&plane, "/", ""), "whole");
}

#[test]
fn what_is_larger_than_may_be_kept_passes() {
    let options = Options::new().set("cache_response_bytes_max", 1_000);
    for framing in ["length", "chunked"] {
        let origin = Origin::scripted(move |connection, _| {
            while let Ok(Some(_)) = connection.request() {
                let body = "x".repeat(1_001);
                connection
                    .send(match framing {
                        "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{body}"),
                        _ => format!(
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
                        ),
                    })
                    .unwrap();
            }
        });
        let plane = DataPlane::with(&options, &[cached_api(&origin, &[])]);
        for _ in 0..3 {
            assert_eq!(get(&plane, "/", "").len(), 1_001);
        }
        assert_eq!(origin.seen().len(), 3, "{framing}");
        assert_eq!(hits_and_misses(&plane), (0.0, 3.0));
    }
}

#[test]
fn the_bound_holds_whatever_comes() {
    let options = Options::new().set("cache_bytes_max", 200_000);
    let origin =
        Origin::replying(format!("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{}", "x".repeat(3_000)));
    let plane = DataPlane::with(&options, &[cached_api(&origin, &[])]);
    let mut client = plane.connect();
    for n in 0..500 {
        client.exchange(request("GET", "a1", &format!("/{n}")));
    }
    let metrics = plane.gateway.metrics();
    let bytes = metrics.sum("turnpike_shard_cache_bytes", &[]);
    assert!((150_000.0..=200_000.0).contains(&bytes), "{bytes}");
    let (kept, evicted) = (
        metrics.sum("turnpike_shard_cache_responses", &[]),
        metrics.sum("turnpike_shard_cache_evictions_total", &[]),
    );
    assert!((30.0..70.0).contains(&kept) && kept + evicted == 500.0, "{kept} kept, {evicted} evicted");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_stages_own_size_bounds_it() {
    let origin =
        Origin::replying(format!("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n{}", "x".repeat(3_000)));
    let stage = cached_api(&origin, &[]).cache_with(|cache| cache.bytes_max = 100_000);
    let plane = DataPlane::with(&Options::new().shards(2), &[stage]);
    for n in 0..300 {
        let _ = plane.exchange(request("GET", "a1", &format!("/{n}")));
    }
    let metrics = plane.gateway.metrics();
    for (shard, bytes) in metrics.series("turnpike_shard_cache_bytes", &[]) {
        assert!((0.0..=50_000.0).contains(&bytes), "{shard}: {bytes}");
    }
}

#[test]
fn where_nothing_fits_requests_pass_as_without_a_cache() {
    let origin = counting("");
    let without = DataPlane::with(&Options::new().set("cache_bytes_max", 0), &[cached_api(&origin, &[])]);
    let tiny = DataPlane::serving(&[cached_api(&origin, &[]).cache_with(|cache| cache.bytes_max = 100)]);
    for plane in [without, tiny] {
        let seen = origin.seen().len();
        for n in 1..4 {
            assert_eq!(get(&plane, "/", ""), format!("{} /", seen + n));
        }
        let metrics = plane.gateway.metrics();
        assert_eq!(metrics.sum("turnpike_shard_cache_responses", &[]), 0.0);
        assert_eq!(metrics.sum("turnpike_shard_cache_waits_total", &[]), 0.0);
        plane.assert_at_rest();
    }
}
