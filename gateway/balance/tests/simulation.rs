//! Groups under simulated traffic: seeded, in memory, hours in milliseconds.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use turnpike_balance::{
    Balancing, Budget, BudgetRules, Group, Health, Maglev, OutlierRules, Random, Rules, Seat, Target,
    Unavailable, hash_bytes,
};

const BALANCINGS: [Balancing; 3] = [Balancing::RoundRobin, Balancing::LeastRequest, Balancing::Hash];

fn rules(balancing: Balancing) -> Rules {
    Rules { balancing, slow_start_ms: 0, panic_threshold_percent: 0, outliers: None }
}

fn seat(number: u64, weight: u64) -> Seat {
    Seat { key: hash_bytes(&number.to_le_bytes()), weight, priority: 0, health: Health::Healthy }
}

fn seats(weights: &[u64]) -> Vec<Seat> {
    weights.iter().zip(0..).map(|(weight, number)| seat(number, *weight)).collect()
}

fn table(seats: &[Seat]) -> Option<Arc<Maglev>> {
    let targets: Vec<(u64, u64)> = seats.iter().map(|seat| (seat.key, seat.weight)).collect();
    Maglev::build(&targets).map(Arc::new)
}

fn group(rules: Rules, seats: &[Seat], seed: u64) -> Group<()> {
    let mut group = Group::new(rules, seed);
    group.adopt(rules, seats, table(seats), 0, |_| ());
    group
}

fn any(_: &Target<()>) -> bool {
    true
}

/// The keys that requests with the hashes of 0, 1, 2, … go to.
fn picks(group: &mut Group<()>, count: u64, now_ms: u64) -> Vec<u64> {
    let mut pick = |number: u64| {
        let picked = group.pick(Some(hash_bytes(&number.to_le_bytes())), &[], now_ms, any);
        picked.expect("a target").key()
    };
    (0..count).map(&mut pick).collect()
}

fn shares(seats: &[Seat], picks: &[u64]) -> Vec<f64> {
    let mut counts = HashMap::<u64, f64>::new();
    picks.iter().for_each(|key| *counts.entry(*key).or_default() += 1.0);
    let share = |seat: &Seat| counts.get(&seat.key).copied().unwrap_or_default() / picks.len() as f64;
    seats.iter().map(share).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], within: f64, what: &str) {
    let off = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    assert!(off.fold(0.0, f64::max) <= within, "{what}: {found:?} instead of {expected:?}");
}

#[test]
fn shares_follow_weights() {
    for balancing in BALANCINGS {
        for weights in [&[1, 1, 1][..], &[1, 2, 7], &[1_000, 1], &[3; 40], &[1]] {
            let seats = seats(weights);
            let mut group = group(rules(balancing), &seats, 7);
            let picked = picks(&mut group, 20_000, 0);
            let sum: u64 = weights.iter().sum();
            let expected: Vec<f64> = weights.iter().map(|weight| *weight as f64 / sum as f64).collect();
            assert_close(&shares(&seats, &picked), &expected, 0.015, &format!("{balancing:?} {weights:?}"));
        }
    }
}

#[test]
fn round_robin_is_smooth_at_every_moment() {
    let weights = [5, 1, 1, 3];
    let seats = seats(&weights);
    for seed in 0..20 {
        let picked = picks(&mut group(rules(Balancing::RoundRobin), &seats, seed), 1_000, 0);
        for (seat, weight) in seats.iter().zip(weights) {
            for (count, upto) in (1..).zip(picked.iter().scan(0.0, |had, key| {
                *had += f64::from(u8::from(*key == seat.key));
                Some(*had)
            })) {
                let due = f64::from(count) * weight as f64 / 10.0;
                assert!((upto - due).abs() < 3.0, "after {count}: {upto} of {due}");
            }
        }
    }
}

#[test]
fn shards_begin_with_different_targets() {
    let seats = seats(&[1; 8]);
    let first = |seed| picks(&mut group(rules(Balancing::RoundRobin), &seats, seed), 1, 0)[0];
    let mut firsts: Vec<u64> = (0..32).map(first).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() >= 4, "{} of 8", firsts.len());
}

