//! A limiter's buckets on their way to another, which is the authority for them from then on: that of the process which
//! takes over from this one. Without I/O.
//!
//! The predecessor's holders stay holders, of the successor now, numbered after its own. A bucket leaves at one moment: all
//! that is known of it goes, nothing of it is granted here any more, and what holders report of it follows on the same
//! stream, in order. So the successor knows of each bucket what the predecessor would, only later, as if the authority were
//! farther away; `bucket.rs` needs nothing else, and
//!
//! `admitted by both <= burst + rate * window`
//!
//! Both must read the same clock, or the predecessor's be ahead: what was spent then seems to have been later, and comes back
//! later.
//!
//! Nobody waits for all buckets: they go one after the other while both serve, and one that the successor is asked for goes
//! first. Those that are as new needn't go. Where the predecessor ends early, what wasn't handed over is full; where the
//! successor does, the predecessor grants nothing more.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::{Answer, Holder, Limit, LimitId, Limiter, LimiterCounts, Loan, Report};

/// Buckets that are looked at for one that isn't as new.
const LOOKS_MAX: usize = 1_024;
/// When a holder may ask again whom nobody can answer.
const AGAIN_US: u64 = 10_000;

/// All that is known of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    pub limit: Limit,
    /// Units of 10^-12 of a token, as of `spent_as_of_us`.
    pub spent: u128,
    pub spent_as_of_us: u64,
    /// Tokens that are with holders, each of whom is there once.
    pub held: Vec<(Holder, u32)>,
}

/// What a predecessor tells its successor, whose order matters. Holders are numbered as the predecessor does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSuccessor {
    Bucket(Handed),
    /// There is no bucket of this limit, or none any more.
    Nothing(LimitId),
    Report(Report),
    Ended(Holder),
    /// No bucket is left.
    Over,
}

/// What a successor tells its predecessor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToPredecessor {
    /// Somebody waits for this one.
    Want(LimitId),
    Answer(Answer),
}

/// The predecessor's limiter.
#[derive(Debug)]
pub struct Departing {
    limiter: Limiter,
    /// As [`Arriving`]'s: it may have a predecessor itself.
    own: u16,
    out: VecDeque<ToSuccessor>,
    is_over: bool,
    /// The successor is gone.
    is_lost: bool,
}

impl Departing {
    #[must_use]
    pub fn new(limiter: Limiter, own: u16) -> Self {
        Self { limiter, own, out: VecDeque::new(), is_over: false, is_lost: false }
    }

    /// What a holder says, which the successor is to hear; the answer where there is none any more.
    pub fn handle(&mut self, report: &Report, now_us: u64) -> Option<Answer> {
        if self.is_lost {
            return report.ask.map(|_| report.in_vain(now_us + AGAIN_US));
        }
        self.hand_over(report.limit.id, now_us);
        // Of a configuration that the successor doesn't have.
        self.out.push_back(ToSuccessor::Report(Report { version: 0, loan: Loan::default(), ..*report }));
        None
    }

    /// The successor wants a bucket before the others.
    pub fn handle_want(&mut self, id: LimitId, now_us: u64) {
        if !self.hand_over(id, now_us) {
            self.out.push_back(ToSuccessor::Nothing(id));
        }
    }

    pub fn end(&mut self, holder: Holder) {
        if !self.is_lost {
            self.out.push_back(ToSuccessor::Ended(holder));
        }
    }

    /// What a predecessor of its own says, all of whose buckets have come; the answer as [`Self::handle`]'s.
    pub fn handle_predecessor(&mut self, said: &ToSuccessor, now_us: u64) -> Option<Answer> {
        match said {
            ToSuccessor::Report(report) => {
                let holder = renumbered(report.holder, self.own);
                return self.handle(&Report { holder, ..*report }, now_us);
            }
            ToSuccessor::Ended(holder) => self.end(renumbered(*holder, self.own)),
            ToSuccessor::Bucket(_) | ToSuccessor::Nothing(_) | ToSuccessor::Over => {}
        }
        None
    }

