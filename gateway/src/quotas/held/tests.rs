use std::future::Future;
use std::pin::pin;

use tokio::sync::mpsc;
use turnpike_snapshot::QuotaPeriod;

use super::*;

const DAY: u32 = 20_000;
const TERMS: Quota = Quota { requests: 100, period: QuotaPeriod::Day, offset_days: 0 };

struct Bench {
    quotas: Quotas,
    told: mpsc::Receiver<ToDesk>,
}

impl Bench {
    fn new(places: usize) -> Self {
        let (sender, told) = mpsc::channel(places);
        let settings = Settings { quota_waiting_max: 2, quota_keys_max: 2, ..Settings::defaults() };
        Self { quotas: Quotas::new(3, &settings, QuotaLine(sender)), told }
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
        let hand = Hand { lease: 1, number: 1 };
        self.quotas.hear(FromDesk { name: name(), said: Said::Give { hand, day, tokens } }, now_ms, day);
    }

    fn say(&self, said: Said, now_ms: u64) {
        self.quotas.hear(FromDesk { name: name(), said }, now_ms, DAY);
    }

    fn take(&self, now_ms: u64) -> impl Future<Output = Result<(), QuotaRefusal>> {
        self.quotas.take(of("k", TERMS), now_ms, DAY)
    }

    /// One that needn't wait, or doesn't.
    fn taken(&self, terms: Quota, now_ms: u64, day: u32) -> Option<Result<(), QuotaRefusal>> {
        poll(pin!(self.quotas.take(of("k", terms), now_ms, day)))
    }
}

fn of(key_id: &str, terms: Quota) -> QuotaOf<'_> {
    QuotaOf { plan_id: "p", key_id, terms }
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
    bench.quotas.tick(1_900);
    assert_eq!(poll(waits.as_mut()), None);
    bench.quotas.tick(2_000);
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
        bench.quotas.tick(now_ms);
        assert!(bench.told().is_empty());
    }
    bench.quotas.tick(1_300);
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
    let other = poll(pin!(bench.quotas.take(of("other", TERMS), 1_000, DAY)));
    assert_eq!(other, Some(Err(QuotaRefusal::Crowded)));
    bench.give(3, 1_000, DAY);
    bench.say(Said::Recall, 1_000);
    bench.told();
    bench.quotas.tick(1_000 + CHECK_MS);
    assert_eq!(bench.returned(), (3, false), "as soon as there is room");
}
