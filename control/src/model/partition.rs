//! What throttles let through at gateways that can't reach the store which they share them in.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where nothing is chosen, the gateway's setting (`limits_partition`) decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitsPartition {
    /// Each gateway its share of rate and burst.
    #[serde(rename = "SHARE")]
    Share,
    /// Nothing.
    #[serde(rename = "CLOSED")]
    Closed,
    /// Everything.
    #[serde(rename = "OPEN")]
    Open,
}

/// A stage's choice, and its routes' own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LimitsPartitions {
    pub all: Option<LimitsPartition>,
    /// By route key; of a REST API's method, `GET /pets/{id}`.
    pub routes: BTreeMap<String, LimitsPartition>,
}

impl LimitsPartition {
    pub const NAMES: [&str; 3] = ["SHARE", "CLOSED", "OPEN"];

    /// Nothing where the name is none of these.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Share, Self::Closed, Self::Open].into_iter().find(|partition| partition.as_str() == name)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Share => Self::NAMES[0],
            Self::Closed => Self::NAMES[1],
            Self::Open => Self::NAMES[2],
        }
    }
}

impl LimitsPartitions {
    #[must_use]
    pub fn of_route(&self, route_key: &str) -> Option<LimitsPartition> {
        self.routes.get(route_key).copied().or(self.all)
    }
}
