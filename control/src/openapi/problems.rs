//! What is wrong with a document, by severity, each thing with its place; in AWS's layout.

use super::place::Place;

/// Problems of each severity that are told; the rest is counted.
const TOLD_MAX: usize = 100;
/// Of one problem; places and what is quoted can be as long as the document.
const TOLD_CHARS_MAX: usize = 1_000;

/// What a problem means for the import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is imported.
    Error,
    /// It is imported without this, unless the caller doesn't want that.
    Warning,
    /// Fine in OpenAPI, and nothing that this kind of API has.
    Info,
}

/// Everything found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    errors: Told,
    warnings: Told,
    info: Told,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Told {
    lines: Vec<String>,
    left_off: usize,
}

impl Problems {
    pub fn add(&mut self, severity: Severity, place: &Place, message: impl std::fmt::Display) {
        let told = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
            Severity::Info => &mut self.info,
        };
        if told.lines.len() < TOLD_MAX {
            told.lines.push(shortened(format!("{place}: {message}")));
        } else {
            told.left_off += 1;
        }
    }

    pub fn error(&mut self, place: &Place, message: impl std::fmt::Display) {
        self.add(Severity::Error, place, message);
    }

    pub fn warn(&mut self, place: &Place, message: impl std::fmt::Display) {
        self.add(Severity::Warning, place, message);
    }

    pub fn inform(&mut self, place: &Place, message: impl std::fmt::Display) {
        self.add(Severity::Info, place, message);
    }

    /// As an answer lists them.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.all()
    }

    /// As an answer lists them.
    #[must_use]
    pub fn info(&self) -> Vec<String> {
        self.info.all()
    }

    /// Why nothing is imported, if so.
    #[must_use]
    pub fn refusal(&self, fail_on_warnings: bool) -> Option<String> {
        let (errors, warnings) = (self.errors.all(), self.warnings.all());
        let paragraph = |title: &str, lines: &[String]| format!("{title}:\n\t{}", lines.join("\n\t"));
        match (errors.is_empty(), warnings.is_empty()) {
            (true, false) if fail_on_warnings => Some(paragraph("Warnings found during import", &warnings)),
            (true, _) => None,
            (false, true) => Some(paragraph("Errors found during import", &errors)),
            (false, false) => Some(format!(
                "{}\n{}",
                paragraph("Errors found during import", &errors),
                paragraph("Additionally, these warnings were found", &warnings)
            )),
        }
    }
}

fn shortened(line: String) -> String {
    match line.char_indices().nth(TOLD_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl Told {
    fn all(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        if self.left_off > 0 {
            lines.push(format!("… and {} more", self.left_off));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_refuse_and_warnings_if_asked() {
        let mut problems = Problems::default();
        assert_eq!(problems.refusal(true), None);
        let place = Place::default().at("paths").at("/a~b").item(3);
        problems.warn(&place, "odd");
        assert_eq!(problems.refusal(false), None);
        let told = "Warnings found during import:\n\t/paths/~1a~0b/3: odd";
        assert_eq!(problems.refusal(true).as_deref(), Some(told));
        problems.error(&Place::default(), "bad");
        let told = "Errors found during import:\n\t/: bad\nAdditionally, these warnings were \
                    found:\n\t/paths/~1a~0b/3: odd";
        assert_eq!(problems.refusal(false).as_deref(), Some(told));
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut problems = Problems::default();
        (0..TOLD_MAX + 5).for_each(|n| problems.inform(&Place::default(), n));
        assert_eq!(problems.info().len(), TOLD_MAX + 1);
        assert_eq!(problems.info().last().map(String::as_str), Some("… and 5 more"));
        problems.warn(&Place::default().at(&"é".repeat(5_000)), "x");
        assert_eq!(problems.warnings()[0].chars().count(), TOLD_CHARS_MAX + 1);
    }
}
