//! Request ids: unique, unpredictable enough not to collide across shards and restarts, and no secret.

use std::cell::Cell;

/// A shard's source of ids: SplitMix64 (Steele, Lea and Flood 2014) over two streams that the system's
/// random numbers have seeded.
#[derive(Debug)]
pub(crate) struct Ids {
    streams: [Cell<u64>; 2],
}

/// One request's id; written out only where it is sent or logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u64; 2]);

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Ids {
    pub(crate) fn new(seed: [u64; 2]) -> Self {
        Self { streams: seed.map(Cell::new) }
    }

    pub(crate) fn next(&self) -> RequestId {
        RequestId([self.draw(0), self.draw(1)])
    }

    /// A seed for what else needs random numbers.
    pub(crate) fn number(&self) -> u64 {
        self.draw(0)
    }

    fn draw(&self, stream: usize) -> u64 {
        let state = self.streams[stream].get().wrapping_add(GOLDEN_GAMMA);
        self.streams[stream].set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl RequestId {
    /// As REST APIs write it: a random UUID (RFC 9562 5.4).
    pub(crate) fn uuid(self) -> [u8; 36] {
        let bits = (u128::from(self.0[0]) << 64) | u128::from(self.0[1]);
        let bits = bits & !(0xf << 76) | (0x4 << 76);
        let bits = bits & !(0x3 << 62) | (0x2 << 62);
        let mut text = [b'-'; 36];
        let (high, low) = (hex((bits >> 64) as u64), hex(bits as u64));
        text[..8].copy_from_slice(&high[..8]);
        text[9..13].copy_from_slice(&high[8..12]);
        text[14..18].copy_from_slice(&high[12..]);
        text[19..23].copy_from_slice(&low[..4]);
        text[24..].copy_from_slice(&low[4..]);
        text
    }

    /// As HTTP APIs write it, and REST APIs their extended id: fifteen characters and an equals sign.
    pub(crate) fn short(self) -> [u8; 16] {
        let [high, low] = self.0;
        let mut text = [b'='; 16];
        write_base64(&mut text[..10], low);
        write_base64(&mut text[10..15], (high << 4) | (low >> 60));
        text
    }
}

/// Sixteen digits, the highest first: eight at a time, each in a byte of its own.
fn hex(bits: u64) -> [u8; 16] {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&hex_of_half((bits >> 32) as u32));
    text[8..].copy_from_slice(&hex_of_half(bits as u32));
    text
}

fn hex_of_half(bits: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Apart in steps of halves: two bytes, one byte, four bits.
    let apart = u64::from(bits);
    let apart = (apart | apart << 16) & 0x0000_ffff_0000_ffff;
    let apart = (apart | apart << 8) & 0x00ff_00ff_00ff_00ff;
    let apart = (apart | apart << 4) & (EACH * 0xf);
    // One where the digit is a letter, which stands 39 behind the figures' order.
    let letters = ((apart + EACH * 6) >> 4) & EACH;
    (apart + EACH * u64::from(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

/// Six bits each, the lowest first.
fn write_base64(text: &mut [u8], bits: u64) {
    for (index, byte) in text.iter_mut().enumerate() {
        *byte = BASE64_URL[(bits >> (6 * index) & 0x3f) as usize];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let ids = Ids::new([1, 2]);
        for _ in 0..1000 {
            let uuid = String::from_utf8(ids.next().uuid().to_vec()).unwrap();
            let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        }
    }

    #[test]
    fn all_bits_are_written_where_they_belong() {
        let id = RequestId([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
        assert_eq!(&id.uuid(), b"01234567-89ab-4def-bedc-ba9876543210");
        assert_eq!(&id.short(), b"QIDV2hpuc7_7Nva=");
    }

    #[test]
    fn ids_do_not_repeat() {
        let (one, other) = (Ids::new([1, 2]), Ids::new([3, 4]));
        let drawn = (0..10_000).flat_map(|_| [one.next(), other.next()]);
        let (uuids, shorts): (HashSet<_>, HashSet<_>) = drawn.map(|id| (id.uuid(), id.short())).unzip();
        assert_eq!((uuids.len(), shorts.len()), (20_000, 20_000));
    }
}
