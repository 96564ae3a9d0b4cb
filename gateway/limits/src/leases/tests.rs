use super::*;
use crate::{Ask, Rate};

const WAIT_US: u64 = 50_000;

fn leases() -> Leases {
    Leases::new(LeaseRules { holder: Holder(0), holders: 2, wait_us: WAIT_US, waiting_max: 3, leases_max: 3 })
}

fn limit(id: u64) -> Limit {
    Limit { id: LimitId(id), rate: Rate::new(10.0, 100) }
}

fn answer(id: u64, granted: u32, empty_until_us: u64) -> Answer {
    Answer {
        holder: Holder(0),
        id: LimitId(id),
        version: 1,
        granted,
        loan: crate::Loan(0),
        valid_until_us: u64::MAX,
        empty_until_us,
    }
}

fn refused(limit: usize, why: Why, retry_at_us: Option<u64>) -> Refused {
    Refused { limit, why, retry_at_us }
}

/// Reports as (id, spent, returned, needed).
fn reports(leases: &mut Leases) -> Vec<(u64, u32, u32, Option<u32>)> {
    let reports = std::iter::from_fn(|| leases.poll_report());
    reports
        .map(|report| (report.limit.id.0, report.spent, report.returned, report.ask.map(|ask| ask.needed)))
        .collect()
}

fn verdicts(leases: &mut Leases) -> Vec<Result<(), Refused>> {
    std::iter::from_fn(|| leases.poll_verdict()).map(|(_, verdict)| verdict).collect()
}

