//! Decisions of a shard about throttles.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use turnpike_limits::{Answer, Holder, LeaseRules, Leases, Limit, LimitId, Loan, Rate, Taken};

const DECISIONS: u64 = 1_000;

/// Decisions with tokens in hand; each is made sure of.
pub(crate) fn run(criterion: &mut Criterion) {
    let rate = Rate::new(1e9, u32::MAX);
    let limits: Vec<Limit> = (1..=3).map(|id| Limit { id: LimitId(id), rate }).collect();
    let mut group = criterion.benchmark_group("limiter");
    for count in [1, 3] {
        group.throughput(Throughput::Elements(DECISIONS));
        group.bench_function(format!("{DECISIONS} decisions of {count} limits, tokens in hand"), |bencher| {
            let limits = &limits[..count];
            bencher.iter_batched_ref(
                || in_hand(limits),
                |leases| {
                    for _ in 0..DECISIONS {
                        assert_eq!(leases.take(black_box(limits), 1, 0), Taken::Admitted);
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Leases with many tokens of each limit.
fn in_hand(limits: &[Limit]) -> Leases {
    let rules = LeaseRules { holder: Holder(0), holders: 1, wait_us: 1_000, waiting_max: 8, leases_max: 8 };
    let mut leases = Leases::new(rules);
    for limit in limits {
        leases.take(std::slice::from_ref(limit), 1, 0);
        while leases.poll_report().is_some() {}
        let answer = Answer {
            holder: Holder(0),
            id: limit.id,
            version: 1,
            granted: 1_000_000,
            loan: Loan(0),
            valid_until_us: u64::MAX,
            empty_until_us: 0,
        };
        leases.handle_answer(&answer, 0);
        while leases.poll_verdict().is_some() {}
    }
    leases
}
