//! Plain tables: columns as wide as they need to be, the first one left-aligned.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    /// The first is the header.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    /// Adds a row; it should have as many cells as the header.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }
}

/// In a cell that there is nothing to say in.
pub(crate) const BLANK: &str = "-";

impl Table {
    /// Leaves out the columns that say nothing in any row.
    pub(crate) fn drop_blank_columns(&mut self) {
        let columns = self.rows.first().map_or(0, Vec::len);
        let says = |column: usize| self.rows[1..].iter().any(|row| row[column] != BLANK);
        let kept: Vec<bool> = (0..columns).map(says).collect();
        for row in &mut self.rows {
            let mut kept = kept.iter();
            row.retain(|_| kept.next() == Some(&true));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::from("  ");
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                line += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                writeln!(
                    f,
                    "  {}",
                    "-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1))
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let mut table = Table::new(["proxy", "p50", "requests/s", "p99"]);
        table.row(["nginx".into(), BLANK.into(), "1,000".into(), BLANK.into()]);
        table.row(["haproxy".into(), BLANK.into(), BLANK.into(), BLANK.into()]);
        table.drop_blank_columns();
        let expected = [["proxy", "requests/s"], ["nginx", "1,000"], ["haproxy", "-"]];
        assert_eq!(table.rows, expected);
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["proxy", "requests/s"]);
        table.row(["nginx".into(), "1,000".into()]);
        table.row(["haproxy".into(), "12,000".into()]);
        let expected =
            "  proxy    requests/s\n  -------------------\n  nginx         1,000\n  haproxy      12,000\n";
        assert_eq!(table.to_string(), expected);
    }
}
