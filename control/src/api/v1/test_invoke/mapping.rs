//! What a mapping expression of an integration's request stands for, of the client's request that is tested.

use std::collections::BTreeMap;

use super::super::super::error::ApiError;
use super::STAGE;

/// A client's request, simulated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Client {
    pub(super) method: String,
    /// Still percent-encoded, without `?`.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    /// What the path's variables stand for, still percent-encoded.
    pub(super) path_parameters: BTreeMap<String, String>,
    pub(super) stage_variables: BTreeMap<String, String>,
    /// `$context.x` as far as a test has it.
    pub(super) context: BTreeMap<String, String>,
}

impl Client {
    pub(super) fn new(
        api_id: &str,
        resource_id: &str,
        resource_path: &str,
        method: &str,
        request_id: &str,
    ) -> Self {
        let context = [
            ("apiId", api_id),
            ("httpMethod", method),
            ("identity.sourceIp", "test-invoke-source-ip"),
            ("requestId", request_id),
            ("resourceId", resource_id),
            ("resourcePath", resource_path),
            ("stage", STAGE),
        ];
        let context = context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { method: method.to_owned(), context, ..Self::default() }
    }

    /// The values that the source stands for; none where the client sent none.
    ///
    /// # Errors
    /// When it isn't an expression that a test can fill in.
    pub(super) fn values(&self, source: &str) -> Result<Vec<String>, ApiError> {
        if let Some(constant) = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Ok(vec![constant.to_owned()]);
        }
        if let Some(name) = source.strip_prefix("stageVariables.") {
            return Ok(self.stage_variables.get(name).cloned().into_iter().collect());
        }
        if let Some(name) = source.strip_prefix("context.") {
            let known = self.context.get(name).cloned();
            return known.map(|value| vec![value]).ok_or_else(|| unsupported(source));
        }
        let request = source.strip_prefix("method.request.").ok_or_else(|| unsupported(source))?;
        Ok(match request.split_once('.') {
            Some(("path", name)) => self.path_parameters.get(name).cloned().into_iter().collect(),
            Some(("querystring", name)) => self.query_values(name).pop().into_iter().collect(),
            Some(("multivaluequerystring", name)) => self.query_values(name),
            Some(("header", name)) => self.header_values(name).pop().into_iter().collect(),
            Some(("multivalueheader", name)) => self.header_values(name),
            None if request == "body" => vec![self.body.clone()],
            _ => return Err(unsupported(source)),
        })
    }

    /// Still percent-encoded.
    fn query_values(&self, name: &str) -> Vec<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(n, _)| *n == name).map(|(_, value)| value.to_owned()).collect()
    }

    fn header_values(&self, name: &str) -> Vec<String> {
        let fitting = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        fitting.map(|(_, value)| value.clone()).collect()
    }
}

fn unsupported(source: &str) -> ApiError {
    ApiError::unsupported(format!("The mapping expression '{source}' in TestInvokeMethod"))
}

/// What the variables of a resource's path are in this path; `None` when it isn't a path of the resource.
pub(super) fn path_parameters(resource_path: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = path.strip_prefix('/')?;
    let mut patterns = resource_path.strip_prefix('/')?.split('/').peekable();
    while let Some(pattern) = patterns.next() {
        let variable = pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        if let Some(name) = variable.and_then(|name| name.strip_suffix('+')) {
            found.insert(name.to_owned(), rest.to_owned());
            return (!rest.is_empty()).then_some(found);
        }
        let (segment, after) = rest.split_once('/').unwrap_or((rest, ""));
        match variable {
            Some(name) if !segment.is_empty() => drop(found.insert(name.to_owned(), segment.to_owned())),
            None if segment == pattern => {}
            _ => return None,
        }
        // As many segments as patterns; a slash at the end is none.
        let more = rest.len() > segment.len();
        match patterns.peek() {
            Some(_) if !more => return None,
            None if !after.is_empty() => return None,
            _ => rest = after,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(resource: &str, path: &str) -> Option<Vec<(String, String)>> {
        path_parameters(resource, path).map(|found| found.into_iter().collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn paths_fit_their_resource() {
        assert_eq!(found("/", "/"), pairs(&[]));
        assert_eq!(found("/pets/{id}", "/pets/7"), pairs(&[("id", "7")]));
        assert_eq!(found("/pets/{id}", "/pets/7/"), pairs(&[("id", "7")]));
        assert_eq!(found("/{a}/x/{b}", "/1/x/%2F"), pairs(&[("a", "1"), ("b", "%2F")]));
        assert_eq!(found("/f/{rest+}", "/f/a/b/"), pairs(&[("rest", "a/b/")]));
        for (resource, path) in [
            ("/", "/x"),
            ("/pets/{id}", "/pets"),
            ("/pets/{id}", "/pets/"),
            ("/pets/{id}", "/pets/7/x"),
            ("/pets/{id}", "/cats/7"),
            ("/f/{rest+}", "/f/"),
            ("/f/{rest+}", "/f"),
            ("/pets", "pets"),
        ] {
            assert_eq!(found(resource, path), None, "{resource} {path}");
        }
    }

    #[test]
    fn expressions_are_filled_in() {
        let mut client = Client::new("api1", "r1", "/pets/{id}", "GET", "request1");
        client.query = "a=1&b=2&a=3".to_owned();
        client.headers = vec![("X".to_owned(), "u".to_owned()), ("x".to_owned(), "v".to_owned())];
        client.path_parameters.insert("id".to_owned(), "7".to_owned());
        client.stage_variables.insert("s".to_owned(), "t".to_owned());
        client.body = "{}".to_owned();
        for (source, expected) in [
            ("'x y'", vec!["x y"]),
            ("method.request.path.id", vec!["7"]),
            ("method.request.path.none", vec![]),
            ("method.request.querystring.a", vec!["3"]),
            ("method.request.multivaluequerystring.a", vec!["1", "3"]),
            ("method.request.header.X", vec!["v"]),
            ("method.request.multivalueheader.x", vec!["u", "v"]),
            ("method.request.body", vec!["{}"]),
            ("stageVariables.s", vec!["t"]),
            ("stageVariables.none", vec![]),
            ("context.requestId", vec!["request1"]),
            ("context.stage", vec![STAGE]),
        ] {
            assert_eq!(client.values(source).expect(source), expected, "{source}");
        }
        for source in ["context.authorizer.x", "method.request.body.a", "method.request.cookie.a", "x", "'x"]
        {
            assert!(client.values(source).is_err(), "{source}");
        }
    }
}
