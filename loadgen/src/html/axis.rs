//! Axes of a plot: where a value lies, and which values are marked.

/// Most marks on an axis of even steps, about.
const MARKS: f64 = 6.0;
/// A logarithmic axis serves where the highest value is so many times the lowest.
const LOG_RATIO_MIN: f64 = 30.0;

/// Values from `low` to `high` along a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// From 0 to `high`, in even steps.
    pub(super) fn even(high: f64) -> Self {
        Self { low: 0.0, high: if high > 0.0 { high } else { 1.0 }, logarithmic: false }
    }

    /// From `low` to `high`, each power of ten as wide as the next; both above 0.
    pub(super) fn powers(low: f64, high: f64) -> Self {
        Self { low, high: if high > low { high } else { low * 10.0 }, logarithmic: true }
    }

    /// What serves these values best.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let low = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        match high > low * LOG_RATIO_MIN {
            true => Self::powers(10_f64.powf(low.log10().floor()), high),
            false => Self::even(high * 1.05),
        }
    }

    pub(super) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// 0 at the low end, 1 at the high end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.logarithmic {
            true => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }

    /// Values to be marked, in order.
    pub(super) fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            let first = self.low.log10().ceil() as i32;
            return (first..).map(|power| 10_f64.powi(power)).take_while(|mark| *mark <= self.high).collect();
        }
        let step = even_step((self.high - self.low) / MARKS);
        (0..).map(|index| f64::from(index) * step).take_while(|mark| *mark <= self.high).collect()
    }
}

/// The next of 1, 2, 5, 10, ... from `least` up.
fn even_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= least * 0.999);
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_axes_have_round_marks() {
        let axis = Axis::even(23.0);
        assert_eq!(axis.marks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!((axis.place(0.0), axis.place(11.5), axis.place(99.0)), (0.0, 0.5, 1.0));
        assert_eq!(Axis::even(0.0).marks().len(), 6, "nothing but zeros has an axis, too");
    }

    #[test]
    fn wide_ranges_have_powers_of_ten() {
        let axis = Axis::fitting([120.0, 90_000.0, 0.0].into_iter());
        assert!(axis.is_logarithmic());
        assert_eq!(axis.marks(), [100.0, 1_000.0, 10_000.0]);
        assert!((axis.place(1_000.0) - 1.0 / 900_f64.log10()).abs() < 1e-9);
        assert_eq!(axis.place(0.0), 0.0);
        assert!(!Axis::fitting([100.0, 900.0].into_iter()).is_logarithmic());
        assert!(!Axis::fitting(std::iter::empty()).is_logarithmic());
    }
}
