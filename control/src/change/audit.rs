//! What the audit log has of a change: who asked for what, and the documents before and after, without their secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use ring::digest;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Control, blocking};
use crate::model::{
    AcmeAccount, Certificate, ClientCertificate, Entity as _, HttpContent, Part as _, RestContent, new_uuid,
};
use crate::secrets::SEALED_PREFIX;
use crate::settings::AuditSettings;
use crate::store::{AuditEntry, DocumentChange, StoreError, Tx, audit_id};
use crate::time::{iso8601, now_us};

const DAY_US: i64 = 86_400 * 1_000_000;
/// Changes between two looks at what has become too old or too much; an arbitrary number.
const CHANGES_PER_TRIM: usize = 64;
/// Copies of what other documents have said before: their digest will do.
const COPIES: [&str; 2] = [HttpContent::KIND, RestContent::KIND];
/// Members that hold secrets without [`SEALED_PREFIX`], in documents of earlier versions, after the kind of the document:
/// elsewhere, `credentials` are the role that an integration or an authorizer is called as.
const SECRET_MEMBERS: [(&str, &str); 3] = [
    (Certificate::KIND, "private_key"),
    (ClientCertificate::KIND, "private_key"),
    (AcmeAccount::KIND, "credentials"),
];
const LEFT_OUT: &str = "(secret)";
/// Who does what nobody calls for.
const OWN: &str = "turnpike";

/// Somebody's call that changes something, or would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// `root`, or a user's name; `turnpike` for what it does by itself.
    pub user: String,
    pub user_arn: String,
    pub access_key_id: String,
    pub source_address: String,
    /// Such as `apigateway`.
    pub service: String,
    pub operation: String,
    /// As policies name it.
    pub action: String,
    /// ARN of what it is done to.
    pub resource: String,
    /// Method and path of the request.
    pub request: String,
    pub request_id: String,
}

/// A record of the log as callers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Later records have greater ones.
    pub id: String,
    /// ISO 8601.
    pub time: String,
    #[serde(flatten)]
    pub deed: Deed,
    /// `success` or `refused`.
    pub outcome: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of the root that it made, if it changed what gateways serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<AuditedDocument>,
    /// How many more were changed.
    #[serde(rename = "documentsLeftOut", skip_serializing_if = "is_zero")]
    pub documents_left_out: usize,
}

/// A document as the store has it; `null` where there was or is none. One that would make the record too large is
/// `{"sha256": …, "bytes": …}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditedDocument {
    pub kind: String,
    /// The API or the entity that it is a part of; empty where it is of the account.
    pub owner: String,
    pub id: String,
    pub before: Value,
    pub after: Value,
}

/// What names records of one process: times that never come twice.
#[derive(Debug, Default)]
pub(super) struct AuditClock {
    last_us: AtomicI64,
    changes: AtomicUsize,
}

impl AuditClock {
    fn next_us(&self) -> i64 {
        let now = now_us();
        let next = |last: i64| Some(now.max(last + 1));
        let last = self.last_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(last.unwrap_or(0) + 1)
    }

    fn is_time_to_trim(&self) -> bool {
        self.changes.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHANGES_PER_TRIM)
    }
}

impl Control {
    /// Writes the record of a change into its own transaction.
    pub(super) fn note_change(
        &self,
        tx: &Tx<'_>,
        deed: &Deed,
        published: Option<u64>,
    ) -> Result<(), StoreError> {
        let AuditSettings { record_bytes_max, record_documents_max, .. } = self.settings.audit;
        let mut changes = tx.take_journal();
        let documents_left_out = changes.len().saturating_sub(record_documents_max);
        changes.truncate(record_documents_max);
        let documents = Budget(record_bytes_max).documents(changes);
        let version = published;
        self.append(tx, deed, |record| AuditRecord { version, documents, documents_left_out, ..record })
    }

    /// Writes the record of a call that was refused by policy. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn note_refusal(&self, deed: &Deed, reason: &str) -> Result<(), StoreError> {
        if self.settings.audit.records_max == 0 {
            return Ok(());
        }
        let refused = |record| AuditRecord { outcome: "refused", reason: Some(reason.to_owned()), ..record };
        self.store.write(|tx| self.append(tx, deed, refused))
    }

    /// [`Self::note_refusal`] off the runtime's threads.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_refusal_async(self: &Arc<Self>, deed: Deed, reason: String) -> Result<(), StoreError> {
        let control = Arc::clone(self);
        blocking(move || control.note_refusal(&deed, &reason)).await
    }

    fn append(
        &self,
        tx: &Tx<'_>,
        deed: &Deed,
        complete: impl FnOnce(AuditRecord) -> AuditRecord,
    ) -> Result<(), StoreError> {
        let at_us = self.audit.next_us();
        // Other processes may write at the same time: requests have ids of their own.
        let id = audit_id(at_us, deed.request_id.get(..8).unwrap_or(&deed.request_id));
        let second = iso8601(at_us / 1_000_000);
        let record = complete(AuditRecord {
            id,
            time: format!("{}.{:06}Z", second.trim_end_matches('Z'), at_us % 1_000_000),
            deed: deed.clone(),
            outcome: "success",
            reason: None,
            version: None,
            documents: Vec::new(),
            documents_left_out: 0,
        });
        let doc = serde_json::to_string(&record).map_err(|source| StoreError::Document {
            kind: "audit",
            id: record.id.clone(),
            source,
        })?;
        let AuditRecord { id, deed, reason, .. } = record;
        let Deed { user_arn: actor, operation, resource, .. } = deed;
        let refused = reason.is_some();
        tx.append_audit(&AuditEntry { id, actor, operation, resource, refused, doc })?;
        if self.audit.is_time_to_trim() {
            let AuditSettings { records_max, days_max, .. } = &self.settings.audit;
            tx.trim_audit(at_us - i64::from(*days_max) * DAY_US, *records_max)?;
        }
        Ok(())
    }
}

