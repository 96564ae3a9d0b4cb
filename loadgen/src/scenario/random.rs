//! Seeded random numbers, of which each iteration has a stream of its own, so that what it sends depends on the seed
//! and its number alone, not on the moment at which a connection was free.

use crate::schedule::SplitMix;

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(SplitMix);

impl Random {
    /// The stream of that number under a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let seed = SplitMix(seed).next_bits();
        // Neighbouring numbers must not be neighbours in one sequence: hashed once more.
        Self(SplitMix(SplitMix(seed ^ stream).next_bits()))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_bits()
    }

    /// Below `end`, which is at least 1. The bias of the multiplication is below `end / 2^64`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// Between 0, included, and 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Appends so many bytes.
    pub fn append_bytes(&mut self, bytes: usize, out: &mut Vec<u8>) {
        out.reserve(bytes);
        for _ in 0..bytes / 8 {
            out.extend_from_slice(&self.bits().to_le_bytes());
        }
        let rest = self.bits().to_le_bytes();
        out.extend_from_slice(&rest[..bytes % 8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_repeats_itself_and_no_other() {
        assert_eq!(Random::new(7, 3), Random::new(7, 3));
        assert_ne!(Random::new(7, 3), Random::new(7, 4));
        assert_ne!(Random::new(7, 3), Random::new(8, 3));
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_all_of_it() {
        let mut random = Random::new(1, 1);
        let mut seen = [0u32; 5];
        for _ in 0..5_000 {
            seen[random.below(5) as usize] += 1;
            assert!((0.0..1.0).contains(&random.unit()));
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        for bytes in [0, 1, 8, 21] {
            let mut out = Vec::new();
            random.append_bytes(bytes, &mut out);
            assert_eq!(out.len(), bytes);
        }
    }
}
