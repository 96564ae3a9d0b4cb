//! AWS's published test suite for the signature (aws-sig-v4-test-suite), and what it leaves out.

use std::time::Duration;

use bytes::Bytes;

use super::*;

/// 20150830T123600Z
const SUITE_TIME_S: u64 = 1_440_938_160;

fn signer(service: &str, session_token: Option<&str>) -> Signer {
    let credentials = Credentials::new(
        "AKIDEXAMPLE".into(),
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token.map(str::to_owned),
    );
    Signer {
        service: service.into(),
        region: "us-east-1".into(),
        credentials: credentials.unwrap(),
        unsigned_payload: false,
    }
}

fn parts(method: &str, path: &str, fields: &[(&str, &str)], body: Option<&'static str>) -> Parts {
    Parts {
        method: method.into(),
        authority: "example.amazonaws.com".into(),
        path: path.into(),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.map(|body| Bytes::from_static(body.as_bytes())),
        ..Parts::default()
    }
}

fn field<'a>(parts: &'a Parts, name: &str) -> &'a str {
    &parts.fields.iter().find(|(found, _)| found == name).unwrap().1
}

fn signed(signer: &Signer, mut parts: Parts) -> Parts {
    signer.sign(&mut parts, UNIX_EPOCH + Duration::from_secs(SUITE_TIME_S), &mut DayKey::default());
    parts
}

/// Method, path and query, further fields, body, signature.
type Example<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'static str>, &'a str);

#[test]
fn the_published_suite_is_signed_as_it_says() {
    const VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    let examples: [Example<'_>; 12] = [
        ("GET", "/", &[], None, VANILLA),
        ("GET", "/example/..", &[], None, VANILLA),
        ("GET", "//", &[], None, VANILLA),
        ("GET", "/./", &[], None, VANILLA),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            &[],
            None,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        ("POST", "/", &[], None, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/\u{1234}", &[], None, "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        (
            "GET",
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            &[],
            None,
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "GET",
            "/example space/",
            &[],
            None,
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "GET",
            "/",
            &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            None,
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "GET",
            "/",
            &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
            None,
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            "POST",
            "/",
            &[("Content-Type", "application/x-www-form-urlencoded")],
            Some("Param1=value1"),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ];
    for (method, path, fields, body, signature) in examples {
        let signed = signed(&signer("service", None), parts(method, path, fields, body));
        let authorization = field(&signed, "authorization");
        assert!(authorization.ends_with(signature), "{method} {path} {fields:?}: {authorization}");
        assert_eq!(field(&signed, "x-amz-date"), "20150830T123600Z");
    }
}

#[test]
fn a_session_token_is_signed_with_the_rest() {
    let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo\
        IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU\
        9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr\
        4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    let signed = signed(&signer("service", Some(token)), parts("POST", "/", &[], None));
    assert!(
        field(&signed, "authorization")
            .ends_with("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
        "{}",
        field(&signed, "authorization")
    );
    assert_eq!(field(&signed, "x-amz-security-token"), token);
}

#[test]
fn an_unsigned_payload_is_said_and_s3_gets_the_hash() {
    let unsigned = Signer { unsigned_payload: true, ..signer("execute-api", None) };
    let a = signed(&unsigned, parts("POST", "/a%20b", &[], Some("a")));
    assert_eq!(field(&a, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
    let b = signed(&unsigned, parts("POST", "/a%20b", &[], Some("b")));
    assert_eq!(field(&a, "authorization"), field(&b, "authorization"));
    let s3 = signed(&signer("s3", None), parts("GET", "/", &[], None));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(field(&s3, "x-amz-content-sha256"), empty);
}

#[test]
fn signing_again_replaces_the_signature_and_uses_the_days_key() {
    let signer = signer("service", Some("t"));
    let (mut key, mut request) = (DayKey::default(), parts("GET", "/", &[], None));
    let mut authorizations = Vec::new();
    for second in [SUITE_TIME_S, SUITE_TIME_S, SUITE_TIME_S + 86_400] {
        signer.sign(&mut request, UNIX_EPOCH + Duration::from_secs(second), &mut key);
        assert_eq!(request.fields.len(), 3);
        authorizations.push(field(&request, "authorization").to_owned());
    }
    assert!(authorizations[0] == authorizations[1] && authorizations[1] != authorizations[2]);
    assert!(authorizations[2].contains("/20150831/"));
}

#[test]
fn fields_that_a_proxy_changes_are_not_signed() {
    let with = parts("GET", "/", &[("User-Agent", "x"), ("Expect", "y"), ("X-Own", "z")], None);
    let signed = signed(&signer("service", None), with);
    assert!(field(&signed, "authorization").contains("SignedHeaders=host;x-amz-date;x-own,"));
}

#[test]
fn times_are_written_as_aws_wants_them() {
    let cases = [
        (0, "19700101T000000Z"),
        (SUITE_TIME_S, "20150830T123600Z"),
        (951_782_399, "20000228T235959Z"),
        (951_782_400, "20000229T000000Z"),
        (4_107_542_400, "21000301T000000Z"),
    ];
    for (seconds, text) in cases {
        assert_eq!(amz_time(UNIX_EPOCH + Duration::from_secs(seconds)), text);
    }
}
