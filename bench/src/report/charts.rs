//! Charts of one label's proxies as inline SVG: bars of requests/s with the span of the rounds, and latencies on a
//! logarithmic axis. Colours come from the page's style.

use super::FoundRow;
use super::html::escape;
use crate::compare::stats::grouped;
use turnpike_loadgen::report::show_us;

const WIDTH: f64 = 640.0;
const NAME_WIDTH: f64 = 130.0;
const VALUE_WIDTH: f64 = 90.0;
const LINE_HEIGHT: f64 = 22.0;

/// Where values begin and end.
const LEFT: f64 = NAME_WIDTH;
const RIGHT: f64 = WIDTH - VALUE_WIDTH;

pub(super) fn requests(rows: &[&FoundRow]) -> String {
    let largest = rows.iter().flat_map(|row| span(row)).chain([1.0]).fold(0.0, f64::max);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * value / largest;
    let bar = |(index, row): (usize, &&FoundRow)| {
        let y = index as f64 * LINE_HEIGHT;
        let [lowest, highest] = span(row);
        let (end, figure) = (x(row.replies_per_s), grouped(row.replies_per_s));
        let told = format!(
            "{}: {figure} requests/s, rounds from {} to {}",
            row.proxy,
            grouped(lowest),
            grouped(highest)
        );
        let middle = y + LINE_HEIGHT / 2.0;
        format!(
            "<g><title>{}</title>{}<rect class=\"{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
             <line class=\"span\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>{}</g>\n",
            escape(&told),
            name(&row.proxy, middle),
            class(&row.proxy),
            y + 3.0,
            end - LEFT,
            LINE_HEIGHT - 6.0,
            x(lowest),
            x(highest),
            value(&figure, middle)
        )
    };
    picture("requests/s, with the span of the rounds", rows.len(), rows.iter().enumerate().map(bar).collect())
}

pub(super) fn latencies(rows: &[&FoundRow]) -> String {
    let all = || rows.iter().flat_map(|row| [row.p50_us, row.p99_us, row.p99_9_us]).filter(|us| *us > 0.0);
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
    if high <= 0.0 {
        return String::new();
    }
    let decades = (high / low).log10().max(0.1);
    let x = |us: f64| LEFT + (RIGHT - LEFT) * ((us.max(low) / low).log10() / decades);
    let line = |(index, row): (usize, &&FoundRow)| {
        let y = (index as f64 + 0.5) * LINE_HEIGHT;
        let [p50, p99, p99_9] = [row.p50_us, row.p99_us, row.p99_9_us].map(show_us);
        let dots: String = [("p50", row.p50_us), ("p99", row.p99_us), ("p999", row.p99_9_us)]
            .map(|(kind, us)| format!("<circle class=\"{kind}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\"/>", x(us)))
            .concat();
        format!(
            "<g><title>{}</title>{}<line class=\"span\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>{dots}{}</g>\n",
            escape(&format!("{}: p50 {p50}, p99 {p99}, p99.9 {p99_9}", row.proxy)),
            name(&row.proxy, y),
            x(row.p50_us),
            x(row.p99_9_us),
            value(&p99, y)
        )
    };
    let title = "p50, p99 (the figure) and p99.9, logarithmic";
    picture(title, rows.len(), rows.iter().enumerate().map(line).collect())
}

/// The lowest and the highest round.
fn span(row: &FoundRow) -> [f64; 2] {
    let rounds = || row.samples.iter().map(|sample| sample.report.replies_per_s);
    [rounds().fold(row.replies_per_s, f64::min), rounds().fold(row.replies_per_s, f64::max)]
}

fn picture(title: &str, lines: usize, content: String) -> String {
    let height = lines as f64 * LINE_HEIGHT;
    format!(
        "<figure><figcaption>{title}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n{content}</svg></figure>\n"
    )
}

fn class(proxy: &str) -> &'static str {
    if proxy.starts_with("turnpike") { "ours" } else { "theirs" }
}

fn name(proxy: &str, y: f64) -> String {
    let x = LEFT - 8.0;
    format!(
        "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\" dominant-baseline=\"central\">{}</text>",
        escape(proxy)
    )
}

fn value(text: &str, y: f64) -> String {
    format!(
        "<text x=\"{WIDTH}\" y=\"{y:.1}\" text-anchor=\"end\" dominant-baseline=\"central\">{}</text>",
        escape(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let found = super::super::sample();
        let rows: Vec<&FoundRow> = found.sections[0].rows.iter().collect();
        let svg = requests(&rows);
        // The highest round fills the width, the median of the same is 1/1.1 of it, the other proxy's half of that.
        let full = RIGHT - LEFT;
        for width in [full / 1.1, full / 2.2] {
            assert!(svg.contains(&format!("width=\"{width:.1}\"")), "{width}: {svg}");
        }
        assert!(svg.contains("rounds from 90 to 110"), "{svg}");
        assert_eq!(latencies(&rows).matches("<circle").count(), 6);
    }
}
