//! What two limiters say to each other: a length of four bytes, a tag of one, and numbers, all little-endian. Nothing is said
//! of a report's version and loan: a predecessor's mean nothing here.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use turnpike_limits::{
    Answer, Ask, Handed, Holder, Limit, LimitId, Loan, Rate, Report, ToPredecessor, ToSuccessor,
};

/// A bucket with 65,535 holders has less.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const LENGTH_BYTES: usize = 4;

pub(super) trait Message: Sized {
    fn put(&self, bytes: &mut BytesMut);

    /// `None` if it can't be understood.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

pub(super) fn encode(message: &impl Message, bytes: &mut BytesMut) {
    let at = bytes.len();
    bytes.put_u32_le(0);
    message.put(bytes);
    let length = (bytes.len() - at - LENGTH_BYTES) as u32;
    bytes[at..at + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// The first message, if all of it is there.
pub(super) fn decode<M: Message>(bytes: &mut BytesMut) -> io::Result<Option<M>> {
    let Some(length) = bytes.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) else {
        return Ok(None);
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    if bytes.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    let message = M::take(&mut &bytes[LENGTH_BYTES..LENGTH_BYTES + length]);
    bytes.advance(LENGTH_BYTES + length);
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, "a message that isn't understood");
    message.map(Some).ok_or_else(unknown)
}

impl Message for ToSuccessor {
    fn put(&self, bytes: &mut BytesMut) {
        match self {
            Self::Bucket(handed) => {
                bytes.put_u8(1);
                put_limit(handed.limit, bytes);
                bytes.put_u128_le(handed.spent);
                bytes.put_u64_le(handed.spent_as_of_us);
                for (holder, tokens) in &handed.held {
                    bytes.put_u16_le(holder.0);
                    bytes.put_u32_le(*tokens);
                }
            }
            Self::Nothing(id) => {
                bytes.put_u8(2);
                bytes.put_u64_le(id.0);
            }
            Self::Report(report) => {
                bytes.put_u8(3);
                put_report(report, bytes);
            }
            Self::Ended(holder) => {
                bytes.put_u8(4);
                bytes.put_u16_le(holder.0);
            }
            Self::Over => bytes.put_u8(5),
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match bytes.try_get_u8().ok()? {
            1 => Self::Bucket(take_bucket(bytes)?),
            2 => Self::Nothing(LimitId(bytes.try_get_u64_le().ok()?)),
            3 => Self::Report(take_report(bytes)?),
            4 => Self::Ended(Holder(bytes.try_get_u16_le().ok()?)),
            5 => Self::Over,
            _ => return None,
        })
    }
}

impl Message for ToPredecessor {
    fn put(&self, bytes: &mut BytesMut) {
        match self {
            Self::Want(id) => {
                bytes.put_u8(1);
                bytes.put_u64_le(id.0);
            }
            Self::Answer(answer) => {
                bytes.put_u8(2);
                bytes.put_u16_le(answer.holder.0);
                bytes.put_u64_le(answer.id.0);
                bytes.put_u64_le(answer.version);
                bytes.put_u32_le(answer.granted);
                bytes.put_u64_le(answer.empty_until_us);
            }
        }
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match bytes.try_get_u8().ok()? {
            1 => Self::Want(LimitId(bytes.try_get_u64_le().ok()?)),
            2 => Self::Answer(Answer {
                holder: Holder(bytes.try_get_u16_le().ok()?),
                id: LimitId(bytes.try_get_u64_le().ok()?),
                version: bytes.try_get_u64_le().ok()?,
                granted: bytes.try_get_u32_le().ok()?,
                loan: Loan::default(),
                valid_until_us: u64::MAX,
                empty_until_us: bytes.try_get_u64_le().ok()?,
            }),
            _ => return None,
        })
    }
}

fn put_limit(limit: Limit, bytes: &mut BytesMut) {
    bytes.put_u64_le(limit.id.0);
    bytes.put_u64_le(limit.rate.micro_tokens_per_s());
    bytes.put_u32_le(limit.rate.burst_tokens());
}

fn take_limit(bytes: &mut &[u8]) -> Option<Limit> {
    let id = LimitId(bytes.try_get_u64_le().ok()?);
    let micro_tokens_per_s = bytes.try_get_u64_le().ok()?;
    Some(Limit { id, rate: Rate::of_micro(micro_tokens_per_s, bytes.try_get_u32_le().ok()?) })
}

fn take_bucket(bytes: &mut &[u8]) -> Option<Handed> {
    let limit = take_limit(bytes)?;
    let spent = bytes.try_get_u128_le().ok()?;
    let spent_as_of_us = bytes.try_get_u64_le().ok()?;
    let mut held = Vec::new();
    while bytes.has_remaining() {
        held.push((Holder(bytes.try_get_u16_le().ok()?), bytes.try_get_u32_le().ok()?));
    }
    Some(Handed { limit, spent, spent_as_of_us, held })
}

fn put_report(report: &Report, bytes: &mut BytesMut) {
    bytes.put_u16_le(report.holder.0);
    put_limit(report.limit, bytes);
    bytes.put_u32_le(report.spent);
    bytes.put_u64_le(report.spent_us);
    bytes.put_u32_le(report.returned);
    if let Some(ask) = report.ask {
        bytes.put_u32_le(ask.needed);
        bytes.put_u32_le(ask.liked);
    }
}

fn take_report(bytes: &mut &[u8]) -> Option<Report> {
    let mut report = Report {
        holder: Holder(bytes.try_get_u16_le().ok()?),
        limit: take_limit(bytes)?,
        version: 0,
        spent: bytes.try_get_u32_le().ok()?,
        spent_us: bytes.try_get_u64_le().ok()?,
        returned: bytes.try_get_u32_le().ok()?,
        loan: Loan::default(),
        ask: None,
    };
    if bytes.has_remaining() {
        let (needed, liked) = (bytes.try_get_u32_le().ok()?, bytes.try_get_u32_le().ok()?);
        report.ask = Some(Ask { needed, liked });
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit { id: LimitId(u64::MAX - 1), rate: Rate::new(12.345_678, 9) }
    }

    fn report(ask: Option<Ask>) -> Report {
        Report {
            holder: Holder(3),
            limit: limit(),
            version: 0,
            spent: 4,
            spent_us: 5,
            returned: 6,
            loan: Loan::default(),
            ask,
        }
    }

    #[track_caller]
    fn come_as_they_were_sent<M: Message + PartialEq + std::fmt::Debug>(messages: &[M]) {
        let mut all = BytesMut::new();
        messages.iter().for_each(|message| encode(message, &mut all));
        for cut in 0..=all.len() {
            let (mut bytes, rest) = (BytesMut::from(&all[..cut]), &all[cut..]);
            let mut come: Vec<M> = std::iter::from_fn(|| decode(&mut bytes).unwrap()).collect();
            bytes.extend_from_slice(rest);
            come.extend(std::iter::from_fn(|| decode(&mut bytes).unwrap()));
            assert_eq!(come, messages);
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn messages_come_as_they_were_sent_wherever_they_are_cut() {
        let handed = |held: &[(Holder, u32)]| {
            let (spent, spent_as_of_us) = (u128::MAX / 3, 1 << 40);
            ToSuccessor::Bucket(Handed { limit: limit(), spent, spent_as_of_us, held: held.to_vec() })
        };
        come_as_they_were_sent(&[
            handed(&[]),
            handed(&[(Holder(0), 7), (Holder(65_535), u32::MAX)]),
            ToSuccessor::Nothing(LimitId(7)),
            ToSuccessor::Report(report(None)),
            ToSuccessor::Report(report(Some(Ask { needed: 1, liked: 2 }))),
            ToSuccessor::Ended(Holder(9)),
            ToSuccessor::Over,
        ]);
        let answer = Answer {
            holder: Holder(1),
            id: LimitId(2),
            version: u64::MAX,
            granted: 3,
            loan: Loan::default(),
            valid_until_us: u64::MAX,
            empty_until_us: 4,
        };
        come_as_they_were_sent(&[ToPredecessor::Want(LimitId(5)), ToPredecessor::Answer(answer)]);
    }

    #[test]
    fn what_isnt_understood_is_an_error() {
        for wrong in [&[1, 0, 0, 0, 99][..], &[2, 0, 0, 0, 4, 0], &[0, 0, 0, 0], &[255, 255, 255, 255]] {
            assert!(decode::<ToSuccessor>(&mut BytesMut::from(wrong)).is_err(), "{wrong:?}");
        }
    }
}
