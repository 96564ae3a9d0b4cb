//! The store of one core: what is kept, within a bound for all and one for each stage.
//!
//! Invariants: the weights of all that is kept add up to at most the store's bound, and those of a stage to at most
//! the stage's; what a flush or a purge was for isn't found from that call on. Its memory goes in bounded steps, by
//! [`Store::sweep`], so that no call takes long however much is kept. Keys are compared whole; the hash is keyed, so
//! that nobody outside can choose keys that fall together.

use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::hash::KeyHash;
use crate::index::{Index, Slot};
use crate::response::Response;
use crate::shelf::{Links, Shelf, Terms};
use crate::vary::{VARY_NAMES_OF_KEY_MAX, Vary};

/// What the store itself needs for one response: its place, its slot in the index and in the index's table, and what
/// the allocator adds to four allocations.
const OVERHEAD_BYTES: u64 = (size_of::<Option<Place>>() + 64 + 16 + 4 * 16) as u64;
/// Evictions for one response that a stage has no room for; then it isn't stored.
const EVICTIONS_MAX: usize = 1_024;
/// Places that room is made for when the first response comes, at most; a store of more grows, which takes a while.
const RESERVED_MAX: u64 = 1 << 18;

/// What lies at a key.
#[derive(Debug, Clone)]
pub enum Found {
    Response(Rc<Response>),
    /// Which of several responses it is depends on fields of the request.
    Varies(Rc<Variants>),
    /// Responses to this can't be stored, as was seen shortly ago: nobody needs to wait for another's.
    Pass,
}

/// What lies at a primary key if responses vary. They lie at keys that begin with it and have the number, which is
/// given once: when this goes, none of them is found any more, in one step.
#[derive(Debug)]
pub struct Variants {
    vary: Vary,
    number: u64,
    until_ms: u64,
}

/// Calls back with each value that a request has of a field.
pub type Fields<'f> = &'f dyn Fn(&[u8], &mut dyn FnMut(&[u8]));

/// A response that is to be stored.
#[derive(Debug)]
pub struct Stored {
    pub response: Rc<Response>,
    /// Of its stage, as it was when the origin was asked.
    pub generation: u64,
    pub now_ms: u64,
    pub until_ms: u64,
}

/// One core's responses.
#[derive(Debug)]
pub struct Store {
    /// Of tags.
    hasher: RandomState,
    key_hash: KeyHash,
    index: Index,
    places: Places,
    shelves: FxHashMap<u32, Shelf>,
    /// How many shelves and variants there have been.
    numbers: u64,
    cursor: usize,
    evicted: u64,
}

/// Where responses lie.
#[derive(Debug, Default)]
pub(crate) struct Places {
    places: Vec<Option<Place>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place {
    key: Box<[u8]>,
    hash: u64,
    stage: u32,
    /// The shelf's.
    number: u64,
    generation: u64,
    weight: u64,
    until_ms: u64,
    links: Links,
    found: Found,
}

impl Store {
    /// `bytes_max` bounds the memory of all that is kept.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let count = usize::try_from((bytes_max / OVERHEAD_BYTES).min(RESERVED_MAX)).unwrap_or(usize::MAX);
        let hasher = RandomState::new();
        Self {
            key_hash: KeyHash::new(&hasher),
            hasher,
            index: Index::new(bytes_max, count),
            places: Places::default(),
            shelves: FxHashMap::default(),
            numbers: 0,
            cursor: 0,
            evicted: 0,
        }
    }

