//! Whatever happens, every limit holds in every window.

use turnpike_balance::Random;
use turnpike_limits::Rate;

use crate::world::{AWFUL, BUSY, Plan, QUICK, World};

/// A rate that bites at some thousand requests a second, now and then.
pub(crate) fn any_rate(random: &mut Random) -> Rate {
    let tokens_per_s = 10_f64.powf(random.fraction() * 5.0 - 0.5);
    let burst = 10_f64.powf(random.fraction() * 3.5).ceil();
    Rate::new(tokens_per_s, burst as u32)
}

pub(crate) fn any_plan(seed: u64) -> Plan {
    let mut random = Random::seeded(seed);
    let shards = [1, 2, 3, 8, 64][random.below(5)];
    let rates: Vec<Rate> = (0..8).map(|_| any_rate(&mut random)).collect();
    Plan {
        delays: [QUICK, BUSY, AWFUL][random.below(3)],
        skewed: random.below(2) == 0,
        kinds: vec![vec![0], vec![0, 1], vec![0, 1, 2], vec![0, 3], vec![4], vec![0, 1, 5, 6, 7]],
        rates,
        limits_max: [1_000, 4][random.below(2)],
        leases_max: [1_000, 3, 6][random.below(3)],
        waiting_max: [1_000, 2][random.below(2)],
        wait_us: [50_000, 1_000][random.below(2)],
        ..Plan::of(seed, shards, Rate::new(1.0, 1), 3_000.0 + 20_000.0 * random.fraction())
    }
}

pub(crate) fn plan_to_change(seed: u64, random: &mut Random) -> Plan {
    Plan { delays: [QUICK, BUSY][random.below(2)], ..any_plan(seed) }
}

/// One of so many reports finds no room; 0: none.
pub(crate) fn assert_holds_crowded_or_left(mut world: World, unsent_one_in: usize) {
    (world.unsent_one_in, world.leaving_one_in) = (unsent_one_in, 50);
    world.run_for_s(0.5);
    world.assert_limits_hold();
    assert!(world.leases_len_most() <= world.plan.leases_max && world.limiter.len() <= world.plan.limits_max);
    world.unsent_one_in = 0;
    world.come_to_rest();
    world.assert_limits_hold();
}

/// All but the last of them, one after the other.
pub(crate) fn assert_holds_while_shards_end(mut world: World, orderly: bool) {
    for shard in 0..world.plan.shards - 1 {
        world.run_for_s(0.5 / world.plan.shards as f64);
        world.end_shard(shard, orderly);
    }
    world.run_for_s(0.3);
    world.come_to_rest();
    world.assert_limits_hold();
}

pub(crate) fn assert_holds_while_it_changes(mut world: World, mut random: Random) {
    for _ in 0..4 {
        world.run_for_s(0.1);
        let limit = random.below(world.plan.rates.len());
        let rate = if random.below(5) == 0 { Rate::new(0.0, 5) } else { any_rate(&mut random) };
        world.change(limit, rate);
    }
    world.come_to_rest();
    world.assert_limits_hold();
}

#[test]
fn every_limit_holds_whatever_is_delayed_crowded_or_left() {
    for seed in 0..150 {
        let mut world = World::new(any_plan(seed));
        world.at_once_one_in = [0, 1, 2][seed as usize % 3];
        assert_holds_crowded_or_left(world, [0, 50][seed as usize % 2]);
    }
}

#[test]
fn every_limit_holds_while_shards_end() {
    for seed in 1_000..1_060 {
        let mut world = World::new(any_plan(seed));
        world.at_once_one_in = [0, 1, 2][seed as usize % 3];
        assert_holds_while_shards_end(world, seed % 2 == 0);
    }
}

#[test]
fn every_limit_holds_while_it_changes() {
    for seed in 2_000..2_060 {
        let mut random = Random::seeded(seed);
        let mut world = World::new(plan_to_change(seed, &mut random));
        world.at_once_one_in = [0, 1, 2][seed as usize % 3];
        assert_holds_while_it_changes(world, random);
    }
}
