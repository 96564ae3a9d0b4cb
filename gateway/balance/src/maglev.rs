//! Consistent hashing by a lookup table: D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", NSDI 2016, section 3.4, with weights.
//!
//! The table holds every target, healthy or not, and is the same wherever it is made from the same targets. A
//! key whose target can't be used is hashed again (see `pick`), so that the keys of the others stay where they
//! are; only when the list of targets itself changes do a few other keys move.

use crate::random::mix;

/// A prime, more than a hundred times the targets of most groups: the paper's recommendation for shares that are
/// even to 1 %. 128 KiB a group.
const SLOTS: usize = 65_537;

/// Which target a hash belongs to.
#[derive(Debug)]
pub struct Maglev {
    slots: Box<[u16]>,
}

/// How far a target has come in its permutation of the slots.
struct Candidate {
    offset: usize,
    skip: usize,
    step: usize,
    /// Its weight over the largest.
    share: f64,
    /// What it is owed of the next round.
    credit: f64,
}

impl Maglev {
    /// `targets` are keys, each its own, and weights above 0; `None` without any.
    ///
    /// # Panics
    /// For more than 65,536 targets.
    #[must_use]
    pub fn build(targets: &[(u64, u64)]) -> Option<Self> {
        assert!(targets.len() <= usize::from(u16::MAX) + 1, "a target's index has 16 bits");
        let heaviest = targets.iter().map(|(_, weight)| *weight).max()?.max(1);
        let mut candidates: Vec<Candidate> =
            targets.iter().map(|(key, weight)| Candidate::new(*key, *weight, heaviest)).collect();
        let mut slots = vec![None; SLOTS];
        let mut filled = 0;
        while filled < SLOTS {
            for (index, candidate) in candidates.iter_mut().enumerate() {
                candidate.credit += candidate.share;
                if candidate.credit < 1.0 || filled == SLOTS {
                    continue;
                }
                candidate.credit -= 1.0;
                let slot = candidate.next_free(&slots);
                slots[slot] = Some(index as u16);
                filled += 1;
            }
        }
        Some(Self { slots: slots.into_iter().flatten().collect() })
    }

    /// The index, among the targets that the table was built from, that `hash` belongs to.
    #[must_use]
    pub fn look_up(&self, hash: u64) -> usize {
        self.slots[(hash % SLOTS as u64) as usize].into()
    }
}

impl Candidate {
    fn new(key: u64, weight: u64, heaviest: u64) -> Self {
        let (offset, skip) = (mix(key), mix(key ^ 0x5bf0_3635_0f3d_1b6d));
        Self {
            offset: (offset % SLOTS as u64) as usize,
            skip: (skip % (SLOTS as u64 - 1)) as usize + 1,
            step: 0,
            share: weight.max(1) as f64 / heaviest as f64,
            credit: 0.0,
        }
    }

    /// The next slot of its permutation that nobody has; there is one, since the permutation has all of them.
    fn next_free(&mut self, slots: &[Option<u16>]) -> usize {
        loop {
            let slot = (self.offset + self.step * self.skip) % SLOTS;
            self.step += 1;
            if slots[slot].is_none() {
                return slot;
            }
        }
    }
}

/// A hash of what a request or a target is known by; the same in every process (FNV-1a, then mixed).
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    mix(hash)
}
