//! Throttle: takes a token of each limit that the request comes under: the account's, its route's, and those of its
//! caller's usage plan.
//!
//! Mostly they are in the shard's hands; else the limiter is asked, which answers at once unless another shard has it: the
//! request waits then, `limit_wait_ms` at most. Where none is
//! left it is refused with AWS's 429. (AWS: throttle requests to your REST APIs, your HTTP
//! APIs; usage plans.)

use turnpike_limits::{Limit, Why};

use super::route::Selected;
use super::{Exchange, Failure, Refusal};
use crate::stats::RefusalKind;
use crate::table::{Address, Caller, Route};

/// Why a request got no tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    /// This one has none left, and none comes before that time of the shard's clock, where it is known.
    Empty(Level, Option<u64>),
    TimedOut,
    Crowded,
}

/// Whose limit it is; the broadest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Account,
    Route,
    /// Of the caller's key.
    Plan,
    /// Of the caller's key, for the route.
    PlanRoute,
}

const LEVELS: usize = 4;

/// The limits that a request comes under.
pub(super) struct Applied {
    limits: [Limit; LEVELS],
    levels: [Level; LEVELS],
    count: usize,
}

pub(super) async fn check(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    selected: &Selected<'_, '_>,
    caller: Option<Caller<'_>>,
) -> Result<(), Failure> {
    let Some(applied) = Applied::to(exchange, selected.matched.route, caller) else { return Ok(()) };
    let taken = exchange.shard.limits.take(applied.limits(), exchange.table.generation).await;
    taken.map_err(|refused| {
        let throttled = match refused.why {
            Why::Empty | Why::Closed => Throttled::Empty(applied.levels[refused.limit], refused.retry_at_us),
            Why::TimedOut => Throttled::TimedOut,
            Why::Crowded => Throttled::Crowded,
        };
        Refusal::Throttled(throttled, address.stage.protocol).into()
    })
}

impl Applied {
    pub(super) fn to(exchange: &Exchange<'_>, route: &Route, caller: Option<Caller<'_>>) -> Option<Self> {
        let all = [
            (Level::Account, exchange.table.throttle),
            (Level::Route, route.throttle),
            (Level::Plan, caller.and_then(|caller| caller.throttle())),
            (Level::PlanRoute, caller.and_then(|caller| caller.route_throttle(route))),
        ];
        Self::of(all.into_iter().filter_map(|(level, limit)| Some((level, limit?))))
    }

    pub(super) fn of(mut there: impl Iterator<Item = (Level, Limit)>) -> Option<Self> {
        let (level, limit) = there.next()?;
        let mut applied = Self { limits: [limit; LEVELS], levels: [level; LEVELS], count: 1 };
        for (level, limit) in there {
            applied.limits[applied.count] = limit;
            applied.levels[applied.count] = level;
            applied.count += 1;
        }
        Some(applied)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Level, Limit)> {
        self.levels.into_iter().zip(self.limits).take(self.count)
    }

    fn limits(&self) -> &[Limit] {
        &self.limits[..self.count]
    }
}

impl Throttled {
    pub(super) fn kind(self) -> RefusalKind {
        match self {
            Self::Empty(Level::Account, _) => RefusalKind::ThrottledAccount,
            Self::Empty(Level::Route, _) => RefusalKind::ThrottledRoute,
            Self::Empty(Level::Plan, _) => RefusalKind::ThrottledPlan,
            Self::Empty(Level::PlanRoute, _) => RefusalKind::ThrottledPlanRoute,
            Self::TimedOut => RefusalKind::ThrottleTimeout,
            Self::Crowded => RefusalKind::ThrottleCrowded,
        }
    }
}
