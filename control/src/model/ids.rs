//! Identifiers in AWS's form: lower-case letters and digits, from the system's random generator.

use ring::rand::{SecureRandom, SystemRandom};

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
/// Bytes from here on would favour the alphabet's first letters.
const BYTE_MAX: u8 = (256 - 256 % ALPHABET.len() as u16) as u8;

/// The system's random generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator gave no bytes")]
pub struct IdError;

/// A new identifier of `len` characters; the first is a letter, so that it can begin a DNS label anywhere.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_id(len: usize) -> Result<String, IdError> {
    let rng = SystemRandom::new();
    let mut id = String::with_capacity(len);
    while id.len() < len {
        let mut byte = [0];
        rng.fill(&mut byte).map_err(|_| IdError)?;
        let letter = char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]);
        if byte[0] < BYTE_MAX && !(id.is_empty() && letter.is_ascii_digit()) {
            id.push(letter);
        }
    }
    Ok(id)
}

/// A new identifier in the form of a UUID (RFC 9562: version 4, variant 10).
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_uuid() -> Result<String, IdError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| IdError)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dns_labels() {
        for _ in 0..200 {
            let id = new_id(10).expect("random bytes");
            assert_eq!(id.len(), 10);
            assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
            assert!(id.bytes().all(|b| ALPHABET.contains(&b)), "{id}");
        }
    }
}
