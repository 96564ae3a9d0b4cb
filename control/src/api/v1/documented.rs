//! The places of a REST API that can be documented.

use super::super::error::ApiError;
use crate::change::View;
use crate::model::{DocumentationLocation, METHOD_REQUEST, Method, Resource, RestAuthorizer, RestModel};

const METHOD_RESPONSE_HEADER: &str = "method.response.header.";

/// Every place of the API as it is.
pub(super) fn locations(view: &View<'_>, api_id: &str) -> Result<Vec<DocumentationLocation>, ApiError> {
    let named = |kind: &str, name: String| DocumentationLocation {
        name: Some(name),
        ..DocumentationLocation::of_kind(kind)
    };
    let mut all = vec![DocumentationLocation::of_kind("API")];
    let authorizers: Vec<RestAuthorizer> = view.tx.parts(api_id)?;
    all.extend(authorizers.into_iter().map(|authorizer| named("AUTHORIZER", authorizer.name)));
    let models: Vec<RestModel> = view.tx.parts(api_id)?;
    all.extend(models.into_iter().map(|model| named("MODEL", model.name)));
    for resource in view.tx.parts::<Resource>(api_id)? {
        let path = Some(resource.path.clone());
        all.push(DocumentationLocation { path, ..DocumentationLocation::of_kind("RESOURCE") });
        for (name, method) in &resource.methods {
            add_method(&mut all, &resource.path, name, method);
        }
    }
    Ok(all)
}

fn add_method(all: &mut Vec<DocumentationLocation>, path: &str, name: &str, method: &Method) {
    let within = |kind: &str, part: Option<&str>, status: Option<&str>| DocumentationLocation {
        kind: kind.to_owned(),
        path: Some(path.to_owned()),
        method: Some(name.to_owned()),
        status_code: status.map(str::to_owned),
        name: part.map(str::to_owned),
    };
    all.push(within("METHOD", None, None));
    for parameter in method.request_parameters.keys() {
        let (kind, part) = match parameter.strip_prefix(METHOD_REQUEST).and_then(|rest| rest.split_once('.'))
        {
            Some(("path", part)) => ("PATH_PARAMETER", part),
            Some(("querystring", part)) => ("QUERY_PARAMETER", part),
            Some(("header", part)) => ("REQUEST_HEADER", part),
            // Those of several values are documented under their single names.
            _ => continue,
        };
        all.push(within(kind, Some(part), None));
    }
    if !method.request_models.is_empty() {
        all.push(within("REQUEST_BODY", None, None));
    }
    for (status, response) in &method.responses {
        all.push(within("RESPONSE", None, Some(status)));
        let headers = response.parameters.keys().filter_map(|name| name.strip_prefix(METHOD_RESPONSE_HEADER));
        all.extend(headers.map(|header| within("RESPONSE_HEADER", Some(header), Some(status))));
        if !response.models.is_empty() {
            all.push(within("RESPONSE_BODY", None, Some(status)));
        }
    }
}
