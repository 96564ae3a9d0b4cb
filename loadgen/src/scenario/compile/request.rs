//! One step: its request, checks and extractions.

use bytes::Bytes;
use memchr::memmem::Finder;
use regex_lite::Regex;

use super::Compiler;
use super::variables::Context;
use crate::check::{Capture, Check, CheckList, StatusSet, parse_sha256};
use crate::limits::Limit;
use crate::list::read_limited;
use crate::request::{Request, check_header};
use crate::scenario::blueprint::{Blueprint, Body};
use crate::scenario::extract::{Extraction, From, is_pointer};
use crate::scenario::text::Text;
use crate::scenario::think::Think;
use crate::scenario::typed::{self, Placed, Status, Statuses, Texts};
use crate::scenario::{Form, Step};
use crate::target::Url;

/// As typed, or what follows from the body.
pub(super) fn method(request: &typed::Request) -> &str {
    let has_body =
        request.body.is_some() || request.body_file.is_some() || request.body_random_bytes.is_some();
    match &request.method {
        Some(method) => method.get_ref(),
        None if has_body => "POST",
        None => "GET",
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn step(
        &mut self,
        request: &'a typed::Request,
        method: &str,
        label: usize,
    ) -> Result<Step, String> {
        let blueprint = self.blueprint(request, method)?;
        let checks = self.checks(&request.expect)?;
        let extractions = self.extractions(request)?;
        let capture = extractions.iter().map(|extraction| match extraction.from {
            From::Field(_) => Capture::Head,
            From::Json(_) | From::Regex { .. } => Capture::Body,
        });
        let capture = capture.max().unwrap_or_default();
        let first = self.check_names.len();
        let form = match blueprint.fixed() {
            Some(parts) => Form::Fixed(Request { label, ..self.target.protocol.encode(&parts) }.leak()),
            None => Form::Made(Box::new(blueprint)),
        };
        Ok(Step {
            label,
            form,
            checks: CheckList::new(checks, first, capture, self.target.captured_body_bytes_max),
            extractions,
            think: self.think(request)?,
        })
    }

    fn blueprint(&mut self, request: &'a typed::Request, method: &str) -> Result<Blueprint, String> {
        if method.is_empty() || !method.bytes().all(crate::reply::is_token) {
            let span = request.method.as_ref().map_or(0..0, Placed::span);
            return Err(self.places.fail(&span, "method", &format!("'{method}' is not a method")));
        }
        let (host, path) = self.url(&request.url)?;
        let authority = self.hosts[host].authority.clone();
        let body = self.body(request)?;
        if request.chunked && matches!(body, Body::None) {
            return Err(self.places.fail(&request.url.span(), "chunked", "there is no body"));
        }
        let signer = match &request.sign {
            Some(name) => match self.signers.get(name.get_ref().as_str()) {
                Some(signer) => Some(*signer),
                None => {
                    let reason = format!("there is no [signer.{}]", name.get_ref());
                    return Err(self.places.fail(&name.span(), "sign", &reason));
                }
            },
            None => None,
        };
        let fields = self.fields(request)?;
        let method = method.to_owned();
        Ok(Blueprint { method, host, authority, path, fields, body, chunked: request.chunked, signer })
    }

    /// The host's index, and the path.
    fn url(&mut self, url: &Placed) -> Result<(usize, Text), String> {
        let (typed, base) = (url.get_ref().as_str(), self.target.url);
        let fail = |reason: &str| self.places.fail(&url.span(), "url", reason);
        let (host, path) = if typed.starts_with("http://") || typed.starts_with("https://") {
            let host_at = typed.find("://").map_or(0, |at| at + 3);
            let path_at = typed[host_at..].find(['/', '?']).map_or(typed.len(), |at| host_at + at);
            if typed[..path_at].contains("{{") {
                return Err(fail("the host can't vary: its connections are opened before the run"));
            }
            let (origin, path) = typed.split_at(path_at);
            let slash = if path.starts_with('/') { "" } else { "/" };
            (Url::parse(origin).map_err(|reason| fail(&reason))?, format!("{slash}{path}"))
        } else if typed.starts_with('/') || typed.starts_with("{{") {
            let prefix = base.path.trim_end_matches('/');
            let slash = if prefix.is_empty() || typed.starts_with('/') { "" } else { "/" };
            (base.clone(), format!("{prefix}{slash}{typed}"))
        } else {
            return Err(fail("it must be a path, which begins with '/', or begin with http:// or https://"));
        };
        let path = self.variables.text_of(&path, &url.span(), "url", Context::Path)?;
        Ok((self.host(host).map_err(|reason| self.places.fail(&url.span(), "url", &reason))?, path))
    }

    /// The index of a host; two that differ in how they are written are one where they are the same.
    fn host(&mut self, url: Url) -> Result<usize, String> {
        let same = |known: &Url| {
            (known.tls, known.port) == (url.tls, url.port) && known.host.eq_ignore_ascii_case(&url.host)
        };
        if let Some(host) = self.hosts.iter().position(same) {
            return Ok(host);
        }
        self.limits.check(Limit::Hosts, self.hosts.len() + 1)?;
        self.hosts.push(url);
        Ok(self.hosts.len() - 1)
    }

    /// The command line's fields, then the request's own, then those of all requests; the first of a name counts.
    fn fields(&mut self, request: &'a typed::Request) -> Result<Vec<(String, Text)>, String> {
        let mut fields: Vec<(String, Text)> = Vec::new();
        for header in self.target.headers {
            let (name, value) = check_header(header)?;
            let mut text = Text::default();
            text.push_literal(value);
            fields.push((name.to_owned(), text));
        }
        let given = fields.len();
        for (name, value) in request.headers.iter().chain(&self.file.headers) {
            let known = |(known, _): &(String, Text)| known.eq_ignore_ascii_case(name);
            if fields.iter().any(known) {
                continue;
            }
            let key = format!("headers.{name}");
            check_header(&format!("{name}: "))
                .map_err(|reason| self.places.fail(&value.span(), &key, &reason))?;
            let text = self.variables.text_of(value.get_ref().trim(), &value.span(), &key, Context::Field)?;
            fields.push((name.clone(), text));
        }
        // The command line's stand last, as extras do.
        fields.rotate_left(given);
        Ok(fields)
    }

    fn body(&mut self, request: &typed::Request) -> Result<Body, String> {
        match (&request.body, &request.body_file, &request.body_random_bytes) {
            (None, None, None) => Ok(Body::None),
            (Some(body), None, None) => Ok(Body::Text(self.variables.text(body, "body", Context::Body)?)),
            (None, Some(file), None) => {
                let content = read_limited(&self.folder.join(file.get_ref()), self.limits, Limit::BodyBytes)
                    .map_err(|reason| self.places.fail(&file.span(), "body_file", &reason))?;
                Ok(Body::Fixed(Bytes::from_static(Vec::leak(content))))
            }
            (None, None, Some(bytes)) => {
                let length = usize::try_from(*bytes.get_ref()).unwrap_or(usize::MAX);
                self.limits
                    .check(Limit::RandomBodyBytes, length)
                    .map_err(|reason| self.places.fail(&bytes.span(), "body_random_bytes", &reason))?;
                Ok(Body::Random(length))
            }
            _ => {
                let reason = "a request has one of body, body_file and body_random_bytes";
                Err(self.places.fail(&request.url.span(), "body", reason))
            }
        }
    }

    fn think(&self, request: &typed::Request) -> Result<Think, String> {
        match request.think.as_ref().or(self.file.think.as_ref()) {
            Some(think) => Think::parse(think.get_ref(), self.limits)
                .map_err(|reason| self.places.fail(&think.span(), "think", &reason)),
            None => Ok(Think::Not),
        }
    }

    fn checks(&self, expect: &typed::Expect) -> Result<Vec<Check>, String> {
        let mut checks = Vec::new();
        if let Some(statuses) = &expect.status {
            let set = status_set(statuses.get_ref())
                .map_err(|reason| self.places.fail(&statuses.span(), "expect.status", &reason))?;
            checks.push(Check::Status(set));
        }
        checks.extend(expect.body_bytes.map(Check::BodyBytes));
        for name in &expect.header_present {
            checks.push(Check::FieldPresent(self.field_name(name.get_ref(), name)?));
        }
        for (name, value) in &expect.header {
            let wanted = value.get_ref().trim().as_bytes().to_vec();
            checks.push(Check::FieldEquals { name: self.field_name(name, value)?, value: wanted });
        }
        for (name, value) in &expect.header_contains {
            let part = Finder::new(value.get_ref()).into_owned();
            checks.push(Check::FieldContains { name: self.field_name(name, value)?, part });
        }
        checks
            .extend(expect.body.as_ref().map(|body| Check::BodyEquals(body.get_ref().clone().into_bytes())));
        let parts = match expect.body_contains.as_ref().map(toml::Spanned::get_ref) {
            Some(Texts::One(part)) => std::slice::from_ref(part),
            Some(Texts::Several(parts)) => parts,
            None => &[],
        };
        checks.extend(parts.iter().map(|part| Check::BodyContains(Finder::new(part).into_owned())));
        if let Some(hash) = &expect.body_sha256 {
            let hash = parse_sha256(hash.get_ref())
                .map_err(|reason| self.places.fail(&hash.span(), "expect.body_sha256", &reason))?;
            checks.push(Check::BodySha256(hash));
        }
        checks.extend(self.target.checks.iter().cloned());
        Ok(checks)
    }

    fn field_name(&self, name: &str, place: &Placed) -> Result<String, String> {
        match !name.is_empty() && name.bytes().all(crate::reply::is_token) {
            true => Ok(name.to_ascii_lowercase()),
            false => {
                let reason = format!("'{name}' is not a header name");
                Err(self.places.fail(&place.span(), "expect", &reason))
            }
        }
    }

    fn extractions(&mut self, request: &'a typed::Request) -> Result<Vec<Extraction>, String> {
        let mut extractions = Vec::new();
        for (name, placed) in &request.extract {
            let from = extraction(placed.get_ref())
                .map_err(|reason| self.places.fail(&placed.span(), &format!("extract.{name}"), &reason))?;
            extractions.push(Extraction {
                slot: self.variables.extract(name),
                from,
                default: placed.get_ref().default.clone(),
                value_bytes_max: self.limits.count(Limit::ExtractedValueBytes),
            });
        }
        Ok(extractions)
    }
}

fn extraction(typed: &typed::Extract) -> Result<From, String> {
    if typed.group.is_some() && typed.regex.is_none() {
        return Err("group belongs to regex".to_owned());
    }
    match (&typed.json, &typed.header, &typed.regex) {
        (Some(pointer), None, None) if is_pointer(pointer) => Ok(From::Json(pointer.clone())),
        (Some(pointer), None, None) => Err(format!(
            "json: '{pointer}' is no JSON pointer (RFC 6901): it begins with '/', as /items/0/id does"
        )),
        (None, Some(name), None) => Ok(From::Field(name.to_ascii_lowercase())),
        (None, None, Some(text)) => {
            let regex = Regex::new(text).map_err(|error| format!("regex: {error}"))?;
            let group = typed.group.unwrap_or(usize::from(regex.captures_len() > 1));
            match group < regex.captures_len() {
                true => Ok(From::Regex { regex, group }),
                false => Err(format!("group: '{text}' has no group {group}")),
            }
        }
        _ => Err("one of json, header and regex is needed".to_owned()),
    }
}

fn status_set(typed: &Statuses) -> Result<StatusSet, String> {
    let several = match typed {
        Statuses::One(one) => std::slice::from_ref(one),
        Statuses::Several(several) => several,
    };
    let text = |status: &Status| match status {
        Status::Code(code) => code.to_string(),
        Status::Range(range) => range.clone(),
    };
    several.iter().map(text).collect::<Vec<_>>().join(",").parse()
}
