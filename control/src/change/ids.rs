//! Identifiers that nothing else has: what is put under one that is taken would replace what is there.

use super::{ChangeError, View};
use crate::model::{Entity, Part, new_id};
use crate::store::StoreError;

impl View<'_> {
    /// An identifier of `len` characters that no part of this kind of the API has.
    ///
    /// # Errors
    /// The store's; or the system gives no random bytes.
    pub fn new_part_id<P: Part>(&self, api_id: &str, len: usize) -> Result<String, ChangeError> {
        free_id(len, |id| Ok(self.tx.part::<P>(api_id, id)?.is_none()))
    }

    /// An identifier of `len` characters that no entity of this kind of the account has.
    ///
    /// # Errors
    /// As [`Self::new_part_id`]'s.
    pub fn new_entity_id<E: Entity>(&self, len: usize) -> Result<String, ChangeError> {
        free_id(len, |id| Ok(self.tx.entity::<E>("", id)?.is_none()))
    }
}

/// Quotas keep far more identifiers free than taken.
fn free_id(len: usize, is_free: impl Fn(&str) -> Result<bool, StoreError>) -> Result<String, ChangeError> {
    loop {
        let id = new_id(len)?;
        if is_free(&id)? {
            return Ok(id);
        }
    }
}
