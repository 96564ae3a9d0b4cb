//! How sure a ratio of two means is, without assuming how values are distributed: a bootstrap in two stages. Runs are
//! drawn with replacement, so that what differs from run to run counts, and within each run blocks of consecutive
//! intervals, so that what lasts for longer than an interval does (moving blocks: Künsch, The Annals of Statistics 17,
//! 1989, here in a circle; runs first: Kalibera and Jones, Rigorous Benchmarking in Reasonable Time, 2013). The same input gives
//! the same result: chance has a fixed seed.

use crate::schedule::SplitMix;

const RESAMPLES: usize = 2_000;
const SEED: u64 = 0x7475_726e;
/// Share of the resamples that an interval of confidence holds.
pub(super) const CONFIDENCE: f64 = 0.99;

/// One side: for each run the values of its intervals, in order; no run is empty.
pub(super) type Side = [Vec<f64>];

/// A value, and where it lies with `CONFIDENCE`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Compares the means of two sides by `relate(before, after)`.
pub(super) fn estimate(before: &Side, after: &Side, relate: fn(f64, f64) -> f64) -> Estimate {
    let mut random = SplitMix(SEED);
    let mut resampled: Vec<f64> =
        (0..RESAMPLES).map(|_| relate(resample(before, &mut random), resample(after, &mut random))).collect();
    resampled.sort_by(f64::total_cmp);
    let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
    let outside = (1.0 - CONFIDENCE) / 2.0;
    Estimate { value: relate(mean(before), mean(after)), low: at(outside), high: at(1.0 - outside) }
}

/// The mean over runs of the mean over each run's intervals.
pub(super) fn mean(side: &Side) -> f64 {
    side.iter().map(|run| run.iter().sum::<f64>() / run.len() as f64).sum::<f64>() / side.len() as f64
}

fn resample(side: &Side, random: &mut SplitMix) -> f64 {
    let runs = side.len();
    (0..runs).map(|_| resample_run(&side[random.next_below(runs)], random)).sum::<f64>() / runs as f64
}

fn resample_run(run: &[f64], random: &mut SplitMix) -> f64 {
    let block = block_length(run.len());
    let mut sum = 0.0;
    let mut drawn = 0;
    while drawn < run.len() {
        let from = random.next_below(run.len());
        let length = block.min(run.len() - drawn);
        sum += (from..from + length).map(|index| run[index % run.len()]).sum::<f64>();
        drawn += length;
    }
    sum / run.len() as f64
}

/// The cube root of the length, the order that serves means best.
fn block_length(values: usize) -> usize {
    (values as f64).cbrt().ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(mean: f64, noise: f64, values: usize, seed: u64) -> Vec<f64> {
        let mut random = SplitMix(seed);
        (0..values).map(|_| mean + noise * (random.next_unit() - 0.5)).collect()
    }

    fn ratio(before: &Side, after: &Side) -> Estimate {
        estimate(before, after, |before, after| after / before)
    }

    #[test]
    fn a_difference_beyond_the_noise_excludes_one() {
        let (before, after) = ([noisy(100.0, 10.0, 60, 1)], [noisy(105.0, 10.0, 60, 2)]);
        let ratio = ratio(&before, &after);
        assert!((ratio.value - 1.05).abs() < 0.02 && ratio.low > 1.0 && ratio.high < 1.1, "{ratio:?}");
    }

    #[test]
    fn chance_alone_rarely_looks_like_a_difference() {
        let differ = (0..200).filter(|seed| {
            let (before, after) =
                ([noisy(100.0, 10.0, 60, 2 * seed)], [noisy(100.0, 10.0, 60, 2 * seed + 1)]);
            let ratio = ratio(&before, &after);
            ratio.low > 1.0 || ratio.high < 1.0
        });
        // 2 of 200 are to be expected.
        assert!(differ.count() <= 8);
    }

    #[test]
    fn what_differs_from_run_to_run_counts_as_noise() {
        let runs = |means: [f64; 5], seed| {
            let mut seed = seed;
            means.map(|mean| {
                seed += 1;
                noisy(mean, 1.0, 60, seed)
            })
        };
        // Within each run the noise is tiny, but the runs of one side differ by more than the sides do.
        let ratio =
            ratio(&runs([90.0, 95.0, 100.0, 105.0, 110.0], 1), &runs([92.0, 98.0, 102.0, 107.0, 111.0], 50));
        assert!(ratio.low < 1.0 && ratio.high > 1.0, "{ratio:?}");
    }

    #[test]
    fn the_same_input_gives_the_same_interval() {
        let (before, after) = ([noisy(1.0, 1.0, 30, 1)], [noisy(1.0, 1.0, 30, 2)]);
        assert_eq!(ratio(&before, &after), ratio(&before, &after));
    }
}
