//! Resources of REST APIs: what moves them, and what can't be.

use serde_json::{Value, json};

use crate::support::rest::{ABSENT, BAD, CONFLICT, Rest};

fn moved(rest: &Rest, id: &str, path: &str, value: &str) -> Value {
    rest.patch(&format!("/resources/{id}"), &json!([{"op": "replace", "path": path, "value": value}]))
}

#[test]
fn a_resource_moves_with_all_below() {
    let rest = Rest::start();
    let pets = rest.resource(&rest.root, "pets");
    let by_id = rest.resource(&pets, "{id}");
    let toys = rest.resource(&by_id, "toys");
    let shop = rest.resource(&rest.root, "shop");
    let path = |id: &str| rest.get(&format!("/resources/{id}"))["path"].clone();

    let renamed = moved(&rest, &pets, "/pathPart", "animals");
    assert_eq!(
        renamed,
        json!({"id": pets, "parentId": rest.root, "path": "/animals", "pathPart": "animals"})
    );
    assert_eq!((path(&by_id), path(&toys)), (json!("/animals/{id}"), json!("/animals/{id}/toys")));
    assert_eq!(moved(&rest, &pets, "/parentId", &shop)["path"], "/shop/animals");
    assert_eq!(path(&toys), "/shop/animals/{id}/toys");
    let both = json!([
        {"op": "replace", "path": "/pathPart", "value": "{toy}"},
        {"op": "replace", "path": "/parentId", "value": rest.root},
    ]);
    assert_eq!(rest.patch(&format!("/resources/{toys}"), &both)["path"], "/{toy}");
    assert_eq!(path(&by_id), "/shop/animals/{id}");

    // What was taken away can be there again.
    rest.resource(&by_id, "toys");
    rest.call(202, "DELETE", &format!("/resources/{pets}"), &Value::Null);
    let left = rest.get("/resources");
    let mut paths: Vec<&str> =
        left["item"].as_array().expect("items").iter().filter_map(|item| item["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/", "/shop", "/{toy}"]);
}

#[test]
fn what_cannot_be_moved_is_refused_in_the_words_of_aws() {
    let rest = Rest::start();
    let pets = rest.resource(&rest.root, "pets");
    let by_id = rest.resource(&pets, "{id}");
    rest.resource(&by_id, "toys");
    let other = rest.resource(&rest.root, "{other}");
    let inner = rest.resource(&other, "pets");
    let deep = rest.resource(&inner, "{id}");
    let at = |id: &str| format!("/resources/{id}");
    let set = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
    let one_of =
        "Invalid patch path  '/invalid' specified for op 'replace'. Must be one of: [/parentId, /pathPart]";
    let choose = "Invalid patch path  '/pathPart' specified for op 'add'. Please choose supported operations";
    for (status, error, text, id, operation) in [
        (400, BAD, one_of, &pets, set("/invalid", "x")),
        (400, BAD, choose, &pets, json!({"op": "add", "path": "/pathPart", "value": "x"})),
        (400, BAD, "Root resource cannot update its pathPart.", &rest.root, set("/pathPart", "x")),
        (400, BAD, "Root resource cannot update its parentId.", &rest.root, set("/parentId", &pets)),
        (404, ABSENT, "Invalid Resource identifier specified", &pets, set("/parentId", "none")),
        (400, BAD, "Resources cannot be cyclical.", &pets, set("/parentId", &by_id)),
        (400, BAD, "Resources cannot be cyclical.", &pets, set("/parentId", &pets)),
        (409, CONFLICT, "already has this name: pets", &inner, set("/parentId", &rest.root)),
        (400, BAD, "path part", &pets, set("/pathPart", "a/b")),
        (400, BAD, "A sibling ({other}) of this resource", &pets, set("/pathPart", "{x}")),
        (400, BAD, "greedy path variable: {all+}", &by_id, set("/pathPart", "{all+}")),
        (400, BAD, "two variables of the name id", &other, set("/pathPart", "{id}")),
        (400, BAD, "already has a variable of the name", &deep, set("/pathPart", "{other}")),
    ] {
        rest.unpatched(status, error, text, &at(id), &operation);
    }
    let greedy = rest.resource(&pets, "x");
    rest.patch(&at(&greedy), &json!([set("/pathPart", "y")]));
    rest.unpatched(404, ABSENT, "Invalid Resource identifier", &at("none"), &set("/pathPart", "x"));
    assert_eq!(rest.get(&at(&by_id))["path"], "/pets/{id}");
}
