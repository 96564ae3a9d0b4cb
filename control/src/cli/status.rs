//! `status`: asks a running control, with a signed call of its own, and prints the answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::checked::StatusSettings;
use super::options::StatusArgs;
use super::serve::say;
use crate::api::{SIGNING_NAME, STATUS_PATH, Status};
use crate::root_key::{self, ID_ENV, SECRET_ENV};
use crate::sigv4::{SignedRequest, sign};
use crate::time::now_s;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Far above what a large fleet's status has.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

pub(super) async fn run(args: StatusArgs) -> Result<(), String> {
    let settings = args.settings()?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask(&settings)).await;
    let answer =
        answer.map_err(|_| format!("{} didn't answer within {ANSWER_TIMEOUT:?}", settings.listen))??;
    say(&describe(&parse_answer(&answer)?))
}

async fn ask(settings: &StatusSettings) -> Result<Vec<u8>, String> {
    let key = root_key::load(&settings.data_dir).map_err(|error| error.to_string())?;
    let host = settings.listen.to_string();
    let headers = [("host".to_owned(), host.clone())];
    let request = SignedRequest { method: "GET", path: STATUS_PATH, query: "", headers: &headers, body: b"" };
    let signed = sign(&request, &key, &settings.region, SIGNING_NAME, now_s());
    let text = format!(
        "GET {STATUS_PATH} HTTP/1.1\r\nhost: {host}\r\nx-amz-date: {}\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
        signed.x_amz_date, signed.authorization
    );
    let mut stream = TcpStream::connect(settings.listen).await.map_err(|error| {
        format!("no turnpike-control answers at {host}: {error}. Name its address with --listen")
    })?;
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(text.as_bytes()).await?;
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await
    };
    talk.await.map_err(|error| format!("{host} broke off: {error}"))?;
    Ok(answer)
}

/// The answer of the API's own server, which gives a length and then closes, as it was asked to.
fn parse_answer(answer: &[u8]) -> Result<Status, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or("what answered isn't a turnpike-control: it doesn't speak HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or("");
    if status == "403" {
        return Err(format!(
            "turnpike-control answered 403: {body}. The key is read from its data directory, named with --data-dir, \
             unless {ID_ENV} and {SECRET_ENV} are set"
        ));
    }
    if status != "200" {
        return Err(format!("turnpike-control answered {status}: {body}"));
    }
    serde_json::from_str(body).map_err(|error| format!("the answer can't be read: {error}"))
}

fn describe(status: &Status) -> String {
    let mut lines = vec![format!("newest version {}", status.version)];
    if status.gateways.is_empty() {
        lines.push("no gateway is connected".to_owned());
    }
    for gateway in &status.gateways {
        let serving = gateway.serving_version;
        let state = match &gateway.refused {
            Some((version, reason)) => {
                format!("serves version {serving}, refused version {version}: {reason}")
            }
            None if serving < status.version => format!("serves version {serving}, catching up"),
            None => format!("serves version {serving}"),
        };
        lines.push(format!("gateway {} {state}", gateway.id));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StatusGateway;

    #[test]
    fn answers_are_told() {
        let gateway = |id: &str, serving_version, refused: Option<(u64, &str)>| StatusGateway {
            id: id.to_owned(),
            serving_version,
            refused: refused.map(|(version, reason)| (version, reason.to_owned())),
        };
        let gateways =
            vec![gateway("a", 7, None), gateway("b", 6, None), gateway("c", 5, Some((7, "too large")))];
        let body = serde_json::to_string(&Status { version: 7, gateways }).expect("JSON");
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}");
        let told = describe(&parse_answer(answer.as_bytes()).expect("read back"));
        assert_eq!(
            told,
            "newest version 7\ngateway a serves version 7\ngateway b serves version 6, catching up\n\
             gateway c serves version 5, refused version 7: too large"
        );
    }

    #[test]
    fn refusals_are_told() {
        let error = parse_answer(b"HTTP/1.1 403 Forbidden\r\n\r\n{\"message\":\"no\"}").expect_err("refused");
        for part in ["403", "no", "--data-dir", ID_ENV, SECRET_ENV] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let error = parse_answer(b"HTTP/1.1 500 Oops\r\n\r\nno").expect_err("failed");
        assert!(error.contains("500") && !error.contains("--data-dir"), "{error}");
        assert!(parse_answer(b"SSH-2.0").is_err());
    }
}
