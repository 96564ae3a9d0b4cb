//! The tags that a call gives, or takes away by their keys: what `aws:RequestTag` and `aws:TagKeys` look at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::call::query_values;
use crate::api::operations::{Operation, Service};
use crate::openapi::{Document, tags_of_http};

/// Without a value where the call only names the key.
pub(in crate::api) type RequestTags = BTreeMap<String, Option<String>>;

/// Of a JSON body: an object `tags`, or ACM's list `Tags`; of a query: the `tagKeys` to be removed. A body that can't
/// be read has none: the operation refuses it.
pub(in crate::api) fn of_json(body: &Value, query: &str) -> RequestTags {
    let mut tags = RequestTags::new();
    if let Some(object) = body["tags"].as_object() {
        tags.extend(object.iter().map(|(key, value)| (key.clone(), text(value))));
    }
    for tag in body["Tags"].as_array().into_iter().flatten() {
        if let Some(key) = tag["Key"].as_str() {
            tags.insert(key.to_owned(), text(&tag["Value"]));
        }
    }
    tags.extend(query_values(query, "tagKeys").into_iter().map(|key| (key, None)));
    tags
}

/// What the document gives to the API that an import makes of it.
pub(in crate::api) fn of_import(operation: &Operation, document: Option<&Document>) -> RequestTags {
    let is_import = (operation.service, operation.name) == (Service::V2, "ImportApi");
    let Some(document) = document.filter(|_| is_import) else { return RequestTags::new() };
    tags_of_http(document).into_iter().map(|(key, value)| (key, text(&value))).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_where_services_have_them() {
        let tags = |body: &str, query: &str| {
            let tags = of_json(&serde_json::from_str(body).unwrap_or_default(), query).into_iter();
            tags.map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("-"))).collect::<Vec<_>>()
        };
        assert_eq!(tags(r#"{"name":"x","tags":{"a":"1","b":""}}"#, ""), ["a=1", "b="]);
        assert_eq!(tags(r#"{"Tags":[{"Key":"a","Value":"1"},{"Key":"b"}]}"#, ""), ["a=1", "b=-"]);
        assert_eq!(tags("", "tagKeys=a&t%61gKeys=b%20c+d&x=1"), ["a=-", "b c d=-"]);
        assert!(tags("{", "").is_empty() && tags(r#"{"tags":"a"}"#, "").is_empty());
    }
}
