//! Stages with a response cache where the origin says what is kept and for how long: RFC 9111, RFC 5861, and
//! conditions and ranges of RFC 9110.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use turnpike_snapshot::{CacheKeyPart, Freshness};
use turnpike_tests::{DataPlane, Options, Origin, Reply, StageBuilder, host, http_api, request};

/// Answers with what the test has put in line, one after the other, and then with the last again and again. `{n}`
/// stands for how many there have been.
#[derive(Clone)]
struct Script(Arc<Mutex<(VecDeque<String>, usize)>>);

impl Script {
    fn new(answers: &[&str]) -> Self {
        Self(Arc::new(Mutex::new((answers.iter().map(ToString::to_string).collect(), 0))))
    }

    fn next(&self) -> String {
        let (answers, count) = &mut *self.0.lock().unwrap();
        *count += 1;
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let answer = answer.expect("an answer").replace("{n}", &count.to_string());
        let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
        let length = if head.starts_with("304") {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let (status, fields) = head.split_once('\n').map_or((head, ""), |(status, fields)| (status, fields));
        let fields: String = fields.lines().map(|line| format!("{line}\r\n")).collect();
        format!("HTTP/1.1 {status} Said\r\n{fields}{length}\r\n{body}")
    }

    fn origin(&self) -> Origin {
        let script = self.clone();
        Origin::scripted(move |connection, _| {
            while let Ok(Some(seen)) = connection.request() {
                connection.body(&seen).unwrap();
                let answer = script.next();
                if answer.contains("HTTP/1.1 close") {
                    return;
                }
                connection.send(answer).unwrap();
            }
        })
    }
}

fn by_origin(origin: &Origin) -> StageBuilder {
    let url = origin.url("{request.path}");
    http_api("a1")
        .route("GET /{proxy+}", &url)
        .cached(3_600, &[])
        .route("ANY /{proxy+}", &url)
        .cache_with(|cache| cache.freshness = Freshness::Origin)
}

fn serving(answers: &[&str]) -> (DataPlane, Origin) {
    let origin = Script::new(answers).origin();
    (DataPlane::serving(&[by_origin(&origin)]), origin)
}

fn asked(plane: &DataPlane, fields: &str) -> Reply {
    plane.exchange(format!("GET /x HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1")))
}

fn text(plane: &DataPlane, fields: &str) -> String {
    asked(plane, fields).text().to_owned()
}

#[test]
fn what_the_origin_lets_be_kept_is_kept() {
    for answer in [
        "200\nCache-Control: max-age=60\n\n{n}",
        "200\nCache-Control: s-maxage=60, max-age=0\n\n{n}",
        "200\nDate: Sun, 06 Nov 2094 08:49:37 GMT\nExpires: Sun, 06 Nov 2094 08:59:37 GMT\n\n{n}",
        "404\nCache-Control: max-age=60\n\n{n}",
        "301\nCache-Control: max-age=60\nLocation: /y\n\n{n}",
    ] {
        let (plane, _origin) = serving(&[answer]);
        let first = asked(&plane, "");
        let second = asked(&plane, "");
        assert_eq!((first.text(), second.text(), second.status), ("1", "1", first.status), "{answer}");
        assert_eq!(second.headers.all("age"), ["0"], "{answer}");
        assert!(!first.headers.has("age"));
    }
}

#[test]
fn what_the_origin_does_not_let_be_kept_is_not() {
    for answer in [
        "200\n\n{n}",
        "200\nCache-Control: no-store, max-age=60\n\n{n}",
        "200\nCache-Control: private, max-age=60\n\n{n}",
        "200\nCache-Control: max-age=60\nSet-Cookie: a=b\n\n{n}",
        "200\nCache-Control: max-age=60\nVary: *\n\n{n}",
        "200\nCache-Control: max-age=60\nAge: 60\n\n{n}",
        "200\nCache-Control: max-age=60, max-age=0\n\n{n}",
        "200\nCache-Control: max-age=x\n\n{n}",
        "200\nExpires: 0\n\n{n}",
        "500\nCache-Control: max-age=60\n\n{n}",
        "206\nCache-Control: max-age=60\nContent-Range: bytes 0-0/2\n\n{n}",
    ] {
        let (plane, _origin) = serving(&[answer]);
        for expected in ["1", "2", "3"] {
            assert_eq!(text(&plane, ""), expected, "{answer}");
        }
        plane.assert_at_rest();
    }
}

