//! Short texts, eight bytes at a time.
//!
//! A segment of a path is hardly ever longer than two words: a search that is made for long texts, or a hash, takes several times
//! as many instructions to begin with.

const BYTES: usize = 8;
const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = ONES << 7;
/// Arbitrary, odd, and with about as many ones as zeros.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the first such byte is.
pub(super) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        if let Some(found) = first(byte, word(text, at)) {
            return Some(at + found);
        }
        at += BYTES;
    }
    None
}

/// What a text's hash is made of, word by word. The keys are the operator's: what clients ask for decides where is looked,
/// never how much lies there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) fn of(text: &[u8]) -> u64 {
        let mut hash = Self::default();
        let mut at = 0;
        while at < text.len() {
            hash.add(word(text, at));
            at += BYTES;
        }
        hash.0
    }

    /// All bits of a word go into all bits of the hash.
    pub(super) fn add(&mut self, word: u64) {
        let product = u128::from(self.0.rotate_left(5) ^ word).wrapping_mul(FACTOR.into());
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}

/// The segments of a path, which doesn't begin with a slash: each one's hash, until `take` says that it is enough.
pub(super) fn hash_segments(path: &[u8], mut take: impl FnMut(u64) -> bool) {
    let (mut at, mut hash) = (0, Hash::default());
    loop {
        let word = word(path, at);
        match first(b'/', word) {
            Some(bytes) => {
                if bytes > 0 {
                    // Of what is before the slash.
                    hash.add(word & !(u64::MAX << (8 * bytes)));
                }
                if !take(hash.0) {
                    return;
                }
                (at, hash) = (at + bytes + 1, Hash::default());
            }
            None => {
                if at < path.len() {
                    hash.add(word);
                }
                at += BYTES;
                if at >= path.len() {
                    take(hash.0);
                    return;
                }
            }
        }
    }
}

/// The bytes from there on; those behind the end are 0.
fn word(text: &[u8], at: usize) -> u64 {
    if let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk()) {
        return u64::from_le_bytes(*bytes);
    }
    let rest = text.get(at..).unwrap_or_default();
    match text.last_chunk() {
        Some(last) if !rest.is_empty() => u64::from_le_bytes(*last) >> (8 * (BYTES - rest.len())),
        Some(_) => 0,
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The first of a word's bytes that is this one.
fn first(byte: u8, word: u64) -> Option<usize> {
    let other = word ^ (ONES * u64::from(byte));
    // The lowest top bit that is set is right; those above may not be.
    let found = other.wrapping_sub(ONES) & !other & TOPS;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_where_it_is_first() {
        let texts = [
            "",
            "/",
            "a",
            "1234567/",
            "12345678",
            "12345678/",
            "a/b/c",
            "////////////",
            "\u{2e}\u{30}/\u{2f}",
        ];
        let long = "x".repeat(37) + "/" + &"y".repeat(11);
        for text in texts.iter().copied().chain([&*long]) {
            for from in 0..=text.len() {
                let text = &text.as_bytes()[from..];
                assert_eq!(find(b'/', text), text.iter().position(|byte| *byte == b'/'), "{text:?}");
                assert_eq!(find(b'~', text), None, "{text:?}");
            }
        }
        assert_eq!(find(0x80, &[0, 1, 0x7f, 0x81, 0xff, 0x80]), Some(5));
    }

    #[test]
    fn segments_have_the_hashes_of_their_texts() {
        let segments =
            ["", "a", "items", "1234567", "12345678", "123456789", "sixteen--letters", "more than two words"];
        for first in segments {
            for second in segments {
                for third in segments {
                    let path = format!("{first}/{second}/{third}");
                    let mut hashes = Vec::new();
                    hash_segments(path.as_bytes(), |hash| {
                        hashes.push(hash);
                        true
                    });
                    let expected = [first, second, third].map(|segment| Hash::of(segment.as_bytes()));
                    assert_eq!(hashes, expected, "{path}");
                }
            }
        }
    }

    #[test]
    fn no_more_segments_are_hashed_than_are_wanted() {
        for (path, wanted, hashed) in
            [("a/b/c", 2, 2), ("a/b/c", 3, 3), ("a/b/c", 9, 3), ("", 1, 1), ("a/", 5, 2)]
        {
            let mut count = 0;
            hash_segments(path.as_bytes(), |_| {
                count += 1;
                count < wanted
            });
            assert_eq!(count, hashed, "{path}");
        }
    }

    #[test]
    fn texts_that_differ_in_one_byte_have_other_hashes() {
        let hashes: std::collections::BTreeSet<u16> =
            (0..1_000).map(|number| Hash::of(format!("service{number:03}").as_bytes()) as u16).collect();
        // Of 1,000 in 65,536 some seven fall together.
        assert!(hashes.len() > 980, "{}", hashes.len());
    }
}
