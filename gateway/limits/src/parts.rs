//! The parts that all limits fall into, for a store of several servers, each of which keeps some of them.

use crate::LimitId;

/// How many there are: enough for some dozen servers to have about as many each.
pub const PARTS: usize = 256;

const WORD_BITS: usize = 64;

/// Some of the parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts([u64; PARTS / WORD_BITS]);

impl LimitId {
    /// Ids are as good as random, so that parts have about as many limits each.
    #[must_use]
    pub const fn part(self) -> u8 {
        self.0 as u8
    }
}

impl Parts {
    pub const NONE: Self = Self([0; PARTS / WORD_BITS]);
    pub const ALL: Self = Self([u64::MAX; PARTS / WORD_BITS]);

    #[must_use]
    pub const fn has(&self, part: u8) -> bool {
        let (word, bit) = place(part);
        self.0[word] & bit != 0
    }

    pub const fn add(&mut self, part: u8) {
        let (word, bit) = place(part);
        self.0[word] |= bit;
    }

    pub const fn remove(&mut self, part: u8) {
        let (word, bit) = place(part);
        self.0[word] &= !bit;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Those that it has and `others` hasn't.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !others.0[word]))
    }
}

const fn place(part: u8) -> (usize, u64) {
    (part as usize / WORD_BITS, 1 << (part as usize % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_added_and_not_removed() {
        let mut parts = Parts::NONE;
        [0, 63, 64, 255].into_iter().for_each(|part| parts.add(part));
        parts.add(64);
        parts.remove(63);
        parts.remove(7);
        let has: Vec<u8> = (0..=255).filter(|part| parts.has(*part)).collect();
        assert_eq!((has, parts.len(), parts.is_empty()), (vec![0, 64, 255], 3, false));
        assert_eq!((Parts::ALL.len(), Parts::ALL.without(&parts).len()), (PARTS, PARTS - 3));
        assert!(parts.without(&Parts::ALL).is_empty());
        assert_eq!(LimitId(0xffff_ff03).part(), 3);
    }
}
