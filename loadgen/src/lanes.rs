//! Carries several requests at a time on one connection: reads and writes at once, while a session (sans-I/O) does the
//! protocol.
//!
//! One task a connection and no task a request: what one read brings is counted, the lanes that it has freed are
//! given their next requests, and all of these leave in one write.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::crew::Crew;
use crate::failure::Failure;
use crate::reactor::Reactor;
use crate::request::Request;
use crate::seat::Cut;
use crate::source::Keep;
use crate::wire::{CLOSING, Exchange, Receiver, Sender, Wire};

/// Most bytes that wait to be written before a session is asked for no more.
pub(crate) const OUTGOING_BYTES_MAX: usize = 256 * 1024;

/// A protocol on one connection, without I/O. What it has to send it appends to `out`.
pub(crate) trait Session {
    /// What is said before the first request.
    fn greet(&mut self, _out: &mut Vec<u8>) {}
    /// How many more requests it takes now.
    fn room(&self) -> usize;
    fn begin(&mut self, lane: usize, request: Request, keep: Keep, out: &mut Vec<u8>);
    /// Reads on; what it takes of `input` it removes. An error is the end of the connection, and of all that is in flight
    /// and not among `arrivals`.
    fn receive(&mut self, input: &mut Vec<u8>, effects: &mut Effects) -> Result<(), Failure>;
    /// The server has closed: why what is in flight and not among `arrivals` has failed. Under TLS, an end that was not
    /// announced may have been made by anyone, and completes nothing.
    fn end(&mut self, announced: bool, arrivals: &mut Vec<Arrival>) -> Failure;
    /// Goes on with what had no room in `out`.
    fn pump(&mut self, _out: &mut Vec<u8>) {}
    /// Gives one request up; false where that ends the connection.
    fn cancel(&mut self, lane: usize, out: &mut Vec<u8>) -> bool;
    /// It takes no more requests, ever.
    fn is_ending(&self) -> bool;
    /// Says that nothing follows.
    fn close(&mut self, _out: &mut Vec<u8>) {}
    /// Whether the server has agreed to the end.
    fn is_closed(&self) -> bool {
        true
    }
    /// Why the server has ended it.
    fn why_ended(&self) -> Option<Failure> {
        None
    }
}

/// What comes of reading on.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// What is to be sent.
    pub(crate) out: Vec<u8>,
    pub(crate) arrivals: Vec<Arrival>,
    /// Requests that the server says it has not taken, as its connection ends: they are safe to be sent again. The failure
    /// is that of a request to which it happens twice.
    pub(crate) untaken: Vec<(usize, Failure)>,
}

/// What became of one lane's request.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) lane: usize,
    pub(crate) outcome: Result<Exchange, Failure>,
}

/// Why a connection is of no further use.
#[derive(Debug)]
pub(crate) enum End {
    /// Closed in agreement, because nothing more is to be sent, or because the server wants it so.
    Drained(Option<Failure>),
    Broken(Failure),
    RunOver,
}

/// The life of one connection with `lanes` lanes, until the schedule is over.
pub(crate) async fn run_lanes<S: Session>(
    reactor: Rc<Reactor>,
    index: usize,
    mut wire: Option<Wire>,
    lanes: usize,
    make: impl Fn() -> S,
) {
    let mut crew = Crew::new(Rc::clone(&reactor), index, lanes);
    while !crew.is_finished() {
        let mut open = match wire.take() {
            Some(open) => open,
            None => match crew.open().await {
                Some(open) => open,
                None => continue,
            },
        };
        let end = carry(&mut crew, &mut open, make()).await;
        let now_ns = reactor.now_ns();
        match end {
            End::Drained(_) => open.close().await,
            End::Broken(failure) => crew.fail(&failure, now_ns),
            End::RunOver => crew.abandon(now_ns),
        }
    }
}

/// Uses a connection until its end.
pub(crate) async fn carry<S: Session>(crew: &mut Crew, wire: &mut Wire, mut session: S) -> End {
    let seat = Rc::clone(&crew.reactor);
    let seat = &seat.seats[crew.seat_index()];
    seat.take_cut();
    let (sender, receiver, buffer) = wire.split();
    let mut effects = Effects::default();
    session.greet(&mut effects.out);
    let traffic = RefCell::new(Traffic {
        session,
        now_ns: crew.reactor.now_ns(),
        crew,
        effects,
        begun: 0,
        writing: false,
        closing: false,
        why: None,
        write_error: None,
    });
    let mut read = pin!(read_on(receiver, buffer, &traffic));
    let mut write = pin!(write_on(sender, &traffic));
    poll_fn(|context| {
        if let Some(end) = traffic.borrow_mut().look_at_seat() {
            return Poll::Ready(end);
        }
        if let Poll::Ready(failure) = read.as_mut().poll(context) {
            return Poll::Ready(traffic.borrow_mut().end(failure));
        }
        traffic.borrow_mut().fill();
        poll_write(&traffic, write.as_mut(), context);
        if let Some(end) = traffic.borrow_mut().done() {
            return Poll::Ready(end);
        }
        if traffic.borrow().closing {
            // It may just have begun.
            poll_write(&traffic, write.as_mut(), context);
        }
        seat.sleep(context)
    })
    .await
}

/// Everything about a connection that reading and writing share.
struct Traffic<'a, S> {
    session: S,
    crew: &'a mut Crew,
    now_ns: u64,
    effects: Effects,
    /// Requests begun on this connection.
    begun: u64,
    writing: bool,
    closing: bool,
    /// Why the server has ended it, once it is closing.
    why: Option<Failure>,
    /// Nothing more can be sent; what the server has said before may still be read.
    write_error: Option<io::Error>,
}

