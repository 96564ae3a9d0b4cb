//! Bytes that are damaged, cut off, foreign or from a later version are refused with the right reason.

mod sample;

use turnpike_snapshot::{
    Blame, DecodeError, ENVELOPE_BYTES, FORMAT_VERSION, Limits, OLDEST_FORMAT_VERSION, Partition, Unit,
    decode_root, decode_unit, encode_root, encode_unit, hash,
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
    assert_eq!(FORMAT_VERSION, 5);
    assert_eq!(
        names,
        [
            "36dab8c4dc2a87f4ca81a28cfd040568c37c8ea383587f34c14a27a6f97791da",
            "1e5cba3b4e5687ffba40def435fb331f5b429ce2b2656fb4eaea6d2ba7c8136b",
            "742f4b1035f22e59bd7e55ed5317f7816a8df69f91379f04d94528b96d8221d5",
            "de7706a1c892019c94a17a66c7848121707933ef99df21a5f8c1f9a2f7a3be57",
            "365a2209a0a3cdc478b8a7ee325d28fdae763c7be386d1f1d35ffa1edf2f3aaf",
            "d6046d75cbbcf0d35d368e82547f12177e69d1fa83eca399a0774067453da2cc",
            "919e93a977169cd5201cec4161303f65cf3adc89ded8e9103d679ca5712e3f80",
            "82353e3205766ecaf08e90e4a0f90723a11e270f54823d5689d4e7aa7fac8744",
            "def1e79d7a49540515f76dbfe820fde0d7a25fef578f4e163c1f8e4dd2f47456",
            "ad03cbbd7577060d78820f6cb2a57695be558d260da43cfce4f77c1f5ee83c90",
            "cfd5c36b1b098356338dfa892031b45c07e90e7b49a3d5b918e0ca0b903928b1",
        ]
    );
    assert_eq!(root, "7d732625eab0819921693da3d3447dd66b2080bf4c4b88a4009f655cd09c6a9d");
}

/// What builds before wrote, which gateways have on their disks.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn formats_before_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let limits = Limits::default();
    for format in OLDEST_FORMAT_VERSION..FORMAT_VERSION {
        // Format 3 hasn't what those after the first eight are of.
        let count = if format == 3 { 8 } else { sample::units().len() };
        for (n, unit) in sample::units().into_iter().take(count).enumerate() {
            let bytes = bytes(&format!("unit/good-format-{format}-{n}"));
            assert_eq!(u16::from(bytes[8]), format);
            assert_eq!(decode_unit(&bytes, &limits), Ok(in_format(format, unit)), "unit-{n} of {format}");
            for at in 8..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x81;
                assert!(decode_unit(&damaged, &limits).is_err(), "unit-{n} of {format} at {at}");
            }
        }
        let root = bytes(&format!("root/good-format-{format}"));
        assert_eq!(decode_root(&root, &limits), Ok(sample::root()));
    }
    let mut older = unit_bytes();
    older[8] = 2;
    let error = decode_unit(&older, &limits).unwrap_err();
    assert_eq!(error, DecodeError::PastFormat { found: 2, supported: OLDEST_FORMAT_VERSION });
    assert_eq!(error.blame(), Blame::Operator);
    assert_eq!(
        error.to_string(),
        "it has format version 2, this build reads 3 and later: control writes it anew when it is upgraded too"
    );
}

/// Members in what was padding leave all else of a unit as it was: a build from before them reads it, without them.
#[test]
fn members_in_padding_are_a_byte_each() {
    let mut plain = sample::cached_stage();
    plain.canary = sample::canary_stage().canary;
    let mut shared = plain.clone();
    shared.canary.as_mut().unwrap().shares_cache = true;
    let mut open = plain.clone();
    open.routes[1].settings.throttle.as_mut().unwrap().partition = Partition::Open;
    let archive = |stage| encode_unit(&Unit::Stage(stage)).unwrap().1.split_off(ENVELOPE_BYTES);
    let plain = archive(plain);
    for changed in [shared, open].map(archive) {
        assert_eq!(changed.len(), plain.len());
        let others: Vec<_> = plain.iter().zip(&changed).filter(|(one, other)| one != other).collect();
        assert!(matches!(others[..], [(0, _)]), "{others:?}");
    }
}

/// A unit without what a format can't say.
fn in_format(format: u16, mut unit: Unit) -> Unit {
    match &mut unit {
        Unit::Account(account) if format < 4 => account.throttle = None,
        Unit::Stage(stage) => {
            stage.compression = None;
            stage.canary.iter_mut().for_each(|canary| canary.compression = None);
        }
        Unit::UsagePlan(plan) => plan.quota = None,
        _ => {}
    }
    unit
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
        "it has format version 9, this build reads up to 5: upgrade the reader first"
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
