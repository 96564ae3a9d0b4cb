//! `GetSdk`, `GetSdkType`, `GetSdkTypes`: a client of a stage as source text, in a zip file. JavaScript is the one language
//! so far; the others that AWS has are refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write as _};

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::call::{Call, page_answer};
use super::super::error::ApiError;
use super::super::reply::Download;
use super::parts::page_of;
use super::{PAGING, api, part};
use crate::change::View;
use crate::model::{
    METHOD_REQUEST, METHODS, Method, Resource, RestApi, RestContent, RestStage, path_variables,
};

const JAVASCRIPT: &str = "javascript";
/// Those that AWS has besides.
const OTHERS: [&str; 5] = ["android", "java", "objectivec", "ruby", "swift"];
/// The files' directory in the zip file, as AWS calls it.
const DIRECTORY: &str = "apiGateway-js-sdk";
const CLIENT: &str = include_str!("sdk/apigClient.js");
const README: &str = include_str!("sdk/README.md");

pub(in super::super) fn types(_: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    let paging = call.paging(&PAGING)?;
    let page = page_of(vec![JAVASCRIPT], &paging, |id| id);
    Ok(page_answer(&page, &PAGING, |_| javascript()))
}

pub(in super::super) fn type_named(_: &View<'_>, call: &Call) -> Result<Value, ApiError> {
    check_type(call.parameter(0))?;
    Ok(javascript())
}

fn javascript() -> Value {
    json!({
        "configurationProperties": [],
        "description": "A client for browsers and for Node.js 18 and later, in plain JavaScript",
        "friendlyName": "JavaScript",
        "id": JAVASCRIPT,
    })
}

fn check_type(id: &str) -> Result<(), ApiError> {
    match id {
        JAVASCRIPT => Ok(()),
        id if OTHERS.contains(&id) => Err(ApiError::unsupported(format!("The SDK type '{id}'"))),
        id => Err(ApiError::not_found(format!("Invalid SDK type identifier specified: {id}"))),
    }
}

pub(in super::super) fn get(view: &View<'_>, call: &Call) -> Result<Download, ApiError> {
    let api = api(view, call.parameter(0))?;
    let stage: RestStage = part(view, &api.id, call.parameter(1), "stage")?;
    check_type(call.parameter(2))?;
    if !call.query.is_empty() {
        return Err(ApiError::bad_request(format!("The SDK type {JAVASCRIPT} takes no parameters")));
    }
    let content: RestContent = part(view, &api.id, &stage.deployment_id, "Deployment")?;
    let client = client(view, &api, &stage, &content);
    let bytes = zipped(&[
        ("apigClient.js", client),
        ("package.json", package(&api, &stage)),
        ("README.md", README.replace("API_NAME", &api.name.replace(['\r', '\n'], " "))),
    ]);
    Ok(Download {
        content_type: "application/octet-stream",
        file_name: Some(format!("javascript_{}.zip", content.deployment_id)),
        bytes: bytes.map_err(|error| ApiError::internal(&error))?,
    })
}

/// The fixed text with the stage's address and operations in it.
fn client(view: &View<'_>, api: &RestApi, stage: &RestStage, content: &RestContent) -> String {
    let account = &view.settings.account;
    let (region, suffix, port) = (&account.region, &account.endpoint_suffix, view.endpoint_port);
    let facts = json!({
        "api": api.name,
        "endpoint": format!("http://{}.execute-api.{region}.{suffix}:{port}/{}", api.id, stage.name),
        "region": region,
        "operations": operations(content),
    });
    CLIENT.replace("__FACTS__", &format!("{facts:#}"))
}

fn package(api: &RestApi, stage: &RestStage) -> String {
    let package = json!({
        "name": format!("{}-{}", api.id, stage.name.to_ascii_lowercase()),
        "version": "1.0.0",
        "private": true,
        "main": "apigClient.js",
        "type": "commonjs",
        "engines": {"node": ">=18"},
    });
    format!("{package:#}\n")
}

