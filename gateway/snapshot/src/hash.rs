//! The names of units: SHA-256, written as 64 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use crate::unit::UnitHash;

/// Names `encoded`, the whole of what [`crate::encode_unit`] returned, envelope included: what
/// `sha256sum` says of a stored unit is its name.
#[must_use]
pub fn hash(encoded: &[u8]) -> UnitHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, encoded);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    UnitHash(bytes)
}

impl fmt::Display for UnitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no unit's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a unit's name is 64 lower-case hex digits")]
pub struct ParseUnitHashError;

impl FromStr for UnitHash {
    type Err = ParseUnitHashError;

    /// Takes what `Display` writes and nothing else, so that a unit has one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(ParseUnitHashError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn hex_digit(digit: u8) -> Result<u8, ParseUnitHashError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseUnitHashError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sha_256() {
        // The digest of "abc" in FIPS 180-4's examples.
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash(b"abc").to_string(), name);
        assert_eq!(name.parse(), Ok(hash(b"abc")));
    }

    #[test]
    fn a_unit_has_one_name() {
        let name = hash(b"abc").to_string();
        for wrong in
            [String::new(), name.to_uppercase(), name[1..].to_owned(), format!("{name}0"), "é".repeat(32)]
        {
            assert_eq!(wrong.parse::<UnitHash>(), Err(ParseUnitHashError), "{wrong}");
        }
    }
}
