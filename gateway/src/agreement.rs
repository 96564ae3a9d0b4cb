//! How the shards come to run on one driver: each makes its ring on its own thread, the main thread hears of all
//! of them and decides, and only then do they go on. Once, at the start.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};

use turnpike_rt::{Driver, DriverChoice, Reactor, RingRefusal, decide};

/// A shard's part; dropped early, it says that the shard can't start.
#[derive(Debug)]
pub(crate) struct Agreement {
    choice: DriverChoice,
    offers: Option<Sender<Offer>>,
    decision: Receiver<Driver>,
}

/// A ring that was made, or why not; `None` from a shard that ended before.
type Offer = Option<Result<(), RingRefusal>>;

/// The main thread's part.
#[derive(Debug)]
pub(crate) struct Arbiter {
    choice: DriverChoice,
    offers: Receiver<Offer>,
    decisions: Vec<Sender<Driver>>,
}

/// One part for the main thread, and one for each shard.
pub(crate) fn parts(choice: DriverChoice, shard_count: usize) -> (Arbiter, Vec<Agreement>) {
    let (offering, offers) = mpsc::channel();
    let (decisions, agreements) = (0..shard_count)
        .map(|_| {
            let (decide, decision) = mpsc::channel();
            (decide, Agreement { choice, offers: Some(offering.clone()), decision })
        })
        .unzip();
    (Arbiter { choice, offers, decisions }, agreements)
}

impl Arbiter {
    /// Waits for all shards. The text says why it isn't io_uring, if that was wanted.
    ///
    /// # Errors
    /// io_uring is demanded and refused.
    pub(crate) fn decide(self) -> Result<(Driver, Option<String>), String> {
        let offers = self.offers.iter().take(self.decisions.len());
        // A shard that has ended gives its own reason, elsewhere.
        let rings: Vec<_> = offers.flatten().collect();
        let (driver, refusal) = decide(self.choice, &rings)?;
        for decision in self.decisions {
            // Fails only for a shard that has ended.
            decision.send(driver).ok();
        }
        Ok((driver, refusal))
    }
}

impl Agreement {
    /// To be called on the shard's thread, pinned. `None`: the start was given up.
    ///
    /// # Errors
    /// There is no descriptor left for epoll's.
    pub(crate) fn reach(mut self) -> io::Result<Option<Reactor>> {
        let ring = match self.choice {
            DriverChoice::Epoll => None,
            DriverChoice::Auto | DriverChoice::IoUring => Some(Reactor::io_uring()),
        };
        let offer = ring.as_ref().map_or(Ok(()), |ring| ring.as_ref().map(drop).map_err(Clone::clone));
        self.offer(Some(offer));
        match (self.decision.recv(), ring) {
            (Err(_), _) => Ok(None),
            (Ok(Driver::IoUring), Some(Ok(ring))) => Ok(Some(ring)),
            // A ring that this shard has, and not all, is given back.
            (Ok(_), _) => Reactor::epoll().map(Some),
        }
    }

    fn offer(&mut self, offer: Offer) {
        if let Some(offers) = self.offers.take() {
            // Nobody listens any more once the start was given up.
            offers.send(offer).ok();
        }
    }
}

impl Drop for Agreement {
    fn drop(&mut self) {
        self.offer(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_cannot_start_keeps_nobody_waiting() {
        let (arbiter, mut agreements) = parts(DriverChoice::Epoll, 2);
        drop(agreements.pop());
        let other = agreements.pop().unwrap();
        let shard = std::thread::spawn(move || other.reach().unwrap().map(|reactor| reactor.driver()));
        assert_eq!(arbiter.decide(), Ok((Driver::Epoll, None)));
        assert_eq!(shard.join().unwrap(), Some(Driver::Epoll));
    }

    #[test]
    fn a_start_that_is_given_up_ends_the_shards() {
        let (arbiter, mut agreements) = parts(DriverChoice::Epoll, 1);
        let shard = agreements.pop().unwrap();
        drop(arbiter);
        assert!(shard.reach().unwrap().is_none());
    }
}
