//! A shard's response cache: its store, what is being fetched for it, and what other shards have to hear of.
//!
//! Each shard has a whole cache of its own. What a request changes, every shard hears of through its mailbox; what an
//! operator flushes or purges comes with the next snapshot, which each request begins with.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use turnpike_cache::{Fills, Store, Terms};

use crate::mailbox::{Mailbox, ToShard};
use crate::table::{Stage, Table};

/// Places that are looked at each tick for what is gone: a store of 100,000 is gone through in four seconds. Measured:
/// a tick that finds all of them gone takes 80 µs, 150 µs at the 99th percentile.
const SWEPT_PLACES_MAX: usize = 256;
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
    /// What the keys of requests are written in.
    key: RefCell<Vec<u8>>,
    filling_bytes: Cell<u64>,
    filling_bytes_max: u64,
    unsent: RefCell<VecDeque<(usize, Outdated)>>,
    /// The stages whose terms the store knows, by slot. They may be gone: it isn't for a shard to free them.
    opened: RefCell<FxHashMap<u32, Weak<Stage>>>,
}

impl ResponseCache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            store: RefCell::new(Store::new(bytes_max)),
            fills: Fills::default(),
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
            store.sweep(now_ms, SWEPT_PLACES_MAX);
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