/// Requests that last, to targets of which one is ten times as slow.
#[test]
fn least_request_spares_the_slow_one() {
    let seats = seats(&[1; 5]);
    let mut group = group(rules(Balancing::LeastRequest), &seats, 3);
    let slow = seats[2].key;
    let mut under_way: Vec<(u64, Rc<Target<()>>)> = Vec::new();
    let mut counts = HashMap::<u64, u64>::new();
    for now_ms in 0..20_000 {
        under_way.retain(|(ends_ms, target)| {
            let goes_on = *ends_ms > now_ms;
            if !goes_on {
                target.end();
            }
            goes_on
        });
        let target = group.pick(None, &[], now_ms, any).unwrap();
        target.begin();
        *counts.entry(target.key()).or_default() += 1;
        under_way.push((now_ms + if target.key() == slow { 100 } else { 10 }, target));
    }
    assert!(counts[&slow] < 20_000 / 5 / 2, "{} of 20,000", counts[&slow]);
    assert!(counts[&slow] > 100, "it is still tried");
}

#[test]
fn a_hash_always_finds_the_same_target_on_every_shard() {
    let seats = seats(&[1, 2, 3, 4]);
    let first = picks(&mut group(rules(Balancing::Hash), &seats, 1), 5_000, 0);
    assert_eq!(first, picks(&mut group(rules(Balancing::Hash), &seats, 99), 5_000, 0));
}

#[test]
fn only_the_hashes_of_a_target_that_fails_move_and_they_spread() {
    let all = seats(&[1; 10]);
    let mut group = group(rules(Balancing::Hash), &all, 1);
    let before = picks(&mut group, 20_000, 0);
    let mut sick = all.clone();
    sick[3].health = Health::Unhealthy;
    group.adopt(rules(Balancing::Hash), &sick, table(&sick), 0, |_| ());
    let after = picks(&mut group, 20_000, 0);
    let moved: Vec<u64> =
        before.iter().zip(&after).filter(|(before, after)| before != after).map(|(_, key)| *key).collect();
    assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == all[3].key));
    let expected: Vec<f64> = (0..10).map(|at| if at == 3 { 0.0 } else { 1.0 / 9.0 }).collect();
    assert_close(&shares(&all, &moved), &expected, 0.04, "where they went");
    group.adopt(rules(Balancing::Hash), &all, table(&all), 0, |_| ());
    assert_eq!(before, picks(&mut group, 20_000, 0), "and back");
}

#[test]
fn few_hashes_move_when_the_list_of_targets_changes() {
    let ten = seats(&[1; 10]);
    let before = picks(&mut group(rules(Balancing::Hash), &ten, 1), 20_000, 0);
    for (what, changed) in [("one less", seats(&[1; 9])), ("one more", seats(&[1; 11]))] {
        let after = picks(&mut group(rules(Balancing::Hash), &changed, 1), 20_000, 0);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        let share = moved as f64 / before.len() as f64;
        assert!((0.08..0.16).contains(&share), "{what}: {share}, at least a tenth has to");
    }
}

#[test]
fn a_late_target_starts_slowly() {
    for balancing in BALANCINGS {
        let slow = Rules { slow_start_ms: 10_000, ..rules(balancing) };
        let (two, three) = (seats(&[1, 1]), seats(&[1, 1, 1]));
        let mut group = group(slow, &two, 5);
        assert_close(&shares(&two, &picks(&mut group, 4_000, 0)), &[0.5, 0.5], 0.05, "all start at once");
        group.adopt(slow, &three, table(&three), 20_000, |_| ());
        let mut last = 0.0;
        for (elapsed_ms, ramp) in [(0, 0.1), (2_500, 0.25), (5_000, 0.5), (10_000, 1.0)] {
            // The turn that was fixed at the beginning is behind.
            picks(&mut group, 60, 20_000 + elapsed_ms);
            let share = shares(&three, &picks(&mut group, 6_000, 20_000 + elapsed_ms))[2];
            assert!((share - ramp / (2.0 + ramp)).abs() < 0.07, "{balancing:?} at {elapsed_ms}: {share}");
            assert!(share > last, "{balancing:?} at {elapsed_ms}: {share} after {last}");
            last = share;
        }
    }
}

