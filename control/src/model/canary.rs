//! A REST stage's canary: a deployment on trial, for a share of the stage's clients.

use serde::{Deserialize, Serialize};

use super::{RestStage, Variables};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// 0 to 100; a gateway goes by hundredths.
    pub percent_traffic: f64,
    pub deployment_id: String,
    /// In place of the stage's of the same name, or besides them.
    pub variables: Variables,
    /// Its requests are answered from the stage's cache, where that is on; otherwise none of them are.
    pub use_stage_cache: bool,
}

impl Canary {
    /// AWS's, where nothing is said of it.
    #[must_use]
    pub fn of_deployment(deployment_id: &str) -> Self {
        Self {
            percent_traffic: 0.0,
            deployment_id: deployment_id.to_owned(),
            variables: Variables::new(),
            use_stage_cache: false,
        }
    }

    #[must_use]
    pub fn clients_per_10_000(&self) -> u16 {
        (self.percent_traffic.clamp(0.0, 100.0) * 100.0).round() as u16
    }
}

impl RestStage {
    /// The stage as its canary's clients have it.
    #[must_use]
    pub fn on_trial(&self) -> Option<Self> {
        let canary = self.canary.as_ref()?;
        let mut stage = Self {
            deployment_id: canary.deployment_id.clone(),
            cache_cluster_enabled: self.cache_cluster_enabled && canary.use_stage_cache,
            canary: None,
            ..self.clone()
        };
        stage.variables.extend(canary.variables.clone());
        Some(stage)
    }

    /// Whether it serves the deployment, if only to some.
    #[must_use]
    pub fn serves(&self, deployment_id: &str) -> bool {
        let on_trial = self.canary.as_ref().map(|canary| canary.deployment_id.as_str());
        self.deployment_id == deployment_id || on_trial == Some(deployment_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact_to_a_hundredth() {
        let share =
            |percent_traffic| Canary { percent_traffic, ..Canary::of_deployment("d") }.clients_per_10_000();
        for (percent, clients) in [
            (0.0, 0),
            (0.004, 0),
            (0.01, 1),
            (10.5, 1_050),
            (33.33, 3_333),
            (99.999, 10_000),
            (100.0, 10_000),
        ] {
            assert_eq!(share(percent), clients, "{percent}");
        }
    }
}
