//! A mismatch in words that fit on a line and can't disturb a terminal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of a wanted or unwanted value that are shown.
pub const SAMPLE_BYTES_MAX: usize = 200;

/// What was wanted, and what came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub wanted: String,
    pub came: String,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wanted {}, came {}", self.wanted, self.came)
    }
}

/// Text as it is, the rest of it cut off with a sign; control characters and what isn't UTF-8 escaped.
pub fn escape(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SAMPLE_BYTES_MAX)];
    let mut text = String::with_capacity(shown.len() + 16);
    for chunk in shown.utf8_chunks() {
        for c in chunk.valid().chars() {
            // What turns the direction of text hides the rest of a line.
            if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if shown.len() < bytes.len() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_values_cut() {
        assert_eq!(escape("a\r\n\x1b[2J\u{e4}\u{202e}".as_bytes()), "a\\r\\n\\u{1b}[2J\u{e4}\\u{202e}");
        assert_eq!(escape(b"\xff\x00ok"), "\\xff\\u{0}ok");
        let long = escape(&[b'x'; 300]);
        assert_eq!(long, format!("{}… (300 bytes)", "x".repeat(200)));
    }
}
