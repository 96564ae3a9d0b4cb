//! Answered requests on their way from the shards to the housekeeper, which counts them.
//!
//! What a stage is counted in is a dozen cache lines: of many stages, whose requests take turns, none is in a core's cache
//! when a request ends. So a shard only notes its requests, in a batch for each of [`LOTS`] sets of stages, and what counts a
//! full batch fetches a stage's lines once for all that the batch has of it. Batches wait in a queue of
//! [`QUEUED_BATCHES_MAX`] for all shards; one that finds it full is counted by its shard. So none is lost, whoever is behind.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;
use tokio::sync::mpsc;

use super::{Outcome, StageSlot};

/// 16 KiB. Arbitrary: of 2,000 stages each has 33 in a batch.
const BATCH_SAMPLES: usize = 1_024;
/// A shard's batches are 1 MiB then.
pub(super) const LOTS: usize = 64;
/// 4 MiB. A housekeeper that counts nothing for a second leaves as much behind with five busy shards. Arbitrary.
const QUEUED_BATCHES_MAX: usize = 256;
/// As a latency: there is none.
const NO_LATENCY: u32 = u32::MAX;

/// One answered request, a quarter of a cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) slot: StageSlot,
    /// Less than [`NO_LATENCY`].
    latency_us: u32,
    integration_latency_us: u32,
    status: u16,
    cached: Option<bool>,
}

const _: () = assert!(size_of::<Sample>() == 16);

/// Of one lot's stages, in the order in which their requests ended.
pub(crate) type Batch = Vec<Sample>;

/// Both ends of it: full batches to the housekeeper, empty ones back.
#[derive(Debug, Clone)]
pub(crate) struct SampleQueue {
    batches: Arc<ArrayQueue<Batch>>,
    spares: Arc<ArrayQueue<Batch>>,
    call: mpsc::Sender<()>,
}

/// Wakes who counts, as soon as there are batches in the queue.
#[derive(Debug)]
pub(crate) struct SampleCalls(mpsc::Receiver<()>);

impl Sample {
    /// `None` of a request that took more than an hour, which is longer than a sample can tell.
    pub(super) fn of(slot: StageSlot, outcome: &Outcome) -> Option<Self> {
        let short =
            |latency_us: u64| u32::try_from(latency_us).ok().filter(|short_us| *short_us < NO_LATENCY);
        Some(Self {
            slot,
            latency_us: short(outcome.latency_us)?,
            integration_latency_us: match outcome.integration_latency_us {
                None => NO_LATENCY,
                Some(latency_us) => short(latency_us)?,
            },
            status: outcome.status,
            cached: outcome.cached,
        })
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let integration_latency_us = Some(self.integration_latency_us).filter(|us| *us != NO_LATENCY);
        Outcome {
            status: self.status,
            latency_us: self.latency_us.into(),
            integration_latency_us: integration_latency_us.map(u64::from),
            cached: self.cached,
        }
    }
}

impl SampleQueue {
    pub(crate) fn new() -> (Self, SampleCalls) {
        let (call, calls) = mpsc::channel(1);
        let queue = || Arc::new(ArrayQueue::new(QUEUED_BATCHES_MAX));
        (Self { batches: queue(), spares: queue(), call }, SampleCalls(calls))
    }

    /// Doesn't block; gives the batch back if the housekeeper is too far behind.
    pub(super) fn offer(&self, batch: Batch) -> Result<(), Batch> {
        self.batches.push(batch)?;
        // Fails if it is called already, or has ended.
        self.call.try_send(()).ok();
        Ok(())
    }

    /// An empty batch with all the room that it is going to need.
    pub(super) fn spare(&self) -> Batch {
        self.spares.pop().unwrap_or_else(|| Vec::with_capacity(BATCH_SAMPLES))
    }

    /// Batches that wait.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// For the housekeeper: what shards have offered, one batch after the other.
    pub(crate) fn take(&self) -> Option<Batch> {
        self.batches.pop()
    }

    /// A batch that has been counted; freed where there are enough.
    pub(crate) fn give(&self, mut batch: Batch) {
        batch.clear();
        self.spares.push(batch).ok();
    }
}

impl SampleCalls {
    /// Waits until batches may be there; false once there can't be any more.
    pub(crate) async fn next(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_what_became_of_its_request() {
        for cached in [None, Some(true), Some(false)] {
            for integration_latency_us in [None, Some(0), Some(u64::from(NO_LATENCY) - 1)] {
                for (status, latency_us) in [(200, 0), (599, u64::from(NO_LATENCY) - 1)] {
                    let outcome = Outcome { status, latency_us, integration_latency_us, cached };
                    let sample = Sample::of(StageSlot(7), &outcome).unwrap();
                    assert_eq!((sample.slot, sample.outcome()), (StageSlot(7), outcome));
                }
            }
        }
    }

    #[test]
    fn a_sample_tells_no_other_latency_than_there_was() {
        let long = u64::from(NO_LATENCY);
        for (latency_us, integration_latency_us) in [(long, None), (0, Some(long)), (u64::MAX, Some(1 << 40))]
        {
            let outcome = Outcome { status: 200, latency_us, integration_latency_us, cached: None };
            assert_eq!(Sample::of(StageSlot(0), &outcome), None);
        }
    }

    #[tokio::test]
    async fn what_is_offered_calls_once_and_comes_back_empty() {
        let (queue, mut calls) = SampleQueue::new();
        let outcome = Outcome { status: 200, latency_us: 1, integration_latency_us: None, cached: None };
        for number in 0..3 {
            let mut batch = queue.spare();
            batch.push(Sample::of(StageSlot(number), &outcome).unwrap());
            queue.offer(batch).unwrap();
        }
        assert!(calls.next().await);
        let slots: Vec<u32> = std::iter::from_fn(|| {
            let batch = queue.take()?;
            let slot = batch[0].slot.0;
            queue.give(batch);
            Some(slot)
        })
        .collect();
        assert_eq!((slots, queue.spares.len()), (vec![0, 1, 2], 3));
        assert_eq!((queue.spare().len(), queue.spare().capacity()), (0, BATCH_SAMPLES));
        drop(queue);
        assert!(!calls.next().await, "one call for all that were there");
    }

    #[test]
    fn no_more_batches_wait_than_may() {
        let (queue, _calls) = SampleQueue::new();
        (0..QUEUED_BATCHES_MAX).for_each(|_| queue.offer(queue.spare()).unwrap());
        assert!(queue.offer(queue.spare()).is_err());
    }
}
