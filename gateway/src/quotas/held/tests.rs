use std::future::Future;
use std::pin::pin;

use tokio::sync::mpsc;
use turnpike_snapshot::QuotaPeriod;

use super::super::counts::tests::Place as CountsPlace;
use super::super::counts::{Rows, SharedCounts};
use super::*;

const DAY: u32 = 20_000;
const TERMS: Quota = Quota { requests: 100, period: QuotaPeriod::Day, offset_days: 0 };

struct Bench {
    quotas: Quotas,
    told: mpsc::Receiver<ToDesk>,
}

impl Bench {
    fn new(places: usize) -> Self {
        Self::with(places, SharedCounts::default())
    }

    /// What is given is of these counts' row 0.
    fn counted(counts: &SharedCounts) -> Self {
        Self::with(10, Arc::clone(counts))
    }

    fn with(places: usize, counts: SharedCounts) -> Self {
        let (desk, told) = mpsc::channel(places);
        let settings = Settings { quota_waiting_max: 2, quota_keys_max: 2, ..Settings::defaults() };
        Self { quotas: Quotas::new(3, &settings, QuotaLine { desk, counts }, at(0, DAY)), told }
    }

    fn told(&mut self) -> Vec<ToDesk> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// What is asked for: held, wanted.
    fn asked(&mut self) -> (u32, u32) {
        match self.told()[..] {
            [ToDesk::Ask { shard: 3, held, wanted, .. }] => (held, wanted),
            ref other => panic!("{other:?}"),
        }
    }

    fn returned(&mut self) -> (u32, bool) {
        match self.told()[..] {
            [ToDesk::Return { tokens, stale, .. }, ..] => (tokens, stale),
            ref other => panic!("{other:?}"),
        }
    }

    fn give(&self, tokens: u32, now_ms: u64, day: u32) {
        let row = self.quotas.line.counts.get().map(|_| 0);
        let hand = Hand { lease: 1, number: 1, row };
        self.quotas.hear(FromDesk { name: name(), said: Said::Give { hand, day, tokens } }, at(now_ms, day));
    }

    fn say(&self, said: Said, now_ms: u64) {
        self.quotas.hear(FromDesk { name: name(), said }, at(now_ms, DAY));
    }

    fn take(&self, now_ms: u64) -> impl Future<Output = Result<(), QuotaRefusal>> {
        self.quotas.now.set(at(now_ms, DAY));
        self.take_of(of("k", TERMS))
    }

    /// One that needn't wait, or doesn't.
    fn taken(&self, terms: Quota, now_ms: u64, day: u32) -> Option<Result<(), QuotaRefusal>> {
        self.quotas.now.set(at(now_ms, day));
        poll(pin!(self.take_of(of("k", terms))))
    }

    fn take_of(&self, (of, names): (QuotaOf, Names<'_>)) -> Take<'_> {
        self.quotas.take(of, || names)
    }
}

fn of(key_id: &str, terms: Quota) -> (QuotaOf, Names<'_>) {
    let place = Place { generation: 1, plan: 0, key: key_id.as_ptr().addr() };
    (QuotaOf { terms, number: 7, place }, Names { plan_id: "p", key_id })
}

fn at(ms: u64, day: u32) -> Now {
    Now { ms, day }
}

fn name() -> Arc<QuotaName> {
    Arc::new(QuotaName { plan_id: "p".into(), key_id: "k".into() })
}

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn requests_wait_for_the_desk_and_are_served_in_turn() {
    let mut bench = Bench::new(10);
    let (mut first, mut second) = (Box::pin(bench.take(1_000)), Box::pin(bench.take(1_000)));
    assert_eq!((poll(first.as_mut()), poll(second.as_mut())), (None, None));
    assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Err(QuotaRefusal::Crowded)), "no more than two may wait");
    bench.give(1, 1_000, DAY);
    assert_eq!((poll(first.as_mut()), poll(second.as_mut())), (Some(Ok(())), None));
    bench.say(Said::Refuse(QuotaRefusal::UsedUp), 1_000);
    assert_eq!(poll(second.as_mut()), Some(Err(QuotaRefusal::UsedUp)));
    drop((first, second));
    assert_eq!(bench.told().len(), 2, "asked once for each that waited alone");
    assert_eq!(bench.taken(TERMS, 1_010, DAY), Some(Err(QuotaRefusal::UsedUp)), "without asking");
    assert_eq!(bench.taken(TERMS, 1_000 + REFUSED_MS, DAY), None);
    assert_eq!(bench.asked().0, 0);
}

