//! The level above: hosts that lease from a store over a network; the store is a model.
//!
//! In a process no message is lost and nobody ends unnoticed; between hosts both happen. So what a host says is absolute
//! (what it holds, what it has spent in all), each exchange has a number, and tokens are lent for a time: the host
//! measures it from when it asked, the store from when it heard, so that the host's ends first. What isn't spoken of in
//! time counts as spent. A loan's number fences off what was lent before.

mod network;
mod store;

use turnpike_limits::{Ask, Exchange, Holder, Limit, LimitId, Loan, Partition, Rate, Report};

use crate::window::assert_holds;
use network::{Faults, Network, host};
use store::{LEASE_US, Store};

const NO_FAULTS: Faults =
    Faults { lost_one_in: 0, partitions: false, crashes: false, jumps: false, failovers: false };

fn ask(needed: u32) -> Report {
    Report {
        holder: Holder(0),
        limit: Limit { id: LimitId(7), rate: Rate::new(1.0, 100) },
        version: 1,
        spent: 0,
        spent_us: 0,
        returned: 0,
        loan: Loan(0),
        ask: Some(Ask { needed, liked: 0 }),
    }
}

fn network(seed: u64, hosts: usize, rate: Rate, load: f64, faults: Faults) -> Network {
    let requests_per_s = rate.micro_tokens_per_s() as f64 / 1e6 * load;
    Network::new(seed, hosts, rate, requests_per_s, faults)
}

#[test]
fn a_limit_holds_over_hosts_whatever_is_lost_cut_off_or_gone() {
    let faults = [
        NO_FAULTS,
        Faults { lost_one_in: 5, ..NO_FAULTS },
        Faults { partitions: true, ..NO_FAULTS },
        Faults { crashes: true, ..NO_FAULTS },
        Faults { lost_one_in: 10, partitions: true, crashes: true, ..NO_FAULTS },
    ];
    for seed in 0..60 {
        let faults = faults[seed as usize % faults.len()];
        let hosts = [1, 2, 3, 8, 16][seed as usize / 5 % 5];
        let rate = [Rate::new(5.0, 3), Rate::new(50.0, 20), Rate::new(100.0, 70)][seed as usize % 3];
        // A tenth of it asks for twice what there is.
        let mut network = network(seed, hosts, rate, 20.0, faults);
        network.run_for_s(20.0);
        assert_holds(
            &vec![(0, rate)],
            &network.admitted_us,
            &format!("{seed}, {hosts} hosts, {rate:?}, {faults:?}"),
        );
        assert!(!network.admitted_us.is_empty());
    }
}

#[test]
fn what_is_lent_ends_at_the_host_before_it_does_at_the_store() {
    for fast_ppm in [-200_i64, 0, 200] {
        for (there_us, back_us) in [(1, 1), (1, 49_000), (49_000, 1), (20_000, 29_000)] {
            let clock_us = |us: i64| (77_000_000 + us + us * fast_ppm / 1_000_000) as u64;
            let (mut store, mut host) = (Store::new(Rate::new(1.0, 100), 1), host(Partition::Closed));
            let asked_us = 60_000_000;
            host.handle(&ask(5), clock_us(asked_us));
            let exchange = host.poll_exchange(clock_us(asked_us)).expect("somebody waits");
            let reply = store.handle(1, &exchange, (asked_us + there_us) as u64).expect("it is the first");
            assert_eq!(reply.granted, 5);
            host.handle_reply(&reply, clock_us(asked_us + there_us + back_us));
            let valid_until_us = host.poll_answer().expect("it is answered").valid_until_us;
            let lease_us = LEASE_US as i64;
            assert!(valid_until_us > clock_us(asked_us + lease_us * 998 / 1_000), "not much before, either");
            assert!(
                valid_until_us <= clock_us(asked_us + there_us + lease_us - 1),
                "{fast_ppm} {there_us} {back_us}"
            );
        }
    }
}

#[test]
fn a_limit_holds_over_stores_that_forget_what_they_answered_last() {
    for seed in 300..324 {
        let hosts = [1, 2, 3, 8][seed as usize % 4];
        let rate = [Rate::new(5.0, 3), Rate::new(50.0, 20), Rate::new(1_000.0, 700)][seed as usize % 3];
        let faults = [
            Faults { failovers: true, ..NO_FAULTS },
            Faults { failovers: true, lost_one_in: 10, partitions: true, crashes: true, jumps: false },
        ][seed as usize % 2];
        let mut network = network(seed, hosts, rate, 3.0, faults);
        network.run_for_s(20.0);
        assert_holds(&vec![(0, rate)], &network.admitted_us, &format!("{seed}, {hosts} hosts, {rate:?}"));
        assert!(network.failovers > 0 && !network.admitted_us.is_empty(), "{seed}");
    }
}

