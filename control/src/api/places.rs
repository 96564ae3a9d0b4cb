//! Which management connections there may be: so many in all, so many of one address, and whose place a new one gets.
//!
//! Only who has signed a call has a claim to a place. Where there is none left, the new connection gets that of
//! another which nobody is at work for: of the address with the most connections that haven't signed anything, the
//! oldest; then the one that has rested the longest since its last call. One whose whole request is there is never
//! closed, so that only these make others wait. Addresses are counted as gateways count them: an IPv6 client is its
//! /64, since that is what one subscriber gets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

/// For a new connection to have its first call signed before it stands behind one that rests.
const NEWCOMER_GRACE: Duration = Duration::from_secs(1);
/// Of all places: as many connections of one address as this can be new without standing behind those that rest.
const NEWCOMERS_SHARE: usize = 8;
/// Between two lines to the operator.
const TOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    /// A place has become free, or could be made free.
    changed: Notify,
    connections_max: usize,
    per_address_max: usize,
}

#[derive(Debug, Default)]
struct Taken {
    /// By when they came.
    seats: BTreeMap<u64, Seat>,
    next: u64,
    closed: Closed,
}

/// Connections that were closed or refused, and not told of yet.
#[derive(Debug, Default)]
struct Closed {
    count: u64,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct Seat {
    holder: Arc<Holder>,
    /// Ends the connection.
    close: oneshot::Sender<()>,
}

/// A connection as its calls know it.
#[derive(Debug)]
pub(in crate::api) struct Holder {
    id: u64,
    network: IpAddr,
    came_at: Instant,
    /// Somebody has signed a call that came over it.
    signed: AtomicBool,
    /// A whole request is being worked on.
    at_work: AtomicBool,
    /// Milliseconds after it came: when its last call ended.
    rests_since_ms: AtomicU64,
    places: Arc<Places>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) holder: Arc<Holder>,
    /// Told when another connection gets the place.
    pub(super) closed: oneshot::Receiver<()>,
}

/// What a new connection gets.
enum Admission {
    Place(Place),
    /// Its address has as many places as it may, all at work.
    Refused,
    /// Every place is at work.
    Wait,
}

impl Places {
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Arc<Self> {
        let (taken, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { taken, changed, connections_max, per_address_max })
    }

    /// A place for a connection of `ip`, as soon as there is one; `None` where its address has enough.
    pub(super) async fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let network = network(ip);
        loop {
            match self.admit(network, Instant::now()) {
                Admission::Place(place) => return Some(place),
                Admission::Refused => return None,
                Admission::Wait => self.changed.notified().await,
            }
        }
    }

    fn admit(self: &Arc<Self>, network: IpAddr, now: Instant) -> Admission {
        let mut taken = self.taken();
        let of_address = taken.seats.values().filter(|seat| seat.holder.network == network).count();
        if of_address >= self.per_address_max && !taken.make_room(Some(network), self.per_address_max, now) {
            taken.closed.tell(network, now);
            return Admission::Refused;
        }
        if taken.seats.len() >= self.connections_max && !taken.make_room(None, self.connections_max, now) {
            return Admission::Wait;
        }
        let id = taken.next;
        taken.next += 1;
        let holder = Arc::new(Holder {
            id,
            network,
            came_at: now,
            signed: AtomicBool::new(false),
            at_work: AtomicBool::new(false),
            rests_since_ms: AtomicU64::new(0),
            places: Arc::clone(self),
        });
        let (close, closed) = oneshot::channel();
        taken.seats.insert(id, Seat { holder: Arc::clone(&holder), close });
        Admission::Place(Place { holder, closed })
    }

    /// Every change leaves it whole.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes a connection, `of` this network or of any; whether there was one that could be.
    fn make_room(&mut self, of: Option<IpAddr>, places: usize, now: Instant) -> bool {
        let Some(seat) = self.least(of, places, now).and_then(|id| self.seats.remove(&id)) else {
            return false;
        };
        self.closed.tell(seat.holder.network, now);
        // One that has just ended by itself needs no telling.
        let _ = seat.close.send(());
        true
    }

    /// The connection with the least claim to its place. All are looked at: that is done when there is no place
    /// left, and takes less than a connection's other costs.
    fn least(&self, of: Option<IpAddr>, places: usize, now: Instant) -> Option<u64> {
        let mut strangers: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        let mut resting: Option<(Instant, u64)> = None;
        for (id, Seat { holder, .. }) in &self.seats {
            if holder.is_at_work() || of.is_some_and(|of| of != holder.network) {
                continue;
            }
            if holder.signed.load(Ordering::Acquire) {
                let rests = (holder.rests_since(), *id);
                resting = Some(resting.map_or(rests, |longest| longest.min(rests)));
            } else {
                // Those that came first come first.
                strangers.entry(holder.network).or_insert((0, *id)).0 += 1;
            }
        }
        let crowd = strangers.into_values().max_by_key(|(count, oldest)| (*count, Reverse(*oldest)));
        let resting = resting.map(|(_, id)| id);
        match crowd {
            Some((count, id)) if resting.is_none() || count > places / NEWCOMERS_SHARE => Some(id),
            Some((_, id)) if self.is_late(id, now) => Some(id),
            _ => resting,
        }
    }

    fn is_late(&self, id: u64, now: Instant) -> bool {
        let came_at = self.seats.get(&id).map(|seat| seat.holder.came_at);
        came_at.is_some_and(|came_at| now.duration_since(came_at) >= NEWCOMER_GRACE)
    }
}

