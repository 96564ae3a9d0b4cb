//! Throttles hold over an upgrade: what was used up stays so, and both processes together admit no more than one may, in
//! every window, while one drains and the other serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use turnpike_snapshot::Throttle;
use turnpike_tests::{Client, DataPlane, Options, Origin, StageBuilder, burst, request, rest_api, until};

/// Shards that the host's cores allow, two at most. On a busy host the limiter may answer late: requests wait for it.
fn options() -> Options {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Options::new().shards(cores.min(2)).set("limit_wait_ms", "10000")
}

fn stage(origin: &Origin, throttle: Throttle) -> StageBuilder {
    rest_api("r1", "prod").route("GET /some", &origin.url("/some")).throttled(throttle)
}

fn some() -> String {
    request("GET", "r1", "/prod/some")
}

/// One connection, which is closed with the answer where its process drains.
fn is_admitted(client: &mut Client) -> bool {
    let status = client.exchange(some()).status;
    assert!(matches!(status, 200 | 429), "{status}");
    status == 200
}

/// Until so many got through, over new connections; then none does any more. A token that another shard holds comes home
/// within some milliseconds: a refusal meanwhile is no mistake, and one token more would be.
fn exhaust(plane: &DataPlane, tokens: usize) {
    let mut clients: Vec<Client> = (0..4).map(|_| plane.connect()).collect();
    let mut admitted = 0;
    let mut round = || {
        admitted += clients.iter_mut().map(is_admitted).filter(|admitted| *admitted).count();
        admitted
    };
    until("the throttle's tokens to be used up", || (round() >= tokens).then_some(()));
    for _ in 0..4 {
        round();
    }
    assert_eq!(admitted, tokens);
}

#[test]
fn what_was_used_up_before_an_upgrade_stays_so() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&options(), &[stage(&origin, burst(25))]);
    let mut before = plane.connect();
    assert_eq!((0..10).filter(|_| is_admitted(&mut before)).count(), 10);
    plane.gateway.upgrade();
    exhaust(&plane, 15);
    assert_eq!(origin.seen().len(), 25);
    drop(before);
    assert!(plane.gateway.process().wait().success());
    exhaust(&plane, 0);
    plane.assert_at_rest();
}

#[test]
fn who_is_with_the_old_process_gets_tokens_of_the_same_bucket() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&options(), &[stage(&origin, burst(25))]);
    let mut kept: Vec<Client> = (0..6).map(|_| plane.connect()).collect();
    assert!(kept.iter_mut().all(is_admitted));
    plane.gateway.upgrade();
    // Each answer of the old process closes.
    assert!(kept[..4].iter_mut().all(is_admitted), "of what is left");
    exhaust(&plane, 25 - 6 - 4);
    assert!(!kept[4..].iter_mut().any(is_admitted));
    assert!(plane.gateway.process().wait().success());
    assert_eq!(origin.seen().len(), 25);
    plane.assert_at_rest();
}

#[test]
fn two_upgrades_in_a_row_hand_on_what_the_first_process_asks_for() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&options(), &[stage(&origin, burst(25))]);
    let mut kept: Vec<Client> = (0..3).map(|_| plane.connect()).collect();
    assert!(kept.iter_mut().all(is_admitted));
    for _ in 0..2 {
        let output = plane.gateway.ask_for_upgrade(&[]);
        assert!(output.status.success(), "{output:?}");
        plane.gateway.follow_successor();
    }
    assert!(is_admitted(&mut kept[0]), "the process between both has drained, and stays for the first");
    exhaust(&plane, 25 - 3 - 1);
    assert!(!is_admitted(&mut kept[1]));
    drop(kept);
    plane.assert_at_rest();
    assert_eq!(origin.seen().len(), 25);
}

#[test]
fn a_predecessor_that_is_killed_takes_what_it_held_along_and_no_more() {
    let origin = Origin::echo();
    let mut plane = DataPlane::with(&options(), &[stage(&origin, burst(25))]);
    let mut kept = plane.connect();
    assert!((0..5).all(|_| is_admitted(&mut kept)));
    let first = Pid::from_raw(plane.gateway.process().id().cast_signed()).unwrap();
    plane.gateway.upgrade();
    assert!(is_admitted(&mut plane.connect()), "the bucket has come");
    kill_process(first, Signal::KILL).unwrap();
    let mut admitted = 6;
    let mut client = plane.connect();
    until("refusals", || {
        let refused = (0..25).filter(|_| !is_admitted(&mut client)).count();
        admitted += 25 - refused;
        (refused == 25).then_some(())
    });
    // What it held at its end counts as spent: of one connection, a few.
    assert!((15..=25).contains(&admitted), "{admitted}");
    drop((client, kept));
    plane.assert_at_rest();
}

/// When each request that got through was sent and answered.
fn ask_until(plane: &DataPlane, stop: &AtomicBool, keeps: bool) -> Vec<(Instant, Instant)> {
    let (mut admitted, mut client) = (Vec::new(), None);
    while !stop.load(Ordering::Relaxed) {
        let mut open = client.take().unwrap_or_else(|| Client::connect(plane.gateway.address));
        let before = Instant::now();
        let reply = open.exchange(some());
        match reply.status {
            200 => admitted.push((before, Instant::now())),
            429 => std::thread::yield_now(),
            status => panic!("{status}"),
        }
        if keeps && reply.headers.one("connection") != Some("close") {
            client = Some(open);
        }
    }
    admitted
}

#[test]
fn no_window_has_more_than_the_bound_while_processes_change_under_load() {
    const RATE_PER_S: f64 = 400.0;
    const BURST: f64 = 60.0;
    let origin = Origin::replying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let throttle = Throttle::new(400_000, 60);
    let mut plane = DataPlane::with(&options(), &[stage(&origin, throttle)]);
    let mut admitted = Vec::new();
    for _ in 0..3 {
        let stop = AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..6)
                .map(|number| {
                    let (plane, stop) = (&plane, &stop);
                    scope.spawn(move || ask_until(plane, stop, number % 3 > 0))
                })
                .collect();
            let seen = |more: usize| {
                let before = origin.seen().len();
                until("requests", || (origin.seen().len() >= before + more).then_some(()));
            };
            // The burst is spent by then.
            seen(120);
            let output = plane.gateway.ask_for_upgrade(&[]);
            seen(120);
            stop.store(true, Ordering::Relaxed);
            clients.into_iter().for_each(|client| admitted.extend(client.join().unwrap()));
            output
        });
        assert!(output.status.success(), "{output:?}");
        plane.gateway.follow_successor();
    }
    let mut answered: Vec<Instant> = admitted.iter().map(|(_, after)| *after).collect();
    let mut sent: Vec<Instant> = admitted.iter().map(|(before, _)| *before).collect();
    answered.sort();
    sent.sort();
    // Of those answered by its end, all but those that were sent before its beginning came within a window.
    for (earlier, from) in sent.iter().enumerate() {
        for (before, to) in answered.iter().enumerate() {
            let Some(window) = to.checked_duration_since(*from) else { continue };
            let within = (before + 1).saturating_sub(earlier) as f64;
            let allowed = BURST + RATE_PER_S * window.as_secs_f64();
            assert!(within <= allowed + 1e-6, "{within} of {allowed} within {window:?}");
        }
    }
    assert!(admitted.len() >= 600, "{}", admitted.len());
    assert!(sent[sent.len() - 1] - sent[0] > Duration::from_millis(500));
}
