//! Accepting connections, and giving them to the shard that should serve them.

use std::rc::Rc;
use std::time::Duration;

use turnpike_rt::{Listener, Queue};

use crate::entrance::{Accepted, Entrance};
use crate::mailbox::ToShard;
use crate::shard::Shard;
use crate::stats::RefusalKind;

/// After a failed accept (out of descriptors, as a rule), so that the core isn't spent on failing.
const RETRY_MS: u64 = 100;

/// For the reactor to close what it had of a socket.
const CLOSE_MS: u64 = 10;

/// Accepts until the shard leaves. Whoever waits in the socket's queue then stays there for the process that accepts
/// from now on; where there is none, they are taken, since the kernel resets them with the socket's end.
pub(crate) async fn accept(shard: Rc<Shard>, listener: Rc<Listener>, entrance: Entrance) {
    let mut is_failing = false;
    while !shard.is_draining() {
        let accepted = listener.accept().await;
        match accepted {
            Ok((descriptor, peer)) => {
                is_failing = false;
                place(&shard, Accepted { descriptor, peer, entrance });
            }
            Err(error) if turnpike_rt::is_canceled(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    report!("turnpike-gateway: shard {} can't accept, trying again: {error}", shard.index);
                }
                turnpike_rt::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        }
    }
    if shard.is_last()
        && let Some(listener) = Rc::into_inner(listener)
    {
        let queue = listener.into_queue();
        take_all(&shard, &queue, entrance);
        // By then the queue's is the last descriptor: between a look at it and its end there is next to no time.
        turnpike_rt::sleep(Duration::from_millis(CLOSE_MS)).await;
        take_all(&shard, &queue, entrance);
    }
    shard.stopped_accepting();
}

fn take_all(shard: &Rc<Shard>, queue: &Queue, entrance: Entrance) {
    loop {
        match queue.take() {
            Ok(Some((descriptor, peer))) => place(shard, Accepted { descriptor, peer, entrance }),
            Ok(None) => return,
            Err(error) => {
                report!("turnpike-gateway: shard {} can't accept what waits: {error}", shard.index);
                return;
            }
        }
    }
}

fn place(shard: &Rc<Shard>, accepted: Accepted) {
    shard.stats.borrow_mut().counters.connections_accepted_total += 1;
    let target = shard.loads.place(shard.index);
    shard.loads.opened(target);
    if target == shard.index {
        return shard.start(accepted);
    }
    match shard.mailboxes[target].send(ToShard::Serve(accepted)) {
        Ok(()) => shard.stats.borrow_mut().counters.connections_handed_off_total += 1,
        Err(ToShard::Serve(accepted)) => {
            shard.loads.closed(target);
            shard.loads.opened(shard.index);
            shard.start(accepted);
        }
        Err(_) => unreachable!("the mailbox gives back what it was given"),
    }
}

/// Whether the shard takes one more connection.
pub(crate) fn admit(shard: &Shard) -> bool {
    let mut stats = shard.stats.borrow_mut();
    let admitted = (stats.gauges.connections_open as usize) < shard.settings.connections_max;
    if !admitted {
        stats.counters.refusals.count(RefusalKind::Connections);
    }
    admitted
}
