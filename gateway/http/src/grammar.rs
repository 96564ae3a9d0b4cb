//! The character classes of RFC 9110 5 and RFC 3986 2, as lookups.

const TOKEN: u8 = 1;
const FIELD_VALUE: u8 = 2;
const UNRESERVED: u8 = 4;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        let token = matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        if alphanumeric || token {
            table[index] |= TOKEN;
        }
        if matches!(byte, b'\t' | b' '..=b'~' | 0x80..) {
            table[index] |= FIELD_VALUE;
        }
        if alphanumeric || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            table[index] |= UNRESERVED;
        }
        index += 1;
    }
    table
}

/// Whether the bytes are a token, and so a field name, a method or a connection option (RFC 9110 5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether the bytes may stand in a field's value: visible ASCII, SP, HTAB, obs-text (RFC 9110 5.5).
pub fn is_field_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_field_value_byte(*byte))
}

#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

#[inline]
pub(crate) fn is_field_value_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & FIELD_VALUE != 0
}

/// RFC 3986 2.3: what means the same escaped and plain.
#[inline]
pub(crate) fn is_unreserved_byte(byte: u8) -> bool {
    CLASSES[byte as usize] & UNRESERVED != 0
}

/// As [`is_unreserved_byte`] of all, without a branch a byte.
pub(crate) fn are_unreserved(bytes: &[u8]) -> bool {
    bytes.iter().fold(UNRESERVED, |common, byte| common & CLASSES[*byte as usize]) != 0
}

/// Cuts SP and HTAB off both ends (OWS, RFC 9110 5.6.3); other whitespace stays.
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A decimal without sign or separators that fits (RFC 9110 8.6); leading zeros are in the grammar.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > "18446744073709551615".len() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The value of one hexadecimal digit of either case.
#[inline]
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
