//! The gateway's figures, as its admin address shows them.

use std::collections::BTreeMap;

/// One reading of `/metrics`: series (name and labels as written) and their values.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads Prometheus's text format.
    ///
    /// # Panics
    /// For a line that is neither comment nor sample.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(sample).collect())
    }

    /// The sum over all series of `name` whose labels hold each of `labels` (`stage="prod"`).
    ///
    /// # Panics
    /// When there is no such series: a figure that is missing isn't zero.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let matching: Vec<f64> = self.series(name, labels).map(|(_, value)| value).collect();
        assert!(!matching.is_empty(), "no series {name} with {labels:?} among:\n{self:#?}");
        matching.iter().sum()
    }

    /// As [`Self::sum`], and 0 without any such series.
    #[must_use]
    pub fn sum_or_zero(&self, name: &str, labels: &[&str]) -> f64 {
        self.series(name, labels).map(|(_, value)| value).sum()
    }

    /// The series of `name` whose labels hold each of `labels`.
    pub fn series<'a>(&'a self, name: &'a str, labels: &'a [&str]) -> impl Iterator<Item = (&'a str, f64)> {
        self.0
            .iter()
            .map(|(series, value)| (series.as_str(), *value))
            .filter(move |(series, _)| series.split('{').next() == Some(name))
            .filter(move |(series, _)| labels.iter().all(|label| series.contains(label)))
    }
}

fn sample(line: &str) -> (String, f64) {
    let parsed = line.rsplit_once(' ').and_then(|(series, value)| Some((series, value.parse().ok()?)));
    let (series, value) = parsed.unwrap_or_else(|| panic!("no sample: '{line}'"));
    (series.to_owned(), value)
}
