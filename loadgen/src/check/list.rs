//! The checks of one request, and what didn't fit.

use std::fmt;

use super::{Capture, Check, ReplyView, Sample};
use crate::source::{Keep, Kept};

/// The checks of one request; their indices among all checks of a run follow each other.
#[derive(Debug, Clone)]
pub struct CheckList {
    checks: Vec<Check>,
    first: usize,
    keep: Keep,
}

/// A check that a reply didn't pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Index among all checks of a run.
    pub check: usize,
    /// What the check is called.
    pub name: String,
    pub sample: Sample,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.sample)
    }
}

impl CheckList {
    /// `capture` is what is needed besides, for other purposes.
    pub fn new(checks: Vec<Check>, first: usize, capture: Capture, body_bytes_max: usize) -> Self {
        let capture = checks.iter().map(Check::capture).fold(capture, Capture::max);
        let body_bytes_max = if capture == Capture::Body { body_bytes_max } else { 0 };
        Self { checks, first, keep: Keep { head: capture >= Capture::Head, body_bytes_max } }
    }

    /// What of a reply must be kept.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// What the checks are called, in the order of their indices.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.checks.iter().map(Check::name)
    }

    /// The index behind the last check's.
    pub fn end(&self) -> usize {
        self.first + self.checks.len()
    }

    /// All checks that the reply doesn't pass; nothing is allocated where it passes them.
    pub fn judge(&self, reply: &ReplyView<'_>) -> Vec<Mismatch> {
        let missed = self.checks.iter().enumerate().filter(|(_, check)| !check.fits(reply));
        missed
            .map(|(index, check)| Mismatch {
                check: self.first + index,
                name: check.name(),
                sample: check.sample(reply),
            })
            .collect()
    }
}

impl<'a> ReplyView<'a> {
    /// A reply and what of it was kept.
    pub fn new(status: u16, body_bytes: u64, kept: Option<&'a Kept>) -> Self {
        let (fields, body) = kept.map_or((&[][..], &[][..]), |kept| (&kept.fields, &kept.body));
        Self { status, fields, body, body_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mismatch_is_told_and_only_what_is_needed_kept() {
        let status = Check::Status("200".parse().unwrap());
        let list = CheckList::new(vec![status.clone(), Check::BodyBytes(3)], 5, Capture::Nothing, 10);
        assert_eq!((list.keep(), list.end()), (Keep::default(), 7));
        assert!(list.judge(&ReplyView::new(200, 3, None)).is_empty());
        let missed = list.judge(&ReplyView::new(404, 4, None));
        assert_eq!(missed.iter().map(|missed| missed.check).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(missed[0].to_string(), "status: wanted 200, came 404");
        let body = CheckList::new(vec![status, Check::BodyEquals(b"x".to_vec())], 0, Capture::Nothing, 10);
        assert_eq!(body.keep(), Keep { head: true, body_bytes_max: 10 });
        assert!(CheckList::new(Vec::new(), 0, Capture::Head, 10).keep().head);
    }
}
