use turnpike_snapshot::frame::QuotaVerdict::{Ended, Exhausted, Open, Unknown};

use super::super::counts::SharedCounts;
use super::super::counts::tests::Place;
use super::super::journal::orphans_of;
use super::*;

const DAY: u32 = 20_000;

struct Bench {
    desk: Desk,
    now: Now,
    name: Arc<QuotaName>,
}

impl Bench {
    fn new() -> Self {
        Self::with(SharedCounts::default())
    }

    fn with(counts: SharedCounts) -> Self {
        let rules = DeskRules { shards: 2, keys_max: 2, lease_requests_max: 100, ahead_ms: 5_000 };
        let mut id = 0;
        let ids = Box::new(move || {
            id += 1;
            id
        });
        let mut bench = Self {
            desk: Desk::new(rules, ids, Rows::new(counts)),
            now: Now { ms: 10_000, day: DAY },
            name: name("k"),
        };
        bench.desk.connect(bench.now);
        bench
    }

    fn ask(&mut self, shard: usize, held: u32, wanted: u32) {
        self.desk.ask(shard, &self.name, held, wanted, self.now);
    }

    fn take_back(&mut self, shard: usize, hand: Hand, tokens: u32) {
        self.desk.take_back(shard, &self.name, Returned { hand, tokens, stale: false }, self.now);
    }

    fn answer(&mut self, lease: u64, granted_requests: u64, verdict: QuotaVerdict) {
        self.desk.hear(QuotaAnswer { lease, granted_requests, verdict }, self.now);
    }

    fn pass(&mut self, ms: u64) {
        self.now.ms += ms;
        self.desk.tick(self.now);
    }

    /// What the desk reports: lease, spent, wanted, whether it ends.
    fn reports(&mut self) -> Vec<(u64, u64, u64, bool)> {
        let reports = self.desk.take_reports().into_iter();
        reports.map(|said| (said.lease, said.spent_requests, said.wanted_requests, said.ends)).collect()
    }

    fn said(&mut self) -> Vec<(usize, Said)> {
        self.desk.take_said().into_iter().map(|(shard, from)| (shard, from.said)).collect()
    }

    /// What one shard is given.
    fn given(&mut self) -> (Hand, u32) {
        match self.said()[..] {
            [(_, Said::Give { hand, day, tokens })] => {
                assert_eq!(day, self.now.day);
                (hand, tokens)
            }
            ref other => panic!("{other:?}"),
        }
    }

    /// What the journal has of each lease, after this pass.
    fn written(&mut self) -> Vec<Entry> {
        self.desk.take_entries()
    }
}

fn name(key: &str) -> Arc<QuotaName> {
    Arc::new(QuotaName { plan_id: "p".into(), key_id: key.into() })
}

#[test]
fn a_first_request_is_served_of_a_lease_that_goes_home_when_the_key_rests() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    assert_eq!(bench.reports(), [(1, 0, 8, false)]);
    assert_eq!(bench.written(), [Entry::Opened { lease: 1, day: DAY, row: None, name: name("k") }]);
    bench.answer(1, 8, Open);
    let (hand, tokens) = bench.given();
    assert_eq!(tokens, 1);
    assert_eq!(bench.written(), [Entry::Out { lease: 1, out: 1 }], "before the shard has it");
    bench.pass(300);
    assert_eq!(bench.reports(), [], "the shard may have it yet");
    bench.take_back(0, hand, 0);
    bench.pass(1);
    assert_eq!(bench.reports(), [(1, 1, 8, true)]);
    bench.answer(1, 8, Ended);
    assert_eq!(bench.written(), [Entry::Closed { lease: 1 }]);
    bench.pass(1);
    assert!(bench.desk.accounts.is_empty() && bench.desk.names.is_empty());
}

