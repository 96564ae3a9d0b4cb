//! The publish link's frames, without I/O: messages to bytes, and bytes that arrive in any pieces to
//! messages. All integers are little-endian.
//!
//! | offset | bytes | field                            |
//! | -----: | ----: | -------------------------------- |
//! |      0 |     4 | magic, `TPLK`                    |
//! |      4 |     2 | version of the link: 1           |
//! |      6 |     1 | kind of message                  |
//! |      7 |     1 | zero                             |
//! |      8 |     4 | length of the payload in bytes   |
//! |     12 |     4 | CRC-32 (IEEE) of the payload     |
//! |     16 |     4 | CRC-32 (IEEE) of bytes 0 to 15   |
//! |     20 |     … | payload                          |
//!
//! The header has a checksum of its own, so that a damaged length is an error at once and not a wait for
//! bytes that never come.
//!
//! The conversation: the gateway says [`FromGateway::Hello`]; control sends the newest root then, and each
//! new one as it is published; the gateway asks for the units that it lacks, and answers each root that it
//! didn't drop for a newer one with [`FromGateway::Acknowledge`] or [`FromGateway::Refuse`]. Beside that, once it has had
//! a root, it reports how its leases of quotas stand, and each report is answered. There is no ping:
//! on one host the kernel ends the stream with the process, and both sides bound how long they wait for
//! an answer or for room to write.

mod message;
mod quota;

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};

pub use message::{FromControl, FromGateway, GATEWAY_ID_BYTES_MAX, Message, REASON_BYTES_MAX};
pub(crate) use quota::{QUOTA_ANSWERS_BYTES_MAX, QUOTA_REPORTS_BYTES_MAX};
pub use quota::{
    QUOTA_ID_BYTES_MAX, QUOTA_REPORTS_MAX, QUOTA_REPORTS_WAITING_MAX, QuotaAnswer, QuotaReport, QuotaVerdict,
};

/// The version of the link that this build speaks.
pub const LINK_VERSION: u16 = 1;

/// Length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 20;

const MAGIC: [u8; 4] = *b"TPLK";

/// Why a stream of frames can't be read on: whoever sees it closes the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the peer doesn't speak the publish link: a frame doesn't begin with the link's magic number")]
    NotALink,
    #[error("the peer speaks version {found} of the publish link, this build up to {supported}")]
    FutureFormat { found: u16, supported: u16 },
    #[error("a frame of {bytes} bytes, the limit is {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("a frame was damaged: its checksum doesn't match its bytes")]
    ChecksumMismatch,
    #[error("a message of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a malformed {message}: {problem}")]
    Malformed { message: &'static str, problem: &'static str },
}

/// A message as it is written: header, then payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: [u8; HEADER_BYTES],
    payload: Bytes,
}

impl Frame {
    /// Length of the whole frame in bytes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// The frame's bytes, without copying its payload.
    #[must_use]
    pub fn into_buf(self) -> impl Buf + Send + Unpin {
        Bytes::copy_from_slice(&self.header).chain(self.payload)
    }
}

/// Puts `message` into a frame. A unit's or root's bytes aren't copied.
///
/// # Errors
/// When the payload passes 4 GiB.
pub fn encode<M: Message>(message: &M) -> Result<Frame, FrameError> {
    let payload = message.payload();
    let too_large = |_| FrameError::TooLarge { bytes: payload.len(), bytes_max: u32::MAX as usize };
    let payload_len = u32::try_from(payload.len()).map_err(too_large)?;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&LINK_VERSION.to_le_bytes());
    header[6] = message.kind();
    header[8..12].copy_from_slice(&payload_len.to_le_bytes());
    header[12..16].copy_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    let checksum = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    Ok(Frame { header, payload })
}

/// Cuts a stream of bytes into the messages of one direction.
///
/// Holds at most one frame and what was fed at once, as long as `poll` is called until it yields nothing.
#[derive(Debug)]
pub struct Decoder<M> {
    buffer: BytesMut,
    frame_bytes_max: usize,
    /// A stream that was wrong once has no next frame.
    failed: Option<FrameError>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message> Decoder<M> {
    /// `frame_bytes_max` bounds a frame with its header.
    #[must_use]
    pub fn new(frame_bytes_max: usize) -> Self {
        Self { buffer: BytesMut::new(), frame_bytes_max, failed: None, message: PhantomData }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or nothing until more bytes are fed.
    ///
    /// # Errors
    /// What is wrong with the stream; the same again on each later call.
    pub fn poll(&mut self) -> Result<Option<M>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.poll_frame().inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = BytesMut::new();
        })
    }

    /// Whether the stream may end here; otherwise its end cuts a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    fn poll_frame(&mut self) -> Result<Option<M>, FrameError> {
        let Some(header) = Header::parse(&self.buffer, self.frame_bytes_max)? else { return Ok(None) };
        let frame_len = HEADER_BYTES + header.payload_len;
        if self.buffer.len() < frame_len {
            return Ok(None);
        }
        let mut payload = self.buffer.split_to(frame_len).freeze();
        payload.advance(HEADER_BYTES);
        if crc32fast::hash(&payload) != header.payload_checksum {
            return Err(FrameError::ChecksumMismatch);
        }
        M::parse(header.kind, payload).map(Some)
    }
}

struct Header {
    kind: u8,
    payload_len: usize,
    payload_checksum: u32,
}

impl Header {
    /// Judges as early as it can: a peer that speaks something else is told from its first bytes.
    fn parse(buffer: &[u8], frame_bytes_max: usize) -> Result<Option<Self>, FrameError> {
        if !buffer.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) {
            return Err(FrameError::NotALink);
        }
        let Some(bytes) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version > LINK_VERSION {
            return Err(FrameError::FutureFormat { found: version, supported: LINK_VERSION });
        }
        let [checksum, payload_checksum, payload_len] = [16, 12, 8].map(|at| u32_at(bytes, at));
        if checksum != crc32fast::hash(&bytes[..16]) {
            return Err(FrameError::ChecksumMismatch);
        }
        if version == 0 || bytes[7] != 0 {
            return Err(FrameError::Malformed { message: "header", problem: "a reserved value" });
        }
        let frame_bytes = HEADER_BYTES.saturating_add(payload_len as usize);
        if frame_bytes > frame_bytes_max {
            return Err(FrameError::TooLarge { bytes: frame_bytes, bytes_max: frame_bytes_max });
        }
        Ok(Some(Self { kind: bytes[6], payload_len: payload_len as usize, payload_checksum }))
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
