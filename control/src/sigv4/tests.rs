//! AWS's published examples, and every way in which a signature can be wrong.

use super::*;
use crate::time::parse_amz_date;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn key() -> AccessKey {
    AccessKey { id: "AKIDEXAMPLE".to_owned(), secret: SECRET.to_owned() }
}

fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn at(amz_date: &str) -> i64 {
    parse_amz_date(amz_date).expect("a date")
}

/// Method, path, query, further headers, body, signature.
type Example = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

/// Part of AWS's SigV4 test suite: all are signed with the example key at 20150830T123600Z for us-east-1 and `service`.
const SUITE: &[Example] = &[
    ("GET", "/", "", &[], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    (
        "GET",
        "/",
        "Param2=value2&Param1=value1",
        &[],
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    ("POST", "/", "", &[], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "POST",
        "/",
        "",
        &[("Content-Type", "application/x-www-form-urlencoded")],
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
];

#[test]
fn aws_suite_signs_and_verifies() {
    for (method, path, query, extra, body, signature) in SUITE {
        let mut list = headers(&[("Host", "example.amazonaws.com")]);
        list.extend(headers(extra));
        let request = SignedRequest { method, path, query, headers: &list, body: body.as_bytes() };
        let signed = sign(&request, &key(), "us-east-1", "service", at("20150830T123600Z"));
        assert!(
            signed.authorization.ends_with(signature),
            "{method} {path}?{query}: {}",
            signed.authorization
        );

        list.push(("X-Amz-Date".to_owned(), "20150830T123600Z".to_owned()));
        list.push(("Authorization".to_owned(), signed.authorization));
        let request = SignedRequest { method, path, query, headers: &list, body: body.as_bytes() };
        let key = key();
        let policy = Policy { key: &key, regions: &["us-east-1"], service: "service", clock_skew_s_max: 900 };
        assert_eq!(verify(&request, &policy, at("20150830T123600Z")), Ok(()));
    }
}

/// The GET that the IAM guide's walk-through signs for `iam`.
#[test]
fn aws_walk_through_verifies() {
    let list = headers(&[
        ("Host", "iam.amazonaws.com"),
        ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("X-Amz-Date", "20150830T123600Z"),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ]);
    let request = SignedRequest {
        method: "GET",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers: &list,
        body: b"",
    };
    let key = key();
    let policy =
        Policy { key: &key, regions: &["eu-west-1", "us-east-1"], service: "iam", clock_skew_s_max: 900 };
    assert_eq!(verify(&request, &policy, at("20150830T123600Z")), Ok(()));
}

/// A signed `POST /v2/apis`, to be spoilt.
struct Call {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: Vec<(String, String)>,
    body: &'static str,
    now: &'static str,
    region: &'static str,
    service: &'static str,
}

impl Call {
    fn signed() -> Self {
        let mut headers = headers(&[("Host", "127.0.0.1:9080"), ("Content-Type", "application/json")]);
        let request =
            SignedRequest { method: "POST", path: "/v2/apis", query: "", headers: &headers, body: b"{}" };
        let signed = sign(&request, &key(), "us-east-1", "apigateway", at("20261121T080000Z"));
        headers.push(("X-Amz-Date".to_owned(), signed.x_amz_date));
        headers.push(("Authorization".to_owned(), signed.authorization));
        Self {
            method: "POST",
            path: "/v2/apis",
            query: "",
            headers,
            body: "{}",
            now: "20261121T080000Z",
            region: "us-east-1",
            service: "apigateway",
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(n, _)| n == name).expect("the header").1
    }

    fn without(&mut self, name: &str) {
        self.headers.retain(|(n, _)| n != name);
    }

    fn verify(&self) -> Result<(), AuthError> {
        let request = SignedRequest {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: &self.headers,
            body: self.body.as_bytes(),
        };
        let key = key();
        let policy =
            Policy { key: &key, regions: &[self.region], service: self.service, clock_skew_s_max: 900 };
        verify(&request, &policy, at(self.now))
    }
}

#[test]
fn every_spoilt_part_is_noticed() {
    type Spoil = fn(&mut Call);
    let table: &[(&str, Spoil, &str)] = &[
        ("method", |c| c.method = "DELETE", "InvalidSignatureException"),
        ("path", |c| c.path = "/v2/apis/x", "InvalidSignatureException"),
        ("query", |c| c.query = "a=1", "InvalidSignatureException"),
        ("body", |c| c.body = "{ }", "InvalidSignatureException"),
        (
            "signed header",
            |c| *c.header("Content-Type") = "text/plain".to_owned(),
            "InvalidSignatureException",
        ),
        ("host", |c| *c.header("Host") = "elsewhere".to_owned(), "InvalidSignatureException"),
        ("no host", |c| c.without("Host"), "InvalidSignatureException"),
        ("late", |c| c.now = "20261121T081501Z", "InvalidSignatureException"),
        ("early", |c| c.now = "20261121T074459Z", "InvalidSignatureException"),
        ("region", |c| c.region = "eu-west-1", "InvalidSignatureException"),
        ("service", |c| c.service = "iam", "InvalidSignatureException"),
        ("no date", |c| c.without("X-Amz-Date"), "IncompleteSignatureException"),
        ("bad date", |c| *c.header("X-Amz-Date") = "20261121".to_owned(), "IncompleteSignatureException"),
        ("no authorization", |c| c.without("Authorization"), "MissingAuthenticationTokenException"),
        ("bearer", |c| *c.header("Authorization") = "Bearer x".to_owned(), "IncompleteSignatureException"),
        (
            "key",
            |c| *c.header("Authorization") = c.header("Authorization").replace("AKIDEXAMPLE", "AKIDOTHER"),
            "UnrecognizedClientException",
        ),
        (
            "unsigned host",
            |c| *c.header("Authorization") = c.header("Authorization").replace(";host;", ";"),
            "InvalidSignatureException",
        ),
        (
            "unsigned target",
            |c| {
                c.headers.push(("X-Amz-Target".to_owned(), "CertificateManager.DeleteCertificate".to_owned()))
            },
            "InvalidSignatureException",
        ),
        (
            "session token",
            |c| c.headers.push(("X-Amz-Security-Token".to_owned(), "t".to_owned())),
            "UnrecognizedClientException",
        ),
        (
            "payload hash",
            |c| c.headers.push(("X-Amz-Content-Sha256".to_owned(), "UNSIGNED-PAYLOAD".to_owned())),
            "InvalidSignatureException",
        ),
        (
            "presigned",
            |c| {
                c.without("Authorization");
                c.query = "X-Amz-Signature=ab";
            },
            "IncompleteSignatureException",
        ),
    ];
    assert_eq!(Call::signed().verify(), Ok(()));
    for (name, spoil, code) in table {
        let mut call = Call::signed();
        spoil(&mut call);
        assert_eq!(call.verify().map_err(|e| e.code()), Err(*code), "{name}");
    }
}

#[test]
fn errors_have_awss_words() {
    type Spoil = fn(&mut Call);
    let table: &[(Spoil, &str)] = &[
        (
            |c| c.now = "20261121T081501Z",
            "Signature expired: 20261121T080000Z is now earlier than 20261121T080001Z (20261121T081501Z - 15 min.)",
        ),
        (
            |c| c.now = "20261121T074459Z",
            "Signature not yet current: 20261121T080000Z is still later than 20261121T075959Z (20261121T074459Z + 15 min.)",
        ),
        (
            |c| c.region = "eu-west-1",
            "Credential should be scoped to a valid region, not 'us-east-1': it is 'eu-west-1'. ",
        ),
        (|c| c.service = "iam", "Credential should be scoped to correct service: 'iam'. "),
        (
            |c| *c.header("X-Amz-Date") = "20261122T080000Z".to_owned(),
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261121' != '20261122', from '20261122T080000Z'.",
        ),
    ];
    for (spoil, message) in table {
        let mut call = Call::signed();
        spoil(&mut call);
        assert_eq!(call.verify().expect_err(message).to_string(), *message);
    }
    let error = Call { body: "{ }", ..Call::signed() }.verify().expect_err("tampered").to_string();
    for part in
        ["we calculated does not match", "'POST\n/v2/apis\n\n", "'AWS4-HMAC-SHA256\n20261121T080000Z\n"]
    {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    assert!(!error.contains(SECRET));
}

/// What calls read differently is signed differently.
#[test]
fn a_plus_is_not_another_way_to_write_its_escape() {
    let list = headers(&[("Host", "127.0.0.1:9080")]);
    let call = |query: &'static str| {
        let request = SignedRequest { method: "DELETE", path: "/tags/x", query, headers: &list, body: b"" };
        sign(&request, &key(), "us-east-1", "apigateway", at("20261121T080000Z")).authorization
    };
    assert_ne!(call("tagKeys=a+b"), call("tagKeys=a%2Bb"));
    assert_eq!(call("tagKeys=a+b"), call("tagKeys=a%20b"));
}

#[test]
fn a_claim_is_what_the_request_says() {
    let call = Call::signed();
    let request = SignedRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &call.headers,
        body: b"not what was signed",
    };
    assert_eq!(Claim::of(&request), Ok(Claim { access_key_id: "AKIDEXAMPLE", service: "apigateway" }));
}

#[test]
fn the_edges_of_the_skew_are_allowed() {
    for now in ["20261121T081500Z", "20261121T074500Z"] {
        let call = Call { now, ..Call::signed() };
        assert_eq!(call.verify(), Ok(()), "{now}");
    }
}

#[test]
fn debug_hides_the_secret() {
    assert!(!format!("{:?}", key()).contains(SECRET));
}
