//! Connections that only rest: opened one after another by a ramp, kept until the end, and counted as they drop.
//!
//! Opening one is its one request: its latency counts from when the ramp wanted it, so a server that can't keep up
//! shows. One that drops afterwards is an error of its kind, and isn't opened again.

use std::rc::Rc;
use std::time::Duration;

use super::session::STATUS;
use crate::crew::Crew;
use crate::failure::Failure;
use crate::lanes::{End, carry};
use crate::reactor::{Ending, Reactor, Sent};
use crate::reply::Reply;
use crate::schedule::Ticket;
use crate::seat::Cut;
use crate::source::{Rotation, Source};
use crate::wire::Exchange;

/// One connection, the `index`th of its reactor, which opens one each `interval_ns`.
pub(crate) async fn hold(reactor: Rc<Reactor>, index: usize, interval_ns: f64) {
    let due_ns = (index as f64 * interval_ns) as u64;
    let Some(end_ns) = reactor.end_ns().filter(|end_ns| due_ns < *end_ns) else { return };
    if !reactor.rest(Duration::from_nanos(due_ns.saturating_sub(reactor.now_ns()))).await {
        return;
    }
    let ticket = Ticket { intended_ns: due_ns, recorded: reactor.is_recorded(due_ns) };
    let began_ns = reactor.now_ns();
    let seat = &reactor.seats[index];
    let opened = seat.until(reactor.deadline_ns(began_ns), reactor.dialer(0).open()).await;
    let (result, ending) = match opened {
        Ok(Ok((wire, opening))) => {
            reactor.record_opening(ticket, &opening);
            let reply = Reply { status: STATUS, body_bytes: 0, reusable: true };
            (Ok(Exchange { reply, received_bytes: 0, kept: None }), Some(wire))
        }
        Ok(Err(failure)) => (Err(Some(failure)), None),
        Err(Cut::Timeout) => (Err(Some(Failure::Timeout)), None),
        Err(Cut::RunOver) => (Err(None), None),
    };
    let outcome = match &result {
        Ok(exchange) => Ending::Reply(exchange),
        Err(Some(failure)) => Ending::Failed(failure),
        Err(None) => Ending::Unfinished,
    };
    let sent = Sent { label: 0, bytes: 0, content_bytes: 0, at_ns: began_ns };
    let mut source = Source::Rotation(Rc::new(Rotation::new(&[], 0)));
    reactor.finish(&mut source, ticket, &sent, outcome, reactor.now_ns());
    let Some(mut wire) = ending else { return };
    let mut crew = Crew::new(Rc::clone(&reactor), index, 0);
    crew.held_until_ns = Some(end_ns);
    seat.watch(end_ns);
    match carry(&mut crew, &mut wire, reactor.websocket(index)).await {
        End::Drained(None) | End::RunOver => wire.close().await,
        End::Drained(Some(failure)) | End::Broken(failure) if reactor.is_recorded(reactor.now_ns()) => {
            reactor.record_drop(&failure);
        }
        End::Drained(Some(_)) | End::Broken(_) => {}
    }
}
