//! The publish link's frames: every message, cut everywhere, damaged everywhere.

use std::fmt::Debug;

use bytes::{Buf, Bytes};
use proptest::prelude::*;
use turnpike_snapshot::frame::{
    Decoder, FrameError, FromControl, FromGateway, HEADER_BYTES, LINK_VERSION, Message, QUOTA_REPORTS_MAX,
    QuotaAnswer, QuotaReport, QuotaVerdict, REASON_BYTES_MAX, encode,
};
use turnpike_snapshot::{FORMAT_VERSION, Limits, UnitHash};

const FRAME_BYTES_MAX: usize = 1 << 20;

fn bytes_of<M: Message>(message: &M) -> Vec<u8> {
    let mut buf = encode(message).unwrap().into_buf();
    buf.copy_to_bytes(buf.remaining()).to_vec()
}

fn report(key_id: &str) -> QuotaReport {
    QuotaReport {
        lease: u64::MAX >> 1,
        plan_id: "p".to_owned(),
        key_id: key_id.to_owned(),
        day: 20_000,
        spent_requests: 3,
        wanted_requests: u64::MAX,
        ends: false,
        is_new: true,
        is_late: false,
    }
}

fn from_gateway() -> Vec<FromGateway> {
    vec![
        FromGateway::Hello {
            gateway_id: "gw-1".to_owned(),
            format_version: FORMAT_VERSION,
            serving_version: 41,
        },
        FromGateway::NeedUnits { hashes: vec![UnitHash([1; 32]), UnitHash([2; 32])] },
        FromGateway::NeedUnits { hashes: Vec::new() },
        FromGateway::Acknowledge { version: u64::MAX },
        FromGateway::Refuse { version: 42, reason: "naïve".to_owned() },
        FromGateway::Quotas { reports: vec![report("k"), QuotaReport { ends: true, ..report("é") }] },
    ]
}

const VERDICTS: [QuotaVerdict; 4] =
    [QuotaVerdict::Open, QuotaVerdict::Exhausted, QuotaVerdict::Ended, QuotaVerdict::Unknown];

fn answer(verdict: QuotaVerdict) -> QuotaAnswer {
    QuotaAnswer { lease: 1, granted_requests: 7, verdict }
}

fn from_control() -> Vec<FromControl> {
    vec![
        FromControl::Root { bytes: Bytes::from_static(b"root") },
        FromControl::Unit { bytes: Bytes::new() },
        FromControl::UnitMissing { hash: UnitHash([3; 32]), reason: "swept".to_owned() },
        FromControl::Rejected { reason: "too many gateways".to_owned() },
        FromControl::Quotas { answers: VERDICTS.map(answer).to_vec() },
    ]
}

fn read_all<M: Message>(decoder: &mut Decoder<M>) -> Vec<M> {
    std::iter::from_fn(|| decoder.poll().unwrap()).collect()
}

fn arrives_cut_at_each_offset<M: Message + PartialEq + Debug>(messages: &[M]) {
    let stream: Vec<u8> = messages.iter().flat_map(bytes_of).collect();
    for cut in 0..=stream.len() {
        let mut decoder = Decoder::<M>::new(FRAME_BYTES_MAX);
        decoder.feed(&stream[..cut]);
        let mut read = read_all(&mut decoder);
        decoder.feed(&stream[cut..]);
        read.extend(read_all(&mut decoder));
        assert_eq!(read, messages, "cut at {cut}");
        assert!(decoder.is_between_frames());
    }
}

#[test]
fn messages_arrive_cut_at_each_offset() {
    arrives_cut_at_each_offset(&from_gateway());
    arrives_cut_at_each_offset(&from_control());
}

#[test]
fn messages_arrive_byte_by_byte() {
    let messages = from_gateway();
    let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
    let mut read = Vec::new();
    for byte in messages.iter().flat_map(bytes_of) {
        decoder.feed(&[byte]);
        read.extend(decoder.poll().unwrap());
    }
    assert_eq!(read, messages);
}

/// A damaged length is noticed at once too: the stream never waits for bytes that don't come.
#[test]
fn every_flipped_byte_is_an_error_and_stays_one() {
    let bytes = bytes_of(&from_gateway()[1]);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
            decoder.feed(&damaged);
            let error = decoder.poll().unwrap_err();
            decoder.feed(&bytes);
            assert_eq!(decoder.poll(), Err(error), "byte {at} flipped by {flip:#x}");
        }
    }
}

#[test]
fn the_end_of_a_stream_inside_a_frame_shows() {
    let bytes = bytes_of(&from_gateway()[0]);
    for cut in 1..bytes.len() {
        let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
        decoder.feed(&bytes[..cut]);
        assert_eq!(decoder.poll(), Ok(None));
        assert!(!decoder.is_between_frames());
    }
}

#[test]
fn foreign_protocols_are_told_by_their_first_byte() {
    for foreign in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"TPLA", b"\x16\x03\x01"] {
        let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
        decoder.feed(foreign);
        assert_eq!(decoder.poll(), Err(FrameError::NotALink));
    }
}

#[test]
fn a_future_link_says_so() {
    let mut bytes = bytes_of(&from_gateway()[0]);
    bytes[4..6].copy_from_slice(&7_u16.to_le_bytes());
    let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
    decoder.feed(&bytes);
    let error = FrameError::FutureFormat { found: 7, supported: LINK_VERSION };
    assert_eq!(decoder.poll(), Err(error.clone()));
    assert_eq!(error.to_string(), "the peer speaks version 7 of the publish link, this build up to 1");
}

