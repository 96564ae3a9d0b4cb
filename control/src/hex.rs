//! Bytes as hexadecimal digits.

/// Two digits a byte, in either case; `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_a_byte() {
        for (text, expected) in [
            ("", Some(vec![])),
            ("00ffA9", Some(vec![0, 255, 0xa9])),
            ("0", None),
            ("0g", None),
            ("é0", None),
        ] {
            assert_eq!(decode(text), expected, "{text}");
        }
    }
}