#[test]
fn the_whole_query_is_part_of_the_key() {
    let (plane, _origin) = serving(&["200\nCache-Control: max-age=60\n\n{n}"]);
    let get = |target| plane.exchange(request("GET", "a1", target)).text().to_owned();
    assert_eq!([get("/x?a"), get("/x?b"), get("/x?a"), get("/x"), get("/y?a")], ["1", "2", "1", "3", "4"]);
}

#[test]
fn the_age_that_it_came_with_counts() {
    let (plane, _origin) = serving(&["200\nCache-Control: max-age=60\nAge: 20\n\n{n}"]);
    assert_eq!(asked(&plane, "").headers.all("age"), ["20"]);
    let age: u64 = asked(&plane, "").headers.one("age").unwrap().parse().unwrap();
    assert!((20..30).contains(&age), "{age}");
}

#[test]
fn authorization_is_shared_only_where_the_origin_says_so() {
    for (control, shared) in [
        ("max-age=60", false),
        ("max-age=60, public", true),
        ("s-maxage=60", true),
        ("max-age=60, must-revalidate", true),
        ("max-age=60, public, private", false),
    ] {
        let (plane, _origin) = serving(&[&format!("200\nCache-Control: {control}\n\n{{n}}")]);
        let ann = text(&plane, "Authorization: ann\r\n");
        assert_eq!(text(&plane, "Authorization: ann\r\n"), ann, "{control}");
        assert_eq!(text(&plane, "Authorization: bob\r\n") == ann, shared, "{control}");
        assert_eq!(text(&plane, "") == ann, shared, "{control}");
        let (plane, _origin) = serving(&[&format!("200\nCache-Control: {control}\n\n{{n}}")]);
        let nobody = text(&plane, "");
        assert_eq!(text(&plane, "Authorization: ann\r\n") == nobody, shared, "{control}");
    }
}

#[test]
fn a_request_may_want_a_new_answer_or_none() {
    let (plane, _origin) = serving(&["200\nCache-Control: max-age=60\nAge: 10\n\n{n}"]);
    assert_eq!(asked(&plane, "Cache-Control: only-if-cached\r\n").status, 504);
    assert_eq!(text(&plane, ""), "1");
    assert_eq!(text(&plane, "Cache-Control: only-if-cached\r\n"), "1");
    assert_eq!(text(&plane, "Cache-Control: max-age=30\r\n"), "1");
    assert_eq!(text(&plane, "Cache-Control: max-age=5\r\n"), "2");
    assert_eq!(text(&plane, "Cache-Control: min-fresh=55\r\n"), "3");
    assert_eq!(text(&plane, "Cache-Control: no-cache\r\n"), "4");
    assert_eq!(text(&plane, "Pragma: no-cache\r\n"), "5");
    assert_eq!(text(&plane, "Cache-Control: no-store\r\n"), "5");
    assert_eq!(text(&plane, ""), "5");
}

