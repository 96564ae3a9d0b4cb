//! What commands print: tables with aligned columns, or the answers' own JSON.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

use super::options::Output;
use super::serve::say;

impl Output {
    /// A list; `row` makes its columns of an item. `nouns` is what there is none of, where there is none.
    pub(super) fn list<const N: usize>(
        self,
        nouns: &str,
        head: [&str; N],
        items: &[Value],
        row: impl Fn(&Value) -> [String; N],
    ) -> Result<(), String> {
        match self {
            Self::Json => say(&pretty(&items.into())),
            Self::Text if items.is_empty() => say(&format!("no {nouns}")),
            Self::Text => {
                let head = head.map(str::to_owned).to_vec();
                let rows = std::iter::once(head).chain(items.iter().map(|item| row(item).to_vec()));
                say(&aligned(&rows.collect::<Vec<_>>()))
            }
        }
    }

    /// One thing, a line a field; what is empty is left out.
    pub(super) fn show<const N: usize>(
        self,
        item: &Value,
        fields: [(&str, String); N],
    ) -> Result<(), String> {
        match self {
            Self::Json => say(&pretty(item)),
            Self::Text => {
                let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
                let rows: Vec<Vec<String>> =
                    fields.map(|(name, value)| vec![name.to_owned(), value]).collect();
                say(&aligned(&rows))
            }
        }
    }

    /// What was done, in words; programs get the answer.
    pub(super) fn done(self, answer: &Value, words: &str) -> Result<(), String> {
        match self {
            Self::Json if !answer.is_null() => say(&pretty(answer)),
            Self::Json => Ok(()),
            Self::Text => say(words),
        }
    }
}

/// Says on standard error what takes its time, to whoever looks on.
pub(super) fn progress(text: &str) {
    let mut errors = std::io::stderr().lock();
    if errors.is_terminal() {
        // Nothing depends on its being read.
        let _ = writeln!(errors, "{text}");
    }
}

pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Columns two spaces apart, as wide as their widest cell; nothing after the last one. A cell is one line.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let cells = |row: &Vec<String>| row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>();
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = width - cell.chars().count();
            format!("{cell}{}", " ".repeat(padding))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What somebody else wrote must not move the cursor.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["ID", "NAME", ""], vec!["a", "é\u{1b}[1m", "x"], vec!["long", "", ""]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(aligned(&rows), "ID    NAME\na     é [1m  x\nlong");
        assert_eq!(aligned(&[]), "");
    }
}
