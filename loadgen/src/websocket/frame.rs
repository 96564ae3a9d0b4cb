//! Frames: the client's are masked, the server's are not (RFC 6455, section 5).

use std::ops::RangeInclusive;

use crate::reply::Malformed;

/// Largest payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: u64 = 125;

pub(super) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

/// A frame's header, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) last: bool,
    pub(super) opcode: u8,
    pub(super) payload_bytes: u64,
    pub(super) bytes: usize,
}

impl Header {
    pub(super) fn is_control(&self) -> bool {
        self.opcode >= opcode::CLOSE
    }

    /// Reads a header from a server, where all of it is there. Content passes through without being gathered, so that
    /// `payload_bytes_max` bounds nothing but the time that a frame may take.
    pub(super) fn parse(bytes: &[u8], payload_bytes_max: u64) -> Result<Option<Self>, Malformed> {
        let Some([first, second]) = bytes.first_chunk::<2>() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Malformed("a frame uses an extension that was not agreed on"));
        }
        if second & 0x80 != 0 {
            return Err(Malformed("the server masks its frames"));
        }
        let (payload_bytes, header_bytes, least) = match (second, bytes.get(2..4), bytes.first_chunk::<10>())
        {
            (126, Some(&[a, b]), _) => (u64::from(u16::from_be_bytes([a, b])), 4, 126),
            (127, _, Some(&[_, _, a, b, c, d, e, f, g, h])) => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10, 1 << 16)
            }
            (126 | 127, _, _) => return Ok(None),
            (short, _, _) => (u64::from(*short), 2, 0),
        };
        let header =
            Self { last: first & 0x80 != 0, opcode: first & 0xf, payload_bytes, bytes: header_bytes };
        header.check(least..=payload_bytes_max)?;
        Ok(Some(header))
    }

    fn check(&self, payload_bytes: RangeInclusive<u64>) -> Result<(), Malformed> {
        if !matches!(self.opcode, 0..=2 | 8..=10) {
            return Err(Malformed("a frame has an unknown opcode"));
        }
        if self.payload_bytes < *payload_bytes.start() {
            return Err(Malformed("a frame's length is written in more bytes than it needs"));
        }
        if self.payload_bytes > *payload_bytes.end() {
            return Err(Malformed("a frame is larger than the limit frame_bytes_max (see --limit)"));
        }
        if self.is_control() && (!self.last || self.payload_bytes > CONTROL_BYTES_MAX) {
            return Err(Malformed("a control frame is fragmented or larger than 125 bytes"));
        }
        Ok(())
    }
}

/// Appends a whole, masked frame.
pub(super) fn write(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(0x80 | short as u8),
        medium @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let begin = out.len();
    out.extend_from_slice(payload);
    apply(mask, &mut out[begin..]);
}

/// Masks, sixteen bytes at a time.
fn apply(mask: [u8; 4], payload: &mut [u8]) {
    let wide = u128::from_ne_bytes(std::array::from_fn(|at| mask[at % 4]));
    let mut parts = payload.chunks_exact_mut(16);
    for part in &mut parts {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(part);
        part.copy_from_slice(&(u128::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (at, byte) in parts.into_remainder().iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_their_shortest_form_only() {
        let header = |bytes: &[u8]| {
            Header::parse(bytes, 1 << 30).map(|header| header.map(|header| header.payload_bytes))
        };
        assert_eq!(header(&[0x81, 125]), Ok(Some(125)));
        assert_eq!(header(&[0x82, 126, 0, 126]), Ok(Some(126)));
        assert_eq!(header(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Ok(Some(65_536)));
        for part in [&[0x81][..], &[0x82, 126, 0], &[0x82, 127, 0, 0, 0, 0, 0, 1, 0]] {
            assert_eq!(header(part), Ok(None));
        }
        let of_200 = [0x82, 126, 0, 200];
        assert!(Header::parse(&of_200, 200).is_ok() && Header::parse(&of_200, 199).is_err());
        for wrong in [
            &[0x82, 126, 0, 125][..],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 255, 255],
            &[0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for wrong in [[0xc1, 0], [0x81, 0x80], [0x83, 0], [0x8b, 0], [0x08, 0], [0x89, 126]] {
            let mut bytes = wrong.to_vec();
            bytes.extend([0, 126]);
            assert!(Header::parse(&bytes, 1 << 30).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_rfcs_masked_hello_is_written() {
        let mut out = Vec::new();
        write(opcode::TEXT, b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn masks_reach_every_byte_of_any_length() {
        let mask = [1, 2, 3, 4];
        for length in [0, 1, 15, 16, 17, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut out = Vec::new();
            write(opcode::BINARY, &payload, mask, &mut out);
            let tail = out.split_off(out.len() - length);
            let unmasked: Vec<u8> = tail.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
            assert_eq!(unmasked, payload, "{length}");
        }
    }
}