#[test]
fn a_stale_answer_is_asked_about_and_goes_on() {
    let (plane, origin) = serving(&[
        "200\nCache-Control: no-cache\nETag: \"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nX-Old: 1\n\nfirst",
        "304\nCache-Control: no-cache\nETag: \"a\"\nX-New: 2\n\n",
        "200\nCache-Control: max-age=60\nETag: \"b\"\n\nsecond",
    ]);
    assert_eq!(text(&plane, ""), "first");
    let unchanged = asked(&plane, "");
    assert_eq!((unchanged.status, unchanged.text()), (200, "first"));
    assert_eq!((unchanged.headers.one("x-old"), unchanged.headers.one("x-new")), (Some("1"), Some("2")));
    let conditions = &origin.seen()[1].headers;
    assert_eq!(conditions.all("if-none-match"), ["\"a\""]);
    assert_eq!(conditions.all("if-modified-since"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    assert_eq!((text(&plane, ""), text(&plane, "")), ("second".to_owned(), "second".to_owned()));
    assert_eq!(origin.seen().len(), 3);
    plane.assert_at_rest();
}

#[test]
fn what_was_revalidated_is_fresh_for_as_long_as_the_origin_says_now() {
    let (plane, origin) = serving(&[
        "200\nCache-Control: max-age=0\nETag: \"a\"\n\nfirst",
        "304\nCache-Control: max-age=60\nETag: \"a\"\n\n",
        "500\n\nnot asked",
    ]);
    for _ in 0..4 {
        assert_eq!(text(&plane, ""), "first");
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_304_about_something_else_is_no_answer() {
    let (plane, origin) = serving(&[
        "200\nCache-Control: no-cache\nETag: \"a\"\n\nfirst",
        "304\nETag: \"b\"\n\n",
        "200\nCache-Control: no-cache\nETag: \"b\"\n\nsecond",
    ]);
    assert_eq!((text(&plane, ""), text(&plane, "")), ("first".to_owned(), "second".to_owned()));
    assert!(!origin.seen()[2].headers.has("if-none-match"));
    plane.assert_at_rest();
}

#[test]
fn a_failure_is_covered_where_the_origin_lets_it() {
    let first = "200\nCache-Control: max-age=0, stale-if-error=600\nETag: \"a\"\n\nkept";
    for failure in ["500\n\nfailed", "503\n\nfailed", "close"] {
        let (plane, _origin) = serving(&[first, failure]);
        for _ in 0..3 {
            let reply = asked(&plane, "");
            assert_eq!((reply.status, reply.text()), (200, "kept"), "{failure}");
        }
        plane.assert_at_rest();
    }
    for (first, failure, status) in [
        (first, "404\n\nfailed", 404),
        ("200\nCache-Control: max-age=0\nETag: \"a\"\n\nkept", "500\n\nfailed", 500),
        ("200\nCache-Control: max-age=0\nETag: \"a\"\n\nkept", "close", 502),
        (
            "200\nCache-Control: max-age=0, must-revalidate, stale-if-error=600\nETag: \"a\"\n\nkept",
            "500\n\nx",
            500,
        ),
    ] {
        let (plane, _origin) = serving(&[first, failure]);
        assert_eq!((text(&plane, "").as_str(), asked(&plane, "").status), ("kept", status), "{failure}");
        plane.assert_at_rest();
    }
}

#[test]
fn a_stale_answer_is_given_while_another_is_fetched() {
    let (plane, origin) = serving(&[
        "200\nCache-Control: max-age=0, stale-while-revalidate=600\nETag: \"a\"\n\nold",
        "200\nCache-Control: max-age=60\nETag: \"b\"\n\nnew",
    ]);
    assert_eq!((text(&plane, "").as_str(), text(&plane, "").as_str()), ("old", "old"));
    origin.wait_for_requests(2);
    while text(&plane, "") != "new" {}
    assert_eq!(origin.seen().len(), 2);
    assert_eq!(origin.seen()[1].headers.one("if-none-match"), Some("\"a\""));
    plane.assert_at_rest();
    let metrics = plane.gateway.metrics();
    let answered =
        metrics.sum("turnpike_cache_hit_total", &[]) + metrics.sum("turnpike_cache_miss_total", &[]);
    assert_eq!(metrics.sum("turnpike_count_total", &[]), answered, "what runs behind is nobody's request");
}

#[test]
fn who_has_it_already_is_told_so() {
    let (plane, origin) = serving(&[
        "200\nCache-Control: max-age=60\nETag: \"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Type: text/x\n\nbody",
    ]);
    // What isn't kept yet is fetched whole.
    assert_eq!(text(&plane, "If-None-Match: \"a\"\r\n"), "body");
    assert!(!origin.seen()[0].headers.has("if-none-match"));
    for fields in [
        "If-None-Match: \"a\"\r\n",
        "If-None-Match: \"b\", W/\"a\"\r\n",
        "If-None-Match: *\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        let reply = asked(&plane, fields);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{fields}");
        assert_eq!((reply.headers.one("etag"), reply.headers.one("content-type")), (Some("\"a\""), None));
        assert!(reply.headers.has("date") && reply.headers.has("age"));
    }
    for fields in [
        "If-None-Match: \"b\"\r\n",
        "If-None-Match: \"\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
        "If-Modified-Since: never\r\n",
    ] {
        assert_eq!(asked(&plane, fields).status, 200, "{fields}");
    }
    assert_eq!(origin.seen().len(), 1);
    plane.assert_at_rest();
}

#[test]
fn parts_are_served_from_the_whole() {
    let (plane, origin) = serving(&["200\nCache-Control: max-age=60\nETag: \"a\"\n\n0123456789"]);
    assert_eq!(text(&plane, ""), "0123456789");
    for (range, part, told) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=0-999", "0123456789", "bytes 0-9/10"),
    ] {
        for if_range in ["", "If-Range: \"a\"\r\n"] {
            let reply = asked(&plane, &format!("Range: {range}\r\n{if_range}"));
            assert_eq!((reply.status, reply.text()), (206, part), "{range}");
            assert_eq!(reply.headers.all("content-range"), [told]);
            assert_eq!(reply.headers.all("content-length"), [part.len().to_string()]);
        }
    }
    for fields in [
        "Range: bytes=0-1,3-4\r\n",
        "Range: bytes=5-2\r\n",
        "Range: lines=1-2\r\n",
        "Range: bytes=0-1\r\nIf-Range: \"b\"\r\n",
        "Range: bytes=0-1\r\nIf-Range: W/\"a\"\r\n",
    ] {
        let reply = asked(&plane, fields);
        assert_eq!((reply.status, reply.text()), (200, "0123456789"), "{fields}");
    }
    for range in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
        let reply = asked(&plane, &format!("Range: {range}\r\n"));
        assert_eq!((reply.status, reply.body.len()), (416, 0), "{range}");
        assert_eq!(reply.headers.all("content-range"), ["bytes */10"]);
    }
    assert_eq!(origin.seen().len(), 1);
    plane.assert_at_rest();
}

#[test]
fn a_part_of_what_is_not_kept_is_the_origins_to_give() {
    let (plane, origin) = serving(&[
        "206\nCache-Control: max-age=60\nContent-Range: bytes 0-0/2\n\n{n}",
        "200\nCache-Control: max-age=60\n\nwhole",
    ]);
    assert_eq!(asked(&plane, "Range: bytes=0-0\r\n").status, 206);
    assert_eq!(origin.seen()[0].headers.one("range"), Some("bytes=0-0"));
    assert_eq!((text(&plane, "").as_str(), asked(&plane, "Range: bytes=0-0\r\n").text()), ("whole", "w"));
}

#[test]
fn an_unsafe_request_takes_away_what_it_may_have_changed() {
    for (method, status, taken) in [
        ("POST", 200, true),
        ("PUT", 204, true),
        ("DELETE", 200, true),
        ("PATCH", 302, true),
        ("POST", 400, false),
        ("POST", 500, false),
        ("OPTIONS", 200, false),
    ] {
        let kept = "200\nCache-Control: max-age=60\nVary: Accept\n\n{n}";
        let (plane, _origin) = serving(&[kept, kept, kept, &format!("{status}\n\n"), kept]);
        let all = |plane: &DataPlane| {
            let json = text(plane, "Accept: json\r\n");
            let ann = text(plane, "Accept: json\r\nAuthorization: ann\r\n");
            [text(plane, ""), json, ann]
        };
        let before = all(&plane);
        assert_eq!(all(&plane), before, "{method}");
        let other = plane.exchange(request(method, "a1", "/x"));
        assert_eq!(other.status, status, "{method}");
        let after = all(&plane);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before != after, taken, "{method} {status}");
        }
    }
}

