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
    /// What is looked at before the time is up.
    look: Cell<Look>,
    /// Whose request is waited for, with [`Look::Asker`].
    asker: RefCell<Weak<Self>>,
    /// Seen to be reset, while its request was being answered.
    gone: Cell<bool>,
}

/// What the wheel looks at now and then, so that a wait can end early or last longer.
#[derive(Debug, Clone, Copy)]
enum Look {
    Nothing,
    /// Whether the client is still there, until `end_ms`.
    Asker {
        end_ms: u64,
    },
    /// Whether the peer has taken `bytes_min` more than when it was looked at last, if it was.
    Taken {
        acknowledged: Option<u64>,
        bytes_min: u64,
        every_ms: u64,
    },
}

/// How often it is looked whether a client is still there: a request that is answered sooner pays nothing.
const ASKER_LOOK_MS: u64 = 500;

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
            look: Cell::new(Look::Nothing),
            asker: RefCell::default(),
            gone: Cell::new(false),
        })
    }

    pub(crate) fn disarm(&self) {
        self.due_ms.set(NEVER);
        if let Look::Asker { .. } = self.look.get() {
            // Now, while whoever asked is in the core's cache, and not when the next does.
            self.look.set(Look::Nothing);
            self.asker.take();
        }
    }

    /// Whether the deadline that was armed last has passed.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.get()
    }

    pub(crate) fn is_armed_for(&self, on_expiry: OnExpiry) -> bool {
        self.due_ms.get() != NEVER && self.on_expiry.get() == on_expiry
    }

    /// Whether the peer was seen to have reset the connection while its request was being answered.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
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
        self.hand_over();
        if self.task.borrow().is_none() && self.is_waiting() {
            self.end_read();
        }
    }

    /// Another process accepts: a connection that looks after itself is told, one that waits for a request goes on
    /// waiting.
    pub(crate) fn hand_over(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
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

    /// The time is up as far as it was set: until when it goes on, if it does.
    fn prolonged(&self, now_ms: u64) -> Option<u64> {
        match self.look.get() {
            Look::Nothing => None,
            Look::Asker { end_ms } if now_ms >= end_ms => None,
            Look::Asker { end_ms } => {
                let gone = self.asker.borrow().upgrade().is_none_or(|asker| asker.look_whether_gone());
                (!gone).then_some(end_ms.min(now_ms + ASKER_LOOK_MS))
            }
            Look::Taken { acknowledged: before, bytes_min, every_ms } => {
                // A kernel that doesn't say is one whose peers must take all within the time.
                let acknowledged =
                    self.stream.as_ref().and_then(|stream| stream.acknowledged_bytes()).unwrap_or(0);
                self.look.set(Look::Taken { acknowledged: Some(acknowledged), bytes_min, every_ms });
                let enough = before.is_none_or(|before| acknowledged.saturating_sub(before) >= bytes_min);
                enough.then_some(now_ms + every_ms)
            }
        }
    }

    fn look_whether_gone(&self) -> bool {
        let is_reset = self.stream.as_ref().is_some_and(|stream| stream.is_reset());
        self.gone.set(self.gone.get() || is_reset);
        self.gone.get()
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
        watch.look.set(Look::Nothing);
        if due_ms < watch.scheduled_ms.get() {
            self.schedule(watch, due_ms);
        }
    }

    /// As [`arm`](Self::arm) to end both directions, also as soon as `asker`'s connection is seen to be reset: then
    /// nobody waits for the answer any more, and [`Watch::is_gone`] of the asker says so.
    pub(crate) fn arm_while_asked(&self, watch: &Rc<Watch>, delay_ms: u64, asker: &Rc<Watch>) {
        self.arm(watch, delay_ms.min(ASKER_LOOK_MS), OnExpiry::EndBoth);
        watch.look.set(Look::Asker { end_ms: watch.due_ms.get() + delay_ms.saturating_sub(ASKER_LOOK_MS) });
        watch.asker.replace(Rc::downgrade(asker));
    }

    /// As [`arm`](Self::arm) to end both directions, unless the peer takes bytes at that rate: what it has taken
    /// is looked at twice in `delay_ms`, at the earliest after half of it.
    pub(crate) fn arm_while_taken(&self, watch: &Rc<Watch>, delay_ms: u64, bytes_per_s_min: u64) {
        let every_ms = delay_ms.div_ceil(2);
        self.arm(watch, every_ms, OnExpiry::EndBoth);
        let bytes_min = (bytes_per_s_min.saturating_mul(every_ms) / 1_000).max(1);
        watch.look.set(Look::Taken { acknowledged: None, bytes_min, every_ms });
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
            due_ms if due_ms <= at_ms => match watch.prolonged(at_ms) {
                Some(due_ms) => {
                    watch.due_ms.set(due_ms);
                    self.schedule(watch, due_ms);
                }
                None => watch.expire(),
            },
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
    use std::io::Read as _;
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

    /// Lets the kernel move `bytes` from one side to the other, however long it takes, and the reader acknowledge them.
    fn drain(peer: &mut TcpStream, stream: &Transport, bytes: usize) {
        let before = stream.acknowledged_bytes().unwrap();
        peer.read_exact(&mut vec![0; bytes]).unwrap();
        while stream.acknowledged_bytes().unwrap() == before {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_peer_that_takes_bytes_may_take_its_time() {
        on_a_reactor(async |wheel, watch, stream, mut peer| {
            // More than both sockets hold.
            while stream.send_at_once(&[b'x'; 65_536]).unwrap() > 0 {}
            wheel.arm_while_taken(&watch, 1_000, 100);
            for half in 1..=6 {
                // A sender's window opens by large steps: what it takes to see one is read at once.
                drain(&mut peer, &stream, 1 << 20);
                wheel.advance(1_020 + 500 * half);
                assert!(!watch.has_expired(), "after {half} halves");
                while stream.send_at_once(&[b'x'; 65_536]).unwrap() > 0 {}
            }
            wheel.advance(1_020 + 500 * 7);
            wheel.advance(1_020 + 500 * 8);
            assert!(watch.has_expired(), "nothing was taken for a while");
        });
    }

    #[test]
    fn a_peer_that_takes_too_little_is_ended() {
        on_a_reactor(async |wheel, watch, stream, mut peer| {
            while stream.send_at_once(&[b'x'; 65_536]).unwrap() > 0 {}
            // What is in the kernel's hands stands still before it is looked at.
            wheel.arm_while_taken(&watch, 1_000, 1 << 30);
            wheel.advance(1_510);
            assert!(!watch.has_expired(), "looked at for the first time");
            drain(&mut peer, &stream, 1 << 20);
            wheel.advance(2_020);
            assert!(watch.has_expired(), "a megabyte is too little");
        });
    }

    #[test]
    fn an_answer_is_waited_for_until_nobody_wants_it() {
        on_a_reactor(async |wheel, asker, stream, peer| {
            let watch = Watch::new(Rc::clone(&stream));
            wheel.arm_while_asked(&watch, 1_000_000, &asker);
            peer.shutdown(Shutdown::Write).unwrap();
            wheel.advance(4_000);
            assert!(!watch.has_expired() && !asker.is_gone(), "a client that has said all still waits");
            // Closed with a byte unread, which is a reset; it may take the kernel a moment.
            stream.send_at_once(b"x").unwrap();
            assert_eq!(peer.peek(&mut [0]).unwrap(), 1);
            drop(peer);
            let mut now_ms = 4_000;
            while !asker.is_gone() && now_ms < 900_000 {
                now_ms += 500;
                wheel.advance(now_ms);
            }
            assert!(watch.has_expired() && asker.is_gone());
        });
    }

    #[test]
    fn an_answer_that_does_not_come_is_waited_for_no_longer_than_its_time() {
        on_a_reactor(async |wheel, asker, stream, _peer| {
            let watch = Watch::new(Rc::clone(&stream));
            for (now_ms, delay_ms) in [(1_000, 100), (2_000, 500), (4_000, 1_700)] {
                wheel.advance(now_ms);
                wheel.arm_while_asked(&watch, delay_ms, &asker);
                wheel.advance(now_ms + delay_ms - 10);
                assert!(!watch.has_expired(), "{delay_ms}");
                wheel.advance(now_ms + delay_ms + 20);
                assert!(watch.has_expired() && !asker.is_gone(), "{delay_ms}");
            }
        });
    }
}
