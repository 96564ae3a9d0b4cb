//! What a run sends, and the sources of it that a reactor hands to its lanes.

use std::rc::Rc;

use crate::check::{CheckList, ReplyView};
use crate::failure::Failure;
use crate::replay::{Recorded, RecordedPart};
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
    /// A log's, each reply checked where there are checks.
    Recorded {
        recorded: &'static Recorded,
        checks: Option<&'static CheckList>,
    },
}

impl Load {
    /// Names of the requests' labels.
    pub fn labels(&self) -> &'static [String] {
        match self {
            Self::Requests { .. } | Self::Recorded { .. } => &[],
            Self::Scenario(scenario) => &scenario.labels,
        }
    }

    /// What the checks are called, in the order of their indices.
    pub fn check_names(&self) -> Vec<CheckName> {
        match self {
            Self::Requests { checks, .. } | Self::Recorded { checks, .. } => {
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
    Recorded(Rc<RecordedPart>, Option<&'static CheckList>),
}

impl Supply {
    /// Of reactor `index` of `reactors`.
    pub(crate) fn new(load: Load, index: usize, reactors: usize) -> Self {
        match load {
            Load::Requests { requests, checks } => {
                let first = requests.len() * index / reactors;
                Self::Rotation(Rc::new(Rotation::new(requests, first)), checks)
            }
            Load::Recorded { recorded, checks } => {
                Self::Recorded(Rc::new(RecordedPart::new(recorded, index, reactors)), checks)
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
            Self::Rotation(rotation, Some(checks)) => Source::Script(Box::new(Checked {
                feed: Feed::Rotation(Rc::clone(rotation)),
                checks: Some(checks),
            })),
            Self::Recorded(part, checks) => {
                Source::Script(Box::new(Checked { feed: Feed::Recorded(Rc::clone(part)), checks: *checks }))
            }
            Self::Scenario(scenario, share) => {
                Source::Script(Box::new(User::new(scenario, Rc::clone(share))))
            }
        }
    }
}

/// Preformatted requests whose replies are checked where there are checks.
#[derive(Debug)]
struct Checked {
    feed: Feed,
    checks: Option<&'static CheckList>,
}

#[derive(Debug)]
enum Feed {
    Rotation(Rc<Rotation>),
    Recorded(Rc<RecordedPart>),
}

impl Script for Checked {
    fn next(&mut self) -> Request {
        match &self.feed {
            Feed::Rotation(rotation) => rotation.next(),
            Feed::Recorded(part) => part.next(),
        }
    }

    fn keep(&self) -> Keep {
        self.checks.map_or_else(Keep::default, CheckList::keep)
    }

    fn take(&mut self, outcome: Outcome<'_>) -> Result<(), Failure> {
        let (Outcome::Reply(reply, kept), Some(checks)) = (outcome, self.checks) else { return Ok(()) };
        let missed = checks.judge(&ReplyView::new(reply.status, reply.body_bytes, kept));
        if missed.is_empty() { Ok(()) } else { Err(Failure::Unexpected(missed)) }
    }
}
