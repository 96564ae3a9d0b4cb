//! Messages with small faults, by a seed: the same ones in each run.

/// Bytes that parsers of HTTP have stumbled over.
const TROUBLE: &[u8] = b"\r\n\0 \t:;,%/\\#?\"0x-+\x0b\x7f\x80\xff";

/// An endless source of mutated messages.
#[derive(Debug)]
pub struct Mutations {
    state: u64,
}

impl Mutations {
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// `message` with one to three bytes replaced, inserted, removed or doubled.
    pub fn of(&mut self, message: &[u8]) -> Vec<u8> {
        let mut mutated = message.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(mutated.len());
            let trouble = TROUBLE[self.below(TROUBLE.len())];
            match self.below(4) {
                0 => mutated[at] = trouble,
                1 => mutated.insert(at, trouble),
                2 => drop(mutated.remove(at)),
                _ => mutated.insert(at, mutated[at]),
            }
        }
        mutated
    }

    /// A number from 0 to `limit` - 1 (SplitMix64, Steele et al. 2014).
    pub fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("below a usize")
    }
}
