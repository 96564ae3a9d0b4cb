//! An HTTP integration's URI: `http://host:port/path/{variable}?query`, or `https://`, with stage variables in it as
//! the user wrote it, without them once a stage has filled them in.

use turnpike_snapshot::Scheme;

use super::stage::Variables;

const STAGE_VARIABLE: &str = "${stageVariables.";
const URI_BYTES_MAX: usize = 2_048;
/// RFC 1035.
const HOST_BYTES_MAX: usize = 253;
const HOST_LABEL_BYTES_MAX: usize = 63;

/// A URI without stage variables, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationUri {
    pub scheme: Scheme,
    /// Lower case; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// In order; together they begin with `/`.
    pub path: Vec<Piece>,
    /// Without `?`, possibly empty.
    pub query: String,
}

/// A piece of an integration's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Percent-encoded as the user wrote it.
    Literal(String),
    /// `{name}`, by name.
    Variable(String),
}

impl Piece {
    /// The text of a literal.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Variable(_) => None,
        }
    }
}

/// The message is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("Invalid HTTP endpoint specified for URI: '{uri}': {why}")]
    Malformed { uri: String, why: String },
    #[error("The URI '{uri}' needs the stage variable '{variable}', which the stage '{stage}' doesn't have")]
    MissingVariable { uri: String, variable: String, stage: String },
}

/// Checks a URI as far as that is possible without a stage.
///
/// # Errors
/// When no value of its stage variables could make it a URI.
pub fn check_uri_template(uri: &str) -> Result<IntegrationUri, UriError> {
    // '1' can stand for a host, a port and a path alike.
    let filled = substitute(uri, |_| Ok("1"))?;
    let parsed = IntegrationUri::parse(&filled).map_err(|error| error.about(uri))?;
    Ok(parsed)
}

impl IntegrationUri {
    /// Fills in the stage's variables and takes the URI apart.
    ///
    /// # Errors
    /// When a variable is missing, or the filled-in text is no URI.
    pub fn resolve(uri: &str, stage: &str, variables: &Variables) -> Result<Self, UriError> {
        let filled = substitute(uri, |name| {
            variables.get(name).map(String::as_str).ok_or_else(|| UriError::MissingVariable {
                uri: uri.to_owned(),
                variable: name.to_owned(),
                stage: stage.to_owned(),
            })
        })?;
        Self::parse(&filled)
    }

    /// Takes a URI without stage variables apart.
    ///
    /// # Errors
    /// When it isn't one that an HTTP integration can call.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        let has_prefix =
            |prefix: &str| uri.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        let schemes = [("https://", Scheme::Https), ("http://", Scheme::Http)];
        let Some((prefix, scheme)) = schemes.into_iter().find(|(prefix, _)| has_prefix(prefix)) else {
            return Err(malformed(uri, "it has to begin with http:// or https://"));
        };
        Self::read(scheme, &uri[prefix.len()..]).map_err(|why| malformed(uri, why))
    }

    /// The names of the path's variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.path.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    fn read(scheme: Scheme, rest: &str) -> Result<Self, &'static str> {
        if rest.len() > URI_BYTES_MAX {
            return Err("it is longer than 2,048 bytes");
        }
        if rest.contains('#') {
            return Err("a fragment ('#') is never sent");
        }
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !is_encoded(query, b":@!$&'()*+,;=/?[]") {
            return Err(
                "the query has a character that has to be percent-encoded; variables work in the path only",
            );
        }
        let path_at = before_query.find('/').unwrap_or(before_query.len());
        let (authority, path) = before_query.split_at(path_at);
        let (host, port) = parse_authority(scheme, authority)?;
        Ok(Self { scheme, host, port, path: parse_path(path)?, query: query.to_owned() })
    }
}

impl UriError {
    /// Says it of the URI that the user wrote.
    fn about(self, uri: &str) -> Self {
        match self {
            Self::Malformed { why, .. } => malformed(uri, why),
            Self::MissingVariable { .. } => self,
        }
    }
}

