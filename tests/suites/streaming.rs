//! Bodies of any size, both ways, in constant memory: the slower side sets the pace.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use turnpike_tests::{DataPlane, Options, Origin, http_api, request};

const HOST: &str = "Host: a1.execute-api.us-east-1.localhost\r\n";
const LARGE_BYTES: u64 = 256 << 20;
static CHUNK: [u8; 65_536] = [b'z'; 65_536];

/// What the gateway and both kernels may hold of a body that nobody takes: two sockets' buffers on each side
/// (net.ipv4.tcp_wmem and tcp_rmem, some MiB each), and the gateway's own, which are far smaller.
const IN_TRANSIT_BYTES_MAX: u64 = 32 << 20;

/// Memory that a body may add to the gateway's, in KiB.
const GROWTH_KIB_MAX: u64 = 4 << 10;

fn large_plane(origin: &Origin) -> DataPlane {
    let options = Options::new().set("body_bytes_max", "unlimited");
    DataPlane::with(&options, &[http_api("a1").route("$default", &origin.url("{request.path}"))])
}

/// Sends `LARGE_BYTES` down, framed as the path says.
fn downloads() -> Origin {
    Origin::scripted(|connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let chunked = seen.target == "/chunked";
            let framing = if chunked {
                "Transfer-Encoding: chunked".to_owned()
            } else {
                format!("Content-Length: {LARGE_BYTES}")
            };
            connection.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).unwrap();
            for _ in 0..LARGE_BYTES / CHUNK.len() as u64 {
                if chunked {
                    connection.send("10000\r\n").unwrap();
                }
                connection.send(CHUNK).unwrap();
                if chunked {
                    connection.send("\r\n").unwrap();
                }
            }
            if chunked {
                connection.send("0\r\n\r\n").unwrap();
            }
        }
    })
}

#[test]
fn a_large_reply_streams_through() {
    let origin = downloads();
    let mut plane = large_plane(&origin);
    let mut client = plane.connect();
    client.exchange(request("HEAD", "none", "/"));
    let before = plane.gateway.process().peak_resident_kib();
    for path in ["/length", "/chunked"] {
        client.send(request("GET", "a1", path));
        let head = client.head();
        let mut received = 0;
        client.body_into(&head, |bytes| received += bytes.len() as u64).unwrap();
        assert_eq!(received, LARGE_BYTES, "{path}");
    }
    let growth = plane.gateway.process().peak_resident_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "the gateway grew by {growth} KiB");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_large_request_streams_through() {
    let origin = Origin::scripted(|connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let mut received = 0_u64;
            connection.body_into(&seen, |bytes| received += bytes.len() as u64).unwrap();
            let text = received.to_string();
            connection
                .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
                .unwrap();
        }
    });
    let mut plane = large_plane(&origin);
    let mut client = plane.connect();
    assert_eq!(client.exchange(request("GET", "a1", "/")).text(), "0");
    let before = plane.gateway.process().peak_resident_kib();
    for chunked in [false, true] {
        let framing = if chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {LARGE_BYTES}")
        };
        client.send(format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n\r\n"));
        for _ in 0..LARGE_BYTES / CHUNK.len() as u64 {
            if chunked {
                client.send("10000\r\n");
            }
            client.send(CHUNK);
            if chunked {
                client.send("\r\n");
            }
        }
        if chunked {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.reply().text(), LARGE_BYTES.to_string());
    }
    let growth = plane.gateway.process().peak_resident_kib() - before;
    assert!(growth < GROWTH_KIB_MAX, "the gateway grew by {growth} KiB");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_slow_client_holds_the_origin_back() {
    const BYTES: u64 = 2 * IN_TRANSIT_BYTES_MAX;
    let sent = Arc::new(AtomicU64::new(0));
    let (stalled, origin_stalled) = channel();
    let origin = Origin::scripted({
        let sent = Arc::clone(&sent);
        move |connection, _| {
            if let Ok(Some(_)) = connection.request() {
                connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n")).unwrap();
                let first = connection.send_until_stalled(&CHUNK, BYTES, Duration::from_millis(300));
                sent.store(first, Ordering::SeqCst);
                stalled.send(()).unwrap();
                for _ in 0..(BYTES - first) / 1024 {
                    connection.send([b'y'; 1024]).unwrap();
                }
                connection.send(vec![b'y'; ((BYTES - first) % 1024) as usize]).unwrap();
            }
        }
    });
    let plane = large_plane(&origin);
    let mut client = plane.connect_with_receive_bytes(32 << 10);
    client.send(request("GET", "a1", "/"));
    origin_stalled.recv().unwrap();
    let taken = sent.load(Ordering::SeqCst);
    assert!(taken < IN_TRANSIT_BYTES_MAX, "{taken} bytes were taken for a client that reads nothing");
    let head = client.head();
    let mut received = 0;
    client.body_into(&head, |bytes| received += bytes.len() as u64).unwrap();
    assert_eq!(received, BYTES, "and once it reads, it gets all");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_slow_origin_holds_the_client_back() {
    let (resume, resumed) = channel::<()>();
    let resumed = std::sync::Mutex::new(resumed);
    let origin = Origin::scripted(move |connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            resumed.lock().unwrap().recv().unwrap();
            let mut received = 0_u64;
            connection.body_into(&seen, |bytes| received += bytes.len() as u64).unwrap();
            let text = received.to_string();
            connection
                .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
                .unwrap();
        }
    });
    let plane = large_plane(&origin);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: {LARGE_BYTES}\r\n\r\n"));
    let taken = client.send_until_stalled(&CHUNK, LARGE_BYTES, Duration::from_millis(300));
    assert!(taken < IN_TRANSIT_BYTES_MAX, "{taken} bytes were taken for an origin that reads nothing");
    resume.send(()).unwrap();
    let mut left = LARGE_BYTES - taken;
    while left > 0 {
        let next = left.min(CHUNK.len() as u64);
        client.send(&CHUNK[..next as usize]);
        left -= next;
    }
    assert_eq!(client.reply().text(), LARGE_BYTES.to_string());
    drop(client);
    plane.assert_at_rest();
}

