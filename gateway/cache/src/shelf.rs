//! What one stage has in the store: how much, in which order it came, and which tags were purged.
//!
//! A stage has a bound of its own. What goes when it is reached is chosen by SIEVE (Zhang et al., NSDI 2024): a hand
//! moves from the oldest to the newest, passes what was used since it last came by, and takes the first that wasn't,
//! so that what is only fetched once doesn't drive out what is used again.

use rustc_hash::FxHashMap;

use crate::store::Places;

/// Steps of the hand for one eviction; then it takes what it stands at. Bounds the time that a store may take.
const HAND_STEPS_MAX: usize = 64;

/// What a stage may have, and what of it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub bytes_max: u64,
    /// Grows with each flush and purge.
    pub generation: u64,
    /// What was asked for under an older generation is gone.
    pub flushed_before: u64,
}

/// One stage's part of the store.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// Never given twice: what was put in under another number is no longer found.
    pub(crate) number: u64,
    pub(crate) terms: Terms,
    pub(crate) bytes: u64,
    pub(crate) count: usize,
    newest: Option<u32>,
    oldest: Option<u32>,
    hand: Option<u32>,
    /// Tag's hash to the generation that outlived its purge.
    purges: FxHashMap<u64, u64>,
}

/// A place's neighbours on its shelf.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Links {
    newer: Option<u32>,
    older: Option<u32>,
    /// Used since the hand last came by.
    pub(crate) used: bool,
}

impl Shelf {
    pub(crate) fn new(number: u64, terms: Terms, purges: FxHashMap<u64, u64>) -> Self {
        Self { number, terms, bytes: 0, count: 0, newest: None, oldest: None, hand: None, purges }
    }

    /// Whether something that is here may still be found under newer terms.
    pub(crate) fn goes_on(&self, terms: &Terms) -> bool {
        self.terms.generation <= terms.generation && terms.flushed_before <= self.terms.generation
    }

    /// Takes over newer terms. What is above a smaller bound goes when room is made.
    pub(crate) fn agree(&mut self, terms: &Terms, purges: FxHashMap<u64, u64>) {
        self.terms = *terms;
        self.purges = purges;
    }

    /// Puts a place in front.
    pub(crate) fn link(&mut self, at: u32, weight: u64, places: &mut Places) {
        places.links(at).older = self.newest;
        match self.newest {
            Some(newest) => places.links(newest).newer = Some(at),
            None => self.oldest = Some(at),
        }
        self.newest = Some(at);
        self.bytes += weight;
        self.count += 1;
    }

    /// Takes a place out.
    pub(crate) fn unlink(&mut self, at: u32, weight: u64, places: &mut Places) {
        let Links { newer, older, .. } = std::mem::take(places.links(at));
        match newer {
            Some(newer) => places.links(newer).older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => places.links(older).newer = newer,
            None => self.oldest = newer,
        }
        if self.hand == Some(at) {
            self.hand = newer;
        }
        self.bytes -= weight;
        self.count -= 1;
    }

    /// What goes next if the stage needs room.
    pub(crate) fn victim(&mut self, places: &mut Places) -> Option<u32> {
        let mut at = self.hand.or(self.oldest)?;
        for _ in 0..HAND_STEPS_MAX {
            if !std::mem::take(&mut places.links(at).used) {
                break;
            }
            at = places.links(at).newer.or(self.oldest)?;
        }
        self.hand = Some(at);
        Some(at)
    }

    /// Whether something that was asked for under a generation has a tag that was purged since.
    pub(crate) fn has_purged(&self, tags: &[u64], generation: u64) -> bool {
        !self.purges.is_empty()
            && tags.iter().any(|tag| self.purges.get(tag).is_some_and(|before| generation < *before))
    }
}