    /// Its own predecessor is gone.
    pub fn lose_predecessor(&mut self) {
        (self.own..self.limiter.holders() as u16).for_each(|holder| self.end(Holder(holder)));
    }

    /// The successor is gone: what it knew is lost, and nobody grants anything any more.
    pub fn lose(&mut self) {
        self.is_lost = true;
        self.out.clear();
    }

    /// What the successor is told next, if anything; it is worth to ask again until it was told [`ToSuccessor::Over`].
    pub fn poll(&mut self, now_us: u64) -> Option<ToSuccessor> {
        if let Some(said) = self.out.pop_front() {
            return Some(said);
        }
        if self.is_over || self.is_lost {
            return None;
        }
        for _ in 0..LOOKS_MAX {
            let Some(id) = self.limiter.last() else {
                self.is_over = true;
                return Some(ToSuccessor::Over);
            };
            if let Some(handed) = self.limiter.take_out(id, now_us) {
                return Some(ToSuccessor::Bucket(handed));
            }
        }
        None
    }

    /// What waits to be told. It grows by what is handled.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.out.len()
    }

    /// Limits that haven't gone.
    #[must_use]
    pub fn len(&self) -> usize {
        self.limiter.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limiter.is_empty()
    }

    #[must_use]
    pub fn counts(&self) -> LimiterCounts {
        self.limiter.counts()
    }

    fn hand_over(&mut self, id: LimitId, now_us: u64) -> bool {
        let handed = self.limiter.take_out(id, now_us);
        let goes = handed.is_some();
        self.out.extend(handed.map(ToSuccessor::Bucket));
        goes
    }
}

impl ToPredecessor {
    /// An answer of one who has so many holders of its own to one of the predecessor's.
    #[must_use]
    pub fn answer(answer: Answer, own: u16) -> Self {
        // Newer than any configuration that the predecessor has.
        Self::Answer(Answer { holder: Holder(answer.holder.0 - own), version: u64::MAX, ..answer })
    }
}

fn renumbered(holder: Holder, own: u16) -> Holder {
    Holder(own.saturating_add(holder.0))
}

/// The successor's limiter, for as long as it has a predecessor.
#[derive(Debug)]
pub struct Arriving {
    limiter: Limiter,
    /// Holders of its own; the predecessor's come after them.
    own: u16,
    limits_max: usize,
    /// Those who ask for what hasn't come yet.
    waiting: FxHashMap<LimitId, Vec<Report>>,
    wants: VecDeque<LimitId>,
    answers: VecDeque<Answer>,
    is_over: bool,
}

impl Arriving {
    /// `limiter` is empty, and has the predecessor's holders besides its `own`.
    #[must_use]
    pub fn new(limiter: Limiter, own: u16, limits_max: usize) -> Self {
        Self {
            limiter,
            own,
            limits_max,
            waiting: FxHashMap::default(),
            wants: VecDeque::new(),
            answers: VecDeque::new(),
            is_over: false,
        }
    }

    /// What one of its own holders says; the answer may come later.
    pub fn handle(&mut self, report: &Report, now_us: u64) -> Option<Answer> {
        let id = report.limit.id;
        if self.is_over || self.limiter.knows(id) {
            return self.limiter.handle(report, now_us);
        }
        report.ask?;
        if !self.waiting.contains_key(&id) {
            if self.waiting.len() >= self.limits_max {
                return Some(report.in_vain(now_us + AGAIN_US));
            }
            self.wants.push_back(id);
        }
        self.waiting.entry(id).or_default().push(*report);
        None
    }