#[test]
fn the_unhealthy_get_nothing_until_too_few_are_left() {
    use Health::{Healthy, Unhealthy, Unknown};
    // States, threshold, which are used, panic.
    let table: [(&[Health], u8, &[usize], bool); 9] = [
        (&[Healthy, Unhealthy, Healthy], 50, &[0, 2], false),
        (&[Healthy, Unhealthy, Unhealthy], 50, &[0, 1, 2], true),
        (&[Healthy, Unhealthy, Unhealthy], 0, &[0], false),
        (&[Unhealthy, Unhealthy], 0, &[], false),
        (&[Unhealthy, Unhealthy], 1, &[0, 1], true),
        (&[Unknown, Unknown], 50, &[0, 1], false),
        (&[Unknown, Healthy, Unknown, Unknown], 50, &[1], false),
        (&[Unknown, Unhealthy], 50, &[0], false),
        (&[], 50, &[], false),
    ];
    for (states, threshold, used, panics) in table {
        let seats: Vec<Seat> =
            states.iter().zip(0..).map(|(health, at)| Seat { health: *health, ..seat(at, 1) }).collect();
        let rules = Rules { panic_threshold_percent: threshold, ..rules(Balancing::RoundRobin) };
        let mut group = group(rules, &seats, 1);
        let usable = |at: &usize| group.targets()[*at].is_usable();
        let found: Vec<usize> = (0..seats.len()).filter(usable).collect();
        assert_eq!((&*found, group.is_panicking()), (used, panics), "{states:?} {threshold}");
        let picked = group.pick(None, &[], 0, any);
        assert_eq!(picked.err(), used.is_empty().then_some(Unavailable::NoTarget));
    }
}

#[test]
fn a_lower_priority_waits_until_the_better_ones_fail() {
    use Health::{Healthy, Unhealthy};
    let seats = |states: [Health; 3]| -> Vec<Seat> {
        let priorities = [10, 10, 20];
        let seat = |at: usize| Seat { health: states[at], priority: priorities[at], ..seat(at as u64, 1) };
        (0..3).map(seat).collect()
    };
    for (states, threshold, used) in [
        ([Healthy, Healthy, Healthy], 50, vec![0, 1]),
        ([Healthy, Unhealthy, Healthy], 50, vec![0]),
        ([Healthy, Unhealthy, Healthy], 60, vec![2]),
        ([Unhealthy, Unhealthy, Healthy], 0, vec![2]),
        ([Unhealthy, Unhealthy, Unhealthy], 50, vec![0, 1, 2]),
    ] {
        let rules = Rules { panic_threshold_percent: threshold, ..rules(Balancing::RoundRobin) };
        let group = group(rules, &seats(states), 1);
        let found: Vec<usize> = (0..3).filter(|at| group.targets()[*at].is_usable()).collect();
        assert_eq!(found, used, "{states:?} {threshold}");
    }
}

#[test]
fn a_request_goes_elsewhere_after_a_failure_if_there_is_elsewhere() {
    for balancing in BALANCINGS {
        let two = seats(&[1_000, 1]);
        let mut group = group(rules(balancing), &two, 9);
        for number in 0..500_u64 {
            let hash = Some(hash_bytes(&number.to_le_bytes()));
            let first = group.pick(hash, &[], 0, any).unwrap().key();
            let second = group.pick(hash, &[first], 0, any).unwrap().key();
            assert_ne!(first, second);
            let third = group.pick(hash, &[first, second], 0, any);
            assert!(third.is_ok(), "{balancing:?}: all were tried, so one is tried again");
        }
    }
}

#[test]
fn what_is_full_is_passed_over() {
    for balancing in BALANCINGS {
        let mut group = group(rules(balancing), &seats(&[1; 4]), 2);
        for round in 0..12 {
            let target = group.pick(Some(round), &[], 0, |target| target.in_flight() < 3).unwrap();
            target.begin();
        }
        assert!(group.targets().iter().all(|target| target.in_flight() == 3), "{balancing:?}");
        let full = group.pick(Some(1), &[], 0, |target| target.in_flight() < 3);
        assert_eq!(full.unwrap_err(), Unavailable::Full);
    }
}

const OUTLIERS: OutlierRules = OutlierRules {
    consecutive_failures: 3,
    ejection_ms: 1_000,
    ejection_ms_max: 10_000,
    ejected_percent_max: 40,
};

