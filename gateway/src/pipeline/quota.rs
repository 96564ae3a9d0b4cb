//! Quota: takes the request off the quota of its caller's usage plan, which counts it as served from here on.
//!
//! It stands behind everything that may refuse a request on its own, so that such a request uses nothing. A quota that is
//! used up is AWS's 429; where nothing is in hand, and control doesn't say in time whether anything is left, the request is
//! refused with 503 rather than served beyond the quota. (AWS: usage plans and API keys for REST APIs.)

use super::route::Address;
use super::{Exchange, Failure, Refusal};
use crate::table::Caller;

pub(super) async fn check(
    exchange: &Exchange<'_>,
    address: &Address<'_, '_>,
    caller: Option<Caller<'_>>,
) -> Result<(), Failure> {
    let Some(caller) = caller else { return Ok(()) };
    let Some(quota) = caller.quota(exchange.table.generation) else { return Ok(()) };
    exchange
        .shard
        .quotas
        .take(quota, || caller.names())
        .await
        .map_err(|refusal| Refusal::Quota(refusal, address.stage.protocol).into())
}
