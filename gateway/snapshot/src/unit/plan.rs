//! Usage plans and the API keys that are in them.

use rkyv::{Archive, Deserialize, Serialize};

use super::Throttle;

/// Who may use which stages, how fast and how much.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct UsagePlanUnit {
    /// No other usage plan of the root has it.
    pub id: String,
    /// Of each key, over all stages of the plan.
    pub throttle: Option<Throttle>,
    /// Of each key, over all stages of the plan.
    pub quota: Option<Quota>,
    /// Each stage once; they needn't be in the root.
    pub stages: Vec<PlanStage>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Quota {
    pub requests: u64,
    pub period: QuotaPeriod,
    /// On which day of the week (0 is Sunday, up to 6) or of the month (0 is the first, up to 27) a period begins, at
    /// midnight UTC; 0 of a day.
    pub offset_days: u8,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum QuotaPeriod {
    Day,
    Week,
    Month,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct PlanStage {
    pub api_id: String,
    pub stage: String,
    pub routes: Vec<PlanRoute>,
}

/// A further throttle of each key, of one route.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct PlanRoute {
    /// As in [`Route`](super::Route); the stage needn't have such a route.
    pub method: String,
    pub path: String,
    pub throttle: Throttle,
}

/// A slice of the API keys that are enabled and in a usage plan: a change of one key moves one slice. A root leaves those
/// out that no key is in.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ApiKeysUnit {
    /// Which one of `slices`: of each key, [`ApiKey::slice_of`] yields it.
    pub slice: u32,
    /// The same in all units of the root.
    pub slices: u32,
    /// Ids of the usage plans that keys point at.
    pub plans: Vec<String>,
    /// In order of their values' digests, each once.
    pub keys: Vec<ApiKey>,
}

#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ApiKey {
    pub id: String,
    /// Of the value that callers show: values themselves are nowhere in a snapshot.
    pub value_sha256: [u8; 32],
    /// Indexes into the unit's plans. At most one of them has a given stage.
    pub plans: Vec<u32>,
}

impl ApiKey {
    /// The slice of a key with this digest: digests in order are slices in order.
    #[must_use]
    pub fn slice_of(value_sha256: &[u8; 32], slices: u32) -> u32 {
        let [first, second, third, fourth, ..] = *value_sha256;
        let leading = u64::from(u32::from_be_bytes([first, second, third, fourth]));
        // Below `slices`, since `leading` is below 2^32.
        ((leading * u64::from(slices)) >> 32) as u32
    }
}
