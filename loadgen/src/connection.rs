//! The life of one connection: claim a ticket, exchange, record, until the schedule is over.

use std::rc::Rc;
use std::time::Duration;

use monoio::time::sleep;

use crate::failure::Failure;
use crate::reactor::{Ending, Reactor, Sent};
use crate::request::Request;
use crate::schedule::{Claim, Ticket};
use crate::seat::{Cut, Wake};
use crate::source::Keep;
use crate::wire::{Dialer, Exchange, Wire};

/// Wait after a connection couldn't be opened, so that a server that is gone isn't hammered.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// A connection that rested for longer may have been closed by its server, as those do after a time: it is looked at
/// before a request, which costs a read. Users of other clients get a new one as well, and see no error.
const REST_UNLOOKED_AT: Duration = Duration::from_millis(20);

/// `wires` are one for each host.
pub(crate) async fn run_connection(reactor: Rc<Reactor>, index: usize, mut wires: Vec<Option<Wire>>) {
    let seat = &reactor.seats[index];
    let mut source = reactor.source();
    let mut now_ns = reactor.now_ns();
    loop {
        let pause = source.pause();
        if pause > Duration::ZERO {
            if !reactor.rest(pause).await {
                return;
            }
            now_ns = reactor.now_ns();
        }
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
        let (request, keep) = source.next();
        let mut sent = Sent::new(&request, now_ns);
        let dialer = reactor.dialer(request.host);
        let wire = &mut wires[request.host];
        let exchange = exchange(&reactor, dialer, wire, ticket, request, keep, &mut sent);
        let outcome = seat.until(reactor.deadline_ns(now_ns), exchange).await;
        now_ns = reactor.now_ns();
        let ending = match &outcome {
            Ok(Ok(exchange)) => Ending::Reply(exchange),
            Ok(Err(failure)) => Ending::Failed(failure),
            Err(Cut::Timeout) => Ending::Failed(&Failure::Timeout),
            Err(Cut::RunOver) => Ending::Unfinished,
        };
        reactor.finish(&mut source, ticket, &sent, ending, now_ns);
        match outcome {
            Ok(Ok(exchange)) if exchange.reply.reusable => {
                if let Some(open) = wire {
                    open.rests_since_ns = now_ns;
                }
                if let Some(spent) = wire.take_if(|wire| reactor.is_spent(wire.exchanges)) {
                    spent.close().await;
                    now_ns = reactor.now_ns();
                }
            }
            Err(Cut::RunOver) => return,
            Ok(Err(Failure::Connect(_) | Failure::Tls(_))) => {
                *wire = None;
                sleep(RECONNECT_PAUSE).await;
                now_ns = reactor.now_ns();
            }
            _ => *wire = None,
        }
    }
}

/// Opens the connection first where there is none, or none any more; the request is sent after that.
async fn exchange(
    reactor: &Reactor,
    dialer: &Dialer,
    wire: &mut Option<Wire>,
    ticket: Ticket,
    request: Request,
    keep: Keep,
    sent: &mut Sent,
) -> Result<Exchange, Failure> {
    if let Some(open) = wire
        && sent.at_ns.saturating_sub(open.rests_since_ns) > REST_UNLOOKED_AT.as_nanos() as u64
    {
        if open.has_ended().await {
            *wire = None;
        }
        sent.at_ns = reactor.now_ns();
    }
    let wire = match wire {
        Some(wire) => wire,
        None => {
            let (opened, opening) = dialer.open().await?;
            reactor.record_opening(ticket, &opening);
            sent.at_ns = reactor.now_ns();
            wire.insert(opened)
        }
    };
    wire.exchange(request, keep).await
}
