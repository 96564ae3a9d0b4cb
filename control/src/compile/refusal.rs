//! A stage whose configuration can't be compiled: whatever is asked of it is answered 500, and why is in gateways' logs.

use turnpike_snapshot::{Integration, IntegrationKind, Limits, Protocol, Route, RouteSettings, StageUnit};

const ID: &str = "refused";
/// Of what is never called.
const TIMEOUT_MS: u32 = 1;

/// The stage of an API, without its deployment's id.
#[must_use]
pub fn refused_stage(protocol: Protocol, (api_id, stage): (&str, &str), error: &str) -> StageUnit {
    let everything: &[&str] = match protocol {
        Protocol::Rest => &["/", "/{proxy+}"],
        Protocol::Http => &["$default"],
    };
    let route = |path: &&str| Route {
        method: "ANY".to_owned(),
        path: (*path).to_owned(),
        id: ID.to_owned(),
        integration: 0,
        settings: RouteSettings::default(),
    };
    StageUnit {
        api_id: api_id.to_owned(),
        protocol,
        stage: stage.to_owned(),
        deployment_id: String::new(),
        execute_api_endpoint_disabled: false,
        access_log: None,
        integrations: vec![Integration {
            id: ID.to_owned(),
            timeout_ms: TIMEOUT_MS,
            kind: IntegrationKind::Refused { reason: reason(error) },
        }],
        routes: everything.iter().map(route).collect(),
        canary: None,
        cache: None,
        compression: None,
    }
}

/// As much of it as gateways take.
fn reason(error: &str) -> String {
    let mut reason = format!("this version can't compile the stage: {error}");
    reason.truncate(reason.floor_char_boundary(Limits::default().reason_bytes_max));
    reason
}

#[cfg(test)]
mod tests {
    use turnpike_snapshot::{Unit, check_unit};

    use super::*;

    #[test]
    fn gateways_take_what_is_refused() {
        for protocol in [Protocol::Rest, Protocol::Http] {
            let mut unit = refused_stage(protocol, ("a", "s"), &"é".repeat(100_000));
            unit.deployment_id = "d".to_owned();
            assert_eq!(check_unit(&Unit::Stage(unit), &Limits::default()), Ok(()));
        }
    }
}
