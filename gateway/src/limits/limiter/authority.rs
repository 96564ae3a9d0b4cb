//! The authority itself: hears what the queue has, has its source decide, and keeps what is to be told until it is. One
//! thread has it at a time; it owns the source and what hasn't been said yet, and nothing here waits.

use crossbeam::queue::ArrayQueue;
use tokio::sync::mpsc::Sender;
use turnpike_limits::{Answer, Departing, Limiter, LimiterCounts, ToPredecessor, ToSuccessor};

use super::outbox::{Answers, Predecessor};
use super::source::Source;
use super::{PASS_MESSAGES_MAX, StoreCounts, ToLimiter};
use crate::limits::succession::FromSuccession;
use crate::mailbox::Mailbox;

/// How often throttles that can be forgotten are looked for: with the source's share a time, a million are looked at in
/// ten seconds.
const SWEEP_EVERY_US: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Authority {
    source: Source,
    answers: Vec<Answers>,
    /// Until it has drained.
    predecessor: Option<Predecessor>,
    /// Shards that are to be told something.
    unsent: Vec<usize>,
    swept_us: u64,
}

impl Authority {
    pub(super) fn new(source: Source, mailboxes: &[Mailbox], predecessor: Option<Predecessor>) -> Self {
        let answers = mailboxes.iter().cloned().map(Answers::new).collect();
        Self { source, answers, predecessor, unsent: Vec::new(), swept_us: 0 }
    }

    pub(super) fn is_arriving(&self) -> bool {
        self.source.is_arriving()
    }

    pub(super) fn is_preceded(&self) -> bool {
        self.predecessor.is_some()
    }

    pub(super) fn counts(&self) -> (usize, LimiterCounts) {
        self.source.counts()
    }

    /// The buckets of this process; others answer when they can.
    pub(super) fn limiter(&mut self) -> Option<&mut Limiter> {
        match &mut self.source {
            Source::Alone(limiter) => Some(limiter),
            Source::Arriving(_) | Source::Departing(..) | Source::Leased(..) => None,
        }
    }

    /// How many messages there were.
    pub(super) fn hear(&mut self, queue: &ArrayQueue<ToLimiter>, counts: &StoreCounts, now_us: u64) -> usize {
        let mut heard = 0;
        while heard < PASS_MESSAGES_MAX
            && !self.source.is_behind()
            && let Some(message) = queue.pop()
        {
            heard += 1;
            match message {
                ToLimiter::Report(report) => {
                    if let Some(answer) = self.source.handle(&report, now_us) {
                        self.answer(answer);
                    }
                }
                ToLimiter::Ended(holder) => {
                    self.source.end(holder, now_us);
                    self.answers[usize::from(holder.0)].end();
                }
                ToLimiter::Store(message) => {
                    self.source.hear_store(&message, now_us);
                    counts.note(&message);
                }
                ToLimiter::Succession(message) => self.hear_succession(message, now_us),
            }
        }
        heard
    }

    fn hear_succession(&mut self, message: FromSuccession, now_us: u64) {
        match (message, &mut self.source) {
            (FromSuccession::Predecessor(said), Source::Arriving(arriving)) => {
                arriving.handle_predecessor(said, now_us);
            }
            (FromSuccession::Predecessor(said), Source::Departing(departing, _)) => {
                if let Some(answer) = departing.handle_predecessor(&said, now_us) {
                    self.answer(answer);
                }
            }
            (FromSuccession::PredecessorGone, _) => self.lose_predecessor(now_us),
            (FromSuccession::Depart(successor), _) => self.depart(successor),
            (FromSuccession::Successor(ToPredecessor::Answer(answer)), Source::Departing(..)) => {
                self.answer(answer);
            }
            (FromSuccession::Successor(ToPredecessor::Want(id)), Source::Departing(departing, _)) => {
                departing.handle_want(id, now_us);
            }
            (FromSuccession::SuccessorGone, Source::Departing(departing, _)) => departing.lose(),
            // Of a process that is gone.
            _ => {}
        }
    }

    /// Without a limiter of its own to hand over, the successor is hung up on.
    fn depart(&mut self, successor: Sender<ToSuccessor>) {
        self.lease_answers();
        let own = self.answers.len() as u16;
        if let Some(limiter) = self.source.take_limiter() {
            self.source = Source::Departing(Box::new(Departing::new(limiter, own)), successor);
        }
    }

    fn lose_predecessor(&mut self, now_us: u64) {
        match &mut self.source {
            Source::Arriving(arriving) => {
                arriving.lose(now_us);
                self.lease_answers();
                if let Some(limiter) = self.source.take_limiter() {
                    self.source = Source::Alone(limiter);
                }
            }
            Source::Departing(departing, _) => departing.lose_predecessor(),
            Source::Alone(_) | Source::Leased(..) => {}
        }
        self.predecessor = None;
    }

    /// Tells the store and other processes what there is to tell, and the shards what was answered.
    pub(super) fn lease(&mut self, now_us: u64) {
        self.source.tell_store(now_us);
        self.lease_answers();
        self.source.tell_successor(now_us);
        if let (Some(predecessor), Source::Arriving(arriving)) = (&mut self.predecessor, &mut self.source) {
            while let Some(id) = arriving.poll_want() {
                predecessor.add(ToPredecessor::Want(id));
            }
        }
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.deliver();
        }
    }

    fn lease_answers(&mut self) {
        while let Some(answer) = self.source.poll_answer() {
            self.answer(answer);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let shard = usize::from(answer.holder.0);
        let Some(answers) = self.answers.get_mut(shard) else {
            let own = self.answers.len() as u16;
            let said = ToPredecessor::answer(answer, own);
            return self.predecessor.iter_mut().for_each(|predecessor| predecessor.add(said.clone()));
        };
        if answers.is_empty() {
            self.unsent.push(shard);
        }
        answers.add(answer);
    }

    /// What a full queue has no place for is delivered with the next pass.
    pub(super) fn deliver(&mut self, own: usize) {
        self.unsent.retain(|shard| !self.answers[*shard].deliver(*shard != own));
    }

    pub(super) fn sweep(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.swept_us) >= SWEEP_EVERY_US {
            self.swept_us = now_us;
            self.source.sweep(now_us);
        }
    }
}
