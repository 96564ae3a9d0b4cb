//! A kept response in a content coding: made once, by the first that is given it so, and kept with it. Those that come
//! meanwhile wait for it; where too many do, or too much is being compressed, the answer goes as it is.

use std::rc::Rc;

use turnpike_cache::{Found, Outcome, Response, Turn};
use turnpike_coding::ContentCoding;

use super::super::{Exchange, Failure};
use super::Asked;
use super::payload::Payload;
use super::tee::Room;

/// Behind a key, with the coding's name: unlike any part of one.
const MARK: u8 = 0xfe;

/// The response with that form, or as it is.
pub(super) async fn make(
    exchange: &Exchange<'_>,
    asked: &Asked<'_>,
    response: &Rc<Response>,
    coding: ContentCoding,
) -> Result<Rc<Response>, Failure> {
    let (shard, settings) = (exchange.shard, &exchange.shard.settings);
    let key = [&asked.key, &[MARK][..], coding.name().as_bytes()].concat();
    let deadline_ms = shard.wheel.now_ms() + settings.cache_wait_timeout_ms;
    let waiting_max = settings.cache_waiting_requests_max;
    let filling = match shard.cache.fills.join(asked.stage, &key, waiting_max, deadline_ms) {
        Turn::Fill(filling) => filling,
        Turn::Alone => return Ok(Rc::clone(response)),
        Turn::Wait(waiting) => {
            let outcome = waiting.await;
            if exchange.is_abandoned() {
                return Err(Failure::ClientGone);
            }
            let formed = (outcome == Outcome::Stored).then(|| formed(exchange, asked, response)).flatten();
            return Ok(formed.unwrap_or_else(|| Rc::clone(response)));
        }
    };
    let Some(formed) = compress(exchange, response, coding).await else {
        filling.end(Outcome::NotStored);
        return Ok(Rc::clone(response));
    };
    let mut store = shard.cache.store.borrow_mut();
    let kept = store.add_form(asked.stage, &asked.key, response, Rc::clone(&formed));
    drop(store);
    filling.end(if kept { Outcome::Stored } else { Outcome::NotStored });
    Ok(formed)
}

/// What lies there now, if it is the same response.
fn formed(exchange: &Exchange<'_>, asked: &Asked<'_>, response: &Response) -> Option<Rc<Response>> {
    let now_ms = exchange.shard.wheel.now_ms();
    match exchange.shard.cache.store.borrow_mut().find(asked.stage, &asked.key, now_ms) {
        Some(Found::Response(found)) if found.body.as_ptr() == response.body.as_ptr() => Some(found),
        _ => None,
    }
}

/// In turns; `None` where there is no compressor, or no room.
async fn compress(
    exchange: &Exchange<'_>,
    response: &Response,
    coding: ContentCoding,
) -> Option<Rc<Response>> {
    let (shard, settings) = (exchange.shard, &exchange.shard.settings);
    let Some(mut lent) = shard.compression.encoder(coding, settings) else {
        shard.stats.borrow_mut().counters.compressions_crowded_total += 1;
        return None;
    };
    let mut room = Room::new(&shard.cache);
    if !room.grow(response.body.len()) {
        return None;
    }
    let mut coded = Vec::new();
    for turn in response.body.chunks(settings.compression_turn_bytes) {
        lent.encoder().encode(turn, &mut coded);
        turnpike_rt::yield_now().await;
    }
    lent.finish(&mut coded);
    let mut stats = shard.stats.borrow_mut();
    stats.counters.compressions_total += 1;
    stats.counters.compression_in_bytes_total += response.body.len() as u64;
    stats.counters.compression_out_bytes_total += coded.len() as u64;
    drop(stats);
    let mut payload = Payload::new(&shard.cache, Some(coded.len()), coded.len());
    let appended = payload.extend(|heap| {
        heap.append(&mut coded);
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(appended) = appended;
    if let Err(error) = appended {
        shard.cache.complain(&error);
        return None;
    }
    let (body, held_bytes) = payload.finish();
    Some(Rc::new(response.with_form(coding.name(), body, held_bytes)))
}
