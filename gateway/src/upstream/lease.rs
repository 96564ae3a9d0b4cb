//! A request's claim on a target: counts it as under way, and tells the group how it went.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use turnpike_balance::{BudgetRules, Target};

use super::group::{Group, Seated};
use crate::shard::Shard;

/// Held for as long as a request is under way to a target.
#[derive(Debug)]
pub(crate) struct Lease {
    shard: Rc<Shard>,
    group: Rc<Group>,
    target: Rc<Target<Seated>>,
    retry: RefCell<Option<Retry>>,
    /// What goes wrong from now on isn't the target's fault.
    excused: Cell<bool>,
}

impl Lease {
    /// Why requests fail, as the log says it.
    pub(crate) const CLOSED: &str = "it closed or reset the connection before its answer was whole";
    pub(crate) const TIMED_OUT: &str = "it didn't answer in time";
    pub(super) const UNREACHABLE: &str = "it can't be connected to";
    const SERVER_ERROR: &str = "it answered with a server error";

    pub(super) fn begin(shard: &Rc<Shard>, group: &Rc<Group>, target: Rc<Target<Seated>>) -> Rc<Self> {
        target.begin();
        target.payload.count(|counts| counts.requests += 1);
        group.budget.begin_request();
        Rc::new(Self {
            shard: Rc::clone(shard),
            group: Rc::clone(group),
            target,
            retry: RefCell::default(),
            excused: Cell::new(false),
        })
    }

    pub(crate) fn target(&self) -> &Target<Seated> {
        &self.target
    }

    /// The request is a retry for as long as it lasts.
    pub(crate) fn keep(&self, retry: Retry) {
        self.retry.replace(Some(retry));
    }

    /// The head of the final answer has come.
    pub(crate) fn answered(&self, status: u16) {
        if status >= 500 {
            self.failed(Self::SERVER_ERROR);
        } else {
            self.target.note_success();
        }
    }

    /// The target didn't answer, or not to the end.
    pub(crate) fn failed(&self, why: &'static str) {
        if !self.excused.get() {
            self.target.payload.count(|counts| counts.failures += 1);
            self.group.note_failure(&self.shard, &self.target, why);
        }
    }

    /// The client has ended the exchange.
    pub(crate) fn excuse(&self) {
        self.excused.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.target.end();
        self.group.budget.end_request();
    }
}

/// A part of a group's retry budget, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Retry {
    group: Rc<Group>,
}

impl Retry {
    /// `None`: the budget is used up.
    pub(crate) fn begin(group: &Rc<Group>, rules: BudgetRules) -> Option<Self> {
        if group.budget.begin_retry(rules) {
            group.count(|counts| counts.retries += 1);
            return Some(Self { group: Rc::clone(group) });
        }
        group.count(|counts| counts.budget_exhausted += 1);
        None
    }
}

impl Drop for Retry {
    fn drop(&mut self) {
        self.group.budget.end_retry();
    }
}
