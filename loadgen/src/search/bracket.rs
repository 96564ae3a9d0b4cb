//! Where the highest rate that holds lies: sans-I/O, told what each trial showed. Invariant: what is between
//! `holds` and `fails` is not known yet, and every trial narrows it.

/// Below this a search gives up.
const RATE_MIN: f64 = 1.0;
const RATE_MAX: f64 = 100_000_000.0;

/// The state of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bracket {
    /// The rate at first.
    start: f64,
    /// The bounds are near enough when they differ by no more than this share.
    precision: f64,
    /// How many more times the highest rate must hold once the bounds are near.
    confirmations: u32,
    holds: Option<f64>,
    fails: Option<f64>,
    /// How often `holds` has been confirmed.
    confirmed: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    Try(f64),
    /// Once more, whether it was luck.
    Confirm(f64),
    /// The highest rate that holds; `None` when not even the lowest does.
    Done(Option<f64>),
}

impl Bracket {
    pub(super) fn new(start: f64, precision: f64, confirmations: u32) -> Self {
        Self { start, precision, confirmations, holds: None, fails: None, confirmed: 0 }
    }

    pub(super) fn next(&self) -> Next {
        match (self.holds, self.fails) {
            (None, None) => Next::Try(self.start),
            (Some(holds), None) if holds >= RATE_MAX => Next::Done(Some(holds)),
            (Some(holds), None) => Next::Try((holds * 2.0).min(RATE_MAX)),
            (None, Some(fails)) if fails <= RATE_MIN => Next::Done(None),
            (None, Some(fails)) => Next::Try((fails / 2.0).max(RATE_MIN)),
            (Some(holds), Some(fails)) if fails > holds * (1.0 + self.precision) => {
                let middle = (holds * fails).sqrt();
                let even = round(middle);
                Next::Try(if even > holds && even < fails { even } else { middle })
            }
            (Some(holds), Some(_)) if self.confirmed < self.confirmations => Next::Confirm(holds),
            (Some(holds), Some(_)) => Next::Done(Some(holds)),
        }
    }

    /// What the trial that `next` asked for has shown.
    pub(super) fn tell(&mut self, held: bool) {
        match (self.next(), held) {
            (Next::Try(rate), true) => self.holds = Some(rate),
            (Next::Try(rate), false) => self.fails = Some(rate),
            (Next::Confirm(_), true) => self.confirmed += 1,
            (Next::Confirm(rate), false) => {
                // It was luck: a step down, which has to show itself from anew.
                self.fails = Some(rate);
                self.confirmed = 0;
                let lower = round(rate / (1.0 + self.precision));
                self.holds = None;
                if lower > RATE_MIN && lower < rate {
                    self.holds = Some(lower);
                }
            }
            (Next::Done(_), _) => {}
        }
    }

    /// The lowest rate at which a trial failed.
    pub(super) fn failed_at(&self) -> Option<f64> {
        self.fails
    }
}

/// To three digits, so that rates are read easily.
fn round(rate: f64) -> f64 {
    let unit = 10_f64.powf((rate.log10().floor() - 2.0).max(-1.0));
    (rate / unit).round() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a target that a rate suits or not; the rates in order and the result.
    fn search(start: f64, mut suits: impl FnMut(f64) -> bool) -> (Vec<f64>, Option<f64>) {
        let mut bracket = Bracket::new(start, 0.05, 2);
        let mut rates = Vec::new();
        loop {
            let rate = match bracket.next() {
                Next::Try(rate) | Next::Confirm(rate) => rate,
                Next::Done(found) => return (rates, found),
            };
            rates.push(rate);
            assert!(rates.len() < 100, "{rates:?}");
            bracket.tell(suits(rate));
        }
    }

    #[test]
    fn the_highest_rate_is_found_within_the_precision_and_confirmed() {
        for limit in [1.5, 37.0, 700.0, 1_000.0, 12_345.0, 987_654.0] {
            let (rates, found) = search(1_000.0, |rate| rate <= limit);
            let found = found.unwrap();
            assert!(found <= limit && found * 1.11 >= limit, "{limit}: {found}");
            assert_eq!(rates[rates.len() - 2..], [found, found], "confirmed twice");
            assert!(rates.len() < 30, "{limit}: {}", rates.len());
        }
    }

    #[test]
    fn it_doubles_first_and_halves_where_the_start_is_too_much() {
        assert_eq!(search(100.0, |rate| rate <= 500.0).0[..4], [100.0, 200.0, 400.0, 800.0]);
        assert_eq!(search(100.0, |rate| rate <= 30.0).0[..3], [100.0, 50.0, 25.0]);
        assert_eq!(search(100.0, |_| false).1, None);
        assert_eq!(search(1e7, |_| true).1, Some(1e8), "there is nothing above the highest rate");
    }

    #[test]
    fn a_rate_that_held_by_luck_is_given_up() {
        // 400 holds the first time only; what lies below always does.
        let mut times = 0;
        let (_, found) = search(100.0, |rate| {
            times += u32::from(rate >= 390.0);
            rate < 390.0 || times == 1
        });
        let found = found.unwrap();
        assert!((360.0..390.0).contains(&found), "{found}");
    }
}
