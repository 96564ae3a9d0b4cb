//! The management API as commands call it: whom they ask, with which key, and what an answer says.

use std::path::Path;

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::call::{Answer, Caller};
use super::checked::StatusSettings;
use super::options::Output;
use crate::root_key::{self, ID_ENV, SECRET_ENV};
use crate::sigv4::AccessKey;

const ENDPOINT_URL: &str = "http://127.0.0.1:9080";
const REGION: &str = "us-east-1";
const DATA_DIR: &str = "turnpike-data";
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Options of every command that asks a running control.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where to ask")]
pub(super) struct Reach {
    /// Address of the management API [default: http://127.0.0.1:9080]
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// Its region; AWS_DEFAULT_REGION is taken too [default: us-east-1]
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub(super) region: Option<String>,
    /// Its data directory, whose root access key is used without AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    /// [default: turnpike-data]
    #[arg(long, env = "TURNPIKE_CONTROL_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<std::path::PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    pub(super) output: Output,
}

/// A running control, and how to print what it answers.
#[derive(Debug)]
pub(super) struct Client {
    authority: String,
    key: AccessKey,
    region: String,
    pub(super) output: Output,
    address_hint: &'static str,
}

impl Reach {
    /// # Errors
    /// When the URL isn't one, or there is no key.
    pub(super) fn client(&self) -> Result<Client, String> {
        let key = match access_key(variable)? {
            Some(key) => key,
            None => root_access_key(self.data_dir.as_deref())?,
        };
        Client::new(self.endpoint_url.as_deref(), self.region.clone(), key, self.output)
    }
}

impl StatusSettings {
    /// # Errors
    /// As [`Reach::client`].
    pub(super) fn client(self, output: Output) -> Result<Client, String> {
        let key = match (&self.data_dir, access_key(variable)?) {
            // Whoever names a data directory means its control.
            (None, Some(key)) => key,
            (data_dir, _) => root_access_key(data_dir.as_deref())?,
        };
        let named = self.listen.map(|address| format!("http://{address}"));
        let endpoint_url = named.or_else(|| variable("AWS_ENDPOINT_URL"));
        let region = self.region.or_else(|| variable("AWS_REGION"));
        let client = Client::new(endpoint_url.as_deref(), region, key, output)?;
        Ok(Client { address_hint: "Name its address with --listen or AWS_ENDPOINT_URL", ..client })
    }
}

fn root_access_key(data_dir: Option<&Path>) -> Result<AccessKey, String> {
    root_key::load(data_dir.unwrap_or(Path::new(DATA_DIR))).map_err(|error| {
        format!(
            "{error}. Or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which turnpike-control up prints"
        )
    })
}

impl Client {
    fn new(
        endpoint_url: Option<&str>,
        region: Option<String>,
        key: AccessKey,
        output: Output,
    ) -> Result<Self, String> {
        let region = region.or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| REGION.to_owned());
        let authority = authority(endpoint_url.unwrap_or(ENDPOINT_URL))?;
        let address_hint = "Name its address with --endpoint-url or AWS_ENDPOINT_URL";
        Ok(Self { authority, key, region, output, address_hint })
    }

    /// Calls, and has `null` for an answer without a body.
    ///
    /// # Errors
    /// When nobody answers, or the answer is a refusal.
    pub(super) async fn call(&self, method: &str, target: &str, body: &[u8]) -> Result<Value, String> {
        let answer = self.ask(method, target, body).await?;
        parsed(&answer)
    }

    /// A document as it is.
    pub(super) async fn download(&self, target: &str, accept: &str) -> Result<String, String> {
        let answer = self.caller(accept).call("GET", target, b"").await?;
        refusal(&answer).map_or(Ok(answer.body), Err)
    }

    pub(super) async fn get(&self, target: &str) -> Result<Value, String> {
        self.call("GET", target, b"").await
    }

    /// What is there, or nothing where the answer is 404.
    pub(super) async fn find(&self, target: &str) -> Result<Option<Value>, String> {
        let answer = self.ask("GET", target, b"").await?;
        match answer.status {
            404 => Ok(None),
            _ => parsed(&answer).map(Some),
        }
    }

    pub(super) async fn post(&self, target: &str, body: &Value) -> Result<Value, String> {
        self.call("POST", target, body.to_string().as_bytes()).await
    }

    pub(super) async fn put(&self, target: &str, body: &Value) -> Result<Value, String> {
        self.call("PUT", target, body.to_string().as_bytes()).await
    }

    pub(super) async fn patch(&self, target: &str, body: &Value) -> Result<Value, String> {
        self.call("PATCH", target, body.to_string().as_bytes()).await
    }

    pub(super) async fn delete(&self, target: &str) -> Result<(), String> {
        self.call("DELETE", target, b"").await.map(drop)
    }

    /// Every page of a list, of either service.
    pub(super) async fn list(&self, target: &str) -> Result<Vec<Value>, String> {
        let (limit, token, items, next) = match target.starts_with("/v2/") {
            true => ("maxResults", "nextToken", "items", "nextToken"),
            false => ("limit", "position", "item", "position"),
        };
        let separator = if target.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        let mut position = String::new();
        loop {
            let mut page = self.get(&format!("{target}{separator}{limit}=500{position}")).await?;
            match page[items].take() {
                Value::Array(more) => all.extend(more),
                _ => return Err(format!("the answer to GET {target} has no list in it")),
            }
            match page[next].as_str() {
                Some(last) => position = format!("&{token}={}", segment(last)),
                None => return Ok(all),
            }
        }
    }

    async fn ask(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, String> {
        self.caller("application/json").call(method, target, body).await
    }

    fn caller<'a>(&'a self, accept: &'a str) -> Caller<'a> {
        Caller {
            authority: &self.authority,
            key: &self.key,
            region: &self.region,
            accept,
            address_hint: self.address_hint,
        }
    }
}

