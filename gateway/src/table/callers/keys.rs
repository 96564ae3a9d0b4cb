//! A slice of all API keys, by the digests of their values.
//!
//! With many keys, each request comes to one that no cache of the core knows: what a look-up takes is the lines of memory
//! that it touches. So a key is one line, with its plan if it is in one, in a table that is half empty at least: a look
//! touches one and a half of them, side by side, and a quarter of one to find its slice: those of all slices are side by
//! side, too. A key's id is only read where it is asked for. 138 bytes a key with AWS's ids of ten characters.
//!
//! Where a look begins is drawn anew for each process, and digests are compared in constant time: how long it takes tells
//! nothing of the keys that there are.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use subtle::ConstantTimeEq;
use turnpike_snapshot::{ApiKey, ApiKeysUnit};

use super::super::throttles;

/// All slices of a table.
#[derive(Debug, Default)]
pub(super) struct Keys {
    secret: Secret,
    /// By the slices' numbers; a slice without keys has none.
    places: Box<[Option<Arc<[Place]>>]>,
    rests: Box<[Option<Arc<Rest>>]>,
}

/// Decides where looks begin: odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret(u64);

/// Tables have a slice in common if it has stayed the same.
#[derive(Debug, Clone)]
pub(super) struct KeySlice {
    /// More than there are keys, so that a look ends.
    places: Arc<[Place]>,
    rest: Arc<Rest>,
}

/// What few look-ups need.
#[derive(Debug)]
struct Rest {
    /// One behind the other.
    ids: Box<[u8]>,
    /// Plans of keys in several, but for the first.
    others: Box<[u32]>,
}

/// A line of the core's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Place {
    digest: [u8; 32],
    /// Tells its buckets from those of other keys.
    salt: u64,
    id: Range,
    /// Index of the unit's plans, or [`NO_PLAN`].
    plan: u32,
    others: Range,
    taken: bool,
}

const NO_PLAN: u32 = u32::MAX;

/// Of a slice's `ids`, or of its `others`.
#[derive(Debug, Clone, Copy, Default)]
struct Range {
    start: u32,
    len: u32,
}

impl Range {
    fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.start as usize..][..self.len as usize]
    }
}

/// A key that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'t> {
    keys: &'t Keys,
    place: &'t Place,
}

impl<'t> Key<'t> {
    pub(super) fn id(self) -> &'t str {
        // They were strings.
        self.rest().map_or("", |rest| std::str::from_utf8(self.place.id.of(&rest.ids)).unwrap_or_default())
    }

    pub(super) fn salt(self) -> u64 {
        self.place.salt
    }

    /// Of no other key of the table, as long as that is there.
    pub(super) fn address(self) -> usize {
        std::ptr::from_ref(self.place).addr()
    }

    /// Indexes of the unit's plans.
    pub(super) fn plans(self) -> impl Iterator<Item = u32> {
        let Place { plan, others, .. } = *self.place;
        let others = if others.len > 0 { self.rest().map(|rest| others.of(&rest.others)) } else { None };
        let first = Some(plan).filter(|plan| *plan != NO_PLAN);
        first.into_iter().chain(others.into_iter().flatten().copied())
    }

    fn rest(self) -> Option<&'t Rest> {
        self.keys.rests[self.keys.slice_of(&self.place.digest)].as_deref()
    }
}

impl Keys {
    /// So many slices, all of them without keys.
    pub(super) fn new(slices: u32, secret: Secret) -> Self {
        let empty = |_| None;
        Self { secret, places: (0..slices).map(empty).collect(), rests: (0..slices).map(|_| None).collect() }
    }

    /// The slice has to be made with the same secret.
    pub(super) fn put(&mut self, number: u32, slice: KeySlice) {
        self.places[number as usize] = Some(slice.places);
        self.rests[number as usize] = Some(slice.rest);
    }

    /// The number of the slice that a key is in if it is there.
    pub(super) fn slice_of(&self, digest: &[u8; 32]) -> usize {
        // As many slices as the units say, which is a u32.
        ApiKey::slice_of(digest, self.places.len() as u32) as usize
    }

    /// Has the core fetch where a look begins, and mostly ends.
    pub(super) fn expect(&self, shown: &[u8; 32]) {
        if let Some(Some(places)) = self.places.get(self.slice_of(shown)) {
            turnpike_rt::prefetch(&places[self.secret.start(shown, places.len())]);
        }
    }

    pub(super) fn look_up(&self, shown: &[u8; 32]) -> Option<Key<'_>> {
        let places = self.places.get(self.slice_of(shown))?.as_deref()?;
        let mut at = self.secret.start(shown, places.len());
        loop {
            let place = &places[at];
            if !place.taken {
                return None;
            }
            if place.is_of(shown) {
                return Some(Key { keys: self, place });
            }
            at = next(at, places.len());
        }
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self(RandomState::new().hash_one("secret") | 1)
    }
}

