//! Takes a value out of a reply, into a variable.

use memchr::memmem;
use regex_lite::Regex;
use serde_json::Value;

use crate::check::ReplyView;

#[derive(Debug)]
pub(super) struct Extraction {
    /// Index of the variable.
    pub(super) slot: usize,
    pub(super) from: From,
    pub(super) default: Option<String>,
    /// A longer value isn't taken.
    pub(super) value_bytes_max: usize,
}

#[derive(Debug)]
pub(super) enum From {
    /// By a JSON pointer (RFC 6901); a text as it is, everything else as JSON.
    Json(String),
    Field(String),
    /// The group of the first match in the body.
    Regex {
        regex: Regex,
        group: usize,
    },
}

/// A reply's body as JSON, parsed once for all that is taken from it.
#[derive(Debug, Default)]
pub(super) struct Parsed(Option<Result<Value, String>>);

impl Extraction {
    /// As it stands in a report.
    pub(super) fn wanted(&self) -> String {
        match &self.from {
            From::Json(pointer) => format!("a value at the JSON pointer '{pointer}'"),
            From::Field(name) => format!("a header {name}"),
            From::Regex { regex, .. } => format!("a body that matches '{regex}'"),
        }
    }

    /// Puts the value, or the default, into `out`. An error says what came instead.
    pub(super) fn take(
        &self,
        reply: &ReplyView<'_>,
        parsed: &mut Parsed,
        one_line: bool,
        out: &mut String,
    ) -> Result<(), String> {
        out.clear();
        let found = match &self.from {
            From::Json(pointer) => from_json(pointer, reply, parsed, out),
            From::Field(name) => match reply.values(name).next() {
                Some(value) => text(value).map(|value| out.push_str(value)),
                None => Err("no such header".to_owned()),
            },
            From::Regex { regex, group } => from_regex(regex, *group, reply, out),
        };
        match (found, &self.default) {
            (Err(_), Some(default)) => {
                out.clear();
                out.push_str(default);
                Ok(())
            }
            (found, _) => found,
        }?;
        if out.len() > self.value_bytes_max {
            let (bytes, most) = (out.len(), self.value_bytes_max);
            out.clear();
            return Err(format!(
                "a value of {bytes} bytes; extracted_value_bytes_max is {most} (see --limit)"
            ));
        }
        match one_line && out.bytes().any(|byte| byte.is_ascii_control()) {
            true => Err("a value with control characters, which can't go into a URL or a header".to_owned()),
            false => Ok(()),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a value that isn't UTF-8".to_owned())
}

fn whole_body<'a>(reply: &ReplyView<'a>) -> Result<&'a [u8], String> {
    reply.whole_body().ok_or_else(|| {
        format!(
            "a body of {} bytes, of which --captured-body-bytes-max kept {}",
            reply.body_bytes,
            reply.body.len()
        )
    })
}

fn from_json(
    pointer: &str,
    reply: &ReplyView<'_>,
    parsed: &mut Parsed,
    out: &mut String,
) -> Result<(), String> {
    let parse = || -> Result<Value, String> {
        let body = whole_body(reply)?;
        serde_json::from_slice(body).map_err(|error| format!("a body that isn't JSON ({error})"))
    };
    let value = parsed.0.get_or_insert_with(parse).as_ref().map_err(Clone::clone)?;
    match value.pointer(pointer) {
        Some(Value::String(text)) => out.push_str(text),
        Some(other) => out.push_str(&other.to_string()),
        None => return Err("a JSON body without it".to_owned()),
    }
    Ok(())
}

fn from_regex(regex: &Regex, group: usize, reply: &ReplyView<'_>, out: &mut String) -> Result<(), String> {
    let body = text(whole_body(reply)?)?;
    match regex.captures(body).and_then(|found| found.get(group)) {
        Some(found) => out.push_str(found.as_str()),
        None => return Err("a body that doesn't match".to_owned()),
    }
    Ok(())
}

/// Whether a text may be a JSON pointer.
pub(super) fn is_pointer(text: &str) -> bool {
    let tildes_fit = memmem::find_iter(text.as_bytes(), b"~")
        .all(|at| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
    (text.is_empty() || text.starts_with('/')) && tildes_fit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(from: From, default: Option<&str>, one_line: bool, body: &str) -> Result<String, String> {
        let extraction =
            Extraction { slot: 0, from, default: default.map(str::to_owned), value_bytes_max: 9 };
        let fields = [(b"ETag".to_vec(), b"\"x\"".to_vec())];
        let body_bytes = body.len() as u64;
        let reply = ReplyView { status: 200, fields: &fields, body: body.as_bytes(), body_bytes };
        let mut out = "old".to_owned();
        extraction.take(&reply, &mut Parsed::default(), one_line, &mut out).map(|()| out)
    }

    fn json(pointer: &str) -> From {
        From::Json(pointer.into())
    }

    fn regex(regex: &str, group: usize) -> From {
        From::Regex { regex: Regex::new(regex).unwrap(), group }
    }

    #[test]
    fn values_are_found_in_bodies_and_fields() {
        let body = r#"{"id": "a\nb", "items": [{"n": 7}], "x/y": true}"#;
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(take(json("/id"), None, false, body), ok("a\nb"));
        assert_eq!(take(json("/items/0/n"), None, true, body), ok("7"));
        assert_eq!(take(json("/items/0"), None, true, body), ok("{\"n\":7}"));
        assert_eq!(take(json("/x~1y"), None, true, body), ok("true"));
        assert_eq!(take(From::Field("etag".into()), None, true, body), ok("\"x\""));
        assert_eq!(take(regex(r#""n": (\d+)"#, 1), None, true, body), ok("7"));
        assert_eq!(take(json("/none"), Some("d"), true, body), ok("d"));
    }

    #[test]
    fn what_came_instead_is_told() {
        let body = r#"{"id": "a\nb"}"#;
        let cases = [
            (json("/none"), "JSON body without it", body),
            (json("/id"), "control characters", body),
            (json("/id"), "extracted_value_bytes_max is 9", r#"{"id": "0123456789"}"#),
            (json("/id"), "isn't JSON", "<html>"),
            (From::Field("location".into()), "no such header", body),
            (regex("x(y)?", 1), "doesn't match", "x"),
        ];
        for (from, reason, body) in cases {
            let error = take(from, None, true, body).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn pointers_are_told_from_other_texts() {
        assert!(["", "/", "/a/0", "/a~1b~0"].iter().all(|text| is_pointer(text)));
        assert!(["a", "$.a", "/a~", "/a~2"].iter().all(|text| !is_pointer(text)));
    }
}
