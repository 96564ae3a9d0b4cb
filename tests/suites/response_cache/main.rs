//! Stages with a response cache, as API Gateway has them: the operator says for how long.

mod anew;
mod bounds;
mod canary;
mod waiting;

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
