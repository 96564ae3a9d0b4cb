//! The name that an upstream's certificate must have.

const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A DNS name in lower case (RFC 6066 3: without a final dot), as it is sent and verified.
///
/// # Errors
/// Says what it has to be.
pub fn server_name(text: &str) -> Result<String, String> {
    let label_ok = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > NAME_BYTES_MAX || !text.split('.').all(label_ok) {
        return Err(format!("has to be a DNS name such as pets.example.com, not '{text}'"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_dns_names() {
        assert_eq!(server_name("Pets.Example_1.com").as_deref(), Ok("pets.example_1.com"));
        for bad in ["", ".", "a.", "a..b", "a b", "-a", "a-", "*.a", "é", "[::1]", &"a".repeat(64)] {
            assert!(server_name(bad).expect_err(bad).contains(bad));
        }
    }
}