fn malformed(uri: &str, why: impl Into<String>) -> UriError {
    UriError::Malformed { uri: uri.chars().take(300).collect(), why: why.into() }
}

/// Replaces every `${stageVariables.x}` by its value.
fn substitute<'v>(
    uri: &str,
    value_of: impl Fn(&str) -> Result<&'v str, UriError>,
) -> Result<String, UriError> {
    let mut filled = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find("${") {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((name, after)) = rest.strip_prefix(STAGE_VARIABLE).and_then(|r| r.split_once('}')) else {
            return Err(malformed(uri, "'${' has to begin a stage variable: ${stageVariables.name}"));
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(malformed(
                uri,
                format!("'{name}' can't name a stage variable: use letters, digits and _"),
            ));
        }
        filled.push_str(value_of(name)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn parse_authority(scheme: Scheme, authority: &str) -> Result<(String, u16), &'static str> {
    if authority.contains('@') {
        return Err("a user name or password in it is not supported");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the address has no closing ']'")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "what stands in brackets is no IPv6 address")?;
            (host, after)
        }
        None => {
            let (host, after) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            check_host(host)?;
            (host, after)
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port(scheme),
        None => return Err("only ':port' may follow the address"),
        Some(digits) => parse_port(digits).ok_or("the port has to be a number from 1 to 65535")?,
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// RFC 9110 4.2.
fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|port| all_digits && *port != 0)
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it has no host");
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= HOST_LABEL_BYTES_MAX
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > HOST_BYTES_MAX || !name.split('.').all(label_ok) {
        return Err("its host is no DNS name or address (path variables work in the path only)");
    }
    Ok(())
}

/// Splits at `{name}`; braces come in pairs around a name and nowhere else.
fn parse_path(path: &str) -> Result<Vec<Piece>, &'static str> {
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err("the path has a dot segment");
    }
    let mut pieces = Vec::new();
    let mut rest = if path.is_empty() { "/" } else { path };
    while let Some((literal, after)) = rest.split_once('{') {
        push_literal(&mut pieces, literal)?;
        let (name, after) = after.split_once('}').ok_or("a path variable has no closing '}'")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            return Err("a path variable is {name}, of letters, digits, '.', '_' and '-'");
        }
        pieces.push(Piece::Variable(name.to_owned()));
        rest = after;
    }
    push_literal(&mut pieces, rest)?;
    Ok(pieces)
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &str) -> Result<(), &'static str> {
    if !is_encoded(literal, b"/:@!$&'()*+,;=") {
        return Err("the path has a character that has to be percent-encoded");
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.to_owned()));
    }
    Ok(())
}

