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
    assert_eq!(FORMAT_VERSION, 3);
    assert_eq!(
        names,
        [
            "79caae57c9e2a035e4f313738eb2fa63ab920a1c66c3023d94247795223b845e",
            "64ddbdb554c69cd04d9836d9bf503d53172790a933a55fe3dc31eeb9cfbd99f3",
            "e69087cabd2df06d6b473fe8a009776574d5ce9e34ea905f6071928030a8192b",
            "caa1cc80d0e33f6897956a36c14135c28640d2938ef79c6c4049655cd51902b7",
            "a95c1a2462f1cecb0b31a91f14dbd9770b08cf19133360b3f1764d7067518f12",
            "75db613c9c1c1b7a09be32b64ba644591c8d5e84838a4c63f288dac3ace6946d",
            "7611737d391cd07382b2a65a66a11592a2410270fd8f08632d5465496dbc22fa",
            "6e1777c8188e39d9aa1b092191935c2f0608fc4c0722e956291b8a059bf0de77",
        ]
    );
    assert_eq!(root, "9bbc48fc97dfc8cc0a737e2c6b336d4747e67c20fb8bf7f27a0cf5b6d5af66d9");
}

/// What the build before wrote, which gateways have on their disks.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads its own files")]
fn the_format_before_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let limits = Limits::default();
    let mut account = sample::account();
    account.domains[0].rules.clear();
    let mut expected = sample::units();
    expected[0] = Unit::Account(account);
    // The one after these is of things that format 2 hasn't.
    for (n, unit) in expected.into_iter().take(7).enumerate() {
        let bytes = bytes(&format!("unit/good-format-2-{n}"));
        assert_eq!(bytes[8], 2);
        assert_eq!(decode_unit(&bytes, &limits), Ok(unit), "unit-{n}");
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x81;
            assert!(decode_unit(&damaged, &limits).is_err(), "unit-{n} at {at}");
        }
    }
    assert_eq!(decode_root(&bytes("root/good-format-2"), &limits), Ok(sample::root()));
    let mut older = unit_bytes();
    older[8] = 1;
    let error = decode_unit(&older, &limits).unwrap_err();
    assert_eq!(error, DecodeError::PastFormat { found: 1, supported: 2 });
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
        "it has format version 9, this build reads up to 3: upgrade the reader first"
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
