//! The store as the publisher sees it.

use bytes::Bytes;
use turnpike_snapshot::frame::{QuotaAnswer, QuotaReport};
use turnpike_snapshot::{Root, UnitHash, encode_root};

use super::Control;
use crate::publish::{SourceError, UnitSource};
use crate::time::now_s;

impl UnitSource for Control {
    fn newest_root(&self) -> Result<Bytes, SourceError> {
        match self.store.root()? {
            Some(root) => Ok(root.into()),
            None => Ok(encode_root(&Root { version: 0, units: Vec::new() })?.into()),
        }
    }

    fn unit(&self, hash: UnitHash) -> Result<Option<Bytes>, SourceError> {
        Ok(self.store.unit(hash)?.map(Bytes::from))
    }

    fn settle_quotas(
        &self,
        gateway_id: &str,
        reports: &[QuotaReport],
    ) -> Result<Vec<QuotaAnswer>, SourceError> {
        Ok(self.settle_reported_quotas(gateway_id, reports, now_s())?)
    }
}
