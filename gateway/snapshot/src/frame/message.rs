//! The messages of the publish link and their payloads.
//!
//! | kind | message       | payload                                                               |
//! | ---: | ------------- | --------------------------------------------------------------------- |
//! |    1 | `Hello`       | format version: 2 bytes, serving version: 8, gateway's id: the rest    |
//! |    2 | `NeedUnits`   | names: 32 bytes each                                                  |
//! |    3 | `Acknowledge` | version: 8 bytes                                                      |
//! |    4 | `Refuse`      | version: 8 bytes, reason: the rest                                    |
//! |    5 | `Quotas`      | reports: see [`QuotaReport`]                                          |
//! |   65 | `Root`        | an encoded root                                                       |
//! |   66 | `Unit`        | an encoded unit                                                       |
//! |   67 | `UnitMissing` | name: 32 bytes, reason: the rest                                      |
//! |   68 | `Rejected`    | reason                                                                |
//! |   69 | `Quotas`      | answers: see [`QuotaAnswer`]                                          |
//!
//! Texts are UTF-8.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FrameError;
use super::quota::{self, QuotaAnswer, QuotaReport};
use crate::unit::UnitHash;

/// Bound on a gateway's id, in bytes.
pub const GATEWAY_ID_BYTES_MAX: usize = 128;

/// Bound on a reason, in bytes. What is longer is sent shortened.
pub const REASON_BYTES_MAX: usize = 4 << 10;

/// What a gateway says to control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGateway {
    /// First and once.
    Hello {
        /// 1 to [`GATEWAY_ID_BYTES_MAX`] bytes of visible ASCII.
        gateway_id: String,
        /// The newest snapshot format that the gateway reads: [`crate::FORMAT_VERSION`].
        format_version: u16,
        /// 0 if it serves nothing.
        serving_version: u64,
    },
    /// Asks for units of the newest root. Each is answered with `Unit` or `UnitMissing`, in this order.
    NeedUnits { hashes: Vec<UnitHash> },
    /// The root of this version is being served, and is on disk or reported not to be.
    Acknowledge { version: u64 },
    /// The root of this version isn't served; what was served before still is. Version 0 stands for a root
    /// that can't be read.
    Refuse { version: u64, reason: String },
    /// How leases of quotas stand; at most [`super::QUOTA_REPORTS_MAX`] of them, each answered once.
    Quotas { reports: Vec<QuotaReport> },
}

/// What control says to a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromControl {
    /// The newest root, encoded: the gateway drops what it was fetching for an older one.
    Root { bytes: Bytes },
    /// A unit that was asked for, encoded. Its hash says which.
    Unit { bytes: Bytes },
    /// A unit that was asked for can't be had.
    UnitMissing { hash: UnitHash, reason: String },
    /// Control won't serve this gateway, and closes after this.
    Rejected { reason: String },
    /// Answers to reports, in any order.
    Quotas { answers: Vec<QuotaAnswer> },
}

/// A message of one direction.
pub trait Message: Sized {
    /// The byte that says which message it is.
    fn kind(&self) -> u8;

    /// The message without its kind.
    fn payload(&self) -> Bytes;

    /// Takes a payload apart.
    ///
    /// # Errors
    /// When no such kind goes in this direction, or the payload isn't one of that kind.
    fn parse(kind: u8, payload: Bytes) -> Result<Self, FrameError>;
}

impl Message for FromGateway {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => 1,
            Self::NeedUnits { .. } => 2,
            Self::Acknowledge { .. } => 3,
            Self::Refuse { .. } => 4,
            Self::Quotas { .. } => 5,
        }
    }

    fn payload(&self) -> Bytes {
        let mut payload = BytesMut::new();
        match self {
            Self::Hello { gateway_id, format_version, serving_version } => {
                payload.put_u16_le(*format_version);
                payload.put_u64_le(*serving_version);
                payload.put_slice(gateway_id.as_bytes());
            }
            Self::NeedUnits { hashes } => hashes.iter().for_each(|hash| payload.put_slice(&hash.0)),
            Self::Acknowledge { version } => payload.put_u64_le(*version),
            Self::Refuse { version, reason } => {
                payload.put_u64_le(*version);
                payload.put_slice(shortened(reason).as_bytes());
            }
            Self::Quotas { reports } => quota::put_reports(reports, &mut payload),
        }
        payload.freeze()
    }

    fn parse(kind: u8, payload: Bytes) -> Result<Self, FrameError> {
        let name = match kind {
            1 => "Hello",
            2 => "NeedUnits",
            3 => "Acknowledge",
            4 => "Refuse",
            5 => "Quotas",
            _ => return Err(FrameError::UnknownKind(kind)),
        };
        Self::parse_payload(kind, payload).map_err(|problem| FrameError::Malformed { message: name, problem })
    }
}

