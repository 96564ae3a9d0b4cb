//! Messages between threads: bounded lock-free queues with a bell.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam::queue::ArrayQueue;
use crossbeam::utils::CachePadded;
use turnpike_rt::Bell;

use crate::housekeeper::collector::Reply;

/// Messages that a shard may be behind by; a sender that finds the queue full keeps what it has.
const SHARD_QUEUE_MESSAGES_MAX: usize = 1024;

/// What a shard is told.
#[derive(Debug)]
pub(crate) enum ToShard {
    /// Serve a connection that another shard has accepted.
    Serve(OwnedFd, SocketAddr),
    /// Say what was counted since the last time.
    Collect(Reply),
    /// Accept nothing more, finish what is in flight, then end.
    Drain,
    /// Close what is still open, and end.
    Stop,
}

/// The sending side of a shard's queue.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    queue: Arc<ArrayQueue<ToShard>>,
    bell: Bell,
}

impl Mailbox {
    pub(crate) fn new(bell: Bell) -> Self {
        Self { queue: Arc::new(ArrayQueue::new(SHARD_QUEUE_MESSAGES_MAX)), bell }
    }

    /// Gives the message back if the shard is too far behind.
    pub(crate) fn send(&self, message: ToShard) -> Result<(), ToShard> {
        self.queue.push(message)?;
        self.bell.ring();
        Ok(())
    }

    /// For the shard itself.
    pub(crate) fn receive(&self) -> Option<ToShard> {
        self.queue.pop()
    }
}

/// Open connections of each shard, for all shards to see. Written when a connection opens or closes, read
/// when one is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Loads(Arc<[CachePadded<AtomicU32>]>);

impl Loads {
    pub(crate) fn new(shard_count: usize) -> Self {
        Self((0..shard_count).map(|_| CachePadded::new(AtomicU32::new(0))).collect())
    }

    pub(crate) fn opened(&self, shard: usize) {
        self.0[shard].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, shard: usize) {
        self.0[shard].fetch_sub(1, Ordering::Relaxed);
    }

    /// The shard that should serve a connection that `shard` has accepted: itself, unless it is well above
    /// the mean.
    pub(crate) fn place(&self, shard: usize) -> usize {
        let open = |index: usize| u64::from(self.0[index].load(Ordering::Relaxed));
        let count = self.0.len() as u64;
        let sum: u64 = (0..self.0.len()).map(open).sum();
        // One more than the mean and a sixteenth: busiest over mean stays below 1.15 from 16 connections a shard.
        if (open(shard) + 1) * count * 16 <= sum * 17 + count * 16 {
            return shard;
        }
        (0..self.0.len()).min_by_key(|index| open(*index)).unwrap_or(shard)
    }
}