#[test]
fn the_frame_limit_is_inclusive_and_judged_by_the_header() {
    let message = FromControl::Unit { bytes: Bytes::from_static(&[7; 100]) };
    let bytes = bytes_of(&message);
    let mut decoder = Decoder::new(bytes.len());
    decoder.feed(&bytes);
    assert_eq!(decoder.poll(), Ok(Some(message)));
    let mut decoder = Decoder::<FromControl>::new(bytes.len() - 1);
    decoder.feed(&bytes[..HEADER_BYTES]);
    assert_eq!(decoder.poll(), Err(FrameError::TooLarge { bytes: bytes.len(), bytes_max: bytes.len() - 1 }));
}

#[test]
fn the_limits_leave_room_for_each_message() {
    let limits = Limits { unit_bytes_max: 1, root_bytes_max: 1, units_max: 1, ..Limits::default() };
    let reason = "r".repeat(2 * REASON_BYTES_MAX);
    let missing = FromControl::UnitMissing { hash: UnitHash([0; 32]), reason: reason.clone() };
    assert!(encode(&missing).unwrap().bytes_len() <= limits.control_frame_bytes_max());
    let refuse = FromGateway::Refuse { version: 1, reason };
    assert!(encode(&refuse).unwrap().bytes_len() <= limits.gateway_frame_bytes_max());
}

#[test]
fn a_long_reason_is_shortened_between_characters() {
    let bytes = bytes_of(&FromControl::Rejected { reason: format!("r{}", "é".repeat(REASON_BYTES_MAX)) });
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    decoder.feed(&bytes);
    let Ok(Some(FromControl::Rejected { reason })) = decoder.poll() else { panic!("not read back") };
    assert_eq!(reason.len(), REASON_BYTES_MAX - 1);
}

#[test]
fn as_many_reports_as_a_message_may_have_fit_any_limits() {
    let limits = Limits { units_max: 1, unit_bytes_max: 1, root_bytes_max: 1, ..Limits::default() };
    let long = QuotaReport { plan_id: "p".repeat(256), ..report(&"k".repeat(256)) };
    let mut decoder = Decoder::new(limits.gateway_frame_bytes_max());
    let message = FromGateway::Quotas { reports: vec![long; QUOTA_REPORTS_MAX] };
    decoder.feed(&bytes_of(&message));
    assert_eq!(decoder.poll(), Ok(Some(message)));
    let mut decoder = Decoder::new(limits.control_frame_bytes_max());
    let message = FromControl::Quotas { answers: vec![answer(QuotaVerdict::Open); QUOTA_REPORTS_MAX] };
    decoder.feed(&bytes_of(&message));
    assert_eq!(decoder.poll(), Ok(Some(message)));
    let too_many = FromGateway::Quotas { reports: vec![report("k"); QUOTA_REPORTS_MAX + 1] };
    assert!(FromGateway::parse(5, too_many.payload()).is_err());
}

#[test]
fn a_message_of_the_other_direction_is_unknown() {
    let mut decoder = Decoder::<FromControl>::new(FRAME_BYTES_MAX);
    decoder.feed(&bytes_of(&FromGateway::Acknowledge { version: 1 }));
    assert_eq!(decoder.poll(), Err(FrameError::UnknownKind(3)));
}

#[test]
fn malformed_payloads_name_the_message() {
    let flagged = |flags: u8, len: u8| [&[0; 28][..], &[flags, len, 0, b'p', 1, 0, b'k']].concat();
    assert!(FromGateway::parse(5, flagged(7, 1).into()).is_ok());
    let cases: [(u8, &[u8], &str); 14] = [
        (5, &[0; 28], "Quotas"),
        (5, &flagged(8, 1), "Quotas"),
        (5, &flagged(0, 0), "Quotas"),
        (5, &flagged(0, 9), "Quotas"),
        (5, &[&[0xff; 8][..], &flagged(0, 1)[8..]].concat(), "Quotas"),
        (1, b"\x01", "Hello"),
        (1, b"\x01\0\0\0\0\0\0\0\0\0", "Hello"),
        (1, b"\x01\0\0\0\0\0\0\0\0\0two words", "Hello"),
        (2, &[0; 33], "NeedUnits"),
        (3, &[0; 7], "Acknowledge"),
        (3, &[0; 9], "Acknowledge"),
        (4, &[0; 7], "Refuse"),
        (4, b"\0\0\0\0\0\0\0\0\xff", "Refuse"),
        (4, &[b'a'; 9 + REASON_BYTES_MAX], "Refuse"),
    ];
    for (kind, payload, name) in cases {
        let error = FromGateway::parse(kind, Bytes::copy_from_slice(payload)).unwrap_err();
        assert!(matches!(error, FrameError::Malformed { message, .. } if message == name), "{error}");
    }
    assert!(FromControl::parse(69, Bytes::from_static(&[0; 16])).is_err());
    assert!(FromControl::parse(69, Bytes::from_static(&[4; 17])).is_err());
    assert!(FromControl::parse(67, Bytes::from_static(&[0; 31])).is_err());
    assert!(FromControl::parse(68, Bytes::from_static(b"\xff")).is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, chunk_len in 1_usize..64) {
        let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
        for chunk in bytes.chunks(chunk_len) {
            decoder.feed(chunk);
            while let Ok(Some(_)) = decoder.poll() {}
        }
    }

    /// Behind a right header: what a hostile peer would send.
    #[test]
    fn random_payloads_are_read_back_or_refused(kind in 0_u8..80, payload: Vec<u8>) {
        let payload = Bytes::from(payload);
        if let Ok(message) = FromGateway::parse(kind, payload.clone()) {
            prop_assert_eq!((message.kind(), message.payload()), (kind, payload.clone()));
        }
        if let Ok(message) = FromControl::parse(kind, payload.clone()) {
            prop_assert_eq!((message.kind(), message.payload()), (kind, payload));
        }
    }
}
