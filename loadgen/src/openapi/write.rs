//! Operations as a scenario's text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::document::{Document, one_line};
use super::operation::{Operation, Place};
use super::security;
use crate::coding::percent_encoded;
use crate::limits::Limit;

/// A scenario asks for so many names by itself: their histograms take about 1 GB on four threads.
const NAMES_RAISED_MAX: usize = 1_000;

/// The scenario; it can be loaded as it is.
pub(super) fn scenario(document: &Document, operations: &[Operation], base_url: Option<&str>) -> String {
    let mut variables = Variables::default();
    let requests: Vec<String> = operations.iter().map(|one| request(one, &mut variables)).collect();
    let mut out = String::new();
    let server = base_url.map(str::to_owned).or_else(|| document.server());
    let server = server.filter(|url| url.starts_with("http")).unwrap_or_else(|| "http://HOST".to_owned());
    let title = document.title();
    out.push_str(&format!("# {title}: each operation is a request of the same weight. Run it with\n#\n"));
    out.push_str(&format!("#   turnpike-loadgen {} --scenario THIS-FILE\n", one_line(&server)));
    // More are left to whoever knows the machine's memory, or gives requests common names.
    let names = if operations.len() <= NAMES_RAISED_MAX { operations.len() } else { 0 };
    out.push_str(&raised_limits(&[
        (Limit::Steps, operations.len()),
        (Limit::Variables, variables.by_name.len()),
        (Limit::Names, names),
    ]));
    if !variables.by_name.is_empty() {
        out.push_str("#\n# Variables are made anew for each request; functions are sequence, user_sequence, integer, pick, pick_line,\n");
        out.push_str("# next_line, uuid, string and env.\n\n[variables]\n");
    }
    for (name, variable) in &variables.by_name {
        if let Some(comment) = &variable.comment {
            let _ = writeln!(out, "# {comment}");
        }
        let _ = writeln!(out, "{} = {}", key(name), quoted(&variable.template));
    }
    for (scheme, scopes) in operations
        .iter()
        .flat_map(|operation| &operation.credentials)
        .map(|credential| (&credential.scheme, security::scopes(document, &credential.scheme)))
        .collect::<BTreeMap<_, _>>()
    {
        if !scopes.is_empty() {
            let _ = writeln!(out, "# scopes of {}: {}", one_line(scheme), scopes.join(", "));
        }
    }
    for request in requests {
        out.push('\n');
        out.push_str(&request);
    }
    out
}

/// What a large document needs more of than the defaults allow.
fn raised_limits(needed: &[(Limit, usize)]) -> String {
    let rules = needed.iter().map(|(limit, count)| (limit.rule(), *count as u64));
    let lines: String = rules
        .filter(|(rule, count)| *count > rule.default)
        .map(|(rule, count)| format!("{} = {count} # {}\n", rule.name, rule.what))
        .collect();
    if lines.is_empty() { lines } else { format!("\n[limits]\n{lines}") }
}

/// Variables of all requests, by name.
#[derive(Default)]
struct Variables {
    by_name: BTreeMap<String, Variable>,
}

struct Variable {
    template: String,
    comment: Option<String>,
}

impl Variables {
    /// The name of a variable that is made so; two of one name and different making get different names.
    fn name(&mut self, wanted: &str, template: &str, comment: Option<String>) -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
        let base: String = wanted.chars().map(allowed).collect();
        let base = if base.is_empty() { "value".to_owned() } else { base };
        let mut name = base.clone();
        let mut next = 2;
        while self
            .by_name
            .get(&name)
            .is_some_and(|known| known.template != template || known.comment != comment)
        {
            name = format!("{base}_{next}");
            next += 1;
        }
        self.by_name
            .entry(name.clone())
            .or_insert_with(|| Variable { template: template.to_owned(), comment });
        name
    }
}

fn request(operation: &Operation, variables: &mut Variables) -> String {
    let mut path = operation.path.clone();
    let (mut query, mut headers, mut cookies) = (Vec::new(), Vec::new(), Vec::new());
    for parameter in &operation.parameters {
        let name = variables.name(&parameter.name, &parameter.template, None);
        match parameter.place {
            Place::Path => {
                path = path.replace(&format!("{{{}}}", parameter.name), &format!("\u{0}{name} | url\u{1}"));
                path = path.replace(&format!("{{{}+}}", parameter.name), &format!("\u{0}{name}\u{1}"));
            }
            Place::Query => query.push(format!("{}={{{{{name} | url}}}}", percent_encoded(&parameter.name))),
            Place::Header => headers.push((parameter.name.clone(), format!("{{{{{name}}}}}"))),
            Place::Cookie => cookies.push(format!("{}={{{{{name} | url}}}}", parameter.name)),
        }
    }
    for credential in &operation.credentials {
        let comment = format!(
            "{}: put it here, or use {{{{env(NAME)}}}}, or {{{{next_line(FILE)}}}} for one of a list at a time",
            credential.hint
        );
        let name = variables.name(&credential.scheme, "CHANGE-ME", Some(comment));
        let (own, prefix, filter) = (&credential.name, credential.prefix, credential.filter);
        match credential.place {
            Place::Query => query.push(format!("{}={{{{{name} | url}}}}", percent_encoded(own))),
            Place::Cookie => cookies.push(format!("{own}={{{{{name}}}}}")),
            Place::Path | Place::Header => {
                headers.push((own.clone(), format!("{prefix}{{{{{name}{filter}}}}}")));
            }
        }
    }
    if !cookies.is_empty() {
        headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    if let Some((kind, _)) = &operation.body {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        headers.push(("content-type".to_owned(), one_line(kind)));
    }
    let url =
        if query.is_empty() { path_text(&path) } else { format!("{}?{}", path_text(&path), query.join("&")) };
    text(operation, &url, headers)
}

fn text(operation: &Operation, url: &str, headers: Vec<(String, String)>) -> String {
    let mut out = String::new();
    for remark in &operation.remarks {
        let _ = writeln!(out, "# {}", one_line(remark));
    }
    let _ = writeln!(out, "[[request]]\nname = {}", quoted(&operation.name));
    let _ = writeln!(out, "method = {}\nurl = {}", quoted(&operation.method), quoted(url));
    // The last of a name counts.
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
    if !headers.is_empty() {
        let fields: Vec<String> =
            headers.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
        let _ = writeln!(out, "headers = {{ {} }}", fields.join(", "));
    }
    if let Some((_, body)) = &operation.body {
        let _ = writeln!(out, "body = {}", quoted(body));
    }
    if !operation.statuses.is_empty() {
        let _ = writeln!(out, "expect = {{ status = [{}] }}", operation.statuses.join(", "));
    }
    out
}

/// A path's literal parts encoded, its variables in their braces.
fn path_text(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '\u{0}' => out.push_str("{{"),
            '\u{1}' => out.push_str("}}"),
            c if c.is_ascii_graphic() && !"{}#?".contains(c) => out.push(c),
            ' ' if out.rfind("{{") > out.rfind("}}") => out.push(' '),
            c => out.push_str(&percent_encoded(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// As a TOML key.
fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
