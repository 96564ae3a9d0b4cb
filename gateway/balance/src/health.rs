//! What the answers to health checks say of a target.

/// A target's state as health checks see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is to be checked and hasn't shown itself healthy or unhealthy yet: used only where no healthy target is.
    Unknown,
    /// Also every target that isn't checked.
    Healthy,
    Unhealthy,
}

/// How many answers in a row change a target's state; both are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRules {
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
}

/// A target that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    health: Health,
    /// Answers in a row that speak against `health`.
    against: u32,
}

impl Default for Checked {
    fn default() -> Self {
        Self { health: Health::Unknown, against: 0 }
    }
}

impl Checked {
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// Notes an answer; returns the state if it has changed. One good answer is enough for a target of which
    /// nothing was known, so that a start doesn't last for several intervals.
    pub fn note(&mut self, good: bool, rules: CheckRules) -> Option<Health> {
        let (speaks_for, threshold) = match good {
            true if self.health == Health::Unknown => (Health::Healthy, 1),
            true => (Health::Healthy, rules.healthy_threshold),
            false => (Health::Unhealthy, rules.unhealthy_threshold),
        };
        if speaks_for == self.health {
            self.against = 0;
            return None;
        }
        self.against += 1;
        if self.against < threshold {
            return None;
        }
        *self = Self { health: speaks_for, against: 0 };
        Some(speaks_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CheckRules = CheckRules { healthy_threshold: 2, unhealthy_threshold: 3 };

    fn changes(answers: &str) -> Vec<(usize, Health)> {
        let mut checked = Checked::default();
        let answers = answers.chars().enumerate();
        answers.filter_map(|(at, answer)| Some((at, checked.note(answer == '+', RULES)?))).collect()
    }

    #[test]
    fn only_answers_in_a_row_change_a_state() {
        use Health::{Healthy, Unhealthy};
        assert_eq!(changes("+"), [(0, Healthy)]);
        assert_eq!(changes("--+"), [(2, Healthy)]);
        assert_eq!(changes("---"), [(2, Unhealthy)]);
        assert_eq!(changes("+--+--+---"), [(0, Healthy), (9, Unhealthy)]);
        assert_eq!(changes("---+-+-++"), [(2, Unhealthy), (8, Healthy)]);
    }
}