fn waits(leases: &mut Leases, limits: &[Limit], now_us: u64) -> Ticket {
    match leases.take(limits, 1, now_us) {
        Taken::Waits(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// Leases with tokens in hand of the limits 1, 2, ….
fn with(tokens: &[u32]) -> Leases {
    let mut leases = leases();
    for (id, tokens) in (1..).zip(tokens) {
        waits(&mut leases, &[limit(id)], 0);
        assert_eq!(reports(&mut leases), [(id, 0, 0, Some(1))]);
        leases.handle_answer(&answer(id, tokens + 1, 0), 0);
    }
    assert!(verdicts(&mut leases).iter().all(Result::is_ok));
    leases
}

#[test]
fn tokens_in_hand_are_spent_without_a_message() {
    let mut leases = with(&[3, 3]);
    for _ in 0..3 {
        assert_eq!(leases.take(&[limit(1), limit(2)], 1, 5), Taken::Admitted);
    }
    assert_eq!(reports(&mut leases), []);
    assert_eq!(leases.take(&[], 1, 5), Taken::Admitted);
    leases.tick(10_000);
    let mut told = reports(&mut leases);
    told.sort_unstable();
    assert_eq!(told, [(1, 4, 0, None), (2, 4, 0, None)]);
}

#[test]
fn all_or_nothing() {
    let mut leases = with(&[1, 1]);
    waits(&mut leases, &[limit(1), limit(2), limit(3)], 5);
    assert_eq!(reports(&mut leases), [(3, 0, 0, Some(1))]);
    leases.handle_answer(&answer(3, 0, 9_000), 6);
    assert_eq!(verdicts(&mut leases), [Err(refused(2, Why::Empty, Some(9_000)))]);
    assert_eq!(leases.take(&[limit(1), limit(2)], 1, 7), Taken::Admitted, "nothing was taken of these");
}

#[test]
fn the_narrowest_limit_refuses_and_asks_nobody() {
    let mut leases = with(&[0, 5, 0]);
    for id in [1, 3] {
        waits(&mut leases, &[limit(id)], 0);
        assert_eq!(reports(&mut leases), [(id, 1, 0, Some(1))]);
        leases.handle_answer(&answer(id, 0, 8_000 + id), 0);
    }
    verdicts(&mut leases);
    let all = [limit(1), limit(2), limit(3)];
    assert_eq!(leases.take(&all, 1, 10), Taken::Refused(refused(2, Why::Empty, Some(8_003))));
    assert_eq!(leases.take(&all[..2], 1, 10), Taken::Refused(refused(0, Why::Empty, Some(8_001))));
    assert_eq!(reports(&mut leases), []);
    // From that time on it asks again.
    waits(&mut leases, &all[..2], 8_001);
    assert_eq!(reports(&mut leases), [(1, 0, 0, Some(1))]);
}

#[test]
fn those_who_wait_are_served_in_their_order_and_the_rest_refused() {
    let mut leases = leases();
    let tickets = [(); 3].map(|()| waits(&mut leases, &[limit(1)], 0));
    assert_eq!(leases.take(&[limit(1)], 1, 0), Taken::Refused(refused(0, Why::Crowded, None)), "three wait");
    assert_eq!(reports(&mut leases), [(1, 0, 0, Some(4))]);
    leases.leave(tickets[0]);
    leases.handle_answer(&answer(1, 1, 20_000), 100);
    assert_eq!(leases.poll_verdict(), Some((tickets[1], Ok(()))));
    assert_eq!(leases.poll_verdict(), Some((tickets[2], Err(refused(0, Why::Empty, Some(20_000))))));
    assert_eq!((leases.poll_verdict(), leases.waiting()), (None, 0));
}

#[test]
fn who_waits_for_two_limits_goes_from_line_to_line() {
    let mut leases = leases();
    waits(&mut leases, &[limit(1), limit(2)], 0);
    assert_eq!(reports(&mut leases), [(1, 0, 0, Some(1)), (2, 0, 0, Some(1))]);
    leases.handle_answer(&answer(1, 1, 0), 1);
    assert_eq!((verdicts(&mut leases), reports(&mut leases)), (vec![], vec![]));
    leases.handle_answer(&answer(2, 1, 0), 2);
    assert_eq!(verdicts(&mut leases), [Ok(())]);
}

#[test]
fn nobody_waits_for_longer_than_said() {
    let mut leases = leases();
    let limits = [limit(1), limit(2)];
    waits(&mut leases, &limits, 7);
    leases.handle_answer(&answer(1, 1, 0), 8);
    leases.tick(WAIT_US + 6);
    assert_eq!(verdicts(&mut leases), []);
    leases.tick(WAIT_US + 7);
    assert_eq!(
        verdicts(&mut leases),
        [Err(refused(0, Why::TimedOut, None))],
        "its first token is home again"
    );
    // The answer comes late, and what it brings goes home.
    leases.handle_answer(&answer(2, 1, 0), WAIT_US + 8);
    reports(&mut leases);
    leases.tick(WAIT_US + 10_000);
    assert_eq!(reports(&mut leases), [(2, 0, 1, None)]);
}

#[test]
fn a_limit_that_is_shut_refuses_at_once() {
    let shut = Limit { rate: Rate::new(0.0, 100), ..limit(1) };
    let mut leases = with(&[5]);
    assert_eq!(leases.take(&[shut], 2, 5), Taken::Refused(refused(0, Why::Closed, None)));
    assert_eq!(reports(&mut leases), [(1, 1, 5, None)], "what it had goes home");
    assert_eq!(
        leases.take(&[limit(1)], 1, 5),
        Taken::Refused(refused(0, Why::Closed, None)),
        "an older configuration"
    );
    assert!(matches!(leases.take(&[limit(1)], 3, 6), Taken::Waits(_)), "opened by a newer one");
}

#[test]
fn a_new_rate_forgets_that_the_bucket_was_empty() {
    let mut leases = with(&[0]);
    waits(&mut leases, &[limit(1)], 0);
    leases.handle_answer(&answer(1, 0, 1_000_000), 0);
    assert!(matches!(leases.take(&[limit(1)], 2, 5), Taken::Refused(_)), "the same rate");
    let faster = Limit { rate: Rate::new(1_000.0, 100), ..limit(1) };
    assert!(matches!(leases.take(&[faster], 3, 5), Taken::Waits(_)));
}

/// Another shard has told the authority of a configuration between, which this one has never seen.
#[test]
fn a_rate_that_is_set_back_isnt_held_for_the_one_between() {
    let mut leases = with(&[0]);
    waits(&mut leases, &[limit(1)], 0);
    leases.handle_answer(&Answer { version: 2, ..answer(1, 0, u64::MAX) }, 0);
    assert!(matches!(leases.take(&[limit(1)], 1, 5), Taken::Refused(_)), "as far as is known");
    assert!(matches!(leases.take(&[limit(1)], 3, 5), Taken::Waits(_)));
    // What the authority says of that one holds for later ones with the same rate.
    leases.handle_answer(&Answer { version: 3, ..answer(1, 0, 1_000_000) }, 6);
    assert!(matches!(leases.take(&[limit(1)], 4, 7), Taken::Refused(_)));
}

#[test]
fn a_busy_lease_is_renewed_before_it_ends() {
    let mut leases = with(&[39]);
    let mut asked = Vec::new();
    for spent in 1..=39 {
        assert_eq!(leases.take(&[limit(1)], 1, spent), Taken::Admitted);
        asked.extend(std::iter::from_fn(|| leases.poll_report()).map(|report| (spent, report.ask)));
    }
    // Fewer than a quarter of 40 are left; 31 requests were seen.
    assert_eq!(asked, [(30, Some(Ask { needed: 0, liked: 31 - 9 }))]);
}

#[test]
fn what_isnt_needed_goes_home_at_the_tick() {
    let mut leases = with(&[30]);
    leases.tick(10_000);
    assert_eq!(reports(&mut leases), [(1, 1, 30, None)]);
    assert_eq!(leases.len(), 1, "what it is asked for is known until the next");
    leases.tick(20_000);
    assert_eq!((reports(&mut leases), leases.len()), (vec![], 0));
    // A busy one keeps what it is expected to need.
    let mut leases = with(&[30]);
    (0..8).for_each(|_| assert_eq!(leases.take(&[limit(1)], 1, 5), Taken::Admitted));
    leases.tick(10_000);
    assert_eq!(reports(&mut leases), [(1, 9, 30 - 8 - 9, None)]);
    leases.tick(20_000);
    assert_eq!(reports(&mut leases), [(1, 0, 9, None)]);
}

/// Else a flood that a narrow limit refuses would keep a broad one's tokens from other shards for as long as it lasts.
#[test]
fn what_only_refused_requests_came_for_goes_home() {
    let mut leases = with(&[5, 0]);
    waits(&mut leases, &[limit(1), limit(2)], 0);
    leases.handle_answer(&answer(2, 0, 1_000_000), 0);
    assert_eq!(verdicts(&mut leases), [Err(refused(1, Why::Empty, Some(1_000_000)))]);
    for _ in 0..20 {
        assert!(matches!(leases.take(&[limit(1), limit(2)], 1, 5), Taken::Refused(_)));
    }
    reports(&mut leases);
    leases.tick(10_000);
    assert_eq!(reports(&mut leases), [(1, 1, 5, None)]);
}

#[test]
fn more_limits_than_may_be_kept_push_others_out() {
    let mut leases = with(&[5, 5, 5]);
    waits(&mut leases, &[limit(3), limit(1), limit(4)], 5);
    assert_eq!(leases.len(), 3);
    assert_eq!(reports(&mut leases), [(2, 1, 5, None), (4, 0, 0, Some(1))]);
    leases.handle_answer(&answer(4, 1, 0), 6);
    assert_eq!(verdicts(&mut leases), [Ok(())]);
    // None of those that are asked for can be.
    for id in [5, 6, 7] {
        waits(&mut leases, &[limit(id)], 7);
    }
    reports(&mut leases);
    let taken = leases.take(&[limit(8)], 1, 8);
    assert_eq!((taken, leases.len()), (Taken::Refused(refused(0, Why::Crowded, None)), 3));
}

#[test]
fn who_would_wait_for_what_cant_be_asked_is_refused_and_nothing_is_lost() {
    let mut leases = with(&[0]);
    waits(&mut leases, &[limit(1)], 5);
    let ask = leases.poll_report().unwrap();
    assert_eq!((ask.spent, ask.ask), (1, Some(Ask { needed: 1, liked: 1 })));
    leases.handle_unsent(ask);
    assert_eq!(verdicts(&mut leases), [Err(refused(0, Why::Crowded, None))]);
    assert_eq!(reports(&mut leases), [(1, 1, 0, None)], "what was spent is told later");
    waits(&mut leases, &[limit(1)], 5);
    assert_eq!(reports(&mut leases), [(1, 0, 0, Some(1))]);
}

#[test]
fn at_the_end_all_goes_home() {
    let mut leases = with(&[4, 2]);
    waits(&mut leases, &[limit(3)], 5);
    leases.close();
    assert_eq!(verdicts(&mut leases), [Err(refused(0, Why::TimedOut, None))]);
    assert_eq!(reports(&mut leases), [(1, 1, 4, None), (2, 1, 2, None), (3, 0, 0, Some(1))]);
}

#[test]
fn limits_that_share_a_bucket_are_one() {
    let mut leases = with(&[1]);
    assert_eq!(leases.take(&[limit(1), limit(1)], 1, 5), Taken::Admitted);
    waits(&mut leases, &[limit(1), limit(1)], 6);
}

#[test]
fn tokens_whose_time_is_over_arent_spent_and_go_home() {
    let mut leases = with(&[0]);
    let lent = |granted, loan, valid_until_us| Answer {
        loan: crate::Loan(loan),
        valid_until_us,
        ..answer(1, granted, 0)
    };
    waits(&mut leases, &[limit(1)], 0);
    leases.handle_answer(&lent(3, 7, 100), 0);
    assert_eq!(leases.take(&[limit(1)], 1, 99), Taken::Admitted);
    assert!(matches!(leases.take(&[limit(1)], 1, 100), Taken::Waits(_)));
    let told: Vec<Report> = std::iter::from_fn(|| leases.poll_report()).collect();
    let tokens: u32 = told.iter().map(|report| report.returned).sum();
    assert!(tokens == 1 && told.iter().all(|report| report.loan == crate::Loan(7)), "{told:?}");
    // Another loan's are good, and what was left of the one before isn't any more.
    leases.handle_answer(&lent(2, 7, 300), 110);
    leases.handle_answer(&lent(1, 8, 300), 120);
    assert_eq!(leases.take(&[limit(1)], 1, 130), Taken::Admitted);
    assert!(matches!(leases.take(&[limit(1)], 1, 130), Taken::Waits(_)));
}
