//! Certificates that others are verified against.

use super::import::parse;
use crate::time::iso8601;

/// Those of a trust store that can be used at `now_s`, each once, and what is wrong with the others.
#[must_use]
pub fn authorities(all: Vec<Vec<u8>>, now_s: i64) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut usable, mut warnings) = (Vec::new(), Vec::new());
    for (at, der) in all.into_iter().enumerate() {
        let name = || format!("Certificate {}", at + 1);
        let (subject, not_after_s) = match parse(&der, name) {
            Ok(parsed) => (parsed.subject().to_string(), parsed.validity().not_after.timestamp()),
            Err(error) => {
                warnings.push(error.to_string());
                continue;
            }
        };
        if not_after_s < now_s {
            warnings.push(format!(
                "{} ({subject}) has expired: it was valid until {}",
                name(),
                iso8601(not_after_s)
            ));
        } else if usable.contains(&der) {
            warnings.push(format!("{} ({subject}) is there twice", name()));
        } else {
            usable.push(der);
        }
    }
    (usable, warnings)
}