#[test]
fn what_another_shard_has_left_is_gathered_before_anybody_is_refused() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 4);
    assert_eq!(bench.reports().len(), 1);
    bench.answer(1, 8, Open);
    let (hand, tokens) = bench.given();
    assert_eq!(tokens, 2, "a share");
    bench.ask(0, 0, 64);
    let (hand, more) = {
        let _ = hand;
        bench.given()
    };
    assert_eq!(more, 1);
    // All that is left is 2 in the shard's hand; control has nothing more.
    bench.ask(1, 0, 64);
    let (_, other) = bench.given();
    let mut served = u64::from(tokens + more + other);
    while served < 8 {
        bench.ask(1, 0, 64);
        served += u64::from(bench.given().1);
    }
    bench.ask(1, 0, 1);
    assert_eq!(bench.said(), []);
    let [(1, _, wanted, false)] = bench.reports()[..] else { panic!("asks for more") };
    assert!(wanted > 8);
    bench.answer(1, 8, Exhausted);
    assert_eq!(bench.said(), [(0, Said::Recall)]);
    bench.take_back(0, hand, 1);
    assert_eq!(bench.given().1, 1, "what has come back");
    bench.ask(1, 0, 1);
    assert_eq!(bench.said(), [(1, Said::Refuse(QuotaRefusal::UsedUp))]);
    // After a while control is asked again.
    bench.pass(USED_UP_MS);
    bench.reports();
    bench.ask(1, 0, 1);
    assert_eq!(bench.said(), []);
}

#[test]
fn a_return_that_crosses_a_gift_doesnt_close_it() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    bench.reports();
    bench.answer(1, 8, Open);
    let (first, _) = bench.given();
    bench.ask(0, 0, 2);
    let (second, _) = bench.given();
    bench.take_back(0, first, 0);
    bench.pass(1_000);
    assert!(bench.reports().iter().all(|(.., ends)| !ends), "the shard has the second one");
    bench.take_back(0, second, 0);
    bench.pass(1_000);
    assert!(bench.desk.accounts[&bench.name].lease.as_ref().unwrap().ending);
}

#[test]
fn midnight_ends_leases_and_nothing_is_served_of_the_day_before() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    bench.reports();
    bench.answer(1, 8, Open);
    let (hand, _) = bench.given();
    bench.now.day += 1;
    bench.ask(1, 0, 1);
    assert_eq!(bench.said(), [(0, Said::Recall)], "nothing is given of what is left");
    bench.take_back(0, hand, 1);
    assert_eq!(bench.reports(), [(1, 0, 8, true)]);
    bench.answer(1, 8, Ended);
    let reports = bench.desk.take_reports();
    assert_eq!((reports[0].lease, reports[0].day), (2, DAY + 1));
    bench.answer(2, 16, Open);
    assert_eq!(bench.given().0.lease, 2);
    // What comes late of the first one is nobody's.
    let out = |bench: &Bench| bench.desk.accounts[&bench.name].lease.as_ref().unwrap().out;
    let before = out(&bench);
    bench.take_back(0, hand, 5);
    assert_eq!(out(&bench), before);
}

#[test]
fn a_changed_quota_takes_a_new_lease() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    bench.reports();
    bench.answer(1, 8, Open);
    let (hand, _) = bench.given();
    let returned = Returned { hand, tokens: 1, stale: true };
    bench.desk.take_back(0, &bench.name, returned, bench.now);
    bench.ask(0, 0, 1);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.reports(), [(1, 0, 8, true)]);
    bench.answer(1, 8, Ended);
    assert_eq!(bench.reports()[0].0, 2);
}

#[test]
fn a_lost_connection_loses_no_report() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    assert_eq!(bench.reports().len(), 1);
    bench.desk.disconnect();
    bench.pass(1_000);
    assert_eq!((bench.reports(), bench.said()), (vec![], vec![]), "it waits");
    bench.desk.connect(bench.now);
    let again = bench.desk.take_reports();
    assert!(again[0].is_new && again[0].is_late && again[0].wanted_requests == 8);
    bench.answer(1, 8, Open);
    let (hand, _) = bench.given();
    bench.take_back(0, hand, 0);
    bench.desk.disconnect();
    bench.pass(1_000);
    assert_eq!(bench.reports(), []);
    bench.desk.connect(bench.now);
    let end = bench.desk.take_reports();
    assert!(end[0].ends && end[0].is_late && end[0].spent_requests == 1);
}

