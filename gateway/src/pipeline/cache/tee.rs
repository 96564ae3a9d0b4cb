//! Keeps an answer while it passes.
//!
//! What is gathered goes into the store once all of it has come, and never before: an answer that is cut off, by the
//! integration or because the client left, leaves nothing. So does one that only the connection's close ends, since
//! nobody can tell whether it was cut off; one with trailers; and one that grows beyond `cache_response_bytes_max`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use turnpike_cache::{
    Arrival, Filling, Mode, Outcome, Response, ResponseFacts, Revalidation, Stored, Vary, Verdict, freshens,
    judge, merge, split_lines, varying,
};
use turnpike_coding::is_transformable;
use turnpike_http::{ResponseFraming, ResponseHead};
use turnpike_rt::Clock;

use super::super::Exchange;
use super::super::body::Body;
use super::super::integrate::{UpstreamFault, chunk_limits};
use super::payload::Payload;
use super::{Asked, Hit, key};
use crate::response_cache::{Outdated, ResponseCache};

/// Room that is asked for at once for a body whose length isn't known.
const STEP_BYTES: usize = 64 * 1024;
/// Words of `Cache-Tag`; an answer with more isn't kept, since it couldn't be purged by them.
const TAGS_MAX: usize = 128;

/// What becomes of an answer beside being passed on.
#[derive(Debug)]
pub(in crate::pipeline) struct Tee<'x, 'a> {
    exchange: &'x Exchange<'a>,
    asked: Option<&'x Asked<'a>>,
    /// Held by who keeps the answer.
    filling: RefCell<Option<Filling<'x>>>,
    gathered: RefCell<Option<Gathered<'x>>>,
    stale: Option<Rc<Response>>,
    /// The integration was asked about `stale`.
    about_stale: bool,
    again: Cell<bool>,
    asked_ms: u64,
    outdated: Vec<Outdated>,
}

/// An answer that has come in part.
#[derive(Debug)]
struct Gathered<'x> {
    verdict: Verdict,
    response: Response,
    body: Body,
    payload: Payload<'x>,
    trailers: Vec<u8>,
    room: Room<'x>,
}

/// Bytes that a body on its way may take.
#[derive(Debug)]
pub(super) struct Room<'x> {
    cache: &'x ResponseCache,
    bytes: usize,
}

impl<'x> Room<'x> {
    pub(super) fn new(cache: &'x ResponseCache) -> Self {
        Self { cache, bytes: 0 }
    }

    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.cache.begin_filling(bytes as u64);
        self.bytes += if fits { bytes } else { 0 };
        fits
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.cache.end_filling(self.bytes as u64);
    }
}

impl<'x, 'a> Tee<'x, 'a> {
    pub(super) fn new(
        exchange: &'x Exchange<'a>,
        asked: &'x Asked<'a>,
        filling: Option<Filling<'x>>,
        stale: Option<Rc<Response>>,
    ) -> Self {
        Self {
            exchange,
            asked: Some(asked),
            filling: RefCell::new(filling),
            gathered: RefCell::default(),
            stale,
            about_stale: false,
            again: Cell::new(false),
            asked_ms: exchange.shard.now_ms(),
            outdated: Vec::new(),
        }
    }

    /// Keeps nothing: the answer, if it is a good one, means that something kept isn't right any more.
    pub(super) fn outdating(exchange: &'x Exchange<'a>, outdated: Vec<Outdated>) -> Self {
        Self {
            exchange,
            asked: None,
            filling: RefCell::default(),
            gathered: RefCell::default(),
            stale: None,
            about_stale: false,
            again: Cell::new(false),
            asked_ms: 0,
            outdated,
        }
    }

    pub(super) fn asks_about(&mut self, stale: bool) {
        self.about_stale = stale;
    }

    pub(super) fn forget_stale(&mut self) {
        self.stale = None;
        self.again.set(false);
    }

    /// The integration has said that something goes on which isn't what it was asked about.
    pub(super) fn must_ask_again(&self) -> bool {
        self.again.get()
    }

    /// What the client gets instead of the integration's answer. `lines` are those that are kept of its head, and
    /// whether `Date` is among them.
    pub(in crate::pipeline) fn instead(
        &self,
        head: &ResponseHead,
        input: &[u8],
        lines: impl FnOnce() -> (Vec<u8>, bool),
    ) -> Result<Option<Hit>, UpstreamFault> {
        let (Some(asked), Some(stale)) = (self.asked, &self.stale) else { return Ok(None) };
        let arrival = self.arrival();
        let facts = facts(head, input, arrival.now_s);
        match freshens(stale, &facts) {
            Revalidation::Unchanged if self.about_stale => {
                let (lines, dated) = lines();
                let renewed = self.renew(asked, stale, &facts, (&lines, dated), &arrival);
                Ok(Some(Hit::new(self.exchange, asked, renewed, false)))
            }
            Revalidation::Unknown if self.about_stale => {
                self.again.set(true);
                Err(UpstreamFault::Malformed)
            }
            Revalidation::Replaced if stale.freshness.covers_failure(arrival.now_ms, Some(head.status)) => {
                Ok(Some(Hit::new(self.exchange, asked, Rc::clone(stale), false)))
            }
            _ => Ok(None),
        }
    }

