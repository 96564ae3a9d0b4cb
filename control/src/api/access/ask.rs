//! What a call asks to do, as policies name it: an action and a resource.
//!
//! Source: 'Actions, resources, and condition keys' of API Gateway Management, Management V2, Certificate Manager and
//! IAM in the service authorization reference.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::operations::{Match, Service};
use crate::settings::Account;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::api) struct Ask {
    /// Such as `apigateway:GET`.
    pub(in crate::api) action: String,
    /// An ARN, or `*`.
    pub(in crate::api) resource: String,
}

/// In a variable of a path: what would make it look like more than one, or like an escape.
const AMBIGUOUS: &AsciiSet = &CONTROLS.add(b'/').add(b'%');
/// An ARN within a path is encoded whole, as AWS's clients do it.
const WITHIN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Ask {
    pub(in crate::api) fn new(action: String, resource: String) -> Self {
        Self { action, resource }
    }

    /// What an operation of the services of APIs asks, or one of Turnpike's own. The path is made anew from its
    /// decoded variables, so that an escape more or less is no other resource. `tagged` says whether it gives tags to
    /// what it makes, for which AWS asks a permission of its own.
    pub(in crate::api) fn of_operation(account: &Account, found: &Match<'_>, tagged: bool) -> Vec<Self> {
        let region = &account.region;
        let operation = found.operation;
        let path = path(found);
        if operation.service == Service::Turnpike {
            let path = path.strip_prefix("/turnpike/v1").unwrap_or(&path);
            return vec![Self::turnpike(account, operation.name, path)];
        }
        let short = path.strip_prefix("/v2").unwrap_or(&path);
        if let Some(action) = named_action(operation.name) {
            let resource = format!("arn:aws:apigateway:{region}:{}:{short}", account.id);
            return vec![Self::new(format!("apigateway:{action}"), resource)];
        }
        let resource = format!("arn:aws:apigateway:{region}::{short}");
        let mut asks = vec![Self::new(format!("apigateway:{}", operation.method), resource)];
        let makes = operation.method == "POST" || operation.name == "ImportApi";
        if tagged && makes && !short.starts_with("/tags/") {
            let method = if operation.service == Service::V1 { "PUT" } else { "POST" };
            let made = format!("arn:aws:apigateway:{region}::{path}/");
            let made = utf8_percent_encode(&made, WITHIN_PATH);
            let resource = format!("arn:aws:apigateway:{region}::/tags/{made}*");
            asks.push(Self::new(format!("apigateway:{method}"), resource));
        }
        asks
    }

    /// An operation of Turnpike's own.
    pub(in crate::api) fn turnpike(account: &Account, operation: &str, path: &str) -> Self {
        let resource = format!("arn:aws:turnpike:{}:{}:{path}", account.region, account.id);
        Self::new(format!("turnpike:{operation}"), resource)
    }
}

/// The operations whose action has a name of its own instead of the method's.
fn named_action(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "CreateRoutingRule" => "CreateRoutingRule",
        "DeleteRoutingRule" => "DeleteRoutingRule",
        "GetRoutingRule" => "GetRoutingRule",
        "ListRoutingRules" => "ListRoutingRules",
        "PutRoutingRule" => "UpdateRoutingRule",
        _ => return None,
    })
}

/// A path's variable, as one segment.
pub(super) fn within_path(variable: &str) -> String {
    utf8_percent_encode(variable, AMBIGUOUS).to_string()
}

