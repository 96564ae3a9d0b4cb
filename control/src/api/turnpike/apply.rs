//! Makes the account have what a document says: APIs of OpenAPI documents with their stages, domain names, usage plans and
//! API keys; all of it or nothing. What the document doesn't name stays as it is.
//!
//! Every step is an operation of the management API, with its rules and errors, and a user has to be allowed each. A plan is the same thing, undone; with
//! the changes of a plan in `plan`, nothing else is done than those.

mod accounts;
mod apis;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::access::{Caller, asked_of_user, authorize, overwrites};
use super::super::call::Call;
use super::super::dispatch::{look_within, run_within};
use super::super::error::ApiError;
use super::super::exports::all_items;
use super::super::imports;
use super::super::members::Members;
use super::super::operations::{Match, Operations, Service};
use super::super::prepared::Prepared;
use crate::change::Change;
use crate::model::RestApi;
use crate::openapi::Document;
use crate::settings::Settings;

/// The member that is an API's OpenAPI document.
const DOCUMENT: &str = "document";
/// Of names and the like; what they are of has limits of its own.
const TEXT_CHARS_MAX: usize = 2_048;

/// The OpenAPI documents, in the order of their APIs: read before the change begins, which others wait for.
struct Documents(Vec<Arc<Document>>);

pub(in super::super) fn apply(settings: &Settings, call: &Call) -> Result<Prepared, ApiError> {
    let apis = call.members()?.objects("apis")?.unwrap_or_default();
    let read = |mut api: Members| {
        let document = api.required(DOCUMENT, settings.body_bytes_max)?;
        imports::read(settings, document.as_bytes())
    };
    let documents = apis.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Prepared::of(Documents(documents), put))
}

fn put(change: &mut Change<'_>, call: &Call, Documents(read): &Documents) -> Result<Value, ApiError> {
    let mut members = call.members()?;
    let user = call.user.as_ref().map(|user| (Arc::clone(user), Operations::load()));
    let mut apply = Apply { change, user, apis: BTreeMap::new(), changes: Vec::new() };
    for (api, document) in members.objects("apis")?.unwrap_or_default().into_iter().zip(read) {
        apply.api(api, document)?;
    }
    for domain in members.objects("domains")?.unwrap_or_default() {
        apply.domain(domain)?;
    }
    for plan in members.objects("plans")?.unwrap_or_default() {
        apply.plan(plan)?;
    }
    for key in members.objects("keys")?.unwrap_or_default() {
        apply.key(key)?;
    }
    let planned = members.value("plan");
    members.finish()?;
    let changes = Value::Array(apply.changes);
    match planned {
        Some(planned) if planned != changes => Err(ApiError::conflict(
            "Something else would change now than what was planned, since somebody has changed the server in between: \
             nothing was applied. Plan again",
        )),
        _ => Ok(json!({"changes": changes})),
    }
}

/// What has been done so far.
struct Apply<'a, 'c> {
    change: &'a mut Change<'c>,
    /// Who has to be allowed what is done, and all that can be done.
    user: Option<(Arc<Caller>, Operations)>,
    /// The ids of the document's APIs by name.
    apis: BTreeMap<String, String>,
    changes: Vec<Value>,
}

impl Apply<'_, '_> {
    /// Notes something that is made or changed; `detail` has a line for each part of it.
    fn note(&mut self, kind: &str, name: &str, action: &str, detail: Vec<String>) {
        self.changes.push(json!({"kind": kind, "name": name, "action": action, "detail": detail}));
    }

    fn run(
        &mut self,
        service: Service,
        operation: &str,
        parameters: &[&str],
        body: &Value,
    ) -> Result<Value, ApiError> {
        self.run_call(service, operation, &Call::inner(parameters, body))
    }

    fn run_call(&mut self, service: Service, operation: &str, call: &Call) -> Result<Value, ApiError> {
        self.permit(service, operation, call)?;
        run_within(self.change, service, operation, call)
    }

    fn look(&self, service: Service, operation: &str, parameters: &[&str]) -> Result<Value, ApiError> {
        let call = Call::inner(parameters, &Value::Null);
        self.permit(service, operation, &call)?;
        look_within(self.change, service, operation, &call)
    }

