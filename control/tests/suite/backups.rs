//! `backup` while control serves and changes, and `restore` into a new place, as an operator runs them.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::client::Client;
use crate::support::process::Control;
use crate::support::stores::url_of;

fn run(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-control"));
    command.args(arguments).arg("--data-dir").arg(data_dir);
    if let Some(url) = url_of(data_dir) {
        command.env("TURNPIKE_CONTROL_STORE", url);
    }
    command.output().expect("turnpike-control")
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn create(client: &Client) -> String {
    let body = r#"{"name":"a","protocolType":"HTTP","target":"http://127.0.0.1:3000"}"#;
    client.expect(201, "POST", "/v2/apis", body).text("apiId")
}

fn apis(client: &Client) -> Vec<String> {
    let listed = client.expect(200, "GET", "/v2/apis?maxResults=500", "").body;
    let ids = listed["items"].as_array().expect("a list").iter();
    ids.map(|api| api["apiId"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_backup_is_taken_while_control_serves() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (dir.path().join("data"), dir.path().join("backup"));
    let to = file.to_str().expect("UTF-8");
    let mut control = Control::start(&["serve"], &data);
    let client = control.client();
    let before: Vec<String> = (0..10).map(|_| create(&client)).collect();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut made = 0;
            while !is_done.load(Ordering::Relaxed) {
                create(&client);
                made += 1;
            }
            made
        });
        let output = run(&data, &["backup", "--to", to, "--with-secrets-key"]);
        is_done.store(true, Ordering::Relaxed);
        let said = told(&output);
        assert!(said.contains("wrote ") && said.contains("the secrets key is in it"), "{said}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("backup: 1 of "), "{output:?}");
        assert_ne!(writer.join().expect("no panic"), 0);
    });
    assert!(refused(&run(&data, &["backup", "--to", to])).contains("is there already"));
    assert!(refused(&run(&data, &["restore", "--from", to])).contains("turnpike-control"));
    assert!(told(&run(&data, &["restore", "--from", to, "--check"])).contains("is whole"));

    let new = dir.path().join("new");
    assert!(told(&run(&new, &["restore", "--from", to])).contains("restored"));
    let mut restored = Control::start(&["serve"], &new);
    let again = restored.client();
    let found = apis(&again);
    assert!(before.iter().all(|api| found.contains(api)), "{before:?} in {found:?}");
    let later = apis(&client);
    assert!(found.iter().all(|api| later.contains(api)), "nothing that was never there");
    for api in &found {
        let stage = again.expect(200, "GET", &format!("/v2/apis/{api}/stages/$default"), "");
        assert!(!stage.text("deploymentId").is_empty());
    }
    create(&again);
}

#[test]
fn what_is_no_backup_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    let from = file.to_str().expect("UTF-8");
    let data = dir.path().join("data");
    assert!(refused(&run(&data, &["restore", "--from", from])).contains(from));
    std::fs::write(&file, "hello\n").expect("written");
    assert!(refused(&run(&data, &["restore", "--from", from])).contains("isn't a backup"));
    let absent = dir.path().join("absent");
    let to = dir.path().join("to");
    let told = refused(&run(&absent, &["backup", "--to", to.to_str().expect("UTF-8")]));
    // A database without tables is one of an older version.
    assert!(told.contains("--data-dir") || told.contains("schema version 0"), "{told}");
    assert!(!to.exists());
}
