//! Hosts, their clocks, a store, and a network between them that fails.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use turnpike_balance::Random;
use turnpike_limits::{
    Exchange, Holder, Host, HostRules, LeaseRules, Leases, Limit, LimitId, Partition, Parts, Rate, Reply,
    Report, Taken, Ticket,
};

use super::store::{LEASE_US, Store};

const WAIT_US: u64 = 50_000;
const TICK_US: u64 = 10_000;
const SHARDS: usize = 2;
const FIRST_ID: u64 = 7;
/// How long a host waits for an answer before it takes the store to be out of reach.
const PATIENCE_US: u64 = 50_000;

/// By how much a replica may be behind.
const REPLICATION_US_MAX: u64 = 500_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Messages; 0: none.
    pub(crate) lost_one_in: usize,
    pub(crate) partitions: bool,
    pub(crate) crashes: bool,
    /// Of the store's clock.
    pub(crate) jumps: bool,
    /// A replica takes the store's place, which is behind it and has another clock.
    pub(crate) failovers: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Request,
    Tick(usize),
    /// With the process that sent it.
    ToStore(usize, u64, Exchange),
    ToHost(usize, u64, Reply),
    /// An exchange of that number isn't waited for any longer.
    Patience(usize, u64, u64),
    /// A process reaches the store again.
    Mend(usize, u64),
    /// Something fails.
    Fault,
}

#[derive(Debug)]
struct Member {
    host: Host,
    shards: Vec<Leases>,
    /// What it has for a clock: an offset, and parts per million that it is fast.
    offset_us: u64,
    fast_ppm: i64,
    cut_off_until_us: u64,
    /// Nobody asks it for anything.
    quiet_until_us: u64,
    down_until_us: u64,
    process: u64,
    /// It can't reach the store, and knows it.
    apart: bool,
    /// Which limit a request waits for.
    waiting: HashMap<(usize, Ticket), usize>,
    /// Exchanges that were sent and answered.
    sent: u64,
    answered: u64,
}

/// A limit, and what the store has of it.
#[derive(Debug)]
struct Limited {
    limit: Limit,
    store: Store,
    /// The store as it was, and when; with failovers.
    past: VecDeque<(u64, Store)>,
}

/// When a limit let something through, and, while the host that did couldn't reach the store, which one it was; and
/// what it refused meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) admitted_us: Vec<u64>,
    pub(crate) apart: Vec<(usize, u64)>,
    pub(crate) refused_apart: usize,
}

