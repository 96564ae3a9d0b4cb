//! Processes that succeed each other while they serve: each hands its buckets over to the next, over a connection that takes
//! its time, and goes on until it has drained. Whoever ends when, what all admit together holds in every window.

use std::collections::{HashMap, VecDeque};

use turnpike_balance::Random;
use turnpike_limits::{
    Answer, Arriving, Departing, Holder, LeaseRules, Leases, Limit, LimitId, Limiter, LimiterRules, Rate,
    Report, Taken, Ticket, ToPredecessor, ToSuccessor,
};

use crate::window::assert_holds;

const TICK_US: u64 = 10_000;
const LIMITS: usize = 40;
const LIMITS_MAX: usize = 1_000;

enum Authority {
    Alone(Limiter),
    Arriving(Arriving),
    Departing(Departing),
}

struct Process {
    authority: Option<Authority>,
    shards: Vec<Leases>,
    waiting: Vec<HashMap<Ticket, usize>>,
    version: u64,
    serves: bool,
    /// To and from the next.
    out: VecDeque<(u64, ToSuccessor)>,
    back: VecDeque<(u64, ToPredecessor)>,
}

struct World {
    random: Random,
    now_us: u64,
    processes: Vec<Process>,
    rates: Vec<Rate>,
    admitted_us: Vec<Vec<u64>>,
    delay_us: u64,
    /// Of a process's configurations, which say nothing to another's.
    version: u64,
}

fn id(limit: usize) -> LimitId {
    LimitId(limit as u64 + 1)
}

impl Process {
    fn own(&self) -> u16 {
        self.shards.len() as u16
    }
}

impl World {
    fn new(seed: u64, delay_us: u64) -> Self {
        let kinds = [Rate::new(50.0, 20), Rate::new(2_000.0, 100), Rate::new(1.0, 5), Rate::new(10_000.0, 3)];
        let mut world = Self {
            random: Random::seeded(seed),
            now_us: 0,
            processes: Vec::new(),
            rates: (0..LIMITS).map(|limit| kinds[limit % kinds.len()]).collect(),
            admitted_us: vec![Vec::new(); LIMITS],
            delay_us,
            version: 1_000,
        };
        let rules = LimiterRules { holders: 3, limits_max: LIMITS_MAX };
        world.begin(3, Authority::Alone(Limiter::new(rules)));
        world
    }

    fn begin(&mut self, shards: usize, authority: Authority) {
        let leases = |shard: usize| {
            Leases::new(LeaseRules {
                holder: Holder(shard as u16),
                holders: shards,
                wait_us: 50_000,
                waiting_max: 1_000,
                leases_max: 1_000,
            })
        };
        // A later process may count from below.
        self.version -= 100;
        self.processes.push(Process {
            authority: Some(authority),
            shards: (0..shards).map(leases).collect(),
            waiting: vec![HashMap::new(); shards],
            version: self.version,
            serves: true,
            out: VecDeque::new(),
            back: VecDeque::new(),
        });
    }

    /// The last hands over to one that begins.
    fn succeed(&mut self) {
        let last = self.processes.len() - 1;
        let (holders, departing) = match self.processes[last].authority.take().expect("it lives") {
            Authority::Alone(limiter) => {
                // Only its own are there any more.
                (self.processes[last].shards.len(), Departing::new(limiter, self.processes[last].own()))
            }
            Authority::Arriving(arriving) => {
                assert!(arriving.is_over());
                let limiter = arriving.into_limiter();
                (limiter.holders(), Departing::new(limiter, self.processes[last].own()))
            }
            Authority::Departing(_) => unreachable!("it is the last"),
        };
        self.processes[last].authority = Some(Authority::Departing(departing));
        let own = 1 + self.random.below(4);
        let rules = LimiterRules { holders: own + holders, limits_max: LIMITS_MAX };
        self.begin(own, Authority::Arriving(Arriving::new(Limiter::new(rules), own as u16, LIMITS_MAX)));
    }

    /// It ends: drained, or killed with all that it has.
    fn end(&mut self, at: usize, orderly: bool) {
        if orderly {
            for shard in 0..self.processes[at].shards.len() {
                self.processes[at].shards[shard].close();
                self.converse(at, shard);
                self.hear(at, None, Some(Holder(shard as u16)));
            }
            self.pump(at);
            while let Some((_, said)) = self.processes[at].out.pop_front() {
                self.tell_successor(at, said);
            }
        }
        let process = &mut self.processes[at];
        (process.serves, process.authority) = (false, None);
        (process.out, process.back) = (VecDeque::new(), VecDeque::new());
        process.waiting.iter_mut().for_each(HashMap::clear);
        self.lose_predecessor(at + 1);
        if at > 0
            && let Some(Authority::Departing(departing)) = &mut self.processes[at - 1].authority
        {
            departing.lose();
        }
    }

