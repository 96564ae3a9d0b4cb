//! A shard's deadlines: a hashed wheel, turned by the shard's tick, with no timer of the kernel's.
//!
//! A connection has one [`Watch`] for its life. Arming it again, which happens several times a request,
//! writes two cells: the entry in the wheel stays where it is and moves on when its slot comes up
//! (Varghese and Lauck 1987, scheme 6, with lazy deletion). A deadline is met up to one tick late.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};

use turnpike_rt::{Cancel, Transport};

/// How often the shard turns the wheel; also the wheel's resolution.
pub(crate) const TICK_MS: u64 = 10;
/// With the tick, how far the wheel reaches; entries beyond go round again.
const SLOTS: u64 = 1024;
const NEVER: u64 = u64::MAX;

/// What ends what is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnExpiry {
    /// A pending read gives 0; writing goes on.
    EndRead,
    /// Reads give 0, writes fail.
    EndBoth,
    /// A pending cancelable read gives its buffer back.
    TakeBuffer,
    /// The task that waits is woken, and looks.
    WakeTask,
}

/// One connection's deadline, or that of one of the streams that share it.
#[derive(Debug)]
pub(crate) struct Watch {
    /// `None` for a stream, whose deadline can only wake its task.
    stream: Option<Rc<Transport>>,
    task: RefCell<Option<Waker>>,
    pub(crate) cancel: Cancel,
    due_ms: Cell<u64>,
    /// When the wheel looks at this watch next; `<= due_ms` while armed.
    scheduled_ms: Cell<u64>,
    on_expiry: Cell<OnExpiry>,
    expired: Cell<bool>,
    /// The connection is between two requests.
    waiting: Cell<bool>,
    /// Changes when a connection passes from one exchange to the next.
    holder: Cell<u64>,
}

impl Watch {
    pub(crate) fn new(stream: Rc<Transport>) -> Rc<Self> {
        Self::ending(Some(stream))
    }

    /// A deadline that ends nothing by itself.
    pub(crate) fn of_task() -> Rc<Self> {
        Self::ending(None)
    }

    fn ending(stream: Option<Rc<Transport>>) -> Rc<Self> {
        Rc::new(Self {
            stream,
            task: RefCell::default(),
            cancel: Cancel::new(),
            due_ms: Cell::new(NEVER),
            scheduled_ms: Cell::new(NEVER),
            on_expiry: Cell::new(OnExpiry::EndBoth),
            expired: Cell::new(false),
            waiting: Cell::new(false),
            holder: Cell::new(0),
        })
    }

    pub(crate) fn disarm(&self) {
        self.due_ms.set(NEVER);
    }

    /// Whether the deadline that was armed last has passed.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.get()
    }

    pub(crate) fn is_armed_for(&self, on_expiry: OnExpiry) -> bool {
        self.due_ms.get() != NEVER && self.on_expiry.get() == on_expiry
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    pub(crate) fn set_waiting(&self, waiting: bool) {
        self.waiting.set(waiting);
    }

    /// The task to be woken, by a deadline that says so and when the gateway drains.
    pub(crate) fn set_task(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
    }

    /// The gateway drains: a connection that looks after itself is told, one that waits for a request ends.
    pub(crate) fn drain(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        } else if self.is_waiting() {
            self.end_read();
        }
    }

    /// Ends the wait for a next request, when the gateway drains. What has arrived is still read.
    pub(crate) fn end_read(&self) {
        self.shutdown(Shutdown::Read);
    }

    /// Whose exchange the connection carries now: for [`end_for`](Self::end_for).
    pub(crate) fn holder(&self) -> u64 {
        self.holder.get()
    }

    /// The exchange that the connection carried is over.
    pub(crate) fn disown(&self) {
        self.holder.set(self.holder.get() + 1);
    }

    /// Ends the connection, if it still carries the exchange that `holder` was asked for.
    pub(crate) fn end_for(&self, holder: u64) {
        if self.holder.get() == holder {
            self.shutdown(Shutdown::Both);
        }
    }

    fn shutdown(&self, how: Shutdown) {
        if let Some(stream) = &self.stream {
            stream.shutdown(how);
        }
    }

    fn expire(&self) {
        self.due_ms.set(NEVER);
        self.expired.set(true);
        match self.on_expiry.get() {
            OnExpiry::EndRead => self.shutdown(Shutdown::Read),
            OnExpiry::EndBoth => self.shutdown(Shutdown::Both),
            OnExpiry::TakeBuffer => self.cancel.cancel(),
            OnExpiry::WakeTask => {
                if let Some(task) = &*self.task.borrow() {
                    task.wake_by_ref();
                }
            }
        }
    }
}

/// All deadlines of a shard. It owns none: a connection that ends closes its descriptor at once, whatever
/// deadlines it still had.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<RefCell<Vec<Weak<Watch>>>>,
    now_ms: Cell<u64>,
}

