//! A management client on a plain socket, one connection a call.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use turnpike_control::sigv4::{AccessKey, SignedRequest, sign};
use turnpike_control::time::now_s;

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) key: AccessKey,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// `null` when there is none.
    pub(crate) body: Value,
}

impl Answer {
    /// The named string member; panics with the whole answer when it isn't there.
    pub(crate) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.text("message")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn error(&self) -> &str {
        self.header("x-amzn-errortype").unwrap_or("")
    }
}

impl Client {
    /// A signed call; `target` is the path and perhaps a query.
    pub(crate) fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        self.try_call(method, target, body).unwrap_or_else(|error| panic!("{method} {target}: {error}"))
    }

    /// As [`Self::call`], for a server that may go away.
    pub(crate) fn try_call(&self, method: &str, target: &str, body: &str) -> io::Result<Answer> {
        self.try_signed("apigateway", &[], method, target, body)
    }

    /// A call of ACM's that has to succeed.
    pub(crate) fn acm(&self, action: &str, body: &Value) -> Value {
        let answer = self.try_acm(action, body);
        assert_eq!(answer.status, 200, "{action} {body}: {answer:?}");
        answer.body
    }

    pub(crate) fn try_acm(&self, action: &str, body: &Value) -> Answer {
        let target = [("x-amz-target".to_owned(), format!("CertificateManager.{action}"))];
        let answer = self.try_signed("acm", &target, "POST", "/", &body.to_string());
        answer.unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// A call of IAM's or STS's: the status and the XML.
    pub(crate) fn query(&self, service: &str, form: &str) -> (u16, String) {
        let kind = [("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let bytes = self.signed_bytes(service, &kind, "POST", "/", form);
        let answer = self.send_text(&bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        status.zip(body).unwrap_or_else(|| panic!("{form}: {answer}"))
    }

    /// A call of IAM's that has to succeed.
    pub(crate) fn iam(&self, form: &str) -> String {
        let (status, answer) = self.query("iam", form);
        assert_eq!(status, 200, "{form}: {answer}");
        answer
    }

    fn try_signed(
        &self,
        service: &str,
        extra: &[(String, String)],
        method: &str,
        target: &str,
        body: &str,
    ) -> io::Result<Answer> {
        self.send(&self.signed_bytes(service, extra, method, target, body))
    }

    fn signed_bytes(
        &self,
        service: &str,
        extra: &[(String, String)],
        method: &str,
        target: &str,
        body: &str,
    ) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = self.address.to_string();
        let mut headers = vec![("host".to_owned(), host.clone())];
        headers.extend_from_slice(extra);
        let request = SignedRequest { method, path, query, headers: &headers, body: body.as_bytes() };
        let signed = sign(&request, &self.key, "us-east-1", service, now_s());
        let extra: String = extra.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{extra}X-Amz-Date: {}\r\nAuthorization: {}\r\n",
            signed.x_amz_date, signed.authorization
        );
        format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    /// A signed call's bytes.
    pub(crate) fn signed(&self, method: &str, target: &str, body: &str) -> String {
        self.signed_bytes("apigateway", &[], method, target, body)
    }

    /// A call that has to succeed with this status.
    pub(crate) fn expect(&self, status: u16, method: &str, target: &str, body: &str) -> Answer {
        let answer = self.call(method, target, body);
        assert_eq!(answer.status, status, "{method} {target} {body}: {answer:?}");
        answer
    }

    /// A call that has to be refused with this error, its message containing this text.
    pub(crate) fn refused(
        &self,
        status: u16,
        error: &str,
        text: &str,
        method: &str,
        target: &str,
        body: &str,
    ) {
        let answer = self.expect(status, method, target, body);
        assert_eq!(answer.error(), error, "{method} {target} {body}: {answer:?}");
        assert!(answer.message().contains(text), "{method} {target} {body}: {answer:?}");
        assert!(answer.header("x-amzn-requestid").is_some_and(|id| id.len() == 36), "{answer:?}");
    }

    /// Bytes as they are, which have to end the connection.
    pub(crate) fn send(&self, bytes: &str) -> io::Result<Answer> {
        let answer = self.send_text(bytes)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length != body.len().to_string()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body)? };
        Ok(Answer { status, head: head.to_owned(), body })
    }

    fn send_text(&self, bytes: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        // A server that is stuck fails the test, which would wait for ever.
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.write_all(bytes.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
