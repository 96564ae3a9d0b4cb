//! The page's tables. Each figure is a `data` element with the value as the JSON report has it.

use super::escape::escape;
use crate::calendar::Moment;
use crate::report::{Handshakes, Latency, Missed, Report, show_us};
use crate::timeline::Interval;

/// Most intervals that are listed one by one.
const ROWS_MAX: usize = 5_000;

/// Pace, counts and warnings.
pub(super) fn headline(report: &Report) -> String {
    let mut pace = report.pace();
    if let Some(first) = pace.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let ended = report.ended_by.early();
    let mut html = format!(
        "<p>{}; {} connections on {} threads; {} s{ended}. Started {}.</p>\n",
        escape(&pace),
        report.connections,
        report.threads,
        number(report.duration_s),
        Moment::of(report.started_unix_s.max(0.0) as u64)
    );
    if !report.warnings.is_empty() {
        let warnings: String =
            report.warnings.iter().map(|warning| format!("<li>{}</li>", escape(warning))).collect();
        html += &format!("<ul class=\"warnings\" role=\"status\">{warnings}</ul>\n");
    }
    let rows = [
        ("replies", count(report.replies)),
        ("replies/s", data(report.replies_per_s, &number(report.replies_per_s))),
        ("errors", count(report.failed())),
        ("mean response time", time(report.latency_us.mean)),
        ("99th percentile", time(report.latency_us.p99)),
        ("longest", time(report.latency_us.max)),
    ];
    let heads: String = rows.iter().map(|(name, _)| format!("<th scope=\"col\">{name}</th>")).collect();
    let cells: String = rows.iter().map(|(_, cell)| format!("<td>{cell}</td>")).collect();
    html + &format!(
        "<div class=\"wide\"><table id=\"headline\"><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table></div>\n"
    )
}

/// Both kinds of times side by side.
pub(super) fn latencies(report: &Report) -> String {
    let (response, service) = (&report.latency_us, &report.service_us);
    let row = |name: &str, of_response: f64, of_service: f64, beyond: Option<u64>| {
        let beyond = beyond.map(count).unwrap_or_default();
        format!(
            "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{beyond}</td></tr>",
            time(of_response),
            time(of_service)
        )
    };
    let mut rows = row("mean", response.mean, service.mean, None);
    rows += &row("standard deviation", response.stdev, service.stdev, None);
    rows += &row("min", response.min, service.min, None);
    for ((name, quantile, of_response), (_, _, of_service)) in
        response.percentiles().into_iter().zip(service.percentiles())
    {
        rows += &row(name, of_response, of_service, Some(response.beyond(quantile)));
    }
    rows += &row("max", response.max, service.max, None);
    table("latencies", &["", "response time", "service time", "response times beyond"], &rows)
}

/// The intervals one by one, folded away.
pub(super) fn intervals(intervals: &[Interval]) -> String {
    let row = |interval: &Interval| {
        let latency = &interval.latency_us;
        let times =
            [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max].map(|us| cell(&time(us)));
        format!(
            "<tr><th scope=\"row\">{}</th>{}{}{}{}</tr>",
            data(interval.start_s, &number(interval.start_s)),
            cell(&count(interval.replies)),
            cell(&data(interval.replies_per_s(), &number(interval.replies_per_s()))),
            cell(&count(interval.errors)),
            times.concat()
        )
    };
    let rows: String = intervals.iter().take(ROWS_MAX).map(row).collect();
    let heads = ["start in s", "replies", "replies/s", "errors", "p50", "p90", "p99", "p99.9", "max"];
    let left_out = match intervals.len().saturating_sub(ROWS_MAX) {
        0 => String::new(),
        more => format!("<p>{more} more are in the JSON and CSV reports.</p>"),
    };
    format!(
        "<details><summary>The intervals as a table</summary>{}{left_out}</details>\n",
        table("intervals", &heads, &rows)
    )
}

/// The requests by label, where they have labels.
pub(super) fn labels(report: &Report) -> String {
    if report.labels.is_empty() {
        return String::new();
    }
    let rows: String = report
        .labels
        .iter()
        .map(|(name, part)| {
            let latency = &part.latency_us;
            let cells = [
                count(part.replies),
                data(part.replies_per_s, &number(part.replies_per_s)),
                count(part.errors.values().sum()),
                time(latency.p50),
                time(latency.p99),
                time(latency.p99_9),
                time(latency.max),
            ];
            format!(
                "<tr><th scope=\"row\">{}</th>{}</tr>",
                escape(name),
                cells.map(|text| cell(&text)).concat()
            )
        })
        .collect();
    let heads = ["request", "replies", "replies/s", "errors", "p50", "p99", "p99.9", "max"];
    format!("<h2>By request</h2>\n{}", table("labels", &heads, &rows))
}

