//! The limiter: the authority for all throttles, of which there is one, wherever it is just needed.
//!
//! It lies in a queue of one place. Whoever has put a report into the other queue tries to take it, hears all reports
//! that are there, whoever they are of, sends the answers, and puts it back. Who doesn't find it goes on: the one who has
//! it looks once more after putting it back, so that no report is left behind. Nobody ever waits for it.
//!
//! So an ask costs a quarter of a microsecond and is answered at once. A thread for it, which was tried first, costs two
//! wake-ups: beside four busy shards on four cores 5 us at the median and 10 ms at the 99.9th percentile.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crossbeam::queue::ArrayQueue;
use tokio::sync::mpsc::Sender;
use turnpike_limits::{
    Answer, Exchange, Holder, Host, HostRules, Limiter, LimiterCounts, LimiterRules, Report,
};
use turnpike_rt::Clock;

use super::store::{self, FromStore};
use crate::mailbox::Mailbox;
use crate::settings::Settings;

/// Messages that the limiter may be behind by, 1.5 MiB; a shard that finds the queue full refuses its requests.
const QUEUE_MESSAGES_MAX: usize = 16_384;
/// After so many messages, some 60 us, a shard returns to its requests; the rest is heard by the next that comes, or with
/// its next tick.
const PASS_MESSAGES_MAX: usize = 256;
/// How often it is looked for throttles that can be forgotten, and at how many: at a million in ten seconds.
const SWEEP_EVERY_US: u64 = 10_000;
const SWEEP_LIMITS: usize = 1_000;
/// Of one who has the limiter and isn't a shard.
const NO_SHARD: usize = usize::MAX;

/// What shards and the store tell the limiter.
#[derive(Debug)]
enum ToLimiter {
    Report(Report),
    /// Nothing more comes of this shard.
    Ended(Holder),
    Store(FromStore),
}

/// Where shards meet the limiter.
#[derive(Debug, Clone)]
pub(crate) struct LimiterLine(Arc<Shared>);

/// What the limiter counts, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LimiterFigures {
    pub(crate) limits: u64,
    pub(crate) granted_tokens_total: u64,
    pub(crate) empty_total: u64,
    pub(crate) crowded_total: u64,
    /// Of the store; 0 without one.
    pub(crate) store_exchanges_total: u64,
    pub(crate) store_errors_total: u64,
    pub(crate) store_gateways: u64,
    pub(crate) store_partitioned: u64,
}

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<ToLimiter>,
    /// Empty while somebody has it.
    authority: ArrayQueue<Box<Authority>>,
    clock: Clock,
    figures: [AtomicU64; 4],
    store: StoreCounts,
}

#[derive(Debug, Default)]
struct StoreCounts {
    exchanges: AtomicU64,
    errors: AtomicU64,
    gateways: AtomicU64,
    partitioned: AtomicU64,
}

impl LimiterLine {
    /// For the shards with these mailboxes.
    ///
    /// # Errors
    /// The store's connection can't be prepared.
    pub(crate) fn new(settings: &Settings, mailboxes: &[Mailbox], clock: Clock) -> io::Result<Self> {
        let (store, exchanges) = store::prepare(settings)?.unzip();
        let shared = Shared {
            queue: ArrayQueue::new(QUEUE_MESSAGES_MAX),
            authority: ArrayQueue::new(1),
            clock,
            figures: Default::default(),
            store: StoreCounts::default(),
        };
        shared.put_back(Box::new(Authority {
            source: Source::new(settings, mailboxes.len(), exchanges),
            answers: mailboxes.iter().cloned().map(Answers::new).collect(),
            unsent: Vec::new(),
            swept_us: 0,
        }));
        let line = Self(Arc::new(shared));
        if let Some(store) = store {
            store.start(line.clone())?;
        }
        Ok(line)
    }

    /// Gives the report back if the limiter is too far behind; to be followed by [`attend`](Self::attend).
    pub(super) fn report(&self, shard: usize, report: Report) -> Result<(), Report> {
        self.send(shard, ToLimiter::Report(report)).map_err(|_| report)
    }

    /// Has the limiter hear what it was told, unless another shard does. Answers for `shard` are in its mailbox then,
    /// without its bell.
    pub(super) fn attend(&self, shard: usize) {
        self.0.attend(shard);
    }

    /// A shard has ended. Where the limiter is too far behind to hear of it, the shard's tokens stay away.
    pub(crate) fn end(&self, shard: usize) {
        let _ = self.send(shard, ToLimiter::Ended(Holder(shard as u16)));
        self.0.attend(shard);
    }