/// Else what the first holds to its loan's end, and what came back meanwhile, would be more than a burst.
#[test]
fn what_was_lent_before_a_failover_is_over_before_anything_comes_back() {
    let (mut store, mut host) = (Store::new(Rate::new(10.0, 100), 2), host(Partition::Closed));
    host.handle(&ask(100), 0);
    let exchange = host.poll_exchange(0).expect("somebody waits");
    let reply = store.handle(1, &exchange, 100).expect("it is the first");
    host.handle_reply(&reply, 200);
    let held = host.poll_answer().expect("it is answered");
    assert_eq!(held.granted, 100);
    let mut replica = Store::new(Rate::new(10.0, 100), 2);
    replica.take_over(300);
    let exchange = |number| Exchange { number, ..exchange };
    let mut granted = |number, at_us| replica.handle(2, &exchange(number), at_us).map(|reply| reply.granted);
    assert_eq!(granted(1, 300), Some(0));
    assert_eq!(granted(2, held.valid_until_us), Some(0));
    assert_eq!(granted(3, 300 + LEASE_US + 1_000_000), Some(10));
}

/// What each limit is worth to a host that is cut off was chosen for it, whatever the other limits' is.
#[test]
fn limits_of_one_host_mean_different_things_while_it_is_cut_off() {
    let (mut refused, mut apart) = ([0; 3], [0; 3]);
    for seed in 400..412 {
        let hosts = [2, 3, 8][seed as usize % 3];
        let rate = [Rate::new(50.0, 20), Rate::new(100.0, 70)][seed as usize % 2];
        let rates = [None, Some(Partition::Share), Some(Partition::Open)].map(|p| rate.with_partition(p));
        let load = rate.micro_tokens_per_s() as f64 / 1e6 * 9.0;
        let faults = Faults { partitions: true, ..NO_FAULTS };
        let mut network = Network::with(seed, hosts, &rates, load, faults);
        network.run_for_s(20.0);
        let [closed, share, _] = &network.outcomes[..] else { panic!("three limits") };
        let what = format!("{seed}, {hosts} hosts, {rate:?}");
        assert_holds(&vec![(0, rate)], &closed.admitted_us, &what);
        for host in 0..hosts {
            let of_host = share.apart.iter().filter(|(by, _)| *by == host).map(|(_, at_us)| *at_us);
            // Its clock is a little fast; and what it was lent before is still good at first.
            let own = rate.divided(hosts as u32);
            let per_s = own.micro_tokens_per_s() as f64 / 1e6 * 1.001;
            let own = Rate::new(per_s, own.burst_tokens() + rate.burst_tokens());
            assert_holds(&vec![(0, own)], &of_host.collect::<Vec<_>>(), &format!("{what}, host {host}"));
        }
        for (index, outcome) in network.outcomes.iter().enumerate() {
            refused[index] += outcome.refused_apart;
            apart[index] += outcome.apart.len();
        }
    }
    let [closed, share, open] = apart;
    assert!(closed * 10 < share && share < open, "{apart:?}");
    assert!(refused[2] * 10 < refused[1], "{refused:?}");
}

/// Each jump forward may cost as much as it skips, a burst at most; and a jump back costs nothing.
#[test]
fn a_store_whose_clock_jumps_is_off_by_no_more_than_a_burst_each_time() {
    for seed in 100..130 {
        let rate = [Rate::new(5.0, 3), Rate::new(100.0, 20), Rate::new(1_000.0, 700)][seed as usize % 3];
        let mut network = network(seed, 3, rate, 3.0, Faults { jumps: true, ..NO_FAULTS });
        network.run_for_s(20.0);
        let larger = rate.burst_tokens() * (1 + network.jumps_forward);
        let rate_per_s = rate.micro_tokens_per_s() as f64 / 1e6;
        assert_holds(
            &vec![(0, Rate::new(rate_per_s, larger))],
            &network.admitted_us,
            &format!("{seed}, {rate:?}"),
        );
        let least = 0.9 * rate_per_s * 20.0;
        assert!(
            network.admitted_us.len() as f64 >= least,
            "{seed}: {} of {least}",
            network.admitted_us.len()
        );
    }
}

#[test]
fn from_100_a_second_on_no_more_than_a_fiftieth_is_lost() {
    for (seed, (tokens_per_s, burst)) in
        [(100.0, 100), (1_000.0, 500), (10_000.0, 5_000)].into_iter().enumerate()
    {
        for (hosts, load) in [(1, 2.0), (3, 1.3), (3, 4.0), (16, 2.0)] {
            let rate = Rate::new(tokens_per_s, burst);
            let mut network = network(200 + seed as u64, hosts, rate, load, NO_FAULTS);
            let seconds = f64::max(10.0, 20_000.0 / tokens_per_s) / 4.0;
            // The first burst is spent by then.
            network.run_for_s(1.5 * f64::from(burst) / (tokens_per_s * (load - 1.0)));
            let before = network.admitted_us.len();
            network.run_for_s(seconds);
            let share = (network.admitted_us.len() - before) as f64 / (tokens_per_s * seconds);
            println!(
                "{hosts} hosts, {tokens_per_s}/s, load {load}: {share}, {} exchanges/s",
                network.exchanges as f64 / seconds
            );
            assert!(share >= 0.98, "{hosts} hosts, {tokens_per_s}/s, load {load}: {share}");
        }
    }
}
