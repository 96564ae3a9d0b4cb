//! Asks the integration about a stale answer that a client has got already (RFC 5861 3).
//!
//! The request is made once more, for a client that takes everything and looks at nothing. It is counted nowhere.

use std::rc::Rc;
use std::task::{Context, Poll};

use turnpike_rt::{Channel, Transport};

use super::super::{Exchange, Failure, Record, Wire, route};
use super::{Step, ask, fetch, give_back, look_up};

/// What is sent is gone, and nothing comes.
#[derive(Debug)]
struct Nobody;

impl Channel for Nobody {
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut Vec<u8>, _: usize) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(0))
    }

    fn poll_send(&self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn end(&self) {}

    fn distrust(&self) {}

    fn is_unprocessed(&self) -> bool {
        false
    }
}

pub(super) fn spawn(exchange: &Exchange<'_>) {
    let shard = Rc::clone(exchange.shard);
    let head = exchange.head.clone();
    let bytes: Box<[u8]> = exchange.bytes[..head.head_bytes].into();
    let client = exchange.client.apart(Rc::new(Transport::Channel(Box::new(Nobody))));
    let source_ip = exchange.source_ip;
    turnpike_rt::spawn(async move {
        let table = shard.table();
        let exchange = Exchange {
            shard: &shard,
            client: &client,
            wire: Wire::Http1,
            table: &table,
            expected: super::super::expect(&table, &head, &bytes),
            head: &head,
            bytes: &bytes,
            id: shard.ids.next(),
            source_ip,
            may_keep: false,
            now_us: None,
        };
        let mut record = Record::begin(shard.clock.now_us());
        shard.stats.borrow_mut().gauges.exchanges_in_flight += 1;
        // Whatever becomes of it, the client has its answer; who comes next sees for itself.
        let _ = revalidate(&exchange, &mut record).await;
        shard.stats.borrow_mut().gauges.exchanges_in_flight -= 1;
    });
}

async fn revalidate<'a>(exchange: &Exchange<'a>, record: &mut Record<'a>) -> Result<(), Failure> {
    let approached = exchange.table.approach(exchange.expected);
    let mut spelling = Vec::new();
    let path = route::path(exchange, &mut spelling)?;
    let address = route::address(exchange, approached, path, record)?;
    let selected = route::look_up(exchange, &address, record)?;
    let Some(rules) = &selected.matched.route.cache else { return Ok(()) };
    let mut asked = ask(exchange, &address, &selected, rules, record)?;
    let step = match look_up(exchange, &address, &mut asked)? {
        Step::Answer(hit) if hit.refreshes => Step::Fetch { stale: Some(hit.into_response()) },
        Step::Answer(_) => {
            give_back(exchange, asked);
            return Ok(());
        }
        step => step,
    };
    if exchange.shard.cache.fills.is_under_way(asked.stage, &asked.key) {
        give_back(exchange, asked);
        return Ok(());
    }
    let fetched = Box::pin(fetch(exchange, &address, &selected, &mut asked, step, record)).await;
    give_back(exchange, asked);
    fetched.map(drop)
}