    /// What the predecessor says; of holders that it never spoke of, nothing is heard.
    pub fn handle_predecessor(&mut self, said: ToSuccessor, now_us: u64) {
        match said {
            ToSuccessor::Bucket(mut handed) => {
                handed.held.iter_mut().for_each(|(holder, _)| *holder = renumbered(*holder, self.own));
                let id = handed.limit.id;
                self.limiter.put_in(&handed);
                self.release(id, now_us);
            }
            ToSuccessor::Nothing(id) => self.release(id, now_us),
            ToSuccessor::Report(report) => {
                let Some(holder) = self.known(report.holder) else { return };
                self.answers.extend(self.limiter.handle(&Report { holder, ..report }, now_us));
            }
            ToSuccessor::Ended(holder) => {
                if let Some(holder) = self.known(holder) {
                    self.limiter.end(holder, now_us);
                }
            }
            ToSuccessor::Over => self.release_all(now_us),
        }
    }

    /// One of its own holders is gone.
    pub fn end(&mut self, holder: Holder, now_us: u64) {
        self.limiter.end(holder, now_us);
        self.waiting.values_mut().for_each(|reports| reports.retain(|report| report.holder != holder));
    }

    /// The predecessor is gone: what its holders had counts as spent, what wasn't handed over is full.
    pub fn lose(&mut self, now_us: u64) {
        self.release_all(now_us);
        self.limiter.end_from(Holder(self.own), now_us);
    }

    /// What the predecessor is asked for next.
    pub fn poll_want(&mut self) -> Option<LimitId> {
        self.wants.pop_front()
    }

    /// What a holder is told next, an own one or the predecessor's.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Every bucket has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub fn sweep(&mut self, limits: usize, now_us: u64) {
        self.limiter.sweep(limits, now_us);
    }

    /// Once nothing more comes, and every answer was polled.
    #[must_use]
    pub fn into_limiter(self) -> Limiter {
        self.limiter
    }

    /// One of the predecessor's holders, as this limiter numbers it.
    fn known(&self, holder: Holder) -> Option<Holder> {
        Some(renumbered(holder, self.own)).filter(|holder| usize::from(holder.0) < self.limiter.holders())
    }

    fn release(&mut self, id: LimitId, now_us: u64) {
        for report in self.waiting.remove(&id).unwrap_or_default() {
            self.answers.extend(self.limiter.handle(&report, now_us));
        }
    }

    fn release_all(&mut self, now_us: u64) {
        self.is_over = true;
        self.wants.clear();
        for report in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.answers.extend(self.limiter.handle(&report, now_us));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ask, LimiterRules, Rate};

    #[test]
    fn holders_that_were_never_spoken_of_change_nothing() {
        let limit = Limit { id: LimitId(1), rate: Rate::new(1.0, 10) };
        let limiter = Limiter::new(LimiterRules { holders: 3, limits_max: 10 });
        let mut arriving = Arriving::new(limiter, 2, 10);
        let report = |holder, spent, needed| Report {
            holder: Holder(holder),
            limit,
            version: 0,
            spent,
            spent_us: 0,
            returned: 0,
            loan: Loan::default(),
            ask: Some(Ask { needed, liked: 0 }),
        };
        let held = [0, 1, 65_535].map(|holder| (Holder(holder), 2)).to_vec();
        let handed = Handed { limit, spent: 0, spent_as_of_us: 0, held };
        arriving.handle_predecessor(ToSuccessor::Bucket(handed), 0);
        for holder in [1, 65_533, 65_535] {
            arriving.handle_predecessor(ToSuccessor::Report(report(holder, 2, 1)), 0);
            arriving.handle_predecessor(ToSuccessor::Ended(Holder(holder)), 0);
            assert_eq!(arriving.poll_answer(), None);
        }
        assert_eq!(arriving.limiter().held(LimitId(1), Holder(2)), 2);
        arriving.handle_predecessor(ToSuccessor::Report(report(0, 2, 9)), 0);
        // What the others had counts as spent.
        assert_eq!(
            arriving.poll_answer().map(|answer| (answer.holder, answer.granted)),
            Some((Holder(2), 4))
        );
    }
}