    /// The stored response with what the answer says of it (RFC 9111 4.3.4).
    fn renew(
        &self,
        asked: &Asked<'_>,
        stale: &Response,
        answered: &ResponseFacts<'_>,
        (lines, dated): (&[u8], bool),
        arrival: &Arrival,
    ) -> Rc<Response> {
        let lines = merge(&stale.lines, lines);
        let mut facts = ResponseFacts::gather(stale.status, arrival.now_s, split_lines(&lines));
        (facts.date_s, facts.age_s) = (answered.date_s, answered.age_s);
        let verdict = self.judge(asked, &facts, arrival);
        let renewed = Rc::new(Response {
            freshness: verdict.as_ref().map_or(stale.freshness, |verdict| verdict.freshness),
            last_modified_s: facts.last_modified_s,
            dated: dated || stale.dated,
            ..stale.with_lines(lines)
        });
        match verdict {
            Some(verdict) => self.store(asked, Rc::clone(&renewed), verdict),
            None => self.end(Outcome::NotStored),
        }
        renewed
    }

    /// The answer's head has come. `lines` are those that are kept of it.
    pub(in crate::pipeline) fn begin(
        &self,
        head: &ResponseHead,
        input: &[u8],
        lines: impl FnOnce() -> (Vec<u8>, bool),
    ) {
        for outdated in self.outdated.iter().filter(|_| (200..400).contains(&head.status)) {
            let shard = self.exchange.shard;
            shard.cache.forget_everywhere(outdated, shard.index, &shard.mailboxes);
        }
        let (Some(asked), true) = (self.asked, self.filling.borrow().is_some()) else { return };
        let settings = &self.exchange.shard.settings;
        let bytes_max = settings.cache_response_bytes_max;
        // `None` within: not known yet.
        let length = match head.framing {
            ResponseFraming::None => Some(Some(0)),
            ResponseFraming::Length(length) => usize::try_from(length).ok().map(Some),
            ResponseFraming::Chunked => Some(None),
            ResponseFraming::UntilClose => None,
        };
        let length = length.filter(|length| length.is_none_or(|length| length <= bytes_max));
        let arrival = self.arrival();
        let facts = facts(head, input, arrival.now_s);
        let tags = self.tags(head, input);
        let (Some(length), Some(tags), Some(verdict)) = (length, tags, self.judge(asked, &facts, &arrival))
        else {
            return self.pass(asked);
        };
        let mut room = Room::new(&self.exchange.shard.cache);
        if !room.grow(length.unwrap_or(0)) {
            return self.end(Outcome::NotStored);
        }
        let (lines, dated) = lines();
        let codable = asked.compression.is_some() && self.is_codable(head, input);
        let limits =
            chunk_limits(settings, settings.upstream_head_bytes_max, settings.upstream_header_count_max);
        let response = Response {
            status: head.status,
            lines: if codable { varying(&lines) } else { lines.into() },
            dated,
            body: Bytes::new(),
            body_held_bytes: 0,
            freshness: verdict.freshness,
            etag: facts.etag.map(Into::into),
            last_modified_s: facts.last_modified_s,
            tags,
            codable,
            forms: Box::default(),
        };
        *self.gathered.borrow_mut() = Some(Gathered {
            verdict,
            response,
            body: Body::of_response(head.framing, limits),
            payload: Payload::new(room.cache, length, bytes_max),
            trailers: Vec::new(),
            room,
        });
    }

    /// Bytes of the body have come, framed as they are; `done` says whether they are the last.
    pub(in crate::pipeline) fn add(&self, bytes: &[u8], done: bool) {
        let mut gathered = self.gathered.borrow_mut();
        let (Some(asked), Some(taking)) = (self.asked, gathered.as_mut()) else { return };
        match taking.take(bytes) {
            Taken::Whole if done => {
                let whole = gathered.take();
                drop(gathered);
                if let Some(whole) = whole {
                    let (response, verdict) = whole.into_response();
                    self.store(asked, Rc::new(response), verdict);
                }
            }
            Taken::Whole => {}
            Taken::NotKept => {
                *gathered = None;
                self.pass(asked);
            }
            Taken::NoRoom => {
                *gathered = None;
                self.end(Outcome::NotStored);
            }
        }
    }

    fn arrival(&self) -> Arrival {
        let shard = self.exchange.shard;
        let delay_ms = shard.now_ms().saturating_sub(self.asked_ms);
        Arrival { now_ms: shard.wheel.now_ms(), now_s: Clock::unix_ms() / 1000, delay_ms }
    }

