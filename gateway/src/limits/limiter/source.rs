//! Where tokens come from, and the change from one source to the next in an upgrade. It owns the limiter's buckets, or its
//! side of whoever has them; each source answers in its own time, and none is waited for.

use tokio::sync::mpsc::Sender;
use turnpike_limits::{
    Answer, Arriving, Departing, Exchange, Holder, Host, HostRules, Limiter, LimiterCounts, LimiterRules,
    Report, ToSuccessor,
};

use crate::limits::store::FromStore;
use crate::settings::Settings;

/// At how many throttles a sweep looks for some that can be forgotten.
const SWEEP_LIMITS: usize = 1_000;
/// What a successor hasn't been told yet, before shards are heard again.
const BACKLOG_MESSAGES_MAX: usize = 4_096;

/// Where tokens come from.
#[derive(Debug)]
pub(super) enum Source {
    /// This gateway keeps its own throttles.
    Alone(Limiter),
    /// The same, while there is a process that it succeeds.
    Arriving(Box<Arriving>),
    /// A process that succeeds this one keeps them.
    Departing(Box<Departing>, Sender<ToSuccessor>),
    /// A store does, for several.
    Leased(Box<Host>, Sender<Exchange>),
}

impl Source {
    pub(super) fn new(
        settings: &Settings,
        (shards, holders): (usize, usize),
        inherited_limits: usize,
        exchanges: Option<Sender<Exchange>>,
    ) -> Self {
        let limits_max = settings.limits_max;
        let Some(exchanges) = exchanges else {
            let limiter = Limiter::new(LimiterRules { holders, limits_max });
            return if holders > shards {
                let limiter = limiter.with_room_for(inherited_limits);
                Self::Arriving(Box::new(Arriving::new(limiter, shards as u16, limits_max)))
            } else {
                Self::Alone(limiter)
            };
        };
        let (lease_us, partition) = (settings.limits_store_lease_ms * 1_000, settings.limits_partition);
        let host = Host::new(HostRules { holders, limits_max, lease_us, partition });
        Self::Leased(Box::new(host), exchanges)
    }

    /// The limiter that it has, if it has one that is whole.
    pub(super) fn take_limiter(&mut self) -> Option<Limiter> {
        let nothing = Self::Alone(Limiter::new(LimiterRules { holders: 1, limits_max: 0 }));
        match std::mem::replace(self, nothing) {
            Self::Alone(limiter) => Some(limiter),
            Self::Arriving(arriving) if arriving.is_over() => Some(arriving.into_limiter()),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(super) fn is_arriving(&self) -> bool {
        matches!(self, Self::Arriving(arriving) if !arriving.is_over())
    }

    /// Whether its successor has to be told what it was told before it hears more.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self, Self::Departing(departing, _) if departing.backlog() >= BACKLOG_MESSAGES_MAX)
    }

    pub(super) fn handle(&mut self, report: &Report, now_us: u64) -> Option<Answer> {
        match self {
            Self::Alone(limiter) => limiter.handle(report, now_us),
            Self::Arriving(arriving) => arriving.handle(report, now_us),
            Self::Departing(departing, _) => departing.handle(report, now_us),
            Self::Leased(host, _) => {
                host.handle(report, now_us);
                None
            }
        }
    }

    pub(super) fn end(&mut self, holder: Holder, now_us: u64) {
        match self {
            Self::Alone(limiter) => limiter.end(holder, now_us),
            Self::Arriving(arriving) => arriving.end(holder, now_us),
            Self::Departing(departing, _) => departing.end(holder),
            Self::Leased(host, _) => host.end(holder, now_us),
        }
    }

    pub(super) fn hear_store(&mut self, message: &FromStore, now_us: u64) {
        let Self::Leased(host, _) = self else { return };
        match message {
            FromStore::Reply(reply) => host.handle_reply(reply, now_us),
            FromStore::Gateways(gateways) => host.handle_hosts(*gateways),
            FromStore::Cut(cut) => host.handle_cut(*cut, now_us),
        }
    }

    /// The next answer that wasn't given at once.
    pub(super) fn poll_answer(&mut self) -> Option<Answer> {
        match self {
            Self::Alone(_) | Self::Departing(..) => None,
            Self::Arriving(arriving) => arriving.poll_answer(),
            Self::Leased(host, _) => host.poll_answer(),
        }
    }

    /// Tells the store what there is to tell; what it is too far behind for, later.
    pub(super) fn tell_store(&mut self, now_us: u64) {
        let Self::Leased(host, exchanges) = self else { return };
        host.tick(now_us);
        while let Ok(permit) = exchanges.try_reserve() {
            let Some(exchange) = host.poll_exchange(now_us) else { return };
            permit.send(exchange);
        }
    }

    /// Tells the successor what there is to tell, as far as it has room.
    pub(super) fn tell_successor(&mut self, now_us: u64) {
        let Self::Departing(departing, successor) = self else { return };
        while let Ok(permit) = successor.try_reserve() {
            let Some(said) = departing.poll(now_us) else { return };
            permit.send(said);
        }
    }

    pub(super) fn sweep(&mut self, now_us: u64) {
        match self {
            Self::Alone(limiter) => limiter.sweep(SWEEP_LIMITS, now_us),
            Self::Arriving(arriving) => arriving.sweep(SWEEP_LIMITS, now_us),
            Self::Departing(..) | Self::Leased(..) => {}
        }
    }

    pub(super) fn counts(&self) -> (usize, LimiterCounts) {
        match self {
            Self::Alone(limiter) => (limiter.len(), limiter.counts()),
            Self::Arriving(arriving) => (arriving.limiter().len(), arriving.limiter().counts()),
            Self::Departing(departing, _) => (departing.len(), departing.counts()),
            Self::Leased(host, _) => (host.len(), host.counts()),
        }
    }
}
