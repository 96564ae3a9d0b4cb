//! Sends the open loop's requests on time: sleeps on a timerfd, whose resolution is that of the kernel's
//! high-resolution timers (monoio's own timers round up to a millisecond), and hands tickets to parked connections.

use std::fs::File;
use std::rc::Rc;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::reactor::Reactor;
use crate::seat::Wake;

#[derive(Debug)]
pub(crate) struct Pacer {
    /// Owned twice: std's side sets the time, monoio's side reads expirations.
    settings: File,
    expirations: monoio::fs::File,
}

impl Pacer {
    pub(crate) fn new() -> Result<Self, String> {
        let make = || -> std::io::Result<Self> {
            let settings = File::from(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?);
            let expirations = monoio::fs::File::from_std(settings.try_clone()?)?;
            Ok(Self { settings, expirations })
        };
        make()
            .map_err(|error| format!("the open loop's timer can't be made: {error} (see timerfd_create(2))"))
    }

    /// Runs until the schedule is exhausted. Parked connections imply that nothing is due; without any, the next
    /// one to become free takes what is due by itself, and wakes the pacer when it parks.
    pub(crate) async fn run(self, reactor: Rc<Reactor>) {
        loop {
            let now_ns = reactor.now_ns();
            release(&reactor, now_ns);
            let (due_ns, parked) = {
                let schedule = reactor.schedule.borrow();
                (schedule.next_due_ns(), schedule.has_parked())
            };
            match due_ns {
                None => break,
                Some(due_ns) if parked => self.sleep_ns(due_ns.saturating_sub(now_ns)).await,
                Some(_) => {
                    reactor.pacer_seat.parked().await;
                }
            }
        }
        for connection in reactor.schedule.borrow_mut().unpark_all() {
            reactor.seats[connection].wake(Wake::RunOver);
        }
    }

    async fn sleep_ns(&self, ns: u64) {
        // Zero would disarm the timer.
        let ns = ns.max(1);
        let after = Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: after };
        timerfd_settime(&self.settings, TimerfdTimerFlags::empty(), &once)
            .expect("an open timerfd takes any valid time");
        let (read, _) = self.expirations.read_at(Vec::with_capacity(8), 0).await;
        read.expect("an open timerfd can be read");
    }
}

/// Hands out what is due. A connection was free, so any delay is the generator's own.
fn release(reactor: &Reactor, now_ns: u64) {
    loop {
        let released = reactor.schedule.borrow_mut().release(now_ns);
        let Some((connection, ticket)) = released else { return };
        if ticket.recorded {
            let lag_ns = now_ns.saturating_sub(ticket.intended_ns);
            reactor.tally.borrow_mut().send_lag.saturating_record(lag_ns);
        }
        reactor.seats[connection].wake(Wake::Send(ticket));
    }
}