/// Whether `text` is RFC 3986's unreserved characters, escapes (`%2F`), and `also`.
pub(super) fn is_encoded(text: &str, also: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => is_hex(at + 1) && is_hex(at + 2),
        _ => byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || also.contains(byte),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Piece {
        Piece::Literal(text.to_owned())
    }

    fn variable(name: &str) -> Piece {
        Piece::Variable(name.to_owned())
    }

    #[test]
    fn takes_uris_apart() {
        let table: [(&str, &str, u16, Vec<Piece>, &str); 9] = [
            ("http://h", "h", 80, vec![literal("/")], ""),
            ("HTTP://Host.Example:8080", "host.example", 8080, vec![literal("/")], ""),
            ("http://127.0.0.1:3000/a/b", "127.0.0.1", 3000, vec![literal("/a/b")], ""),
            ("http://[::1]:3000/", "::1", 3000, vec![literal("/")], ""),
            ("http://h/a?b=c&d=%20", "h", 80, vec![literal("/a")], "b=c&d=%20"),
            ("http://h?b", "h", 80, vec![literal("/")], "b"),
            ("http://h/{id}", "h", 80, vec![literal("/"), variable("id")], ""),
            (
                "http://h/a-{x}.{y}/z",
                "h",
                80,
                vec![literal("/a-"), variable("x"), literal("."), variable("y"), literal("/z")],
                "",
            ),
            ("http://h./", "h.", 80, vec![literal("/")], ""),
        ];
        for (uri, host, port, path, query) in table {
            let scheme = Scheme::Http;
            let expected =
                IntegrationUri { scheme, host: host.to_owned(), port, path, query: query.to_owned() };
            assert_eq!(IntegrationUri::parse(uri), Ok(expected), "{uri}");
        }
        for (uri, scheme, port) in [
            ("https://h", Scheme::Https, 443),
            ("HTTPS://h:80/", Scheme::Https, 80),
            ("http://h:443", Scheme::Http, 443),
        ] {
            let parsed = IntegrationUri::parse(uri).expect(uri);
            assert_eq!((parsed.scheme, parsed.port), (scheme, port), "{uri}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_called() {
        let table = [
            ("", "begin with http://"),
            ("ftp://h", "begin with http://"),
            ("//h", "begin with http://"),
            ("httpé://h", "begin with http://"),
            ("https://", "no host"),
            ("http://", "no host"),
            ("http:///x", "no host"),
            ("http://:80/", "no host"),
            ("http://u:p@h/", "user name or password"),
            ("http://h:0/", "1 to 65535"),
            ("http://h:65536/", "1 to 65535"),
            ("http://h:+80/", "1 to 65535"),
            ("http://h:/", "1 to 65535"),
            ("http://h:80:80/", "1 to 65535"),
            ("http://[::1/", "closing ']'"),
            ("http://[h]/", "no IPv6"),
            ("http://[::1]x/", "may follow"),
            ("http://a b/", "no DNS name"),
            ("http://a..b/", "no DNS name"),
            ("http://{h}/", "no DNS name"),
            ("http://h/a b", "percent-encoded"),
            ("http://h/%2", "percent-encoded"),
            ("http://h/\r\nX: y", "percent-encoded"),
            ("http://h/a#b", "fragment"),
            ("http://h/?x={y}", "path only"),
            ("http://h/{", "closing '}'"),
            ("http://h/{}", "{name}"),
            ("http://h/{proxy+}", "{name}"),
            ("http://h/a}", "percent-encoded"),
            ("http://h/../x", "dot segment"),
        ];
        for (uri, expected) in table {
            let error = IntegrationUri::parse(uri).expect_err(uri).to_string();
            assert!(error.contains(expected), "{uri:?}: {error}");
        }
    }

    #[test]
    fn stage_variables_can_stand_anywhere_after_the_scheme() {
        for uri in [
            "http://${stageVariables.url}",
            "https://${stageVariables.url}",
            "http://${stageVariables.host}.example.com:${stageVariables.port}/${stageVariables.path}/x?q=${stageVariables.q}",
        ] {
            assert!(check_uri_template(uri).is_ok(), "{uri}");
        }
        for (uri, expected) in [
            ("${stageVariables.url}/x", "begin with http://"),
            ("http://${stageVariable.url}", "has to begin a stage variable"),
            ("http://${stageVariables.url", "has to begin a stage variable"),
            ("http://${stageVariables.a-b}", "can't name"),
            ("http://${stageVariables.}", "can't name"),
        ] {
            let error = check_uri_template(uri).expect_err(uri).to_string();
            assert!(error.contains(expected) && error.contains(uri), "{uri}: {error}");
        }
    }

    #[test]
    fn a_stage_fills_its_variables_in() {
        let variables = Variables::from([("url".to_owned(), "10.0.0.1:81/base".to_owned())]);
        let uri = IntegrationUri::resolve("http://${stageVariables.url}/{id}", "dev", &variables);
        assert_eq!(
            uri,
            Ok(IntegrationUri {
                scheme: Scheme::Http,
                host: "10.0.0.1".to_owned(),
                port: 81,
                path: vec![literal("/base/"), variable("id")],
                query: String::new(),
            })
        );
        let error = IntegrationUri::resolve("http://${stageVariables.other}/", "dev", &variables)
            .expect_err("missing");
        assert!(error.to_string().contains("'other'") && error.to_string().contains("'dev'"), "{error}");
    }
}