/// Both directions at once: neither waits for the other's end.
#[test]
fn a_reply_may_begin_before_the_request_ends() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            let mut pieces = Vec::new();
            let mut echo = |bytes: &[u8]| pieces.push(bytes.to_vec());
            connection.body_into(&seen, &mut echo).unwrap();
            for piece in pieces {
                connection.send(format!("{:x}\r\n", piece.len())).unwrap();
                connection.send(piece).unwrap();
                connection.send("\r\n").unwrap();
            }
            connection.send("0\r\n\r\n").unwrap();
        }
    });
    let plane = large_plane(&origin);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 6\r\n\r\nabc"));
    let head = client.head();
    assert_eq!(head.0, 200, "the head comes while the request's body is still open");
    client.send("def");
    let mut body = Vec::new();
    client.body_into(&head, |bytes| body.extend_from_slice(bytes)).unwrap();
    assert_eq!(body, b"abcdef");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn a_client_that_resets_in_mid_body_leaves_nothing_behind() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(seen)) = connection.request() {
            let whole = connection.body_into(&seen, |_| ());
            assert!(whole.is_err(), "a body that was cut short doesn't look whole to the origin");
        }
    });
    let plane = large_plane(&origin);
    for rest in ["Content-Length: 100000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        for reset in [true, false] {
            let mut client = plane.connect();
            client.send(format!("POST / HTTP/1.1\r\n{HOST}{rest}"));
            let before = origin.seen().len();
            origin.wait_for_requests(before.max(1));
            if reset {
                client.reset()
            } else {
                drop(client)
            }
            plane.assert_at_rest();
        }
    }
    turnpike_tests::until("no connection to the origin", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn a_client_that_leaves_in_mid_reply_leaves_nothing_behind() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            let _ = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
            while connection.send(CHUNK).is_ok() {}
        }
    });
    let plane = large_plane(&origin);
    for reset in [true, false] {
        let mut client = plane.connect();
        client.send(request("GET", "a1", "/"));
        assert_eq!(client.head().0, 200);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        plane.assert_at_rest();
    }
    turnpike_tests::until("no connection to the origin", || (origin.open_connections() == 0).then_some(()));
}

#[test]
fn a_client_that_leaves_while_the_origin_thinks_leaves_nothing_behind() {
    let origin = Origin::scripted(|connection, _| connection.wait_for_close());
    // A client that has said all may wait or be gone: that shows when there is something to send.
    let plane = DataPlane::serving(&[http_api("a1").route_within("$default", &origin.url("/"), 500)]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    turnpike_tests::until("the origin's connection", || (origin.connections() == 1).then_some(()));
    client.reset();
    plane.assert_at_rest();
}

/// An answer without a length ends where its connection does, so that an end of the gateway's own making has to look
/// different.
#[test]
fn an_unframed_answer_that_the_gateway_ends_is_not_whole() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\n\r\nsome").unwrap();
            connection.wait_for_close();
        }
    });
    let plane = large_plane(&origin);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    let head = client.head();
    assert_eq!(head.0, 200);
    client.send("zz\r\n");
    client.body_into(&head, |_| ()).expect_err("cut off for the request's body");
    drop(client);
    plane.assert_at_rest();
}

#[test]
fn an_unframed_answer_of_an_origin_that_takes_no_body_is_not_whole() {
    let origin = Origin::scripted(|connection, _| {
        if let Ok(Some(_)) = connection.request() {
            connection.send("HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while connection.send(CHUNK).is_ok() {}
        }
    });
    let options = Options::new().set("body_bytes_max", "unlimited");
    let stage = http_api("a1").route_within("$default", &origin.url("/"), 100);
    let plane = DataPlane::with(&options, &[stage]);
    let mut client = plane.connect();
    client.send(format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 1000000000000\r\n\r\n"));
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || while sender.write_all(&CHUNK).is_ok() {});
    let head = client.head();
    assert_eq!(head.0, 200);
    client.body_into(&head, |_| ()).expect_err("cut off after the integration's time");
    drop(client);
    sending.join().unwrap();
    plane.assert_at_rest();
}
