//! Session tickets that every shard can open: keys shared by all of them, renewed by the housekeeper.
//!
//! A ticket is bound to the site that issued it: what one domain's handshake has shown of the client, a
//! certificate above all, is worth nothing at another domain, nor at the same one under other rules. The state is
//! in the ticket alone (RFC 5077, RFC 8446 4.6.1); keys live in memory only, so that what was recorded can't be
//! read once they are gone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

const KEY_NAME_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// A client's chain of certificates is the largest thing in one. Longer ones are nobody's that we know.
const TICKET_BYTES_MAX: usize = 64 * 1024;
/// RFC 8446 4.6.1: a week.
const LIFETIME_S_MAX: u64 = 604_800;

/// The keys in use: tickets are sealed with the newest, and opened with the one before as well.
pub(crate) struct TicketKeys {
    keys: ArcSwap<Generation>,
    rotation: Duration,
}

struct Generation {
    newest: Arc<Key>,
    before: Option<Arc<Key>>,
}

struct Key {
    name: [u8; KEY_NAME_BYTES],
    sealing: LessSafeKey,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TicketKeys").field("rotation", &self.rotation).finish_non_exhaustive()
    }
}

impl TicketKeys {
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new(rotation: Duration) -> Result<Arc<Self>, String> {
        let first = Generation { newest: Arc::new(Key::random()?), before: None };
        Ok(Arc::new(Self { keys: ArcSwap::from_pointee(first), rotation }))
    }

    /// Begins to seal with a new key; tickets of the one before the last are worth nothing any more.
    pub(crate) fn rotate(&self) -> Result<(), String> {
        let before = Some(Arc::clone(&self.keys.load().newest));
        self.keys.store(Arc::new(Generation { newest: Arc::new(Key::random()?), before }));
        Ok(())
    }

    /// Rotates for ever.
    pub(crate) async fn keep_rotating(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.rotation).await;
            if let Err(error) = self.rotate() {
                report!("turnpike-gateway: TLS tickets: the key stays: {error}");
            }
        }
    }

    fn seal(&self, binding: &[u8], state: &[u8]) -> Option<Vec<u8>> {
        let key = &self.keys.load().newest;
        // Random: a counter would tell how many connections there are.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(KEY_NAME_BYTES + NONCE_LEN + state.len() + TAG_BYTES);
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        let sealed_from = ticket.len();
        ticket.extend_from_slice(state);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            key.sealing.seal_in_place_separate_tag(nonce, Aad::from(binding), &mut ticket[sealed_from..]);
        ticket.extend_from_slice(tag.ok()?.as_ref());
        (ticket.len() <= TICKET_BYTES_MAX).then_some(ticket)
    }

    fn open(&self, binding: &[u8], ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<KEY_NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        let mut known = [Some(&keys.newest), keys.before.as_ref()].into_iter().flatten();
        // Names are public: comparing them needs no constant time.
        let key = known.find(|key| key.name == *name)?;
        let mut state = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.sealing.open_in_place(nonce, Aad::from(binding), &mut state).ok()?.len();
        state.truncate(opened);
        Some(state)
    }
}

impl Key {
    fn random() -> Result<Self, String> {
        let random = SystemRandom::new();
        let (mut name, mut secret) = ([0; KEY_NAME_BYTES], [0; 32]);
        let filled = random.fill(&mut name).and_then(|()| random.fill(&mut secret));
        filled.map_err(|_| "the system has no random numbers")?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &secret).map_err(|_| "a key of the wrong length")?;
        Ok(Self { name, sealing: LessSafeKey::new(key) })
    }
}

/// One site's tickets.
pub(super) struct BoundTickets {
    pub(super) keys: Arc<TicketKeys>,
    pub(super) binding: [u8; 32],
}

impl fmt::Debug for BoundTickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BoundTickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for BoundTickets {
    fn enabled(&self) -> bool {
        true
    }

    /// Seconds for which a client may come back with a ticket.
    fn lifetime(&self) -> u32 {
        self.keys.rotation.as_secs().clamp(1, LIFETIME_S_MAX) as u32
    }

    fn encrypt(&self, state: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(&self.binding, state)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(&self.binding, ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Arc<TicketKeys> {
        TicketKeys::new(Duration::from_secs(60)).unwrap()
    }

    fn bound(keys: &Arc<TicketKeys>, binding: u8) -> BoundTickets {
        BoundTickets { keys: Arc::clone(keys), binding: [binding; 32] }
    }

    #[test]
    fn a_ticket_opens_at_its_own_site_only() {
        let keys = keys();
        let ticket = bound(&keys, 1).encrypt(b"state").unwrap();
        assert_eq!(bound(&keys, 1).decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(bound(&keys, 2).decrypt(&ticket), None);
        assert_eq!(bound(&self::keys(), 1).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_outlives_one_rotation_and_not_two() {
        let keys = keys();
        let tickets = bound(&keys, 1);
        let ticket = tickets.encrypt(b"state").unwrap();
        keys.rotate().unwrap();
        assert!(tickets.decrypt(&ticket).is_some());
        keys.rotate().unwrap();
        assert!(tickets.decrypt(&ticket).is_none());
    }

    #[test]
    fn what_was_touched_is_no_ticket() {
        let tickets = bound(&keys(), 1);
        let ticket = tickets.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut touched = ticket.clone();
            touched[at] ^= 1;
            assert_eq!(tickets.decrypt(&touched), None, "at {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "at {at}");
        }
        assert_ne!(tickets.encrypt(b"state").unwrap(), ticket);
        assert_eq!(tickets.lifetime(), 60);
    }
}
