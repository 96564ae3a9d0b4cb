//! What gateways and control tell each other of usage plans' quotas.
//!
//! A gateway counts against leases of its own naming, each of one key in one plan on one day (UTC). Both sides count from
//! the lease's beginning: a report or an answer that comes twice, or is sent again over another connection, changes
//! nothing more. Each report is answered once, on the connection that it came by.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What is wrong with a payload.
type Malformation = &'static str;

/// Reports of one message, and answers.
pub const QUOTA_REPORTS_MAX: usize = 256;
/// Reports of one connection that wait for their answers.
pub const QUOTA_REPORTS_WAITING_MAX: usize = 4_096;
/// Bound on the ids of plans and keys, in bytes.
pub const QUOTA_ID_BYTES_MAX: usize = 256;
/// Bound on a message of reports.
pub(crate) const QUOTA_REPORTS_BYTES_MAX: usize = QUOTA_REPORTS_MAX * (REPORT_BYTES + 2 * QUOTA_ID_BYTES_MAX);

/// Bound on a message of answers.
pub(crate) const QUOTA_ANSWERS_BYTES_MAX: usize = QUOTA_REPORTS_MAX * ANSWER_BYTES;

/// What a report has besides its ids.
const REPORT_BYTES: usize = 8 + 8 + 8 + 4 + 1 + 2 + 2;
const ANSWER_BYTES: usize = 8 + 8 + 1;

const ENDS: u8 = 1;
const IS_NEW: u8 = 2;
const IS_LATE: u8 = 4;

/// How a lease stands, and what the gateway would like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaReport {
    /// A random number below 2^63 that the gateway has chosen.
    pub lease: u64,
    pub plan_id: String,
    pub key_id: String,
    /// Days since 1970, UTC: what the lease's requests count for.
    pub day: u32,
    /// Of the requests granted, those that are known to be used; all, if it is more than were granted.
    pub spent_requests: u64,
    /// Up to how many requests the gateway would like to have been granted.
    pub wanted_requests: u64,
    /// What isn't spent goes back, and the lease is over.
    pub ends: bool,
    /// The gateway has had no answer about it yet.
    pub is_new: bool,
    /// There may have been reports of it on an earlier connection, which control may yet come across.
    pub is_late: bool,
}

/// What control has on its disk of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaAnswer {
    pub lease: u64,
    /// Since its beginning.
    pub granted_requests: u64,
    pub verdict: QuotaVerdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaVerdict {
    Open,
    /// It got less than it would have liked, as nothing is left.
    Exhausted,
    /// There is no such lease any more, and nothing more may be spent of it.
    Ended,
    /// Control can't say at present.
    Unknown,
}

pub(super) fn put_reports(reports: &[QuotaReport], payload: &mut BytesMut) {
    for report in reports {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        payload.put_u64_le(report.lease);
        payload.put_u64_le(report.spent_requests);
        payload.put_u64_le(report.wanted_requests);
        payload.put_u32_le(report.day);
        payload.put_u8(flag(report.ends, ENDS) | flag(report.is_new, IS_NEW) | flag(report.is_late, IS_LATE));
        for id in [&report.plan_id, &report.key_id] {
            // What is longer is refused by whoever reads it.
            payload.put_u16_le(u16::try_from(id.len()).unwrap_or(u16::MAX));
            payload.put_slice(id.as_bytes());
        }
    }
}

pub(super) fn take_reports(payload: &mut Bytes) -> Result<Vec<QuotaReport>, Malformation> {
    let mut reports = Vec::new();
    while payload.has_remaining() {
        if reports.len() == QUOTA_REPORTS_MAX {
            return Err("it has more than 256 reports");
        }
        reports.push(take_report(payload)?);
    }
    Ok(reports)
}

fn take_report(payload: &mut Bytes) -> Result<QuotaReport, Malformation> {
    if payload.remaining() < REPORT_BYTES {
        return Err("a report is cut off");
    }
    let lease = payload.get_u64_le();
    if lease >> 63 != 0 {
        return Err("a lease's number isn't below 2^63");
    }
    let (spent_requests, wanted_requests) = (payload.get_u64_le(), payload.get_u64_le());
    let (day, flags) = (payload.get_u32_le(), payload.get_u8());
    if flags > ENDS | IS_NEW | IS_LATE {
        return Err("a report has a reserved value");
    }
    let is = |flag| flags & flag != 0;
    let (ends, is_new, is_late) = (is(ENDS), is(IS_NEW), is(IS_LATE));
    let (plan_id, key_id) = (take_id(payload)?, take_id(payload)?);
    Ok(QuotaReport { lease, plan_id, key_id, day, spent_requests, wanted_requests, ends, is_new, is_late })
}

fn take_id(payload: &mut Bytes) -> Result<String, Malformation> {
    let len = usize::from(payload.try_get_u16_le().map_err(|_| "a report is cut off")?);
    if !(1..=QUOTA_ID_BYTES_MAX).contains(&len) {
        return Err("an id has 1 to 256 bytes");
    }
    if payload.remaining() < len {
        return Err("a report is cut off");
    }
    String::from_utf8(payload.split_to(len).into()).map_err(|_| "an id isn't UTF-8")
}

pub(super) fn put_answers(answers: &[QuotaAnswer], payload: &mut BytesMut) {
    for answer in answers {
        payload.put_u64_le(answer.lease);
        payload.put_u64_le(answer.granted_requests);
        payload.put_u8(match answer.verdict {
            QuotaVerdict::Open => 0,
            QuotaVerdict::Exhausted => 1,
            QuotaVerdict::Ended => 2,
            QuotaVerdict::Unknown => 3,
        });
    }
}

pub(super) fn take_answers(payload: &Bytes) -> Result<Vec<QuotaAnswer>, Malformation> {
    let (answers, rest) = payload.as_chunks::<ANSWER_BYTES>();
    if !rest.is_empty() {
        return Err("an answer is cut off");
    }
    if answers.len() > QUOTA_REPORTS_MAX {
        return Err("it has more than 256 answers");
    }
    answers.iter().map(|answer| take_answer(answer)).collect()
}

fn take_answer(mut bytes: &[u8]) -> Result<QuotaAnswer, Malformation> {
    let (lease, granted_requests) = (bytes.get_u64_le(), bytes.get_u64_le());
    let verdict = match bytes.get_u8() {
        0 => QuotaVerdict::Open,
        1 => QuotaVerdict::Exhausted,
        2 => QuotaVerdict::Ended,
        3 => QuotaVerdict::Unknown,
        _ => return Err("an answer has a reserved value"),
    };
    Ok(QuotaAnswer { lease, granted_requests, verdict })
}
