use super::*;
use crate::Rate;

const LEASE_US: u64 = 2_000_000;

fn host(partition: Partition) -> Host {
    Host::new(HostRules { holders: 2, limits_max: 2, lease_us: LEASE_US, partition })
}

fn report(holder: u16, id: u64) -> Report {
    Report {
        holder: Holder(holder),
        limit: Limit { id: LimitId(id), rate: Rate::new(1.0, 100) },
        version: 1,
        spent: 0,
        spent_us: 0,
        returned: 0,
        loan: Loan(0),
        ask: None,
    }
}

fn ask(holder: u16, id: u64, needed: u32) -> Report {
    Report { ask: Some(Ask { needed, liked: 0 }), ..report(holder, id) }
}

/// Answers what the host tells the store next.
fn reply(host: &mut Host, granted: u32, empty_us: u64, now_us: u64) -> Exchange {
    let exchange = host.poll_exchange(now_us).expect("it has something to say");
    let Exchange { limit, loan, number, .. } = exchange;
    let reply = Reply { id: limit.id, loan, number, granted, empty_us, fenced: false };
    host.handle_reply(&reply, now_us);
    exchange
}

fn granted(host: &mut Host) -> Vec<(u16, u32)> {
    std::iter::from_fn(|| host.poll_answer()).map(|answer| (answer.holder.0, answer.granted)).collect()
}

#[test]
fn shards_wait_for_the_store_and_share_what_it_lends() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 3), 0);
    host.handle(&ask(1, 1, 4), 0);
    assert_eq!(
        (granted(&mut host), host.poll_exchange(0).map(|exchange| exchange.needed)),
        (vec![], Some(7))
    );
    assert_eq!(host.poll_exchange(0), None, "one at a time");
    let loan = Reply { id: LimitId(1), loan: Loan(1), number: 1, granted: 5, empty_us: 1_000, fenced: false };
    host.handle_reply(&loan, 10);
    assert_eq!(granted(&mut host), [(0, 3), (1, 2)]);
    // Empty for a millisecond; then the store is asked again.
    host.handle(&ask(1, 1, 2), 500);
    assert_eq!((granted(&mut host), host.poll_exchange(500)), (vec![(1, 0)], None));
    host.handle(&Report { spent: 3, loan: Loan(1), ..ask(0, 1, 1) }, 2_000);
    let exchange = host.poll_exchange(2_000).expect("it asks");
    assert_eq!((exchange.number, exchange.held, exchange.spent, exchange.needed), (2, 2, 3, 1));
}

#[test]
fn what_was_lent_isn_t_given_out_when_its_time_is_over() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 2), 0);
    reply(&mut host, 2, 0, 0);
    let valid_until_us = host.poll_answer().expect("it is answered").valid_until_us;
    assert!(valid_until_us < LEASE_US);
    // Unused, it comes home too late, and a new loan begins with nothing.
    host.handle(&Report { returned: 2, loan: Loan(1), ..ask(0, 1, 1) }, valid_until_us);
    let exchange = reply(&mut host, 1, 0, valid_until_us);
    assert_eq!((exchange.loan, exchange.number, exchange.held, exchange.spent), (Loan(2), 1, 0, 0));
    assert_eq!(granted(&mut host), [(0, 1)]);
    // What is said of the one before isn't listened to.
    host.handle(&Report { returned: 2, loan: Loan(1), ..ask(1, 1, 1) }, valid_until_us + 1);
    assert_eq!(reply(&mut host, 0, 1_000, valid_until_us + 1).held, 1);
}

#[test]
fn a_fenced_loan_is_followed_by_another() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 1), 0);
    let Exchange { limit, loan, number, .. } = host.poll_exchange(0).expect("it asks");
    host.handle_reply(&Reply { id: limit.id, loan, number, granted: 0, empty_us: 0, fenced: true }, 5);
    assert_eq!(granted(&mut host), []);
    assert!(reply(&mut host, 1, 0, 6).loan.0 > loan.0);
    assert_eq!(granted(&mut host), [(0, 1)]);
}

#[test]
fn a_partition_means_what_was_chosen() {
    for (partition, hosts, first, second) in [
        (Partition::Closed, 4, 0, 0),
        (Partition::Open, 4, 20, 10),
        (Partition::Share, 4, 20, 5),
        (Partition::Share, 0, 0, 0),
    ] {
        let mut host = host(partition);
        if hosts > 0 {
            host.handle_hosts(hosts);
        }
        host.handle(&ask(0, 1, 20), 0);
        assert!(host.poll_exchange(0).is_some());
        host.handle_cut(Parts::ALL, 10);
        assert_eq!(granted(&mut host), [(0, first)], "{partition:?}");
        host.handle(&ask(1, 1, 10), 20);
        assert_eq!((granted(&mut host), host.poll_exchange(20)), (vec![(1, second)], None), "{partition:?}");
        // Back, the store decides again, of a loan that nothing was given out of.
        host.handle_cut(Parts::NONE, 30);
        host.handle(&ask(1, 1, 10), 30);
        let exchange = reply(&mut host, 1, 0, 30);
        assert_eq!((exchange.held, exchange.spent, exchange.number), (0, 0, 1), "{partition:?}");
        assert_eq!(granted(&mut host), [(1, 1)], "{partition:?}");
    }
}