#[test]
fn control_that_cannot_say_refuses_for_a_while() {
    let mut bench = Bench::new();
    bench.ask(0, 0, 1);
    bench.reports();
    bench.answer(1, 0, Unknown);
    assert_eq!(bench.said(), [(0, Said::Refuse(QuotaRefusal::Unknown))]);
    bench.ask(0, 0, 1);
    assert_eq!(bench.said(), [(0, Said::Refuse(QuotaRefusal::Unknown))]);
    assert_eq!(bench.reports(), []);
    bench.pass(UNKNOWN_MS);
    assert_eq!(bench.reports(), [(1, 0, 8, true)], "at rest");
    bench.ask(0, 0, 1);
    bench.answer(1, 0, Ended);
    assert_eq!(bench.reports(), [(2, 0, 16, false)]);
    bench.answer(2, 16, Open);
    let (hand, _) = bench.given();
    bench.desk.disconnect();
    bench.desk.connect(bench.now);
    bench.ask(0, 0, 64);
    bench.ask(1, 0, 64);
    bench.ask(1, 0, 64);
    bench.said();
    assert_eq!(bench.reports().len(), 1, "more is asked for");
    // A control that was restored from a backup, say: what no shard has is void, and the rest comes back first.
    bench.answer(2, 0, Ended);
    assert_eq!(bench.said().iter().filter(|(_, said)| *said == Said::Recall).count(), 2);
    assert_eq!(bench.desk.accounts[&bench.name].lease.as_ref().unwrap().pool(), 0);
    let _ = hand;
}

#[test]
fn more_keys_than_settings_allow_are_refused() {
    let mut bench = Bench::new();
    for key in ["a", "b", "c"] {
        bench.desk.ask(0, &name(key), 0, 1, bench.now);
    }
    assert_eq!(bench.said(), [(0, Said::Refuse(QuotaRefusal::Crowded))]);
}

