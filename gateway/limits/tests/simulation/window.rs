//! Checks a limit against the times at which it admitted something.

use turnpike_limits::Rate;

/// Units of the checker in a token: with rates in millionths, a microsecond refills a whole number.
const TOKEN: i128 = 1_000_000_000_000;

/// The rate from a time on; the first is in force from 0.
pub(crate) type Schedule = Vec<(u64, Rate)>;

/// What a schedule refills in all until a time.
fn refilled(schedule: &Schedule, until_us: u64) -> i128 {
    let ends = schedule.iter().skip(1).map(|(from_us, _)| *from_us).chain([u64::MAX]);
    let parts = schedule.iter().zip(ends).map(|((from_us, rate), end_us)| {
        let elapsed_us = end_us.min(until_us).saturating_sub(*from_us);
        i128::from(rate.micro_tokens_per_s()) * i128::from(elapsed_us)
    });
    parts.sum()
}

/// Asserts `admitted <= burst + rate * window` for every window that begins and ends with an admission, and so for
/// all. With changes of the rate, the burst is the largest of all.
#[track_caller]
pub(crate) fn assert_holds(schedule: &Schedule, admitted_us: &[u64], what: &str) {
    assert!(admitted_us.is_sorted());
    let burst = schedule.iter().map(|(_, rate)| rate.burst_tokens()).max().unwrap_or(0);
    // For all i <= j: (j + 1 - i) - (R(j) - R(i)) <= burst, so that the least of i - R(i) decides for each j.
    let mut least = i128::MAX;
    for (before, at_us) in (0_i128..).zip(admitted_us) {
        let refilled = refilled(schedule, *at_us);
        least = least.min(before * TOKEN - refilled);
        let excess = (before + 1) * TOKEN - refilled - least - i128::from(burst) * TOKEN;
        assert!(excess <= 0, "{what}: {excess} units too much at {at_us} us, after {before}");
    }
}

/// When one bucket without any distance to its users admits something, of requests at these times.
pub(crate) fn ideal_us(rate: Rate, arrivals_us: &[u64]) -> Vec<u64> {
    let (mut spent, mut as_of_us) = (0_i128, 0);
    let admitted = arrivals_us.iter().copied().filter(|at_us| {
        let refill = i128::from(rate.micro_tokens_per_s()) * i128::from(at_us - as_of_us);
        (spent, as_of_us) = ((spent - refill).max(0), *at_us);
        let admits = spent + TOKEN <= i128::from(rate.burst_tokens()) * TOKEN;
        spent += i128::from(admits) * TOKEN;
        admits
    });
    admitted.collect()
}

#[test]
#[should_panic(expected = "units too much")]
fn one_more_than_allowed_is_found() {
    let rate = Rate::new(1_000.0, 2);
    assert_holds(&vec![(0, rate)], &[5, 5, 1_005, 2_004], "");
}

#[test]
fn as_many_as_allowed_pass() {
    let rate = Rate::new(1_000.0, 2);
    assert_holds(&vec![(0, rate)], &[5, 5, 1_005, 2_005, 2_006 + 2_000, 4_006], "");
    let schedule = vec![(0, rate), (1_005, Rate::new(1.0, 1))];
    assert_holds(&schedule, &[5, 5, 1_005, 1_001_005], "");
}