impl Deed {
    /// What Turnpike does by itself, on somebody's earlier request.
    #[must_use]
    pub fn own(service: &str, operation: &str, resource: String) -> Self {
        Self {
            user: OWN.to_owned(),
            user_arn: OWN.to_owned(),
            access_key_id: String::new(),
            source_address: String::new(),
            service: service.to_owned(),
            operation: operation.to_owned(),
            action: String::new(),
            resource,
            request: String::new(),
            request_id: new_uuid().unwrap_or_default(),
        }
    }
}

/// Bytes of documents that a record can still take.
struct Budget(usize);

impl Budget {
    fn documents(mut self, changes: Vec<DocumentChange>) -> Vec<AuditedDocument> {
        let documents = changes.into_iter().map(|change| {
            let DocumentChange { document, before, after } = change;
            AuditedDocument {
                before: self.shown(&document.kind, before),
                after: self.shown(&document.kind, after),
                kind: document.kind,
                owner: document.owner,
                id: document.id,
            }
        });
        documents.collect()
    }

    fn shown(&mut self, kind: &str, document: Option<String>) -> Value {
        let Some(document) = document else { return Value::Null };
        if COPIES.contains(&kind) || document.len() > self.0 {
            let digest = digest::digest(&digest::SHA256, document.as_bytes());
            let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            return json!({"sha256": hex, "bytes": document.len()});
        }
        self.0 -= document.len();
        match serde_json::from_str(&document) {
            Ok(value) => without_secrets(kind, value),
            Err(_) => json!("(not JSON)"),
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn without_secrets(kind: &str, value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(SEALED_PREFIX) => LEFT_OUT.into(),
        Value::Array(items) => items.into_iter().map(|item| without_secrets(kind, item)).collect(),
        Value::Object(map) => {
            let members = map.into_iter().map(|(name, value)| {
                let secret = SECRET_MEMBERS.contains(&(kind, name.as_str())) && value.is_string();
                let value = if secret { LEFT_OUT.into() } else { without_secrets(kind, value) };
                (name, value)
            });
            Value::Object(members.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DocumentId;

    fn change(kind: &str, before: Option<&str>, after: Option<&str>) -> DocumentChange {
        let document = DocumentId { kind: kind.to_owned(), owner: String::new(), id: "i".to_owned() };
        DocumentChange { document, before: before.map(str::to_owned), after: after.map(str::to_owned) }
    }

    #[test]
    fn secrets_are_left_out() {
        let document = json!({
            "secret": "sealed:AAAA", "list": ["sealed:x", 1], "issued": {"private_key": "AAAA"},
            "credentials": "arn:aws:iam::0:role/r", "a": {"b": "c"}
        });
        let shown = |kind, part: &str| without_secrets(kind, document.clone())[part].clone();
        for kind in [Certificate::KIND, AcmeAccount::KIND, "rest-resource"] {
            assert_eq!((shown(kind, "secret"), shown(kind, "list")), (json!(LEFT_OUT), json!([LEFT_OUT, 1])));
            assert_eq!(shown(kind, "a"), document["a"]);
        }
        assert_eq!(shown(Certificate::KIND, "issued"), json!({"private_key": LEFT_OUT}));
        assert_eq!(shown(AcmeAccount::KIND, "credentials"), LEFT_OUT);
        assert_eq!(shown("rest-resource", "credentials"), document["credentials"]);
    }

    #[test]
    fn what_is_too_large_and_what_is_a_copy_is_named_by_its_digest() {
        let changes = vec![
            change("x", Some("[1]"), Some("[1,2]")),
            change("x", None, Some("[3]")),
            change(RestContent::KIND, None, Some("1")),
        ];
        let documents = Budget(8).documents(changes);
        assert_eq!((&documents[0].before, &documents[0].after), (&json!([1]), &json!([1, 2])));
        assert_eq!(documents[1].before, Value::Null);
        assert_eq!(documents[1].after["bytes"], 3);
        assert_eq!(documents[2].after["bytes"], 1);
        assert_eq!(documents[2].after["sha256"].as_str().map(str::len), Some(64));
    }

    #[test]
    fn times_never_come_twice() {
        let clock = AuditClock::default();
        let times: Vec<i64> = (0..1_000).map(|_| clock.next_us()).collect();
        assert!(times.is_sorted_by(|a, b| a < b));
    }
}
