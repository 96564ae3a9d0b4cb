//! When requests are due and which connection sends them: sans-I/O, the clock is passed in.
//!
//! Closed loop: a free connection sends at once. Open loop: a request has an intended time that no reply can move;
//! one that finds every connection busy waits, and its latency counts from the intended time, so a stalled server
//! shows in the tail instead of lowering the rate.
//! All times are nanoseconds since the run began. Invariant: while a request is due no connection stays parked after
//! `release` has run.

mod arrivals;
mod options;
mod profile;

use std::collections::VecDeque;
use std::sync::Arc;

pub use arrivals::{Places, Spacing, SplitMix};
pub(crate) use options::SEED_DEFAULT;
pub use options::{OpenLoop, PaceArgs};
pub use profile::{Part, Profile};

/// How requests follow each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// The next request follows the previous reply.
    Closed,
    /// Requests are intended when the profile's count reaches their places.
    Open { profile: Profile, places: Places },
    /// Requests are intended at these times, of which a reactor takes each so many from one on.
    Recorded { times_ns: Arc<[u64]>, next: usize, step: usize },
}

/// When a reactor stops sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// No request is intended at or after this time.
    At(u64),
    /// After this many requests, warm-up not included.
    After(u64),
}

/// Permission to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Latency counts from here.
    pub intended_ns: u64,
    /// False during the warm-up.
    pub recorded: bool,
}

/// What a free connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Send(Ticket),
    /// Nothing is due yet: park.
    Wait,
    /// The run is over for this connection.
    Over,
}

/// One reactor's share of the schedule, and its parked connections in the order in which they parked.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    stop: Stop,
    warmup_end_ns: u64,
    /// The open loop's next request, unless the profile has none left; `stop` may still forbid it.
    next: Option<Place>,
    claimed_recorded: u64,
    parked: VecDeque<usize>,
}

/// A request of the open loop.
#[derive(Debug, Clone, Copy)]
struct Place {
    count: f64,
    intended_ns: u64,
}

impl Schedule {
    pub fn new(mut pace: Pace, stop: Stop, warmup_end_ns: u64) -> Self {
        let next = pace.next_place();
        Self { pace, stop, warmup_end_ns, next, claimed_recorded: 0, parked: VecDeque::new() }
    }

    /// For a connection that has just become free.
    pub fn claim(&mut self, now_ns: u64) -> Claim {
        let over = match self.stop {
            Stop::At(end_ns) => now_ns >= end_ns,
            Stop::After(requests) => self.claimed_recorded >= requests,
        };
        if over {
            return Claim::Over;
        }
        if matches!(self.pace, Pace::Closed) {
            return Claim::Send(self.issue(now_ns));
        }
        match self.next_due_ns() {
            None => Claim::Over,
            Some(due_ns) if due_ns <= now_ns => Claim::Send(self.issue(due_ns)),
            Some(_) => Claim::Wait,
        }
    }

    /// Ends the run early: nothing is intended at or after `end_ns`.
    pub fn end_at(&mut self, end_ns: u64) {
        self.stop = match self.stop {
            Stop::At(earlier_ns) => Stop::At(earlier_ns.min(end_ns)),
            Stop::After(_) => Stop::At(end_ns),
        };
    }

    /// Puts a connection that was told to wait at the end of the queue.
    pub fn park(&mut self, connection: usize) {
        self.parked.push_back(connection);
    }

    /// Whether any connection waits for something to become due.
    pub fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// A parked connection and what it sends, while something is due. A generator that wakes late still sends what
    /// was intended before the end: a connection was free for it.
    pub fn release(&mut self, now_ns: u64) -> Option<(usize, Ticket)> {
        let due_ns = self.next_due_ns().filter(|due_ns| *due_ns <= now_ns)?;
        let connection = self.parked.pop_front()?;
        Some((connection, self.issue(due_ns)))
    }

