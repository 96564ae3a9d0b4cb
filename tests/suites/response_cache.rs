//! Stages with a response cache, as API Gateway has them: the operator says for how long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use turnpike_snapshot::{CacheKeyPart, Invalidation, TagPurge, Unauthorized};
use turnpike_tests::{
    Client, Curl, DataPlane, Options, Origin, Reply, StageBuilder, host, http_api, request, rest_api, until,
};

/// Answers with a number that grows, and with what was asked for.
fn counting(fields: &str) -> Origin {
    let (fields, count) = (fields.to_owned(), AtomicUsize::new(0));
    Origin::scripted(move |connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            connection.body(&seen).unwrap();
            let body = format!("{} {}", count.fetch_add(1, Ordering::SeqCst) + 1, seen.target);
            let length = if seen.method == "HEAD" { String::new() } else { body.clone() };
            connection
                .send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n{length}", body.len()))
                .unwrap();
        }
    })
}

/// An origin whose first answer waits to be let go; it closes in place of an empty one.
fn held(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> (Origin, Sender<()>) {
    let (let_go, waits) = channel();
    let (waits, count) = (std::sync::Mutex::new(waits), AtomicUsize::new(0));
    let origin = Origin::scripted(move |connection, _| {
        while let Ok(Some(_)) = connection.request() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                waits.lock().unwrap().recv().unwrap();
            }
            let answer = answer(number);
            if answer.is_empty() {
                return;
            }
            connection.send(answer).unwrap();
        }
    });
    (origin, let_go)
}

/// An answer of one digit.
fn digit(number: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}")
}

/// So many clients that have asked for the same, and all but one wait for another's answer.
fn waiting(plane: &DataPlane, count: usize) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| plane.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(request("GET", "a1", "/")));
    until("all but one to wait", || {
        let waits = plane.gateway.metrics().sum("turnpike_shard_cache_waits_total", &[]);
        (waits >= (count - 1) as f64).then_some(())
    });
    clients
}

fn cached_api(origin: &Origin, key: &[CacheKeyPart]) -> StageBuilder {
    http_api("a1").route("$default", &origin.url("{request.path}")).cached(300, key).cache()
}

fn with_fields(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host("a1"))
}

fn get(plane: &DataPlane, target: &str, fields: &str) -> String {
    let reply = plane.exchange(with_fields(target, fields));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().to_owned()
}

fn hits_and_misses(plane: &DataPlane) -> (f64, f64) {
    let metrics = plane.gateway.metrics();
    (metrics.sum("turnpike_cache_hit_total", &[]), metrics.sum("turnpike_cache_miss_total", &[]))
}

