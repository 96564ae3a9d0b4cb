//! Bytes that are damaged, cut off, foreign or from a later version are refused with the right reason.

mod sample;

use turnpike_snapshot::{
    Blame, DecodeError, ENVELOPE_BYTES, FORMAT_VERSION, Limits, decode_root, decode_unit, encode_root,
    encode_unit, hash,
};

fn unit_bytes() -> Vec<u8> {
    encode_unit(&sample::units()[1]).unwrap().1
}

#[test]
fn what_is_encoded_comes_back() {
    let limits = Limits::default();
    for unit in sample::units() {
        let (name, bytes) = encode_unit(&unit).unwrap();
        assert_eq!(name, hash(&bytes));
        assert_eq!(decode_unit(&bytes, &limits), Ok(unit));
    }
    let root = sample::root();
    assert_eq!(decode_root(&encode_root(&root).unwrap(), &limits), Ok(root));
}

/// Stored units outlive a build: when this fails, an archived type or the envelope has changed, and
/// `FORMAT_VERSION` has to grow with it.
#[test]
fn the_format_is_the_pinned_one() {
    let names: Vec<_> = sample::units().iter().map(|u| encode_unit(u).unwrap().0.to_string()).collect();
    let root = hash(&encode_root(&sample::root()).unwrap()).to_string();
    assert_eq!(FORMAT_VERSION, 2);
    assert_eq!(
        names,
        [
            "c1adde185f6f4edb2c4492961026c2b1bb39fcd6a1f2363d3aaa8bb8b6f5e2e7",
            "65d224f737d40e21ae2149c78198c923f4cf8fa6d94f78c2ae1cff0b25b85776",
            "6a1ac082faa551ba011373fd1c6fb1753cb9b94c38b3c60338614c6e00e217bf",
            "5db754a5aa8ae8958c38f259ece111469932b100878a0cd902b4fb3b421c582f",
            "1224cee4a83276f27b3cdc030efd4e5fdbc0b7ad002d11e0005d361e6abdd411",
            "55c547076a4eafc79e4fa056b2345f54b8d4b53c6e16f3e9ffab2eac0df651d5",
            "b791cb2aabd782844dd5e793d02c7e58350beba624fca867f661c12ae28e4b8a",
        ]
    );
    assert_eq!(root, "acb03a560392f8f39d5fe83fecf488996ae1d8dddbb4f24325f404e1350198a0");
}

#[test]
fn bytes_need_no_alignment() {
    let bytes = unit_bytes();
    for shift in 0..16 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&bytes);
        assert!(decode_unit(&shifted[shift..], &Limits::default()).is_ok(), "shifted by {shift}");
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let bytes = unit_bytes();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let error = decode_unit(&damaged, &Limits::default()).unwrap_err();
            if at >= ENVELOPE_BYTES {
                assert_eq!((error.clone(), error.blame()), (DecodeError::ChecksumMismatch, Blame::Carrier));
            }
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let bytes = unit_bytes();
    for len in 0..bytes.len() {
        let expected = if len < ENVELOPE_BYTES { ENVELOPE_BYTES } else { bytes.len() };
        let error = decode_unit(&bytes[..len], &Limits::default()).unwrap_err();
        assert_eq!(error, DecodeError::Truncated { expected, found: len });
    }
}

#[test]
fn bytes_behind_the_end_are_noticed() {
    let mut bytes = unit_bytes();
    let expected = bytes.len();
    bytes.push(0);
    let error = decode_unit(&bytes, &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::TrailingBytes { expected, found: expected + 1 });
}

#[test]
fn foreign_bytes_are_no_snapshot() {
    for foreign in [&b"\x7fELF"[..], b"{\"version\": 1}", b"TURNPIKA", b"turnpike"] {
        assert_eq!(decode_unit(foreign, &Limits::default()), Err(DecodeError::NotASnapshot));
        assert_eq!(decode_root(foreign, &Limits::default()), Err(DecodeError::NotASnapshot));
    }
}

/// Whatever else a later format changes, its version is readable.
#[test]
fn a_future_version_says_so() {
    let mut bytes = unit_bytes();
    bytes[8..10].copy_from_slice(&9_u16.to_le_bytes());
    bytes[16..].fill(0xee);
    let error = decode_unit(&bytes, &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::FutureFormat { found: 9, supported: FORMAT_VERSION });
    assert_eq!(error.blame(), Blame::Operator);
    assert_eq!(
        error.to_string(),
        "it has format version 9, this build reads up to 2: upgrade the reader first"
    );
}

#[test]
fn a_root_is_no_unit() {
    let root = encode_root(&sample::root()).unwrap();
    let error = decode_unit(&root, &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::WrongKind { expected: "unit", found: "root".to_owned() });
    let error = decode_root(&unit_bytes(), &Limits::default()).unwrap_err();
    assert_eq!(error, DecodeError::WrongKind { expected: "root", found: "unit".to_owned() });
}

#[test]
fn the_size_limit_is_inclusive() {
    let bytes = unit_bytes();
    let limits = |unit_bytes_max| Limits { unit_bytes_max, ..Limits::default() };
    assert!(decode_unit(&bytes, &limits(bytes.len())).is_ok());
    let error = decode_unit(&bytes, &limits(bytes.len() - 1)).unwrap_err();
    assert_eq!(error, DecodeError::TooLarge { bytes: bytes.len(), bytes_max: bytes.len() - 1 });
    assert_eq!(error.blame(), Blame::Operator);
}

/// A cut-off giant is refused for what it announces, before anyone waits for the rest of it.
#[test]
fn an_announced_length_counts_against_the_limit() {
    let mut bytes = unit_bytes();
    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = decode_unit(&bytes, &Limits::default()).unwrap_err();
    assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
}
