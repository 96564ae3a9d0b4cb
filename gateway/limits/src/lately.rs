//! Which limits a shard has come to since its last tick, as far as it remembers.
//!
//! It decides between two right ways, the cheaper one: a lease is worth what it takes to make, settle and forget it only
//! for who comes again. Each limit has one place, and shares it with others: the last one stands there.

use crate::LimitId;

/// 8 KiB, which a core keeps at hand. With more callers than that in a tick, more of those who come twice aren't recognised.
const PLACES: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Lately {
    /// 0 where there is none.
    places: Box<[LimitId]>,
    is_blank: bool,
}

impl Default for Lately {
    fn default() -> Self {
        Self { places: vec![LimitId(0); PLACES].into(), is_blank: true }
    }
}

impl Lately {
    /// Notes one; whether it stood there already.
    pub(crate) fn note(&mut self, id: LimitId) -> bool {
        self.is_blank = false;
        std::mem::replace(&mut self.places[id.0 as usize % PLACES], id) == id
    }

    /// A tick is over.
    pub(crate) fn forget(&mut self) {
        if !self.is_blank {
            self.places.fill(LimitId(0));
            self.is_blank = true;
        }
    }
}
