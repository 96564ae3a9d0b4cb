//! Signs management calls (AWS Signature Version 4), so that a run needs neither the AWS CLI nor Python.
//! Only what those calls use: paths and queries without characters that need encoding, queries in order.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

const SIGNED_HEADERS: &str = "host;x-amz-date";

#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Signer {
    /// The header lines of a signed call, Host included.
    pub(crate) fn headers(
        &self,
        method: &str,
        path: &str,
        host: &str,
        body: &[u8],
        now: SystemTime,
    ) -> String {
        let time = amz_time(now);
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], self.region, self.service);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-date:{time}\n\n{SIGNED_HEADERS}\n{}",
            hex(digest::digest(&digest::SHA256, body).as_ref())
        );
        let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
        let signature = hex(sign(&self.key(&time[..8]), &to_sign).as_ref());
        format!(
            "host: {host}\r\nx-amz-date: {time}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/{scope}, \
             SignedHeaders={SIGNED_HEADERS}, Signature={signature}\r\n",
            self.access_key_id
        )
    }

    fn key(&self, date: &str) -> Vec<u8> {
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in [date, &self.region, &self.service, "aws4_request"] {
            key = sign(&key, part).as_ref().to_vec();
        }
        key
    }
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `2026-01-02`, in UTC.
pub(crate) fn date(now: SystemTime) -> String {
    let time = amz_time(now);
    format!("{}-{}-{}", &time[..4], &time[4..6], &time[6..8])
}

/// `20260102T030405Z`; the calendar by counting 400-year cycles from 1 March 0000.
fn amz_time(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let days = seconds / 86_400 + 719_468;
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_written_as_aws_wants_them() {
        let cases = [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_767_225_599, "20251231T235959Z"),
            (1_772_323_200, "20260301T000000Z"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(amz_time(at(seconds)), expected);
        }
        assert_eq!(date(at(951_782_400)), "2000-02-29");
    }

    /// `get-vanilla` of AWS's published test suite.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let signer = Signer {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
            service: "service".into(),
        };
        let headers = signer.headers("GET", "/", "example.amazonaws.com", b"", at(1_440_938_160));
        let authorization = "authorization: AWS4-HMAC-SHA256 \
            Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
            Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n";
        assert!(headers.ends_with(authorization), "{headers}");
    }
}
