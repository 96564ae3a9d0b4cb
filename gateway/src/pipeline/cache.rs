//! Cache: answers from what is kept of a route's answers, or has it kept.
//!
//! Stands behind everything that says whether the caller may have an answer at all. What of a request tells answers
//! apart is written into a key ([`key`]); what lies there is sent by reference ([`hit`]). Otherwise one request
//! fetches it while others for the same wait, and what comes is kept while it passes ([`tee`]). A request with a body
//! is never answered from here, nor is what it brings kept: the body is no part of the key.
//! (AWS: Cache settings for REST APIs; RFC 9111.)

mod form;
mod hit;
mod key;
mod payload;
mod refresh;
mod tee;

use std::rc::Rc;

use turnpike_cache::{
    Demand, Filling, Found, Invalidation, Outcome, RequestFacts, Response, Reuse, Turn, encode_conditions,
    invalidation, other_scheme, reuse, split_lines,
};
use turnpike_http::{Framing, Method};
use turnpike_snapshot::Compression;

pub(super) use hit::Hit;
use hit::Written;
pub(super) use tee::Tee;

use super::route::{Address, Selected};
use super::upstream_request::Question;
use super::{Answered, Exchange, Failure, Record, Refusal, integrate, respond};
use crate::response_cache::Outdated;
use crate::table::RouteCache;

/// How often a request waits for another's answer, as long as none comes: where the integration fails each time, those who
/// wait don't do so one after the other.
const WAITS_MAX: usize = 2;

/// A request of a route with a cache.
#[derive(Debug)]
struct Asked<'a> {
    rules: &'a RouteCache,
    facts: RequestFacts<'a>,
    stage: u32,
    /// Of the stage, as the request began with it.
    generation: u64,
    coalesced: bool,
    /// The route's.
    compression: Option<Compression>,
    /// With what the answer is known to vary by, behind the part by which all its variants are found.
    key: Vec<u8>,
    primary_bytes: usize,
    /// The answer is to be a new one.
    refresh: bool,
    warns: bool,
}

impl Asked<'_> {
    fn primary(&self) -> &[u8] {
        &self.key[..self.primary_bytes]
    }
}

/// What is to be done for a request.
#[derive(Debug)]
enum Step {
    Answer(Hit),
    /// It is kept if it may be. What is stale may be asked about, and is there if the integration fails.
    Fetch {
        stale: Option<Rc<Response>>,
    },
    /// It is passed on as if there were no cache, but for what is there if the integration fails.
    Pass {
        stale: Option<Rc<Response>>,
    },
}

/// What a look into the cache comes to.
enum Begun<'a> {
    /// It is answered from there.
    Written(Written),
    Asked(Box<Asked<'a>>, Step),
    PassesBy,
}

pub(super) async fn serve<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    rules: &'a RouteCache,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    // What isn't a hit is boxed: several times the size of what is.
    match begin(exchange, address, selected, rules, record)? {
        Begun::Written(written) => written.send(exchange).await.map_err(|()| Failure::ClientGone),
        Begun::Asked(asked, step) => {
            Box::pin(go_on(exchange, address, selected, (asked, step), record)).await
        }
        Begun::PassesBy => Box::pin(pass_by(exchange, address, selected, rules, record)).await,
    }
}

/// All that a hit takes but for sending it.
fn begin<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    rules: &'a RouteCache,
    record: &mut Record<'a>,
) -> Result<Begun<'a>, Failure> {
    if !may_be_kept(exchange, rules) {
        record.cached = rules.stores.then_some(false);
        return Ok(Begun::PassesBy);
    }
    let mut asked = ask(exchange, address, selected, rules, record)?;
    match look_up(exchange, address, &mut asked)? {
        Step::Answer(hit) if !hit.lacks_form() => {
            refresh_behind(exchange, &asked, &hit);
            give_back(exchange, asked);
            Ok(Begun::Written(hit.write_kept(exchange, address, record)))
        }
        step => Ok(Begun::Asked(Box::new(asked), step)),
    }
}

/// A request that can't be answered at once.
async fn go_on<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    (mut asked, mut step): (Box<Asked<'a>>, Step),
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    if let Step::Answer(hit) = &mut step {
        hit.make_form(exchange, &asked).await?;
        refresh_behind(exchange, &asked, hit);
    }
    let answered = fetch(exchange, address, selected, &mut asked, step, record).await;
    give_back(exchange, *asked);
    answered
}

/// A hit that is stale is asked for anew meanwhile, unless it is already.
fn refresh_behind(exchange: &Exchange<'_>, asked: &Asked<'_>, hit: &Hit) {
    let refreshes = hit.refreshes && exchange.head.method == Method::Get;
    if refreshes && !exchange.shard.cache.fills.is_under_way(asked.stage, &asked.key) {
        refresh::spawn(exchange);
    }
}

/// Whether an answer may come from the cache, or go into it.
fn may_be_kept(exchange: &Exchange<'_>, rules: &RouteCache) -> bool {
    let has_body = !matches!(exchange.head.framing, Framing::None | Framing::Length(0));
    let keeps = rules.stores && exchange.shard.settings.cache_bytes_max > 0;
    keeps && !has_body && (!rules.gets_only || matches!(exchange.head.method, Method::Get | Method::Head))
}

