//! The lanes of one connection that carries several requests at a time: who is free, who waits for a ticket, who has
//! one, and whose request is in flight.
//!
//! Invariant: every lane is in exactly one of `free`, `parked`, `due`, at rest or in flight, until the run is over.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monoio::time::sleep;

use crate::connection::RECONNECT_PAUSE;
use crate::failure::Failure;
use crate::reactor::{Ending, Reactor, Sent};
use crate::request::Request;
use crate::schedule::{Claim, Ticket};
use crate::seat::{Cut, NO_DEADLINE, Seat, Wake};
use crate::source::{Keep, Source};
use crate::wire::{Exchange, Wire};

/// The lanes of one connection.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) reactor: Rc<Reactor>,
    index: usize,
    lanes: Vec<Lane>,
    free: Vec<usize>,
    /// Told to wait for the pacer.
    parked: Vec<usize>,
    /// With a ticket, and no room on the connection yet.
    due: VecDeque<(usize, Ticket)>,
    /// Lanes whose users have thought to the end.
    rested: Rc<RefCell<Vec<usize>>>,
    pub(crate) in_flight: usize,
    /// Nothing more is to be sent.
    pub(crate) over: bool,
    /// A connection that only rests does so until then.
    pub(crate) held_until_ns: Option<u64>,
}

#[derive(Debug)]
struct Lane {
    source: Source,
    flight: Option<Flight>,
    /// What the server has not taken, until it is sent again.
    untaken: Option<Untaken>,
}

#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    sent: Sent,
    deadline_ns: u64,
    request: Request,
    keep: Keep,
    is_resent: bool,
}

/// A request to be sent again.
#[derive(Debug)]
struct Untaken {
    request: Request,
    keep: Keep,
    /// As it was when the request was sent first.
    deadline_ns: u64,
}

impl Crew {
    pub(crate) fn new(reactor: Rc<Reactor>, index: usize, lanes: usize) -> Self {
        let lane = |_| Lane { source: reactor.source(), flight: None, untaken: None };
        Self {
            lanes: (0..lanes).map(lane).collect(),
            free: (0..lanes).rev().collect(),
            parked: Vec::new(),
            due: VecDeque::new(),
            rested: Rc::default(),
            in_flight: 0,
            over: false,
            held_until_ns: None,
            index,
            reactor,
        }
    }

    pub(crate) fn seat_index(&self) -> usize {
        self.index
    }

    pub(crate) fn seat(&self) -> &Seat {
        &self.reactor.seats[self.index]
    }

    /// Nothing is in flight, and nothing will be.
    pub(crate) fn is_finished(&self) -> bool {
        self.over && self.due.is_empty() && self.in_flight == 0
    }

    /// Takes in what the pacer and the timers have said.
    pub(crate) fn collect(&mut self) {
        while let Some(wake) = self.reactor.seats[self.index].next_wake() {
            match wake {
                Wake::Send(ticket) => self.due.extend(self.parked.pop().map(|lane| (lane, ticket))),
                Wake::RunOver => {
                    self.parked.clear();
                    self.over = true;
                }
            }
        }
        self.free.append(&mut self.rested.borrow_mut());
    }

    /// A lane that may send now, of a connection with so much room.
    pub(crate) fn next(&mut self, room: usize, now_ns: u64) -> Option<(usize, Ticket)> {
        if room == 0 {
            return None;
        }
        if let Some(due) = self.due.pop_front() {
            return Some(due);
        }
        while self.parked.len() < room && !self.over {
            let lane = self.free.pop()?;
            let pause = self.lanes[lane].source.pause();
            if pause > Duration::ZERO {
                self.rest(lane, pause);
                continue;
            }
            match self.reactor.claim(self.index, now_ns) {
                Claim::Send(ticket) => return Some((lane, ticket)),
                Claim::Wait => self.parked.push(lane),
                Claim::Over => self.over = true,
            }
        }
        None
    }

    fn rest(&self, lane: usize, pause: Duration) {
        let (reactor, rested, index) = (Rc::clone(&self.reactor), Rc::clone(&self.rested), self.index);
        monoio::spawn(async move {
            // False when the run is over: the lane finds that out as it claims.
            let _ = reactor.rest(pause).await;
            rested.borrow_mut().push(lane);
            reactor.seats[index].rouse();
        });
    }

    /// The lane's next request, or the one that is to be sent again; it is in flight from now on.
    pub(crate) fn depart(&mut self, lane: usize, ticket: Ticket, now_ns: u64) -> (Request, Keep) {
        let Lane { source, untaken, .. } = &mut self.lanes[lane];
        let untaken = untaken.take();
        let is_resent = untaken.is_some();
        let Untaken { request, keep, deadline_ns } = untaken.unwrap_or_else(|| {
            let (request, keep) = source.next();
            Untaken { request, keep, deadline_ns: self.reactor.deadline_ns(now_ns) }
        });
        let sent = Sent::new(&request, now_ns);
        if self.in_flight == 0 {
            self.seat().watch(deadline_ns);
        }
        let flight = Flight { ticket, sent, deadline_ns, request: request.clone(), keep, is_resent };
        self.lanes[lane].flight = Some(flight);
        self.in_flight += 1;
        (request, keep)
    }

