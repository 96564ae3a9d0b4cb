//! A shard's response cache: its store, what is being fetched for it, and what other shards have to hear of.
//!
//! Each shard has a whole cache of its own. What a request changes, every shard hears of through its mailbox; what an
//! operator flushes or purges comes with the next snapshot, which each request begins with.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use turnpike_cache::{Fills, Store, Terms};
use turnpike_rt::{Arena, Draft};

use crate::mailbox::{Mailbox, ToShard};
use crate::settings::Settings;
use crate::table::{Stage, Table};

/// Places that are looked at each tick for what is gone: a store of 100,000 is gone through in four seconds. Measured:
/// a tick that finds all of them gone takes 80 µs, 150 µs at the 99th percentile.
const SWEPT_PLACES_MAX: usize = 256;
/// And given back each tick, but for one response: freeing this much of long bodies takes about as long.
const SWEPT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Room in an arena's file for each byte that may be kept: holes are shorter than what comes next, and a body whose
/// length isn't known reserves the most that it may be. Takes addresses, and no memory.
const ARENA_SHARE: u64 = 4;
/// Messages that wait for room in another shard's mailbox; beyond, the oldest is lost, and what it is about lives on
/// there until its time is over.
const UNSENT_MAX: usize = 4_096;
/// Bodies on their way into the store may take this part of its bound besides what is in it.
const FILLING_SHARE: u64 = 4;

/// Something that isn't right any more.
#[derive(Debug, Clone)]
pub(crate) struct Outdated {
    pub(crate) stage: u32,
    /// Primary: all that varies goes with it.
    pub(crate) key: Arc<[u8]>,
}

#[derive(Debug)]
pub(crate) struct ResponseCache {
    pub(crate) store: RefCell<Store>,
    pub(crate) fills: Fills,
    /// Where long bodies lie; `None` where they lie on the heap as others do.
    pub(crate) arena: Option<Arena>,
    arena_bytes_min: usize,
    /// The operator knows that the arena can't take something.
    complained: Cell<bool>,
    /// What the keys of requests are written in.
    key: RefCell<Vec<u8>>,
    filling_bytes: Cell<u64>,
    filling_bytes_max: u64,
    unsent: RefCell<VecDeque<(usize, Outdated)>>,
    /// The stages whose terms the store knows, by slot. They may be gone: it isn't for a shard to free them.
    opened: RefCell<FxHashMap<u32, Weak<Stage>>>,
}

impl ResponseCache {
    pub(crate) fn new(settings: &Settings, arena: Option<Arena>) -> Self {
        let bytes_max = settings.cache_bytes_max;
        Self {
            store: RefCell::new(Store::new(bytes_max)),
            fills: Fills::default(),
            arena,
            arena_bytes_min: settings.cache_sendfile_bytes_min,
            complained: Cell::new(false),
            key: RefCell::default(),
            filling_bytes: Cell::new(0),
            filling_bytes_max: bytes_max / FILLING_SHARE,
            unsent: RefCell::default(),
            opened: RefCell::default(),
        }
    }

    /// Learns a table's stages, and what of them is gone. A stage that is the same as before costs a look.
    pub(crate) fn adopt(&self, table: &Table, shard_count: usize) {
        let mut store = self.store.borrow_mut();
        let mut opened = FxHashMap::default();
        let mut before = self.opened.borrow_mut();
        for stage in &table.caches {
            let Some(cache) = &stage.cache else { continue };
            opened.insert(stage.slot.0, Arc::downgrade(stage));
            let known = before.get(&stage.slot.0).map(Weak::as_ptr);
            if known == Some(Arc::as_ptr(stage)) {
                continue;
            }
            let terms = Terms { bytes_max: cache.terms.bytes_max / shard_count as u64, ..cache.terms };
            store.open(
                stage.slot.0,
                &terms,
                cache.purges.iter().map(|(tag, before)| (tag.as_bytes(), *before)),
            );
        }
        store.close(|stage| opened.contains_key(&stage));
        *before = opened;
    }

    /// A buffer for a key; it should come back.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.key.take()
    }

    pub(crate) fn give_key(&self, key: Vec<u8>) {
        self.key.replace(key);
    }

    /// Lets waiting requests go whose time is over, gives back memory, and sends what couldn't be sent.
    pub(crate) fn tick(&self, now_ms: u64, mailboxes: &[Mailbox]) {
        self.fills.expire(now_ms);
        let mut store = self.store.borrow_mut();
        if store.count() > 0 {
            store.sweep(now_ms, SWEPT_PLACES_MAX, SWEPT_BYTES_MAX);
        }
        drop(store);
        let mut unsent = self.unsent.take();
        unsent.retain(|(shard, outdated)| mailboxes[*shard].send(ToShard::Forget(outdated.clone())).is_err());
        self.unsent.replace(unsent);
    }

    /// What lies at a key isn't right any more, here.
    pub(crate) fn forget(&self, outdated: &Outdated) {
        self.fills.outdate(outdated.stage, &outdated.key);
        self.store.borrow_mut().remove(outdated.stage, &outdated.key);
    }

    /// What lies at a key isn't right any more, on any shard.
    pub(crate) fn forget_everywhere(&self, outdated: &Outdated, own: usize, mailboxes: &[Mailbox]) {
        self.forget(outdated);
        for (shard, mailbox) in mailboxes.iter().enumerate().filter(|(shard, _)| *shard != own) {
            if mailbox.send(ToShard::Forget(outdated.clone())).is_err() {
                let mut unsent = self.unsent.borrow_mut();
                if unsent.len() == UNSENT_MAX {
                    unsent.pop_front();
                }
                unsent.push_back((shard, outdated.clone()));
            }
        }
    }

    /// A longer body lies in the arena.
    pub(crate) fn heap_bytes_max(&self) -> usize {
        if self.arena.is_some() { self.arena_bytes_min.saturating_sub(1) } else { usize::MAX }
    }

    /// A place in the arena for a body of at most so many bytes, if there is one.
    pub(crate) fn draft(&self, bytes_max: usize) -> Option<Draft> {
        self.arena.as_ref()?.draft(bytes_max)
    }

    /// Says once that the arena can't take a body, which then isn't kept.
    pub(crate) fn complain(&self, error: &io::Error) {
        if !self.complained.replace(true) {
            report!("turnpike-gateway: no memory for a response that was to be cached: {error}");
        }
    }

    /// Room for bytes on their way into the store; false if there isn't any.
    pub(crate) fn begin_filling(&self, bytes: u64) -> bool {
        let filling_bytes = self.filling_bytes.get() + bytes;
        let fits = filling_bytes <= self.filling_bytes_max;
        if fits {
            self.filling_bytes.set(filling_bytes);
        }
        fits
    }

    pub(crate) fn end_filling(&self, bytes: u64) {
        self.filling_bytes.set(self.filling_bytes.get() - bytes);
    }
}

/// An arena for each shard. Where the system refuses one, no shard has one, and the operator is told why.
pub(crate) fn arenas(settings: &Settings) -> Vec<Option<Arena>> {
    let none = || settings.cores.iter().map(|_| None).collect();
    if settings.cache_bytes_max == 0 || settings.cache_sendfile_bytes_min == 0 {
        return none();
    }
    let bytes = settings.cache_bytes_max * ARENA_SHARE;
    let made: Result<Vec<_>, _> = settings.cores.iter().map(|_| Arena::new(bytes).map(Some)).collect();
    made.unwrap_or_else(|refusal| {
        report!("turnpike-gateway: long cached responses are sent with a copy, which is slower: {refusal}");
        none()
    })
}