    /// The parked connections, once the schedule is exhausted.
    pub fn unpark_all(&mut self) -> impl Iterator<Item = usize> + '_ {
        self.parked.drain(..)
    }

    /// When the next request of an open loop is intended; `None` when there is none, and in a closed loop.
    pub fn next_due_ns(&self) -> Option<u64> {
        let due_ns = self.next?.intended_ns;
        match self.stop {
            Stop::At(end_ns) => (due_ns < end_ns).then_some(due_ns),
            Stop::After(requests) => (self.claimed_recorded < requests).then_some(due_ns),
        }
    }

    /// How many requests are due and not sent: the open loop's queue. Of random arrivals, how many are to be expected.
    pub fn waiting(&self, now_ns: u64) -> u64 {
        let Some(next) = self.next else { return 0 };
        let limit_ns = match self.stop {
            Stop::At(end_ns) => now_ns.min(end_ns.saturating_sub(1)),
            Stop::After(_) => now_ns,
        };
        if limit_ns < next.intended_ns {
            return 0;
        }
        match &self.pace {
            Pace::Closed => 0,
            Pace::Open { profile, places } => places.between(next.count, profile.count_at(limit_ns as f64)),
            Pace::Recorded { times_ns, step, .. } => {
                let due = times_ns.partition_point(|time_ns| *time_ns <= limit_ns);
                due.saturating_sub(next.count as usize).div_ceil(*step) as u64
            }
        }
    }

    /// Takes a request that was intended before the end but found no free connection; `None` when all are taken.
    pub fn take_unsent(&mut self) -> Option<Ticket> {
        let Stop::At(_) = self.stop else { return None };
        let due_ns = self.next_due_ns()?;
        Some(self.issue(due_ns))
    }

    fn issue(&mut self, intended_ns: u64) -> Ticket {
        let recorded = intended_ns >= self.warmup_end_ns;
        self.claimed_recorded += u64::from(recorded);
        self.next = self.pace.next_place();
        Ticket { intended_ns, recorded }
    }
}

