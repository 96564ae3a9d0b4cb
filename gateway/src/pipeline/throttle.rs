//! Throttle: takes a token of each limit that the request comes under: the account's, its route's, and those of its
//! caller's usage plan.
//!
//! Mostly they are in the shard's hands; else the limiter is asked, which answers at once unless another shard has it: the
//! request waits then, `limit_wait_ms` at most. Where none is
//! left it is refused with AWS's 429. (AWS: throttle requests to your REST APIs, your HTTP
//! APIs; usage plans.)

use turnpike_limits::{Limit, LimitId, Rate, Why};

use super::route::{Address, Selected};
use super::{Exchange, Failure, Refusal};
use crate::stats::RefusalKind;
use crate::table::{Caller, Route};

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
/// Behind those that there are.
const NO_LIMIT: Limit = Limit { id: LimitId(0), rate: Rate::per_1000_s(0, 0) };

/// The limits that a request comes under.
pub(super) struct Applied {
    limits: [Limit; LEVELS],
    levels: [Level; LEVELS],
    count: usize,
}

/// Whether nothing limits the request, no throttle and no caller's quota, so that it waits for nothing.
pub(super) fn is_free(
    exchange: &Exchange<'_>,
    selected: &Selected<'_, '_>,
    caller: Option<Caller<'_>>,
) -> bool {
    caller.is_none() && exchange.table.throttle.is_none() && selected.matched.route.throttle.is_none()
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
        let mut applied = Self { limits: [NO_LIMIT; LEVELS], levels: [Level::Account; LEVELS], count: 0 };
        applied.add(Level::Account, exchange.table.throttle);
        applied.add(Level::Route, route.throttle);
        if let Some(caller) = caller {
            applied.add(Level::Plan, caller.throttle());
            applied.add(Level::PlanRoute, caller.route_throttle(route));
        }
        (applied.count > 0).then_some(applied)
    }

    fn add(&mut self, level: Level, limit: Option<Limit>) {
        let Some(limit) = limit else { return };
        self.limits[self.count] = limit;
        self.levels[self.count] = level;
        self.count += 1;
    }

    #[cfg(test)]
    pub(super) fn of(limits: &[(Level, Limit)]) -> Self {
        let mut applied = Self { limits: [NO_LIMIT; LEVELS], levels: [Level::Account; LEVELS], count: 0 };
        limits.iter().for_each(|(level, limit)| applied.add(*level, Some(*limit)));
        applied
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
