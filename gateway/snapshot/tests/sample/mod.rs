//! Units that tests share.
#![allow(dead_code, reason = "each test binary uses a part")]

use turnpike_snapshot::{
    AccessLog, AccountUnit, Domain, HttpProxy, Integration, IntegrationKind, Mapping, Protocol, Root, Route,
    Scheme, StageUnit, TargetPart, Unit, UnitHash, UnitRef,
};

/// A stage with one route of each form.
pub(crate) fn stage() -> StageUnit {
    StageUnit {
        api_id: "a1b2c3d4e5".to_owned(),
        protocol: Protocol::Http,
        stage: "$default".to_owned(),
        deployment_id: "d1".to_owned(),
        execute_api_endpoint_disabled: false,
        access_log: Some(AccessLog {
            destination: "/aws/apigateway/first".to_owned(),
            format: "$context.requestId $context.status".to_owned(),
        }),
        integrations: vec![
            integration("i0", vec![TargetPart::RequestPath]),
            integration("i1", vec![literal("/pets/"), TargetPart::PathParameter("id".to_owned())]),
            integration("i2", vec![literal("/files/"), TargetPart::PathParameter("path".to_owned())]),
        ],
        routes: vec![
            route("ANY", "$default", 0),
            route("GET", "/", 0),
            route("GET", "/pets/{id}", 1),
            route("DELETE", "/pets/{id}", 1),
            route("ANY", "/files/{path+}", 2),
        ],
    }
}

pub(crate) fn rest_stage() -> StageUnit {
    let mut stage = stage();
    stage.protocol = Protocol::Rest;
    stage.stage = "prod".to_owned();
    stage.routes.remove(0);
    stage
}

pub(crate) fn account() -> AccountUnit {
    AccountUnit {
        account_id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint_suffix: "localhost".to_owned(),
        domains: vec![Domain {
            name: "api.example.com".to_owned(),
            mappings: vec![Mapping {
                key: "v1/pets".to_owned(),
                api_id: "a1b2c3d4e5".to_owned(),
                stage: "prod".to_owned(),
            }],
        }],
    }
}

pub(crate) fn units() -> Vec<Unit> {
    vec![Unit::Account(account()), Unit::Stage(stage()), Unit::Stage(rest_stage())]
}

pub(crate) fn root() -> Root {
    let units = (1..=3).map(|n| UnitRef { hash: UnitHash([n; 32]), bytes_len: 1000 + u32::from(n) });
    Root { version: 7, units: units.collect() }
}

pub(crate) fn integration(id: &str, target: Vec<TargetPart>) -> Integration {
    Integration {
        id: id.to_owned(),
        timeout_ms: 29_000,
        kind: IntegrationKind::HttpProxy(HttpProxy {
            method: None,
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port: 3000,
            target,
            query: "from=turnpike".to_owned(),
        }),
    }
}

pub(crate) fn route(method: &str, path: &str, integration: u32) -> Route {
    Route { method: method.to_owned(), path: path.to_owned(), id: "r1".to_owned(), integration }
}

pub(crate) fn literal(text: &str) -> TargetPart {
    TargetPart::Literal(text.to_owned())
}
