//! Checks from the command line; they hold for every request of a run, scenario or not.

use clap::Args;
use memchr::memmem::Finder;

use super::{Check, StatusSet, parse_sha256};
use crate::limits::{Limit, Limits};
use crate::list::text_or_file;

const CAPTURED_BODY_BYTES_MAX: u64 = 16 << 20;
const CAPTURED_BODY_BYTES_CEILING: u64 = 1 << 30;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Checks")]
pub struct CheckArgs {
    /// Count replies of any other status as errors: 200 or 200,300-399
    #[arg(long, value_name = "CODES")]
    pub expect_status: Option<StatusSet>,

    /// Count replies with a body of any other length as errors
    #[arg(long, value_name = "N")]
    pub expect_body_bytes: Option<u64>,

    /// Count replies without this header field as errors: 'Name: value', or 'Name' for any value; repeatable
    #[arg(long = "expect-header", value_name = "FIELD")]
    pub expect_headers: Vec<String>,

    /// Count replies with any other body as errors: the text itself, or @FILE for a file's content
    #[arg(long, value_name = "TEXT|@FILE")]
    pub expect_body: Option<String>,

    /// Count replies whose body doesn't hold this text as errors; repeatable
    #[arg(long, value_name = "TEXT")]
    pub expect_body_contains: Vec<String>,

    /// Count replies whose body has any other SHA-256 as errors
    #[arg(long, value_name = "HEX")]
    pub expect_body_sha256: Option<String>,

    /// Most bytes of a reply's body that are kept for checks and extractions
    #[arg(long, value_name = "N", default_value_t = CAPTURED_BODY_BYTES_MAX)]
    pub captured_body_bytes_max: u64,
}

impl CheckArgs {
    /// The checks, files read.
    pub fn check(&self, limits: &Limits) -> Result<Vec<Check>, String> {
        if self.captured_body_bytes_max > CAPTURED_BODY_BYTES_CEILING {
            return Err(format!("--captured-body-bytes-max: up to {CAPTURED_BODY_BYTES_CEILING}"));
        }
        let mut checks = Vec::new();
        checks.extend(self.expect_status.clone().map(Check::Status));
        checks.extend(self.expect_body_bytes.map(Check::BodyBytes));
        for header in &self.expect_headers {
            checks.push(field_check(header).map_err(|reason| format!("--expect-header: {reason}"))?);
        }
        if let Some(body) = &self.expect_body {
            let read = text_or_file(body, limits, Limit::BodyBytes);
            checks.push(Check::BodyEquals(read.map_err(|reason| format!("--expect-body {reason}"))?.0));
        }
        for part in &self.expect_body_contains {
            checks.push(Check::BodyContains(Finder::new(part).into_owned()));
        }
        if let Some(hash) = &self.expect_body_sha256 {
            let hash = parse_sha256(hash).map_err(|reason| format!("--expect-body-sha256: {reason}"))?;
            checks.push(Check::BodySha256(hash));
        }
        Ok(checks)
    }
}

fn field_check(header: &str) -> Result<Check, String> {
    let (name, value) = match header.split_once(':') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (header.trim(), None),
    };
    if name.is_empty() || !name.bytes().all(crate::reply::is_token) {
        return Err(format!("'{name}' is not a header name"));
    }
    let name = name.to_ascii_lowercase();
    Ok(match value {
        Some(value) => Check::FieldEquals { name, value: value.into() },
        None => Check::FieldPresent(name),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        checks: CheckArgs,
    }

    fn check(args: &[&str]) -> Result<Vec<Check>, String> {
        let line = Line::try_parse_from(["x"].iter().chain(args)).map_err(|error| error.to_string())?;
        line.checks.check(&Limits::default())
    }

    #[test]
    fn each_option_becomes_a_check() {
        let hash = "00".repeat(32);
        let checks = check(&[
            "--expect-status",
            "200-299",
            "--expect-header",
            "Content-Type: a/b",
            "--expect-header",
            "ETag",
            "--expect-body",
            "x",
            "--expect-body-contains",
            "a",
            "--expect-body-contains",
            "b",
            "--expect-body-sha256",
            &hash,
            "--expect-body-bytes",
            "1",
        ]);
        let names: Vec<String> = checks.unwrap().iter().map(Check::name).collect();
        let wanted = "status|body's length|header content-type|header etag is present|body|body contains|\
            body contains|body's SHA-256";
        assert_eq!(names.join("|"), wanted);
        assert!(check(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_can_not_be_checked_is_refused() {
        let cases: [(&[&str], &str); 5] = [
            (&["--expect-status", "2xx"], "not a status code"),
            (&["--expect-header", ": x"], "--expect-header"),
            (&["--expect-body", "@/nonexistent"], "--expect-body"),
            (&["--expect-body-sha256", "abc"], "--expect-body-sha256"),
            (&["--captured-body-bytes-max", "99999999999"], "--captured-body-bytes-max"),
        ];
        for (args, reason) in cases {
            let error = check(args).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
