//! What a run sends, and the sources of it that a reactor hands to its lanes.

use std::rc::Rc;

use crate::check::{CheckList, ReplyView};
use crate::failure::Failure;
use crate::request::Request;
use crate::scenario::{CheckName, Scenario, Share, User};
use crate::source::{Keep, Outcome, Rotation, Script, Source};

/// What a run sends; it lives as long as the process, so that lanes refer to it without counting.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// These in turn, each reply checked where there are checks.
    Requests {
        requests: &'static [Request],
        checks: Option<&'static CheckList>,
    },
    Scenario(&'static Scenario),
}

impl Load {
    /// Names of the requests' labels.
    pub fn labels(&self) -> &'static [String] {
        match self {
            Self::Requests { .. } => &[],
            Self::Scenario(scenario) => &scenario.labels,
        }
    }

    /// What the checks are called, in the order of their indices.
    pub fn check_names(&self) -> Vec<CheckName> {
        match self {
            Self::Requests { checks, .. } => {
                let names = checks.iter().flat_map(|checks| checks.names());
                names.map(|check| CheckName { label: String::new(), check }).collect()
            }
            Self::Scenario(scenario) => scenario.check_names.clone(),
        }
    }
}

/// One reactor's part of it.
#[derive(Debug)]
pub(crate) enum Supply {
    Rotation(Rc<Rotation>, Option<&'static CheckList>),
    Scenario(&'static Scenario, Rc<Share>),
}

impl Supply {
    /// Of reactor `index` of `reactors`.
    pub(crate) fn new(load: Load, index: usize, reactors: usize) -> Self {
        match load {
            Load::Requests { requests, checks } => {
                let first = requests.len() * index / reactors;
                Self::Rotation(Rc::new(Rotation::new(requests, first)), checks)
            }
            Load::Scenario(scenario) => {
                Self::Scenario(scenario, Rc::new(Share::new(scenario, index, reactors)))
            }
        }
    }

    /// For another lane.
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Rotation(rotation, None) => Source::Rotation(Rc::clone(rotation)),
            Self::Rotation(rotation, Some(checks)) => {
                Source::Script(Box::new(Checked { rotation: Rc::clone(rotation), checks }))
            }
            Self::Scenario(scenario, share) => {
                Source::Script(Box::new(User::new(scenario, Rc::clone(share))))
            }
        }
    }
}

/// A rotation whose replies are checked.
#[derive(Debug)]
struct Checked {
    rotation: Rc<Rotation>,
    checks: &'static CheckList,
}

impl Script for Checked {
    fn next(&mut self) -> Request {
        self.rotation.next()
    }

    fn keep(&self) -> Keep {
        self.checks.keep()
    }

    fn take(&mut self, outcome: Outcome<'_>) -> Result<(), Failure> {
        let Outcome::Reply(reply, kept) = outcome else { return Ok(()) };
        let missed = self.checks.judge(&ReplyView::new(reply.status, reply.body_bytes, kept));
        if missed.is_empty() { Ok(()) } else { Err(Failure::Unexpected(missed)) }
    }
}
