//! The page: everything in one file, without a script and without anything from elsewhere.

use super::charts::{latencies, requests};
use super::{Found, FoundRow, FoundSection};
use crate::compare::results::Check;
use crate::compare::table::Table;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #c9d1d9; --ours: #1f6feb; --theirs: #8b949e;
  --met: #1a7f37; --missed: #cf222e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --ours: #58a6ff;
  --theirs: #6e7681; --met: #3fb950; --missed: #f85149 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .2rem .7rem; text-align: right;
  border-bottom: 1px solid var(--line) } th:first-child, td:first-child { text-align: left }
.met { color: var(--met) } .missed { color: var(--missed); font-weight: 600 }
figure { display: inline-block; margin: 0 1.5rem 1rem 0; width: 33rem; max-width: 100% } figcaption { font-size: .85rem }
svg { width: 100% } svg text { font: 12px system-ui, sans-serif; fill: var(--ink) } .ours { fill: var(--ours) }
.theirs { fill: var(--theirs) } .span { stroke: var(--ink); stroke-width: 1.5 } .p50 { fill: var(--met) }
.p99 { fill: var(--ours) } .p999 { fill: var(--missed) } .wide { overflow-x: auto }
";

pub(super) fn page(found: &Found) -> String {
    let facts = &found.facts;
    let memory = format!("{} MiB", facts.memory_bytes >> 20);
    let mut known = vec![
        ("machine", format!("{}, {} cores, {memory}", facts.cpu_model, facts.cores)),
        ("kernel", facts.kernel.clone()),
        ("layout", facts.layout.clone()),
        ("versions", facts.versions.join("; ")),
    ];
    known.extend(facts.caveat.clone().map(|caveat| ("caveat", caveat)));
    let known: String = known
        .iter()
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value)))
        .collect();
    let checks: Vec<&Check> = found.sections.iter().flat_map(|section| &section.checks).collect();
    let sections: String = found.sections.iter().map(section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"/><title>Turnpike side by side</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<style>{STYLE}</style></head>\n<body>\n\
         <h1>Turnpike and its peers, side by side</h1>\n\
         <p>Each figure is the median of interleaved rounds, each ratio the median of the rounds' own ratios: compare \
         within this page, not with another machine's.</p>\n<table>{known}</table>\n{}{sections}</body>\n</html>\n",
        figures(&checks)
    )
}

fn figures(checks: &[&Check]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let row = |check: &&Check| {
        let verdict = if check.met() { "met" } else { "missed" };
        format!(
            "<tr><td>{}</td><td>{:.2}</td><td>{} {:.2}</td><td class=\"{verdict}\">{verdict}</td></tr>\n",
            escape(&check.figure),
            check.value,
            if check.at_least { "&ge;" } else { "&le;" },
            check.goal
        )
    };
    let rows: String = checks.iter().map(row).collect();
    format!(
        "<h2>Figures to reach</h2>\n<table><tr><th>figure</th><th>value</th><th>goal</th><th></th></tr>\n{rows}</table>\n"
    )
}

fn section(section: &FoundSection) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for row in &section.rows {
        if !labels.contains(&row.label.as_str()) {
            labels.push(&row.label);
        }
    }
    let charts = |label: &&str| {
        let rows: Vec<&FoundRow> = section.rows.iter().filter(|row| row.label == **label).collect();
        format!("<h3>{}</h3>\n{}{}", escape(label), requests(&rows), latencies(&rows))
    };
    let charts: String = labels.iter().map(charts).collect();
    let tables: String = section
        .tables
        .iter()
        .map(|titled| format!("<h4>{}</h4>\n{}", escape(&titled.title), table(&titled.table)))
        .collect();
    let notes: String = section.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!("<h2>{}</h2>\n{charts}{tables}<ul>{notes}</ul>\n", escape(&section.name))
}

fn table(table: &Table) -> String {
    let cells = |row: &[String], tag: &str| -> String {
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let rows = table.rows.iter().enumerate().map(|(index, row)| {
        let tag = if index == 0 { "th" } else { "td" };
        format!("<tr>{}</tr>\n", cells(row, tag))
    });
    format!("<div class=\"wide\"><table>{}</table></div>\n", rows.collect::<String>())
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_everything_and_nothing_breaks_out() {
        let page = page(&super::super::sample());
        for part in [
            "<td>A &amp; B, 4 cores, 1024 MiB</td>",
            "nginx/1.22",
            "<h3>64 &lt;connections&gt;</h3>",
            "<td>over nginx</td><td>2.00</td><td>&ge; 1.50</td><td class=\"met\">",
            "<td>over haproxy</td><td>1.00</td><td>&ge; 1.25</td><td class=\"missed\">",
            "<tr><td>nginx</td><td>50</td></tr>",
            "<li>a note</li>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<connections>"));
        for foreign in ["<script", "http://", "https://", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