#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    faults: Faults,
    requests_per_s: f64,
    now_us: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    queued: HashMap<u64, Event>,
    /// Each request comes under one of them.
    limits: Vec<Limited>,
    store_offset_us: i64,
    members: Vec<Member>,
    /// Of all limits together.
    pub(crate) admitted_us: Vec<u64>,
    /// Of each limit.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) jumps_forward: u32,
    pub(crate) failovers: u32,
    pub(crate) exchanges: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, hosts: usize, rate: Rate, requests_per_s: f64, faults: Faults) -> Self {
        Self::with(seed, hosts, &[rate], requests_per_s, faults)
    }

    pub(crate) fn with(seed: u64, hosts: usize, rates: &[Rate], requests_per_s: f64, faults: Faults) -> Self {
        let mut random = Random::seeded(seed);
        let limits = rates.iter().zip(FIRST_ID..).map(|(rate, id)| Limited {
            limit: Limit { id: LimitId(id), rate: *rate },
            store: Store::new(*rate, hosts),
            past: VecDeque::new(),
        });
        let members = (0..hosts).map(|host| Member::new(host as u64, hosts as u32, &mut random)).collect();
        let mut network = Self {
            random,
            faults,
            requests_per_s,
            now_us: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            queued: HashMap::new(),
            limits: limits.collect(),
            store_offset_us: 1 << 40,
            members,
            admitted_us: Vec::new(),
            outcomes: rates.iter().map(|_| Outcome::default()).collect(),
            jumps_forward: 0,
            failovers: 0,
            exchanges: 0,
        };
        network.schedule(0, Event::Request);
        network.schedule(500_000, Event::Fault);
        (0..hosts).for_each(|host| network.schedule(host as u64 * 37, Event::Tick(host)));
        network
    }

    pub(crate) fn run_for_s(&mut self, seconds: f64) {
        let until_us = self.now_us + (seconds * 1e6) as u64;
        while self.events.peek().is_some_and(|Reverse((at_us, _))| *at_us <= until_us) {
            let Some(Reverse((at_us, number))) = self.events.pop() else { break };
            self.now_us = at_us;
            if let Some(event) = self.queued.remove(&number) {
                self.happen(event);
            }
        }
        self.now_us = until_us;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Request => self.request(),
            Event::Tick(host) => {
                let member = &mut self.members[host];
                if member.down_until_us <= self.now_us {
                    let host_us = member.clock_us(self.now_us);
                    member.shards.iter_mut().for_each(|shard| shard.tick(host_us));
                    member.host.tick(host_us);
                }
                self.serve(host);
                self.schedule(self.now_us + TICK_US, Event::Tick(host));
            }
            Event::ToStore(host, process, exchange) => {
                let store_us = self.now_us.wrapping_add_signed(self.store_offset_us);
                let limited = (exchange.limit.id.0 - FIRST_ID) as usize;
                self.replicate(limited);
                if let Some(reply) = self.limits[limited].store.handle(process, &exchange, store_us) {
                    self.send(host, Event::ToHost(host, process, reply));
                }
            }
            Event::ToHost(host, process, reply) => {
                let member = &mut self.members[host];
                if member.down_until_us <= self.now_us && member.process == process {
                    let host_us = member.clock_us(self.now_us);
                    member.answered = member.sent;
                    member.host.handle_reply(&reply, host_us);
                    self.serve(host);
                }
            }
            Event::Patience(host, process, number) => self.lose_patience(host, process, number),
            Event::Mend(host, process) => self.mend(host, process),
            Event::Fault => self.fail(),
        }
    }

    /// Nine in ten go to the first host.
    fn request(&mut self) {
        let gap_us = -(1.0 - self.random.fraction()).ln() / self.requests_per_s * 1e6;
        self.schedule(self.now_us + gap_us.round() as u64, Event::Request);
        let host = if self.random.fraction() < 0.9 { 0 } else { self.random.below(self.members.len()) };
        let member = &mut self.members[host];
        if member.down_until_us.max(member.quiet_until_us) > self.now_us {
            return;
        }
        let host_us = member.clock_us(self.now_us);
        let shard = self.random.below(SHARDS);
        let limited = if self.limits.len() > 1 { self.random.below(self.limits.len()) } else { 0 };
        match member.shards[shard].take(&[self.limits[limited].limit], 1, host_us) {
            Taken::Admitted => self.note(host, limited, true),
            Taken::Refused(_) => self.note(host, limited, false),
            Taken::Waits(ticket) => {
                member.waiting.insert((shard, ticket), limited);
            }
        }
        self.serve(host);
    }

    fn note(&mut self, host: usize, limited: usize, admitted: bool) {
        let (now_us, outcome, apart) = (self.now_us, &mut self.outcomes[limited], self.members[host].apart);
        if admitted {
            self.admitted_us.push(now_us);
            outcome.admitted_us.push(now_us);
            outcome.apart.extend(apart.then_some((host, now_us)));
        } else {
            outcome.refused_apart += usize::from(apart);
        }
    }

    /// Carries what shards, host and store say to each other, within the host at once.
    fn serve(&mut self, host: usize) {
        let (now_us, member) = (self.now_us, &mut self.members[host]);
        if member.down_until_us > now_us {
            return;
        }
        let host_us = member.clock_us(now_us);
        loop {
            let reports: Vec<Report> = member
                .shards
                .iter_mut()
                .flat_map(|shard| std::iter::from_fn(|| shard.poll_report()))
                .collect();
            reports.iter().for_each(|report| member.host.handle(report, host_us));
            let answers: Vec<_> = std::iter::from_fn(|| member.host.poll_answer()).collect();
            for answer in &answers {
                member.shards[usize::from(answer.holder.0)].handle_answer(answer, host_us);
            }
            if reports.is_empty() && answers.is_empty() {
                break;
            }
        }
        for shard in 0..SHARDS {
            while let Some((ticket, verdict)) = self.members[host].shards[shard].poll_verdict() {
                let waited = self.members[host].waiting.remove(&(shard, ticket));
                self.note(host, waited.expect("it waits"), verdict.is_ok());
            }
        }
        while let Some(exchange) = self.members[host].host.poll_exchange(host_us) {
            self.exchanges += 1;
            let member = &mut self.members[host];
            member.sent += 1;
            let (process, number) = (member.process, member.sent);
            self.send(host, Event::ToStore(host, process, exchange));
            self.schedule(now_us + PATIENCE_US, Event::Patience(host, process, number));
        }
    }

    /// As a connection does that is closed and made anew: at once, or when the network lets it.
    fn lose_patience(&mut self, host: usize, process: u64, number: u64) {
        let member = &mut self.members[host];
        let gone = member.process != process || member.down_until_us > self.now_us;
        if gone || member.answered >= number || member.apart {
            return;
        }
        let host_us = member.clock_us(self.now_us);
        member.apart = true;
        member.host.handle_cut(Parts::ALL, host_us);
        let until_us = member.cut_off_until_us;
        self.serve(host);
        if until_us > self.now_us {
            self.schedule(until_us, Event::Mend(host, process));
        } else {
            self.mend(host, process);
        }
    }

    fn mend(&mut self, host: usize, process: u64) {
        let hosts = self.members.len() as u32;
        let member = &mut self.members[host];
        if member.process != process || member.down_until_us > self.now_us {
            return;
        }
        let host_us = member.clock_us(self.now_us);
        member.apart = false;
        member.host.handle_hosts(hosts);
        member.host.handle_cut(Parts::NONE, host_us);
        self.serve(host);
    }

    /// Messages take their time, each its own: they overtake each other. Now and then one comes very late.
    fn send(&mut self, host: usize, event: Event) {
        let lost = self.faults.lost_one_in > 0 && self.random.below(self.faults.lost_one_in) == 0;
        if lost || self.members[host].cut_off_until_us > self.now_us {
            return;
        }
        let late_us = if self.random.below(200) == 0 { 500_000 * self.random.below(8) as u64 } else { 0 };
        let delay_us =
            100 + self.random.below(400) as u64 + if self.faults.lost_one_in > 0 { late_us } else { 0 };
        self.schedule(self.now_us + delay_us, event);
    }

    fn fail(&mut self) {
        let pause_us = 200_000 + self.random.number() % 2_000_000;
        self.schedule(self.now_us + pause_us, Event::Fault);
        let (now_us, host) = (self.now_us, self.random.below(self.members.len()));
        let lasts_us = self.random.number() % 5_000_000;
        let member = &mut self.members[host];
        match self.random.below(3) {
            // With tokens in hand, which it is asked for when they come to their end.
            0 if self.faults.partitions => {
                member.cut_off_until_us = now_us + LEASE_US + lasts_us;
                member.quiet_until_us = now_us + LEASE_US - 50_000 + lasts_us % 100_000;
            }
            1 if self.faults.crashes => {
                // Its successor knows nothing but a generation that is new.
                member.down_until_us = now_us + lasts_us;
                member.start(member.process + 1_000_000);
            }
            2 if self.faults.jumps => {
                let jump_us = self.random.number() % 10_000_000;
                let forward = self.random.below(2) == 0;
                self.jumps_forward += u32::from(forward);
                self.store_offset_us += if forward { jump_us as i64 } else { -(jump_us as i64) };
            }
            _ if self.faults.failovers => self.fail_over(),
            _ => {}
        }
    }

    /// Keeps what a replica may still be at.
    fn replicate(&mut self, limited: usize) {
        if !self.faults.failovers {
            return;
        }
        let Limited { store, past, .. } = &mut self.limits[limited];
        past.push_back((self.now_us, store.clone()));
        let oldest_us = self.now_us.saturating_sub(REPLICATION_US_MAX);
        while past.pop_front_if(|(at_us, _)| *at_us < oldest_us).is_some() {}
    }

    fn fail_over(&mut self) {
        self.store_offset_us += self.random.below(2_000_000) as i64 - 1_000_000;
        let store_us = self.now_us.wrapping_add_signed(self.store_offset_us);
        for Limited { store, past, .. } in &mut self.limits {
            let lost = self.random.below(past.len() + 1);
            if let Some((_, replica)) = past.get(lost) {
                *store = replica.clone();
            }
            past.clear();
            store.take_over(store_us);
        }
        self.failovers += 1;
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.sequence += 1;
        self.queued.insert(self.sequence, event);
        self.events.push(Reverse((at_us, self.sequence)));
    }
}

