//! kill -9 at any moment: nothing acknowledged is lost, and there is no half change.

use std::sync::mpsc;

use crate::support::process::Control;
use crate::support::stores::settings_of;
use rustix::process::Signal;
use turnpike_control::model::{HttpApi, HttpStage};
use turnpike_control::store::{Store, StoreError};
use turnpike_snapshot::{Limits, StageUnit, Unit, check_snapshot, decode_root, decode_unit};

const ROUNDS: usize = 4;
const CALLERS: usize = 3;
/// Acknowledged calls of a round before the kill; the number differs a little so that the kills do.
const ACKNOWLEDGED: usize = 12;

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let mut control = Control::start(&["serve"], &data_dir);
        let client = control.client();
        for id in &acknowledged {
            client.expect(200, "GET", &format!("/v2/apis/{id}"), "");
        }
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                let (client, tell) = (client.clone(), tell.clone());
                scope.spawn(move || {
                    let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
                    while let Ok(answer) = client.try_call("POST", "/v2/apis", body) {
                        assert_eq!(answer.status, 201, "{answer:?}");
                        tell.send(answer.text("apiId")).expect("the test listens");
                    }
                });
            }
            acknowledged.extend(told.iter().take(ACKNOWLEDGED + round));
            control.signal(Signal::KILL);
        });
        control.wait();
        drop(tell);
        // What was acknowledged between the last one counted and the kill counts as well.
        acknowledged.extend(told.iter());
        check_store(&data_dir, &acknowledged);
    }
}

/// Every API that the store holds is whole, and published as a whole.
fn check_store(data_dir: &std::path::Path, acknowledged: &[String]) {
    let store = Store::open(data_dir, &settings_of(data_dir)).expect("the store survived");
    let stages = published_stages(&store);
    let apis = store.read(|tx| tx.apis::<HttpApi>("", 10_000)).map(|page| page.items).expect("readable");
    for id in acknowledged {
        assert!(apis.iter().any(|api| api.id == *id), "{id} was acknowledged and is lost");
    }
    for api in &apis {
        let stage: Result<Option<HttpStage>, StoreError> = store.read(|tx| tx.part(&api.id, "$default"));
        let stage = stage.expect("readable").expect("an API is stored with its stage");
        let unit = stages.iter().find(|unit| unit.api_id == api.id).expect("and published with it");
        assert_eq!(Some(&unit.deployment_id), stage.deployment_id.as_ref());
    }
    assert_eq!(apis.len(), stages.len());
}

fn published_stages(store: &Store) -> Vec<StageUnit> {
    let root = store.root().expect("readable").expect("published");
    let root = decode_root(&root, &Limits::default()).expect("a valid root");
    let read = |unit: &turnpike_snapshot::UnitRef| {
        let bytes = store.unit(unit.hash).expect("readable").expect("a listed unit is kept");
        decode_unit(&bytes, &Limits::default()).expect("a valid unit")
    };
    let units: Vec<Unit> = root.units.iter().map(read).collect();
    check_snapshot(root.version, &units).expect("units that fit together");
    let stage = |unit| match unit {
        Unit::Stage(stage) => Some(stage),
        _ => None,
    };
    units.into_iter().filter_map(stage).collect()
}
