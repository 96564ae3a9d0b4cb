//! Where in the profile's count one reactor's requests lie: evenly interleaved with the other reactors', or at random.

/// How requests are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Spacing {
    /// Evenly
    #[default]
    Constant,
    /// At random and independent of each other, as many users' requests are
    Poisson,
}

/// The places of one reactor's requests in the count of all.
#[derive(Debug, Clone, PartialEq)]
pub enum Places {
    /// Each reactor takes the requests `first`, `first + step`, ...
    Even { next: u64, step: u64 },
    /// A Poisson process of one part in `reactors`; together the reactors' are one of the whole rate. Distances in the
    /// count are exponential, which makes the process follow the profile's rate (time change of a Poisson process).
    Random { last: f64, reactors: f64, random: SplitMix },
}

impl Places {
    /// For one of so many reactors; random ones differ by seed and reactor.
    pub fn new(spacing: Spacing, seed: u64, reactor: usize, reactors: usize) -> Self {
        match spacing {
            Spacing::Constant => Self::Even { next: reactor as u64, step: reactors as u64 },
            Spacing::Poisson => {
                let mut seeds = SplitMix(seed);
                let own = (0..=reactor).map(|_| seeds.next_bits()).last().unwrap_or(seed);
                Self::Random { last: 0.0, reactors: reactors as f64, random: SplitMix(own) }
            }
        }
    }

    /// The next request's place.
    pub fn take(&mut self) -> f64 {
        match self {
            Self::Even { next, step } => {
                let place = *next;
                *next += *step;
                place as f64
            }
            Self::Random { last, reactors, random } => {
                *last += random.next_exponential() * *reactors;
                *last
            }
        }
    }

    /// How many requests lie from the place `from` up to `to`; for random ones, how many are to be expected.
    pub fn between(&self, from: f64, to: f64) -> u64 {
        let apart = match self {
            Self::Even { step, .. } => *step as f64,
            Self::Random { reactors, .. } => *reactors,
        };
        if to < from { 0 } else { ((to - from) / apart) as u64 + 1 }
    }
}

/// The SplitMix64 generator (Steele, Lea and Flood, 2014): small, seeded with any number, and random enough for arrivals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix(pub u64);

impl SplitMix {
    pub fn next_bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Evenly from above 0 up to 1.
    pub fn next_unit(&mut self) -> f64 {
        ((self.next_bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// One of `0..below`.
    pub fn next_below(&mut self, below: usize) -> usize {
        ((u128::from(self.next_bits()) * below as u128) >> 64) as usize
    }

    /// With a mean of 1.
    fn next_exponential(&mut self) -> f64 {
        -self.next_unit().ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(spacing: Spacing, seed: u64, reactor: usize, reactors: usize, n: usize) -> Vec<f64> {
        let mut places = Places::new(spacing, seed, reactor, reactors);
        (0..n).map(|_| places.take()).collect()
    }

    #[test]
    fn even_places_interleave_without_gaps() {
        let mut all: Vec<f64> =
            (0..3).flat_map(|reactor| places(Spacing::Constant, 0, reactor, 3, 5)).collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(all, (0..15).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn random_places_are_those_of_the_seed() {
        let of = |seed, reactor| places(Spacing::Poisson, seed, reactor, 2, 100);
        assert_eq!(of(7, 0), of(7, 0));
        assert_ne!(of(7, 0), of(7, 1));
        assert_ne!(of(7, 0), of(8, 0));
    }

    #[test]
    fn random_places_are_a_poisson_process() {
        let n = 200_000;
        let mut all: Vec<f64> =
            (0..4).flat_map(|reactor| places(Spacing::Poisson, 42, reactor, 4, n)).collect();
        all.sort_by(f64::total_cmp);
        // The first half is filled by all reactors: counts in unit windows have mean 1 and variance 1.
        let windows = n * 2;
        let mut counts = vec![0_f64; windows];
        for place in all.iter().filter(|place| **place < windows as f64) {
            counts[*place as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / windows as f64;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / windows as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        let empty = counts.iter().filter(|count| **count == 0.0).count() as f64 / windows as f64;
        assert!((empty - (-1_f64).exp()).abs() < 0.01, "{empty}");
    }

    #[test]
    fn how_many_lie_between_is_counted_with_the_first() {
        let even = Places::new(Spacing::Constant, 0, 1, 4);
        assert_eq!([even.between(5.0, 4.0), even.between(5.0, 5.0), even.between(5.0, 13.5)], [0, 1, 3]);
    }
}