#[test]
fn the_second_request_is_answered_from_the_cache() {
    let origin = counting(
        "X-Own: kept\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nAge: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\n",
    );
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let first = plane.exchange(request("GET", "a1", "/pets"));
    let second = plane.exchange(request("GET", "a1", "/pets"));
    assert_eq!((first.text(), second.text()), ("1 /pets", "1 /pets"));
    assert_eq!((second.headers.one("x-own"), second.headers.one("x-hop")), (Some("kept"), None));
    assert_eq!(second.headers.all("date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    assert_eq!(second.headers.all("content-length"), ["7"]);
    assert_eq!(second.headers.all("age"), [""; 0]);
    assert_ne!(first.headers.one("apigw-requestid"), second.headers.one("apigw-requestid"));
    assert_eq!(second.headers.all("apigw-requestid").len(), 1);
    assert_eq!((origin.seen().len(), hits_and_misses(&plane)), (1, (1.0, 1.0)));
    plane.assert_at_rest();
}

#[test]
fn a_rest_api_answers_with_its_own_ids_and_renamed_fields() {
    let origin = counting("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: s\r\nx-amzn-RequestId: theirs\r\n");
    let stage = rest_api("r1", "prod").route("GET /x", &origin.url("/x")).cached(300, &[]).cache();
    let plane = DataPlane::serving(&[stage]);
    for _ in 0..3 {
        let reply = plane.exchange(request("GET", "r1", "/prod/x"));
        assert_eq!(reply.headers.all("x-amzn-remapped-date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
        assert_eq!(reply.headers.all("x-amzn-remapped-server"), ["s"]);
        assert_eq!((reply.headers.all("date").len(), reply.headers.all("x-amzn-requestid").len()), (1, 1));
        assert_ne!(reply.headers.one("x-amzn-requestid"), Some("theirs"));
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_route_or_a_stage_without_a_cache_keeps_nothing() {
    let origin = counting("");
    let stages = [
        http_api("a1")
            .route("GET /cached", &origin.url("/cached"))
            .cached(300, &[])
            .route("GET /off", &origin.url("/off"))
            .cached(0, &[])
            .route("GET /plain", &origin.url("/plain"))
            .cache(),
        http_api("a2").route("$default", &origin.url("/a2")),
    ];
    let plane = DataPlane::serving(&stages);
    for (api_id, path) in [("a1", "/off"), ("a1", "/plain"), ("a2", "/")] {
        let one = plane.exchange(request("GET", api_id, path));
        assert_ne!(one.text(), plane.exchange(request("GET", api_id, path)).text(), "{path}");
    }
    assert_eq!(get(&plane, "/cached", ""), get(&plane, "/cached", ""));
    assert_eq!(hits_and_misses(&plane), (1.0, 1.0));
}

#[test]
fn what_is_part_of_the_key_tells_answers_apart() {
    let origin = counting("");
    let key = [CacheKeyPart::Query("type".to_owned()), CacheKeyPart::Header("x-kind".to_owned())];
    let plane = DataPlane::serving(&[cached_api(&origin, &key)]);
    let different = [
        get(&plane, "/a", ""),
        get(&plane, "/b", ""),
        get(&plane, "/a?type", ""),
        get(&plane, "/a?type=1", ""),
        get(&plane, "/a?type=2", ""),
        get(&plane, "/a?type=1&type=2", ""),
        get(&plane, "/a", "X-Kind: 1\r\n"),
        get(&plane, "/a", "X-Kind:\r\n"),
        get(&plane, "/a?type=1", "X-Kind: 1\r\n"),
    ];
    for (index, one) in different.iter().enumerate() {
        assert!(different[..index].iter().all(|other| other != one), "{different:?}");
    }
    assert_eq!(get(&plane, "/a?other=9", ""), different[0]);
    assert_eq!(get(&plane, "/a?%74ype=1", ""), different[3]);
    assert_eq!(get(&plane, "/a?x=2&type=1", "Other: 3\r\n"), different[3]);
    assert_eq!(get(&plane, "/a", "x-kind:  1 \r\n"), different[6]);
}

#[test]
fn apis_stages_and_methods_do_not_share() {
    let origin = counting("");
    let url = origin.url("/x");
    let stages: Vec<_> = [("r1", "one"), ("r1", "two"), ("r2", "one")]
        .map(|(api_id, stage)| rest_api(api_id, stage).route("ANY /x", &url).cached(300, &[]).cache())
        .into();
    let plane = DataPlane::serving(&stages);
    let mut seen = Vec::new();
    for (api_id, target) in [("r1", "/one/x"), ("r1", "/two/x"), ("r2", "/one/x")] {
        for method in ["GET", "OPTIONS"] {
            seen.push(plane.exchange(request(method, api_id, target)).text().to_owned());
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn no_caller_is_given_anothers_answer() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let nobody = get(&plane, "/me", "");
    let ann = get(&plane, "/me", "Authorization: Bearer ann\r\n");
    let bob = get(&plane, "/me", "Authorization: Bearer bob\r\n");
    assert!(nobody != ann && ann != bob && bob != nobody);
    assert_eq!(get(&plane, "/me", "authorization: Bearer ann\r\n"), ann);
    assert_eq!(get(&plane, "/me", "Authorization: Bearer bob\r\n"), bob);
    // Who shows two may have been let in for either: the answer isn't one that is kept, and isn't kept.
    for both in [["ann", "bob"], ["bob", "ann"], ["carl", "ann"], ["", "bob"]] {
        let fields = both.map(|of| format!("Authorization: Bearer {of}\r\n")).concat();
        let first = get(&plane, "/me", &fields);
        assert!(![&ann, &bob].contains(&&first), "{both:?}");
        assert_ne!(get(&plane, "/me", &fields), first, "{both:?}");
    }
    assert_eq!(get(&plane, "/me", "Authorization: Bearer bob\r\n"), bob);
    assert_eq!(get(&plane, "/me", ""), nobody);
}

#[test]
fn what_the_origin_means_for_one_caller_is_kept_for_that_one_at_most() {
    for fields in
        ["Set-Cookie: session=1\r\n", "Cache-Control: private\r\n", "Cache-Control: Private=\"x\"\r\n"]
    {
        let origin = counting(fields);
        let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
        assert_ne!(get(&plane, "/me", ""), get(&plane, "/me", ""), "{fields}");
        let ann = get(&plane, "/ann", "Authorization: ann\r\n");
        assert_eq!(get(&plane, "/ann", "Authorization: ann\r\n"), ann, "{fields}");
        assert_ne!(get(&plane, "/ann", "Authorization: bob\r\n"), ann, "{fields}");
    }
}

#[test]
fn an_answer_that_varies_is_for_like_requests() {
    let origin = counting("Vary: Accept-Language, X-Other\r\n");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let german = get(&plane, "/", "Accept-Language: de\r\n");
    let french = get(&plane, "/", "Accept-Language: fr\r\n");
    assert_ne!(german, french);
    assert_eq!(get(&plane, "/", "Accept-Language: de\r\nX: 1\r\n"), german);
    assert_eq!(get(&plane, "/", "accept-language: fr\r\n"), french);
    assert_ne!(get(&plane, "/", "Accept-Language: de\r\nX-Other: 1\r\n"), german);
}

#[test]
fn hostile_fields_of_an_origin_neither_break_nor_are_kept() {
    let many = (0..200).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    for fields in [
        "Vary: *\r\n".to_owned(),
        "Vary: a\r\nVary: b,*\r\n".to_owned(),
        format!("Vary: {many}\r\n"),
        format!("Cache-Tag: {many}\r\n"),
    ] {
        let origin = counting(&fields);
        let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
        assert_ne!(get(&plane, "/", ""), get(&plane, "/", ""), "{fields}");
        plane.assert_at_rest();
    }
}

#[test]
fn hostile_fields_of_a_client_are_answered_like_others() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let kept = get(&plane, "/", "");
    for fields in [
        "Cache-Control: \"\r\n",
        "Cache-Control: max-age=\"0\r\n x\r\n",
        "Cache-Control: ,,,=,=\r\n",
        "Cache-Control: max-age=99999999999999999999\r\n",
        "Range: bytes=0-0,1-1,2-2\r\n",
        "Range: bytes=-\r\n",
        "If-None-Match: \"\r\n",
        "If-Modified-Since: 0\r\n",
    ] {
        let reply = plane.exchange(with_fields("/", fields));
        assert!(reply.status == 400 || reply.text() == kept, "{fields}: {reply:?}");
    }
    plane.assert_at_rest();
}

#[test]
fn errors_redirects_and_parts_are_not_kept() {
    for status in ["206 Partial Content", "301 Moved Permanently", "404 Not Found", "500 Oops", "503 Busy"] {
        let count = AtomicUsize::new(0);
        let origin = Origin::scripted(move |connection, _| {
            while let Ok(Some(_)) = connection.request() {
                let body = count.fetch_add(1, Ordering::SeqCst);
                connection.send(format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\n{body}")).unwrap();
            }
        });
        let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
        for expected in ["0", "1", "2"] {
            assert_eq!(plane.exchange(request("GET", "a1", "/")).text(), expected, "{status}");
        }
    }
}

#[test]
fn a_request_with_a_body_is_neither_answered_from_the_cache_nor_kept() {
    let origin = counting("");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let fat = |body: &str| {
        let length = format!("Content-Length: {}\r\n", body.len());
        plane.exchange(with_fields("/", &length) + body).text().to_owned()
    };
    assert_ne!(fat("poison"), fat("poison"));
    let kept = get(&plane, "/", "");
    assert_ne!(fat("poison"), kept);
    assert_eq!((fat("").as_str(), get(&plane, "/", "").as_str()), (&*kept, &*kept));
    plane.assert_at_rest();
}

#[test]
fn a_head_request_is_answered_from_what_a_get_has_brought() {
    let origin = counting("X-Own: kept\r\n");
    let plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let mut client = plane.connect();
    let head = |client: &mut turnpike_tests::Client| {
        client.send(request("HEAD", "a1", "/x"));
        client.reply_to_head()
    };
    assert_eq!(head(&mut client).status, 200);
    assert_eq!(client.exchange(request("GET", "a1", "/x")).text(), "2 /x");
    let answered = head(&mut client);
    assert_eq!(
        (answered.headers.one("content-length"), answered.headers.one("x-own")),
        (Some("4"), Some("kept"))
    );
    assert_eq!(client.exchange(request("GET", "a1", "/x")).text(), "2 /x");
    assert_eq!(origin.seen().len(), 2);
    drop(client);
    plane.assert_at_rest();
}

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
fn a_client_may_have_an_answer_made_anew_on_every_core() {
    let origin = counting("");
    let plane = DataPlane::with(&Options::new().shards(3), &[cached_api(&origin, &[])]);
    let mut clients: Vec<_> = (0..12).map(|_| plane.connect()).collect();
    for client in &mut clients {
        client.exchange(request("GET", "a1", "/"));
    }
    let before = origin.seen().len();
    assert!(before <= 3);
    let fresh = get(&plane, "/", "Cache-Control: max-age=0\r\n");
    assert_eq!(fresh, format!("{} /", before + 1));
    // A message to the other cores is on its way for a moment.
    while clients.iter_mut().any(|client| {
        let number: usize =
            client.exchange(request("GET", "a1", "/")).text().split(' ').next().unwrap().parse().unwrap();
        number <= before
    }) {}
}

fn refreshed(invalidation: Invalidation) -> (Reply, Reply, String) {
    let origin = counting("");
    let stage =
        rest_api("a1", "s").route("GET /x", &origin.url("/x")).cached_for(300, &[], invalidation).cache();
    let plane = DataPlane::serving(&[stage]);
    let first = plane.exchange(with_fields("/s/x", ""));
    let asked = plane.exchange(with_fields("/s/x", "Cache-Control: no-store, max-age=0\r\n"));
    let next = plane.exchange(with_fields("/s/x", "Cache-Control: no-cache\r\n"));
    (first, asked, next.text().to_owned())
}

#[test]
fn who_may_not_have_an_answer_made_anew_is_refused_told_or_not() {
    let (first, asked, next) = refreshed(Invalidation::Anyone);
    assert_eq!((first.text(), asked.text(), &*next), ("1 /x", "2 /x", "2 /x"));
    assert!(!asked.headers.has("warning"));

    let (_, asked, next) = refreshed(Invalidation::Authorized(Unauthorized::Refused));
    assert_eq!((asked.status, asked.text(), &*next), (403, "{\"message\":\"Forbidden\"}", "1 /x"));

    let (_, asked, next) = refreshed(Invalidation::Authorized(Unauthorized::Warned));
    assert_eq!((asked.status, asked.text(), &*next), (200, "1 /x", "1 /x"));
    assert!(asked.headers.one("warning").is_some_and(|warning| warning.starts_with("199 ")));

    let (_, asked, _) = refreshed(Invalidation::Authorized(Unauthorized::Ignored));
    assert!(asked.text() == "1 /x" && !asked.headers.has("warning"));
}

#[test]
fn a_flush_is_on_every_core_once_the_version_is_served() {
    let origin = counting("");
    let stage = |generation| {
        cached_api(&origin, &[]).cache_with(|cache| {
            (cache.generation, cache.flushed_before) = (generation, generation);
        })
    };
    let mut plane = DataPlane::with(&Options::new().shards(4), &[stage(1)]);
    let mut clients: Vec<_> = (0..16).map(|_| plane.connect()).collect();
    for generation in 2..6 {
        for client in &mut clients {
            client.exchange(request("GET", "a1", "/"));
        }
        let before = origin.seen().len();
        plane.publish(&[stage(generation)]);
        for client in &mut clients {
            let reply = client.exchange(request("GET", "a1", "/"));
            let number: usize = reply.text().split(' ').next().unwrap().parse().unwrap();
            assert!(number > before, "an answer from before the flush");
        }
    }
    drop(clients);
    plane.assert_at_rest();
}

#[test]
fn an_answer_asked_for_before_a_flush_is_not_kept_after_it() {
    let (origin, flushed) = held(digit);
    let stage = |generation| {
        cached_api(&origin, &[]).cache_with(|cache| {
            (cache.generation, cache.flushed_before) = (generation, generation);
        })
    };
    let mut plane = DataPlane::serving(&[stage(1)]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    origin.wait_for_requests(1);
    plane.publish(&[stage(2)]);
    flushed.send(()).unwrap();
    assert_eq!(client.reply().text(), "0");
    assert_eq!((get(&plane, "/", "").as_str(), get(&plane, "/", "").as_str()), ("1", "1"));
}

#[test]
fn a_purge_takes_what_has_the_tag() {
    let count = AtomicUsize::new(0);
    let origin = Origin::scripted(move |connection, _| {
        while let Ok(Some(seen)) = connection.request() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let tags = seen.target[1..].replace('-', " ");
            let body = format!("{number}");
            connection
                .send(format!(
                    "HTTP/1.1 200 OK\r\nCache-Tag: {tags}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ))
                .unwrap();
        }
    });
    let mut plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let all = |plane: &DataPlane| ["/red", "/blue", "/red-blue", "/reddish"].map(|path| get(plane, path, ""));
    let before = all(&plane);
    assert_eq!(all(&plane), before);
    let purged = cached_api(&origin, &[]).cache_with(|cache| {
        cache.generation = 2;
        cache.purges = vec![TagPurge { tag: "red".to_owned(), purged_before: 2 }];
    });
    plane.publish(&[purged]);
    let after = all(&plane);
    let same: Vec<bool> = before.iter().zip(&after).map(|(before, after)| before == after).collect();
    assert_eq!(same, [false, true, false, true]);
    assert_eq!(all(&plane), after);
}

#[test]
fn an_answer_asked_for_before_a_purge_is_not_given_after_it() {
    let (origin, purged) = held(|number| digit(number).replacen("\r\n", "\r\nCache-Tag: red\r\n", 1));
    let stage = |generation| {
        cached_api(&origin, &[]).cache_with(|cache| {
            cache.generation = generation;
            cache.purges = vec![TagPurge { tag: "red".to_owned(), purged_before: generation }];
        })
    };
    let mut plane = DataPlane::serving(&[stage(1)]);
    let mut client = plane.connect();
    client.send(request("GET", "a1", "/"));
    origin.wait_for_requests(1);
    plane.publish(&[stage(2)]);
    // It came after the purge, and waits for what was asked for before.
    let mut later = plane.connect();
    later.send(request("GET", "a1", "/"));
    until("the other to wait", || {
        (plane.gateway.metrics().sum("turnpike_shard_cache_waits_total", &[]) == 1.0).then_some(())
    });
    purged.send(()).unwrap();
    assert_eq!((client.reply().text(), later.reply().text()), ("0", "1"));
    let kept = get(&plane, "/", "");
    assert!(kept != "0" && get(&plane, "/", "") == kept);
}

#[test]
fn a_redeployed_or_changed_stage_keeps_its_answers() {
    let origin = counting("");
    let mut plane = DataPlane::serving(&[cached_api(&origin, &[])]);
    let before = get(&plane, "/", "");
    plane.publish(&[cached_api(&origin, &[]).route("GET /new", &origin.url("/new"))]);
    assert_eq!(get(&plane, "/", ""), before);
    plane.publish(&[]);
    plane.publish(&[cached_api(&origin, &[])]);
    assert_ne!(get(&plane, "/", ""), before, "the stage was gone in between");
}

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

/// With a canary that has a cache too, for this share of the clients.
fn with_canary((stable, share): (&Origin, u16), trial: &Origin, flushed_before: u64) -> StageBuilder {
    let route =
        |origin: &Origin| http_api("a1").route("$default", &origin.url("{request.path}")).cached(300, &[]);
    let stage = route(stable).cache_with(|cache| {
        (cache.generation, cache.flushed_before) = (flushed_before, flushed_before);
    });
    stage.canary(share, route(trial))
}

/// Each side is asked in turn: all clients are the canary's, or none.
#[test]
fn a_canary_that_shares_and_its_stage_answer_from_what_either_kept() {
    let (stable, trial) = (counting(""), counting(""));
    let stage =
        |share, flushed_before| with_canary((&stable, share), &trial, flushed_before).canary_shares_cache();
    let mut plane = DataPlane::serving(&[stage(0, 1)]);
    assert_eq!(get(&plane, "/stage-s", ""), "1 /stage-s");
    plane.publish(&[stage(10_000, 1)]);
    assert_eq!(get(&plane, "/stage-s", ""), "1 /stage-s");
    assert_eq!(get(&plane, "/canary-s", ""), "1 /canary-s");
    let metrics = plane.gateway.metrics();
    let counts = |name: &str| {
        ["$default", "$default/Canary"].map(|stage| metrics.sum(name, &[&format!("stage=\"{stage}\"")]))
    };
    assert_eq!(
        (counts("turnpike_cache_hit_total"), counts("turnpike_cache_miss_total")),
        ([1.0; 2], [2.0, 1.0])
    );
    // Whoever asks for a new one makes it anew for both.
    assert_eq!(get(&plane, "/stage-s", "Cache-Control: max-age=0\r\n"), "2 /stage-s");
    plane.publish(&[stage(0, 1)]);
    assert_eq!(get(&plane, "/stage-s", ""), "2 /stage-s");
    assert_eq!(get(&plane, "/canary-s", ""), "1 /canary-s");
    assert_eq!((stable.seen().len(), trial.seen().len()), (1, 2));
    plane.publish(&[stage(0, 2)]);
    assert_eq!(get(&plane, "/canary-s", ""), "2 /canary-s");
    plane.publish(&[stage(10_000, 2)]);
    assert_eq!(get(&plane, "/stage-s", ""), "3 /stage-s");
    plane.assert_at_rest();
}

/// A flush takes both.
#[test]
fn a_canary_that_does_not_share_and_its_stage_keep_answers_of_their_own() {
    let (stable, trial) = (counting(""), counting(""));
    let stage = |share, flushed_before| with_canary((&stable, share), &trial, flushed_before);
    let mut plane = DataPlane::serving(&[stage(0, 1)]);
    for (flushed_before, expected) in [(1, 1), (1, 1), (2, 2), (2, 2)] {
        for share in [0, 10_000] {
            plane.publish(&[stage(share, flushed_before)]);
            assert_eq!(get(&plane, "/", ""), format!("{expected} /"));
        }
    }
    assert_eq!((stable.seen().len(), trial.seen().len()), (2, 2));
    plane.assert_at_rest();
}

/// A canary whose routes have no cache leaves the stage's alone.
#[test]
fn a_canary_without_a_cache_is_neither_answered_from_it_nor_kept() {
    let (stable, trial) = (counting(""), counting(""));
    let stage = |share| {
        let canary = http_api("a1").route("$default", &trial.url("{request.path}"));
        cached_api(&stable, &[]).canary(share, canary)
    };
    let mut plane = DataPlane::serving(&[stage(0)]);
    assert_eq!(get(&plane, "/", ""), "1 /");
    plane.publish(&[stage(10_000)]);
    assert_eq!([get(&plane, "/", ""), get(&plane, "/", "")], ["1 /", "2 /"]);
    plane.publish(&[stage(0)]);
    assert_eq!(get(&plane, "/", ""), "1 /");
    assert_eq!(hits_and_misses(&plane), (1.0, 1.0));
    assert_eq!((stable.seen().len(), trial.seen().len()), (1, 2));
    plane.assert_at_rest();
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
