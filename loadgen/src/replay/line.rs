//! One line of an access log: JSON with the names that `$context` formats use, or the common log format and what
//! begins like it (AWS's CLF, nginx's and Apache's combined).

use serde_json::Value;

use super::time;

/// A request as a log has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logged {
    /// Since 1970.
    pub(super) at_ns: i128,
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
}

/// Names under which logs keep these, the best first.
const METHOD_KEYS: [&str; 4] = ["httpMethod", "method", "requestMethod", "request_method"];
const PATH_KEYS: [&str; 7] = ["path", "requestPath", "request_uri", "uri", "url", "rawPath", "resourcePath"];
const TIME_KEYS: [&str; 8] = [
    "requestTimeEpoch",
    "requestTime",
    "time_iso8601",
    "@timestamp",
    "timestamp",
    "time",
    "msec",
    "time_local",
];

/// Reads a line; an error says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Logged, String> {
    let (at_ns, method, target) = if line.starts_with('{') { json(line)? } else { common(line)? };
    let method_fits = !method.is_empty() && method.bytes().all(crate::reply::is_token);
    if !method_fits || method == "CONNECT" {
        return Err(format!("the method '{}' can't be sent", crate::check::escape(method.as_bytes())));
    }
    let path = path_of(&target);
    if !path.starts_with('/') {
        return Err(format!("'{}' is no path", crate::check::escape(target.as_bytes())));
    }
    if path.contains(['{', '}']) {
        return Err(format!("'{path}' is a route, not a path: log $context.path in place of resourcePath"));
    }
    match path.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '#' | '\\' | '"')) {
        Some(c) => Err(format!("the path holds {c:?}")),
        None => Ok(Logged { at_ns, method, path: path.to_owned() }),
    }
}

/// Of a request target, without scheme and host where it has them (RFC 9112, section 3.2.2).
fn path_of(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
    else {
        return target;
    };
    rest.find('/').map_or("/", |at| &rest[at..])
}

type Found = (i128, String, String);

fn json(line: &str) -> Result<Found, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
    let text = |key: &&str| match value.get(*key)? {
        Value::String(text) if text != "-" && !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let when = TIME_KEYS.iter().find_map(text).ok_or_else(|| missing("time", &TIME_KEYS))?;
    let at_ns = time::epoch(&when).or_else(|| time::clf(&when)).or_else(|| time::iso_8601(&when));
    let at_ns = at_ns.ok_or_else(|| format!("'{}' is no time", crate::check::escape(when.as_bytes())))?;
    if let Some(request) = text(&"request")
        && let Ok((method, target)) = request_line(&request)
    {
        return Ok((at_ns, method, target));
    }
    let method = METHOD_KEYS.iter().find_map(text).ok_or_else(|| missing("method", &METHOD_KEYS))?;
    let target = PATH_KEYS.iter().find_map(text).ok_or_else(|| missing("path", &PATH_KEYS))?;
    Ok((at_ns, method, target))
}

fn missing(what: &str, keys: &[&str]) -> String {
    format!("no {what}: none of {} is there", keys.join(", "))
}

/// `… [time] "GET /path HTTP/1.1" …`
fn common(line: &str) -> Result<Found, String> {
    let wrong = || "neither JSON nor the common log format".to_owned();
    let (_, rest) = line.split_once(" [").ok_or_else(wrong)?;
    let (when, rest) = rest.split_once(']').ok_or_else(wrong)?;
    let (_, rest) = rest.split_once('"').ok_or_else(wrong)?;
    let (request, _) = rest.split_once('"').ok_or_else(wrong)?;
    let at_ns = time::clf(when).or_else(|| time::iso_8601(when));
    let at_ns = at_ns.ok_or_else(|| format!("'{}' is no time", crate::check::escape(when.as_bytes())))?;
    let (method, target) = request_line(request)?;
    Ok((at_ns, method, target))
}

fn request_line(line: &str) -> Result<(String, String), String> {
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(format!("'{}' is no request line", crate::check::escape(line.as_bytes())));
    };
    Ok((method.to_owned(), target.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_NS: i128 = 1_440_938_160_000_000_000;

    #[test]
    fn the_usual_formats_are_read() {
        let lines = [
            r#"192.0.2.1 - frank [30/Aug/2015:12:36:00 +0000] "GET /a?b=c HTTP/1.1" 200 2326"#,
            r#"::1 - - [30/Aug/2015:12:36:00 +0000] "GET /a?b=c HTTP/2.0" 200 5 "http://r.test/" "curl \"x\"""#,
            r#"192.0.2.1 - - [30/Aug/2015:12:36:00 +0000] "GET http://a.test/a?b=c HTTP/1.1" 200 5 req-1"#,
            r#"{"requestTime":"30/Aug/2015:12:36:00 +0000","httpMethod":"GET","path":"/a?b=c","resourcePath":"/{x}"}"#,
            r#"{"requestTimeEpoch":1440938160000,"requestTime":"-","method":"GET","uri":"/a?b=c"}"#,
            r#"{"time":"2015-08-30T12:36:00Z","request":"GET /a?b=c HTTP/1.1","status":"200"}"#,
        ];
        for line in lines {
            let wanted = Logged { at_ns: AT_NS, method: "GET".into(), path: "/a?b=c".into() };
            assert_eq!(parse(line), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn what_can_not_be_sent_again_is_told() {
        let lines = [
            ("", "neither JSON"),
            ("hello", "neither JSON"),
            ("{", "no JSON"),
            (r#"{"a":1}"#, "no time"),
            (r#"{"time":"yesterday","method":"GET","path":"/"}"#, "'yesterday' is no time"),
            (r#"{"time":1,"path":"/"}"#, "no method"),
            (r#"{"time":1,"method":"GET"}"#, "no path"),
            (r#"{"time":1,"method":"GET","resourcePath":"/a/{id}"}"#, "$context.path"),
            (r#"x - - [30/Aug/2015:12:36:00 +0000] "\x16\x03" 400 0"#, "no request line"),
            (r#"x - - [30/Aug/2015:12:36:00 +0000] "GET /\x22 HTTP/1.1" 400 0"#, "'\\\\'"),
            (r#"x - - [30/Aug/2015:12:36:00 +0000] "OPTIONS * HTTP/1.1" 200 0"#, "'*' is no path"),
            (r#"x - - [30/Aug/2015:12:36:00 +0000] "CONNECT /a HTTP/1.1" 200 0"#, "CONNECT"),
            (r#"x - - [now] "GET / HTTP/1.1" 200 0"#, "'now' is no time"),
        ];
        for (line, reason) in lines {
            let error = parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