    /// A full queue is heard first, unless another shard has the limiter.
    fn send(&self, shard: usize, message: ToLimiter) -> Result<(), ToLimiter> {
        self.0.queue.push(message).or_else(|message| {
            self.0.attend(shard);
            self.0.queue.push(message)
        })
    }

    /// Does something while another shard has the limiter.
    #[cfg(test)]
    pub(super) fn while_away<T>(&self, what: impl FnOnce() -> T) -> T {
        let authority = self.0.authority.pop().expect("nobody has it");
        let done = what();
        self.0.put_back(authority);
        done
    }

    pub(crate) fn figures(&self) -> LimiterFigures {
        let [limits, granted_tokens_total, empty_total, crowded_total] =
            std::array::from_fn(|index| self.0.figures[index].load(Ordering::Relaxed));
        let store = &self.0.store;
        LimiterFigures {
            limits,
            granted_tokens_total,
            empty_total,
            crowded_total,
            store_exchanges_total: store.exchanges.load(Ordering::Relaxed),
            store_errors_total: store.errors.load(Ordering::Relaxed),
            store_gateways: store.gateways.load(Ordering::Relaxed),
            store_partitioned: store.partitioned.load(Ordering::Relaxed),
        }
    }

    /// False where the limiter is too far behind; to be followed by [`attend_for_store`](Self::attend_for_store).
    pub(super) fn tell(&self, message: FromStore) -> bool {
        self.0.queue.push(ToLimiter::Store(message)).is_ok()
    }

    /// As [`attend`](Self::attend), with every shard's bell.
    pub(super) fn attend_for_store(&self) {
        self.0.attend(NO_SHARD);
    }

    pub(super) fn count_store_exchanges(&self, exchanges: usize) {
        self.0.store.exchanges.fetch_add(exchanges as u64, Ordering::Relaxed);
    }

    pub(super) fn count_store_error(&self) {
        self.0.store.errors.fetch_add(1, Ordering::Relaxed);
    }
}

