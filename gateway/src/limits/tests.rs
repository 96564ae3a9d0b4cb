use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use turnpike_limits::{Holder, Limit, LimitId, Loan, Rate, Refused, Report, Why};
use turnpike_rt::{Bell, Clock};

use super::*;
use crate::mailbox::Mailbox;
use crate::settings::Settings;

/// Two shards' sides, with the limiter between them; the bells are rung and nobody listens.
struct Shards {
    limits: Vec<Limits>,
    line: LimiterLine,
}

impl Shards {
    fn start() -> Self {
        Self::with(Settings::defaults())
    }

    fn with(mut settings: Settings) -> Self {
        settings.cores = vec![0, 1];
        let mailboxes: Vec<Mailbox> = (0..2).map(|_| Mailbox::new(Bell::pair().unwrap().0)).collect();
        let clock = Clock::start();
        let line = LimiterLine::new(&settings, &mailboxes, clock, None).unwrap();
        let limits = mailboxes.into_iter().enumerate();
        let limits =
            limits.map(|(shard, mailbox)| Limits::new(shard, &settings, line.clone(), mailbox, clock));
        Self { limits: limits.collect(), line }
    }

    /// What a request is told, which it is at once.
    fn take(&self, shard: usize, limit: Limit) -> Result<(), Refused> {
        let limits = [limit];
        let mut taken = pin!(async { self.limits[shard].take(&limits, 1).await });
        match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => told,
            Poll::Pending => panic!("nobody else has the limiter"),
        }
    }
}

fn limit(burst: u32) -> Limit {
    Limit { id: LimitId(7), rate: Rate::per_1000_s(1, burst) }
}

#[test]
fn requests_of_all_shards_share_a_burst() {
    let shards = Shards::start();
    for turn in 0..4 {
        assert_eq!(shards.take(turn % 2, limit(4)), Ok(()));
    }
    for shard in [0, 1] {
        let refused = shards.take(shard, limit(4)).unwrap_err();
        assert_eq!((refused.limit, refused.why), (0, Why::Empty));
    }
    // Who got the last token knew without asking.
    let figures = shards.line.figures();
    assert_eq!((figures.granted_tokens_total, figures.limits, figures.empty_total), (4, 1, 1));
}

#[test]
fn what_another_shard_has_to_hear_is_heard_by_who_has_the_limiter() {
    let shards = Shards::start();
    let asked = [limit(1)];
    let mut taken = pin!(async { shards.limits[0].take(&asked, 1).await });
    let mut poll = || taken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(shards.line.while_away(&mut poll).is_pending());
    assert_eq!(shards.limits[0].waiting(), 1);
    assert!(shards.take(1, limit(1)).is_err(), "the other was first");
    assert!(poll().is_pending());
    shards.limits[0].hear();
    assert_eq!(poll(), Poll::Ready(Ok(())));
}

#[test]
fn who_finds_the_queue_full_has_the_limiter_hear_of_it_and_waits() {
    let mut settings = Settings::defaults();
    settings.limit_wait_ms = 10_000;
    let shards = Shards::with(settings);
    let report = Report {
        holder: Holder(1),
        limit: limit(9),
        version: 1,
        spent: 0,
        spent_us: 0,
        returned: 0,
        loan: Loan::default(),
        ask: None,
    };
    shards.line.while_away(|| while shards.line.report(1, report).is_ok() {});
    let asked = [limit(4)];
    let mut taken = pin!(async { shards.limits[0].take(&asked, 1).await });
    let mut poll = || taken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending(), "it is asked for, behind all that is there");
    spin("answer", || {
        shards.limits[0].tick();
        poll() == Poll::Ready(Ok(()))
    });
}

#[test]
fn who_goes_away_while_waiting_leaves_nothing_behind() {
    let shards = Shards::start();
    let limits = &shards.limits[0];
    shards.line.while_away(|| {
        let asked = [limit(1)];
        let mut taken = pin!(async { limits.take(&asked, 1).await });
        assert!(taken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!((limits.waiting(), limits.leases()), (1, 1));
    });
    assert_eq!(limits.waiting(), 0);
    // The token that comes in vain goes home, and is the other shard's.
    for _ in 0..3 {
        limits.tick();
    }
    assert_eq!((limits.take_counts().grants, limits.leases()), (1, 0));
    assert_eq!(shards.take(1, limit(1)), Ok(()));
}

#[test]
fn a_shard_that_ends_returns_what_it_has() {
    let shards = Shards::start();
    for _ in 0..8 {
        assert_eq!(shards.take(0, limit(40)), Ok(()));
    }
    shards.limits[0].close();
    shards.line.end(0);
    assert_eq!((0..50).filter(|_| shards.take(1, limit(40)).is_ok()).count(), 40 - 8);
}

#[test]
fn who_waits_is_told_by_the_tick_when_it_was_too_long() {
    let mut settings = Settings::defaults();
    settings.limit_wait_ms = 0;
    let shards = Shards::with(settings);
    let limits = &shards.limits[0];
    let asked = [limit(1)];
    let mut taken = pin!(async { limits.take(&asked, 1).await });
    let mut poll = || taken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    shards.line.while_away(|| {
        assert!(poll().is_pending());
        limits.tick();
    });
    assert!(matches!(poll(), Poll::Ready(Err(Refused { why: Why::TimedOut, .. }))));
}

/// Several shards at once, each on a thread, that all ask in the same moment, and none of them any more until all have
/// their answers: no report is left behind, and no token is made or lost.
#[test]
fn shards_that_meet_at_the_limiter_get_their_answers() {
    const SHARDS: usize = 3;
    const ROUNDS: usize = 10_000;
    let mut settings = Settings::defaults();
    settings.cores = (0..SHARDS).collect();
    let mailboxes: Vec<Mailbox> = (0..SHARDS).map(|_| Mailbox::new(Bell::pair().unwrap().0)).collect();
    let clock = Clock::start();
    let line = LimiterLine::new(&settings, &mailboxes, clock, None).unwrap();
    let arrived = AtomicUsize::new(0);
    let admitted: usize = std::thread::scope(|scope| {
        let shards = mailboxes.into_iter().enumerate().map(|(shard, mailbox)| {
            let (settings, line, arrived) = (&settings, &line, &arrived);
            scope.spawn(move || {
                let limits = Limits::new(shard, settings, line.clone(), mailbox, clock);
                let rounds = (0..ROUNDS).filter(|round| {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    spin("meeting", || arrived.load(Ordering::SeqCst) >= (round + 1) * SHARDS);
                    is_admitted(&limits, LimitId(*round as u64))
                });
                rounds.count()
            })
        });
        let shards: Vec<_> = shards.collect();
        shards.into_iter().map(|shard| shard.join().unwrap()).sum()
    });
    assert_eq!(admitted, 2 * ROUNDS, "two of three");
}

/// Waits as a shard does that hears its bell, without a tick.
fn is_admitted(limits: &Limits, id: LimitId) -> bool {
    let asked = [Limit { id, ..limit(2) }];
    let mut taken = pin!(async { limits.take(&asked, 1).await });
    let mut told = None;
    spin("answer", || {
        limits.hear();
        told = match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told.is_ok()),
            Poll::Pending => None,
        };
        told.is_some()
    });
    told.unwrap()
}

#[track_caller]
fn spin(what: &str, mut is: impl FnMut() -> bool) {
    for turn in 0..20_000_000 {
        if is() {
            return;
        }
        if turn > 1_000 {
            std::thread::yield_now();
        }
    }
    panic!("no {what}");
}
