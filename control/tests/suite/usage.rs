//! How uses of quotas are counted, as the settings have it.

use std::ops::RangeInclusive;

use serde_json::json;
use turnpike_control::settings::UsageSettings;
use turnpike_control::store::{QuotaOf, StoreError};
use turnpike_snapshot::frame::{QuotaReport, QuotaVerdict};

use crate::support::inside::{Inside, settings};

const DAY: u32 = 20_778;

fn at_s(day: u32, s: i64) -> i64 {
    i64::from(day) * 86_400 + s
}

struct Counted {
    inside: Inside,
    plan_id: String,
    key_id: String,
    _dir: tempfile::TempDir,
}

impl Counted {
    /// A key in a plan of 100 requests a day.
    fn with(usage: UsageSettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut settings = settings(dir.path().join("data"));
        settings.usage = usage;
        let inside = Inside::start(settings);
        let plan = r#"{"name":"p","quota":{"limit":100,"period":"DAY"}}"#;
        let plan_id = inside.client.expect(201, "POST", "/usageplans", plan).text("id");
        let key_id = inside.client.expect(201, "POST", "/apikeys", r#"{"name":"k"}"#).text("id");
        let body = json!({"keyId": key_id, "keyType": "API_KEY"}).to_string();
        inside.client.expect(201, "POST", &format!("/usageplans/{plan_id}/keys"), &body);
        Self { inside, plan_id, key_id, _dir: dir }
    }

    fn wants(&self, lease: u64, day: u32) -> QuotaReport {
        let (plan_id, key_id) = (self.plan_id.clone(), self.key_id.clone());
        QuotaReport {
            lease,
            plan_id,
            key_id,
            day,
            spent_requests: 0,
            wanted_requests: 10,
            ends: false,
            is_new: true,
            is_late: false,
        }
    }

    fn settle(&self, reports: &[QuotaReport], now_s: i64) -> Vec<(u64, QuotaVerdict)> {
        let answers = self.inside.control.settle_reported_quotas("gw", reports, now_s).expect("settled");
        answers.into_iter().map(|answer| (answer.granted_requests, answer.verdict)).collect()
    }

    fn used(&self, days: RangeInclusive<i64>) -> u64 {
        let of = QuotaOf { plan_id: &self.plan_id, key_id: &self.key_id };
        let used = self.inside.control.store().read(|tx| tx.quota_used(of, days.clone()));
        used.unwrap_or_else(|error: StoreError| panic!("{error}"))
    }
}

#[test]
fn another_day_is_granted_for_within_the_skew_of_clocks() {
    let counted = Counted::with(UsageSettings { clock_skew_s_max: 10, ..UsageSettings::default() });
    let tomorrow = |lease| [counted.wants(lease, DAY + 1)];
    assert_eq!(counted.settle(&tomorrow(1), at_s(DAY, 86_389)), [(0, QuotaVerdict::Unknown)]);
    assert_eq!(counted.settle(&tomorrow(2), at_s(DAY, 86_390)), [(10, QuotaVerdict::Open)]);
}

#[test]
fn what_a_gateway_holds_and_what_was_used_is_kept_for_its_days() {
    let usage = UsageSettings { leases_kept_days: 2, uses_kept_days: 31, ..UsageSettings::default() };
    let counted = Counted::with(usage);
    let of_day = i64::from(DAY)..=i64::from(DAY);
    let wants = [counted.wants(1, DAY), counted.wants(2, DAY)];
    assert_eq!(counted.settle(&wants, at_s(DAY, 0)), [(10, QuotaVerdict::Open); 2]);
    let ends = |lease| [QuotaReport { spent_requests: 4, ends: true, ..counted.wants(lease, DAY) }];
    assert_eq!(counted.settle(&ends(1), at_s(DAY + 2, 0)), [(10, QuotaVerdict::Ended)], "it has come back");
    assert_eq!(counted.used(of_day.clone()), 14);
    assert_eq!(counted.settle(&ends(2), at_s(DAY + 3, 0)), [(0, QuotaVerdict::Ended)], "too late");
    assert_eq!(counted.used(of_day.clone()), 14);
    for later in 1..=62 {
        assert_eq!(counted.used(of_day.clone()), 14, "{later}");
        let wants = [counted.wants(u64::from(2 + later), DAY + later)];
        assert_eq!(counted.settle(&wants, at_s(DAY + later, 0)), [(10, QuotaVerdict::Open)]);
    }
    // Leases of the last days aren't counted among uses yet.
    counted.settle(&[], at_s(DAY + 65, 0));
    counted.settle(&[], at_s(DAY + 66, 0));
    assert_eq!(counted.used(of_day), 0);
}

#[test]
fn while_a_clock_is_far_ahead_nothing_is_forgotten_that_counts_when_it_is_right() {
    let counted = Counted::with(UsageSettings::default());
    let ends = |lease, day| [QuotaReport { spent_requests: 10, ends: true, ..counted.wants(lease, day) }];
    for (lease, day) in [(1, DAY), (2, DAY + 4_000), (3, DAY + 4_001), (4, DAY + 40_000)] {
        let wants = [counted.wants(lease, day)];
        assert_eq!(counted.settle(&wants, at_s(day, 0)), [(10, QuotaVerdict::Open)]);
        counted.settle(&ends(lease, day), at_s(day, 1));
    }
    counted.settle(&[], at_s(DAY, 2));
    let of_day = i64::from(DAY)..=i64::from(DAY);
    assert_eq!(counted.used(of_day), 10);
}