/// Reads what a request says, and writes its key.
fn ask<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    rules: &'a RouteCache,
    record: &Record<'_>,
) -> Result<Asked<'a>, Failure> {
    let facts = RequestFacts::gather(exchange.header_lines());
    let cache = address.stage.cache.as_ref();
    let mut asked = Asked {
        rules,
        facts,
        stage: address.stage.slot.0,
        generation: cache.map_or(0, |cache| cache.terms.generation),
        coalesced: cache.is_some_and(|cache| cache.coalesced),
        compression: selected.matched.route.compression,
        key: exchange.shard.cache.key(),
        primary_bytes: 0,
        refresh: false,
        warns: false,
    };
    let wishes = facts.control.asks_for_refresh() || rules.by_origin() && facts.control.no_cache;
    let otherwise = rules.permission.unwrap_or(turnpike_cache::Unpermitted::Ignore);
    // Nobody can show the permission so far: it comes with IAM authorization.
    match invalidation(wishes, rules.permission.is_some(), false, otherwise) {
        Invalidation::None => {}
        Invalidation::Granted => asked.refresh = true,
        Invalidation::Ignored { warns } => asked.warns = warns,
        Invalidation::Refused => {
            give_back(exchange, asked);
            return Err(Refusal::CacheInvalidation(address.stage.protocol).into());
        }
    }
    let path = key::Path { address, variables: selected.matched.variables };
    let method = match exchange.head.method {
        Method::Get | Method::Head => "GET",
        _ => exchange.method(),
    };
    key::write(&mut asked.key, exchange, &path, rules, method, is_apart(record), facts.authorization);
    asked.primary_bytes = asked.key.len();
    Ok(asked)
}

fn give_back(exchange: &Exchange<'_>, asked: Asked<'_>) {
    exchange.shard.cache.give_key(asked.key);
}

fn look_up(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    asked: &mut Asked<'_>,
) -> Result<Step, Failure> {
    if asked.facts.several_callers || asked.facts.overrides {
        return Ok(Step::Pass { stale: None });
    }
    let now_ms = exchange.shard.wheel.now_ms();
    let fields = key::fields(exchange, asked.facts.authorization);
    asked.key.truncate(asked.primary_bytes);
    let mut store = exchange.shard.cache.store.borrow_mut();
    let found = store.find_varying(asked.stage, &mut asked.key, now_ms, &fields);
    drop(store);
    let by_origin = asked.rules.by_origin();
    let (stale, passes) = match found {
        Some(Found::Response(response)) => {
            let demand = if by_origin {
                Demand::of(&asked.facts, asked.refresh || asked.rules.permission.is_none())
            } else {
                Demand { refresh: asked.refresh, ..Demand::default() }
            };
            match reuse(&response.freshness, &demand, now_ms) {
                Reuse::Fresh => return Ok(Step::Answer(Hit::new(exchange, asked, response, false))),
                Reuse::WhileRevalidating => {
                    return Ok(Step::Answer(Hit::new(exchange, asked, response, true)));
                }
                Reuse::AfterRevalidation => (Some(response), false),
            }
        }
        Some(Found::Pass) => (None, true),
        Some(Found::Varies(_)) | None => (None, false),
    };
    if by_origin && asked.facts.control.only_if_cached {
        return Err(Refusal::NotCached(address.stage.protocol).into());
    }
    let about_part = asked.facts.for_origin || asked.facts.range.is_some();
    let not_for_all = about_part || exchange.forwards_lies(address.stage.protocol);
    Ok(if passes || not_for_all || exchange.head.method == Method::Head {
        Step::Pass { stale }
    } else {
        Step::Fetch { stale }
    })
}

/// Has the integration answer, and keeps the answer if this request is the one that does.
async fn fetch<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    asked: &mut Asked<'a>,
    step: Step,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    let shard = exchange.shard;
    if asked.refresh {
        let outdated = Outdated { stage: asked.stage, key: asked.primary().into() };
        shard.cache.forget_everywhere(&outdated, shard.index, &shard.mailboxes);
    }
    let (mut stale, filling) = match step {
        Step::Answer(hit) => return hit.answer_kept(exchange, address, record).await,
        Step::Pass { stale } => (stale, None),
        Step::Fetch { stale } => match take_turn(exchange, address, asked).await? {
            Turned::Answer(mut hit) => {
                if hit.lacks_form() {
                    hit.make_form(exchange, asked).await?;
                }
                return hit.answer_kept(exchange, address, record).await;
            }
            Turned::Fill(filling) => (stale, Some(filling)),
            Turned::Alone => (stale, None),
        },
    };
    record.cached = Some(false);
    let fills = filling.is_some();
    let mut tee = Tee::new(exchange, asked, filling, stale.clone());
    loop {
        let question = fills.then(|| question(stale.as_deref(), asked.compression.is_some()));
        tee.asks_about(stale.is_some() && fills);
        let result = match integrate::send(exchange, address, selected, question.as_ref(), None, record).await
        {
            Ok(sent) => respond::relay(exchange, address, selected, sent, Some(&tee), record).await,
            Err(failure) => Err(failure),
        };
        let Err(Failure::Refused(Refusal::Upstream(..))) = result else { return result };
        if tee.must_ask_again() {
            stale = None;
            tee.forget_stale();
            continue;
        }
        let now_ms = shard.wheel.now_ms();
        let Some(stale) = stale.filter(|stale| stale.freshness.covers_failure(now_ms, None)) else {
            return result;
        };
        return Hit::new(exchange, asked, stale, false).answer_kept(exchange, address, record).await;
    }
}

