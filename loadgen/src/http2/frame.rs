//! Frame headers, read and written (RFC 9113, sections 4.1 and 6).

use crate::reply::Malformed;

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;
/// Largest payload that is accepted: the protocol's default, which this side never raises.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16_384;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// Frame types; unknown ones are ignored.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) payload_bytes: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    /// Reads a header, where all of it is there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let payload_bytes = u32::from_be_bytes([0, a, b, c]) as usize;
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(Malformed("a frame is larger than 16384 bytes"));
        }
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Ok(Some(Self { payload_bytes, kind, flags, stream }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let [_, a, b, c] = (self.payload_bytes as u32).to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.kind, self.flags, s0, s1, s2, s3]);
    }
}

/// Appends a frame.
pub(super) fn write(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    Header { payload_bytes: payload.len(), kind, flags, stream }.write(out);
    out.extend_from_slice(payload);
}

/// A big-endian number at the beginning of a payload that is long enough.
pub(super) fn number(payload: &[u8]) -> Result<u32, Malformed> {
    let bytes = payload.first_chunk::<4>().ok_or(Malformed("a frame is too short for its type"))?;
    Ok(u32::from_be_bytes(*bytes))
}

/// A payload without its padding (RFC 9113, section 6.1).
pub(super) fn unpad<'a>(header: &Header, payload: &'a [u8]) -> Result<&'a [u8], Malformed> {
    if !header.has(PADDED) {
        return Ok(payload);
    }
    let wrong = Malformed("a frame's padding is longer than the frame");
    let (&padding, rest) = payload.split_first().ok_or(wrong)?;
    let content_bytes = rest.len().checked_sub(usize::from(padding)).ok_or(wrong)?;
    Ok(&rest[..content_bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_back() {
        let header =
            Header { payload_bytes: 16_384, kind: kind::DATA, flags: END_STREAM, stream: 0x7fff_ffff };
        let mut out = Vec::new();
        header.write(&mut out);
        assert_eq!(Header::parse(&out), Ok(Some(header)));
        assert_eq!(Header::parse(&out[..8]), Ok(None));
        out[2] = 1;
        assert!(Header::parse(&out).is_err());
    }

    #[test]
    fn padding_must_fit() {
        let header = Header { payload_bytes: 4, kind: kind::DATA, flags: PADDED, stream: 1 };
        assert_eq!(unpad(&header, &[2, b'a', 0, 0]), Ok(&b"a"[..]));
        assert_eq!(unpad(&header, &[3, 0, 0, 0]), Ok(&b""[..]));
        assert!(unpad(&header, &[4, 0, 0, 0]).is_err());
        assert!(unpad(&header, &[]).is_err());
    }
}
