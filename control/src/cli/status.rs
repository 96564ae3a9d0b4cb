//! `status`: asks a running control, with a signed call of its own, and prints the answer.

use serde_json::Value;

use super::options::{Output, StatusArgs};
use super::serve::say;
use crate::api::{STATUS_PATH, Status, StatusRefusedRoute, StatusUnenforced};

pub(super) async fn run(args: StatusArgs) -> Result<(), String> {
    let output = args.output;
    let answer = args.settings()?.client(output)?.get(STATUS_PATH).await?;
    let status = status_of(answer)?;
    match output {
        Output::Text => say(&describe(&status)),
        Output::Json => say(&serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?),
    }
}

fn status_of(answer: Value) -> Result<Status, String> {
    serde_json::from_value(answer).map_err(|error| format!("the answer can't be read: {error}"))
}

fn describe(status: &Status) -> String {
    let mut lines = vec![format!("newest version {}", status.version)];
    if status.gateways.is_empty() {
        lines.push("no gateway is connected".to_owned());
    }
    for gateway in &status.gateways {
        let serving = gateway.serving_version;
        let state = match &gateway.refused {
            Some((version, reason)) => {
                format!("serves version {serving}, refused version {version}: {reason}")
            }
            None if serving < status.version => format!("serves version {serving}, catching up"),
            None => format!("serves version {serving}"),
        };
        lines.push(format!("gateway {} {state}", gateway.id));
    }
    for group in &status.groups {
        let targets = match group.targets {
            1 => "1 target".to_owned(),
            count => format!("{count} targets"),
        };
        let unused = if group.in_use { "" } else { ", no stage leads to it" };
        lines.push(format!("{}: {targets}{unused}", group.name));
    }
    lines.extend(status.unenforced.iter().map(describe_unenforced));
    lines.extend(status.refused_routes.iter().map(describe_refused));
    if let Some(more @ 1..) = status.refused_routes_total.checked_sub(status.refused_routes.len()) {
        lines.push(format!("{more} more routes answer 500"));
    }
    lines.join("\n")
}

fn describe_unenforced(unenforced: &StatusUnenforced) -> String {
    let StatusUnenforced { api_id, stage, setting } = unenforced;
    let owner = api_id.as_ref().map_or_else(|| "account".to_owned(), |api_id| format!("API {api_id}"));
    let stage = stage.as_ref().map(|stage| format!(", stage {stage}")).unwrap_or_default();
    format!("{owner}{stage}, {setting}: not yet enforced")
}

fn describe_refused(refused: &StatusRefusedRoute) -> String {
    let StatusRefusedRoute { api_id, stage, deployment_id, route, reason } = refused;
    format!("API {api_id}, stage {stage}, deployment {deployment_id}, {route}: answers 500, since {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{StatusGateway, StatusGroup};

    #[test]
    fn answers_are_told() {
        let gateway = |id: &str, serving_version, refused: Option<(u64, &str)>| StatusGateway {
            id: id.to_owned(),
            serving_version,
            refused: refused.map(|(version, reason)| (version, reason.to_owned())),
        };
        let gateways =
            vec![gateway("a", 7, None), gateway("b", 6, None), gateway("c", 5, Some((7, "too large")))];
        let group = |name: &str, targets, in_use| StatusGroup { name: name.to_owned(), targets, in_use };
        let groups = vec![group("VPC link l", 1, true), group("integration i of API a", 0, false)];
        let setting = |api_id: Option<&str>, stage: Option<&str>, setting: &str| StatusUnenforced {
            api_id: api_id.map(str::to_owned),
            stage: stage.map(str::to_owned),
            setting: setting.to_owned(),
        };
        let unenforced = vec![
            setting(None, None, "usage plans"),
            setting(Some("a"), None, "compression"),
            setting(Some("a"), Some("prod"), "caching"),
        ];
        let refused_routes = vec![StatusRefusedRoute {
            api_id: "a".to_owned(),
            stage: "prod".to_owned(),
            deployment_id: "d".to_owned(),
            route: "GET /pets".to_owned(),
            reason: "its authorizer isn't asked yet".to_owned(),
        }];
        let status =
            Status { version: 7, gateways, groups, unenforced, refused_routes, refused_routes_total: 3 };
        let told = describe(&status_of(serde_json::to_value(&status).expect("JSON")).expect("read back"));
        assert_eq!(
            told,
            "newest version 7\ngateway a serves version 7\ngateway b serves version 6, catching up\n\
             gateway c serves version 5, refused version 7: too large\n\
             VPC link l: 1 target\nintegration i of API a: 0 targets, no stage leads to it\n\
             account, usage plans: not yet enforced\nAPI a, compression: not yet enforced\n\
             API a, stage prod, caching: not yet enforced\n\
             API a, stage prod, deployment d, GET /pets: answers 500, since its authorizer isn't asked yet\n\
             2 more routes answer 500"
        );
    }

    #[test]
    fn another_answer_is_an_error() {
        assert!(status_of(Value::Null).is_err() && status_of(serde_json::json!({"version": 1})).is_err());
    }
}
