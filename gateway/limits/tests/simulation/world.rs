//! A limiter, shards with leases, and queues between them that take their time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use turnpike_balance::Random;
use turnpike_limits::{
    Answer, Begun, Holder, LeaseRules, Leases, Limit, LimitId, Limiter, LimiterRules, Rate, Report, Taken,
    Ticket, Why,
};

use crate::window::{Schedule, assert_holds};

const TICK_US: u64 = 10_000;

/// How long messages are under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delays {
    pub(crate) least_us: u64,
    /// Beyond that, on average.
    pub(crate) mean_us: u64,
    /// One in so many takes `stall_us` more, and all behind it; 0: none.
    pub(crate) stalls_one_in: usize,
    pub(crate) stall_us: u64,
}

pub(crate) const QUICK: Delays = Delays { least_us: 5, mean_us: 15, stalls_one_in: 0, stall_us: 0 };
/// A busy machine, whose scheduler lets the authority's thread wait now and then.
pub(crate) const BUSY: Delays = Delays { least_us: 10, mean_us: 60, stalls_one_in: 200, stall_us: 3_000 };
pub(crate) const AWFUL: Delays = Delays { least_us: 0, mean_us: 2_000, stalls_one_in: 20, stall_us: 40_000 };

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) shards: usize,
    pub(crate) delays: Delays,
    pub(crate) requests_per_s: f64,
    /// One shard in ten gets nine tenths of the requests.
    pub(crate) skewed: bool,
    /// The limits of each kind of request, the broadest first, by their index in `rates`.
    pub(crate) kinds: Vec<Vec<usize>>,
    pub(crate) rates: Vec<Rate>,
    pub(crate) limits_max: usize,
    pub(crate) leases_max: usize,
    pub(crate) waiting_max: usize,
    pub(crate) wait_us: u64,
}