#[test]
fn who_waits_too_long_is_refused_and_who_leaves_leaves_what_it_was_given() {
    let mut bench = Bench::new(10);
    let mut waits = Box::pin(bench.take(1_000));
    assert_eq!(poll(waits.as_mut()), None);
    bench.quotas.tick(at(1_900, DAY));
    assert_eq!(poll(waits.as_mut()), None);
    bench.quotas.tick(at(2_000, DAY));
    assert_eq!(poll(waits.as_mut()), Some(Err(QuotaRefusal::Unknown)));
    drop(waits);
    // The answer comes after all.
    let mut leaves = Box::pin(bench.take(2_000));
    assert_eq!(poll(leaves.as_mut()), None);
    bench.give(1, 2_000, DAY);
    drop(leaves);
    assert_eq!(bench.taken(TERMS, 2_000, DAY), Some(Ok(())));
    assert_eq!(bench.taken(TERMS, 2_000, DAY), None);
    bench.told();
}

#[test]
fn a_key_at_rest_gives_back_what_it_has() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    assert_eq!(bench.asked(), (0, 1));
    bench.give(3, 1_000, DAY);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Ok(())));
    for now_ms in (1_000..1_300).step_by(10) {
        bench.quotas.tick(at(now_ms, DAY));
        assert!(bench.told().is_empty());
    }
    bench.quotas.tick(at(1_300, DAY));
    assert_eq!(bench.returned(), (2, false));
    assert_eq!(bench.quotas.keys.borrow().count, 0);
    bench.say(Said::Recall, 1_300);
    assert!(bench.told().is_empty(), "it has returned all");
}

#[test]
fn what_is_held_of_another_day_or_quota_is_not_spent() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    bench.told();
    bench.give(3, 1_000, DAY);
    assert_eq!(bench.taken(TERMS, 1_000, DAY + 1), None);
    assert_eq!(bench.returned(), (3, false));
    // The desk, too, has been of the day before when it answered.
    bench.give(2, 1_000, DAY);
    bench.told();
    let changed = Quota { requests: 5, ..TERMS };
    assert_eq!(bench.taken(changed, 1_000, DAY), None);
    assert_eq!(bench.returned(), (2, true));
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None, "it changes back, while an answer is on its way");
    bench.told();
    bench.give(4, 1_000, DAY);
    assert_eq!(bench.returned(), (4, false), "which is for neither");
}

#[test]
fn a_desk_that_is_behind_refuses_and_loses_nothing() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    let other = poll(pin!(bench.take_of(of("other", TERMS))));
    assert_eq!(other, Some(Err(QuotaRefusal::Crowded)));
    bench.give(3, 1_000, DAY);
    bench.say(Said::Recall, 1_000);
    bench.told();
    bench.quotas.tick(at(1_000 + CHECK_MS, DAY));
    assert_eq!(bench.returned(), (3, false), "as soon as there is room");
}

/// Whoever is killed at any of these instants, the next life sees what was let through by then, and no less.
#[test]
fn requests_are_counted_before_they_are_let_through() {
    let mut place = CountsPlace::new();
    let counts = place.begin(4, 2);
    assert_eq!(Rows::new(Arc::clone(&counts)).take(1), Some(0));
    let spent = || place.left().spent(1, 0, 100);
    let bench = Bench::counted(&counts);
    let mut waits = Box::pin(bench.take(1_000));
    assert_eq!((poll(waits.as_mut()), spent()), (None, Some(0)));
    bench.give(3, 1_000, DAY);
    assert_eq!(spent(), Some(1), "before it is woken");
    assert_eq!((poll(waits.as_mut()), spent()), (Some(Ok(())), Some(1)));
    assert_eq!((bench.taken(TERMS, 1_000, DAY), spent()), (Some(Ok(())), Some(2)));
    assert_eq!((bench.taken(TERMS, 1_000, DAY), spent()), (Some(Ok(())), Some(3)));
    assert_eq!((bench.taken(TERMS, 1_000, DAY), spent()), (None, Some(3)));
    // The key rests, is let go of and comes back within the same lease: the count goes on.
    bench.quotas.close();
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    bench.give(1, 1_000, DAY);
    assert_eq!((bench.taken(TERMS, 1_000, DAY), spent()), (Some(Ok(())), Some(4)));
}

