//! The families of target groups and their targets. As many are shown apart as `target_metrics_max` allows; those
//! beyond it are added up under one name, so that the number of series is bounded.

use super::{HousekeeperFigures, Kind, Page, Totals};
use crate::housekeeper::targets::GroupFigures;
use crate::housekeeper::totals::TargetName;
use crate::stats::{GroupCounts, TargetCounts};

const OTHERS: &str = "(others)";

type GroupCount = fn(&GroupCounts) -> u64;
type TargetCount = fn(&TargetCounts) -> u64;
type RowValue = fn(&Row<'_>) -> u64;

const GROUP_COUNTERS: [(&str, &str, GroupCount); 6] = [
    (
        "turnpike_target_group_retries_total",
        "Requests sent again, to another target if there was one.",
        |c| c.retries,
    ),
    ("turnpike_target_group_retry_budget_exhausted_total", "Retries that the budget didn't allow.", |c| {
        c.budget_exhausted
    }),
    (
        "turnpike_target_group_circuit_open_total",
        "Requests refused because all targets had requests_max.",
        |c| c.circuit_open,
    ),
    (
        "turnpike_target_group_pending_overflows_total",
        "Requests refused because as many waited as may.",
        |c| c.pending_overflows,
    ),
    ("turnpike_target_group_no_target_total", "Requests refused because no target was in use.", |c| {
        c.no_target
    }),
    (
        "turnpike_target_group_panics_total",
        "Requests sent to any target because too few were healthy.",
        |c| c.panics,
    ),
];

const TARGET_COUNTERS: [(&str, &str, TargetCount); 3] = [
    ("turnpike_target_requests_total", "Requests sent to the target, retries included.", |c| c.requests),
    ("turnpike_target_failures_total", "Of them, those that failed or got a server error.", |c| c.failures),
    ("turnpike_target_ejections_total", "Times that a shard took the target out.", |c| c.ejections),
];

/// A target's row, or that of the others of its group.
struct Row<'a> {
    group: &'a str,
    target: &'a str,
    targets: u64,
    healthy: u64,
    ejected: u64,
    counts: TargetCounts,
}

pub(super) fn render(page: &mut Page, totals: &Totals, housekeeper: &HousekeeperFigures) {
    let groups = &housekeeper.target_groups;
    if groups.is_empty() {
        return;
    }
    render_groups(page, totals, groups, housekeeper.target_metrics_max);
    render_targets(page, &rows(totals, groups, housekeeper.target_metrics_max));
}

fn render_groups(page: &mut Page, totals: &Totals, groups: &[GroupFigures], max: usize) {
    let (apart, others) = groups.split_at(groups.len().min(max));
    for (name, help, count) in GROUP_COUNTERS {
        page.family(name, Kind::Counter, help);
        let of = |group: &GroupFigures| count(&totals.targets().group(&group.id));
        per_group(page, apart, others, of);
    }
    page.family(
        "turnpike_target_group_pending_requests",
        Kind::Gauge,
        "Requests that wait for a connection.",
    );
    per_group(page, apart, others, |group| totals.targets().pending(&group.id));
}

fn per_group(
    page: &mut Page,
    apart: &[GroupFigures],
    others: &[GroupFigures],
    of: impl Fn(&GroupFigures) -> u64,
) {
    for group in apart {
        page.sample("", &[("target_group", &group.id)], of(group));
    }
    if !others.is_empty() {
        page.sample("", &[("target_group", OTHERS)], others.iter().map(of).sum::<u64>());
    }
}

fn rows<'a>(totals: &Totals, groups: &'a [GroupFigures], max: usize) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut left = max;
    for group in groups {
        let apart = group.targets.len().min(left);
        let label = if left == 0 { OTHERS } else { &group.id };
        left -= apart;
        for (index, (target, is_healthy)) in group.targets.iter().enumerate() {
            let name = TargetName { group: group.id.clone(), target: target.clone() };
            let row = Row {
                group: label,
                target: if index < apart { target } else { OTHERS },
                targets: 1,
                healthy: u64::from(*is_healthy),
                ejected: totals.targets().ejected(&name),
                counts: totals.targets().target(&name),
            };
            match rows.last_mut().filter(|last| index >= apart && last.labels() == row.labels()) {
                Some(last) => last.add(&row),
                None => rows.push(row),
            }
        }
    }
    rows
}

impl Row<'_> {
    fn add(&mut self, other: &Self) {
        self.targets += other.targets;
        self.healthy += other.healthy;
        self.ejected += other.ejected;
        self.counts.add(&other.counts);
    }
}

