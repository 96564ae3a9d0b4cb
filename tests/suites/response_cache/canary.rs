//! A canary beside its stage.

use super::*;

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
