//! Bytes that are damaged, cut off, foreign or from a later version are refused with the right reason.

mod sample;

use turnpike_snapshot::{
    Blame, DecodeError, ENVELOPE_BYTES, FORMAT_VERSION, Limits, Unit, decode_root, decode_unit, encode_root,
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
    assert_eq!(FORMAT_VERSION, 4);
    assert_eq!(
        names,
        [
            "e05390abf0ec6725dd8b271472745dc8141a470826815799816d9a0451d79b70",
            "a29cee866f55d2392b1646015ef5c539d7d79f7a8d5f6fd9de1cb48990afa397",
            "71553d6ddfac5a8285230e119f2d5344d34f15586a56040a3840ce178a1cd506",
            "a02ffb0fcba0f669f8f3e4d366947b262c56653db67fbaa130ee268740160ce9",
            "7e6a8472a12958c3d369f50b7ca9165830d53a224dbc2f0e95e353e93cd749af",
            "a91c80bae0e661bc47ae71b527c8dd2fbf49338d04fdbab6a7f79c540430abe6",
            "5b3e3e60ee1b795c5883fc7dcd16446412120dd9a3fd1159fb706b1184d8ac0f",
            "0b77be2e637f7ac90b25c9a4a2853536d179ab33822d535fdc03725c5ea1e3e7",
            "b6ba9511b1806af2e1cbc481c4843ebf602cdc255a40505c6a40a91721b8f393",
            "61c6dd11a8b825ddb7a75b128c5079cf919a7714f8f02aeb4f25dcb7445e6aea",
            "83ac22be254356d20689606a592851bad2a1e02607ca61914629375cb05201f9",
        ]
    );
    assert_eq!(root, "6e449d05a968ea949a383e0403fd0d3735dc3dc4e7244ab1184dd38e4d0a33a8");
}

/// What the build before wrote, which gateways have on their disks.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn the_format_before_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let limits = Limits::default();
    let mut account = sample::account();
    account.throttle = None;
    let mut expected = sample::units();
    expected[0] = Unit::Account(account);
    // Those after these are of things that format 3 hasn't.
    for (n, unit) in expected.into_iter().take(8).enumerate() {
        let bytes = bytes(&format!("unit/good-format-3-{n}"));
        assert_eq!(bytes[8], 3);
        assert_eq!(decode_unit(&bytes, &limits), Ok(unit), "unit-{n}");
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x81;
            assert!(decode_unit(&damaged, &limits).is_err(), "unit-{n} at {at}");
        }
    }
    assert_eq!(decode_root(&bytes("root/good-format-3"), &limits), Ok(sample::root()));
    let mut older = unit_bytes();
    older[8] = 2;
    let error = decode_unit(&older, &limits).unwrap_err();
    assert_eq!(error, DecodeError::PastFormat { found: 2, supported: 3 });
    assert_eq!(error.blame(), Blame::Operator);
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
        "it has format version 9, this build reads up to 4: upgrade the reader first"
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
