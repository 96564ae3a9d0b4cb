//! A scenario as it is typed. Unknown keys are errors; every text that may be a template knows where it stands.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

/// A text and its place in the file.
pub(super) type Placed = Spanned<String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) seed: Option<u64>,
    pub(super) requests_per_connection: Option<Spanned<u64>>,
    /// By name.
    #[serde(default)]
    pub(super) limits: BTreeMap<String, Spanned<u64>>,
    /// For requests that say nothing else.
    pub(super) think: Option<Placed>,
    /// Of every request.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Placed>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Placed>,
    #[serde(default)]
    pub(super) signer: BTreeMap<String, Spanned<Signer>>,
    #[serde(default)]
    pub(super) request: Vec<Spanned<Request>>,
    #[serde(default)]
    pub(super) flow: Vec<Spanned<Flow>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Flow {
    pub(super) name: Option<String>,
    #[serde(default = "one")]
    pub(super) weight: u64,
    #[serde(default)]
    pub(super) step: Vec<Spanned<Request>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) name: Option<String>,
    pub(super) weight: Option<u64>,
    pub(super) method: Option<Placed>,
    pub(super) url: Placed,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Placed>,
    pub(super) body: Option<Placed>,
    pub(super) body_file: Option<Placed>,
    pub(super) body_random_bytes: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) chunked: bool,
    #[serde(default)]
    pub(super) expect: Expect,
    #[serde(default)]
    pub(super) extract: BTreeMap<String, Spanned<Extract>>,
    pub(super) think: Option<Placed>,
    /// A signer's name.
    pub(super) sign: Option<Placed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) status: Option<Spanned<Statuses>>,
    #[serde(default)]
    pub(super) header: BTreeMap<String, Placed>,
    #[serde(default)]
    pub(super) header_contains: BTreeMap<String, Placed>,
    #[serde(default)]
    pub(super) header_present: Vec<Placed>,
    pub(super) body: Option<Placed>,
    pub(super) body_contains: Option<Spanned<Texts>>,
    pub(super) body_sha256: Option<Placed>,
    pub(super) body_bytes: Option<u64>,
}

/// `200`, `"200-299,404"` or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a status code, a range like \"200-299\", or a list of them")]
pub(super) enum Statuses {
    One(Status),
    Several(Vec<Status>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a status code, or a range like \"200-299\"")]
pub(super) enum Status {
    Code(u16),
    Range(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum Texts {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extract {
    /// A JSON pointer (RFC 6901).
    pub(super) json: Option<String>,
    pub(super) header: Option<String>,
    pub(super) regex: Option<String>,
    pub(super) group: Option<usize>,
    /// Where the reply has no such value; without it, that is an error.
    pub(super) default: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signer {
    pub(super) service: String,
    /// Else the environment's AWS_REGION or AWS_DEFAULT_REGION.
    pub(super) region: Option<String>,
    /// Else the environment's access key.
    pub(super) credentials_file: Option<String>,
    pub(super) profile: Option<String>,
    #[serde(default)]
    pub(super) unsigned_payload: bool,
}

fn one() -> u64 {
    1
}

/// Errors begin with the line, and name the key where there is one.
pub(super) fn parse(text: &str) -> Result<Scenario, String> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let is_told = |key: &&str| !error.message().contains(&format!("`{key}`"));
        let key = key_of(text, &span).filter(is_told).map(|key| format!("{key}: ")).unwrap_or_default();
        format!("{}: {key}{}", line_of(text, span.start), error.message())
    })
}

/// The key whose value stands at a place, or that stands there itself.
fn key_of<'a>(text: &'a str, span: &Range<usize>) -> Option<&'a str> {
    let before = text.get(..span.start)?;
    let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    let key = match line.rfind('=') {
        Some(sign) => {
            let begin = line[..sign].rfind(['{', ',']).map_or(0, |at| at + 1);
            line[begin..sign].trim()
        }
        None => text.get(span.clone())?,
    };
    let is_key = |c: char| c.is_alphanumeric() || "_-.\"'".contains(c);
    (!key.is_empty() && key.chars().all(is_key)).then_some(key)
}

/// The line in which a byte stands.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
