//! Several control processes on one PostgreSQL, from the outside: no update is lost, a change at one is at the gateways
//! of all at once, and what happens to one is no matter to the others.

use std::path::PathBuf;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::{Value, json};
use turnpike_control::secrets;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::postgres::{self, Server};
use crate::support::process::Control;

/// Processes of one store, each with a data directory of its own and the first one's key.
struct Fleet {
    dir: tempfile::TempDir,
    url: String,
}

impl Fleet {
    fn new(url: String) -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), url }
    }

    fn data_dir(&self, at: usize) -> PathBuf {
        self.dir.path().join(format!("data{at}"))
    }

    fn start(&self, at: usize) -> (Control, Client) {
        let data_dir = self.data_dir(at);
        let key = |at: usize| self.data_dir(at).join(secrets::FILE);
        if at > 0 && !key(at).exists() {
            std::fs::create_dir_all(&data_dir).expect("made");
            std::fs::copy(key(0), key(at)).expect("the first one's key");
        }
        let mut control = Control::start(&["serve", "--store", &self.url], &data_dir);
        let client = control.client();
        (control, client)
    }

    /// What a gateway of this process is sent first, and then with each version.
    fn gateway(&self, at: usize) -> Gateway {
        Gateway::connect(&self.data_dir(at).join("publish.sock"), "g")
    }
}

fn version(client: &Client) -> u64 {
    client.expect(200, "GET", "/_turnpike/status", "").body["version"].as_u64().expect("a number")
}

fn quick_create(client: &Client) -> String {
    let body = json!({ "name": "a", "protocolType": "HTTP", "target": "http://127.0.0.1:3000" });
    client.expect(201, "POST", "/v2/apis", &body.to_string()).text("apiId")
}

/// A deployed REST API with a stage `prod`.
fn rest_stage(client: &Client) -> String {
    let api = client.expect(201, "POST", "/restapis", r#"{"name":"a"}"#).text("id");
    let resources = client.expect(200, "GET", &format!("/restapis/{api}/resources"), "").body;
    let listed = &resources["item"];
    let root = listed.get(0).unwrap_or(listed)["id"].as_str().expect("a root").to_owned();
    let method = format!("/restapis/{api}/resources/{root}/methods/GET");
    client.expect(201, "PUT", &method, r#"{"authorizationType":"NONE"}"#);
    let integration = json!({ "type": "HTTP_PROXY", "httpMethod": "GET", "uri": "http://127.0.0.1:3000/" });
    client.expect(201, "PUT", &format!("{method}/integration"), &integration.to_string());
    client.expect(201, "POST", &format!("/restapis/{api}/deployments"), r#"{"stageName":"prod"}"#);
    api
}

#[test]
fn no_update_is_lost() {
    const WRITERS: usize = 4;
    const UPDATES: usize = 8;
    let fleet = Fleet::new(postgres::shared().database());
    let (_first, one) = fleet.start(0);
    let (_second, other) = fleet.start(1);
    let (rest, http) = (rest_stage(&one), quick_create(&one));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let client = if writer % 2 == 0 { one.clone() } else { other.clone() };
            let (rest, http) = (&rest, &http);
            scope.spawn(move || {
                for update in 0..UPDATES {
                    let path = format!("/variables/w{writer}u{update}");
                    let patch =
                        json!({ "patchOperations": [{ "op": "replace", "path": path, "value": "v" }] });
                    let stage = format!("/restapis/{rest}/stages/prod");
                    client.expect(200, "PATCH", &stage, &patch.to_string());
                    let member = ["name", "description", "version"][writer % 3];
                    let change = json!({ member: format!("w{writer}u{update}") });
                    client.expect(200, "PATCH", &format!("/v2/apis/{http}"), &change.to_string());
                }
            });
        }
    });
    for client in [&one, &other] {
        let stage = client.expect(200, "GET", &format!("/restapis/{rest}/stages/prod"), "").body;
        let variables = stage["variables"].as_object().expect("variables");
        assert_eq!(variables.len(), WRITERS * UPDATES, "{variables:?}");
        let api = client.expect(200, "GET", &format!("/v2/apis/{http}"), "");
        assert_eq!(api.text("description"), format!("w1u{}", UPDATES - 1));
        assert_eq!(api.text("version"), format!("w2u{}", UPDATES - 1));
    }
}