#[test]
fn an_unsafe_request_is_heard_of_on_every_core() {
    let kept = "200\nCache-Control: max-age=60\n\n{n}";
    let origin = Script::new(&[kept]).origin();
    let plane = DataPlane::with(&Options::new().shards(3), &[by_origin(&origin)]);
    let mut clients: Vec<_> = (0..12).map(|_| plane.connect()).collect();
    for client in &mut clients {
        client.exchange(request("GET", "a1", "/x"));
    }
    let before = origin.seen().len();
    let _ = plane.exchange(request("POST", "a1", "/x"));
    for client in &mut clients {
        // A message to the other cores is on its way for a moment.
        while client.exchange(request("GET", "a1", "/x")).text().parse::<usize>().unwrap() <= before {}
    }
}

#[test]
fn fields_that_the_operator_chose_tell_answers_apart_too() {
    let origin = Script::new(&["200\nCache-Control: max-age=60\n\n{n}"]).origin();
    let stage = http_api("a1")
        .route("GET /x", &origin.url("/x"))
        .cached(3_600, &[CacheKeyPart::Header("x-kind".to_owned())])
        .cache_with(|cache| cache.freshness = Freshness::Origin);
    let plane = DataPlane::serving(&[stage]);
    let (one, other) = (text(&plane, "X-Kind: 1\r\n"), text(&plane, "X-Kind: 2\r\n"));
    assert_ne!(one, other);
    assert_eq!((text(&plane, "X-Kind: 1\r\n"), text(&plane, "x-kind: 2\r\n")), (one, other));
}

#[test]
fn the_routes_time_to_live_bounds_what_the_origin_asks_for() {
    let origin = Script::new(&["200\nCache-Control: max-age=60\nAge: 9\n\n{n}"]).origin();
    let stage = |ttl_s| {
        let stage = http_api("a1").route("GET /x", &origin.url("/x")).cached(ttl_s, &[]);
        stage.cache_with(|cache| {
            cache.freshness = Freshness::Origin;
            (cache.generation, cache.flushed_before) = (ttl_s.into(), ttl_s.into());
        })
    };
    let mut plane = DataPlane::serving(&[stage(9)]);
    assert_ne!(text(&plane, ""), text(&plane, ""));
    plane.publish(&[stage(3_600)]);
    assert_eq!(text(&plane, ""), text(&plane, ""));
}
