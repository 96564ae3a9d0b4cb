//! Which operation a method and a path name: all of both services, supported or not, and Turnpike's own.

use percent_encoding::percent_decode_str;

use super::error::ApiError;

const TABLE: &str = include_str!("operations.txt");

/// A service that shares the management API's address with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// REST APIs: `apigateway`.
    V1,
    /// HTTP and WebSocket APIs: `apigatewayv2`.
    V2,
    /// What Turnpike adds, below `/turnpike/`.
    Turnpike,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1 => "apigateway",
            Self::V2 => "apigatewayv2",
            Self::Turnpike => "turnpike",
        }
    }
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) service: Service,
    pub(super) method: &'static str,
    /// Status of success.
    pub(super) status: u16,
    pub(super) name: &'static str,
    /// `{name}` stands for one segment.
    segments: Vec<&'static str>,
    /// What the query has to have, such as `mode=import`.
    query: Option<&'static str>,
}

/// The operation of a request, and what its path's variables stand for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match<'o> {
    pub(super) operation: &'o Operation,
    /// Decoded, in the order of the path.
    pub(super) parameters: Vec<String>,
}

impl Match<'_> {
    /// The operation's path with its variables written by `encode`.
    pub(super) fn path(&self, encode: impl Fn(&str) -> String) -> String {
        let mut parameters = self.parameters.iter();
        let segments = self.operation.segments.iter().map(|segment| match is_variable(segment) {
            true => encode(parameters.next().map_or("", String::as_str)),
            false => (*segment).to_owned(),
        });
        segments.fold(String::new(), |path, segment| path + "/" + &segment)
    }
}

/// All operations.
#[derive(Debug)]
pub(super) struct Operations(Vec<Operation>);

impl Operations {
    /// Reads the table.
    ///
    /// # Panics
    /// When the built-in table is malformed, which a test excludes.
    pub(super) fn load() -> Self {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(|line| parse_line(line).unwrap_or_else(|| panic!("operations.txt: {line}"))).collect())
    }

    /// The operation of this name.
    pub(super) fn named(&self, service: Service, name: &str) -> Option<&Operation> {
        self.0.iter().find(|operation| operation.service == service && operation.name == name)
    }

    /// # Errors
    /// When there is no such operation, or a variable isn't UTF-8.
    pub(super) fn find(&self, method: &str, path: &str, query: &str) -> Result<Match<'_>, ApiError> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let fits = |operation: &&Operation| operation.method == method && operation.fits(&segments, query);
        let unknown = || ApiError::unknown_operation(method, path);
        let operation = self.0.iter().filter(fits).max_by_key(|o| o.weight()).ok_or_else(unknown)?;
        let variables = operation.segments.iter().zip(&segments).filter(|(pattern, _)| is_variable(pattern));
        let parameters = variables.map(|(_, text)| decode(text)).collect::<Result<_, _>>()?;
        Ok(Match { operation, parameters })
    }
}

impl Operation {
    fn fits(&self, segments: &[&str], query: &str) -> bool {
        let fits = |(pattern, segment): (&&str, &&str)| {
            if is_variable(pattern) { !segment.is_empty() } else { pattern == segment }
        };
        self.segments.len() == segments.len()
            && self.segments.iter().zip(segments).all(fits)
            && self.query.is_none_or(|wanted| query.split('&').any(|pair| pair == wanted))
    }

    /// Literals before variables, and a query that is asked for before none.
    fn weight(&self) -> (usize, bool) {
        (self.segments.iter().filter(|s| !is_variable(s)).count(), self.query.is_some())
    }
}

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{')
}

fn decode(segment: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(segment).decode_utf8();
    let text =
        decoded.map_err(|_| ApiError::bad_request(format!("'{segment}' isn't percent-encoded UTF-8")))?;
    Ok(text.into_owned())
}

fn parse_line(line: &'static str) -> Option<Operation> {
    let mut words = line.split_whitespace();
    let service = match words.next()? {
        "apigateway" => Service::V1,
        "apigatewayv2" => Service::V2,
        "turnpike" => Service::Turnpike,
        _ => return None,
    };
    let (method, status, name, uri) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    let segments = path.strip_prefix('/')?.split('/').collect();
    words.next().is_none().then_some(())?;
    Some(Operation { service, method, status: status.parse().ok()?, name, segments, query })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete() {
        let operations = Operations::load();
        let count = |service| operations.0.iter().filter(|o| o.service == service).count();
        assert_eq!((count(Service::V1), count(Service::V2)), (124, 103));
    }

    /// Each operation is found by its own URI, so that none hides another.
    #[test]
    fn every_operation_finds_itself() {
        let operations = Operations::load();
        for operation in &operations.0 {
            let path: Vec<String> = operation.segments.iter().map(|s| s.replace(['{', '}'], "x")).collect();
            let path = format!("/{}", path.join("/"));
            let found = operations.find(operation.method, &path, operation.query.unwrap_or("")).expect(&path);
            assert_eq!(found.operation, operation, "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded_in_order() {
        let operations = Operations::load();
        let found = operations.find("GET", "/v2/apis/a1/stages/%24default", "").expect("known");
        assert_eq!((found.operation.name, found.operation.service), ("GetStage", Service::V2));
        assert_eq!(found.parameters, ["a1", "$default"]);
        let found =
            operations.find("DELETE", "/v2/tags/arn%3Aaws%3A%3A%2Fapis%2Fa", "tagKeys=x").expect("known");
        assert_eq!(found.parameters, ["arn:aws::/apis/a"]);
    }

    #[test]
    fn unknown_paths_are_named() {
        let operations = Operations::load();
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v3/apis"),
            ("GET", "/v2/apis/"),
            ("GET", "/v2/apis//stages"),
            ("POST", "/v2/apis/x"),
            ("get", "/v2/apis"),
        ] {
            let error = operations.find(method, path, "").expect_err(path);
            assert_eq!((error.status, error.code), (404, "UnknownOperationException"), "{method} {path}");
            assert!(error.message.contains(path));
        }
        assert_eq!(operations.find("GET", "/v2/apis/%ff", "").expect_err("no UTF-8").status, 400);
    }
}
