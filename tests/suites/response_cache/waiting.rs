//! Requests for one answer wait for the first.

use super::*;

#[test]
fn requests_for_the_same_wait_for_the_first() {
    const CLIENTS: usize = 40;
    let (origin, all_there) = held(|_| "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole".to_owned());
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let mut clients = waiting(&plane, CLIENTS);
    all_there.send(()).unwrap();
    for client in &mut clients {
        assert_eq!(client.reply().text(), "whole");
    }
    assert_eq!((origin.seen().len(), hits_and_misses(&plane)), (1, ((CLIENTS - 1) as f64, 1.0)));
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn who_waits_in_vain_fetches_for_others_too() {
    let options = Options::new().set("cache_wait_timeout_ms", 50);
    let (origin, done) = held(digit);
    let plane = DataPlane::with(&options, &[cached_api(&origin, &[])]);
    let mut first = plane.connect();
    first.send(request("GET", "a1", "/"));
    origin.wait_for_requests(1);
    assert_eq!(get(&plane, "/", ""), "1");
    assert_eq!(get(&plane, "/", ""), "1");
    done.send(()).unwrap();
    assert_eq!(first.reply().text(), "0");
    // It was asked for before the one that is kept.
    assert_eq!((get(&plane, "/", "").as_str(), origin.seen().len()), ("1", 2));
    drop(first);
    plane.assert_at_rest();
}

#[test]
fn a_first_one_that_reads_slowly_holds_the_others_up_once() {
    let body = "x".repeat(12_000_000);
    let origin = Origin::replying(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let options = Options::new().set("cache_wait_timeout_ms", 50).set("cache_response_bytes_max", 16_000_000);
    let plane = DataPlane::with(&options, &[cached_api(&origin, &[])]);
    let mut slow = plane.connect_with_receive_bytes(4_096);
    slow.send(request("GET", "a1", "/"));
    origin.wait_for_requests(1);
    for _ in 0..5 {
        assert_eq!(plane.exchange(request("GET", "a1", "/")).body.len(), body.len());
    }
    let metrics = plane.gateway.metrics();
    assert_eq!((metrics.sum("turnpike_shard_cache_waits_total", &[]), origin.seen().len()), (1.0, 2));
    assert_eq!(slow.reply().body.len(), body.len());
    drop(slow);
    plane.assert_at_rest();
}

#[test]
fn one_of_those_who_wait_fetches_for_the_others_where_the_first_fails() {
    const CLIENTS: usize = 10;
    let (origin, all_there) = held(|number| if number == 0 { String::new() } else { digit(number) });
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let mut clients = waiting(&plane, CLIENTS);
    all_there.send(()).unwrap();
    let replies: Vec<_> = clients.iter_mut().map(|client| client.reply()).collect();
    let served = replies.iter().filter(|reply| reply.status == 200 && reply.text() == "1").count();
    assert_eq!((served, origin.seen().len()), (CLIENTS - 1, 2), "{replies:?}");
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn where_the_integration_fails_again_and_again_each_is_told_so() {
    const CLIENTS: usize = 10;
    let (origin, all_there) = held(|_| String::new());
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let mut clients = waiting(&plane, CLIENTS);
    all_there.send(()).unwrap();
    for client in &mut clients {
        assert!(matches!(client.reply().status, 500..=504));
    }
    // Each waited twice at most.
    let waits = plane.gateway.metrics().sum("turnpike_shard_cache_waits_total", &[]);
    assert!(waits <= 2.0 * (CLIENTS - 1) as f64, "{waits}");
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn those_who_wait_for_what_fails_or_cannot_be_kept_go_alone() {
    for first in ["", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\nfirst"] {
        const CLIENTS: usize = 10;
        let other = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 5\r\n\r\nother";
        let (origin, all_there) = held(move |number| if number == 0 { first } else { other }.to_owned());
        let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
        let mut clients = waiting(&plane, CLIENTS);
        all_there.send(()).unwrap();
        let replies: Vec<_> = clients.iter_mut().map(|client| client.reply()).collect();
        let others = replies.iter().filter(|reply| reply.status == 200 && reply.text() == "other").count();
        assert_eq!(others, CLIENTS - 1, "{replies:?}");
        drop(clients);
        plane.assert_at_rest();
    }
}
