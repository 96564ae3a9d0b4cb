//! AWS's file of API keys: comma-separated values (RFC 4180, with single quotes as good as double ones) below a line
//! of names in any case and order: `name` and `key`, perhaps `description`, `enabled`, `usageplanids`.

use std::collections::BTreeMap;

/// One key of a file. What a column doesn't say is empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Of the file, from 1, where the row begins.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) description: String,
    pub(super) enabled: String,
    pub(super) usage_plan_ids: Vec<String>,
}

/// # Errors
/// When the file has no such line of names, or a quote isn't closed.
pub(super) fn parse(text: &str) -> Result<Vec<Row>, String> {
    let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
    let (_, names) = records.next().ok_or("The file is empty: its first line has to name the columns")?;
    let columns: BTreeMap<String, usize> =
        names.iter().enumerate().map(|(at, name)| (name.to_ascii_lowercase(), at)).collect();
    for needed in ["name", "key"] {
        if !columns.contains_key(needed) {
            return Err(format!(
                "The file's first line has to name the columns 'name' and 'key': '{needed}' isn't there"
            ));
        }
    }
    let row = |(line, fields): (usize, Vec<String>)| {
        let field =
            |name: &str| columns.get(name).and_then(|at| fields.get(*at)).cloned().unwrap_or_default();
        let plans = field("usageplanids");
        let plans = plans.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        Row {
            line,
            name: field("name"),
            value: field("key"),
            description: field("description"),
            enabled: field("enabled"),
            usage_plan_ids: plans.collect(),
        }
    };
    Ok(records.map(row).collect())
}

/// The fields of each line that has any, after the line's number.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        let line = reader.line;
        let fields = reader.record()?;
        if fields.iter().any(|field| !field.is_empty()) {
            records.push((line, fields));
        }
    }
    Ok(records)
}

struct Reader<'t> {
    rest: &'t str,
    line: usize,
}

impl Reader<'_> {
    /// Reads up to the end of a line that no quotes hold open.
    fn record(&mut self) -> Result<Vec<String>, String> {
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            match self.take() {
                Some(',') => {}
                Some('\r') if self.rest.starts_with('\n') => {
                    self.take();
                    return Ok(fields);
                }
                _ => return Ok(fields),
            }
        }
    }

    /// Reads up to what ends the field, which stays.
    fn field(&mut self) -> Result<String, String> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let quoted = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => String::new(),
        };
        let end = self.rest.find([',', '\r', '\n']).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(quoted + plain.trim_end_matches([' ', '\t']))
    }

    /// A quote within is written twice.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let opened_at = self.line;
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == quote && self.rest.starts_with(quote) => {
                    self.take();
                    text.push(quote);
                }
                Some(c) if c == quote => return Ok(text),
                Some(c) => text.push(c),
                None => return Err(format!("A quote that line {opened_at} opens is never closed")),
            }
        }
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        self.line += usize::from(c == '\n');
        Some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_case() {
        let text =
            "Enabled,NAME,other,key,UsagePlanIds\r\ntrue, one ,x,k1,\"p1, p2\"\n\nFALSE,'two, \"2\"',,k2\n";
        let rows = parse(text).expect("valid");
        let plans: Vec<String> = vec!["p1".to_owned(), "p2".to_owned()];
        assert_eq!((rows[0].line, rows[0].name.as_str(), &rows[0].usage_plan_ids), (2, "one", &plans));
        assert_eq!((rows[0].value.as_str(), rows[0].enabled.as_str()), ("k1", "true"));
        assert_eq!((rows[1].line, rows[1].name.as_str(), rows[1].value.as_str()), (4, "two, \"2\"", "k2"));
        assert_eq!((rows.len(), rows[1].description.as_str(), rows[1].usage_plan_ids.len()), (2, "", 0));
    }

    #[test]
    fn quotes_hold_lines_and_quotes() {
        let rows = parse("\u{feff}key,name\n\"a\"\"b\nc\",'it''s'\nx,y").expect("valid");
        assert_eq!((rows[0].value.as_str(), rows[0].name.as_str()), ("a\"b\nc", "it's"));
        assert_eq!((rows[1].line, rows[1].value.as_str(), rows[1].name.as_str()), (4, "x", "y"));
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for (text, expected) in [
            ("", "empty"),
            ("\n\n", "empty"),
            ("name\nx", "'key'"),
            ("key,description\n", "'name'"),
            ("name,key\n\"x,y", "line 2"),
        ] {
            assert!(parse(text).expect_err(text).contains(expected), "{text}");
        }
        assert_eq!(parse("name,key\n"), Ok(Vec::new()));
    }
}
