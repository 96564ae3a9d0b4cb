//! The README's figures: the machine, what `small` measured, and every figure to reach, between two lines that mark them.

use super::Found;
use crate::compare::results::Check;
use crate::compare::table::Table;

const BEGIN: &str = "<!-- figures: written by scripts/bench --readme -->";
const END: &str = "<!-- end of figures -->";
/// The section whose tables are shown whole.
const SHOWN: &str = "small";

/// `text` with what stands between the marks made anew.
pub(super) fn replace(text: &str, found: &Found) -> Result<String, String> {
    let marks = text.find(BEGIN).zip(text.find(END)).filter(|(begin, end)| begin < end);
    let Some((begin, end)) = marks else {
        return Err(format!("the lines '{BEGIN}' and '{END}' are missing"));
    };
    Ok(format!("{}{BEGIN}\n{}{}", &text[..begin], figures(found), &text[end..]))
}

fn figures(found: &Found) -> String {
    let facts = &found.facts;
    let mut text = format!(
        "\n{}, {} cores, {}; {}. Versions: {}.\n",
        facts.cpu_model,
        facts.cores,
        facts.kernel,
        facts.layout,
        facts.versions.join("; ")
    );
    for section in found.sections.iter().filter(|section| section.name == SHOWN) {
        for titled in &section.tables {
            text += &format!("\n{}:\n\n{}", titled.title, table(&titled.table));
        }
    }
    let checks: Vec<&Check> = found.sections.iter().flat_map(|section| &section.checks).collect();
    if !checks.is_empty() {
        text += "\nFigures to reach:\n\n| figure | value | goal | |\n| --- | ---: | ---: | --- |\n";
        text.extend(checks.into_iter().map(check));
    }
    text + "\n"
}

fn check(check: &Check) -> String {
    let sign = if check.at_least { "at least" } else { "at most" };
    let verdict = if check.met() { "met" } else { "missed" };
    format!("| {} | {:.2} | {sign} {:.2} | {verdict} |\n", check.figure, check.value, check.goal)
}

fn table(table: &Table) -> String {
    let mut text = String::new();
    for (index, row) in table.rows.iter().enumerate() {
        text += &format!("| {} |\n", row.join(" | "));
        if index == 0 {
            text += &format!("| --- |{}\n", " ---: |".repeat(row.len().saturating_sub(1)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let found = super::super::sample();
        let readme = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replace(&readme, &found).unwrap();
        assert!(once.starts_with("before\n") && once.ends_with(&format!("{END}\nafter\n")), "{once}");
        assert!(!once.contains("old"));
        assert!(once.contains("| over haproxy | 1.00 | at least 1.25 | missed |"), "{once}");
        assert!(once.contains("| proxy | requests/s |\n| --- | ---: |\n| nginx | 50 |\n"), "{once}");
        assert_eq!(replace(&once, &found).as_ref(), Ok(&once));
        assert!(replace("no marks", &found).unwrap_err().contains("missing"));
    }
}