impl Wheel {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| RefCell::default()).collect(),
            now_ms: Cell::new(round_down(now_ms)),
        }
    }

    /// The time as of the last tick.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Sets the watch's only deadline, `delay_ms` from the last tick.
    pub(crate) fn arm(&self, watch: &Rc<Watch>, delay_ms: u64, on_expiry: OnExpiry) {
        // A whole tick more: the last one may be almost over, and a deadline is never met early.
        let due_ms = self.now_ms.get().saturating_add(delay_ms).saturating_add(TICK_MS);
        watch.due_ms.set(due_ms);
        watch.on_expiry.set(on_expiry);
        watch.expired.set(false);
        if due_ms < watch.scheduled_ms.get() {
            self.schedule(watch, due_ms);
        }
    }

    /// Turns the wheel up to `now_ms` and ends what is overdue.
    pub(crate) fn advance(&self, now_ms: u64) {
        let now_ms = round_down(now_ms);
        while self.now_ms.get() < now_ms {
            let at_ms = self.now_ms.get() + TICK_MS;
            self.now_ms.set(at_ms);
            for watch in self.slot(at_ms).take() {
                if let Some(watch) = watch.upgrade() {
                    self.visit(&watch, at_ms);
                }
            }
        }
    }

    fn visit(&self, watch: &Rc<Watch>, at_ms: u64) {
        // An entry that a later arming has overtaken.
        if watch.scheduled_ms.get() != at_ms {
            return;
        }
        watch.scheduled_ms.set(NEVER);
        match watch.due_ms.get() {
            NEVER => {}
            due_ms if due_ms <= at_ms => watch.expire(),
            due_ms => self.schedule(watch, due_ms),
        }
    }

    fn schedule(&self, watch: &Rc<Watch>, due_ms: u64) {
        let horizon_ms = self.now_ms.get() + (SLOTS - 1) * TICK_MS;
        let at_ms = round_up(due_ms).min(horizon_ms);
        watch.scheduled_ms.set(at_ms);
        self.slot(at_ms).borrow_mut().push(Rc::downgrade(watch));
    }

    fn slot(&self, at_ms: u64) -> &RefCell<Vec<Weak<Watch>>> {
        &self.slots[((at_ms / TICK_MS) % SLOTS) as usize]
    }
}

fn round_down(ms: u64) -> u64 {
    ms / TICK_MS * TICK_MS
}

fn round_up(ms: u64) -> u64 {
    ms.div_ceil(TICK_MS) * TICK_MS
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use turnpike_rt::{Driver, Stream};

    use super::*;

    /// A watched connection on a reactor, the wheel at 1,000 ms, and the connection's other end.
    #[expect(clippy::disallowed_methods, reason = "a test's peer may block")]
    fn on_a_reactor(test: impl AsyncFnOnce(Wheel, Rc<Watch>, Rc<Transport>, TcpStream)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        turnpike_rt::run(Driver::Epoll, async move {
            let stream = Rc::new(Transport::Plain(Stream::from_accepted(accepted.into()).unwrap()));
            test(Wheel::new(1_004), Watch::new(Rc::clone(&stream)), stream, peer).await;
        })
        .unwrap();
    }

    #[test]
    fn a_deadline_passes_at_most_two_ticks_late_and_never_early() {
        on_a_reactor(async |wheel, watch, stream, _peer| {
            wheel.arm(&watch, 95, OnExpiry::EndRead);
            wheel.advance(1_099);
            assert!(!watch.has_expired());
            wheel.advance(1_115);
            assert!(watch.has_expired());
            assert_eq!(stream.recv(Vec::with_capacity(8)).await.0.unwrap(), 0);
        });
    }

    #[test]
    fn arming_again_moves_the_deadline_either_way() {
        on_a_reactor(async |wheel, watch, _stream, _peer| {
            wheel.arm(&watch, 100, OnExpiry::EndRead);
            wheel.arm(&watch, 60_000, OnExpiry::EndRead);
            wheel.advance(50_000);
            assert!(!watch.has_expired());
            wheel.arm(&watch, 20, OnExpiry::EndRead);
            wheel.advance(50_040);
            assert!(watch.has_expired());
        });
    }

    #[test]
    fn a_deadline_beyond_the_wheels_reach_goes_round() {
        on_a_reactor(async |wheel, watch, _stream, _peer| {
            wheel.arm(&watch, 100_000, OnExpiry::EndRead);
            wheel.advance(100_990);
            assert!(!watch.has_expired());
            wheel.advance(101_030);
            assert!(watch.has_expired());
        });
    }

    #[test]
    fn what_is_disarmed_or_gone_never_expires() {
        on_a_reactor(async |wheel, watch, stream, _peer| {
            wheel.arm(&watch, 100, OnExpiry::EndRead);
            watch.disarm();
            wheel.advance(20_000);
            assert!(!watch.has_expired());
            wheel.arm(&watch, 100, OnExpiry::EndRead);
            drop((watch, stream));
            wheel.advance(40_000);
            assert!(wheel.slots.iter().all(|slot| slot.borrow().is_empty()));
        });
    }

    #[test]
    fn a_pending_read_gives_its_buffer_back() {
        on_a_reactor(async |wheel, watch, stream, _peer| {
            wheel.arm(&watch, 100, OnExpiry::TakeBuffer);
            let mut received = std::pin::pin!(stream.recv_cancelable(Vec::with_capacity(64), &watch.cancel));
            std::future::poll_fn(|context| {
                assert!(received.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            wheel.advance(2_000);
            let (result, buffer) = received.await;
            assert!(turnpike_rt::is_canceled(&result.unwrap_err()));
            assert_eq!(buffer.capacity(), 64);
        });
    }
}