/// Checks that replies didn't pass, if there are any.
pub(super) fn mismatches(report: &Report) -> String {
    if report.mismatches.is_empty() {
        return String::new();
    }
    let row = |missed: &Missed| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&missed.request),
            escape(&missed.check),
            count(missed.count),
            escape(&missed.sample.wanted),
            escape(&missed.sample.came)
        )
    };
    let rows: String = report.mismatches.iter().map(row).collect();
    let heads = ["request", "check", "failed", "wanted", "came (the first)"];
    format!("<h2>Checks that failed</h2>\n{}", table("mismatches", &heads, &rows))
}

/// Statuses, errors by kind with the first of each, and the connections opened.
pub(super) fn outcomes(report: &Report) -> String {
    let row = |name: &str, many: u64, note: &str| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escape(name),
            count(many),
            escape(note)
        )
    };
    let mut rows: String =
        report.status.iter().map(|(status, many)| row(&format!("status {status}"), *many, "")).collect();
    for (kind, many) in report.errors.iter().filter(|(_, many)| **many > 0) {
        let first = report.first_errors.get(kind).map(|text| format!("first: {text}")).unwrap_or_default();
        rows += &row(&format!("error {kind}"), *many, &first);
    }
    for missed in &report.mismatches {
        let name = match missed.request.as_str() {
            "" => format!("check {}", missed.check),
            request => format!("check {request}: {}", missed.check),
        };
        rows += &row(&name, missed.count, &format!("first: {}", missed.sample));
    }
    for (name, many) in [("unsent", report.unsent), ("unfinished", report.unfinished)] {
        if many > 0 {
            rows += &row(name, many, "");
        }
    }
    if report.resent > 0 {
        rows += &row("resent", report.resent, "not taken by connections that the server ended");
    }
    let openings = &report.openings;
    if openings.connections > 0 {
        let times = |latency: &Latency| format!("p50 {}, p99 {}", show_us(latency.p50), show_us(latency.p99));
        rows += &row("connections opened", openings.connections, &times(&openings.connect_us));
        let Handshakes { full, resumed } = openings.handshakes;
        if full + resumed > 0 {
            let note = format!("{resumed} resumed; {}", times(&openings.handshake_us));
            rows += &row("TLS handshakes", full + resumed, &note);
        }
    }
    table("outcomes", &["", "count", ""], &rows)
}

/// Command line, machine and versions.
pub(super) fn circumstances(report: &Report) -> String {
    let (machine, generator) = (&report.machine, &report.generator);
    let mut own = format!("busiest core {:.0} %", generator.cpu_share_max * 100.0);
    if generator.wait_share_max >= 0.005 {
        own += &format!(", kept off it by other work for {:.0} %", generator.wait_share_max * 100.0);
    }
    if report.schedule.is_some() {
        own += &format!(", 99 % of the requests left at most {} late", show_us(generator.send_lag_p99_us));
    }
    let rows = [
        ("command", format!("<code>{}</code>", escape(&report.command))),
        ("version", format!("turnpike-loadgen {}", escape(&report.version))),
        ("processor", format!("{}, {} cores", escape(&machine.processor), machine.cores)),
        ("memory", format!("{:.1} GiB", machine.memory_bytes as f64 / f64::from(1 << 30))),
        ("system", escape(&machine.kernel)),
        ("warm-up", format!("{} s, not counted", number(report.warmup_s))),
        ("generator", own),
    ];
    let rows = rows.map(|(name, text)| format!("<tr><th scope=\"row\">{name}</th><td>{text}</td></tr>"));
    format!("<table id=\"circumstances\" class=\"words\"><tbody>{}</tbody></table>\n", rows.concat())
}

fn table(id: &str, heads: &[&str], rows: &str) -> String {
    let head = |name: &&str| match name.is_empty() {
        true => "<td></td>".to_owned(),
        false => format!("<th scope=\"col\">{name}</th>"),
    };
    let heads: String = heads.iter().map(head).collect();
    format!(
        "<div class=\"wide\"><table id=\"{id}\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )
}

fn cell(text: &str) -> String {
    format!("<td>{text}</td>")
}

fn data(value: f64, shown: &str) -> String {
    format!("<data value=\"{value}\">{shown}</data>")
}

fn count(value: u64) -> String {
    format!("<data value=\"{value}\">{value}</data>")
}

fn time(us: f64) -> String {
    data(us, &show_us(us))
}

fn number(value: f64) -> String {
    format!("{}", (value * 10.0).round() / 10.0)
}