#[test]
fn a_change_at_one_reaches_the_gateways_of_another() {
    let fleet = Fleet::new(postgres::shared().database());
    let (first, one) = fleet.start(0);
    let (_second, other) = fleet.start(1);
    let mut gateway = fleet.gateway(1);
    gateway.root();
    for _ in 0..3 {
        let api = quick_create(&one);
        gateway.await_version(version(&one));
        other.expect(200, "GET", &format!("/v2/apis/{api}"), "");
        other.expect(204, "DELETE", &format!("/v2/apis/{api}"), "");
        one.expect(404, "GET", &format!("/v2/apis/{api}"), "");
        gateway.await_version(version(&other));
    }
    assert_eq!(version(&one), version(&other));
    // What one process was doing when it was killed keeps nobody waiting.
    first.signal(Signal::KILL);
    quick_create(&other);
    gateway.await_version(version(&other));
}

#[test]
fn a_killed_process_takes_nothing_along() {
    const CALLERS: usize = 3;
    const ACKNOWLEDGED: usize = 15;
    let fleet = Fleet::new(postgres::shared().database());
    let (mut first, one) = fleet.start(0);
    let (_second, other) = fleet.start(1);
    let (tell, told) = mpsc::channel();
    let mut acknowledged = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            let (client, tell) = (one.clone(), tell.clone());
            scope.spawn(move || {
                let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
                while let Ok(answer) = client.try_call("POST", "/v2/apis", body) {
                    assert_eq!(answer.status, 201, "{answer:?}");
                    tell.send(answer.text("apiId")).expect("the test listens");
                }
            });
        }
        acknowledged.extend(told.iter().take(ACKNOWLEDGED));
        first.signal(Signal::KILL);
    });
    first.wait();
    drop(tell);
    acknowledged.extend(told.iter());
    for api in &acknowledged {
        other.expect(200, "GET", &format!("/v2/apis/{api}"), "");
    }
    let listed = other.expect(200, "GET", "/v2/apis?maxResults=500", "").body;
    let Value::Array(listed) = &listed["items"] else { panic!("{listed:?}") };
    for api in listed {
        let path = format!("/v2/apis/{}/stages/$default", api["apiId"].as_str().expect("an id"));
        let stage = other.expect(200, "GET", &path, "");
        assert!(stage.text("deploymentId").len() > 1, "an API is there whole");
    }
}

#[test]
fn a_server_that_is_away_is_told_and_waited_for() {
    let mut server = Server::start();
    let fleet = Fleet::new(server.database());
    let (_first, one) = fleet.start(0);
    let (mut second, other) = {
        let key = |at: usize| fleet.data_dir(at).join(secrets::FILE);
        std::fs::create_dir_all(fleet.data_dir(1)).expect("made");
        std::fs::copy(key(0), key(1)).expect("the first one's key");
        let arguments = ["serve", "--store", &fleet.url, "--store-timeout-ms", "200"];
        let mut control = Control::start(&arguments, &fleet.data_dir(1));
        let client = control.client();
        (control, client)
    };
    let mut gateway = fleet.gateway(1);
    let api = quick_create(&one);
    gateway.await_version(version(&one));
    server.stop();
    let answer = other.call("GET", &format!("/v2/apis/{api}"), "");
    assert_eq!((answer.status, answer.error()), (503, "ServiceUnavailableException"), "{answer:?}");
    assert!(answer.message().contains("can't be reached"), "{answer:?}");
    second.await_error("trying again");
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| one.call("GET", &format!("/v2/apis/{api}"), ""));
        server.start_again();
        assert_eq!(patient.join().expect("no panic").status, 200);
    });
    second.await_error("can be reached again");
    quick_create(&one);
    gateway.await_version(version(&one));
}