impl Closed {
    fn tell(&mut self, network: IpAddr, now: Instant) {
        self.count += 1;
        if self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= TOLD_EVERY) {
            log_line!(
                "management: no place is left (connections_max, connections_per_address_max): {} connections were \
                 closed, the last one of {network}",
                self.count
            );
            *self = Self { count: 0, told_at: Some(now) };
        }
    }
}

impl Holder {
    /// A call that came over it is signed by whom it says.
    pub(in crate::api) fn has_signed(&self) {
        self.signed.store(true, Ordering::Release);
    }

    /// A whole request is there, and is worked on until what this returns is dropped; `None` where the place has been
    /// given away: nobody would hear of what is done.
    pub(in crate::api) fn work(self: &Arc<Self>) -> Option<AtWork> {
        let taken = self.places.taken();
        taken.seats.contains_key(&self.id).then(|| {
            self.at_work.store(true, Ordering::Release);
            AtWork(Arc::clone(self))
        })
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::Acquire)
    }

    fn rests_since(&self) -> Instant {
        self.came_at + Duration::from_millis(self.rests_since_ms.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(in crate::api) struct AtWork(Arc<Holder>);

impl Drop for AtWork {
    fn drop(&mut self) {
        let Self(holder) = self;
        let rests_since = holder.came_at.elapsed().as_millis();
        holder.rests_since_ms.store(u64::try_from(rests_since).unwrap_or(u64::MAX), Ordering::Relaxed);
        holder.at_work.store(false, Ordering::Release);
        holder.places.changed.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.holder.places;
        places.taken().seats.remove(&self.holder.id);
        places.changed.notify_one();
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        network(text.parse().expect(text))
    }

    fn place(places: &Arc<Places>, of: &str, now: Instant) -> Place {
        match places.admit(ip(of), now) {
            Admission::Place(place) => place,
            Admission::Refused | Admission::Wait => panic!("no place for {of}"),
        }
    }

    /// Whether each still has its place.
    fn kept(places: &mut [Place]) -> Vec<bool> {
        let is_kept = |place: &mut Place| place.closed.try_recv() == Err(oneshot::error::TryRecvError::Empty);
        places.iter_mut().map(is_kept).collect()
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        for (one, other, same) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(ip(one) == ip(other), same, "{one} {other}");
        }
    }

    #[test]
    fn the_crowd_of_strangers_makes_room_first() {
        let (places, now) = (Places::new(8, 8), Instant::now());
        let of = ["192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.3", "192.0.2.1"];
        let mut all: Vec<Place> = of.iter().map(|of| place(&places, of, now)).collect();
        all[0].holder.has_signed();
        // The eighth has signed nothing, and is neither of the crowd nor the oldest.
        all.push(place(&places, "192.0.2.4", now));
        all.push(place(&places, "192.0.2.4", now));
        assert_eq!(kept(&mut all), [true, false, true, true, true, true, true, true, true]);
    }

    #[test]
    fn who_has_signed_makes_room_last_and_never_while_at_work() {
        let (places, now) = (Places::new(2, 2), Instant::now());
        let mut all = vec![place(&places, "::1", now), place(&places, "::1", now)];
        all.iter().for_each(|place| place.holder.has_signed());
        let working = [all[0].holder.work(), all[1].holder.work()];
        assert!(working.iter().all(Option::is_some));
        assert!(matches!(places.admit(ip("::1"), now), Admission::Refused), "its address has enough");
        assert!(matches!(places.admit(ip("192.0.2.1"), now), Admission::Wait));
        drop(working);
        let first = all[0].holder.work();
        all.push(place(&places, "192.0.2.1", now));
        assert_eq!(kept(&mut all), [true, false, true]);
        assert!(all[1].holder.work().is_none(), "its place is another's");
        // The newcomer is let be for a while, unless nobody else can go.
        all.push(place(&places, "192.0.2.1", now));
        assert_eq!(kept(&mut all), [true, false, false, true]);
        drop(first);
        all.push(place(&places, "192.0.2.2", now));
        assert_eq!(kept(&mut all), [true, false, false, false, true]);
    }

    #[test]
    fn a_newcomer_is_let_be_for_a_while() {
        let (places, now) = (Places::new(16, 16), Instant::now());
        let mut all: Vec<Place> = (0..16).map(|_| place(&places, "::1", now)).collect();
        all.iter().take(15).for_each(|place| place.holder.has_signed());
        all.push(place(&places, "::1", now));
        assert_eq!(kept(&mut all).iter().position(|kept| !kept), Some(0), "one that rests goes");
        all[16].holder.has_signed();
        all.push(place(&places, "::1", now + NEWCOMER_GRACE));
        assert!(!kept(&mut all)[15], "the newcomer has become late");
    }

    #[test]
    fn an_address_has_a_share() {
        let (places, now) = (Places::new(8, 2), Instant::now());
        let mut all = vec![place(&places, "192.0.2.1", now)];
        all.extend((0..3).map(|_| place(&places, "2001:db8::1", now)));
        assert_eq!(kept(&mut all), [true, false, true, true]);
        drop(all);
        assert_eq!(places.taken().seats.len(), 0);
    }

    #[tokio::test]
    async fn whoever_waits_gets_what_becomes_free() {
        let places = Places::new(1, 1);
        let first = places.take(ip("::1")).await.expect("free");
        let working = first.holder.work();
        let mut waiting = std::pin::pin!(places.take(ip("192.0.2.1")));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no place"),
            () = tokio::task::yield_now() => {}
        }
        drop(working);
        assert!(waiting.await.is_some());
    }
}