impl Secret {
    /// Where a look begins: the product's upper bits are as many times the number of places as their share of all.
    fn start(self, digest: &[u8; 32], places: usize) -> usize {
        // Behind those by which slices are told apart.
        let number = digest[8..16].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let product = number.wrapping_mul(self.0);
        ((u128::from(product) * places as u128) >> 64) as usize
    }
}

fn next(at: usize, places: usize) -> usize {
    if at + 1 == places { 0 } else { at + 1 }
}

impl KeySlice {
    pub(super) fn of(unit: &ApiKeysUnit, secret: Secret) -> Self {
        let empty = Place {
            digest: [0; 32],
            salt: 0,
            id: Range::default(),
            plan: NO_PLAN,
            others: Range::default(),
            taken: false,
        };
        let mut places = vec![empty; unit.keys.len() * 2 + 1];
        let rest = Rest {
            ids: unit.keys.iter().flat_map(|key| key.id.bytes()).collect(),
            others: unit.keys.iter().flat_map(|key| key.plans.iter().skip(1)).copied().collect(),
        };
        let (mut ids, mut others) = (0, 0);
        for key in &unit.keys {
            let id = Range { start: ids, len: key.id.len() as u32 };
            let more = Range { start: others, len: key.plans.len().saturating_sub(1) as u32 };
            (ids, others) = (ids + id.len, others + more.len);
            let place = Place {
                digest: key.value_sha256,
                salt: throttles::salt_of_key(&key.id),
                id,
                plan: key.plans.first().copied().unwrap_or(NO_PLAN),
                others: more,
                taken: true,
            };
            let mut at = secret.start(&place.digest, places.len());
            while places[at].taken {
                at = next(at, places.len());
            }
            places[at] = place;
        }
        Self { places: places.into(), rest: Arc::new(rest) }
    }
}

impl Place {
    fn is_of(&self, shown: &[u8; 32]) -> bool {
        let (words, shown) = (self.digest.as_chunks::<8>().0, shown.as_chunks::<8>().0);
        let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
        let differing = words.iter().zip(shown).fold(0, |bits, (a, b)| bits | (word(a) ^ word(b)));
        differing.ct_eq(&0).into()
    }
}

#[cfg(test)]
mod tests {
    use ring::digest::{SHA256, digest};
    use turnpike_snapshot::ApiKey;

    use super::*;

    fn digest_of(value: &str) -> [u8; 32] {
        digest(&SHA256, value.as_bytes()).as_ref().try_into().unwrap()
    }

    fn plans_of(number: usize) -> &'static [u32] {
        [&[][..], &[0], &[1, 0], &[0], &[2, 0, 1]][number % 5]
    }

    fn unit(keys: usize) -> ApiKeysUnit {
        let key = |number: usize| ApiKey {
            id: format!("id{number}"),
            value_sha256: digest_of(&number.to_string()),
            plans: plans_of(number).to_vec(),
        };
        let plans = ["p0", "p1", "p2"].map(str::to_owned).to_vec();
        ApiKeysUnit { slice: 0, slices: 1, plans, keys: (0..keys).map(key).collect() }
    }

    fn slice(keys: usize) -> Keys {
        let secret = Secret::default();
        let mut all = Keys::new(1, secret);
        all.put(0, KeySlice::of(&unit(keys), secret));
        all
    }

    #[test]
    fn each_key_is_found_and_no_other() {
        for keys in [0, 1, 2, 3, 100, 1_000] {
            let slice = slice(keys);
            for number in 0..keys {
                let key = slice.look_up(&digest_of(&number.to_string())).unwrap();
                assert_eq!(key.id(), format!("id{number}"));
                assert_eq!(key.salt(), throttles::salt_of_key(key.id()));
                assert_eq!(key.plans().collect::<Vec<_>>(), plans_of(number));
            }
            for number in keys..keys + 1_000 {
                assert!(slice.look_up(&digest_of(&number.to_string())).is_none());
            }
        }
    }

    #[test]
    fn a_digest_has_to_be_the_same_in_every_byte() {
        let slice = slice(1);
        let shown = digest_of("0");
        assert!(slice.places[0].iter().flat_map(|places| &places[..]).any(|place| place.is_of(&shown)));
        for byte in 0..32 {
            let mut other = shown;
            other[byte] ^= 0x10;
            assert!(slice.look_up(&other).is_none(), "{byte}");
        }
    }

    #[test]
    fn a_key_takes_the_memory_that_is_stated() {
        assert_eq!((size_of::<Place>(), size_of::<Option<Arc<[Place]>>>()), (64, 16));
        let slice = KeySlice::of(&unit(1_000), Secret::default());
        assert_eq!((slice.places.len(), slice.places.as_ptr().addr() % 64), (2_001, 0));
    }
}