impl<S: Session> Traffic<'_, S> {
    /// Takes in what happened outside the connection.
    fn look_at_seat(&mut self) -> Option<End> {
        self.now_ns = self.crew.reactor.now_ns();
        self.crew.collect();
        match self.crew.seat().take_cut()? {
            Cut::RunOver => return Some(End::RunOver),
            Cut::Timeout if self.closing => return Some(End::Drained(None)),
            Cut::Timeout => {}
        }
        if self.crew.held_until_ns.is_some_and(|until_ns| self.now_ns >= until_ns) {
            self.crew.over = true;
            return None;
        }
        if self.crew.in_flight == 0 {
            return Some(End::Broken(Failure::Timeout));
        }
        while let Some(lane) = self.crew.expired(self.now_ns) {
            if !self.session.cancel(lane, &mut self.effects.out) {
                return Some(End::Broken(Failure::Timeout));
            }
            self.crew.arrive(lane, &Err(Failure::Timeout), self.now_ns);
        }
        None
    }

    fn receive(&mut self, input: &mut Vec<u8>) -> Result<(), Failure> {
        let received = self.session.receive(input, &mut self.effects);
        self.count_arrivals();
        received
    }

    fn count_arrivals(&mut self) {
        for Arrival { lane, outcome } in self.effects.arrivals.drain(..) {
            self.crew.arrive(lane, &outcome, self.now_ns);
        }
        // The last first: each goes before all that waits.
        for (lane, failure) in self.effects.untaken.drain(..).rev() {
            self.crew.take_back(lane, failure, self.now_ns);
        }
    }

    /// The server has closed, or the connection broke.
    fn end(&mut self, failure: Option<Failure>) -> End {
        let failure = match failure {
            None => self.session.end(true, &mut self.effects.arrivals),
            Some(Failure::ClosedEarly) => self.session.end(false, &mut self.effects.arrivals),
            Some(failure) => failure,
        };
        self.count_arrivals();
        if self.closing {
            return End::Drained(self.why.take());
        }
        match (failure, self.write_error.take()) {
            (Failure::ClosedEarly, Some(error)) => End::Broken(Failure::Reset(error)),
            (failure, _) => End::Broken(failure),
        }
    }

    /// Gives free lanes their next requests.
    fn fill(&mut self) {
        if self.closing || self.write_error.is_some() {
            return;
        }
        self.session.pump(&mut self.effects.out);
        while self.effects.out.len() < OUTGOING_BYTES_MAX && !self.crew.reactor.is_spent(self.begun) {
            let room = self.session.room();
            let Some((lane, ticket)) = self.crew.next(room, self.now_ns) else {
                if room == 0 && self.crew.in_flight == 0 && !self.session.is_ending() {
                    // A server that never takes a request would keep the connection for ever.
                    self.crew.watch_for_room(self.now_ns);
                }
                return;
            };
            let (request, keep) = self.crew.depart(lane, ticket, self.now_ns);
            self.session.begin(lane, request, keep, &mut self.effects.out);
            self.begun += 1;
        }
    }

    /// The end of a connection that has done its work, once it is closed.
    fn done(&mut self) -> Option<End> {
        let spent = self.crew.reactor.is_spent(self.begun) || self.session.is_ending();
        if self.crew.in_flight > 0 || !(self.crew.is_finished() || spent) {
            return None;
        }
        if !self.closing {
            self.closing = true;
            self.why = self.session.why_ended();
            self.session.close(&mut self.effects.out);
            self.crew.seat().watch(self.now_ns + CLOSING.as_nanos() as u64);
        }
        let sent = self.effects.out.is_empty() && !self.writing;
        let closed = (sent && self.session.is_closed()) || self.write_error.is_some();
        closed.then(|| End::Drained(self.why.take()))
    }
}

/// Reads until the end: `None` when the server has closed.
async fn read_on<S: Session>(
    mut receiver: Receiver<'_>,
    buffer: &mut Vec<u8>,
    traffic: &RefCell<Traffic<'_, S>>,
) -> Option<Failure> {
    loop {
        if !buffer.is_empty()
            && let Err(failure) = traffic.borrow_mut().receive(buffer)
        {
            return Some(failure);
        }
        match receiver.receive(buffer).await {
            Ok(0) => return None,
            Ok(_) => {}
            Err(failure) => return Some(failure),
        }
    }
}

/// Writes whatever there is, all of it at a time.
async fn write_on<S: Session>(mut sender: Sender<'_>, traffic: &RefCell<Traffic<'_, S>>) -> io::Error {
    let mut spare = Vec::new();
    loop {
        poll_fn(|_| if traffic.borrow().effects.out.is_empty() { Poll::Pending } else { Poll::Ready(()) })
            .await;
        let chunk = {
            let mut traffic = traffic.borrow_mut();
            traffic.writing = true;
            std::mem::replace(&mut traffic.effects.out, std::mem::take(&mut spare))
        };
        let (sent, mut chunk) = sender.send_owned(chunk).await;
        let mut traffic = traffic.borrow_mut();
        traffic.writing = false;
        if let Err(error) = sent {
            return error;
        }
        chunk.clear();
        spare = chunk;
        traffic.fill();
    }
}

fn poll_write<S>(
    traffic: &RefCell<Traffic<'_, S>>,
    write: std::pin::Pin<&mut impl Future<Output = io::Error>>,
    context: &mut Context<'_>,
) {
    if traffic.borrow().write_error.is_some() {
        return;
    }
    if let Poll::Ready(error) = write.poll(context) {
        let mut traffic = traffic.borrow_mut();
        traffic.write_error = Some(error);
        traffic.effects.out.clear();
    }
}
