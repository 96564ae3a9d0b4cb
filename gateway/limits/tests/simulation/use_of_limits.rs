//! Where more is asked for than a limit allows, it is made use of.

use turnpike_limits::Rate;

use crate::window::ideal_us;
use crate::world::{BUSY, Delays, Plan, QUICK, World};

/// Of what one bucket without any distance to its users admits, the share that was: of so many tokens, once the first
/// burst is spent.
fn share(shards: usize, rate: Rate, load: f64, skewed: bool, delays: Delays, tokens: f64) -> f64 {
    let tokens_per_s = rate.micro_tokens_per_s() as f64 / 1e6;
    let plan = Plan::of(shards as u64, shards, rate, tokens_per_s * load);
    let first_s = 1.5 * f64::from(rate.burst_tokens()) / (tokens_per_s * (load - 1.0));
    let mut world = World::new(Plan { skewed, delays, ..plan });
    world.run_for_s(first_s + tokens / tokens_per_s);
    world.assert_limits_hold();
    let count = |times_us: &[u64]| times_us.iter().filter(|at_us| **at_us as f64 / 1e6 > first_s).count();
    count(&world.admitted_us[0]) as f64 / count(&ideal_us(rate, &world.arrivals_us)) as f64
}

#[test]
fn at_saturation_no_more_than_a_thousandth_is_lost() {
    let rates = [(0.5, 5), (100.0, 20), (1_000.0, 50), (10_000.0, 2_000)];
    for (number, (tokens_per_s, burst)) in rates.into_iter().enumerate() {
        for (turn, shards) in [1, 2, 4, 16, 64].into_iter().enumerate() {
            for (delays, skewed) in [(QUICK, false), (BUSY, true)] {
                let load = [1.5, 4.0][(number + turn) % 2];
                let share = share(shards, Rate::new(tokens_per_s, burst), load, skewed, delays, 10_000.0);
                assert!(
                    share >= 0.999,
                    "{shards} shards, {tokens_per_s}/s, {load}, {skewed}, {delays:?}: {share}"
                );
            }
        }
    }
}

/// What shards have in hand at the end is more here, and so are the tokens that it is compared with.
#[test]
fn high_rates_are_made_use_of() {
    for (shards, tokens_per_s, burst, skewed, delays) in [
        (4, 100_000.0, 2_000, true, BUSY),
        (64, 100_000.0, 2_000, true, QUICK),
        (4, 1_000_000.0, 5_000, true, QUICK),
        (64, 1_000_000.0, 10_000, true, BUSY),
    ] {
        let share = share(shards, Rate::new(tokens_per_s, burst), 1.5, skewed, delays, 400_000.0);
        assert!(share >= 0.999, "{shards} shards, {tokens_per_s}/s, {skewed}, {delays:?}: {share}");
    }
}

/// What the crate's documentation says of bursts that are too small for the distance.
#[test]
fn a_small_burst_is_made_use_of_as_far_as_the_distance_allows() {
    let distance_s = 2.0 * (QUICK.least_us + QUICK.mean_us) as f64 / 1e6;
    for (tokens_per_s, burst) in [(100.0, 1), (1_000.0, 2), (10_000.0, 1), (100_000.0, 1), (100_000.0, 20)] {
        let share = share(4, Rate::new(tokens_per_s, burst), 4.0, true, QUICK, 10_000.0);
        let possible = f64::min(1.0, f64::from(burst) / (tokens_per_s * distance_s + 1.0));
        assert!(share >= 0.99 * possible, "{tokens_per_s}/s, burst {burst}: {share} of {possible}");
    }
}
