//! A transaction's view of what one process at a time does for all that share the store.

use super::sql::values;
use super::{StoreError, Tx};

impl Tx<'_> {
    /// Takes the lease, or renews it; `false` when another process has it. A process that ends without giving its
    /// leases back keeps the others waiting for as long as they last; it has them still when it is started again.
    ///
    /// # Errors
    /// The store's, here and below.
    pub fn take_lease(&self, name: &str, lasts_s: i64) -> Result<bool, StoreError> {
        let now_s = self.sql.now_s()?;
        let sql = "INSERT INTO lease (name, holder, until_s) VALUES (?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_s = excluded.until_s
                   WHERE lease.holder = excluded.holder OR lease.until_s <= ?";
        Ok(self.sql.execute(sql, values![name, self.holder, now_s + lasts_s, now_s])? > 0)
    }

    /// For how many seconds another process has the lease; `None` when none has.
    pub fn leased_for_s(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT until_s FROM lease WHERE name = ? AND holder <> ?";
        let Some(until_s) = self.sql.row::<i64>(sql, values![name, self.holder])? else { return Ok(None) };
        let left_s = until_s - self.sql.now_s()?;
        Ok((left_s > 0).then_some(left_s))
    }

    /// Gives the lease back, if this process has it.
    pub fn give_lease_back(&self, name: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM lease WHERE name = ? AND holder = ?";
        self.sql.run(sql, values![name, self.holder])
    }
}
