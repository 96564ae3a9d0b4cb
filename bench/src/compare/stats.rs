//! Medians, ratios and how figures are written.

use super::table::BLANK;

/// The middle value, or the mean of the two in the middle; `None` without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// How the rounds' own ratios lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Round by round; `None` where there is nothing to divide by.
    pub(crate) fn of(of: &[f64], to: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = ratios(of.iter().copied(), to.iter().copied()).collect();
        let lowest = ratios.iter().copied().min_by(f64::total_cmp)?;
        let highest = ratios.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: median(ratios)?, lowest, highest })
    }
}

fn ratios(of: impl IntoIterator<Item = f64>, to: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    of.into_iter().zip(to).filter(|(_, to)| *to > 0.0).map(|(of, to)| of / to)
}

/// The median of the rounds' own ratios: a machine whose speed drifts touches both sides of one round, but not of two.
/// `None` where there is nothing to divide by.
pub(crate) fn paired_ratio(
    of: impl IntoIterator<Item = f64>,
    to: impl IntoIterator<Item = f64>,
) -> Option<f64> {
    median(ratios(of, to))
}

/// `12345.6` as `12,346`.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.234` as `1.23 x`; nothing as a blank.
pub(crate) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| BLANK.to_owned(), |ratio| format!("{ratio:.2} x"))
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn ratios_and_figures() {
        assert_eq!(paired_ratio([3.0], [2.0]), Some(1.5));
        assert_eq!(paired_ratio([3.0], [0.0]), None);
        assert_eq!(paired_ratio([100.0, 50.0, 90.0], [80.0, 40.0, 100.0]), Some(1.25));
        let spread = Spread { median: 1.25, lowest: 0.9, highest: 1.25 };
        assert_eq!(Spread::of(&[100.0, 50.0, 90.0], &[80.0, 40.0, 100.0]), Some(spread));
        assert_eq!(Spread::of(&[1.0], &[0.0]), None);
        assert_eq!((times(Some(1.234)), times(None)), ("1.23 x".into(), "-".into()));
        let figures = [0.4, 999.0, 1000.0, 1_234_567.8, -1234.0, -999.0].map(grouped);
        assert_eq!(figures, ["0", "999", "1,000", "1,234,568", "-1,234", "-999"]);
        assert_eq!(mib(1_572_864.0), "1.5 MiB");
    }
}