    fn judge(&self, asked: &Asked<'_>, facts: &ResponseFacts<'_>, arrival: &Arrival) -> Option<Verdict> {
        let by_caller = !is_for_all(asked, facts);
        let names_caller = by_caller && asked.facts.authorization.is_some();
        let mut verdict = judge(&asked.rules.mode, &asked.facts, facts, names_caller, arrival).ok()?;
        if let Mode::Origin(_) = asked.rules.mode {
            let names = asked.rules.headers.iter().map(|name| &**name);
            verdict.vary = Vary::with(verdict.vary, by_caller, names);
        }
        if asked.compression.is_some() {
            // The origin wasn't told what clients accept.
            verdict.vary = Vary::without(verdict.vary, b"accept-encoding");
        }
        Some(verdict)
    }

    /// Whether the body may be compressed for those that are given it.
    fn is_codable(&self, head: &ResponseHead, input: &[u8]) -> bool {
        let lines = head.headers.iter().map(|line| (line.name_span.of(input), line.value_span.of(input)));
        is_transformable(lines, &self.exchange.shard.settings.compression_excluded_types)
    }

    fn store(&self, asked: &Asked<'_>, response: Rc<Response>, verdict: Verdict) {
        let Some(filling) = self.filling.take() else { return };
        if filling.is_outdated() {
            return filling.end(Outcome::NotStored);
        }
        let shard = self.exchange.shard;
        let stored = Stored {
            response,
            generation: asked.generation,
            now_ms: shard.wheel.now_ms(),
            until_ms: verdict.until_ms,
        };
        let fields = key::fields(self.exchange, asked.facts.authorization);
        let mut key = asked.primary().to_vec();
        let mut store = shard.cache.store.borrow_mut();
        let kept = store.insert_varying(asked.stage, &mut key, verdict.vary, stored, &fields);
        if !kept && store.is_current(asked.stage, asked.generation) {
            // There is no room for it, as there won't be for the next like it.
            store.insert_pass(asked.stage, &asked.key, shard.wheel.now_ms(), self.pass_ends_ms());
        }
        drop(store);
        filling.end(if kept { Outcome::Stored } else { Outcome::NotStored });
    }

    fn pass_ends_ms(&self) -> u64 {
        self.exchange.shard.wheel.now_ms() + self.exchange.shard.settings.cache_pass_ms
    }

    /// Lets those go who wait, and those that come in the next moments.
    fn pass(&self, asked: &Asked<'_>) {
        let shard = self.exchange.shard;
        let now_ms = shard.wheel.now_ms();
        let mut store = shard.cache.store.borrow_mut();
        store.insert_pass(asked.stage, &asked.key, now_ms, self.pass_ends_ms());
        drop(store);
        self.end(Outcome::NotStored);
    }

    fn end(&self, outcome: Outcome) {
        if let Some(filling) = self.filling.take() {
            filling.end(outcome);
        }
    }

    fn tags(&self, head: &ResponseHead, input: &[u8]) -> Option<Box<[u64]>> {
        let store = self.exchange.shard.cache.store.borrow();
        let mut tags = Vec::new();
        let lines =
            head.headers.iter().filter(|line| line.name_span.of(input).eq_ignore_ascii_case(b"cache-tag"));
        for line in lines {
            let words = line.value_span.of(input).split(|byte| matches!(byte, b' ' | b'\t' | b','));
            for word in words.filter(|word| !word.is_empty()) {
                if tags.len() == TAGS_MAX {
                    return None;
                }
                tags.push(store.tag(word));
            }
        }
        Some(tags.into())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Whole,
    NoRoom,
    NotKept,
}

impl Gathered<'_> {
    fn take(&mut self, bytes: &[u8]) -> Taken {
        let (body, trailers) = (&mut self.body, &mut self.trailers);
        let taken = self.payload.extend(|heap| body.take_payload(bytes, heap, trailers).map(drop));
        match taken {
            Err(_) => return Taken::NotKept,
            Ok(_) if !self.trailers.is_empty() || self.payload.is_too_long() => return Taken::NotKept,
            Ok(Err(error)) => {
                self.room.cache.complain(&error);
                return Taken::NoRoom;
            }
            Ok(Ok(())) => {}
        }
        let missing = self.payload.len().saturating_sub(self.room.bytes);
        if missing > 0 && !self.room.grow(missing.max(STEP_BYTES)) {
            return Taken::NoRoom;
        }
        Taken::Whole
    }

    fn into_response(self) -> (Response, Verdict) {
        let (body, body_held_bytes) = self.payload.finish();
        (Response { body, body_held_bytes, ..self.response }, self.verdict)
    }
}

/// RFC 9111 3.5. Where the operator decides, the key names the caller.
fn is_for_all(asked: &Asked<'_>, facts: &ResponseFacts<'_>) -> bool {
    let control = &facts.control;
    let says_so = control.public || control.must_revalidate || control.s_maxage.is_some();
    asked.rules.by_origin() && says_so && !control.private && !facts.sets_cookie
}

fn facts<'i>(head: &'i ResponseHead, input: &'i [u8], now_s: u64) -> ResponseFacts<'i> {
    let lines = head.headers.iter().map(|line| (line.name_span.of(input), line.value_span.of(input)));
    ResponseFacts::gather(head.status, now_s, lines)
}
