//! What one stage has in the store: how much, in which order it came, and which tags were purged.
//!
//! A stage has a bound of its own. What goes when it is reached is chosen by SIEVE (Zhang et al., NSDI 2024): a hand
//! moves from the oldest to the newest, passes what was used since it last came by, and takes the first that wasn't,
//! so that what is only fetched once doesn't drive out what is used again.

use rustc_hash::FxHashMap;

use crate::store::Places;

/// Tags that were purged and may still be on something stored. Beyond, the whole stage is flushed.
const PURGED_TAGS_MAX: usize = 1_024;
/// Steps of the hand for one eviction; then it takes what it stands at. Bounds the time that a store may take.
const HAND_STEPS_MAX: usize = 64;

/// One stage's part of the store.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// Never given twice: what was put in under another number is no longer found.
    pub(crate) number: u64,
    /// The stage's flush generation.
    pub(crate) generation: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    pub(crate) count: usize,
    newest: Option<u32>,
    oldest: Option<u32>,
    hand: Option<u32>,
    /// Tag's hash to the sequence number that the store had reached when it was purged.
    purged: FxHashMap<u64, u64>,
    /// Purges before this sequence number are forgotten when the sweep that is going on ends.
    swept_from: Option<u64>,
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
    pub(crate) fn new(number: u64, generation: u64, bytes_max: u64) -> Self {
        Self {
            number,
            generation,
            bytes: 0,
            bytes_max,
            count: 0,
            newest: None,
            oldest: None,
            hand: None,
            purged: FxHashMap::default(),
            swept_from: None,
        }
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

    /// Notes a purge at a sequence number; false if there were too many to remember.
    pub(crate) fn purge(&mut self, tag: u64, sequence: u64) -> bool {
        if self.purged.len() >= PURGED_TAGS_MAX && !self.purged.contains_key(&tag) {
            return false;
        }
        self.purged.insert(tag, sequence);
        true
    }

    /// Whether something that was put in at a sequence number has a tag that was purged since.
    pub(crate) fn has_purged(&self, tags: &[u64], sequence: u64) -> bool {
        !self.purged.is_empty()
            && tags.iter().any(|tag| self.purged.get(tag).is_some_and(|purged| *purged > sequence))
    }

    /// A round of the sweep begins, which will see everything that is stored now.
    pub(crate) fn begin_round(&mut self, sequence: u64) {
        if let Some(swept_from) = self.swept_from.take() {
            self.purged.retain(|_, purged| *purged > swept_from);
        }
        if !self.purged.is_empty() {
            self.swept_from = Some(sequence);
        }
    }
}