#[test]
fn what_somebody_who_left_was_given_is_taken_off_while_its_lease_is_in_hand() {
    let mut place = CountsPlace::new();
    let counts = place.begin(4, 1);
    let mut rows = Rows::new(Arc::clone(&counts));
    assert_eq!(rows.take(1), Some(0));
    let spent = |lease| place.left().spent(lease, 0, 100);
    let mut bench = Bench::counted(&counts);
    let mut leaves = Box::pin(bench.take(1_000));
    assert_eq!(poll(leaves.as_mut()), None);
    bench.give(2, 1_000, DAY);
    assert_eq!(spent(1), Some(1));
    drop(leaves);
    assert_eq!(spent(1), Some(0));
    assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Ok(())));
    assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Ok(())));
    let (quota, names) = of("k", TERMS);
    let mut leaves = Box::pin(bench.quotas.take(quota, || names));
    assert_eq!((poll(leaves.as_mut()), spent(1)), (None, Some(2)));
    let from = |said| FromDesk { name: name(), said };
    let hand = Hand { lease: 1, number: 2, row: Some(0) };
    bench.quotas.hear(from(Said::Give { hand, day: DAY, tokens: 2 }), at(1_000, DAY));
    while bench.told.try_recv().is_ok() {}
    bench.quotas.hear(from(Said::Recall), at(1_000, DAY));
    assert!(matches!(bench.told.try_recv(), Ok(ToDesk::Return { tokens: 1, .. })));
    // The shard has nothing any more, so the lease may end, and another have its row.
    rows.give_back(0);
    assert_eq!(rows.take(2), Some(0));
    counts.get().unwrap().count(3, 0);
    drop(leaves);
    assert_eq!(
        spent(2),
        Some(1),
        "that of the first lease stays spent, and the second one's count is its own"
    );
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
}

/// Each of the bench's keys has the same number.
#[test]
fn keys_are_told_apart_by_name_where_their_numbers_are_the_same() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    bench.give(8, 1_000, DAY);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Ok(())));
    let other = |generation| {
        let (of, names) = of("other", TERMS);
        (QuotaOf { place: Place { generation, ..of.place }, ..of }, names)
    };
    bench.told();
    for generation in [1, 1, 2] {
        let taken = poll(pin!(bench.take_of(other(generation))));
        assert_eq!(taken, None, "it has none of what the first one has");
        assert_eq!(bench.taken(TERMS, 1_000, DAY), Some(Ok(())));
    }
    assert!(matches!(&bench.told()[..], [ToDesk::Ask { name, .. }] if *name.key_id == *"other"));
    assert_eq!(bench.quotas.keys.borrow().count, 2);
}

/// A table that is dropped leaves its addresses to the next.
#[test]
fn the_same_place_in_another_table_is_not_taken_for_the_same_key() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    bench.give(8, 1_000, DAY);
    bench.told();
    let (first, names) = of("k", TERMS);
    let next = QuotaOf { place: Place { generation: 2, ..first.place }, ..first };
    let taken = |of: QuotaOf, names| poll(pin!(bench.take_of((of, names))));
    assert_eq!(taken(next, Names { key_id: "other", ..names }), None);
    let moved = QuotaOf { place: Place { key: 1, ..next.place }, ..next };
    assert_eq!(taken(moved, names), Some(Ok(())), "by its name");
    assert_eq!(taken(first, names), Some(Ok(())), "of a request that began with the table before");
    assert_eq!(bench.quotas.keys.borrow().count, 2);
}

#[test]
fn a_key_that_is_let_go_of_is_found_no_more() {
    let mut bench = Bench::new(10);
    assert_eq!(bench.taken(TERMS, 1_000, DAY), None);
    bench.give(3, 1_000, DAY);
    for now_ms in (1_000..=1_300).step_by(10) {
        bench.quotas.tick(at(now_ms, DAY));
    }
    assert_eq!(bench.quotas.keys.borrow().count, 0);
    bench.told();
    assert_eq!(bench.taken(TERMS, 1_400, DAY), None, "what it had has gone home");
    assert_eq!(bench.asked().0, 0);
}

#[test]
fn a_busy_key_asks_seldom_and_a_calm_one_holds_little() {
    let mut bench = Bench::new(10);
    let mut asks = 0;
    // A hundred requests a millisecond, for a second.
    for now_ms in 1_000..2_000 {
        if now_ms % 10 == 0 {
            bench.quotas.tick(at(now_ms, DAY));
        }
        for _ in 0..100 {
            let taken = bench.taken(TERMS, now_ms, DAY);
            if let [ToDesk::Ask { wanted, .. }] = bench.told()[..] {
                asks += 1;
                bench.give(wanted, now_ms, DAY);
            }
            assert_ne!(taken, Some(Err(QuotaRefusal::UsedUp)));
        }
    }
    assert!(asks < 100, "{asks} asks for 100,000 requests");
    // One each 50 ms: what it holds would last for minutes.
    for now_ms in (2_000..3_300).step_by(50) {
        bench.quotas.tick(at(now_ms, DAY));
        if bench.taken(TERMS, now_ms, DAY).is_none() {
            let [ToDesk::Return { tokens, .. }, ToDesk::Ask { held: 0, wanted: 1, .. }] = bench.told()[..]
            else {
                panic!("it gives back what it has, and asks for what it needs");
            };
            assert!(tokens > CALM_REQUESTS_MAX);
            return;
        }
    }
    panic!("it keeps what it has");
}