    /// What it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.index.weight()
    }

    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.index.capacity()
    }

    /// How much is kept, what is gone already but not swept included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.places.len() - self.places.free.len()
    }

    /// What a stage has of it: bytes and responses.
    #[must_use]
    pub fn of_stage(&self, stage: u32) -> (u64, usize) {
        self.shelves.get(&stage).map_or((0, 0), |shelf| (shelf.bytes, shelf.count))
    }

    /// How many have gone for want of room, since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// What a tag is known by here.
    #[must_use]
    pub fn tag(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }

    /// Makes a stage's bounds, flushes and purges known; what they are for isn't found from now on. Generations only
    /// grow: with a smaller one it is another stage, which begins with nothing.
    pub fn open<'p>(&mut self, stage: u32, terms: &Terms, purges: impl IntoIterator<Item = (&'p [u8], u64)>) {
        let purges = purges.into_iter().map(|(tag, before)| (self.hasher.hash_one(tag), before)).collect();
        match self.shelves.get_mut(&stage) {
            Some(shelf) if shelf.goes_on(terms) => shelf.agree(terms, purges),
            _ => {
                self.numbers += 1;
                self.shelves.insert(stage, Shelf::new(self.numbers, *terms, purges));
            }
        }
    }

    /// Stages that `is_kept` doesn't know are gone.
    pub fn close(&mut self, is_kept: impl Fn(u32) -> bool) {
        self.shelves.retain(|stage, _| is_kept(*stage));
    }

    /// Whether the stage hasn't been flushed since a generation.
    #[must_use]
    pub fn is_current(&self, stage: u32, generation: u64) -> bool {
        self.shelves.get(&stage).is_some_and(|shelf| generation >= shelf.terms.flushed_before)
    }

    /// What lies at a key.
    pub fn find(&mut self, stage: u32, key: &[u8], now_ms: u64) -> Option<Found> {
        let at = self.index.find(self.hash(stage, key))?;
        let shelf = self.shelves.get(&stage)?;
        let place = self.places.at(at)?;
        if place.stage != stage || place.number != shelf.number || *place.key != *key {
            return None;
        }
        // Left where it is: what replaces it inherits its standing with the policy.
        if place.is_over(shelf, now_ms) {
            return None;
        }
        place.links.used = true;
        Some(place.found.clone())
    }

    /// What lies at a key, the right one of several. The key is left longer where it depends on fields.
    pub fn find_varying(
        &mut self,
        stage: u32,
        key: &mut Vec<u8>,
        now_ms: u64,
        fields: Fields<'_>,
    ) -> Option<Found> {
        match self.find(stage, key, now_ms)? {
            Found::Varies(variants) => {
                variants.extend_key(key, fields);
                self.find(stage, key, now_ms)
            }
            found => Some(found),
        }
    }

    /// Keeps a response, in the place of the one before, until `until_ms`. `key` is the primary one, and is left
    /// longer if the response varies. False if there is no room.
    pub fn insert_varying(
        &mut self,
        stage: u32,
        key: &mut Vec<u8>,
        vary: Option<Vary>,
        stored: Stored,
        fields: Fields<'_>,
    ) -> bool {
        let Stored { response, generation, now_ms, until_ms } = stored;
        if !self.is_current(stage, generation) {
            return false;
        }
        let known = match self.find(stage, key, now_ms) {
            Some(Found::Varies(known)) => Some(known),
            _ => None,
        };
        if let Some(variants) = self.variants(known, vary, until_ms) {
            let until_ms = variants.until_ms;
            let found = Found::Varies(Rc::clone(&variants));
            // Itself never outdated by a flush: what lies behind it is.
            if !self.insert(stage, key, found, (u64::MAX, until_ms)) {
                return false;
            }
            variants.extend_key(key, fields);
        }
        self.insert(stage, key, Found::Response(response), (generation, until_ms))
    }

    /// Puts the same response with one more form in its place, for as long. False if it isn't there any more, or there
    /// is no room for it.
    pub fn add_form(&mut self, stage: u32, key: &[u8], stored: &Rc<Response>, formed: Rc<Response>) -> bool {
        let (hash, weight) = (self.hash(stage, key), OVERHEAD_BYTES + key.len() as u64 + formed.weight());
        let Some(shelf) = self.shelves.get(&stage) else { return false };
        let (number, bytes_max) = (shelf.number, shelf.terms.bytes_max.min(self.index.capacity()));
        let place = self.index.peek(hash).and_then(|at| self.places.at(at));
        let Some(place) = place.filter(|place| place.number == number && *place.key == *key) else {
            return false;
        };
        let is_same = matches!(&place.found, Found::Response(found) if Rc::ptr_eq(found, stored));
        let until = (place.generation, place.until_ms);
        is_same && weight <= bytes_max && self.insert(stage, key, Found::Response(formed), until)
    }

    /// What is to lie at the primary key of a response that varies. Responses that vary by different fields are told
    /// apart by all of them, so that they don't drive each other out.
    fn variants(
        &mut self,
        known: Option<Rc<Variants>>,
        vary: Option<Vary>,
        until_ms: u64,
    ) -> Option<Rc<Variants>> {
        let Some(known) = known else {
            self.numbers += 1;
            return vary.map(|vary| Rc::new(Variants { vary, number: self.numbers, until_ms }));
        };
        // It lasts as long as the longest of them.
        let until_ms = until_ms.max(known.until_ms);
        let both = vary.as_ref().map_or_else(|| known.vary.clone(), |vary| known.vary.and(vary));
        // So that no origin makes keys longer and longer.
        let vary = vary.filter(|_| both.names().count() > VARY_NAMES_OF_KEY_MAX).unwrap_or(both);
        let number = if vary == known.vary {
            if until_ms == known.until_ms {
                return Some(known);
            }
            known.number
        } else {
            self.numbers += 1;
            self.numbers
        };
        Some(Rc::new(Variants { vary, number, until_ms }))
    }

    /// Remembers that what is fetched for a key can't be stored, unless something else is known of it.
    pub fn insert_pass(&mut self, stage: u32, key: &[u8], now_ms: u64, until_ms: u64) {
        if self.find(stage, key, now_ms).is_none() {
            self.insert(stage, key, Found::Pass, (u64::MAX, until_ms));
        }
    }

    /// Keeps what is found at a key until `until_ms`, in the place of what was there. False if there is no room.
    fn insert(&mut self, stage: u32, key: &[u8], found: Found, (generation, until_ms): (u64, u64)) -> bool {
        let weight = OVERHEAD_BYTES + key.len() as u64 + found.weight();
        let Some(shelf) = self.shelves.get(&stage) else { return false };
        let (number, bytes_max) = (shelf.number, shelf.terms.bytes_max);
        let hash = self.hash(stage, key);
        if weight > bytes_max || weight > self.index.capacity() {
            self.remove(stage, key);
            return false;
        }
        if !self.make_room(stage, weight) {
            self.remove(stage, key);
            return false;
        }
        let before = self.index.peek(hash);
        if self.places.places.capacity() == 0 {
            self.reserve();
        }
        let place = Place {
            key: key.into(),
            hash,
            stage,
            number,
            generation,
            weight,
            until_ms,
            links: Links::default(),
            found,
        };
        let at = self.places.add(place);
        if let Some(shelf) = self.shelves.get_mut(&stage) {
            shelf.link(at, weight, &mut self.places);
        }
        let (places, shelves, mut kept) = (&mut self.places, &mut self.shelves, true);
        let evicted = &mut self.evicted;
        self.index.insert(hash, Slot { place: at, weight }, |gone| {
            *evicted += u64::from(Some(gone) != before);
            kept &= gone != at;
            take_out(gone, places, shelves);
        });
        kept
    }

    /// Nothing lies at the key any more, none of several either if it is their primary one.
    pub fn remove(&mut self, stage: u32, key: &[u8]) {
        let hash = self.hash(stage, key);
        let Some(at) = self.index.peek(hash) else { return };
        if self.places.at(at).is_some_and(|place| place.stage == stage && *place.key == *key) {
            self.give_up(at);
        }
    }

    /// Gives back the memory of what isn't found any more, looking at `places_max` places and no further once `bytes_max`
    /// are given back. To be called regularly.
    pub fn sweep(&mut self, now_ms: u64, places_max: usize, bytes_max: u64) {
        let mut given_back_bytes = 0;
        for _ in 0..places_max.min(self.places.places.len()) {
            if self.cursor >= self.places.places.len() {
                self.cursor = 0;
            }
            let at = self.cursor as u32;
            self.cursor += 1;
            let Some(place) = self.places.at(at) else { continue };
            let gone = match self.shelves.get(&place.stage) {
                Some(shelf) => place.number != shelf.number || place.is_over(shelf, now_ms),
                None => true,
            };
            if gone {
                given_back_bytes += place.weight;
                self.give_up(at);
            }
            if given_back_bytes >= bytes_max {
                return;
            }
        }
    }

    fn hash(&self, stage: u32, key: &[u8]) -> u64 {
        self.key_hash.hash(stage, key)
    }

    fn make_room(&mut self, stage: u32, weight: u64) -> bool {
        for _ in 0..EVICTIONS_MAX {
            let Some(shelf) = self.shelves.get_mut(&stage) else { return false };
            if shelf.bytes + weight <= shelf.terms.bytes_max {
                return true;
            }
            let Some(victim) = shelf.victim(&mut self.places) else { return false };
            self.evicted += 1;
            self.give_up(victim);
        }
        false
    }

    fn reserve(&mut self) {
        let count = usize::try_from((self.bytes_max() / OVERHEAD_BYTES).min(RESERVED_MAX)).unwrap_or(0);
        self.places.places.reserve(count);
        self.places.free.reserve(count);
        self.index.reserve(count);
    }

    fn give_up(&mut self, at: u32) {
        if let Some(hash) = take_out(at, &mut self.places, &mut self.shelves) {
            self.index.remove(hash);
        }
    }
}