impl Pace {
    fn next_place(&mut self) -> Option<Place> {
        match self {
            Self::Closed => None,
            Self::Open { profile, places } => {
                let count = places.take();
                profile.time_of(count).map(|time_ns| Place { count, intended_ns: time_ns.round() as u64 })
            }
            Self::Recorded { times_ns, next, step } => {
                let count = *next;
                let intended_ns = *times_ns.get(count)?;
                *next += *step;
                Some(Place { count: count as f64, intended_ns })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn open(interval_ns: u64, end_ns: u64) -> Schedule {
        let profile = Profile::constant(1e9 / interval_ns as f64);
        let places = Places::new(Spacing::Constant, 0, 0, 1);
        Schedule::new(Pace::Open { profile, places }, Stop::At(end_ns), 0)
    }

    /// Plays a server that answers in `service_ns`, but nothing between `stall.0` and `stall.1`, to connections
    /// that are released as the reactor does it; returns each request's latency, unsent ones at the end included.
    fn play(mut schedule: Schedule, connections: usize, stall: (u64, u64), end_ns: u64) -> Vec<u64> {
        let step_ns = MS / 10;
        let service_ns = MS;
        let mut busy: Vec<Option<(Ticket, u64)>> = vec![None; connections];
        let mut latencies = Vec::new();
        let begin = |ticket, now| {
            let done = now + service_ns;
            Some((ticket, if done > stall.0 && now < stall.1 { stall.1 + service_ns } else { done }))
        };
        for (index, seat) in busy.iter_mut().enumerate() {
            match schedule.claim(0) {
                Claim::Send(ticket) => *seat = begin(ticket, 0),
                Claim::Wait => schedule.park(index),
                Claim::Over => unreachable!("the run has only begun"),
            }
        }
        let mut now = 0;
        while now < end_ns {
            now += step_ns;
            for (index, seat) in busy.iter_mut().enumerate() {
                let Some((ticket, done_ns)) = *seat else { continue };
                if done_ns > now {
                    continue;
                }
                latencies.push(done_ns - ticket.intended_ns);
                *seat = None;
                match schedule.claim(now) {
                    Claim::Send(next) => *seat = begin(next, now),
                    Claim::Wait => schedule.park(index),
                    Claim::Over => {}
                }
            }
            while let Some((index, ticket)) = schedule.release(now) {
                busy[index] = begin(ticket, now);
            }
        }
        latencies.extend(busy.iter().flatten().map(|(ticket, _)| end_ns - ticket.intended_ns));
        while let Some(ticket) = schedule.take_unsent() {
            latencies.push(end_ns - ticket.intended_ns);
        }
        latencies.sort_unstable();
        latencies
    }

    fn quantile(sorted: &[u64], q: f64) -> u64 {
        sorted[((sorted.len() - 1) as f64 * q) as usize]
    }

    #[test]
    fn intended_times_follow_the_rate_whatever_the_replies_do() {
        let mut schedule = open(10 * MS, 100 * MS);
        assert_eq!(schedule.claim(0), Claim::Send(Ticket { intended_ns: 0, recorded: true }));
        assert_eq!(schedule.claim(9 * MS), Claim::Wait);
        assert_eq!(schedule.next_due_ns(), Some(10 * MS));
        // The connections come back 35 ms late: the requests keep their places.
        assert_eq!(schedule.waiting(45 * MS), 4);
        for intended_ns in [10 * MS, 20 * MS, 30 * MS, 40 * MS] {
            assert_eq!(schedule.claim(45 * MS), Claim::Send(Ticket { intended_ns, recorded: true }));
        }
        assert_eq!(schedule.claim(45 * MS), Claim::Wait);
        assert_eq!(schedule.waiting(45 * MS), 0);
    }

    #[test]
    fn recorded_times_are_shared_out_and_kept() {
        let times_ns: Arc<[u64]> = [0, 0, 5 * MS, 7 * MS, 7 * MS].into();
        let of = |next| {
            let pace = Pace::Recorded { times_ns: Arc::clone(&times_ns), next, step: 2 };
            let mut schedule = Schedule::new(pace, Stop::After(if next == 0 { 3 } else { 2 }), 0);
            assert_eq!(schedule.waiting(6 * MS), if next == 0 { 2 } else { 1 });
            let mut intended = Vec::new();
            while let Claim::Send(ticket) = schedule.claim(8 * MS) {
                intended.push(ticket.intended_ns);
            }
            assert_eq!((schedule.claim(8 * MS), schedule.waiting(8 * MS)), (Claim::Over, 0));
            intended
        };
        assert_eq!((of(0), of(1)), (vec![0, 5 * MS, 7 * MS], vec![0, 7 * MS]));
    }

    #[test]
    fn a_stall_of_one_second_inflates_the_tail() {
        let end_ns = 10_000 * MS;
        let latencies = play(open(2 * MS, end_ns), 4, (5_000 * MS, 6_000 * MS), end_ns);
        assert_eq!(latencies.len(), 5_000, "each request of the schedule counts once");
        assert!(quantile(&latencies, 0.5) < 3 * MS);
        // A tenth of the run was stalled: about that share of the requests waited, up to the whole stall.
        assert!(quantile(&latencies, 0.95) > 400 * MS, "{}", quantile(&latencies, 0.95));
        assert!(*latencies.last().unwrap() > 990 * MS);
        let slow = latencies.iter().filter(|ns| **ns > 100 * MS).count();
        assert!(slow > 400, "only {slow} requests saw the stall: omission is coordinated");
    }

    #[test]
    fn a_closed_loop_hides_the_same_stall() {
        let end_ns = 10_000 * MS;
        let closed = Schedule::new(Pace::Closed, Stop::At(end_ns), 0);
        let latencies = play(closed, 4, (5_000 * MS, 6_000 * MS), end_ns);
        assert!(quantile(&latencies, 0.99) < 3 * MS);
    }

    #[test]
    fn a_stall_until_the_end_counts_the_unsent() {
        let end_ns = 2_000 * MS;
        let latencies = play(open(MS, end_ns), 2, (1_000 * MS, u64::MAX / 2), end_ns);
        assert_eq!(latencies.len(), 2_000);
        assert!(quantile(&latencies, 0.75) > 450 * MS);
    }

    #[test]
    fn parked_connections_are_released_in_turn_and_only_when_due() {
        let mut schedule = open(10 * MS, 40 * MS);
        assert!(matches!(schedule.claim(0), Claim::Send(_)));
        for connection in [7, 8, 9] {
            assert_eq!(schedule.claim(MS), Claim::Wait);
            schedule.park(connection);
        }
        assert_eq!(schedule.release(9 * MS), None);
        let due = |intended_ns| Ticket { intended_ns, recorded: true };
        assert_eq!(schedule.release(25 * MS), Some((7, due(10 * MS))));
        assert_eq!(schedule.release(25 * MS), Some((8, due(20 * MS))));
        assert_eq!(schedule.release(25 * MS), None);
        assert_eq!(schedule.release(30 * MS), Some((9, due(30 * MS))));
        assert_eq!(schedule.next_due_ns(), None, "nothing is intended at or after the end");
        assert_eq!(schedule.claim(35 * MS), Claim::Over);
    }

    #[test]
    fn waking_after_the_end_still_exhausts_the_schedule() {
        let mut schedule = open(10 * MS, 30 * MS);
        assert!(matches!(schedule.claim(0), Claim::Send(_)));
        for connection in [1, 2, 3] {
            assert_eq!(schedule.claim(MS), Claim::Wait);
            schedule.park(connection);
        }
        let released: Vec<_> = std::iter::from_fn(|| schedule.release(500 * MS)).collect();
        assert_eq!(
            released.iter().map(|(_, ticket)| ticket.intended_ns).collect::<Vec<_>>(),
            [10 * MS, 20 * MS]
        );
        assert_eq!((schedule.next_due_ns(), schedule.has_parked()), (None, true));
        assert_eq!(schedule.unpark_all().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn warm_up_requests_are_sent_but_neither_recorded_nor_counted() {
        let mut schedule = Schedule::new(Pace::Closed, Stop::After(2), 10 * MS);
        for now_ns in [0, 5 * MS, 9 * MS] {
            assert_eq!(schedule.claim(now_ns), Claim::Send(Ticket { intended_ns: now_ns, recorded: false }));
        }
        assert_eq!(schedule.claim(10 * MS), Claim::Send(Ticket { intended_ns: 10 * MS, recorded: true }));
        assert_eq!(schedule.claim(11 * MS), Claim::Send(Ticket { intended_ns: 11 * MS, recorded: true }));
        assert_eq!(schedule.claim(12 * MS), Claim::Over);
    }

    #[test]
    fn an_open_loop_of_n_requests_ends_after_them() {
        // The second of two reactors at 2,000,000 requests/s.
        let profile = Profile::constant(2e6);
        let places = Places::new(Spacing::Constant, 0, 1, 2);
        let mut schedule = Schedule::new(Pace::Open { profile, places }, Stop::After(3), 0);
        let mut intended = Vec::new();
        while let Claim::Send(ticket) = schedule.claim(MS) {
            intended.push(ticket.intended_ns);
        }
        assert_eq!(intended, [500, 1_500, 2_500]);
        assert_eq!(schedule.next_due_ns(), None);
    }

    #[test]
    fn a_run_that_is_called_off_leaves_what_was_due_before() {
        let mut schedule = open(10 * MS, 1_000 * MS);
        assert!(matches!(schedule.claim(0), Claim::Send(_)));
        schedule.end_at(25 * MS);
        assert_eq!(schedule.claim(25 * MS), Claim::Over);
        assert_eq!(schedule.waiting(40 * MS), 2);
        let unsent: Vec<_> =
            std::iter::from_fn(|| schedule.take_unsent()).map(|ticket| ticket.intended_ns).collect();
        assert_eq!(unsent, [10 * MS, 20 * MS]);
        schedule.end_at(2_000 * MS);
        assert_eq!(schedule.claim(26 * MS), Claim::Over, "an end is never put off");
        let mut closed = Schedule::new(Pace::Closed, Stop::After(5), 0);
        closed.end_at(MS);
        assert!(matches!((closed.claim(0), closed.claim(MS)), (Claim::Send(_), Claim::Over)));
    }

    #[test]
    fn a_profile_that_ends_at_nothing_exhausts_the_schedule() {
        let second = std::time::Duration::from_secs(1);
        let profile = Profile::of(&[Part { from_per_s: 4.0, to_per_s: 0.0, duration: second }]);
        let places = Places::new(Spacing::Constant, 0, 0, 1);
        let mut schedule = Schedule::new(Pace::Open { profile, places }, Stop::After(100), 0);
        let sent = std::iter::from_fn(|| match schedule.claim(10_000 * MS) {
            Claim::Send(ticket) => Some(ticket.intended_ns),
            Claim::Wait | Claim::Over => None,
        });
        assert_eq!(sent.count(), 2);
        assert_eq!((schedule.claim(10_000 * MS), schedule.next_due_ns()), (Claim::Over, None));
    }
}
