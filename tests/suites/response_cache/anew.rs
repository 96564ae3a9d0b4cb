//! How kept answers are renewed: by a client that may, a flush, a purge, a deployment.

use super::*;

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
