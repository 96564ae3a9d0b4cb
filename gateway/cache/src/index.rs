//! What goes when there is no room: an index by hash under a scan-resistant policy (S3-FIFO and CLOCK-Pro, as
//! `quick_cache` has them), which holds nothing itself but says which place is to be given up.

use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use quick_cache::unsync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

/// Where something lies, and what it weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) place: u32,
    pub(crate) weight: u64,
}

/// Places by the hashes of their keys. Invariant: the weights of what it knows add up to at most its capacity.
pub(crate) struct Index {
    cache: Cache<u64, Slot, ByWeight, BuildHasherDefault<Hashed>, GivenUp>,
    given_up: Rc<RefCell<Vec<u32>>>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Index").field("weight", &self.cache.weight()).finish_non_exhaustive()
    }
}

impl Index {
    /// `count` is what it is expected to know at most: the policy remembers as many hashes of what it gave up.
    pub(crate) fn new(weight_max: u64, count: usize) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(count.max(1))
            .weight_capacity(weight_max)
            .build()
            .expect("both capacities are given");
        let given_up = Rc::default();
        let lifecycle = GivenUp(Rc::clone(&given_up));
        Self {
            cache: Cache::with_options(options, ByWeight, BuildHasherDefault::default(), lifecycle),
            given_up,
        }
    }

    /// Makes room at once, so that no later insertion has to move everything.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.cache.reserve(count);
    }

    /// Notes the use.
    pub(crate) fn find(&self, hash: u64) -> Option<u32> {
        self.cache.get(&hash).map(|slot| slot.place)
    }

    pub(crate) fn peek(&self, hash: u64) -> Option<u32> {
        self.cache.peek(&hash).map(|slot| slot.place)
    }

    /// Whatever has to go for it, another slot of the same hash, or the slot itself, is told to `release`.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot, mut release: impl FnMut(u32)) {
        self.cache.insert(hash, slot);
        // Taken out first: who is told may ask again.
        let mut given_up = self.given_up.take();
        given_up.drain(..).for_each(&mut release);
        self.given_up.replace(given_up);
    }

    pub(crate) fn remove(&mut self, hash: u64) {
        self.cache.remove(&hash);
    }

    pub(crate) fn weight(&self) -> u64 {
        self.cache.weight()
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.cache.capacity()
    }
}

#[derive(Debug, Clone, Copy)]
struct ByWeight;

impl Weighter<u64, Slot> for ByWeight {
    fn weight(&self, _: &u64, slot: &Slot) -> u64 {
        slot.weight
    }
}

/// Tells the store of what went.
#[derive(Debug, Clone)]
struct GivenUp(Rc<RefCell<Vec<u32>>>);

impl Lifecycle<u64, Slot> for GivenUp {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: u64, slot: Slot) {
        self.0.borrow_mut().push(slot.place);
    }
}

/// Keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        // Never called for `u64`; right all the same.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
