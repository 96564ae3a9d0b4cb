//! Hosts, their clocks, a store, and a network between them that fails.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use turnpike_balance::Random;
use turnpike_limits::Rate;

use super::host::Host;
use super::store::{Exchange, LEASE_US, Reply, Store};

const WAIT_US: u64 = 50_000;
const TICK_US: u64 = 5_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    /// Messages; 0: none.
    pub(crate) lost_one_in: usize,
    pub(crate) partitions: bool,
    pub(crate) crashes: bool,
    /// Of the store's clock.
    pub(crate) jumps: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Request,
    Tick(usize),
    ToStore(Exchange),
    ToHost(usize, Reply),
    /// Something fails.
    Fault,
}

#[derive(Debug)]
struct Member {
    host: Host,
    /// What it has for a clock: an offset, and parts per million that it is fast.
    offset_us: u64,
    fast_ppm: i64,
    /// When those who wait give up.
    waiting: VecDeque<u64>,
    cut_off_until_us: u64,
    /// Nobody asks it for anything.
    quiet_until_us: u64,
    down_until_us: u64,
    generation: u64,
}

#[derive(Debug)]
pub(crate) struct Network {
    random: Random,
    faults: Faults,
    requests_per_s: f64,
    now_us: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    queued: std::collections::HashMap<u64, Event>,
    store: Store,
    store_offset_us: i64,
    members: Vec<Member>,
    pub(crate) admitted_us: Vec<u64>,
    pub(crate) jumps_forward: u32,
    pub(crate) exchanges: u64,
}

impl Network {
    pub(crate) fn new(seed: u64, hosts: usize, rate: Rate, requests_per_s: f64, faults: Faults) -> Self {
        let mut random = Random::seeded(seed);
        let members = (0..hosts).map(|_| Member::new(&mut random)).collect();
        let mut network = Self {
            random,
            faults,
            requests_per_s,
            now_us: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            queued: std::collections::HashMap::new(),
            store: Store::new(rate, hosts),
            store_offset_us: 1 << 40,
            members,
            admitted_us: Vec::new(),
            jumps_forward: 0,
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
                self.serve(host);
                self.schedule(self.now_us + TICK_US, Event::Tick(host));
            }
            Event::ToStore(exchange) => {
                let store_us = self.now_us.wrapping_add_signed(self.store_offset_us);
                if let Some(reply) = self.store.handle(&exchange, store_us) {
                    self.send(exchange.host, Event::ToHost(exchange.host, reply));
                }
            }
            Event::ToHost(host, reply) => {
                let member = &mut self.members[host];
                if member.down_until_us <= self.now_us {
                    let host_us = member.clock_us(self.now_us);
                    member.host.handle(&reply, host_us);
                    self.serve(host);
                }
            }
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
        member.host.see();
        if member.waiting.is_empty() && member.host.take(host_us) {
            self.admitted_us.push(self.now_us);
        } else if !member.host.is_empty(host_us) {
            member.waiting.push_back(self.now_us + WAIT_US);
        }
        self.serve(host);
    }

    /// Lets those in who wait, as far as there are tokens, and speaks to the store.
    fn serve(&mut self, host: usize) {
        let (now_us, member) = (self.now_us, &mut self.members[host]);
        if member.down_until_us > now_us {
            return;
        }
        let host_us = member.clock_us(now_us);
        member.waiting.retain(|gives_up_us| *gives_up_us > now_us);
        while !member.waiting.is_empty() && member.host.take(host_us) {
            member.waiting.pop_front();
            self.admitted_us.push(now_us);
        }
        if member.host.is_empty(host_us) {
            member.waiting.clear();
        }
        if let Some(exchange) = member.host.poll_exchange(member.waiting.len() as u64, host_us) {
            self.exchanges += 1;
            self.send(host, Event::ToStore(Exchange { host, ..exchange }));
        }
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
                member.generation += 1_000_000;
                member.host = Host::new(member.generation);
                member.waiting.clear();
            }
            2 if self.faults.jumps => {
                let jump_us = self.random.number() % 10_000_000;
                let forward = self.random.below(2) == 0;
                self.jumps_forward += u32::from(forward);
                self.store_offset_us += if forward { jump_us as i64 } else { -(jump_us as i64) };
            }
            _ => {}
        }
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.sequence += 1;
        self.queued.insert(self.sequence, event);
        self.events.push(Reverse((at_us, self.sequence)));
    }
}

impl Member {
    fn new(random: &mut Random) -> Self {
        Self {
            host: Host::new(1),
            offset_us: random.number() % (1 << 40),
            fast_ppm: random.below(400) as i64 - 200,
            waiting: VecDeque::new(),
            cut_off_until_us: 0,
            quiet_until_us: 0,
            down_until_us: 0,
            generation: 1,
        }
    }

    fn clock_us(&self, now_us: u64) -> u64 {
        self.offset_us + now_us.wrapping_add_signed(now_us as i64 * self.fast_ppm / 1_000_000)
    }
}