/// Empties a place; its key's hash.
fn take_out(at: u32, places: &mut Places, shelves: &mut FxHashMap<u32, Shelf>) -> Option<u64> {
    let place = places.at(at)?;
    let (stage, number, weight, hash) = (place.stage, place.number, place.weight, place.hash);
    if let Some(shelf) = shelves.get_mut(&stage).filter(|shelf| shelf.number == number) {
        shelf.unlink(at, weight, places);
    }
    places.places[at as usize] = None;
    places.free.push(at);
    Some(hash)
}

impl Places {
    fn at(&mut self, at: u32) -> Option<&mut Place> {
        self.places.get_mut(at as usize)?.as_mut()
    }

    fn add(&mut self, place: Place) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.places[at as usize] = Some(place);
                at
            }
            None => {
                self.places.push(Some(place));
                // A place weighs some hundred bytes: 2^32 of them are more than any bound.
                (self.places.len() - 1) as u32
            }
        }
    }

    /// Of a place that is taken.
    pub(crate) fn links(&mut self, at: u32) -> &mut Links {
        let place = self.places[at as usize].as_mut();
        &mut place.expect("what is on a shelf is in its place").links
    }
}

impl Place {
    fn is_over(&self, shelf: &Shelf, now_ms: u64) -> bool {
        self.until_ms <= now_ms
            || self.generation < shelf.terms.flushed_before
            || matches!(&self.found, Found::Response(response) if shelf.has_purged(&response.tags, self.generation))
    }
}

impl Found {
    fn weight(&self) -> u64 {
        match self {
            Self::Response(response) => response.weight(),
            Self::Varies(variants) => size_of::<Variants>() as u64 + variants.vary.weight(),
            Self::Pass => 0,
        }
    }
}

impl Variants {
    fn extend_key(&self, key: &mut Vec<u8>, fields: Fields<'_>) {
        key.extend_from_slice(&self.number.to_le_bytes());
        self.vary.extend_key(key, fields);
    }
}
