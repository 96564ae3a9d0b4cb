//! The lines of the live view: pure text from what is known of a run, cut to the terminal's width.

use std::time::Duration;

use super::spark::sparkline;
use crate::beat::Totals;
use crate::cli::Length;
use crate::failure::Kind;
use crate::report::show_us;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";
/// Below this the parts that are nice to have are left out.
const WIDTH_MIN: usize = 40;

/// What is known of a run.
#[derive(Debug)]
pub(super) struct State<'a> {
    /// What runs: URL, pace, connections.
    pub(super) title: &'a str,
    pub(super) elapsed: Duration,
    pub(super) warmup: Duration,
    pub(super) length: Length,
    pub(super) totals: &'a Totals,
    /// Of the last second or so.
    pub(super) replies_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
    /// The 99th percentiles of the slices up to now, in microseconds.
    pub(super) history_us: &'a [f64],
}

/// The lines, each no wider than `width`.
pub(super) fn lines(state: &State<'_>, width: usize, colour: bool) -> Vec<String> {
    let paint = Paint { width, colour };
    let totals = state.totals;
    let mut lines = vec![
        paint.line(&[(BOLD, state.title)]),
        paint.line(&[(DIM, "  time     "), ("", &state.time(width))]),
        paint.line(&[
            (DIM, "  rate     "),
            (BOLD, &format!("{:.0}", state.replies_per_s)),
            ("", " replies/s"),
            (DIM, &format!("   {} in all", totals.replies)),
        ]),
        paint.line(&[
            (DIM, "  latency  "),
            ("", "p50 "),
            (BOLD, &show_us(state.p50_us)),
            ("", "   p99 "),
            (BOLD, &show_us(state.p99_us)),
            ("", "   max "),
            (BOLD, &show_us(state.max_us)),
        ]),
    ];
    let recent = &state.history_us[state.history_us.len().saturating_sub(width.saturating_sub(28))..];
    let highest = recent.iter().copied().fold(0.0, f64::max);
    lines.push(paint.line(&[
        (DIM, "  p99      "),
        ("", &sparkline(recent, width.saturating_sub(28))),
        (DIM, &format!("  0 to {}", show_us(highest))),
    ]));
    let errors = errors(totals);
    let waiting = format!("   {} waiting for a connection", totals.waiting);
    lines.push(paint.line(&[
        (DIM, "  errors   "),
        (if totals.failed() > 0 { RED } else { "" }, &errors),
        (RED, if totals.waiting > 0 { &waiting } else { "" }),
    ]));
    lines
}

/// Those that there were, by kind.
pub(super) fn errors(totals: &Totals) -> String {
    let kinds = Kind::ALL.iter().zip(totals.failures).filter(|(_, count)| *count > 0);
    let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join("   ") }
}

impl State<'_> {
    fn time(&self, width: usize) -> String {
        let Some(elapsed) = self.elapsed.checked_sub(self.warmup) else {
            return format!("warm-up, {:.0} s left", (self.warmup - self.elapsed).as_secs_f64().ceil());
        };
        let (share, left_s) = match self.length {
            Length::Duration(duration) => (
                elapsed.as_secs_f64() / duration.as_secs_f64(),
                duration.saturating_sub(elapsed).as_secs_f64(),
            ),
            Length::Requests(requests) => {
                let ended = self.totals.ended;
                let left_s =
                    elapsed.as_secs_f64() * (requests.saturating_sub(ended)) as f64 / ended.max(1) as f64;
                (ended as f64 / requests as f64, left_s)
            }
        };
        let text = format!("{:.0} s, {:.0} s left", elapsed.as_secs_f64(), left_s.ceil());
        if width < WIDTH_MIN {
            return text;
        }
        let places = 20;
        let full = (share.clamp(0.0, 1.0) * places as f64) as usize;
        format!("{}{}  {text}", "█".repeat(full), "░".repeat(places - full))
    }
}

struct Paint {
    width: usize,
    colour: bool,
}

impl Paint {
    /// Parts of a style each, as far as they fit.
    fn line(&self, parts: &[(&str, &str)]) -> String {
        let mut left = self.width;
        let mut line = String::new();
        for (style, text) in parts {
            let text: String = text.chars().filter(|c| !c.is_control()).take(left).collect();
            left -= text.chars().count();
            if self.colour && !style.is_empty() && !text.is_empty() {
                line.push_str(&format!("{style}{text}{RESET}"));
            } else {
                line.push_str(&text);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state<'a>(totals: &'a Totals, history_us: &'a [f64]) -> State<'a> {
        State {
            title: "http://a.test/   open loop, 5000 requests/s   64 connections",
            elapsed: Duration::from_secs(14),
            warmup: Duration::from_secs(2),
            length: Length::Duration(Duration::from_secs(30)),
            totals,
            replies_per_s: 4_998.4,
            p50_us: 210.0,
            p99_us: 1_200.0,
            max_us: 3_400.0,
            history_us,
        }
    }

    fn totals() -> Totals {
        let mut totals = Totals { replies: 59_976, ended: 60_000, ..Totals::default() };
        totals.failures[Kind::Timeout as usize] = 3;
        totals.failures[Kind::Reset as usize] = 21;
        totals
    }

    #[test]
    fn a_frame_shows_rate_latency_errors_and_time_left() {
        let text = lines(&state(&totals(), &[100.0, 800.0]), 80, false).join("\n");
        let parts = [
            "████████░░░░░░░░░░░░  12 s, 18 s left",
            "4998 replies/s   59976 in all",
            "p50 210.0 us   p99 1.20 ms   max 3.40 ms",
            "▁█  0 to 800.0 us",
            "reset 21   timeout 3",
        ];
        for part in parts {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        assert!(!text.contains('\x1b') && !text.contains("waiting"));
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let history: Vec<f64> = (0..500).map(f64::from).collect();
        let totals = Totals { waiting: 70, ..totals() };
        for width in [0, 1, 10, 30, 39, 40, 79, 200] {
            for line in lines(&state(&totals, &history), width, false) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn colours_are_closed_and_optional() {
        let line = &lines(&state(&totals(), &[]), 80, true)[5];
        assert!(line.contains(RED) && line.ends_with(RESET), "{line:?}");
    }

    #[test]
    fn a_warm_up_and_a_count_have_their_own_time() {
        let totals = totals();
        let warm = State { elapsed: Duration::from_millis(500), ..state(&totals, &[]) };
        assert!(lines(&warm, 80, false)[1].contains("warm-up, 2 s left"));
        let counted = State { length: Length::Requests(120_000), ..state(&totals, &[]) };
        assert!(lines(&counted, 80, false)[1].contains("12 s, 12 s left"));
    }

    #[test]
    fn a_title_cannot_drive_the_terminal() {
        let totals = totals();
        let state = State { title: "a\x1b[2Jb\nc", ..state(&totals, &[]) };
        assert_eq!(lines(&state, 80, false)[0], "a[2Jbc");
    }
}