    /// The server has not taken a lane's request: it goes before all others on the next connection, once. Its times go on.
    pub(crate) fn take_back(&mut self, lane: usize, failure: Failure, now_ns: u64) {
        let Some(Flight { ticket, deadline_ns, request, keep, .. }) =
            self.lanes[lane].flight.take_if(|flight| !flight.is_resent)
        else {
            self.arrive(lane, &Err(failure), now_ns);
            return;
        };
        self.reactor.record_resent(ticket);
        self.lanes[lane].untaken = Some(Untaken { request, keep, deadline_ns });
        self.due.push_front((lane, ticket));
        self.land();
    }

    /// One less is in flight.
    fn land(&mut self) {
        self.in_flight -= 1;
        if self.in_flight == 0 {
            self.seat().watch(NO_DEADLINE);
        }
    }

    /// Counts what became of a lane's request; the lane is free again.
    pub(crate) fn arrive(&mut self, lane: usize, outcome: &Result<Exchange, Failure>, now_ns: u64) {
        self.settle(lane, outcome.as_ref().map_or_else(Ending::Failed, Ending::Reply), now_ns);
    }

    fn settle(&mut self, lane: usize, ending: Ending<'_>, now_ns: u64) {
        let Lane { source, flight, .. } = &mut self.lanes[lane];
        if let Some(Flight { ticket, sent, .. }) = flight.take() {
            self.reactor.finish(source, ticket, &sent, ending, now_ns);
            self.free.push(lane);
            self.land();
        }
    }

    /// All that is in flight has failed; with a time-out, also what the connection had no room for.
    pub(crate) fn fail(&mut self, failure: &Failure, now_ns: u64) {
        if matches!(failure, Failure::Timeout) {
            self.send_due(now_ns);
        }
        self.settle_all(Ending::Failed(failure), now_ns);
    }

    /// A connection without room and without anything in flight is given up after the time-out.
    pub(crate) fn watch_for_room(&self, now_ns: u64) {
        if !self.seat().is_watched() {
            self.seat().watch(self.reactor.deadline_ns(now_ns));
        }
    }

    fn send_due(&mut self, now_ns: u64) {
        while let Some((lane, ticket)) = self.due.pop_front() {
            self.depart(lane, ticket, now_ns);
        }
    }

    /// All that is in flight ends alike.
    fn settle_all(&mut self, ending: Ending<'_>, now_ns: u64) {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].flight.is_some() {
                self.settle(lane, ending, now_ns);
            }
        }
    }

    /// A lane whose request has timed out; without one, the sweep is told when to look again.
    pub(crate) fn expired(&self, now_ns: u64) -> Option<usize> {
        let flights = || self.lanes.iter().filter_map(|lane| lane.flight.as_ref());
        let is_expired =
            |lane: &Lane| lane.flight.as_ref().is_some_and(|flight| flight.deadline_ns <= now_ns);
        let expired = self.lanes.iter().position(is_expired);
        if expired.is_none() {
            self.seat().watch(flights().map(|flight| flight.deadline_ns).min().unwrap_or(NO_DEADLINE));
        }
        expired
    }

    /// Opens a connection as soon as there is a request for it, which the time that it takes is part of. `None` when the
    /// run is over first, or when it could not be opened.
    pub(crate) async fn open(&mut self) -> Option<Wire> {
        poll_fn(|context| {
            self.collect();
            if let Some(due) = self.next(1, self.reactor.now_ns()) {
                self.due.push_front(due);
                return Poll::Ready(());
            }
            if self.over { Poll::Ready(()) } else { self.seat().sleep(context) }
        })
        .await;
        let (lane, ticket) = *self.due.front()?;
        let now_ns = self.reactor.now_ns();
        let opened = self.seat().until(self.reactor.deadline_ns(now_ns), self.reactor.dialer(0).open()).await;
        let failure = match opened {
            Ok(Ok((wire, opening))) => {
                self.reactor.record_opening(ticket, &opening);
                return Some(wire);
            }
            Ok(Err(failure)) => Ok(failure),
            Err(Cut::Timeout) => Ok(Failure::Timeout),
            Err(Cut::RunOver) => Err(()),
        };
        self.due.pop_front();
        self.depart(lane, ticket, now_ns);
        let ended_ns = self.reactor.now_ns();
        match &failure {
            Ok(failure) => {
                self.settle(lane, Ending::Failed(failure), ended_ns);
                sleep(RECONNECT_PAUSE).await;
            }
            Err(()) => {
                self.settle(lane, Ending::Unfinished, ended_ns);
                self.over = true;
            }
        }
        None
    }

    /// Requests that have a ticket and were not sent when the run's grace was over.
    pub(crate) fn abandon(&mut self, now_ns: u64) {
        self.over = true;
        self.send_due(now_ns);
        self.settle_all(Ending::Unfinished, now_ns);
    }
}