/// Domain names are the same in any case: policies see them in lower case, as AWS has them.
fn path(found: &Match<'_>) -> String {
    let is_tags = found.operation.name.ends_with("TagResource") || found.operation.name == "GetTags";
    let path = found.path(|variable| match is_tags {
        true => utf8_percent_encode(variable, WITHIN_PATH).to_string(),
        false => within_path(variable),
    });
    let name = ["/domainnames/", "/v2/domainnames/"].iter().find(|start| path.starts_with(**start));
    let Some(start) = name.map(|start| start.len()) else { return path };
    let end = path[start..].find('/').map_or(path.len(), |length| start + length);
    format!("{}{}{}", &path[..start], path[start..end].to_ascii_lowercase(), &path[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::operations::Operations;

    fn account() -> Account {
        Account {
            id: "000000000000".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint_suffix: "localhost".to_owned(),
            endpoint_port: 8080,
            endpoint_tls_port: Some(8443),
            throttle: None,
        }
    }

    fn asks(method: &str, path: &str, tagged: bool) -> Vec<String> {
        let operations = Operations::load();
        let found = operations.find(method, path, "").expect(path);
        let asks = Ask::of_operation(&account(), &found, tagged);
        asks.into_iter().map(|ask| format!("{} {}", ask.action, ask.resource)).collect()
    }

    #[test]
    fn operations_ask_for_methods_on_paths() {
        let table = [
            ("GET", "/restapis", "apigateway:GET arn:aws:apigateway:eu-west-1::/restapis"),
            ("PATCH", "/restapis/a1", "apigateway:PATCH arn:aws:apigateway:eu-west-1::/restapis/a1"),
            // Another way to write the same.
            ("PATCH", "/restapis/%611", "apigateway:PATCH arn:aws:apigateway:eu-west-1::/restapis/a1"),
            (
                "GET",
                "/v2/apis/a/stages/%24default",
                "apigateway:GET arn:aws:apigateway:eu-west-1::/apis/a/stages/$default",
            ),
            (
                "DELETE",
                "/v2/apis/a%2Fstages%2fb",
                "apigateway:DELETE arn:aws:apigateway:eu-west-1::/apis/a%2Fstages%2Fb",
            ),
            (
                "PUT",
                "/tags/arn:aws:apigateway:eu-west-1::%2frestapis%2Fa1",
                "apigateway:PUT arn:aws:apigateway:eu-west-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A%2Frestapis%2Fa1",
            ),
            (
                "PUT",
                "/v2/domainnames/api.example.com/routingrules/r1",
                "apigateway:UpdateRoutingRule arn:aws:apigateway:eu-west-1:000000000000:/domainnames/api.example.com/routingrules/r1",
            ),
            (
                "GET",
                "/v2/domainnames/API.Example.com/apimappings/M",
                "apigateway:GET arn:aws:apigateway:eu-west-1::/domainnames/api.example.com/apimappings/M",
            ),
            (
                "PATCH",
                "/domainnames/API.example.com",
                "apigateway:PATCH arn:aws:apigateway:eu-west-1::/domainnames/api.example.com",
            ),
            (
                "GET",
                "/turnpike/v1/vpclinks/l1/targets",
                "turnpike:GetVpcLinkTargets arn:aws:turnpike:eu-west-1:000000000000:/vpclinks/l1/targets",
            ),
        ];
        for (method, path, expected) in table {
            assert_eq!(asks(method, path, true), [expected], "{method} {path}");
        }
    }

    #[test]
    fn tags_of_what_is_made_are_asked_for_too() {
        let tags = "arn:aws:apigateway:eu-west-1::/tags/arn%3Aaws%3Aapigateway%3Aeu-west-1%3A%3A";
        let made = |method, path| asks(method, path, true).pop().expect("one at least");
        assert_eq!(made("POST", "/restapis"), format!("apigateway:PUT {tags}%2Frestapis%2F*"));
        assert_eq!(
            made("POST", "/restapis/a/stages"),
            format!("apigateway:PUT {tags}%2Frestapis%2Fa%2Fstages%2F*")
        );
        assert_eq!(made("POST", "/v2/apis"), format!("apigateway:POST {tags}%2Fv2%2Fapis%2F*"));
        assert_eq!(made("PUT", "/v2/apis"), made("POST", "/v2/apis"));
        assert_eq!(asks("POST", "/v2/apis", false).len(), 1);
    }
}
