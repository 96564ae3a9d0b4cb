use super::*;
use crate::model::{Granted, Period, PlanQuota, Tags};
use crate::store::Store;
use crate::store::tests::Place;

/// A Saturday, at noon.
const DAY: u32 = 20_778;
const NOON_S: i64 = DAY as i64 * 86_400 + 43_200;

struct Bench {
    store: Store,
}

impl Bench {
    fn new(place: &Place, requests: u32, period: Period) -> Self {
        let store = place.open().expect("a store");
        let quota = Some(PlanQuota { requests, offset_days: 0, period });
        let plan = UsagePlan {
            id: "p".to_owned(),
            name: "plan".to_owned(),
            description: None,
            stages: Vec::new(),
            throttle: None,
            partition: None,
            quota,
            product_code: None,
            tags: Tags::default(),
        };
        let bench = Self { store };
        bench.put(|tx| tx.put_entity(&plan));
        bench.put_key(None);
        bench
    }

    fn put(&self, change: impl Fn(&Tx<'_>) -> Result<(), StoreError>) {
        self.store.write(change).expect("written");
    }

    fn put_key(&self, granted: Option<Granted>) {
        let key = UsagePlanKey { plan_id: "p".to_owned(), key_id: "k".to_owned(), granted };
        self.put(|tx| tx.put_entity(&key));
    }

    fn settle_at(&self, report: &QuotaReport, now_s: i64) -> (u64, QuotaVerdict) {
        let days = days_about(now_s, &UsageSettings::default());
        let settled = self.store.write::<_, StoreError>(|tx| settle(tx, "gw", report, &days));
        let answer = settled.expect("settled");
        assert_eq!(answer.lease, report.lease);
        (answer.granted_requests, answer.verdict)
    }

    fn settle(&self, report: &QuotaReport) -> (u64, QuotaVerdict) {
        self.settle_at(report, NOON_S)
    }

    fn used(&self, days: RangeInclusive<u32>) -> u64 {
        let days = i64::from(*days.start())..=i64::from(*days.end());
        let of = QuotaOf { plan_id: "p", key_id: "k" };
        self.store.read::<_, StoreError>(|tx| tx.quota_used(of, days.clone())).expect("read")
    }
}

fn wants(lease: u64, wanted_requests: u64) -> QuotaReport {
    QuotaReport {
        lease,
        plan_id: "p".to_owned(),
        key_id: "k".to_owned(),
        day: DAY,
        spent_requests: 0,
        wanted_requests,
        ends: false,
        is_new: true,
        is_late: false,
    }
}

fn ends(lease: u64, spent_requests: u64) -> QuotaReport {
    QuotaReport { spent_requests, ends: true, is_new: false, ..wants(lease, 0) }
}

use QuotaVerdict::{Ended, Exhausted, Open, Unknown};

fn grants_shrink_and_never_pass_the_quota(place: &Place) {
    let bench = Bench::new(place, 100, Period::Day);
    assert_eq!(bench.settle(&wants(1, 10)), (10, Open));
    assert_eq!(bench.settle(&wants(1, 10)), (10, Open), "said twice, granted once");
    assert_eq!(bench.settle(&wants(2, 1_000)), (22, Open), "a quarter of what is left");
    let mut granted = 32;
    for round in 0_u64.. {
        let (lease, before) = (3 + round, granted);
        let (got, verdict) = bench.settle(&wants(lease, 1_000));
        granted += got;
        assert_eq!((granted > before, verdict == Open), (granted <= 100 && before < 100, before < 100));
        assert_eq!(bench.used(DAY..=DAY), granted);
        if verdict == Exhausted {
            break;
        }
    }
    assert_eq!(granted, 100);
    // One comes back with some, which another may have.
    assert_eq!(bench.settle(&ends(2, 20)), (22, Ended));
    assert_eq!(bench.used(DAY..=DAY), 98);
    assert_eq!(bench.settle(&ends(2, 20)), (0, Ended), "over once");
    let more = QuotaReport { spent_requests: 9, is_new: false, ..wants(1, 30) };
    assert_eq!(bench.settle(&more), (11, Open));
    assert_eq!(bench.settle(&ends(1, u64::MAX)), (11, Ended), "what isn't known is spent");
    assert_eq!(bench.used(DAY..=DAY), 99);
}

fn what_comes_late_opens_no_lease_again(place: &Place) {
    let bench = Bench::new(place, 100, Period::Day);
    assert_eq!(bench.settle(&wants(1, 10)), (10, Open));
    let late = QuotaReport { is_late: true, ..ends(1, 4) };
    assert_eq!(bench.settle(&late), (10, Ended));
    assert_eq!(bench.settle(&wants(1, 20)), (10, Ended), "of the connection before");
    let never_heard = QuotaReport { is_new: true, is_late: true, ..ends(2, 0) };
    assert_eq!(bench.settle(&never_heard), (0, Ended));
    assert_eq!(bench.settle(&wants(2, 20)), (0, Ended));
    let not_new = QuotaReport { is_new: false, ..wants(3, 20) };
    assert_eq!(bench.settle(&not_new), (0, Ended), "of a store that was restored");
    assert_eq!(bench.used(DAY..=DAY), 4);
}

fn days_add_up_to_their_period(place: &Place) {
    let bench = Bench::new(place, 40, Period::Week);
    assert_eq!(bench.settle(&wants(1, 10)), (10, Open));
    assert_eq!(bench.settle(&ends(1, 10)), (10, Ended));
    let on = |day: u32, lease: u64| QuotaReport { day, ..wants(lease, 1_000) };
    let at_s = |day: u32, s: i64| i64::from(day) * 86_400 + s;
    // The week begins on the next day, a Sunday; some minutes before midnight its quota can be had.
    assert_eq!(bench.settle_at(&on(DAY + 1, 2), at_s(DAY, 80_000)), (0, Unknown));
    assert_eq!(bench.settle_at(&on(DAY + 1, 2), at_s(DAY, 86_200)), (10, Open));
    assert_eq!(
        bench.settle_at(&on(DAY, 3), at_s(DAY + 1, 200)),
        (7, Open),
        "and of the week before, for as long"
    );
    assert_eq!(bench.settle_at(&on(DAY, 4), at_s(DAY + 1, 400)), (0, Unknown));
    assert_eq!(bench.settle_at(&on(DAY + 7, 5), at_s(DAY + 7, 0)), (7, Open), "its last day");
    assert_eq!((bench.used(DAY..=DAY), bench.used(DAY + 1..=DAY + 7)), (17, 17));
}

fn a_gateway_that_never_comes_back_has_used_all(place: &Place) {
    let bench = Bench::new(place, 100, Period::Day);
    assert_eq!(bench.settle(&wants(1, 10)), (10, Open));
    assert_eq!(bench.settle(&QuotaReport { spent_requests: 4, ..wants(1, 10) }), (10, Open));
    assert_eq!(bench.settle(&wants(2, 5)), (5, Open));
    let day = i64::from(DAY);
    bench.put(|tx| tx.expire_quota_leases(day));
    assert_eq!(bench.used(DAY..=DAY), 15);
    bench.put(|tx| tx.expire_quota_leases(day + 1));
    assert_eq!(bench.used(DAY..=DAY), 15);
    assert_eq!(bench.settle(&ends(1, 4)), (0, Ended), "too late");
    assert_eq!(bench.used(DAY..=DAY), 15);
    bench.put(|tx| tx.forget_quota_uses(day + 1));
    assert_eq!(bench.used(DAY..=DAY), 15, "one of the newest days with uses");
    for later in 1..=62 {
        let newer = DAY + later;
        let lease = u64::from(2 + later);
        let wants = QuotaReport { day: newer, ..wants(lease, 1) };
        assert_eq!(bench.settle_at(&wants, i64::from(newer) * 86_400), (1, Open));
        bench.put(|tx| tx.expire_quota_leases(i64::from(newer) + 1));
    }
    bench.put(|tx| tx.forget_quota_uses(day + 1));
    assert_eq!(bench.used(DAY..=DAY), 0);
}

fn what_somebody_sets_holds_for_the_period(place: &Place) {
    let bench = Bench::new(place, 10, Period::Week);
    assert_eq!(bench.settle(&wants(1, 2)), (2, Open));
    bench.put_key(Some(Granted { on_day: DAY.into(), remaining_requests: 3, used_requests: 2 }));
    for lease in 2..5 {
        assert_eq!(bench.settle(&wants(lease, 100)), (1, Open));
    }
    assert_eq!(bench.settle(&wants(5, 100)), (0, Exhausted));
    let next = QuotaReport { day: DAY + 1, ..wants(6, 100) };
    assert_eq!(bench.settle_at(&next, NOON_S + 86_400), (2, Open), "of the quota itself");
    bench.put(|tx| tx.delete_entity::<UsagePlanKey>("p", "k").map(drop));
    assert_eq!(bench.settle(&wants(7, 100)), (0, Exhausted), "a key that is in the plan no more");
}

macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            use super::*;
            $(#[test] fn $test() { super::$test(&Place::sqlite()); })*
        }
        mod on_postgres {
            use super::*;
            $(#[test] fn $test() { super::$test(&Place::postgres()); })*
        }
    };
}

on_both! {
    grants_shrink_and_never_pass_the_quota
    what_comes_late_opens_no_lease_again
    days_add_up_to_their_period
    a_gateway_that_never_comes_back_has_used_all
    what_somebody_sets_holds_for_the_period
}
