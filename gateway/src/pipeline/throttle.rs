//! Throttle: takes a token of each limit that the request comes under, the account's and its route's.
//!
//! Mostly they are in the shard's hands; else the request waits for the limiter, `limit_wait_ms` at most. Where none is
//! left it is refused with AWS's 429. (AWS: throttle requests to your REST APIs, your HTTP APIs.)

use turnpike_limits::{Limit, Why};

use super::route::Selected;
use super::{Exchange, Failure, Refusal};
use crate::stats::RefusalKind;
use crate::table::Address;

/// Why a request got no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    /// This one has none left.
    Empty(Level),
    TimedOut,
    Crowded,
}

/// Whose limit it is; the broadest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Account,
    Route,
}

/// The limits that a request comes under.
struct Applied {
    limits: [Limit; 2],
    levels: [Level; 2],
    count: usize,
}

pub(super) async fn check(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    selected: &Selected<'_, '_>,
) -> Result<(), Failure> {
    let Some(applied) = applied(exchange.table.throttle, selected.matched.route.throttle) else {
        return Ok(());
    };
    let shard = exchange.shard;
    let taken = shard.limits.take(applied.limits(), exchange.table.version, shard.clock.now_us()).await;
    taken.map_err(|refused| {
        let throttled = match refused.why {
            Why::Empty | Why::Closed => Throttled::Empty(applied.levels[refused.limit]),
            Why::TimedOut => Throttled::TimedOut,
            Why::Crowded => Throttled::Crowded,
        };
        Refusal::Throttled(throttled, address.stage.protocol).into()
    })
}

fn applied(account: Option<Limit>, route: Option<Limit>) -> Option<Applied> {
    use Level::{Account, Route};
    let (limits, levels, count) = match (account, route) {
        (None, None) => return None,
        (Some(account), Some(route)) => ([account, route], [Account, Route], 2),
        (Some(account), None) => ([account; 2], [Account; 2], 1),
        (None, Some(route)) => ([route; 2], [Route; 2], 1),
    };
    Some(Applied { limits, levels, count })
}

impl Applied {
    fn limits(&self) -> &[Limit] {
        &self.limits[..self.count]
    }
}

impl Throttled {
    pub(super) fn kind(self) -> RefusalKind {
        match self {
            Self::Empty(Level::Account) => RefusalKind::ThrottledAccount,
            Self::Empty(Level::Route) => RefusalKind::ThrottledRoute,
            Self::TimedOut => RefusalKind::ThrottleTimeout,
            Self::Crowded => RefusalKind::ThrottleCrowded,
        }
    }
}
