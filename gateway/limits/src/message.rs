//! What an authority and those who hold its tokens tell each other.

use crate::Rate;

/// A limit's name, the same on every shard and every host: a hash of what it limits. With a million limits, two have
/// the same by a chance of 3 in 10^8, and would share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitId(pub u64);

/// A limit as a request comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub id: LimitId,
    pub rate: Rate,
}

/// Who holds tokens: a number below the authority's `holders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder(pub u16);

/// What a holder tells the authority of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub holder: Holder,
    pub limit: Limit,
    /// Of the configuration that `limit.rate` is from; an older one doesn't change a newer one's rate.
    pub version: u64,
    /// Tokens that were spent, none of them later than `spent_us`.
    pub spent: u32,
    pub spent_us: u64,
    /// Tokens that come back unused.
    pub returned: u32,
    /// Of which loan the tokens are that were spent or come back.
    pub loan: Loan,
    pub ask: Option<Ask>,
}

/// Tokens that an authority has only for a time, because it was lent them itself: what is said of another loan than
/// the one that it has says nothing of this one. 0 where they are its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loan(pub u64);

/// A wish for tokens, which is always answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// For requests that wait.
    pub needed: u32,
    /// Beyond those, by what was needed lately.
    pub liked: u32,
}

impl Report {
    /// Its answer, where there is nothing to be had until then.
    pub(crate) fn in_vain(&self, empty_until_us: u64) -> Answer {
        Answer {
            holder: self.holder,
            id: self.limit.id,
            version: self.version,
            granted: 0,
            loan: Loan::default(),
            valid_until_us: u64::MAX,
            empty_until_us,
        }
    }
}

/// What becomes of an [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub holder: Holder,
    pub id: LimitId,
    /// As the authority has it.
    pub version: u64,
    pub granted: u32,
    pub loan: Loan,
    /// When they, and those of the same loan that were granted before, must not be spent any more.
    pub valid_until_us: u64,
    /// There is no more until then, so that asking is in vain; 0 where there may be.
    pub empty_until_us: u64,
}
