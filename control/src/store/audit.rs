//! The audit log: what was changed, by whom, from what to what; and what policies refused to be changed.
//!
//! A record is written in the transaction of the change that it tells of. Records are named so that later ones are
//! greater: the log is read backwards by name, and its old end falls off by name.

use super::sql::values;
use super::{StoreError, Tx};

/// A record as it is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// See [`audit_id`].
    pub id: String,
    /// ARN of who did it.
    pub actor: String,
    pub operation: String,
    pub resource: String,
    /// Whether it is what policies refused.
    pub refused: bool,
    /// JSON.
    pub doc: String,
}

/// Which records are wanted; what is `None` doesn't matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// An ARN, a user's name, or `root` for the root access key.
    pub actor: Option<String>,
    pub operation: Option<String>,
    /// A part of the resource.
    pub resource: Option<String>,
    /// Only what policies refused, or only changes.
    pub refused: Option<bool>,
    /// Microseconds since 1970, inclusive.
    pub since_us: Option<i64>,
    /// Exclusive.
    pub until_us: Option<i64>,
}

/// Rows that are looked at in one go.
const CHUNK_ROWS: usize = 500;
/// Documents of a page: it ends with the record that reaches it. Arbitrary; a page of usual records stays far below.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Digits of the microseconds until the year 5138.
const TIME_DIGITS: usize = 17;

/// The name of a record: its time, so that names sort by it, and what tells records of one time apart.
#[must_use]
pub fn audit_id(at_us: i64, unique: &str) -> String {
    format!("{:0TIME_DIGITS$}-{unique}", at_us.max(0))
}

impl Tx<'_> {
    /// # Errors
    /// The store's, here and below.
    pub fn append_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO audit (id, actor, operation, resource, refused, doc) VALUES (?, ?, ?, ?, ?, ?)";
        let AuditEntry { id, actor, operation, resource, refused, doc } = entry;
        self.sql.run(sql, values![id, actor, operation, resource, *refused, doc])
    }

    /// Removes what is older than `oldest_us`, and all but the newest `records_max`, of which refusals are half at
    /// most: who may do nothing can't push out what others did.
    pub fn trim_audit(&self, oldest_us: i64, records_max: usize) -> Result<(), StoreError> {
        self.sql.run("DELETE FROM audit WHERE id < ?", values![&audit_id(oldest_us, "")])?;
        let sql = "SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?";
        let last: Option<String> = self.sql.row(sql, values![records_max])?;
        if let Some(last) = last {
            self.sql.run("DELETE FROM audit WHERE id <= ?", values![&last])?;
        }
        let sql = "SELECT id FROM audit WHERE refused = 1 ORDER BY id DESC LIMIT 1 OFFSET ?";
        let last: Option<String> = self.sql.row(sql, values![records_max / 2])?;
        if let Some(last) = last {
            self.sql.run("DELETE FROM audit WHERE refused = 1 AND id <= ?", values![&last])?;
        }
        Ok(())
    }

    /// The documents of the newest records that fit, before the one named `before`: so many, and of so many bytes; and
    /// the name of the last of them where there are more.
    pub fn audit_page(
        &self,
        filter: &AuditFilter,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let mut upper =
            filter.until_us.map(|until_us| audit_id(until_us, "")).unwrap_or_else(|| ":".to_owned());
        if let Some(before) = before.filter(|before| **before < *upper) {
            before.clone_into(&mut upper);
        }
        let lower = filter.since_us.map(|since_us| audit_id(since_us, "")).unwrap_or_default();
        let mut found: Vec<String> = Vec::new();
        loop {
            let rows = self.audit_rows(&lower, &upper, filter.refused)?;
            let whole = rows.len() < CHUNK_ROWS;
            for (id, actor, operation, resource) in rows {
                if filter.fits(&actor, &operation, &resource) {
                    if found.len() == limit {
                        let last = found.last().cloned();
                        return self.audit_docs(&found, last);
                    }
                    found.push(id.clone());
                }
                upper = id;
            }
            if whole {
                return self.audit_docs(&found, None);
            }
        }
    }

    fn audit_rows(
        &self,
        lower: &str,
        upper: &str,
        refused: Option<bool>,
    ) -> Result<Vec<(String, String, String, String)>, StoreError> {
        let sql = "SELECT id, actor, operation, resource FROM audit
                   WHERE id >= ? AND id < ? AND refused IN (?, ?) ORDER BY id DESC LIMIT ?";
        let (one, other) = refused.map_or((false, true), |refused| (refused, refused));
        self.sql.rows(sql, values![lower, upper, one, other, CHUNK_ROWS])
    }

    /// As many as one page takes; `last` is the name after which more follow, if all of these fit.
    fn audit_docs(
        &self,
        ids: &[String],
        last: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let (mut docs, mut bytes, mut taken) = (Vec::new(), 0, None);
        for id in ids {
            if bytes >= PAGE_BYTES_MAX {
                return Ok((docs, taken));
            }
            let doc: Option<String> = self.sql.row("SELECT doc FROM audit WHERE id = ?", values![id])?;
            bytes += doc.as_ref().map_or(0, String::len);
            docs.extend(doc);
            taken = Some(id.clone());
        }
        Ok((docs, last))
    }
}

impl AuditFilter {
    fn fits(&self, actor: &str, operation: &str, resource: &str) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let within = self.resource.as_ref().is_none_or(|part| resource.contains(part.as_str()));
        self.actor.as_ref().is_none_or(|wanted| is_actor(wanted, actor))
            && is(&self.operation, operation)
            && within
    }
}

/// A user may be called `root`, too: by that name alone, it is the root access key that is meant.
fn is_actor(wanted: &str, arn: &str) -> bool {
    let of_user = || arn.split_once(":user/").and_then(|(_, path)| path.rsplit('/').next());
    wanted == arn || if wanted == "root" { arn.ends_with(":root") } else { of_user() == Some(wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_known_by_arn_or_name() {
        let (root, ann) = ("arn:aws:iam::000000000000:root", "arn:aws:iam::000000000000:user/ops/ann");
        for (wanted, arn, expected) in [
            ("root", root, true),
            ("root", "arn:aws:iam::000000000000:user/root", false),
            ("arn:aws:iam::000000000000:user/root", "arn:aws:iam::000000000000:user/root", true),
            ("ann", ann, true),
            ("ops", ann, false),
            (ann, ann, true),
            ("ann", root, false),
        ] {
            assert_eq!(is_actor(wanted, arn), expected, "{wanted} {arn}");
        }
    }
}
