//! Tokens that are taken from the authority as spent, among those that are leased: every limit holds all the same.

use turnpike_balance::Random;
use turnpike_limits::{Begun, Holder, LeaseRules, Leases, Limit, LimitId, Limiter, LimiterRules, Rate};

use crate::exactness::{
    any_plan, assert_holds_crowded_or_left, assert_holds_while_it_changes, assert_holds_while_shards_end,
    plan_to_change,
};
use crate::world::{Plan, World};

/// Of which few are asked for twice within a tick.
fn many_callers(seed: u64) -> Plan {
    let mut random = Random::seeded(seed);
    let callers = 60;
    let rates = (0..=callers).map(|_| Rate::new(1.0 + 9.0 * random.fraction(), 1 + random.below(3) as u32));
    let rates: Vec<Rate> = [Rate::new(20_000.0, 2_000)].into_iter().chain(rates).collect();
    Plan { kinds: (1..=callers).map(|caller| vec![0, caller]).collect(), rates, ..any_plan(seed) }
}

#[test]
fn every_limit_holds_whatever_is_delayed_crowded_or_left() {
    for seed in 3_000..3_050 {
        let mut world = World::new(if seed % 2 == 0 { many_callers(seed) } else { any_plan(seed) });
        world.at_hand_one_in = [1, 1, 2][seed as usize % 3];
        world.at_once_one_in = [1, 0, 2][seed as usize % 3];
        assert_holds_crowded_or_left(world, [0, 50][seed as usize % 2]);
    }
}

#[test]
fn every_limit_holds_while_shards_end() {
    for seed in 4_000..4_020 {
        let mut world = World::new(if seed % 2 == 0 { many_callers(seed) } else { any_plan(seed) });
        (world.at_hand_one_in, world.at_once_one_in) = (1, 1);
        assert_holds_while_shards_end(world, seed % 2 == 0);
    }
}

#[test]
fn every_limit_holds_while_it_changes() {
    for seed in 5_000..5_020 {
        let mut random = Random::seeded(seed);
        let mut world = World::new(plan_to_change(seed, &mut random));
        (world.at_hand_one_in, world.at_once_one_in) = (1, 1);
        assert_holds_while_it_changes(world, random);
    }
}

#[test]
fn most_of_many_callers_need_no_lease() {
    let mut world = World::new(Plan { limits_max: 1_000, leases_max: 1_000, ..many_callers(6_000) });
    (world.at_hand_one_in, world.at_once_one_in) = (1, 1);
    world.plan.requests_per_s = 1_000.0;
    world.run_for_s(1.0);
    let outcomes = world.outcomes;
    assert!(outcomes.at_hand * 2 > outcomes.admitted && outcomes.refused > 0, "{outcomes:?}");
}

#[test]
fn a_limit_that_is_asked_for_twice_within_a_tick_is_leased() {
    let mut limiter = Limiter::new(LimiterRules { holders: 1, limits_max: 3 });
    let rules = LeaseRules { holder: Holder(0), holders: 1, wait_us: 1, waiting_max: 1, leases_max: 3 };
    let mut leases = Leases::new(rules);
    let limit = |id| Limit { id: LimitId(id), rate: Rate::new(1.0, 2) };
    let mut begin = |leases: &mut Leases, ids: &[u64]| {
        let limits: Vec<Limit> = ids.iter().map(|id| limit(*id)).collect();
        leases.begin_at_hand(&limits, 1, 0, |unknown| limiter.spend(unknown, 1, 0))
    };
    assert_eq!((begin(&mut leases, &[1, 2]), leases.len()), (Begun::Admitted, 0));
    leases.tick(0);
    assert_eq!((begin(&mut leases, &[1]), leases.len()), (Begun::Admitted, 0), "it was forgotten");
    assert_eq!((begin(&mut leases, &[1]), leases.len()), (Begun::Lacks, 1));
}

#[test]
fn all_or_nothing() {
    let mut limiter = Limiter::new(LimiterRules { holders: 1, limits_max: 3 });
    let limit = |id, burst| Limit { id: LimitId(id), rate: Rate::new(1.0, burst) };
    let (wide, narrow, closed) = (limit(1, 3), limit(2, 1), limit(3, 0));
    assert!(limiter.spend(&[wide, narrow], 1, 0));
    assert!(!limiter.spend(&[wide, narrow], 1, 0) && !limiter.spend(&[wide, closed], 1, 0));
    assert!(!limiter.spend(&[wide, wide, wide], 1, 0), "one bucket has but two");
    assert!(limiter.spend(&[wide], 1, 0) && limiter.spend(&[wide], 1, 0));
    assert!(!limiter.spend(&[wide], 1, 0) && limiter.spend(&[wide], 1, 1_000_000));
    // What was put back isn't away, so that all is as new after a while.
    limiter.sweep(3, 10_000_000);
    assert!(limiter.is_empty());
    assert!(limiter.spend(&[wide, narrow], 1, 10_000_000) && !limiter.spend(&[closed, limit(4, 1)], 1, 0));
}
