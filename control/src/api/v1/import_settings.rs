//! What an import changes of entities that there are, as the `patchOperations` of their updates.

use serde_json::{Map, Value, json};

/// From the API that there is to what the document says of it; with `overwrite`, what it doesn't say becomes the default.
/// The kind of endpoint stays, as in AWS.
pub(super) fn patches(before: &Value, after: &Value, overwrite: bool) -> Value {
    let mut patches = Vec::new();
    for (name, default) in [
        ("name", None),
        ("description", Some(Value::Null)),
        ("apiKeySource", Some("HEADER".into())),
        ("disableExecuteApiEndpoint", Some(false.into())),
        ("endpointAccessMode", None),
        ("minimumCompressionSize", Some(Value::Null)),
        ("policy", Some(Value::Null)),
        ("securityPolicy", None),
    ] {
        let wanted = after.get(name).or(default.as_ref().filter(|_| overwrite));
        let known = before.get(name).or(default.as_ref()).unwrap_or(&Value::Null);
        let Some(wanted) = wanted.filter(|wanted| *wanted != known) else { continue };
        patches.push(replace(name, wanted));
    }
    patches.extend(media_types(before, after, overwrite));
    json!({"patchOperations": patches})
}

/// A patch's value is always text; without one, the member goes.
fn replace(name: &str, value: &Value) -> Value {
    let path = format!("/{name}");
    match value {
        Value::Null => json!({"op": "replace", "path": path, "value": ""}),
        Value::String(text) => json!({"op": "replace", "path": path, "value": text}),
        other => json!({"op": "replace", "path": path, "value": other.to_string()}),
    }
}

fn media_types(before: &Value, after: &Value, overwrite: bool) -> Vec<Value> {
    let listed = |value: &Value| -> Vec<String> {
        let types = value["binaryMediaTypes"].as_array().into_iter().flatten();
        types.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (before, after) = (listed(before), listed(after));
    let patch = |op: &str, kind: &String| {
        let escaped = kind.replace('~', "~0").replace('/', "~1");
        json!({"op": op, "path": format!("/binaryMediaTypes/{escaped}")})
    };
    let gone = before.iter().filter(|kind| overwrite && !after.contains(kind));
    let new = after.iter().filter(|kind| !before.contains(kind));
    gone.map(|kind| patch("remove", kind)).chain(new.map(|kind| patch("add", kind))).collect()
}

/// From an authorizer or a validator that there is to the one of the same name in the document.
pub(super) fn patches_of(before: &Value, after: &Value) -> Value {
    let nothing = Map::new();
    let (old, new) = (before.as_object().unwrap_or(&nothing), after.as_object().unwrap_or(&nothing));
    let mut patches = Vec::new();
    for (name, wanted) in new.iter().filter(|(name, wanted)| old.get(*name) != Some(*wanted)) {
        match wanted {
            Value::Array(items) => {
                let known = old.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
                let listed =
                    |op: &str, item: &Value| json!({"op": op, "path": format!("/{name}"), "value": item});
                let gone = known.iter().filter(|item| !items.contains(item));
                patches.extend(items.iter().filter(|item| !known.contains(item)).map(|i| listed("add", i)));
                patches.extend(gone.map(|item| listed("remove", item)));
            }
            wanted => patches.push(replace(name, wanted)),
        }
    }
    let unsaid = DEFAULTS.into_iter().filter(|(name, _)| old.contains_key(*name) && !new.contains_key(*name));
    let default = |(name, default)| match (name, new.get("type").and_then(Value::as_str)) {
        ("authType", Some("COGNITO_USER_POOLS")) => (name, "cognito_user_pools"),
        ("authType", Some("JWT")) => (name, "jwt"),
        _ => (name, default),
    };
    let different = unsaid.map(default).filter(|(name, default)| old[*name] != *default);
    patches.extend(different.map(|(name, default)| replace(name, &default.into())));
    json!({"patchOperations": patches})
}

/// What is the case when a document says nothing of it, as patches have it.
const DEFAULTS: [(&str, &str); 7] = [
    ("authType", "custom"),
    ("authorizerCredentials", ""),
    ("authorizerResultTtlInSeconds", "300"),
    ("identitySource", ""),
    ("identityValidationExpression", ""),
    ("validateRequestBody", "false"),
    ("validateRequestParameters", "false"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_patched_where_it_differs() {
        let before = json!({
            "name": "a", "description": "old", "binaryMediaTypes": ["image/png", "a/b"], "apiKeySource": "AUTHORIZER",
            "disableExecuteApiEndpoint": true, "policy": "{}",
        });
        let after = json!({"name": "b", "binaryMediaTypes": ["a/b", "*/*"], "minimumCompressionSize": 5});
        let merged = json!({"patchOperations": [
            {"op": "replace", "path": "/name", "value": "b"},
            {"op": "replace", "path": "/minimumCompressionSize", "value": "5"},
            {"op": "add", "path": "/binaryMediaTypes/*~1*"},
        ]});
        assert_eq!(patches(&before, &after, false), merged);
        let overwritten = json!({"patchOperations": [
            {"op": "replace", "path": "/name", "value": "b"},
            {"op": "replace", "path": "/description", "value": ""},
            {"op": "replace", "path": "/apiKeySource", "value": "HEADER"},
            {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "false"},
            {"op": "replace", "path": "/minimumCompressionSize", "value": "5"},
            {"op": "replace", "path": "/policy", "value": ""},
            {"op": "remove", "path": "/binaryMediaTypes/image~1png"},
            {"op": "add", "path": "/binaryMediaTypes/*~1*"},
        ]});
        assert_eq!(patches(&before, &after, true), overwritten);
        assert_eq!(patches(&after, &after, true)["patchOperations"], json!([]));
    }

    #[test]
    fn entities_are_patched_where_they_differ() {
        let before = json!({"name": "a", "type": "TOKEN", "providerARNs": ["x", "y"], "identityValidationExpression": "z"});
        let after = json!({"name": "a", "type": "REQUEST", "providerARNs": ["y", "w"]});
        let expected = json!({"patchOperations": [
            {"op": "add", "path": "/providerARNs", "value": "w"},
            {"op": "remove", "path": "/providerARNs", "value": "x"},
            {"op": "replace", "path": "/type", "value": "REQUEST"},
            {"op": "replace", "path": "/identityValidationExpression", "value": ""},
        ]});
        assert_eq!(patches_of(&before, &after), expected);
    }
}
