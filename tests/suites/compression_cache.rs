//! Stages that cache and compress: a response is kept once, and each coding's form of it is made once.

use std::sync::atomic::{AtomicUsize, Ordering};

use turnpike_snapshot::Freshness;
use turnpike_tests::{Curl, DataPlane, Options, Origin, Reply, StageBuilder, host, rest_api};

const GZIP: &str = "Accept-Encoding: gzip\r\n";
const DEFLATE: &str = "Accept-Encoding: deflate\r\n";

fn text(bytes: usize) -> String {
    (0..).flat_map(|n| format!("line {n} of a text; ").into_bytes()).take(bytes).map(char::from).collect()
}

/// Sends such a body, or that nothing has changed.
fn origin(fields: &'static str, bytes: usize) -> Origin {
    Origin::scripted(move |connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let answer = match seen.headers.has("if-none-match") {
                true => format!("HTTP/1.1 304 Not Modified\r\nX-Renewed: 1\r\n{fields}\r\n"),
                false => format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {bytes}\r\n\r\n{}", text(bytes)),
            };
            connection.send(answer).unwrap();
        }
    })
}

fn stage(origin: &Origin, bytes_min: u32) -> StageBuilder {
    rest_api("a1", "s")
        .route("ANY /{proxy+}", &origin.url("/{proxy}"))
        .cached(300, &[])
        .cache()
        .compressed(bytes_min)
}

fn by_origin(origin: &Origin) -> StageBuilder {
    rest_api("a1", "s")
        .route("ANY /{proxy+}", &origin.url("/{proxy}"))
        .cached(300, &[])
        .cache_with(|cache| cache.freshness = Freshness::Origin)
        .compressed(0)
}

fn ask(plane: &DataPlane, method: &str, fields: &str) -> Reply {
    plane.exchange(format!("{method} /s/x HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1")))
}

fn get(plane: &DataPlane, fields: &str) -> Reply {
    ask(plane, "GET", fields)
}

fn compressions(plane: &DataPlane) -> f64 {
    plane.gateway.metrics().sum("turnpike_shard_compressions_total", &[])
}

#[test]
fn each_form_is_made_once_and_kept() {
    // Short ones lie on the heap, long ones in an arena.
    for bytes in [3_000, 700_000] {
        let origin = origin("ETag: \"v1\"\r\nAccept-Ranges: bytes\r\n", bytes);
        let plane = DataPlane::serving(&[stage(&origin, 1_000)]);
        assert_eq!(get(&plane, GZIP).decoded(), text(bytes));
        assert_eq!(compressions(&plane), 1.0);
        let held = |plane: &DataPlane| plane.gateway.metrics().sum("turnpike_shard_cache_bytes", &[]);
        let before = held(&plane);
        for _ in 0..5 {
            for (fields, coding) in [(GZIP, Some("gzip")), (DEFLATE, Some("deflate")), ("", None)] {
                let reply = get(&plane, fields);
                assert_eq!(reply.headers.one("content-encoding"), coding);
                assert!(reply.decoded() == text(bytes));
                assert_eq!(reply.headers.one("content-length"), Some(&*reply.body.len().to_string()));
                let tag = if coding.is_some() { "W/\"v1\"" } else { "\"v1\"" };
                assert_eq!(
                    (reply.headers.one("etag"), reply.headers.one("vary")),
                    (Some(tag), Some("Accept-Encoding"))
                );
                assert_eq!(reply.headers.has("accept-ranges"), coding.is_none());
                let head = ask(&plane, "HEAD", fields);
                assert_eq!(head.headers.one("content-length"), reply.headers.one("content-length"));
                assert_eq!(head.headers.one("content-encoding"), coding);
            }
        }
        assert_eq!((compressions(&plane), origin.seen().len()), (3.0, 1));
        assert!(!origin.seen()[0].headers.has("accept-encoding"), "one form is asked for");
        let grown = held(&plane) - before;
        assert!(grown > 200.0 && grown < before, "{before} and {grown}");
        plane.assert_at_rest();
    }
}