#[test]
fn leases_grow_with_demand_and_what_shards_spent_is_told() {
    let mut bench = Bench::new();
    let mut granted = 0;
    let mut sizes = Vec::new();
    for _ in 0..400 {
        bench.ask(0, 0, 4);
        for (lease, spent, wanted, ends) in bench.reports() {
            assert!(!ends && spent <= granted);
            sizes.push(wanted - granted);
            granted = wanted;
            bench.answer(lease, granted, Open);
        }
        bench.said();
    }
    assert!(sizes.last() > sizes.first() && sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    let lease = bench.desk.accounts[&bench.name].lease.clone().unwrap();
    assert!(lease.out <= lease.granted && lease.granted == granted);
}

#[test]
fn what_a_shard_didnt_hear_of_leaves_it_with_what_it_has() {
    let mut place = Place::new();
    let mut bench = Bench::with(place.begin(2, 2));
    bench.ask(0, 0, 4);
    bench.reports();
    bench.answer(1, 16, Open);
    let (first, tokens) = bench.given();
    assert_eq!((first.row, tokens), (Some(0), 4));
    bench.written();
    // It asks early, and what it is to have can't be written down.
    bench.ask(0, 2, 4);
    let (second, more) = bench.given();
    bench.desk.withdraw(0, &name("k"), second, more, bench.now);
    assert_eq!(bench.written(), [Entry::Out { lease: 1, out: 4 }]);
    bench.pass(1_000);
    assert!(bench.reports().iter().all(|(.., ends)| !ends), "it has 2 yet, and counts in the row");
    bench.take_back(0, first, 2);
    bench.pass(1_000);
    assert_eq!(bench.reports(), [(1, 2, 8, true)]);
    // The same for one that had nothing.
    bench.answer(1, 16, Ended);
    bench.ask(1, 0, 1);
    bench.reports();
    bench.answer(2, 8, Open);
    let (hand, tokens) = bench.given();
    assert_eq!(hand.row, Some(0), "free again");
    bench.desk.withdraw(1, &name("k"), hand, tokens, bench.now);
    bench.pass(1_000);
    let [(2, 0, _, true)] = bench.reports()[..] else { panic!("nothing of it was had") };
}

/// Shards, a desk, control and a journal at random, with kills: control's count is never below what was served, and
/// where there are counts it is what was served once all is settled.
#[test]
fn nothing_is_served_that_isnt_counted() {
    for seed in 1..=120 {
        let mut world = World::new(seed);
        for _ in 0..600 {
            world.step();
            assert!(world.served <= world.quota, "seed {seed}");
        }
        world.come_to_rest();
        assert!(world.served <= world.used() && world.used() <= world.quota, "seed {seed}");
        if world.kills == 0 || world.place.is_some() {
            assert_eq!(world.used(), world.served, "seed {seed}: nothing is stranded");
        }
    }
}

/// Whatever was killed, the quota's last request can be had.
#[test]
fn the_whole_quota_can_be_used_in_spite_of_kills() {
    let mut kills = 0;
    for seed in 1..=40 {
        let mut world = World::new(4 * seed);
        for round in 0.. {
            assert!(round < 100_000, "seed {seed}: {} of {} are served", world.served, world.quota);
            if world.served == world.quota {
                break;
            }
            world.step();
            if round % 500 == 499 {
                world.come_to_rest();
            }
        }
        world.come_to_rest();
        assert_eq!(world.used(), world.quota, "seed {seed}");
        kills += world.kills;
    }
    assert!(kills > 40);
}

struct World {
    random: u64,
    /// Without it, a journal alone.
    place: Option<Place>,
    counts: SharedCounts,
    bench: Bench,
    /// What shards have, and of which gift.
    shards: [(Hand, u32); 2],
    asked: [bool; 2],
    /// To each shard, in order.
    mail: [VecDeque<Said>; 2],
    to_control: VecDeque<QuotaReport>,
    to_desk: VecDeque<QuotaAnswer>,
    /// By lease: granted, spent.
    leases: std::collections::BTreeMap<u64, (u64, u64)>,
    /// Control's, of leases that have ended.
    settled: u64,
    journal: Vec<Entry>,
    quota: u64,
    served: u64,
    has_kills: bool,
    kills: u64,
    next_id: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut place = seed.is_multiple_of(4).then(Place::new);
        let counts = place.as_mut().map_or_else(SharedCounts::default, |place| place.begin(2, 2));
        Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            place,
            bench: Bench::with(Arc::clone(&counts)),
            counts,
            shards: Default::default(),
            asked: [false; 2],
            mail: Default::default(),
            to_control: VecDeque::new(),
            to_desk: VecDeque::new(),
            leases: Default::default(),
            settled: 0,
            journal: Vec::new(),
            quota: 150,
            served: 0,
            has_kills: seed.is_multiple_of(2),
            kills: 0,
            next_id: 1_000,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn used(&self) -> u64 {
        self.settled + self.leases.values().map(|(granted, _)| granted).sum::<u64>()
    }

    fn step(&mut self) {
        let shard = self.below(2) as usize;
        match self.below(12) {
            0..=3 => self.request(shard),
            4 | 5 => self.read_mail(shard),
            6 | 7 => self.control(),
            8 | 9 => {
                if let Some(answer) = self.to_desk.pop_front() {
                    self.bench.desk.hear(answer, self.bench.now);
                }
            }
            10 => {
                let ms = self.below(200);
                self.bench.pass(ms);
            }
            _ => match self.below(40) {
                0 if self.has_kills => self.kill(),
                1 => {
                    self.bench.desk.disconnect();
                    self.to_desk.clear();
                    self.bench.desk.connect(self.bench.now);
                }
                2..=5 => self.give_back(shard, false),
                _ => {}
            },
        }
        self.pass_on();
    }

    fn request(&mut self, shard: usize) {
        let (hand, tokens) = &mut self.shards[shard];
        if *tokens > 0 {
            if let (Some(row), Some(counts)) = (hand.row, self.counts.get()) {
                counts.count(shard, row);
            }
            *tokens -= 1;
            self.served += 1;
        } else if !self.asked[shard] {
            self.asked[shard] = true;
            let wanted = 1 + self.below(8) as u32;
            self.bench.ask(shard, 0, wanted);
        }
    }

    fn read_mail(&mut self, shard: usize) {
        match self.mail[shard].pop_front() {
            Some(Said::Give { hand, tokens, .. }) => {
                self.shards[shard] = (hand, self.shards[shard].1 + tokens);
                self.asked[shard] = false;
            }
            Some(Said::Refuse(_)) => self.asked[shard] = false,
            Some(Said::Recall) => self.give_back(shard, true),
            None => {}
        }
    }

    /// Of its own, a shard gives back only while it waits for nothing.
    fn give_back(&mut self, shard: usize, recalled: bool) {
        if recalled || !self.asked[shard] {
            let (hand, tokens) = self.shards[shard];
            self.shards[shard].1 = 0;
            self.bench.take_back(shard, hand, tokens);
        }
    }

    /// The ledger, as far as one quota needs it.
    fn control(&mut self) {
        let Some(report) = self.to_control.pop_front() else { return };
        let QuotaReport { lease: id, .. } = report;
        let answer = |granted_requests, verdict| QuotaAnswer { lease: id, granted_requests, verdict };
        if !self.leases.contains_key(&id) && (!report.is_new || report.ends) {
            return self.to_desk.push_back(answer(0, Ended));
        }
        let left = self.quota - self.used();
        let (granted, spent) = self.leases.entry(id).or_default();
        *spent = report.spent_requests.clamp(*spent, *granted);
        if report.ends {
            self.settled += *spent;
            let granted = *granted;
            self.leases.remove(&id);
            return self.to_desk.push_back(answer(granted, Ended));
        }
        let wanted = report.wanted_requests.saturating_sub(*granted);
        let more = wanted.min((left / 4).max(1)).min(left);
        *granted += more;
        let verdict = if wanted > 0 && more == 0 { Exhausted } else { Open };
        self.to_desk.push_back(answer(*granted, verdict));
    }

    /// As the thread does: entries, then words, then reports.
    fn pass_on(&mut self) {
        self.journal.extend(self.bench.desk.take_entries());
        for (shard, from) in self.bench.desk.take_said() {
            self.mail[shard].push_back(from.said);
        }
        self.to_control.extend(self.bench.desk.take_reports());
    }

    fn kill(&mut self) {
        self.kills += 1;
        self.to_desk.clear();
        self.mail = Default::default();
        self.shards = Default::default();
        self.asked = [false; 2];
        // What was sent arrives, whatever becomes of its sender.
        while !self.to_control.is_empty() {
            self.control();
        }
        self.to_desk.clear();
        let left = self.place.as_ref().map(Place::left);
        let orphans = orphans_of(&std::mem::take(&mut self.journal), left);
        if let Some(place) = &mut self.place {
            self.counts = place.begin(2, 2);
        }
        let now = self.bench.now;
        self.bench = Bench::with(Arc::clone(&self.counts));
        self.bench.now = now;
        self.next_id += 1_000;
        let mut id = self.next_id;
        self.bench.desk.ids = Box::new(move || {
            id += 1;
            id
        });
        self.bench.desk.adopt(orphans);
    }

    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            for shard in 0..2 {
                while !self.mail[shard].is_empty() {
                    self.read_mail(shard);
                    self.pass_on();
                }
                self.give_back(shard, false);
            }
            self.bench.pass(100);
            self.pass_on();
            while !self.to_control.is_empty() {
                self.control();
            }
            while let Some(answer) = self.to_desk.pop_front() {
                self.bench.desk.hear(answer, self.bench.now);
                self.pass_on();
            }
        }
        assert_eq!(self.leases, Default::default(), "{:?}", self.bench.desk.accounts);
        assert!(self.bench.desk.orphans.is_empty() && self.bench.desk.accounts.is_empty());
    }
}