    fn lose_predecessor(&mut self, at: usize) {
        match self.processes.get_mut(at).and_then(|process| process.authority.take()) {
            Some(Authority::Arriving(mut arriving)) => {
                arriving.lose(self.now_us);
                let answers: Vec<Answer> = std::iter::from_fn(|| arriving.poll_answer()).collect();
                self.processes[at].authority = Some(Authority::Alone(arriving.into_limiter()));
                answers.into_iter().for_each(|answer| self.deliver(at, answer));
            }
            Some(Authority::Departing(mut departing)) => {
                departing.lose_predecessor();
                self.processes[at].authority = Some(Authority::Departing(departing));
            }
            Some(Authority::Alone(_)) => unreachable!("it has a predecessor"),
            None => {}
        }
    }

    fn run_for_ms(&mut self, ms: u64) {
        let until_us = self.now_us + ms * 1_000;
        while self.now_us < until_us {
            let before_us = self.now_us;
            self.now_us += self.random.number() % 40;
            for at in 0..self.processes.len() {
                self.step(at, before_us);
            }
        }
    }

    fn step(&mut self, at: usize, before_us: u64) {
        self.carry(at);
        let ticks = self.now_us / TICK_US > before_us / TICK_US;
        for shard in 0..self.processes[at].shards.len() {
            if !self.processes[at].serves {
                return;
            }
            if ticks {
                let now_us = self.now_us;
                self.processes[at].shards[shard].tick(now_us);
                self.converse(at, shard);
            }
            if self.random.below(3) == 0 {
                self.ask(at, shard);
            }
        }
        self.pump(at);
    }

    /// The busiest gets a third of all.
    fn ask(&mut self, at: usize, shard: usize) {
        let limit = if self.random.below(3) == 0 { 1 } else { self.random.below(LIMITS) };
        let (now_us, process) = (self.now_us, &mut self.processes[at]);
        let wanted = [Limit { id: id(limit), rate: self.rates[limit] }];
        match process.shards[shard].take(&wanted, process.version, now_us) {
            Taken::Admitted => self.admitted_us[limit].push(now_us),
            Taken::Refused(_) => {}
            Taken::Waits(ticket) => drop(process.waiting[shard].insert(ticket, limit)),
        }
        self.converse(at, shard);
    }

    fn converse(&mut self, at: usize, shard: usize) {
        while let Some(report) = self.processes[at].shards[shard].poll_report() {
            self.hear(at, Some(&report), None);
        }
        while let Some((ticket, verdict)) = self.processes[at].shards[shard].poll_verdict() {
            let limit = self.processes[at].waiting[shard].remove(&ticket).expect("it waits");
            if verdict.is_ok() {
                self.admitted_us[limit].push(self.now_us);
            }
        }
    }

    fn hear(&mut self, at: usize, report: Option<&Report>, ended: Option<Holder>) {
        let now_us = self.now_us;
        let Some(authority) = &mut self.processes[at].authority else { return };
        let answer = match authority {
            Authority::Alone(limiter) => {
                ended.into_iter().for_each(|holder| limiter.end(holder, now_us));
                report.and_then(|report| limiter.handle(report, now_us))
            }
            Authority::Arriving(arriving) => {
                ended.into_iter().for_each(|holder| arriving.end(holder, now_us));
                report.and_then(|report| arriving.handle(report, now_us))
            }
            Authority::Departing(departing) => {
                ended.into_iter().for_each(|holder| departing.end(holder));
                report.and_then(|report| departing.handle(report, now_us))
            }
        };
        answer.into_iter().for_each(|answer| self.deliver(at, answer));
        self.answer(at);
    }

    /// To an own shard, or to the process before.
    fn deliver(&mut self, at: usize, answer: Answer) {
        let own = self.processes[at].own();
        if answer.holder.0 >= own {
            return self.say_back(at, ToPredecessor::answer(answer, own));
        }
        let (shard, now_us) = (usize::from(answer.holder.0), self.now_us);
        if self.processes[at].serves {
            self.processes[at].shards[shard].handle_answer(&answer, now_us);
            self.converse(at, shard);
        }
    }

    fn say_back(&mut self, at: usize, said: ToPredecessor) {
        let due_us = self.now_us + self.random.number() % (2 * self.delay_us);
        if at > 0 && self.processes[at - 1].authority.is_some() {
            self.processes[at - 1].back.push_back((due_us, said));
        }
    }

