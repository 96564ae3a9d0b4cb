//! The open loop's rate over time: pieces of constant or evenly changing rate, after which the last rate holds on.
//!
//! The profile is a count: how many requests are intended until a time. Request `k` is intended when the count
//! reaches `k`, solved for each request by itself, so that no rounding adds up and the long run is exact.
//! Times are nanoseconds since the run began, rates requests/s.

use std::time::Duration;

/// Most pieces of a profile.
pub(super) const PIECES_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// In order of time; empty for a constant rate.
    pieces: Vec<Piece>,
    /// What holds after the last piece.
    last: Piece,
}

/// A rate that changes evenly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    start_ns: f64,
    duration_ns: f64,
    /// Requests intended before it begins.
    start_count: f64,
    from_per_ns: f64,
    to_per_ns: f64,
}

/// One part of a profile as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    pub from_per_s: f64,
    pub to_per_s: f64,
    pub duration: Duration,
}

impl Profile {
    pub fn constant(rate_per_s: f64) -> Self {
        Self { pieces: Vec::new(), last: Piece::holding(rate_per_s / 1e9, 0.0, 0.0) }
    }

    /// The parts one after the other; the rate at the end of the last one holds on.
    pub fn of(parts: &[Part]) -> Self {
        let mut pieces = Vec::with_capacity(parts.len());
        let (mut start_ns, mut start_count, mut rate_per_ns) = (0.0, 0.0, 0.0);
        for part in parts {
            let piece = Piece {
                start_ns,
                duration_ns: part.duration.as_nanos() as f64,
                start_count,
                from_per_ns: part.from_per_s / 1e9,
                to_per_ns: part.to_per_s / 1e9,
            };
            start_ns += piece.duration_ns;
            start_count += piece.count_after(piece.duration_ns);
            rate_per_ns = piece.to_per_ns;
            pieces.push(piece);
        }
        Self { pieces, last: Piece::holding(rate_per_ns, start_ns, start_count) }
    }

    /// How many requests are intended before `time_ns`.
    pub fn count_at(&self, time_ns: f64) -> f64 {
        let piece = match self.pieces.partition_point(|piece| piece.start_ns <= time_ns) {
            _ if self.last.start_ns <= time_ns => &self.last,
            0 => return 0.0,
            following => &self.pieces[following - 1],
        };
        piece.start_count + piece.count_after(time_ns - piece.start_ns)
    }

    /// When the count reaches `count`; `None` if it never does.
    pub fn time_of(&self, count: f64) -> Option<f64> {
        let piece = match self.pieces.partition_point(|piece| piece.start_count <= count) {
            _ if self.last.start_count <= count => &self.last,
            0 => return None,
            following => &self.pieces[following - 1],
        };
        piece.time_after(count - piece.start_count).map(|after_ns| piece.start_ns + after_ns)
    }

    /// The rate that holds after the last piece, and in all of a constant profile.
    pub fn last_rate_per_s(&self) -> f64 {
        self.last.from_per_ns * 1e9
    }
}

impl Piece {
    fn holding(rate_per_ns: f64, start_ns: f64, start_count: f64) -> Self {
        let duration_ns = f64::INFINITY;
        Self { start_ns, duration_ns, start_count, from_per_ns: rate_per_ns, to_per_ns: rate_per_ns }
    }

    fn is_flat(&self) -> bool {
        self.from_per_ns == self.to_per_ns
    }

    /// The change of the rate in each nanosecond.
    fn slope(&self) -> f64 {
        (self.to_per_ns - self.from_per_ns) / self.duration_ns
    }

    fn count_after(&self, time_ns: f64) -> f64 {
        if self.is_flat() {
            return self.from_per_ns * time_ns;
        }
        (self.from_per_ns + self.slope() * time_ns / 2.0) * time_ns
    }

    /// Solves `from * t + slope * t * t / 2 = count` in the form that loses no digits where the slope is small.
    fn time_after(&self, count: f64) -> Option<f64> {
        if count <= 0.0 {
            return (self.from_per_ns > 0.0 || self.to_per_ns > 0.0).then_some(0.0);
        }
        if self.is_flat() {
            return (self.from_per_ns > 0.0).then(|| count / self.from_per_ns);
        }
        let discriminant = self.from_per_ns * self.from_per_ns + 2.0 * self.slope() * count;
        // Below zero by rounding only: the piece holds more than `count`.
        Some(2.0 * count / (self.from_per_ns + discriminant.max(0.0).sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: f64 = 1e9;

    fn part(from_per_s: f64, to_per_s: f64, seconds: u64) -> Part {
        Part { from_per_s, to_per_s, duration: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_constant_rate_never_drifts() {
        let profile = Profile::constant(3.0);
        assert_eq!(profile.time_of(0.0), Some(0.0));
        // A week and more: a third of a second isn't a whole number of nanoseconds.
        for k in [1.0, 2.0, 3.0, 3e6, 2e6 * 3600.0] {
            assert!((profile.time_of(k).unwrap() - k / 3.0 * S).abs() < 2.0, "{k}");
        }
        assert!((profile.count_at(100.0 * S) - 300.0).abs() < 1e-6);
    }

    #[test]
    fn a_ramp_holds_as_many_requests_as_the_area_under_it() {
        let profile = Profile::of(&[part(100.0, 300.0, 10)]);
        for (seconds, count) in [(0.0, 0.0), (5.0, 750.0), (10.0, 2_000.0), (11.0, 2_300.0)] {
            assert!((profile.count_at(seconds * S) - count).abs() < 1e-6, "{seconds}");
            assert!((profile.time_of(count).unwrap() - seconds * S).abs() < 2.0, "{seconds}");
        }
    }

    #[test]
    fn a_ramp_may_begin_or_end_at_nothing() {
        let up = Profile::of(&[part(0.0, 100.0, 10)]);
        assert_eq!(up.time_of(0.0), Some(0.0));
        assert!((up.time_of(125.0).unwrap() - 5.0 * S).abs() < 2.0);
        let down = Profile::of(&[part(100.0, 0.0, 10)]);
        assert!((down.time_of(375.0).unwrap() - 5.0 * S).abs() < 2.0);
        assert!(down.time_of(499.9999).unwrap() < 10.0 * S);
        assert_eq!(down.time_of(500.0), None, "the rate at the end is 0, and holds");
        assert_eq!(down.count_at(20.0 * S), 500.0);
    }

    #[test]
    fn steps_follow_each_other_with_pauses_between() {
        let profile = Profile::of(&[part(10.0, 10.0, 2), part(0.0, 0.0, 3), part(5.0, 5.0, 1)]);
        let at = |count| profile.time_of(count).unwrap() / S;
        assert!((at(19.0) - 1.9).abs() < 1e-6);
        assert!((at(20.0) - 5.0).abs() < 1e-6, "the pause holds no request");
        assert!((at(24.0) - 5.8).abs() < 1e-6);
        assert!((at(26.0) - 6.2).abs() < 1e-6, "the last rate holds on");
        assert_eq!((profile.count_at(4.0 * S), profile.last_rate_per_s()), (20.0, 5.0));
    }

    #[test]
    fn times_are_in_order_whatever_the_profile() {
        let profile =
            Profile::of(&[part(0.0, 50.0, 3), part(50.0, 7.0, 2), part(7.0, 7.0, 1), part(1.0, 90.0, 4)]);
        let times: Vec<f64> = (0..1_000).map(|k| profile.time_of(f64::from(k)).unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        for (k, time) in times.iter().enumerate() {
            assert!((profile.count_at(*time) - k as f64).abs() < 1e-6, "{k}");
        }
    }
}