#[test]
fn a_limit_s_own_choice_goes_before_the_host_s_and_may_change_meanwhile() {
    let chosen = |partition, version, needed| {
        let rate = Rate::new(1.0, 100).with_partition(partition);
        Report { limit: Limit { id: LimitId(1), rate }, version, ..ask(0, 1, needed) }
    };
    let mut host = host(Partition::Closed);
    host.handle_hosts(4);
    host.handle_cut(Parts::ALL, 0);
    for (version, (partition, expected)) in [
        (Some(Partition::Open), 50),
        (None, 0),
        (Some(Partition::Share), 25),
        (Some(Partition::Closed), 0),
        // The share is used up.
        (Some(Partition::Share), 0),
        (Some(Partition::Open), 50),
    ]
    .into_iter()
    .enumerate()
    {
        host.handle(&chosen(partition, 2 + version as u64, 50), 10);
        assert_eq!(granted(&mut host), [(0, expected)], "{version} {partition:?}");
    }
}

#[test]
fn a_part_that_is_cut_off_leaves_the_others_alone() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 1), 0);
    host.handle(&ask(0, 2, 1), 0);
    assert!(host.poll_exchange(0).is_some() && host.poll_exchange(0).is_some());
    let mut cut = Parts::NONE;
    cut.add(1);
    host.handle_cut(cut, 1);
    assert_eq!(granted(&mut host), [(0, 0)]);
    let reply = |id, loan| Reply {
        id: LimitId(id),
        loan: Loan(loan),
        number: 1,
        granted: 1,
        empty_us: 0,
        fenced: false,
    };
    host.handle_reply(&reply(1, 1), 2);
    host.handle_reply(&reply(2, 2), 2);
    assert_eq!(granted(&mut host), [(0, 1)]);
    // Of two that are cut off one after the other, one comes back.
    cut.add(2);
    host.handle_cut(cut, 3);
    cut.remove(1);
    host.handle_cut(cut, 4);
    host.handle(&ask(1, 1, 1), 5);
    host.handle(&ask(1, 2, 1), 5);
    assert_eq!(host.poll_exchange(5).map(|exchange| exchange.limit.id), Some(LimitId(1)));
    assert_eq!((granted(&mut host), host.poll_exchange(5)), (vec![(1, 0)], None));
}

#[test]
fn a_share_isn_t_given_twice_by_a_store_that_comes_and_goes() {
    let mut host = host(Partition::Share);
    host.handle_hosts(4);
    let mut all = 0;
    for turn in 0..10 {
        host.handle_cut(Parts::ALL, turn);
        host.handle(&ask(0, 1, 10), turn);
        all += granted(&mut host).iter().map(|(_, tokens)| tokens).sum::<u32>();
        host.handle_cut(Parts::NONE, turn);
    }
    assert_eq!(all, 25);
}

#[test]
fn what_isn_t_needed_goes_home_and_is_forgotten() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 1), 0);
    reply(&mut host, 1, 0, 0);
    host.handle(&Report { returned: 1, loan: Loan(1), ..report(0, 1) }, 1);
    host.tick(TICK_US);
    let exchange = reply(&mut host, 0, 0, TICK_US);
    assert_eq!((exchange.held, exchange.spent, host.len()), (0, 0, 1));
    host.tick(2 * TICK_US);
    assert_eq!((host.len(), host.poll_exchange(2 * TICK_US)), (0, None));
}

#[test]
fn more_limits_than_may_be_kept_are_refused() {
    let mut host = host(Partition::Closed);
    (1..=3).for_each(|id| host.handle(&ask(0, id, 1), 0));
    let crowded = host.poll_answer().expect("it is answered at once");
    assert_eq!((crowded.id, crowded.granted, crowded.empty_until_us), (LimitId(3), 0, AGAIN_US));
    assert_eq!((host.len(), host.counts().crowded), (2, 1));
}

#[test]
fn a_shard_that_ends_has_spent_what_it_had() {
    let mut host = host(Partition::Closed);
    host.handle(&ask(0, 1, 5), 0);
    reply(&mut host, 5, 0, 0);
    host.end(Holder(0), 10);
    host.tick(TICK_US);
    let exchange = reply(&mut host, 0, 0, TICK_US);
    assert_eq!((exchange.held, exchange.spent), (0, 5));
}
