use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use turnpike_limits::{Answer, Holder, Limit, LimitId, Rate, Refused, Why};
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

/// With a queue that is full but for one message: what is found out while another request goes on is told before its
/// ticket is given away again.
#[test]
fn who_waits_for_what_couldnt_be_asked_is_told_so_and_nobody_else() {
    let line = LimiterLine::unheard(1);
    let limits = Limits::new(0, &Settings::defaults(), line.clone());
    let numbered = |id| [Limit { id: LimitId(id), ..limit(100) }];
    let [busy, first, second, third] = [1, 2, 3, 4].map(numbered);
    let mut context = Context::from_waker(Waker::noop());
    let mut began = pin!(limits.take(&busy, 1, 0));
    assert!(began.as_mut().poll(&mut context).is_pending());
    line.hear_one().unwrap();
    let answer = Answer { holder: Holder(0), id: LimitId(1), version: 1, granted: 40, empty_until_us: 0 };
    limits.hear([answer].into_iter(), 1);
    assert_eq!(began.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    let admitted = |context: &mut Context<'_>| {
        let mut taken = pin!(limits.take(&busy, 1, 2));
        taken.as_mut().poll(context)
    };
    (0..8).for_each(|_| assert_eq!(admitted(&mut context), Poll::Ready(Ok(()))));
    // Fills the queue; then the report of what was spent finds it full, and stands before the second's ask.
    let mut asks = pin!(limits.take(&first, 1, 3));
    assert!(asks.as_mut().poll(&mut context).is_pending());
    limits.tick(4);
    let mut waits = pin!(limits.take(&second, 1, 5));
    assert!(waits.as_mut().poll(&mut context).is_pending());
    line.hear_one().unwrap();
    assert_eq!(admitted(&mut context), Poll::Ready(Ok(())));
    let mut comes = pin!(limits.take(&third, 1, 6));
    let told = comes.as_mut().poll(&mut context);
    assert!(told.is_pending(), "of another: {told:?}");
    let told = waits.as_mut().poll(&mut context);
    assert!(matches!(told, Poll::Ready(Err(Refused { why: Why::Crowded, .. }))), "{told:?}");
    assert_eq!(limits.waiting(), 2, "the first and the third");
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
