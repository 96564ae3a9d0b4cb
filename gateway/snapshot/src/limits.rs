//! How large a configuration may be. Both sides hold one: control refuses to publish, and a
//! gateway refuses to load, what passes it.

use crate::frame::{
    HEADER_BYTES, QUOTA_ANSWERS_BYTES_MAX, QUOTA_ID_BYTES_MAX, QUOTA_REPORTS_BYTES_MAX, REASON_BYTES_MAX,
};

/// Upper bounds on what is decoded. Each is inclusive: a value equal to its limit is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One encoded unit, envelope included. 64 MiB holds about 500,000 routes.
    pub unit_bytes_max: usize,
    /// One encoded root, envelope included. 4 MiB holds `units_max` units of 36 bytes.
    pub root_bytes_max: usize,
    /// All units of one root together, as encoded; what a gateway holds decoded is about three times that.
    pub snapshot_bytes_max: u64,
    /// Units of one root.
    pub units_max: usize,
    /// Routes of one stage.
    pub routes_per_stage_max: usize,
    /// Integrations of one stage.
    pub integrations_per_stage_max: usize,
    /// Custom domains of the account.
    pub domains_max: usize,
    /// Mappings of one custom domain.
    pub mappings_per_domain_max: usize,
    /// Routing rules of one custom domain, which are looked at one after the other.
    pub rules_per_domain_max: usize,
    /// Header conditions of one routing rule, what each of them may match, and the rule's base paths.
    pub conditions_per_rule_max: usize,
    /// ACME challenges that are open at once.
    pub acme_challenges_max: usize,
    /// Certificates of one chain, DER, together; also of one trust store.
    pub certificates_bytes_max: usize,
    /// Targets of one group, as configured; what names resolve to is the gateway's to bound.
    pub targets_per_group_max: usize,
    /// Stages of one usage plan.
    pub stages_per_plan_max: usize,
    /// Routes of one stage that a usage plan throttles.
    pub routes_per_plan_stage_max: usize,
    /// API keys of one slice.
    pub keys_per_slice_max: usize,
    /// Usage plans of one key.
    pub plans_per_key_max: usize,
    /// What of a request tells a route's cache entries apart.
    pub cache_key_parts_max: usize,
    /// Tags that a stage's cache was purged of, which each look at an entry goes through.
    pub cache_purges_max: usize,
    /// An id, whatever it is of; also a name or tag of a cache, and a token of an ACME challenge. An API's own is shorter.
    pub id_bytes_max: usize,
    /// A route's path, a mapping's key or a rule's base path, and what a rule compares a header's value with.
    pub path_bytes_max: usize,
    /// The literal parts of an integration's path and its query, together.
    pub target_bytes_max: usize,
    /// Parts of an integration's path.
    pub target_parts_max: usize,
    /// Why a route is refused.
    pub reason_bytes_max: usize,
    /// The smallest body that a stage compresses. AWS's bound.
    pub compression_bytes_min_max: u32,
    /// An integration's timeout, and the times of a target group. AWS's ceilings (29 or 30 s) are control's to apply; this
    /// one only keeps a mistake from holding a connection for weeks, and 15 minutes is an arbitrary choice.
    pub timeout_ms_max: u32,
}

/// Path variables of one route, its greedy one included. No operator can raise it: matchit, which the gateway
/// routes by, gives each one a letter of its own and panics when they run out.
pub const VARIABLES_PER_ROUTE_MAX: usize = 25;

impl Limits {
    /// Bound on a frame that control sends, header included: the largest unit or root.
    #[must_use]
    pub fn control_frame_bytes_max(&self) -> usize {
        self.unit_bytes_max.max(self.root_bytes_max).max(MESSAGE_BYTES_MAX) + HEADER_BYTES
    }

    /// Bound on a frame that a gateway sends, header included: the names of all units, or reports of quotas.
    #[must_use]
    pub fn gateway_frame_bytes_max(&self) -> usize {
        self.units_max.saturating_mul(32).max(MESSAGE_BYTES_MAX).max(QUOTA_REPORTS_BYTES_MAX) + HEADER_BYTES
    }
}

/// The messages that carry no unit and no list of names: a reason and what it is about; answers about quotas.
const MESSAGE_BYTES_MAX: usize = REASON_BYTES_MAX + QUOTA_ANSWERS_BYTES_MAX;

impl Default for Limits {
    fn default() -> Self {
        Self {
            unit_bytes_max: 64 << 20,
            root_bytes_max: 4 << 20,
            snapshot_bytes_max: 1 << 30,
            units_max: 100_000,
            routes_per_stage_max: 100_000,
            integrations_per_stage_max: 100_000,
            domains_max: 10_000,
            mappings_per_domain_max: 10_000,
            rules_per_domain_max: 1_000,
            conditions_per_rule_max: 16,
            acme_challenges_max: 1_000,
            certificates_bytes_max: 1 << 20,
            targets_per_group_max: 1_000,
            stages_per_plan_max: 10_000,
            routes_per_plan_stage_max: 10_000,
            keys_per_slice_max: 100_000,
            plans_per_key_max: 1_000,
            cache_key_parts_max: 100,
            cache_purges_max: 1_000,
            // A longer plan's or key's would be in no report of its quota.
            id_bytes_max: QUOTA_ID_BYTES_MAX,
            path_bytes_max: 8 << 10,
            target_bytes_max: 16 << 10,
            target_parts_max: 256,
            reason_bytes_max: 1 << 10,
            compression_bytes_min_max: 10_485_760,
            timeout_ms_max: 900_000,
        }
    }
}
