//! `gateways`: which gateways are connected, and what each serves.

use serde_json::Value;

use super::client::{Reach, text};
use crate::api::STATUS_PATH;

pub(super) async fn run(reach: &Reach) -> Result<(), String> {
    let client = reach.client()?;
    let mut status = client.get(STATUS_PATH).await?;
    let newest = status["version"].as_u64().unwrap_or(0);
    let Value::Array(gateways) = status["gateways"].take() else {
        return Err(
            "the answer has no list of gateways: is it of another version of turnpike-control?".to_owned()
        );
    };
    client.output.list(
        "gateways are connected",
        ["GATEWAY", "SERVES", "NEWEST", "STATE"],
        &gateways,
        |gateway| {
            let serving = gateway["serving_version"].as_u64().unwrap_or(0);
            let refused = &gateway["refused"];
            let state = match refused.as_array().map(Vec::as_slice) {
                Some([version, reason]) => format!("refused {version}: {}", reason.as_str().unwrap_or("")),
                _ if serving < newest => "catching up".to_owned(),
                _ => "up to date".to_owned(),
            };
            [text(gateway, "id"), serving.to_string(), newest.to_string(), state]
        },
    )
}
