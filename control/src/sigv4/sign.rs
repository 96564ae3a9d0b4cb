//! Signs a request: the command line's own calls.

use ring::hmac;

use super::canonical::{canonical_request, hex, signing_key, string_to_sign};
use super::{ALGORITHM, AccessKey, Scope, SignedRequest};
use crate::time::amz_date;

/// The headers that a client adds to the request that it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    pub x_amz_date: String,
    pub authorization: String,
}

/// Signs `request`, whose headers include `Host`, at `now_s`.
#[must_use]
pub fn sign(
    request: &SignedRequest<'_>,
    key: &AccessKey,
    region: &str,
    service: &str,
    now_s: i64,
) -> SignedHeaders {
    let x_amz_date = amz_date(now_s);
    let mut headers = request.headers.to_vec();
    headers.push(("x-amz-date".to_owned(), x_amz_date.clone()));
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scope = Scope { day: &x_amz_date[..8], region, service };
    let canonical = canonical_request(&SignedRequest { headers: &headers, ..*request }, &names);
    let to_sign = string_to_sign(&x_amz_date, &scope, &canonical);
    let signature = hex(hmac::sign(&signing_key(key, &scope), to_sign.as_bytes()).as_ref());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
        key.id,
        names.join(";")
    );
    SignedHeaders { x_amz_date, authorization }
}
