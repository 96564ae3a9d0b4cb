//! Asks each shard for its figures and waits for them, but never longer than a deadline.
//!
//! A shard has at most one question open. An answer that comes too late is kept for the next
//! collection, so that what a slow shard counted is never lost and never counted twice.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout_at};

use super::totals::Totals;
use crate::stats::ShardReport;

/// Puts the question into a shard's mailbox, or drops it when that is full or closed.
pub(crate) type Ask = Box<dyn Fn(Reply) + Send>;

/// Collects from all shards. One collection at a time.
pub(crate) struct Collector {
    totals: Arc<Mutex<Totals>>,
    shards: Vec<AskedShard>,
    answers: mpsc::Receiver<Answer>,
    answer_sender: mpsc::Sender<Answer>,
    timeout: Duration,
}

struct AskedShard {
    ask: Ask,
    /// A question is on its way, or in work.
    outstanding: bool,
}

/// A shard's index, and its report unless it dropped the question.
type Answer = (usize, Option<ShardReport>);

/// Where a shard sends its report; dropped unsent, it says that the shard won't answer.
#[derive(Debug)]
pub(crate) struct Reply {
    shard_index: usize,
    sender: Option<mpsc::Sender<Answer>>,
}

impl Reply {
    /// Doesn't block, from whatever thread.
    pub(crate) fn send(mut self, report: ShardReport) {
        self.answer(Some(report));
    }

    fn answer(&mut self, report: Option<ShardReport>) {
        let Some(sender) = self.sender.take() else { return };
        // There is room for an answer of each shard, and each has one question open at most: this fails only
        // when the collector is gone, and the figures with it.
        sender.try_send((self.shard_index, report)).ok();
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(None);
    }
}

impl Collector {
    /// `asks` holds one question per shard, by index; `totals` was made for as many shards.
    pub(crate) fn new(totals: Arc<Mutex<Totals>>, asks: Vec<Ask>, timeout: Duration) -> Self {
        let (answer_sender, answers) = mpsc::channel(asks.len().max(1));
        let shards = asks.into_iter().map(|ask| AskedShard { ask, outstanding: false }).collect();
        Self { totals, shards, answers, answer_sender, timeout }
    }

    /// Brings the totals up to date; shards that don't answer within the timeout are marked as down.
    pub(crate) async fn collect(&mut self) {
        let deadline = Instant::now() + self.timeout;
        let mut silent = vec![false; self.shards.len()];
        self.ask_all();
        while self.shards.iter().any(|shard| shard.outstanding) {
            let Ok(Some((index, report))) = timeout_at(deadline, self.answers.recv()).await else { break };
            self.shards[index].outstanding = false;
            match report {
                Some(report) => self.totals.lock().await.merge(index, report),
                None => silent[index] = true,
            }
        }
        let mut totals = self.totals.lock().await;
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.outstanding || silent[index] {
                totals.mark_down(index);
            }
        }
        totals.sweep();
    }

    fn ask_all(&mut self) {
        for (shard_index, shard) in self.shards.iter_mut().enumerate() {
            if !shard.outstanding {
                shard.outstanding = true;
                (shard.ask)(Reply { shard_index, sender: Some(self.answer_sender.clone()) });
            }
        }
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::stats::ShardStats;

    fn report_of(connections: u64) -> ShardReport {
        let mut stats = ShardStats::alone();
        stats.counters.connections_accepted_total = connections;
        stats.report()
    }

    fn answering() -> Ask {
        Box::new(|reply| reply.send(report_of(1)))
    }

    fn collector(asks: Vec<Ask>) -> (Collector, Arc<Mutex<Totals>>) {
        let totals = Arc::new(Mutex::new(Totals::alone(asks.len())));
        (Collector::new(totals.clone(), asks, Duration::from_secs(1)), totals)
    }

    async fn seen(totals: &Mutex<Totals>) -> Vec<(bool, u64)> {
        let totals = totals.lock().await;
        totals.shards().iter().map(|shard| (shard.up, shard.counters.connections_accepted_total)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn all_answers_are_merged_without_waiting() {
        let (mut collector, totals) = collector(vec![answering(), answering()]);
        let start = Instant::now();
        collector.collect().await;
        collector.collect().await;
        assert_eq!(seen(&totals).await, [(true, 2), (true, 2)]);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_shard_is_waited_for_once_asked_once_and_its_late_answer_counts() {
        let (held, mut holding) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let hold: Ask = Box::new(move |reply| {
            counter.fetch_add(1, Ordering::Relaxed);
            held.send(reply).unwrap();
        });
        let (mut collector, totals) = collector(vec![answering(), hold]);
        let start = Instant::now();
        collector.collect().await;
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!(seen(&totals).await, [(true, 1), (false, 0)]);

        collector.collect().await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);

        let late: Reply = holding.recv().await.unwrap();
        late.send(report_of(5));
        collector.collect().await;
        assert_eq!(seen(&totals).await, [(true, 3), (true, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_that_drops_the_question_is_down_at_once_and_asked_again() {
        let (mut collector, totals) = collector(vec![Box::new(drop), answering()]);
        let start = Instant::now();
        collector.collect().await;
        collector.collect().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(seen(&totals).await, [(false, 0), (true, 2)]);
    }
}
