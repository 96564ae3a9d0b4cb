//! Limits of rate and burst, wherever they are set.

use rkyv::{Archive, Deserialize, Serialize};

/// A token bucket: a request takes a token.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Throttle {
    /// What the bucket gets in 1,000 seconds: AWS takes fractions of a request a second. 0 refuses everything.
    pub requests_per_1000_s: u64,
    /// What the bucket holds; 0 refuses everything.
    pub burst_requests: u32,
    /// In what was padding, and 0 there, in all formats before it was a member: it needed no new one.
    pub partition: Partition,
}

impl Throttle {
    /// With what a gateway's own setting says of partitions.
    #[must_use]
    pub const fn new(requests_per_1000_s: u64, burst_requests: u32) -> Self {
        Self { requests_per_1000_s, burst_requests, partition: Partition::Unsaid }
    }
}

/// Alignment leaves four bytes, of which `partition` takes one.
const _: () = assert!(size_of::<ArchivedThrottle>() == 16);

/// What a throttle lets through at a gateway that can't reach the store which it shares its throttles in.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[rkyv(derive(Debug))]
#[repr(u8)]
pub enum Partition {
    /// What the gateway's own setting says.
    #[default]
    Unsaid = 0,
    /// Its share of rate and burst.
    Share = 1,
    Closed = 2,
    Open = 3,
}
