//! Bytes as text that other places can hold: percent-encoded (RFC 3986, section 2.1) and hexadecimal.

/// What stands for itself everywhere in a URI.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// All but the unreserved characters.
pub(crate) fn percent_encoded(text: &str) -> String {
    percent_encoded_but(text.as_bytes(), is_unreserved)
}

pub(crate) fn percent_encoded_but(bytes: &[u8], stays: impl Fn(u8) -> bool) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if stays(*byte) {
            text.push(char::from(*byte));
        } else {
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            text.extend(['%', char::from(digits[0]), char::from(digits[1])]);
        }
    }
    text
}

/// A `%` without two digits behind it stands for itself.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                &after[2..]
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    bytes
}

/// Two digits a byte, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = percent_encoded_but(&bytes, is_unreserved);
        assert!(text.starts_with("%00%01") && text.contains("%2C-.%2F0"), "{text}");
        assert_eq!(percent_decoded(text.as_bytes()), bytes);
        assert_eq!(percent_encoded("a~/\u{e4}"), "a~%2F%C3%A4");
        assert_eq!(percent_decoded(b"%2f%2F%+1%4%"), b"//%+1%4%");
    }

    #[test]
    fn hexadecimal_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