#[test]
fn ejection_never_passes_its_share_whatever_fails() {
    let mut random = Random::seeded(11);
    for percent in [0, 10, 40, 100] {
        let outliers = OutlierRules { ejected_percent_max: percent, ..OUTLIERS };
        let rules = Rules { outliers: Some(outliers), ..rules(Balancing::LeastRequest) };
        let mut group = group(rules, &seats(&[1; 7]), 4);
        let mut most = 0;
        for now_ms in 0..30_000 {
            let Ok(target) = group.pick(None, &[], now_ms, any) else {
                assert_eq!(percent, 100);
                continue;
            };
            if random.fraction() < 0.8 {
                group.note_failure(&target, now_ms);
            } else {
                target.note_success();
            }
            let ejected = group.targets().iter().filter(|target| target.is_ejected()).count();
            assert!(ejected * 100 <= 7 * usize::from(percent), "{ejected} of 7, {percent} %");
            most = most.max(ejected);
        }
        assert_eq!(most, 7 * usize::from(percent) / 100, "{percent} % are made use of");
    }
}

#[test]
fn an_ejected_target_comes_back_and_is_out_for_longer_each_time() {
    let rules = Rules { outliers: Some(OUTLIERS), ..rules(Balancing::RoundRobin) };
    let mut group = group(rules, &seats(&[1; 4]), 4);
    let bad = Rc::clone(&group.targets()[1]);
    let mut now_ms = 0;
    for expected_ms in [1_000, 2_000, 3_000] {
        let ejection =
            (0..3).find_map(|_| group.note_failure(&bad, now_ms)).expect("three failures in a row");
        assert_eq!((ejection.for_ms, ejection.failures), (expected_ms, 3));
        now_ms = ejection.until_ms - 1;
        assert!(!picks(&mut group, 100, now_ms).contains(&bad.key()), "at {now_ms}");
        now_ms += 1;
        assert!(picks(&mut group, 100, now_ms).contains(&bad.key()), "at {now_ms}");
    }
}

#[test]
fn ejections_count_towards_panic() {
    let outliers = OutlierRules { ejected_percent_max: 100, ..OUTLIERS };
    let rules =
        Rules { outliers: Some(outliers), panic_threshold_percent: 50, ..rules(Balancing::RoundRobin) };
    let mut group = group(rules, &seats(&[1; 3]), 4);
    for at in 0..2 {
        let bad = Rc::clone(&group.targets()[at]);
        fail_three_times(&mut group, &bad);
    }
    assert!(group.is_panicking());
    assert_close(&shares(&seats(&[1; 3]), &picks(&mut group, 300, 0)), &[1.0 / 3.0; 3], 0.02, "all are used");
    group.refresh(1_000);
    assert!(!group.is_panicking());
}

#[test]
fn what_is_known_of_a_target_stays_with_its_key() {
    let rules = Rules { outliers: Some(OUTLIERS), ..rules(Balancing::RoundRobin) };
    let mut group = group(rules, &seats(&[1; 3]), 4);
    let bad = Rc::clone(&group.targets()[2]);
    bad.begin();
    fail_three_times(&mut group, &bad);
    let mut reordered = seats(&[1; 6]);
    reordered.reverse();
    group.adopt(rules, &reordered, None, 10, |_| ());
    let found = group.targets().iter().find(|target| target.key() == bad.key()).unwrap();
    assert!(Rc::ptr_eq(found, &bad) && found.is_ejected() && !found.is_usable() && found.in_flight() == 1);
    group.adopt(rules, &seats(&[1; 2]), None, 20, |_| ());
    assert_eq!(group.note_failure(&bad, 30), None, "it isn't one of the group's any more");
}

#[test]
fn a_budget_holds_for_whatever_comes() {
    let mut random = Random::seeded(21);
    let rules = BudgetRules { percent: 20, retries_min: 3 };
    let budget = Budget::default();
    let (mut allowed, mut refused) = (0, 0);
    for _ in 0..100_000 {
        match random.below(4) {
            0 => budget.begin_request(),
            1 if budget.requests() > 0 => budget.end_request(),
            2 if budget.retries() > 0 => budget.end_retry(),
            3 => {
                if budget.begin_retry(rules) {
                    allowed += 1;
                    let share = (budget.requests() * 20 / 100).max(3);
                    assert!(budget.retries() <= share, "{budget:?}");
                } else {
                    refused += 1;
                    assert!(budget.retries() >= 3 && budget.retries() >= budget.requests() * 20 / 100);
                }
            }
            _ => {}
        }
    }
    assert!(allowed > 1_000 && refused > 1_000, "{allowed} and {refused}");
}

fn fail_three_times(group: &mut Group<()>, target: &Target<()>) {
    for _ in 0..3 {
        group.note_failure(target, 0);
    }
}
