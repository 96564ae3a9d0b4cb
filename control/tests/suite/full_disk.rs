//! A store whose disk takes no more: changes are refused for as long as that lasts, and reading goes on.

use rustix::process::{Resource, Rlimit, prlimit};

use crate::support::postgres;
use crate::support::process::Control;
use crate::support::stores::url_of;

const UNAVAILABLE: &str = "ServiceUnavailableException";

/// With `bytes`, no file of control's grows beyond so much.
fn bound_files(control: &Control, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(control.pid()), Resource::Fsize, limit).expect("it runs");
}

/// PostgreSQL's files aren't control's: what it says of a full disk, a trigger says.
const FULL: &str = "CREATE FUNCTION turnpike.no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER no_room BEFORE INSERT ON turnpike.api FOR EACH ROW EXECUTE FUNCTION turnpike.no_room();
    CREATE TRIGGER no_room BEFORE INSERT ON turnpike.entity FOR EACH ROW EXECUTE FUNCTION turnpike.no_room()";
const ROOM: &str = "DROP FUNCTION turnpike.no_room() CASCADE";

#[test]
fn a_disk_that_takes_no_more_is_told_while_reading_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let mut control = Control::start(&["serve"], &data);
    let client = control.client();
    let body = r#"{"name":"a","protocolType":"HTTP"}"#;
    let api = client.expect(201, "POST", "/v2/apis", body).text("apiId");
    let postgres = url_of(&data);
    match &postgres {
        None => bound_files(&control, Some(0)),
        Some(url) => drop(postgres::shared().sql(url, FULL)),
    }
    let reason = if postgres.is_some() { "make room" } else { "look at its room" };
    for _ in 0..2 {
        client.refused(503, UNAVAILABLE, reason, "POST", "/v2/apis", body);
        let line = control.await_error("management: POST /v2/apis failed: ");
        assert!(line.contains(reason) && line.contains("Nothing was changed"), "{line}");
        let (status, answer) = client.query("iam", "Action=CreateUser&UserName=ann");
        assert!(status == 503 && answer.contains("<Code>ServiceUnavailable<"), "{answer}");
        let read = client.expect(200, "GET", "/v2/apis", "").body;
        assert_eq!((read["items"][0]["apiId"].as_str(), read["items"].get(1)), (Some(&*api), None));
    }
    match &postgres {
        None => bound_files(&control, None),
        Some(url) => drop(postgres::shared().sql(url, ROOM)),
    }
    client.expect(201, "POST", "/v2/apis", body);
}
