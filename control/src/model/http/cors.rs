//! What browsers are told of an HTTP API that pages of other origins call (Fetch standard; AWS: 'Configuring CORS').

use serde::{Deserialize, Serialize};

/// What can be allowed; AWS's list.
const METHODS: [&str; 8] = ["*", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
/// An arbitrary bound of each list.
const ENTRIES_MAX: usize = 100;
const ENTRY_BYTES_MAX: usize = 512;
/// -1 keeps browsers from remembering an answer.
const MAX_AGE_S: std::ops::RangeInclusive<i32> = -1..=86_400;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cors {
    pub allow_credentials: Option<bool>,
    pub allow_headers: Vec<String>,
    pub allow_methods: Vec<String>,
    /// `*`, or scheme and host, perhaps with a `*` in the host.
    pub allow_origins: Vec<String>,
    pub expose_headers: Vec<String>,
    pub max_age_s: Option<i32>,
}

/// # Errors
/// Says what a browser couldn't make sense of.
pub fn check_cors(cors: &Cors) -> Result<(), String> {
    let lists = [&cors.allow_headers, &cors.allow_methods, &cors.allow_origins, &cors.expose_headers];
    if lists.iter().any(|list| list.len() > ENTRIES_MAX) {
        return Err(format!("A list of corsConfiguration can have at most {ENTRIES_MAX} entries"));
    }
    for header in cors.allow_headers.iter().chain(&cors.expose_headers) {
        check_header(header)?;
    }
    if let Some(method) = cors.allow_methods.iter().find(|method| !METHODS.contains(&method.as_str())) {
        let methods = METHODS.join(", ");
        return Err(format!("corsConfiguration.allowMethods takes {methods}, not '{method}'"));
    }
    cors.allow_origins.iter().try_for_each(|origin| check_origin(origin))?;
    if cors.allow_credentials == Some(true) && cors.allow_origins.iter().any(|origin| origin == "*") {
        return Err("allow-credentials is not supported if 'allow-origin' is *".to_owned());
    }
    match cors.max_age_s {
        Some(age) if !MAX_AGE_S.contains(&age) => Err(format!(
            "corsConfiguration.maxAge has to be an integer from {} to {}",
            MAX_AGE_S.start(),
            MAX_AGE_S.end()
        )),
        _ => Ok(()),
    }
}

/// A field's name (RFC 9110 5.1), of which `*` is one.
fn check_header(name: &str) -> Result<(), String> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match !name.is_empty() && name.len() <= ENTRY_BYTES_MAX && name.bytes().all(is_token) {
        true => Ok(()),
        false => Err(format!("'{name}' of corsConfiguration can't name a header")),
    }
}

fn check_origin(origin: &str) -> Result<(), String> {
    let bad = || {
        format!(
            "Invalid format for origin {origin}: it has to be *, or http:// or https:// (or the scheme of a browser's \
             extension) and a host, perhaps with a port, without a path"
        )
    };
    if origin == "*" {
        return Ok(());
    }
    let (scheme, host) = origin.split_once("://").ok_or_else(bad)?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.*".contains(&b));
    let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._*:[]".contains(&b);
    let host_ok = !host.is_empty() && host.bytes().all(is_host);
    match scheme_ok && host_ok && origin.len() <= ENTRY_BYTES_MAX {
        true => Ok(()),
        false => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(list: &[&str]) -> Cors {
        Cors { allow_origins: list.iter().map(|origin| (*origin).to_owned()).collect(), ..Cors::default() }
    }

    #[test]
    fn origins_have_a_scheme_and_a_host() {
        for origin in ["*", "https://a.example", "http://localhost:3000", "http://[::1]:80", "https://*.a.b"]
        {
            assert_eq!(check_cors(&origins(&[origin])), Ok(()), "{origin}");
        }
        for origin in
            ["", "a.example", "https://", "https://a/", "https://a/b", "https://a b", "://a", "é://a"]
        {
            assert!(check_cors(&origins(&[origin])).is_err(), "{origin}");
        }
    }

    #[test]
    fn credentials_need_named_origins() {
        let any = Cors { allow_credentials: Some(true), ..origins(&["https://a", "*"]) };
        assert!(check_cors(&any).is_err());
        assert_eq!(check_cors(&Cors { allow_credentials: Some(true), ..origins(&["https://a"]) }), Ok(()));
        assert_eq!(check_cors(&Cors { allow_credentials: Some(false), ..origins(&["*"]) }), Ok(()));
    }

    #[test]
    fn methods_headers_and_ages_are_checked() {
        let methods = |method: &str| Cors { allow_methods: vec![method.to_owned()], ..Cors::default() };
        assert_eq!((check_cors(&methods("*")), check_cors(&methods("GET"))), (Ok(()), Ok(())));
        assert!(check_cors(&methods("ANY")).is_err() && check_cors(&methods("get")).is_err());
        let headers = |name: &str| Cors { expose_headers: vec![name.to_owned()], ..Cors::default() };
        assert_eq!((check_cors(&headers("*")), check_cors(&headers("x-A"))), (Ok(()), Ok(())));
        assert!(check_cors(&headers("a b")).is_err() && check_cors(&headers("")).is_err());
        let age = |max_age_s| check_cors(&Cors { max_age_s: Some(max_age_s), ..Cors::default() }).is_ok();
        assert_eq!([-2, -1, 0, 86_400, 86_401].map(age), [false, true, true, true, false]);
    }
}
