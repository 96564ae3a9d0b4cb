//! What `turnpike-control status` shows: the newest version, and which gateway serves which.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ApiError;
use super::server::Api;
use crate::store::StoreError;

/// Outside of AWS's paths; signed like every other call.
pub const STATUS_PATH: &str = "/_turnpike/status";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the newest root.
    pub version: u64,
    pub gateways: Vec<StatusGateway>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusGateway {
    pub id: String,
    /// 0 is nothing.
    pub serving_version: u64,
    /// The last version that it refused, and why, unless it has taken one since.
    pub refused: Option<(u64, String)>,
}

impl Status {
    pub(super) async fn of(api: &Api) -> Result<Self, ApiError> {
        let version = api.control.read_async::<_, StoreError>(|view| view.tx.version()).await?;
        let gateways = api.publisher.gateways().into_iter().map(|gateway| StatusGateway {
            id: gateway.id,
            serving_version: gateway.serving_version,
            refused: gateway.refused.map(|refusal| (refusal.version, refusal.reason)),
        });
        Ok(Self { version, gateways: gateways.collect() })
    }

    pub(super) fn to_json(&self) -> Value {
        serde_json::json!(self)
    }
}