fn render_targets(page: &mut Page, rows: &[Row<'_>]) {
    let gauges: [(&str, &str, RowValue); 3] = [
        ("turnpike_targets", "Targets of this name; more than 1 only under (others).", |row| row.targets),
        ("turnpike_target_healthy", "1 if the target is healthy, or isn't checked.", |row| row.healthy),
        ("turnpike_target_ejected_shards", "Shards that have taken the target out.", |row| row.ejected),
    ];
    for (name, help, of) in gauges {
        page.family(name, Kind::Gauge, help);
        rows.iter().for_each(|row| page.sample("", &row.labels(), of(row)));
    }
    for (name, help, count) in TARGET_COUNTERS {
        page.family(name, Kind::Counter, help);
        rows.iter().for_each(|row| page.sample("", &row.labels(), count(&row.counts)));
    }
}

impl<'a> Row<'a> {
    fn labels(&self) -> [(&'static str, &'a str); 2] {
        [("target_group", self.group), ("target", self.target)]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::{GroupReport, ShardStats, TargetReport};

    fn group(id: &str, targets: &[&str]) -> GroupFigures {
        let targets = targets.iter().map(|name| (Arc::from(*name), *name != "down"));
        GroupFigures { id: id.into(), targets: targets.collect() }
    }

    fn report(id: &str, targets: &[(&str, u64)], pending: u64) -> GroupReport {
        let target = |(name, requests): &(&str, u64)| TargetReport {
            name: (*name).into(),
            counts: TargetCounts { requests: *requests, ..TargetCounts::default() },
            ejected: *name == "down",
        };
        let counts = GroupCounts { retries: 1, ..GroupCounts::default() };
        GroupReport { id: id.into(), counts, pending, targets: targets.iter().map(target).collect() }
    }

    fn page(max: usize) -> String {
        let mut totals = Totals::alone(2);
        for shard in 0..2 {
            let mut counted = ShardStats::alone().report();
            counted.groups =
                vec![report("g", &[("a", 3), ("b", 4), ("down", 1)], 2), report("h", &[("c", 5)], 0)];
            totals.merge(shard, counted);
        }
        let figures = HousekeeperFigures {
            target_groups: vec![group("g", &["a", "b", "down"]), group("h", &["c"])],
            target_metrics_max: max,
            ..HousekeeperFigures::default()
        };
        totals.targets_mut().retain(&figures.target_groups);
        let mut page = Page::default();
        render(&mut page, &totals, &figures);
        page.text
    }

    fn samples(page: &str, family: &str) -> Vec<String> {
        let samples = page.lines().filter(|line| line.starts_with(&format!("{family}{{")));
        samples.map(|line| line[family.len()..].to_owned()).collect()
    }

    #[test]
    fn shards_are_added_up_for_each_group_and_target() {
        let page = page(10);
        assert_eq!(
            samples(&page, "turnpike_target_requests_total"),
            [
                r#"{target_group="g",target="a"} 6"#,
                r#"{target_group="g",target="b"} 8"#,
                r#"{target_group="g",target="down"} 2"#,
                r#"{target_group="h",target="c"} 10"#
            ]
        );
        assert_eq!(samples(&page, "turnpike_target_healthy")[2], r#"{target_group="g",target="down"} 0"#);
        assert_eq!(
            samples(&page, "turnpike_target_ejected_shards")[2],
            r#"{target_group="g",target="down"} 2"#
        );
        assert_eq!(
            samples(&page, "turnpike_target_group_retries_total"),
            [r#"{target_group="g"} 2"#, r#"{target_group="h"} 2"#]
        );
        assert_eq!(samples(&page, "turnpike_target_group_pending_requests")[0], r#"{target_group="g"} 4"#);
    }

    #[test]
    fn what_is_beyond_the_bound_is_shown_together() {
        let page = page(1);
        assert_eq!(
            samples(&page, "turnpike_target_requests_total"),
            [
                r#"{target_group="g",target="a"} 6"#,
                r#"{target_group="g",target="(others)"} 10"#,
                r#"{target_group="(others)",target="(others)"} 10"#
            ]
        );
        assert_eq!(samples(&page, "turnpike_targets")[1], r#"{target_group="g",target="(others)"} 2"#);
        assert_eq!(
            samples(&page, "turnpike_target_group_retries_total"),
            [r#"{target_group="g"} 2"#, r#"{target_group="(others)"} 2"#]
        );
    }
}