impl Plan {
    pub(crate) fn of(seed: u64, shards: usize, rate: Rate, requests_per_s: f64) -> Self {
        Self {
            seed,
            shards,
            delays: QUICK,
            requests_per_s,
            skewed: false,
            kinds: vec![vec![0]],
            rates: vec![rate],
            limits_max: 1_000,
            leases_max: 1_000,
            waiting_max: 1_000,
            wait_us: 50_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    Tick(usize),
    /// A message reaches the authority, or a shard.
    ToAuthority(usize),
    ToShard(usize),
}

#[derive(Debug)]
struct Shard {
    leases: Leases,
    /// What each request that waits asked for.
    waiting: HashMap<Ticket, usize>,
    version: u64,
    is_gone: bool,
    /// Of its ticks within [`TICK_US`].
    phase_us: u64,
    /// Ticks are left out while there is nothing to do.
    ticks: bool,
    has_unsent: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    pub(crate) timed_out: u64,
    pub(crate) crowded: u64,
    pub(crate) messages: u64,
    /// Tokens were taken from the authority without a lease.
    pub(crate) at_hand: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) now_us: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    reports: HashMap<usize, VecDeque<(u64, Report)>>,
    answers: HashMap<usize, VecDeque<(u64, Answer)>>,
    pub(crate) limiter: Limiter,
    shards: Vec<Shard>,
    /// Of each limit, by version.
    rates: Vec<Vec<Rate>>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) admitted_us: Vec<Vec<u64>>,
    pub(crate) arrivals_us: Vec<u64>,
    pub(crate) outcomes: Outcomes,
    /// Reports that find no room in the queue, one in so many; 0: none.
    pub(crate) unsent_one_in: usize,
    /// Requests that go away while they wait.
    pub(crate) leaving_one_in: usize,
    /// Requests that find the authority free, which answers before they would have to wait; 0: none.
    pub(crate) at_once_one_in: usize,
    /// Requests that find the authority at hand, which takes tokens of limits that aren't leased as spent; 0: none.
    pub(crate) at_hand_one_in: usize,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let limiter = Limiter::new(LimiterRules { holders: plan.shards, limits_max: plan.limits_max });
        let shards = (0..plan.shards).map(|shard| Shard::new(&plan, shard)).collect();
        let mut world = Self {
            random: Random::seeded(plan.seed),
            now_us: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            reports: HashMap::new(),
            answers: HashMap::new(),
            limiter,
            shards,
            rates: vec![plan.rates.clone()],
            schedules: plan.rates.iter().map(|rate| vec![(0, *rate)]).collect(),
            admitted_us: vec![Vec::new(); plan.rates.len()],
            arrivals_us: Vec::new(),
            outcomes: Outcomes::default(),
            unsent_one_in: 0,
            leaving_one_in: 0,
            at_once_one_in: 0,
            at_hand_one_in: 0,
            plan,
        };
        world.schedule(0, Event::Arrival);
        for shard in &mut world.shards {
            shard.phase_us = world.random.number() % TICK_US;
        }
        world
    }

    pub(crate) fn run_for_s(&mut self, seconds: f64) -> &mut Self {
        let until_us = self.now_us + (seconds * 1e6) as u64;
        while self.events.peek().is_some_and(|Reverse((at_us, ..))| *at_us <= until_us) {
            let Some(Reverse((at_us, _, event))) = self.events.pop() else { break };
            self.now_us = at_us;
            self.happen(event);
        }
        self.now_us = until_us;
        self
    }

    /// A new configuration, which reaches the shards one after the other; both rates are granted until the last has it.
    pub(crate) fn change(&mut self, limit: usize, rate: Rate) {
        let mut rates = self.rates.last().expect("there is one").clone();
        let before = rates[limit];
        rates[limit] = rate;
        self.rates.push(rates);
        let faster = if rate.micro_tokens_per_s() > before.micro_tokens_per_s() { rate } else { before };
        self.schedules[limit].push((self.now_us, faster));
        for shard in 0..self.plan.shards {
            self.shards[shard].version += 1;
            self.run_for_s(0.003);
        }
        // The last who asked by the old one is heard of.
        self.run_for_s(0.1);
        self.schedules[limit].push((self.now_us, rate));
    }

    /// A shard ends, orderly or not; what it has sent arrives before.
    pub(crate) fn end_shard(&mut self, shard: usize, orderly: bool) {
        if orderly {
            self.shards[shard].leases.close();
            self.drain_leases(shard);
        }
        self.shards[shard].is_gone = true;
        while self.deliver_report(shard) {}
        self.limiter.end(Holder(shard as u16), self.now_us);
    }

    /// Nobody asks any more, until all is at rest.
    pub(crate) fn come_to_rest(&mut self) {
        self.plan.requests_per_s = 0.0;
        self.run_for_s(0.5);
        for (at, shard) in self.shards.iter().enumerate().filter(|(_, shard)| !shard.is_gone) {
            assert_eq!(
                (shard.leases.waiting(), shard.waiting.len(), shard.leases.len()),
                (0, 0, 0),
                "{:?}",
                shard.leases
            );
            for limit in 0..self.plan.rates.len() {
                assert_eq!(self.limiter.held(id(limit), Holder(at as u16)), 0);
            }
        }
    }

    #[track_caller]
    pub(crate) fn assert_limits_hold(&self) {
        for (limit, (schedule, admitted)) in self.schedules.iter().zip(&self.admitted_us).enumerate() {
            assert_holds(schedule, admitted, &format!("limit {limit} of {:?}", self.plan));
        }
    }

    pub(crate) fn leases_len_most(&self) -> usize {
        self.shards.iter().map(|shard| shard.leases.len()).max().unwrap_or(0)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrive(),
            Event::Tick(shard) => self.tick(shard),
            Event::ToAuthority(shard) => drop(self.deliver_report(shard)),
            Event::ToShard(shard) => self.deliver_answer(shard),
        }
    }

    fn tick(&mut self, shard: usize) {
        self.shards[shard].ticks = false;
        if self.shards[shard].is_gone {
            return;
        }
        self.shards[shard].leases.tick(self.now_us);
        self.drain_leases(shard);
        self.keep_ticking(shard);
        self.limiter.sweep(16, self.now_us);
    }

    fn keep_ticking(&mut self, at: usize) {
        let shard = &mut self.shards[at];
        if shard.is_gone || shard.ticks || (shard.leases.is_empty() && !shard.has_unsent) {
            return;
        }
        shard.ticks = true;
        let elapsed_us = (self.now_us + TICK_US - shard.phase_us) % TICK_US;
        self.schedule(self.now_us + TICK_US - elapsed_us, Event::Tick(at));
    }

    fn arrive(&mut self) {
        if self.plan.requests_per_s <= 0.0 {
            return;
        }
        let gap_us = -(1.0 - self.random.fraction()).ln() / self.plan.requests_per_s * 1e6;
        let next_us = self.now_us + gap_us.round() as u64;
        self.schedule(next_us, Event::Arrival);
        let shard = self.pick_shard();
        if self.shards[shard].is_gone {
            return;
        }
        let kind = self.random.below(self.plan.kinds.len());
        self.arrivals_us.push(self.now_us);
        let limits = self.limits(kind, self.shards[shard].version);
        match self.take(shard, &limits) {
            Taken::Admitted => self.admit(kind),
            Taken::Refused(refused) => self.refuse(refused.why),
            Taken::Waits(ticket) => {
                let before = self.shards[shard].waiting.insert(ticket, kind);
                assert_eq!(before, None, "a ticket is given once");
            }
        }
        self.drain_leases(shard);
        self.keep_ticking(shard);
    }

    fn take(&mut self, at: usize, limits: &[Limit]) -> Taken {
        match self.begin(at, limits) {
            Begun::Admitted => return Taken::Admitted,
            Begun::Refused(refused) => return Taken::Refused(refused),
            Begun::Lacks => {}
        }
        if self.at_once_one_in > 0 && self.random.below(self.at_once_one_in) == 0 {
            self.converse(at);
        }
        let Shard { leases, version, .. } = &mut self.shards[at];
        leases.go_on(limits, *version, self.now_us)
    }

    /// The authority may be at hand while messages to it are under way.
    fn begin(&mut self, at: usize, limits: &[Limit]) -> Begun {
        let at_hand = self.at_hand_one_in > 0 && self.random.below(self.at_hand_one_in) == 0;
        let Self { shards, limiter, now_us, outcomes, .. } = self;
        let Shard { leases, version, .. } = &mut shards[at];
        if !at_hand {
            return leases.begin(limits, *version, *now_us);
        }
        leases.begin_at_hand(limits, *version, *now_us, |unknown| {
            let is_spent = limiter.spend(unknown, *version, *now_us);
            outcomes.at_hand += u64::from(is_spent);
            is_spent
        })
    }

    /// What a shard has to say is answered at once, unless something is under way that was said before.
    fn converse(&mut self, shard: usize) {
        let is_silent = |queued: Option<usize>| queued.is_none_or(|messages| messages == 0);
        if !is_silent(self.reports.get(&shard).map(VecDeque::len))
            || !is_silent(self.answers.get(&shard).map(VecDeque::len))
        {
            return;
        }
        while let Some(report) = self.shards[shard].leases.poll_report() {
            self.outcomes.messages += 1;
            let behind_us = self.random.number() % 50;
            if let Some(answer) = self.limiter.handle(&report, self.now_us.saturating_sub(behind_us)) {
                self.shards[shard].leases.handle_answer(&answer, self.now_us);
            }
        }
        // Their tickets may be others' from now on.
        self.tell_verdicts(shard);
    }

    fn limits(&self, kind: usize, version: u64) -> Vec<Limit> {
        let rates = &self.rates[version as usize];
        self.plan.kinds[kind].iter().map(|limit| Limit { id: id(*limit), rate: rates[*limit] }).collect()
    }

    fn pick_shard(&mut self) -> usize {
        let hot = self.plan.shards.div_ceil(10);
        if self.plan.skewed && hot < self.plan.shards {
            let is_hot = self.random.fraction() < 0.9;
            return if is_hot {
                self.random.below(hot)
            } else {
                hot + self.random.below(self.plan.shards - hot)
            };
        }
        self.random.below(self.plan.shards)
    }

    fn admit(&mut self, kind: usize) {
        self.outcomes.admitted += 1;
        for limit in &self.plan.kinds[kind] {
            self.admitted_us[*limit].push(self.now_us);
        }
    }

    fn refuse(&mut self, why: Why) {
        match why {
            Why::Closed | Why::Empty => self.outcomes.refused += 1,
            Why::TimedOut => self.outcomes.timed_out += 1,
            Why::Crowded => self.outcomes.crowded += 1,
        }
    }

    /// Sends what a shard has to say, and ends the waits that it has decided.
    fn drain_leases(&mut self, shard: usize) {
        self.shards[shard].has_unsent = false;
        while let Some(report) = self.shards[shard].leases.poll_report() {
            self.outcomes.messages += 1;
            if self.unsent_one_in > 0 && self.random.below(self.unsent_one_in) == 0 {
                self.shards[shard].leases.handle_unsent(report);
                self.shards[shard].has_unsent = true;
                break;
            }
            let queue = self.reports.entry(shard).or_default();
            let at_us = self
                .plan
                .delays
                .draw(&mut self.random, self.now_us)
                .max(queue.back().map_or(0, |(at_us, _)| *at_us));
            queue.push_back((at_us, report));
            self.schedule(at_us, Event::ToAuthority(shard));
        }
        self.tell_verdicts(shard);
        self.let_one_leave(shard);
    }

    fn tell_verdicts(&mut self, shard: usize) {
        while let Some((ticket, verdict)) = self.shards[shard].leases.poll_verdict() {
            let kind = self.shards[shard].waiting.remove(&ticket).expect("it waits");
            match verdict {
                Ok(()) => self.admit(kind),
                Err(refused) => self.refuse(refused.why),
            }
        }
    }

    fn let_one_leave(&mut self, shard: usize) {
        if self.leaving_one_in == 0 || self.random.below(self.leaving_one_in) > 0 {
            return;
        }
        let Shard { leases, waiting, .. } = &mut self.shards[shard];
        if let Some(ticket) = waiting.keys().min_by_key(|ticket| format!("{ticket:?}")).copied() {
            waiting.remove(&ticket);
            leases.leave(ticket);
        }
    }

    /// The authority's clock is read once for several messages, so that it may be behind.
    fn deliver_report(&mut self, shard: usize) -> bool {
        let Some((_, report)) = self.reports.get_mut(&shard).and_then(VecDeque::pop_front) else {
            return false;
        };
        let behind_us = self.random.number() % 50;
        if let Some(answer) = self.limiter.handle(&report, self.now_us.saturating_sub(behind_us)) {
            let queue = self.answers.entry(shard).or_default();
            let at_us = self
                .plan
                .delays
                .draw(&mut self.random, self.now_us)
                .max(queue.back().map_or(0, |(at_us, _)| *at_us));
            queue.push_back((at_us, answer));
            self.schedule(at_us, Event::ToShard(shard));
        }
        true
    }

    fn deliver_answer(&mut self, shard: usize) {
        let Some((_, answer)) = self.answers.get_mut(&shard).and_then(VecDeque::pop_front) else {
            return;
        };
        if !self.shards[shard].is_gone {
            self.shards[shard].leases.handle_answer(&answer, self.now_us);
            self.drain_leases(shard);
        }
    }

    fn schedule(&mut self, at_us: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at_us, self.sequence, event)));
    }
}

impl Shard {
    fn new(plan: &Plan, shard: usize) -> Self {
        let leases = Leases::new(LeaseRules {
            holder: Holder(shard as u16),
            holders: plan.shards,
            wait_us: plan.wait_us,
            waiting_max: plan.waiting_max,
            leases_max: plan.leases_max,
        });
        Self {
            leases,
            waiting: HashMap::new(),
            version: 0,
            is_gone: false,
            phase_us: 0,
            ticks: false,
            has_unsent: false,
        }
    }
}

impl Delays {
    fn draw(self, random: &mut Random, now_us: u64) -> u64 {
        let more_us = -(1.0 - random.fraction()).ln() * self.mean_us as f64;
        let stalls = self.stalls_one_in > 0 && random.below(self.stalls_one_in) == 0;
        now_us + self.least_us + more_us as u64 + if stalls { self.stall_us } else { 0 }
    }
}

fn id(limit: usize) -> LimitId {
    LimitId(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(limit as u64 + 1))
}
