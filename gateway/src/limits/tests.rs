use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use turnpike_limits::{Limit, LimitId, Rate, Refused, Why};
use turnpike_rt::{Bell, Clock};

use super::*;
use crate::mailbox::Mailbox;
use crate::settings::Settings;

/// Two shards' sides, with the limiter's thread behind them; the bells are rung and nobody listens.
struct Shards {
    clock: Clock,
    mailboxes: Vec<Mailbox>,
    limits: Vec<Limits>,
    line: LimiterLine,
}

impl Shards {
    fn start() -> Self {
        let mut settings = Settings::defaults();
        settings.cores = vec![0, 1];
        let mailboxes: Vec<Mailbox> = (0..2).map(|_| Mailbox::new(Bell::pair().unwrap().0)).collect();
        let clock = Clock::start();
        let line = start(&settings, mailboxes.clone(), clock).unwrap();
        let limits = (0..2).map(|shard| Limits::new(shard, &settings, line.clone())).collect();
        Self { clock, mailboxes, limits, line }
    }

    fn hear(&self, shard: usize) {
        let mailbox = &self.mailboxes[shard];
        self.limits[shard].hear(std::iter::from_fn(|| mailbox.receive_answer()), self.clock.now_us());
    }

    /// What a request is told, once it is.
    fn take(&self, shard: usize, limit: Limit) -> Result<(), Refused> {
        let limits = [limit];
        let mut taken = pin!(self.limits[shard].take(&limits, 1, self.clock.now_us()));
        let mut polled = None;
        until("a verdict", || {
            self.hear(shard);
            polled = match taken.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(told) => Some(told),
                Poll::Pending => None,
            };
            polled.is_some()
        });
        polled.unwrap()
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        (0..2).for_each(|shard| self.line.end(shard));
    }
}

#[track_caller]
fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no {what} within ten seconds");
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
    let figures = || shards.line.figures();
    until("figure", || {
        figures().granted_tokens_total == 4 && figures().limits == 1 && figures().empty_total >= 1
    });
}

#[test]
fn who_goes_away_while_waiting_leaves_nothing_behind() {
    let shards = Shards::start();
    let limits = &shards.limits[0];
    {
        let asked = [limit(1)];
        let mut taken = pin!(limits.take(&asked, 1, 0));
        assert!(taken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!((limits.waiting(), limits.leases()), (1, 1));
    }
    assert_eq!(limits.waiting(), 0);
    // The token that comes in vain goes home, and is the other shard's.
    until("answer", || {
        shards.hear(0);
        limits.take_counts().grants == 1
    });
    (0..2).for_each(|_| limits.tick(shards.clock.now_us()));
    assert_eq!(limits.leases(), 0);
    until("token", || shards.take(1, limit(1)).is_ok());
}

#[test]
fn a_shard_that_ends_returns_what_it_has() {
    let shards = Shards::start();
    for _ in 0..8 {
        assert_eq!(shards.take(0, limit(40)), Ok(()));
    }
    shards.limits[0].close();
    shards.line.end(0);
    let mut admitted = 0;
    until("last token", || {
        admitted += u32::from(shards.take(1, limit(40)).is_ok());
        admitted == 40 - 8
    });
    assert!(shards.take(1, limit(40)).is_err());
}

#[test]
fn who_waits_is_told_by_the_tick_when_it_was_too_long() {
    let shards = Shards::start();
    let limits = &shards.limits[0];
    let asked = [limit(1)];
    let mut taken = pin!(limits.take(&asked, 1, 0));
    assert!(taken.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    limits.tick(50_000);
    let told = taken.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(told, Poll::Ready(Err(Refused { why: Why::TimedOut, .. }))), "{told:?}");
}
