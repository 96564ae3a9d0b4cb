//! Crowd: how many connections an address has open, over all shards, without a lock and in bounded memory.
//!
//! An address (IPv6: its /64, since that is what one subscriber gets) falls on one slot in each of two rows; a
//! slot counts every connection that falls on it, and the smaller of both is what the address is taken to have. So
//! no address ever has more than the limit, whatever shards accept at the same moment; one can be refused early
//! only while both of its slots are shared with others that are near the limit. Where an address falls depends
//! on keys that are made at start, so nobody can choose whom to share with. (Cormode and Muthukrishnan 2005,
//! count-min.) Written when a connection opens or closes, and never by requests.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// In each row: 256 KiB of counts, of which only what is used takes memory.
const SLOTS: usize = 65_536;

/// Counts for all shards to share.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Counts>);

struct Counts {
    rows: [Box<[AtomicU32]>; 2],
    keys: RandomState,
    per_address_max: u32,
}

impl fmt::Debug for Crowd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Crowd")
            .field("per_address_max", &self.0.per_address_max)
            .finish_non_exhaustive()
    }
}

/// A connection's place among its address's; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Crowd,
    slots: [usize; 2],
}

impl Crowd {
    pub(crate) fn new(per_address_max: u32) -> Self {
        let row = || (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Self(Arc::new(Counts { rows: [row(), row()], keys: RandomState::new(), per_address_max }))
    }

    /// A place for one more connection of `ip`; `None` where it has as many as are allowed.
    pub(crate) fn enter(&self, ip: IpAddr) -> Option<Place> {
        let place = Place { crowd: self.clone(), slots: self.slots(ip) };
        // Counted before it is looked at: two at once may both be refused, never both be let in.
        let before = place.counts().map(|count| count.fetch_add(1, Ordering::Relaxed));
        (before[0].min(before[1]) < self.0.per_address_max).then_some(place)
    }

    fn slots(&self, ip: IpAddr) -> [usize; 2] {
        let hash = match ip.to_canonical() {
            IpAddr::V4(ip) => self.0.keys.hash_one((4, u64::from(ip.to_bits()))),
            // The upper half: the network.
            IpAddr::V6(ip) => self.0.keys.hash_one((6, (ip.to_bits() >> 64) as u64)),
        };
        [hash as usize % SLOTS, (hash >> 32) as usize % SLOTS]
    }
}

impl Place {
    fn counts(&self) -> [&AtomicU32; 2] {
        let [first, second] = &self.crowd.0.rows;
        [&first[self.slots[0]], &second[self.slots[1]]]
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for count in self.counts() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_as_many_places_as_are_allowed() {
        let crowd = Crowd::new(3);
        let mut places: Vec<Place> = (0..3).map(|_| crowd.enter(ip("192.0.2.1")).unwrap()).collect();
        assert!(crowd.enter(ip("192.0.2.1")).is_none());
        assert!(crowd.enter(ip("::ffff:192.0.2.1")).is_none(), "the same in IPv6's form");
        assert!(crowd.enter(ip("192.0.2.2")).is_some(), "another has its own");
        places.pop();
        let again = crowd.enter(ip("192.0.2.1"));
        assert!(again.is_some() && crowd.enter(ip("192.0.2.1")).is_none());
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let crowd = Crowd::new(2);
        let _places = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"].map(|text| crowd.enter(ip(text)).unwrap());
        assert!(crowd.enter(ip("2001:db8:0:1::3")).is_none());
        assert!(crowd.enter(ip("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn refusals_and_ends_leave_no_count_behind() {
        let crowd = Crowd::new(1);
        let place = crowd.enter(ip("::1"));
        assert!((0..100).all(|_| crowd.enter(ip("::1")).is_none()));
        drop(place);
        let sum = |row: &[AtomicU32]| row.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u32>();
        assert_eq!(crowd.0.rows.each_ref().map(|row| sum(row)), [0, 0]);
    }

    #[test]
    fn shards_that_accept_at_once_never_admit_more() {
        let crowd = Crowd::new(10);
        let admitted = std::thread::scope(|scope| {
            let shards: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..100).filter_map(|_| crowd.enter(ip("192.0.2.1"))).collect::<Vec<_>>())
                })
                .collect();
            shards.into_iter().map(|shard| shard.join().unwrap()).collect::<Vec<_>>()
        });
        let count: usize = admitted.iter().map(Vec::len).sum();
        assert!(count <= 10, "{count}");
    }

    /// Four thousand addresses at their limit: others are hardly ever refused.
    #[test]
    fn a_crowd_leaves_room_for_strangers() {
        let crowd = Crowd::new(1);
        let _crowded: Vec<_> =
            (0..4_096_u32).filter_map(|n| crowd.enter(IpAddr::V4((n << 8).into()))).collect();
        let refused =
            (0..4_096_u32).filter(|n| crowd.enter(IpAddr::V4((n << 8 | 1).into())).is_none()).count();
        assert!(refused < 100, "{refused} of 4096");
    }
}
