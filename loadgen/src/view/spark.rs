//! Values as a row of block characters.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One block for each value, the highest as high as a line; of several values for one place, the highest shows.
pub(crate) fn sparkline(values: &[f64], width: usize) -> String {
    if values.is_empty() || width == 0 {
        return String::new();
    }
    let highest = values.iter().copied().fold(0.0, f64::max);
    let block = |value: f64| match highest > 0.0 {
        true => BLOCKS[((value / highest * 8.0).ceil() as usize).clamp(1, 8) - 1],
        false => BLOCKS[0],
    };
    let places = width.min(values.len());
    let place = |index: usize| {
        let (from, to) = (index * values.len() / places, (index + 1) * values.len() / places);
        block(values[from..to].iter().copied().fold(0.0, f64::max))
    };
    (0..places).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_is_a_full_block() {
        assert_eq!(sparkline(&[0.0, 1.0, 4.0, 8.0], 80), "▁▁▄█");
        assert_eq!(sparkline(&[0.0, 0.0], 80), "▁▁");
        assert_eq!((sparkline(&[], 80), sparkline(&[1.0], 0)), (String::new(), String::new()));
    }

    #[test]
    fn a_spike_shows_however_narrow_the_line_is() {
        let mut values = vec![1.0; 1_000];
        values[500] = 100.0;
        let line = sparkline(&values, 10);
        assert_eq!((line.chars().count(), line.matches('█').count()), (10, 1));
    }
}
