//! Signs requests with AWS Signature Version 4, in a header (AWS's IAM user guide, "Create a signed AWS API request").
//!
//! Signed are the host, every field that the request has but those that a proxy may change, and the body unless that is
//! left unsigned. Credentials are never shown: not in an error, not in debugging output.

mod canonical;
mod credentials;

use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

use crate::calendar::Moment;
use crate::coding::hex;
use crate::request::Parts;

pub use credentials::{Credentials, Place};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The service whose paths are signed as they are, and which wants the body's hash in a field.
const S3: &str = "s3";

/// What requests are signed with.
#[derive(Debug, Clone)]
pub struct Signer {
    pub service: String,
    pub region: String,
    pub credentials: Credentials,
    /// The signature doesn't cover the body.
    pub unsigned_payload: bool,
}

/// The key of the day that was last signed for, so that it is derived once a day.
#[derive(Debug, Clone, Default)]
pub struct DayKey {
    day: String,
    key: Option<hmac::Key>,
}

impl Signer {
    /// Adds the fields of a signature made now; those of an earlier one are gone afterwards.
    pub fn sign(&self, parts: &mut Parts, now: SystemTime, key: &mut DayKey) {
        let time = amz_time(now);
        self.replace_fields(parts, &time);
        let payload = self.payload_hash(parts);
        let (names, request) = canonical::request(parts, &payload, self.service != S3);
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", sha256(request.as_bytes()));
        let signature = hex(hmac::sign(self.day_key(&time[..8], key), to_sign.as_bytes()).as_ref());
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.credentials.access_key_id
        );
        parts.fields.push(("authorization".to_owned(), authorization));
    }

    fn replace_fields(&self, parts: &mut Parts, time: &str) {
        const OWN: [&str; 4] =
            ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
        parts.fields.retain(|(name, _)| !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)));
        parts.fields.push(("x-amz-date".to_owned(), time.to_owned()));
        if let Some(token) = &self.credentials.session_token {
            parts.fields.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        if self.unsigned_payload || self.service == S3 {
            parts.fields.push(("x-amz-content-sha256".to_owned(), self.payload_hash(parts)));
        }
    }

    fn payload_hash(&self, parts: &Parts) -> String {
        match self.unsigned_payload {
            true => UNSIGNED_PAYLOAD.to_owned(),
            false => sha256(parts.body.as_deref().unwrap_or_default()),
        }
    }

    fn day_key<'k>(&self, day: &str, kept: &'k mut DayKey) -> &'k hmac::Key {
        if kept.day != day {
            *kept = DayKey { day: day.to_owned(), key: None };
        }
        kept.key.get_or_insert_with(|| {
            let first = format!("AWS4{}", self.credentials.secret_access_key);
            let steps = [day, &self.region, &self.service, "aws4_request"];
            steps.iter().fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, step| {
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref())
            })
        })
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// `20150830T123600Z`; a clock before 1970 is taken for 1970.
fn amz_time(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let Moment { year, month, day, hour, minute, second } = Moment::of(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
