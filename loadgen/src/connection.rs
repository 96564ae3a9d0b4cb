//! The life of one connection: claim a ticket, exchange, record, until the schedule is over.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use monoio::time::sleep;

use crate::failure::Failure;
use crate::reactor::Reactor;
use crate::request::Request;
use crate::schedule::{Claim, Ticket};
use crate::seat::{Cut, Wake};
use crate::wire::{Exchange, Wire};

/// Wait after a connection couldn't be opened, so that a server that is gone isn't hammered.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run_connection(reactor: Rc<Reactor>, index: usize, mut wire: Option<Wire>) {
    let seat = &reactor.seats[index];
    let mut now_ns = reactor.now_ns();
    loop {
        let ticket = match reactor.claim(index, now_ns) {
            Claim::Send(ticket) => ticket,
            Claim::Over => return,
            Claim::Wait => match seat.parked().await {
                Wake::Send(ticket) => {
                    now_ns = reactor.now_ns();
                    ticket
                }
                Wake::RunOver => return,
            },
        };
        let request = reactor.next_request();
        let sent_ns = Cell::new(now_ns);
        let exchange = exchange(&reactor, &mut wire, ticket, request, &sent_ns);
        let outcome = seat.until(reactor.deadline_ns(now_ns), exchange).await;
        now_ns = reactor.now_ns();
        reactor.record(ticket, request, sent_ns.get(), &outcome, now_ns);
        match outcome {
            Ok(Ok(exchange)) if exchange.reply.reusable => {
                if let Some(spent) = wire.take_if(|wire| reactor.is_spent(wire)) {
                    spent.close().await;
                    now_ns = reactor.now_ns();
                }
            }
            Err(Cut::RunOver) => return,
            Ok(Err(Failure::Connect(_) | Failure::Tls(_))) => {
                wire = None;
                sleep(RECONNECT_PAUSE).await;
                now_ns = reactor.now_ns();
            }
            _ => wire = None,
        }
    }
}

/// Opens the connection first where there is none; the request is sent after that.
async fn exchange(
    reactor: &Reactor,
    wire: &mut Option<Wire>,
    ticket: Ticket,
    request: &Request,
    sent_ns: &Cell<u64>,
) -> Result<Exchange, Failure> {
    let wire = match wire {
        Some(wire) => wire,
        None => {
            let (opened, opening) = reactor.dialer.open().await?;
            reactor.record_opening(ticket, &opening);
            sent_ns.set(reactor.now_ns());
            wire.insert(opened)
        }
    };
    wire.exchange(request, reactor.settings.head_method).await
}