#[test]
fn forms_are_sent_over_http2_and_to_who_can_be_told_by_its_tag() {
    let origin = origin("ETag: \"v1\"\r\nCache-Control: max-age=600\r\n", 100_000);
    let plane = DataPlane::serving(&[by_origin(&origin)]);
    for _ in 0..3 {
        let curl = Curl::http2(plane.gateway.address, &host("a1"), "/s/x").header("Accept-Encoding: gzip");
        assert!(curl.reply().decoded() == text(100_000));
    }
    for condition in ["If-None-Match: W/\"v1\"\r\n", "If-None-Match: \"v1\"\r\n"] {
        let reply = get(&plane, &format!("{GZIP}{condition}"));
        assert_eq!((reply.status, reply.headers.one("etag")), (304, Some("W/\"v1\"")));
        assert_eq!(
            (reply.headers.one("vary"), reply.headers.has("content-encoding")),
            (Some("Accept-Encoding"), false)
        );
        assert_eq!(get(&plane, condition).headers.one("etag"), Some("\"v1\""));
    }
    // A part is one of what isn't compressed.
    let part = get(&plane, &format!("{GZIP}Range: bytes=0-9\r\nIf-Range: \"v1\"\r\n"));
    assert_eq!(
        (part.status, part.text(), part.headers.one("etag")),
        (206, &text(100_000)[..10], Some("\"v1\""))
    );
    assert_eq!(part.headers.one("content-range"), Some("bytes 0-9/100000"));
    let whole = get(&plane, &format!("{GZIP}Range: bytes=0-9\r\nIf-Range: W/\"v1\"\r\n"));
    assert_eq!((whole.status, whole.headers.one("content-encoding")), (200, Some("gzip")));
    let untouched = get(&plane, &format!("{GZIP}Cache-Control: no-transform\r\n"));
    assert_eq!((untouched.text().len(), untouched.headers.one("etag")), (100_000, Some("\"v1\"")));
    assert_eq!((compressions(&plane), origin.seen().len()), (2.0, 1));
    plane.assert_at_rest();
}

#[test]
fn an_origin_that_varies_by_codings_is_asked_once() {
    let origin = origin("Vary: Accept-Encoding\r\nCache-Control: max-age=600\r\n", 2_000);
    for stage in [stage(&origin, 0), by_origin(&origin)] {
        let (plane, seen) = (DataPlane::serving(&[stage]), origin.seen().len());
        for fields in [GZIP, "", DEFLATE, "Accept-Encoding: gzip, br\r\n", GZIP] {
            let reply = get(&plane, fields);
            assert_eq!((reply.decoded(), reply.headers.all("vary")), (text(2_000), vec!["Accept-Encoding"]));
        }
        assert_eq!(origin.seen().len() - seen, 1);
    }
}

#[test]
fn a_renewed_response_keeps_its_forms() {
    let origin = origin("ETag: \"v1\"\r\nCache-Control: max-age=0, must-revalidate\r\n", 5_000);
    let plane = DataPlane::serving(&[by_origin(&origin)]);
    assert_eq!(get(&plane, GZIP).decoded(), text(5_000));
    for round in 1..4 {
        // Each is asked about anew; from the second on, the form is there or made.
        let reply = get(&plane, GZIP);
        assert_eq!((reply.decoded(), reply.headers.one("vary")), (text(5_000), Some("Accept-Encoding")));
        assert_eq!(reply.headers.one("x-renewed"), Some("1"));
        assert_eq!(origin.seen().len(), round + 1);
    }
    plane.assert_at_rest();
}

#[test]
fn what_isnt_compressed_is_kept_as_it_is() {
    let small = origin("ETag: \"v1\"\r\n", 999);
    let image = origin("ETag: \"v1\"\r\nContent-Type: image/png\r\n", 5_000);
    for (origin, vary) in [(small, Some("Accept-Encoding")), (image, None)] {
        let plane = DataPlane::serving(&[stage(&origin, 1_000)]);
        for _ in 0..3 {
            let reply = get(&plane, GZIP);
            assert_eq!((reply.headers.one("content-encoding"), reply.headers.one("vary")), (None, vary));
            assert_eq!(reply.headers.one("etag"), Some("\"v1\""));
        }
        assert_eq!((compressions(&plane), origin.seen().len()), (0.0, 1));
    }
    let origin = origin("", 5_000);
    let none = DataPlane::with(&Options::new().set("compressions_max", 0), &[stage(&origin, 0)]);
    for _ in 0..3 {
        assert_eq!(get(&none, GZIP).text(), text(5_000));
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn those_that_ask_at_once_share_one_form() {
    let origin = origin("", 900_000);
    // So that making it takes many turns.
    let options = Options::new().set("compression_turn_bytes", 1_024);
    let plane = DataPlane::with(&options, &[stage(&origin, 0)]);
    assert_eq!(get(&plane, "").text(), text(900_000));
    let whole = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let reply = get(&plane, GZIP);
                assert_eq!(reply.headers.one("content-encoding"), Some("gzip"));
                assert!(reply.decoded() == text(900_000));
                whole.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!((whole.into_inner(), compressions(&plane)), (16, 1.0));
    plane.assert_at_rest();
}

#[test]
fn a_flush_takes_forms_along() {
    let origin = origin("", 5_000);
    let mut plane = DataPlane::serving(&[stage(&origin, 0)]);
    get(&plane, GZIP);
    get(&plane, GZIP);
    assert_eq!((compressions(&plane), origin.seen().len()), (2.0, 1));
    let flushed = rest_api("a1", "s").route("ANY /{proxy+}", &origin.url("/{proxy}")).cached(300, &[]);
    let flushed = flushed.cache_with(|cache| {
        cache.generation += 1;
        cache.flushed_before = cache.generation;
    });
    plane.publish(&[flushed.compressed(0)]);
    assert_eq!(get(&plane, GZIP).decoded(), text(5_000));
    assert_eq!((compressions(&plane), origin.seen().len()), (3.0, 2));
}
