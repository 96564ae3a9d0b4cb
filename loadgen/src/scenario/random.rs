//! Seeded random numbers: SplitMix64 (Steele, Lea and Flood, 2014), of which each iteration has a stream of its own, so that
//! what it sends depends on the seed and its number alone, not on the moment at which a connection was free.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The stream of that number under a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(stream.wrapping_mul(GOLDEN))))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
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

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_splitmix64_and_repeats_itself() {
        // The first numbers of the published reference implementation with the seed 1234567.
        let mut reference = Random(1_234_567);
        assert_eq!(
            [reference.bits(), reference.bits(), reference.bits()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
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