impl Member {
    fn new(process: u64, hosts: u32, random: &mut Random) -> Self {
        let mut member = Self {
            host: host(Partition::Closed),
            shards: Vec::new(),
            offset_us: random.number() % (1 << 40),
            fast_ppm: random.below(400) as i64 - 200,
            cut_off_until_us: 0,
            quiet_until_us: 0,
            down_until_us: 0,
            process,
            apart: false,
            waiting: HashMap::new(),
            sent: 0,
            answered: 0,
        };
        member.start(process);
        member.host.handle_hosts(hosts);
        member
    }

    /// Knows nothing of what was before.
    fn start(&mut self, process: u64) {
        self.process = process;
        self.apart = false;
        self.waiting.clear();
        self.host = host(Partition::Closed);
        self.shards = (0..SHARDS).map(shard).collect();
    }

    fn clock_us(&self, now_us: u64) -> u64 {
        self.offset_us + now_us.wrapping_add_signed(now_us as i64 * self.fast_ppm / 1_000_000)
    }
}

pub(super) fn host(partition: Partition) -> Host {
    Host::new(HostRules { holders: SHARDS, limits_max: 10, lease_us: LEASE_US, partition })
}

fn shard(index: usize) -> Leases {
    Leases::new(LeaseRules {
        holder: Holder(index as u16),
        holders: SHARDS,
        wait_us: WAIT_US,
        waiting_max: 1_000,
        leases_max: 10,
    })
}
