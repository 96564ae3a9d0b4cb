//! A REST API to do things to.

use serde_json::{Value, json};

use super::client::Answer;
use super::inside::{Inside, settings};

pub(crate) const BAD: &str = "BadRequestException";
pub(crate) const ABSENT: &str = "NotFoundException";
pub(crate) const CONFLICT: &str = "ConflictException";
pub(crate) const INVALID: &str = "ValidationException";

pub(crate) struct Rest {
    _dir: tempfile::TempDir,
    pub(crate) inside: Inside,
    pub(crate) id: String,
    /// Id of the root resource.
    pub(crate) root: String,
}

impl Rest {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let inside = Inside::start(settings(dir.path().join("data")));
        let made = inside.client.expect(201, "POST", "/restapis", r#"{"name":"pets"}"#);
        Self { _dir: dir, inside, id: made.text("id"), root: made.text("rootResourceId") }
    }

    /// Below the API.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/restapis/{}{rest}", self.id)
    }

    pub(crate) fn call(&self, status: u16, method: &str, rest: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.inside.client.expect(status, method, &self.path(rest), &body)
    }

    pub(crate) fn get(&self, rest: &str) -> Value {
        self.call(200, "GET", rest, &Value::Null).body
    }

    pub(crate) fn refused(
        &self,
        status: u16,
        error: &str,
        text: &str,
        method: &str,
        rest: &str,
        body: &Value,
    ) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.inside.client.refused(status, error, text, method, &self.path(rest), &body);
    }

    /// A patch that has to succeed.
    pub(crate) fn patch(&self, rest: &str, operations: &Value) -> Value {
        let answer = self.inside.client.call("PATCH", &self.path(rest), &patches(operations));
        assert!(matches!(answer.status, 200 | 201), "{rest} {operations}: {answer:?}");
        answer.body
    }

    /// One operation that has to be refused with this text in the message.
    pub(crate) fn unpatched(&self, status: u16, error: &str, text: &str, rest: &str, operation: &Value) {
        let body = patches(&json!([operation]));
        self.inside.client.refused(status, error, text, "PATCH", &self.path(rest), &body);
    }

    pub(crate) fn resource(&self, parent: &str, part: &str) -> String {
        self.call(201, "POST", &format!("/resources/{parent}"), &json!({"pathPart": part})).text("id")
    }

    /// A method of the root, with these members beside the authorization type NONE; where it stands below the API.
    pub(crate) fn method(&self, name: &str, members: Value) -> String {
        let path = format!("/resources/{}/methods/{name}", self.root);
        let mut body = json!({"authorizationType": "NONE"});
        for (member, value) in members.as_object().expect("an object") {
            body[member] = value.clone();
        }
        self.call(201, "PUT", &path, &body);
        path
    }

    /// Deploys to the stage `s`; the deployment's id.
    pub(crate) fn deploy(&self) -> String {
        self.call(201, "POST", "/deployments", &json!({"stageName": "s"})).text("id")
    }
}

fn patches(operations: &Value) -> String {
    json!({"patchOperations": operations}).to_string()
}