impl StoreCounts {
    fn note(&self, message: &FromStore) {
        match message {
            FromStore::Reply(_) => {}
            FromStore::Gateways(gateways) => self.gateways.store(u64::from(*gateways), Ordering::Relaxed),
            FromStore::Cut(cut) => self.partitioned.store(u64::from(!cut.is_empty()), Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn attend(&self, shard: usize) {
        let mut heard = 0;
        while heard < PASS_MESSAGES_MAX {
            // Pairs with the fence below: of one who brings a report and one who puts the authority back, one sees what the
            // other did.
            fence(Ordering::SeqCst);
            let Some(mut authority) = self.authority.pop() else { return };
            // Behind by a pass at most, which only makes buckets fill later.
            let now_us = self.clock.now_us();
            heard += authority.hear(&self.queue, &self.store, now_us);
            authority.lease(now_us);
            authority.deliver(shard);
            authority.sweep(now_us);
            self.publish_figures(&authority.source);
            self.put_back(authority);
            fence(Ordering::SeqCst);
            if self.queue.is_empty() {
                return;
            }
        }
    }

    fn put_back(&self, authority: Box<Authority>) {
        // There is but one, and its place is free.
        let _ = self.authority.push(authority);
    }

    fn publish_figures(&self, source: &Source) {
        let (limits, counts) = source.counts();
        let figures = [limits as u64, counts.granted_tokens, counts.empty, counts.crowded];
        for (published, figure) in self.figures.iter().zip(figures) {
            published.store(figure, Ordering::Relaxed);
        }
    }
}

/// Where tokens come from.
#[derive(Debug)]
enum Source {
    /// This gateway keeps its own throttles.
    Alone(Limiter),
    /// A store does, for several.
    Leased(Box<Host>, Sender<Exchange>),
}

impl Source {
    fn new(settings: &Settings, holders: usize, exchanges: Option<Sender<Exchange>>) -> Self {
        let limits_max = settings.limits_max;
        let Some(exchanges) = exchanges else {
            return Self::Alone(Limiter::new(LimiterRules { holders, limits_max }));
        };
        let (lease_us, partition) = (settings.limits_store_lease_ms * 1_000, settings.limits_partition);
        let host = Host::new(HostRules { holders, limits_max, lease_us, partition });
        Self::Leased(Box::new(host), exchanges)
    }

    fn handle(&mut self, report: &Report, now_us: u64) -> Option<Answer> {
        match self {
            Self::Alone(limiter) => limiter.handle(report, now_us),
            Self::Leased(host, _) => {
                host.handle(report, now_us);
                None
            }
        }
    }

    fn end(&mut self, holder: Holder, now_us: u64) {
        match self {
            Self::Alone(limiter) => limiter.end(holder, now_us),
            Self::Leased(host, _) => host.end(holder, now_us),
        }
    }

    fn hear_store(&mut self, message: &FromStore, now_us: u64) {
        let Self::Leased(host, _) = self else { return };
        match message {
            FromStore::Reply(reply) => host.handle_reply(reply, now_us),
            FromStore::Gateways(gateways) => host.handle_hosts(*gateways),
            FromStore::Cut(cut) => host.handle_cut(*cut, now_us),
        }
    }

    /// The next answer that wasn't given at once.
    fn poll_answer(&mut self) -> Option<Answer> {
        match self {
            Self::Alone(_) => None,
            Self::Leased(host, _) => host.poll_answer(),
        }
    }

    /// Tells the store what there is to tell; what it is too far behind for, later.
    fn tell_store(&mut self, now_us: u64) {
        let Self::Leased(host, exchanges) = self else { return };
        host.tick(now_us);
        while let Ok(permit) = exchanges.try_reserve() {
            let Some(exchange) = host.poll_exchange(now_us) else { return };
            permit.send(exchange);
        }
    }

    fn sweep(&mut self, now_us: u64) {
        if let Self::Alone(limiter) = self {
            limiter.sweep(SWEEP_LIMITS, now_us);
        }
    }

    fn counts(&self) -> (usize, LimiterCounts) {
        match self {
            Self::Alone(limiter) => (limiter.len(), limiter.counts()),
            Self::Leased(host, _) => (host.len(), host.counts()),
        }
    }
}

#[derive(Debug)]
struct Authority {
    source: Source,
    answers: Vec<Answers>,
    /// Shards that are to be told something.
    unsent: Vec<usize>,
    swept_us: u64,
}

impl Authority {
    /// How many messages there were.
    fn hear(&mut self, queue: &ArrayQueue<ToLimiter>, counts: &StoreCounts, now_us: u64) -> usize {
        let mut heard = 0;
        while heard < PASS_MESSAGES_MAX
            && let Some(message) = queue.pop()
        {
            heard += 1;
            match message {
                ToLimiter::Report(report) => {
                    if let Some(answer) = self.source.handle(&report, now_us) {
                        self.answer(answer);
                    }
                }
                ToLimiter::Ended(holder) => {
                    self.source.end(holder, now_us);
                    self.answers[usize::from(holder.0)].end();
                }
                ToLimiter::Store(message) => {
                    self.source.hear_store(&message, now_us);
                    counts.note(&message);
                }
            }
        }
        heard
    }

    /// Tells the store what there is to tell, and the shards what it has answered.
    fn lease(&mut self, now_us: u64) {
        self.source.tell_store(now_us);
        while let Some(answer) = self.source.poll_answer() {
            self.answer(answer);
        }
    }

    fn answer(&mut self, answer: Answer) {
        let shard = usize::from(answer.holder.0);
        let answers = &mut self.answers[shard];
        if answers.kept.is_empty() {
            self.unsent.push(shard);
        }
        answers.add(answer);
    }

    /// What a full queue has no place for is delivered with the next pass.
    fn deliver(&mut self, own: usize) {
        self.unsent.retain(|shard| !self.answers[*shard].deliver(*shard != own));
    }

    fn sweep(&mut self, now_us: u64) {
        if now_us.saturating_sub(self.swept_us) >= SWEEP_EVERY_US {
            self.swept_us = now_us;
            self.source.sweep(now_us);
        }
    }
}

/// What a shard is to be told.
#[derive(Debug)]
struct Answers {
    mailbox: Mailbox,
    /// At most as many as it has leases, each of which asks once at a time.
    kept: VecDeque<Answer>,
    ended: bool,
}

impl Answers {
    fn new(mailbox: Mailbox) -> Self {
        Self { mailbox, kept: VecDeque::new(), ended: false }
    }

    fn add(&mut self, answer: Answer) {
        if !self.ended {
            self.kept.push_back(answer);
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.kept.clear();
    }

    /// Whether nothing is left.
    fn deliver(&mut self, rings: bool) -> bool {
        while let Some(answer) = self.kept.pop_front() {
            if let Err(answer) = self.mailbox.answer(answer) {
                self.kept.push_front(answer);
                break;
            }
        }
        if rings {
            self.mailbox.ring();
        }
        self.kept.is_empty()
    }
}
