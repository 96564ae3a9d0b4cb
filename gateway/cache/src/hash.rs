//! Hashes of keys: polynomials over the field of 2^61 - 1 at a point that is drawn anew for each store (Carter and Wegman
//! 1979). Whoever chooses keys but doesn't know the point has two of `n` words fall together by a chance of at most
//! `n / 2^61`, whatever they are; and a word of a key costs one multiplication, a quarter of what SipHash takes.

use std::hash::{BuildHasher, RandomState};

/// A Mersenne prime, by which remainders are sums.
const PRIME: u64 = (1 << 61) - 1;
/// Of a word, each of which is below the prime.
const WORD_BYTES: usize = 7;
const WORD: u64 = (1 << (8 * WORD_BYTES)) - 1;

#[derive(Debug)]
pub(crate) struct KeyHash {
    point: u64,
}

impl KeyHash {
    pub(crate) fn new(seed: &RandomState) -> Self {
        Self { point: seed.hash_one("point") % PRIME }
    }

    pub(crate) fn hash(&self, stage: u32, key: &[u8]) -> u64 {
        let mut hash = self.step(u64::from(stage), key.len() as u64 & PRIME);
        let mut rest = key;
        while let Some(word) = rest.first_chunk() {
            hash = self.step(hash, u64::from_le_bytes(*word) & WORD);
            rest = &rest[WORD_BYTES..];
        }
        if !rest.is_empty() {
            hash = self.step(hash, last_word(key, rest.len()));
        }
        spread(if hash >= PRIME { hash - PRIME } else { hash })
    }

    /// `(hash + word) * point`, below 2^61 + 8.
    fn step(&self, hash: u64, word: u64) -> u64 {
        let product = u128::from(hash + word) * u128::from(self.point);
        let sum = (product as u64 & PRIME) + (product >> 61) as u64;
        (sum & PRIME) + (sum >> 61)
    }
}

/// Polynomials of keys that are alike lie evenly, and a map takes its slots by the lowest bits and tells neighbours apart
/// by the highest: SplitMix64's last steps, by which nothing falls together.
fn spread(hash: u64) -> u64 {
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The last bytes of a key, fewer than eight of them.
fn last_word(key: &[u8], bytes: usize) -> u64 {
    match key.last_chunk() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * bytes),
        None => key[key.len() - bytes..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The same with nothing saved.
    fn plainly(point: u64, stage: u32, key: &[u8]) -> u64 {
        let (prime, point) = (u128::from(PRIME), u128::from(point));
        let mut hash = (u128::from(stage) + key.len() as u128) * point % prime;
        for word in key.chunks(7) {
            let number = word.iter().rev().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
            hash = (hash + number) * point % prime;
        }
        spread(hash as u64)
    }

    #[test]
    fn it_is_the_polynomial() {
        for point in [0, 1, 2, PRIME - 1, PRIME / 3, 0x0123_4567_89ab_cdef] {
            let hash = KeyHash { point };
            for length in 0..40 {
                for byte in [0, 1, 0x7f, 0xff] {
                    let key = vec![byte; length];
                    for stage in [0, 7, u32::MAX] {
                        assert_eq!(hash.hash(stage, &key), plainly(point, stage, &key), "{point} {key:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn keys_that_are_alike_are_spread() {
        let hash = KeyHash { point: 0x0123_4567_89ab_cdef };
        let hashes: Vec<u64> =
            (0..100_000_u32).map(|n| hash.hash(1, format!("/pets/{n}").as_bytes())).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        // What a map of 2^16 slots goes by: as many are taken as of random numbers, 78 %.
        for bits in [|hash: &u64| *hash as u16, |hash: &u64| (*hash >> 48) as u16] {
            let taken = hashes.iter().map(bits).collect::<HashSet<_>>().len();
            assert!((50_000..52_500).contains(&taken), "{taken}");
        }
    }

    #[test]
    fn stores_draw_other_points() {
        let hashes = [(); 4].map(|()| KeyHash::new(&RandomState::new()).hash(1, b"/pets"));
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
    }
}
