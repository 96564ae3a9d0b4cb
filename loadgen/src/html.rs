//! `--html`: a report as one page that needs nothing else: no network, no script; tables, and plots as inline SVG.

mod axis;
mod escape;
mod plot;
mod tables;

use std::fmt::Write as _;

use crate::report::{Report, show_us};
use crate::timeline::Interval;
use axis::Axis;
use escape::escape;
use plot::{Plot, Series};

/// Most points of a plot over time; of more intervals, several share a point.
const TIME_POINTS_MAX: usize = 1_200;
const CLOSED_LOOP_NOTE: &str = "Response time counts from when a connection was free, service time from when the request \
    was sent. A closed loop intends nothing earlier: what a stall holds back shows in neither.";
const STYLE: &str = include_str!("html/style.css");

/// The whole page: valid HTML, and well-formed XML as well.
pub(crate) fn page(report: &Report) -> String {
    let title = escape(&report.url);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <title>Load on {title}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
    );
    page.push_str(&tables::headline(report));
    page.push_str("<h2>Latency</h2>\n");
    page.push_str(&tables::latencies(report));
    page.push_str(&percentile_plot(report));
    if report.intervals.len() > 1 {
        page.push_str("<h2>Over time</h2>\n");
        page.push_str(&time_plots(report));
        page.push_str(&tables::intervals(&report.intervals));
    }
    page.push_str(&tables::labels(report));
    page.push_str(&tables::mismatches(report));
    page.push_str("<h2>Replies and errors</h2>\n");
    page.push_str(&tables::outcomes(report));
    page.push_str("<h2>How it was measured</h2>\n");
    page.push_str(&tables::circumstances(report));
    page.push_str("</body></html>\n");
    page
}

/// Over a logarithmic axis of how rare a time is, so that the tail has as much room as the rest.
fn percentile_plot(report: &Report) -> String {
    let rarity = |(share, us): (f64, f64), count: u64| (1.0 / (1.0 - share).max(1.0 / count as f64), us);
    let series = |name, curve: &[(f64, f64)], count| Series {
        name,
        points: curve.iter().map(|point| rarity(*point, count)).collect(),
    };
    let series = [
        series("response time", &report.latency_curve_us, report.latency_us.count),
        series("service time", &report.service_curve_us, report.service_us.count),
    ];
    let points = || series.iter().flat_map(|series| series.points.iter());
    let rarest = points().map(|point| point.0).fold(10.0, f64::max);
    let plot = Plot {
        id: "percentiles",
        title: "Latency by percentile.",
        note: match report.schedule {
            Some(_) => {
                "Response time counts from when a request was intended, service time from when it was sent."
            }
            None => CLOSED_LOOP_NOTE,
        },
        x: Axis::powers(1.0, rarest),
        y: Axis::fitting(points().map(|point| point.1)),
        x_title: "percentile",
        y_title: "latency",
        show_x: show_percentile,
        show_y: show_us,
        series: &series,
    };
    plot.render()
}

/// 1 in so many as a percentile.
fn show_percentile(one_in: f64) -> String {
    let digits = (one_in.log10() - 2.0).ceil().max(0.0) as usize + usize::from(one_in.log10().fract() > 1e-9);
    format!("{:.digits$} %", 100.0 * (1.0 - 1.0 / one_in))
}

fn time_plots(report: &Report) -> String {
    let each = report.intervals.len().div_ceil(TIME_POINTS_MAX);
    let groups: Vec<&[Interval]> = report.intervals.chunks(each).collect();
    let note = match each {
        1 => format!("Intervals of {} s.", report.interval_s),
        each => format!("Each point stands for {each} intervals of {} s.", report.interval_s),
    };
    let end_s = report.intervals.last().map_or(0.0, |last| last.start_s + last.duration_s);
    let series = |name, value: fn(&[Interval]) -> f64| Series {
        name,
        points: groups.iter().map(|group| (group[0].start_s, value(group))).collect(),
    };
    let draw = |id, title, note: &str, y_title, show_y, series: &[Series]| {
        let values = series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let y = match y_title {
            "latency" => Axis::fitting(values),
            _ => Axis::even(values.fold(0.0, f64::max) * 1.05),
        };
        let x = Axis::even(end_s);
        let plot =
            Plot { id, title, note, x, y, x_title: "time in s", y_title, show_x: show_s, show_y, series };
        plot.render()
    };
    let rates = [series("replies", |group| per_second(group, |interval| interval.replies))];
    let errors = [series("errors", |group| per_second(group, |interval| interval.errors))];
    let latencies = [
        series("p50", |group| worst(group, |interval| interval.latency_us.p50)),
        series("p90", |group| worst(group, |interval| interval.latency_us.p90)),
        series("p99", |group| worst(group, |interval| interval.latency_us.p99)),
        series("p99.9", |group| worst(group, |interval| interval.latency_us.p99_9)),
        series("max", |group| worst(group, |interval| interval.latency_us.max)),
    ];
    let worst_note = if each > 1 { format!("{note} The worst of them.") } else { note.clone() };
    let mut plots = draw("rate", "Replies per second.", &note, "replies/s", show_rate, &rates);
    plots += &draw("latency", "Response times.", &worst_note, "latency", show_us, &latencies);
    plots + &draw("errors", "Errors per second.", &note, "errors/s", show_rate, &errors)
}

fn per_second(group: &[Interval], count: fn(&Interval) -> u64) -> f64 {
    let seconds: f64 = group.iter().map(|interval| interval.duration_s).sum();
    let sum: u64 = group.iter().map(count).sum();
    if seconds > 0.0 { sum as f64 / seconds } else { 0.0 }
}

fn worst(group: &[Interval], value: fn(&Interval) -> f64) -> f64 {
    group.iter().map(value).fold(0.0, f64::max)
}

fn show_s(seconds: f64) -> String {
    format!("{} s", (seconds * 1e3).round() / 1e3)
}

fn show_rate(rate: f64) -> String {
    let mut text = String::new();
    let written = match rate {
        rate if rate >= 100.0 || rate.fract() == 0.0 => write!(text, "{rate:.0}"),
        rate => write!(text, "{rate:.2}"),
    };
    debug_assert!(written.is_ok(), "a string takes any text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rarities_are_shown_as_percentiles() {
        let cases = [
            (1.0, "0 %"),
            (10.0, "90 %"),
            (100.0, "99 %"),
            (1_000.0, "99.9 %"),
            (1e5, "99.999 %"),
            (4.0, "75.0 %"),
        ];
        for (one_in, shown) in cases {
            assert_eq!(show_percentile(one_in), shown);
        }
    }
}