impl FromGateway {
    fn parse_payload(kind: u8, mut payload: Bytes) -> Result<Self, &'static str> {
        match kind {
            1 => Ok(Self::Hello {
                format_version: payload.try_get_u16_le().map_err(|_| "it is cut off")?,
                serving_version: take_version(&mut payload)?,
                gateway_id: parse_gateway_id(payload)?,
            }),
            2 => Ok(Self::NeedUnits { hashes: parse_hashes(&payload)? }),
            3 => {
                let version = take_version(&mut payload)?;
                if payload.is_empty() {
                    Ok(Self::Acknowledge { version })
                } else {
                    Err("it has bytes left over")
                }
            }
            4 => Ok(Self::Refuse { version: take_version(&mut payload)?, reason: parse_reason(&payload)? }),
            _ => Ok(Self::Quotas { reports: quota::take_reports(&mut payload)? }),
        }
    }
}

impl Message for FromControl {
    fn kind(&self) -> u8 {
        match self {
            Self::Root { .. } => 65,
            Self::Unit { .. } => 66,
            Self::UnitMissing { .. } => 67,
            Self::Rejected { .. } => 68,
            Self::Quotas { .. } => 69,
        }
    }

    fn payload(&self) -> Bytes {
        match self {
            Self::Root { bytes } | Self::Unit { bytes } => bytes.clone(),
            Self::UnitMissing { hash, reason } => {
                let mut payload = BytesMut::from(&hash.0[..]);
                payload.put_slice(shortened(reason).as_bytes());
                payload.freeze()
            }
            Self::Rejected { reason } => Bytes::copy_from_slice(shortened(reason).as_bytes()),
            Self::Quotas { answers } => {
                let mut payload = BytesMut::new();
                quota::put_answers(answers, &mut payload);
                payload.freeze()
            }
        }
    }

    fn parse(kind: u8, mut payload: Bytes) -> Result<Self, FrameError> {
        let malformed = |message| move |problem| FrameError::Malformed { message, problem };
        match kind {
            65 => Ok(Self::Root { bytes: payload }),
            66 => Ok(Self::Unit { bytes: payload }),
            67 => {
                let hash = take_hash(&mut payload).map_err(malformed("UnitMissing"))?;
                let reason = parse_reason(&payload).map_err(malformed("UnitMissing"))?;
                Ok(Self::UnitMissing { hash, reason })
            }
            68 => Ok(Self::Rejected { reason: parse_reason(&payload).map_err(malformed("Rejected"))? }),
            69 => Ok(Self::Quotas { answers: quota::take_answers(&payload).map_err(malformed("Quotas"))? }),
            _ => Err(FrameError::UnknownKind(kind)),
        }
    }
}

fn take_version(payload: &mut Bytes) -> Result<u64, &'static str> {
    payload.try_get_u64_le().map_err(|_| "it is cut off")
}

fn take_hash(payload: &mut Bytes) -> Result<UnitHash, &'static str> {
    let hash = payload.first_chunk::<32>().copied().ok_or("it is cut off")?;
    payload.advance(32);
    Ok(UnitHash(hash))
}

fn parse_hashes(payload: &Bytes) -> Result<Vec<UnitHash>, &'static str> {
    let (names, rest) = payload.as_chunks::<32>();
    if rest.is_empty() { Ok(names.iter().copied().map(UnitHash).collect()) } else { Err("a name is cut off") }
}

fn parse_gateway_id(payload: Bytes) -> Result<String, &'static str> {
    let good =
        (1..=GATEWAY_ID_BYTES_MAX).contains(&payload.len()) && payload.iter().all(u8::is_ascii_graphic);
    let text = good.then(|| String::from_utf8(payload.into()).ok()).flatten();
    text.ok_or("a gateway's id has 1 to 128 bytes of visible ASCII")
}

fn parse_reason(payload: &Bytes) -> Result<String, &'static str> {
    if payload.len() > REASON_BYTES_MAX {
        return Err("its reason is longer than 4 KiB");
    }
    std::str::from_utf8(payload).map(str::to_owned).map_err(|_| "its reason isn't UTF-8")
}

fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}