/// Text as a segment of a path, or a value of a query.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// A text member, or nothing.
pub(super) fn text(value: &Value, member: &str) -> String {
    match &value[member] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn parsed(answer: &Answer) -> Result<Value, String> {
    if let Some(refusal) = refusal(answer) {
        return Err(refusal);
    }
    match answer.body.is_empty() {
        true => Ok(Value::Null),
        false => {
            serde_json::from_str(&answer.body).map_err(|_| "turnpike-control's answer isn't JSON".to_owned())
        }
    }
}

/// What is to be told of an answer that isn't a success, and what to do about it.
fn refusal(answer: &Answer) -> Option<String> {
    let Answer { status, body } = answer;
    let document: Option<Value> = serde_json::from_str(body).ok();
    let message = document.as_ref().and_then(|document| document["message"].as_str()).unwrap_or(body);
    match status {
        200..=299 => None,
        403 => Some(format!(
            "turnpike-control answered 403: {}. Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the data \
             directory, or {ID_ENV} and {SECRET_ENV}), the region, and what the key's user may do",
            message.trim_end_matches(['.', ' ', '\n'])
        )),
        _ => Some(format!("turnpike-control answered {status}: {message}")),
    }
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The key that the AWS CLI takes from the environment too.
fn access_key(variable: impl Fn(&str) -> Option<String>) -> Result<Option<AccessKey>, String> {
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Ok(Some(AccessKey { id, secret })),
        (None, None) => Ok(None),
        _ => Err("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have to be set together: turnpike-control up prints both as export \
                  lines"
            .to_owned()),
    }
}

/// Host and port of `http://host:port`.
fn authority(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        format!("the endpoint URL '{url}' has to begin with http://: the management API speaks plain HTTP")
    })?;
    let authority = rest.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
        return Err(format!("the endpoint URL '{url}' has to be http://HOST:PORT"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_plain_http() {
        assert_eq!(authority("http://127.0.0.1:9080").as_deref(), Ok("127.0.0.1:9080"));
        assert_eq!(authority("http://h/").as_deref(), Ok("h:80"));
        assert_eq!(authority("http://[::1]:9080/").as_deref(), Ok("[::1]:9080"));
        for url in ["https://h", "h:9080", "http://", "http://h/x", "http://u@h"] {
            assert!(authority(url).expect_err(url).contains(url));
        }
    }

    #[test]
    fn answers_are_understood() {
        let parsed = |status, body: &str| parsed(&Answer { status, body: body.to_owned() });
        assert_eq!(parsed(200, "{\"a\":1}"), Ok(serde_json::json!({"a": 1})));
        assert_eq!(parsed(202, ""), Ok(Value::Null));
        assert!(parsed(400, "{\"message\":\"no\"}").expect_err("refused").ends_with("400: no"));
        assert!(parsed(403, "{\"message\":\"no\"}").expect_err("refused").contains("AWS_SECRET_ACCESS_KEY"));
        assert!(parsed(200, "no").is_err());
    }

    #[test]
    fn half_a_key_is_refused() {
        assert!(access_key(|name| (name == "AWS_ACCESS_KEY_ID").then(|| "x".to_owned())).is_err());
        assert_eq!(access_key(|_| None), Ok(None));
    }
}
