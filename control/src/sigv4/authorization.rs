//! The `Authorization` header of a signed request, taken apart.

use super::verify::AuthError;
use super::{ALGORITHM, Scope, TERMINATOR};
use crate::hex;

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) scope: Scope<'a>,
    /// Lower case and sorted, as the client wrote them.
    pub(super) signed_headers: Vec<&'a str>,
    pub(super) signature: [u8; 32],
}

impl<'a> Authorization<'a> {
    pub(super) fn parse(header: &'a str) -> Result<Self, AuthError> {
        let incomplete = |what: &str| AuthError::IncompleteSignature(what.to_owned());
        let fields = header
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(|| incomplete(&format!("Authorization header has to begin with '{ALGORITHM} '")))?;
        check_presence(fields, header)?;
        let credential = field(fields, "Credential")?;
        let (access_key_id, scope) = parse_credential(credential)?;
        let signed_headers: Vec<&str> = field(fields, "SignedHeaders")?.split(';').collect();
        let sorted = signed_headers.is_sorted_by(|a, b| a < b);
        let lower = signed_headers.iter().all(|name| !name.bytes().any(|b| b.is_ascii_uppercase()));
        if !sorted || !lower {
            return Err(incomplete("SignedHeaders has to be in lower case, sorted, each name once"));
        }
        let signature = parse_signature(field(fields, "Signature")?)
            .ok_or_else(|| incomplete("Signature has to be 64 hexadecimal digits"))?;
        Ok(Self { access_key_id, scope, signed_headers, signature })
    }
}

/// Names everything that is missing at once.
fn check_presence(fields: &str, header: &str) -> Result<(), AuthError> {
    let missing = ["Credential", "Signature", "SignedHeaders"].into_iter().filter(|name| {
        !fields
            .split(',')
            .any(|part| part.trim().strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
    });
    let missing: String =
        missing.map(|name| format!("Authorization header requires '{name}' parameter. ")).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(AuthError::IncompleteSignature(format!("{missing}Authorization={header}"))),
    }
}

fn field<'a>(fields: &'a str, name: &str) -> Result<&'a str, AuthError> {
    let mut found = fields.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    match (found.next(), found.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (_, Some(_)) => Err(AuthError::IncompleteSignature(format!("{name} comes twice in Authorization"))),
        _ => Err(AuthError::IncompleteSignature(format!("{name} in Authorization is empty"))),
    }
}

fn parse_credential(credential: &str) -> Result<(&str, Scope<'_>), AuthError> {
    match credential.split('/').collect::<Vec<_>>()[..] {
        [id, day, region, service, TERMINATOR] => Ok((id, Scope { day, region, service })),
        [_, _, _, _, other] => Err(AuthError::InvalidSignature(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{other}'."
        ))),
        _ => Err(AuthError::IncompleteSignature(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, \
             got '{credential}'"
        ))),
    }
}

fn parse_signature(text: &str) -> Option<[u8; 32]> {
    hex::decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    #[test]
    fn reads_with_and_without_spaces_after_commas() {
        for comma in [", ", ","] {
            let header = format!(
                "AWS4-HMAC-SHA256 Credential=AK/20150830/us-east-1/apigateway/aws4_request{comma}SignedHeaders=host;x-amz-date{comma}Signature={SIGNATURE}"
            );
            let parsed = Authorization::parse(&header).expect("well-formed");
            assert_eq!(parsed.access_key_id, "AK");
            assert_eq!(parsed.scope, Scope { day: "20150830", region: "us-east-1", service: "apigateway" });
            assert_eq!(parsed.signed_headers, ["host", "x-amz-date"]);
            assert_eq!(parsed.signature[..2], [0x5f, 0xa0]);
        }
    }

    #[test]
    fn names_what_is_missing() {
        let good = format!("Credential=AK/d/r/s/aws4_request, SignedHeaders=host, Signature={SIGNATURE}");
        let table = [
            ("Bearer x".to_owned(), "begin with"),
            (
                "AWS4-HMAC-SHA256 x".to_owned(),
                "'Signature' parameter. Authorization header requires 'SignedHeaders'",
            ),
            (format!("AWS4-HMAC-SHA256 {}", good.replace("AK/d", "AK")), "5 slash-delimited"),
            (
                format!("AWS4-HMAC-SHA256 {}", good.replace("Credential", "Kredential")),
                "requires 'Credential' parameter",
            ),
            (format!("AWS4-HMAC-SHA256 {}", good.replace("aws4_request", "aws5")), "aws4_request"),
            (format!("AWS4-HMAC-SHA256 {}", good.replace("=host", "=x-b;host")), "sorted"),
            (format!("AWS4-HMAC-SHA256 {}", good.replace("=host", "=Host")), "lower case"),
            (format!("AWS4-HMAC-SHA256 {}", good.replace(SIGNATURE, "abc")), "64 hexadecimal"),
            (format!("AWS4-HMAC-SHA256 {good}, Signature={SIGNATURE}"), "twice"),
            (format!("AWS4-HMAC-SHA256 {}", good.replace("=host", "=")), "empty"),
        ];
        for (header, expected) in table {
            let error = Authorization::parse(&header).expect_err(&header).to_string();
            assert!(error.contains(expected), "{header}: {error}");
        }
    }
}