    /// Refuses what the user couldn't do by a call of its own.
    fn permit(&self, service: Service, operation: &str, call: &Call) -> Result<(), ApiError> {
        let Some((user, operations)) = &self.user else { return Ok(()) };
        let named = operations.named(service, operation);
        let operation = named.ok_or_else(|| ApiError::unsupported_operation(service.name(), operation))?;
        let found = Match { operation, parameters: call.parameters.clone() };
        let policy = || -> Result<bool, ApiError> {
            let api: Option<RestApi> = self.change.tx.api(call.parameter(0))?;
            Ok(api.is_some_and(|api| api.policy.is_some()))
        };
        let of_policy = overwrites(operation, &call.query) && policy()?;
        let (account, members) = (&self.change.settings.account, call.content.read());
        let (asks, tags) =
            asked_of_user(account, &found, (members, &call.query), call.document.as_deref(), of_policy);
        authorize(account, user, &asks, &tags, self.change.now_s)
    }

    /// What is there, or nothing.
    fn find(
        &self,
        service: Service,
        operation: &str,
        parameters: &[&str],
    ) -> Result<Option<Value>, ApiError> {
        match self.look(service, operation, parameters) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn items(&self, service: Service, operation: &str, parameters: &[&str]) -> Result<Vec<Value>, ApiError> {
        self.items_with(service, operation, parameters, "")
    }

    fn items_with(
        &self,
        service: Service,
        operation: &str,
        parameters: &[&str],
        query: &str,
    ) -> Result<Vec<Value>, ApiError> {
        self.permit(service, operation, &Call::inner(parameters, &Value::Null))?;
        all_items(self.change, service, operation, parameters, query)
    }

    /// `API:STAGE` by the API's name, as documents write it; `key` has its id, which a plan would make up.
    fn shown_stage(&self, key: &str) -> Result<String, ApiError> {
        let (id, stage) = key.split_once(':').unwrap_or((key, ""));
        let rest = self.find(Service::V1, "GetRestApi", &[id])?;
        let found = match rest {
            Some(rest) => Some(rest),
            None => self.find(Service::V2, "GetApi", &[id])?,
        };
        Ok(found.map_or_else(|| key.to_owned(), |api| format!("{}:{stage}", text(&api, "name"))))
    }

    /// The only one of a list that has this name, if any has.
    fn named(&self, items: Vec<Value>, name: &str, noun: &str) -> Result<Option<Value>, ApiError> {
        let mut named: Vec<Value> = items.into_iter().filter(|item| item["name"] == name).collect();
        match named.len() {
            0 | 1 => Ok(named.pop()),
            count => {
                Err(ApiError::conflict(format!("{count} {noun} have the name '{name}': rename all but one")))
            }
        }
    }

    /// The id of an API of the document, or of one that is there, by name or id.
    fn api_id(&self, name: &str) -> Result<String, ApiError> {
        if let Some(id) = self.apis.get(name) {
            return Ok(id.clone());
        }
        for (service, list, id) in [(Service::V1, "GetRestApis", "id"), (Service::V2, "GetApis", "apiId")] {
            let items = self.items(service, list, &[])?;
            let by_id = items.iter().find(|item| item[id] == name).cloned();
            if let Some(found) =
                by_id.map_or_else(|| self.named(items, name, "APIs"), |found| Ok(Some(found)))?
            {
                return Ok(text(&found, id));
            }
        }
        Err(ApiError::bad_request(format!("There is no API '{name}', here or in the document")))
    }
}

/// A text member, or nothing.
fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// Where an error comes from, before what it says.
fn within<T>(what: &str, name: &str, outcome: Result<T, ApiError>) -> Result<T, ApiError> {
    outcome.map_err(|error| ApiError { message: format!("{what} {name}: {}", error.message), ..error })
}

/// The name that an object has to have.
fn name_of(members: &mut Members) -> Result<String, ApiError> {
    members.required("name", TEXT_CHARS_MAX)
}