/// What the client can call, by the name of its function.
fn operations(content: &RestContent) -> BTreeMap<String, Value> {
    let mut resources: Vec<&Resource> = content.resources.iter().collect();
    resources.sort_by(|a, b| a.path.cmp(&b.path));
    let mut operations = BTreeMap::new();
    for resource in resources {
        for (verb, method) in verbs(resource) {
            let name = function_name(&resource.path, verb);
            // Two paths can have one name: the later ones are numbered.
            let numbered = (2..).map(|n| format!("{name}{n}"));
            let free =
                std::iter::once(name.clone()).chain(numbered).find(|name| !operations.contains_key(name));
            operations.insert(free.unwrap_or(name), operation(resource, verb, method));
        }
    }
    operations
}

/// The methods of the resource; `ANY` stands for those that it hasn't.
fn verbs(resource: &Resource) -> Vec<(&str, &Method)> {
    let own = resource.methods.iter().filter(|(name, _)| *name != "ANY");
    let mut verbs: Vec<(&str, &Method)> = own.map(|(name, method)| (name.as_str(), method)).collect();
    if let Some(any) = resource.methods.get("ANY") {
        let rest = METHODS.iter().filter(|name| **name != "ANY" && !resource.methods.contains_key(**name));
        verbs.extend(rest.map(|name| (*name, any)));
    }
    verbs
}

/// `/pets/{id}` and `GET`: `petsIdGet`; the root is `root`.
fn function_name(path: &str, verb: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let mut name = String::new();
    for word in if words.is_empty() { vec!["root"] } else { words } {
        match name.is_empty() {
            true => push_word(&mut name, word, char::to_ascii_lowercase),
            false => push_word(&mut name, word, char::to_ascii_uppercase),
        }
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    push_word(&mut name, &verb.to_ascii_lowercase(), char::to_ascii_uppercase);
    name
}

fn push_word(name: &mut String, word: &str, first: fn(&char) -> char) {
    let mut letters = word.chars();
    name.extend(letters.next().as_ref().map(first));
    name.extend(letters);
}

fn operation(resource: &Resource, verb: &str, method: &Method) -> Value {
    let declared = |location: &str| -> BTreeSet<&str> {
        let prefix = format!("{METHOD_REQUEST}{location}.");
        method.request_parameters.keys().filter_map(|name| name.strip_prefix(&prefix)).collect()
    };
    let query: BTreeSet<&str> =
        declared("querystring").union(&declared("multivaluequerystring")).copied().collect();
    let headers: BTreeSet<&str> = declared("header").union(&declared("multivalueheader")).copied().collect();
    json!({
        "method": verb,
        "path": resource.path,
        "pathParameters": path_variables(&resource.path),
        "queryParameters": query,
        "headers": headers,
    })
}

/// Stored as they are: source text of a few kilobytes.
fn zipped(files: &[(&str, String)]) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in files {
        zip.start_file(format!("{DIRECTORY}/{name}"), options)?;
        zip.write_all(text.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_as_aws_names_them() {
        for (path, verb, name) in [
            ("/", "GET", "rootGet"),
            ("/", "POST", "rootPost"),
            ("/{a}/{b}/{op}", "GET", "aBOpGet"),
            ("/pets/{id}", "DELETE", "petsIdDelete"),
            ("/Pet-store/v1.2", "GET", "petStoreV12Get"),
            ("/{proxy+}", "PUT", "proxyPut"),
            ("/2024/x", "GET", "_2024XGet"),
        ] {
            assert_eq!(function_name(path, verb), name, "{path}");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let resource = |path: &str, names: &[&str]| Resource {
            id: path.to_owned(),
            parent_id: None,
            path_part: None,
            path: path.to_owned(),
            methods: names.iter().map(|name| ((*name).to_owned(), Method::default())).collect(),
        };
        let resources =
            vec![resource("/a-b", &["GET"]), resource("/aB", &["GET"]), resource("/any", &["ANY", "GET"])];
        let content = RestContent { deployment_id: "d".to_owned(), resources, ..RestContent::default() };
        let operations = operations(&content);
        let names: Vec<&str> = operations.keys().map(String::as_str).collect();
        let any = ["anyDelete", "anyGet", "anyHead", "anyOptions", "anyPatch", "anyPost", "anyPut"];
        assert_eq!(names[..2], ["aBGet", "aBGet2"]);
        assert_eq!(names[2..], any);
    }
}
