//! Messages between threads: bounded lock-free queues with a bell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use turnpike_limits::Answer;
use turnpike_rt::Bell;

use crate::entrance::Accepted;
use crate::housekeeper::collector::Reply;
use crate::quotas::FromDesk;
use crate::response_cache::Outdated;
use crate::settings::Settings;

/// Messages that a shard may be behind by; a sender that finds the queue full keeps what it has.
const SHARD_QUEUE_MESSAGES_MAX: usize = 1024;
/// The same for answers of the limiter.
const ANSWERS_MAX: usize = 4096;

/// What a shard is told.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// Serve a connection that another shard has accepted.
    Serve(Accepted),
    /// These are the settings from now on.
    Adopt(&'static Settings),
    /// A cached answer isn't right any more.
    Forget(Outdated),
    /// Say what was counted since the last time.
    Collect(Reply),
    /// What the quotas' desk says.
    Quota(FromDesk),
    /// Begin to accept connections.
    Accept,
    /// Another process doesn't accept from the same sockets any more. The kernel wakes one of those who wait for a
    /// connection; if that was the other, which left, it waits in vain: look whether one does.
    Look,
    /// Another process accepts from now on: accept nothing more, answer each connection's next request with a close,
    /// and end when all are closed. Connections that wait for a request may go on waiting.
    HandOver,
    /// Accept nothing more, finish what is in flight, then end.
    Drain,
    /// Close what is still open, and end.
    Stop,
}

/// The sending side of a shard's queue.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    queue: Arc<ArrayQueue<ToShard>>,
    answers: Arc<ArrayQueue<Answer>>,
    bell: Bell,
}

impl Mailbox {
    pub(crate) fn new(bell: Bell) -> Self {
        let queue = Arc::new(ArrayQueue::new(SHARD_QUEUE_MESSAGES_MAX));
        Self { queue, answers: Arc::new(ArrayQueue::new(ANSWERS_MAX)), bell }
    }

    /// Gives the message back if the shard is too far behind.
    pub(crate) fn send(&self, message: ToShard) -> Result<(), ToShard> {
        self.queue.push(message)?;
        self.bell.ring();
        Ok(())
    }

    /// An answer of the limiter, which the shard hears of when the bell is rung; given back as a message is.
    pub(crate) fn answer(&self, answer: Answer) -> Result<(), Answer> {
        self.answers.push(answer)
    }

    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    /// For the shard itself.
    pub(crate) fn receive_answer(&self) -> Option<Answer> {
        self.answers.pop()
    }

    /// For the shard itself.
    pub(crate) fn receive(&self) -> Option<ToShard> {
        self.queue.pop()
    }
}

/// Open connections of each shard, for all shards to see. Written when a connection opens or closes, read
/// when one is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Loads(Arc<[CachePadded<Load>]>);

#[derive(Debug, Default)]
struct Load {
    open: AtomicU32,
    /// Whether the shard may still give connections to others.
    accepting: AtomicBool,
}

impl Loads {
    pub(crate) fn new(shard_count: usize) -> Self {
        Self((0..shard_count).map(|_| CachePadded::default()).collect())
    }

    pub(crate) fn opened(&self, shard: usize) {
        self.0[shard].open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, shard: usize) {
        self.0[shard].open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn set_accepting(&self, shard: usize, accepting: bool) {
        // Release: whoever sees that this shard has stopped sees what it has placed before.
        self.0[shard].accepting.store(accepting, Ordering::Release);
    }

    /// Whether any shard accepts connections.
    pub(crate) fn is_accepting(&self) -> bool {
        self.0.iter().any(|load| load.accepting.load(Ordering::Acquire))
    }

    /// Whether `shard` has no connection and none can be placed on it any more.
    pub(crate) fn is_over(&self, shard: usize) -> bool {
        !self.is_accepting() && self.0[shard].open.load(Ordering::Relaxed) == 0
    }

    /// The shard that should serve a connection that `shard` has accepted: itself, unless it is well above
    /// the mean.
    pub(crate) fn place(&self, shard: usize) -> usize {
        let open = |index: usize| u64::from(self.0[index].open.load(Ordering::Relaxed));
        let count = self.0.len() as u64;
        let sum: u64 = (0..self.0.len()).map(open).sum();
        // One more than the mean and a sixteenth: busiest over mean stays below 1.15 from 16 connections a shard.
        if (open(shard) + 1) * count * 16 <= sum * 17 + count * 16 {
            return shard;
        }
        (0..self.0.len()).min_by_key(|index| open(*index)).unwrap_or(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens 256 connections, accepted by the shards that `accepting` yields; the busiest over the mean.
    fn spread(shard_count: usize, accepting: impl Iterator<Item = usize>) -> f64 {
        let loads = Loads::new(shard_count);
        for shard in accepting.take(256) {
            loads.opened(loads.place(shard));
        }
        let open = loads.0.iter().map(|load| load.open.load(Ordering::Relaxed));
        f64::from(open.max().unwrap()) * shard_count as f64 / 256.0
    }

    #[test]
    fn connections_spread_however_they_arrive() {
        for shard_count in [1, 2, 3, 4, 16] {
            let one = spread(shard_count, std::iter::repeat(0));
            let skewed = spread(shard_count, (0..).map(|n: usize| (n * n) % shard_count));
            let even = spread(shard_count, (0..).map(|n| n % shard_count));
            for (name, ratio) in [("one", one), ("skewed", skewed), ("even", even)] {
                assert!(ratio < 1.15, "{shard_count} shards, {name}: {ratio}");
            }
        }
    }

    #[test]
    fn a_shard_keeps_what_it_accepts_while_loads_are_even() {
        let loads = Loads::new(4);
        for shard in [0, 1, 2, 3, 3, 2, 1, 0] {
            assert_eq!(loads.place(shard), shard);
            loads.opened(shard);
        }
        loads.closed(2);
        loads.opened(0);
        loads.opened(0);
        assert_eq!(loads.place(0), 2);
    }

    #[test]
    fn a_shard_is_over_when_nobody_can_give_it_a_connection() {
        let loads = Loads::new(2);
        loads.set_accepting(1, true);
        assert!(!loads.is_over(0));
        loads.opened(0);
        loads.set_accepting(1, false);
        assert!(!loads.is_over(0) && loads.is_over(1));
        loads.closed(0);
        assert!(loads.is_over(0));
    }

    #[test]
    fn a_full_mailbox_gives_the_message_back() {
        let (bell, _listener) = Bell::pair().unwrap();
        let mailbox = Mailbox::new(bell);
        for _ in 0..SHARD_QUEUE_MESSAGES_MAX {
            assert!(mailbox.send(ToShard::Drain).is_ok());
        }
        assert!(matches!(mailbox.send(ToShard::Stop), Err(ToShard::Stop)));
        assert!(matches!(mailbox.receive(), Some(ToShard::Drain)));
        assert!(mailbox.send(ToShard::Stop).is_ok());
    }
}