    fn answer(&mut self, at: usize) {
        while let Some(Authority::Arriving(arriving)) = &mut self.processes[at].authority {
            if let Some(answer) = arriving.poll_answer() {
                self.deliver(at, answer);
            } else if let Some(want) = arriving.poll_want() {
                self.say_back(at, ToPredecessor::Want(want));
            } else {
                return;
            }
        }
    }

    /// Some of what is to be handed over, each time.
    fn pump(&mut self, at: usize) {
        let now_us = self.now_us;
        let mut said = 0;
        while let Some(Authority::Departing(departing)) = &mut self.processes[at].authority {
            // Reports are never kept for long, whatever waits of the rest.
            if said > 1 && departing.backlog() == 0 {
                return;
            }
            let Some(next) = departing.poll(now_us) else { return };
            said += 1;
            let due_us = now_us + self.random.number() % (2 * self.delay_us);
            self.processes[at].out.push_back((due_us, next));
        }
    }

    /// What has arrived, in order.
    fn carry(&mut self, at: usize) {
        let now_us = self.now_us;
        while let Some((_, said)) = self.processes[at].out.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            self.tell_successor(at, said);
        }
        while let Some((_, said)) = self.processes[at].back.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            match said {
                ToPredecessor::Answer(answer) => self.deliver(at, answer),
                ToPredecessor::Want(id) => {
                    if let Some(Authority::Departing(departing)) = &mut self.processes[at].authority {
                        departing.handle_want(id, now_us);
                    }
                }
            }
        }
    }

    /// The successor's clock is read before, so that it may be behind.
    fn tell_successor(&mut self, at: usize, said: ToSuccessor) {
        let now_us = self.now_us - self.random.number() % 50;
        let Some(authority) = self.processes.get_mut(at + 1).and_then(|next| next.authority.as_mut()) else {
            return;
        };
        let answer = match authority {
            Authority::Arriving(arriving) => {
                arriving.handle_predecessor(said, now_us);
                None
            }
            Authority::Departing(departing) => departing.handle_predecessor(&said, now_us),
            Authority::Alone(_) => unreachable!("it has a predecessor"),
        };
        answer.into_iter().for_each(|answer| self.deliver(at + 1, answer));
        self.answer(at + 1);
    }

    #[track_caller]
    fn assert_limits_hold(&self, what: &str) {
        for (rate, admitted) in self.rates.iter().zip(&self.admitted_us) {
            assert_holds(&vec![(0, *rate)], admitted, what);
        }
    }
}

#[test]
fn a_limit_holds_while_processes_succeed_each_other() {
    for seed in 0..40 {
        let delay_us = [20, 200, 5_000][seed as usize % 3];
        let mut world = World::new(seed, delay_us);
        world.run_for_ms(150);
        for succession in 0..3 {
            world.succeed();
            world.run_for_ms(80 + seed * 3);
            // The first drains for longer than it takes the next to be succeeded, now and then.
            if seed % 4 > 0 || succession > 0 {
                let orderly = seed % 5 > 0;
                (0..=succession).for_each(|at| {
                    if world.processes[at].serves {
                        world.end(at, orderly);
                    }
                });
            }
        }
        world.run_for_ms(300);
        world.assert_limits_hold(&format!("seed {seed}"));
        assert!(world.processes.last().is_some_and(|last| last.serves));
    }
}

#[test]
fn a_limit_is_made_use_of_while_it_is_handed_over() {
    let mut world = World::new(77, 100);
    world.run_for_ms(500);
    world.succeed();
    let before = world.admitted_us[1].len();
    world.run_for_ms(500);
    let share = (world.admitted_us[1].len() - before) as f64 / (2_000.0 * 0.5);
    assert!(share > 0.95, "{share}");
    world.end(0, true);
    let before = world.admitted_us[1].len();
    world.run_for_ms(500);
    let share = (world.admitted_us[1].len() - before) as f64 / (2_000.0 * 0.5);
    assert!(share > 0.98, "{share}");
    world.assert_limits_hold("in use");
    assert!(matches!(world.processes[1].authority, Some(Authority::Alone(_))));
}

#[test]
fn a_successor_that_dies_takes_its_limits_along() {
    let mut world = World::new(78, 100);
    world.run_for_ms(200);
    world.succeed();
    world.run_for_ms(50);
    world.end(1, false);
    let admitted: usize = world.admitted_us.iter().map(Vec::len).sum();
    // What it has in hand, and nothing more.
    world.run_for_ms(300);
    let later: usize = world.admitted_us.iter().map(Vec::len).sum();
    assert!(later - admitted < 200, "{}", later - admitted);
    world.assert_limits_hold("after its end");
}