/// What a request does about an answer that others may be fetching.
#[derive(Debug)]
enum Turned<'f> {
    Fill(Filling<'f>),
    Answer(Hit),
    Alone,
}

/// Waits for the request that is fetching the same, if there is one. Where that one fails, or takes too long, the first of
/// those who waited fetches for the others.
async fn take_turn<'x>(
    exchange: &'x Exchange<'_>,
    address: &Address<'_, '_>,
    asked: &mut Asked<'_>,
) -> Result<Turned<'x>, Failure> {
    let shard = exchange.shard;
    let mut waits_left = if asked.coalesced && !asked.refresh { WAITS_MAX } else { 0 };
    let deadline_ms = shard.wheel.now_ms() + shard.settings.cache_wait_timeout_ms;
    loop {
        let waits = waits_left > 0 && shard.wheel.now_ms() < deadline_ms;
        let waiting_max = if waits { shard.settings.cache_waiting_requests_max } else { 0 };
        let waiting = match shard.cache.fills.join(asked.stage, &asked.key, waiting_max, deadline_ms) {
            Turn::Fill(filling) => return Ok(Turned::Fill(filling)),
            Turn::Alone => return Ok(Turned::Alone),
            Turn::Wait(waiting) => waiting,
        };
        waits_left -= 1;
        shard.stats.borrow_mut().counters.cache_waits_total += 1;
        let outcome = waiting.await;
        if exchange.is_abandoned() {
            return Err(Failure::ClientGone);
        }
        if outcome == Outcome::NotStored {
            return Ok(Turned::Alone);
        }
        match look_up(exchange, address, asked)? {
            Step::Answer(hit) => return Ok(Turned::Answer(hit)),
            Step::Fetch { .. } if outcome != Outcome::Stored => {}
            Step::Fetch { .. } | Step::Pass { .. } => return Ok(Turned::Alone),
        }
    }
}

/// Asks whether a stale answer is still right, or for the whole of a new one.
fn question(stale: Option<&Response>, uncoded: bool) -> Question<'_> {
    let conditions = stale.map(|stale| {
        let modified = split_lines(&stale.lines)
            .find(|(name, _)| name.eq_ignore_ascii_case(b"last-modified"))
            .map(|(_, value)| value);
        encode_conditions(stale, modified).collect()
    });
    Question { conditions: conditions.unwrap_or_default(), uncoded }
}

/// Passes a request on that has nothing to do with what is kept, unless it changes that (RFC 9111 4.4).
async fn pass_by<'a>(
    exchange: &Exchange<'a>,
    address: &Address<'a, '_>,
    selected: &Selected<'a, '_>,
    rules: &'a RouteCache,
    record: &mut Record<'a>,
) -> Result<Answered, Failure> {
    let changes = rules.by_origin() || !rules.stores;
    let outdated = if changes { outdated_by(exchange, address, record) } else { Vec::new() };
    let tee = (!outdated.is_empty()).then(|| Tee::outdating(exchange, outdated));
    let sent = integrate::send(exchange, address, selected, None, None, record).await?;
    respond::relay(exchange, address, selected, sent, tee.as_ref(), record).await
}

/// What a request changes, over either scheme, unless it is a safe one (RFC 9110 9.2.1).
fn outdated_by(exchange: &Exchange<'_>, address: &Address<'_, '_>, record: &Record<'_>) -> Vec<Outdated> {
    if matches!(exchange.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE") {
        return Vec::new();
    }
    let (release, _) = address.stage.release_for(exchange.source_ip);
    let Some(matched) = release.routes.look_up("GET", address.path) else { return Vec::new() };
    let Some(rules) = matched.route.cache.as_deref().filter(|rules| rules.stores) else { return Vec::new() };
    let mut key = Vec::new();
    let path = key::Path { address, variables: matched.variables };
    key::write(&mut key, exchange, &path, rules, "GET", is_apart(record), None);
    let keys = [other_scheme(&key), key];
    keys.map(|key| Outdated { stage: address.stage.slot.0, key: key.into() }).into()
}

/// Whether a canary serves the request whose answers aren't the stage's.
fn is_apart(record: &Record<'_>) -> bool {
    record.canary.is_some_and(|canary| canary.caches_apart)
}

impl<'a> Exchange<'a> {
    /// Names and values.
    fn header_lines(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let (head, bytes) = (self.head, self.bytes);
        head.headers.iter().map(|line| (line.name_span.of(bytes), line.value_span.of(bytes)))
    }
}
