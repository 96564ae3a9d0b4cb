//! Any order in which requests, messages, ticks, ends and changes can come, as short as one that goes wrong can be made.

use std::collections::VecDeque;

use proptest::prelude::*;
use turnpike_limits::{
    Answer, Holder, LeaseRules, Leases, Limit, LimitId, Limiter, LimiterRules, Rate, Report, Taken,
};

use crate::window::{Schedule, assert_holds};

const SHARDS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Request(usize),
    ToAuthority(usize),
    ToShard(usize),
    Tick(usize),
    Sweep,
    /// What it holds counts as spent; it goes on with nothing.
    End(usize),
    /// What the next report can't be sent for.
    Unsent(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_000_u64).prop_map(Step::Wait),
        1 => (0..2_000_000_u64).prop_map(Step::Wait),
        12 => (0..SHARDS).prop_map(Step::Request),
        6 => (0..SHARDS).prop_map(Step::ToAuthority),
        6 => (0..SHARDS).prop_map(Step::ToShard),
        2 => (0..SHARDS).prop_map(Step::Tick),
        1 => Just(Step::Sweep),
        1 => (0..SHARDS).prop_map(Step::End),
        1 => (0..SHARDS).prop_map(Step::Unsent),
    ]
}

fn leases(shard: usize) -> Leases {
    Leases::new(LeaseRules {
        holder: Holder(shard as u16),
        holders: SHARDS,
        wait_us: 5_000,
        waiting_max: 4,
        leases_max: 1,
    })
}

/// Runs the steps; when requests were admitted.
fn admitted(limit: Limit, steps: &[Step]) -> Vec<u64> {
    let mut limiter = Limiter::new(LimiterRules { holders: SHARDS, limits_max: 1 });
    let mut shards: Vec<Leases> = (0..SHARDS).map(leases).collect();
    let mut reports: Vec<VecDeque<Report>> = vec![VecDeque::new(); SHARDS];
    let mut answers: Vec<VecDeque<Answer>> = vec![VecDeque::new(); SHARDS];
    let (mut now_us, mut admitted) = (0, Vec::new());
    for step in steps {
        match *step {
            Step::Wait(us) => now_us += us,
            Step::Request(shard) => {
                if shards[shard].take(&[limit], 1, now_us) == Taken::Admitted {
                    admitted.push(now_us);
                }
            }
            Step::ToAuthority(shard) => {
                if let Some(report) = reports[shard].pop_front() {
                    answers[shard].extend(limiter.handle(&report, now_us));
                }
            }
            Step::ToShard(shard) => {
                if let Some(answer) = answers[shard].pop_front() {
                    shards[shard].handle_answer(&answer, now_us);
                }
            }
            Step::Tick(shard) => shards[shard].tick(now_us),
            Step::Sweep => limiter.sweep(1, now_us),
            Step::End(shard) => {
                for report in reports[shard].drain(..) {
                    limiter.handle(&report, now_us);
                }
                limiter.end(Holder(shard as u16), now_us);
                answers[shard].clear();
                shards[shard] = leases(shard);
            }
            Step::Unsent(shard) => {
                if let Some(report) = shards[shard].poll_report() {
                    shards[shard].handle_unsent(report);
                }
            }
        }
        for (leases, reports) in shards.iter_mut().zip(&mut reports) {
            if !matches!(step, Step::Unsent(_)) {
                reports.extend(std::iter::from_fn(|| leases.poll_report()));
            }
            let verdicts = std::iter::from_fn(|| leases.poll_verdict());
            admitted.extend(verdicts.filter(|(_, verdict)| verdict.is_ok()).map(|_| now_us));
        }
    }
    admitted
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_limit_holds_in_any_order_of_events(
        tokens_per_s in prop_oneof![0.1..10.0, 10.0..10_000.0, 1e5..1e7],
        burst in prop_oneof![1..4_u32, 4..200_u32],
        steps in prop::collection::vec(step(), 1..600),
    ) {
        let limit = Limit { id: LimitId(7), rate: Rate::new(tokens_per_s, burst) };
        let schedule: Schedule = vec![(0, limit.rate)];
        assert_holds(&schedule, &admitted(limit, &steps), "");
    }
}
