//! What is encoded is decoded to the same, in whatever pieces either goes, by this crate and by the library's own reader;
//! what is damaged, cut off or too large isn't.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use proptest::prelude::*;
use turnpike_coding::{ContentCoding, DecodeError, DecodeLimits, Decoder, Encoder};

const LIMITS: DecodeLimits = DecodeLimits { bytes_max: 1 << 20, ratio_max: 2_000 };

fn encoded(coding: ContentCoding, body: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding, 6), Vec::new());
    encoder.encode(body, &mut out);
    encoder.finish(&mut out);
    out
}

/// With so much room at a time.
fn decode(
    decoder: &mut Decoder,
    mut input: &[u8],
    room: usize,
    body: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    loop {
        let mut out = Vec::with_capacity(room);
        let taken = decoder.decode(input, &mut out)?;
        input = &input[taken..];
        body.extend_from_slice(&out);
        if input.is_empty() && out.len() < out.capacity() {
            return Ok(());
        }
        assert!(taken > 0 || !out.is_empty(), "it goes on");
    }
}

fn decoded(coding: ContentCoding, input: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (mut decoder, mut body) = (Decoder::new(coding, LIMITS), Vec::new());
    decode(&mut decoder, input, 4_096, &mut body)?;
    decoder.finish().map(|()| body)
}

/// By the library's reader.
fn read(coding: ContentCoding, input: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    match coding {
        ContentCoding::Gzip => MultiGzDecoder::new(input).read_to_end(&mut body).unwrap(),
        ContentCoding::Deflate => ZlibDecoder::new(input).read_to_end(&mut body).unwrap(),
    };
    body
}

fn sample() -> Vec<u8> {
    (0..200_u32).flat_map(|n| format!("{{\"id\":{n},\"square\":{}}},", n * n).into_bytes()).collect()
}

#[test]
fn either_side_may_be_split_at_every_offset() {
    let body = &sample()[..1_000];
    for coding in ContentCoding::ALL {
        let mut encoder = Encoder::new(coding, 4);
        for split in 0..=body.len() {
            encoder.reset();
            let mut out = Vec::new();
            encoder.encode(&body[..split], &mut out);
            encoder.encode(&body[split..], &mut out);
            encoder.finish(&mut out);
            assert_eq!(read(coding, &out), body, "{coding:?} at {split}");
        }
        let whole = encoded(coding, body);
        for split in 0..=whole.len() {
            for room in [1, 100, 100_000] {
                let (mut decoder, mut back) = (Decoder::new(coding, LIMITS), Vec::new());
                decode(&mut decoder, &whole[..split], room, &mut back).unwrap();
                assert_eq!(decoder.finish().is_ok(), split == whole.len());
                decode(&mut decoder, &whole[split..], room, &mut back).unwrap();
                assert_eq!(decoder.finish(), Ok(()));
                assert_eq!(back, body, "{coding:?} at {split} by {room}");
            }
        }
    }
}

#[test]
fn what_is_flushed_can_be_read() {
    let body = sample();
    for coding in ContentCoding::ALL {
        let (mut encoder, mut decoder) = (Encoder::new(coding, 6), Decoder::new(coding, LIMITS));
        let (mut came, mut fed) = (Vec::new(), 0);
        let mut out = Vec::new();
        for piece in body.chunks(37) {
            encoder.encode(piece, &mut out);
            assert!(encoder.holds_back());
            encoder.flush(&mut out);
            assert!(!encoder.holds_back());
            decode(&mut decoder, &out[fed..], 512, &mut came).unwrap();
            fed = out.len();
            assert_eq!(came.len() % 37, piece.len() % 37);
            assert!(body.starts_with(&came) && came.ends_with(piece));
        }
        encoder.finish(&mut out);
        assert_eq!(read(coding, &out), body);
    }
}

#[test]
fn an_empty_body_is_encoded_too() {
    for coding in ContentCoding::ALL {
        let whole = encoded(coding, b"");
        assert!(!whole.is_empty());
        assert_eq!(decoded(coding, &whole), Ok(Vec::new()));
        assert_eq!(decoded(coding, b""), Err(DecodeError::Malformed));
    }
}

#[test]
fn gzip_members_follow_each_other() {
    let one = encoded(ContentCoding::Gzip, b"abc");
    let several = one.repeat(3);
    assert_eq!(decoded(ContentCoding::Gzip, &several), Ok(b"abcabcabc".to_vec()));
    assert_eq!(decoded(ContentCoding::Gzip, &[&one[..], b"x"].concat()), Err(DecodeError::Malformed));
    assert_eq!(decoded(ContentCoding::Gzip, &[&one[..], &[0; 20]].concat()), Err(DecodeError::Malformed));
    assert_eq!(decoded(ContentCoding::Gzip, &one.repeat(1_025)), Err(DecodeError::Malformed));
    let zlib = encoded(ContentCoding::Deflate, b"abc");
    assert_eq!(decoded(ContentCoding::Deflate, &zlib.repeat(2)), Err(DecodeError::Malformed));
}

#[test]
fn what_is_in_another_coding_is_malformed() {
    let [gzip, zlib] = ContentCoding::ALL.map(|coding| encoded(coding, &sample()));
    assert_eq!(decoded(ContentCoding::Gzip, &zlib), Err(DecodeError::Malformed));
    assert_eq!(decoded(ContentCoding::Deflate, &gzip), Err(DecodeError::Malformed));
    assert_eq!(decoded(ContentCoding::Gzip, b"{\"type\":\"dog\"}"), Err(DecodeError::Malformed));
}

#[test]
fn bombs_are_limited() {
    let body = vec![b' '; 1 << 20];
    for coding in ContentCoding::ALL {
        let whole = encoded(coding, &body);
        let limited = |bytes_max, ratio_max| {
            let limits = DecodeLimits { bytes_max, ratio_max };
            let (mut decoder, mut came) = (Decoder::new(coding, limits), Vec::new());
            let result = decode(&mut decoder, &whole, 16_384, &mut came);
            assert!(came.len() as u64 <= bytes_max);
            result
        };
        assert_eq!(limited(1 << 20, 2_000), Ok(()));
        assert_eq!(limited((1 << 20) - 1, 2_000), Err(DecodeError::TooLarge));
        assert_eq!(limited(1 << 20, 100), Err(DecodeError::TooDense));
        assert_eq!(limited(1_000, 1), Err(DecodeError::TooLarge));
        let small = encoded(coding, &body[..60_000]);
        let mut decoder = Decoder::new(coding, DecodeLimits { bytes_max: 1 << 20, ratio_max: 1 });
        assert_eq!(decode(&mut decoder, &small, 16_384, &mut Vec::new()), Ok(()));
    }
}

proptest! {
    #[test]
    fn anything_comes_back(
        body in prop::collection::vec(any::<u8>(), 0..5_000),
        repeated in 1_usize..20,
        level in 1_u32..=9,
        pieces in prop::collection::vec((0_usize..3_000, any::<bool>()), 0..10),
        room in 1_usize..9_000,
    ) {
        let body = body.repeat(repeated);
        for coding in ContentCoding::ALL {
            let (mut encoder, mut out, mut rest) = (Encoder::new(coding, level), Vec::new(), &body[..]);
            for (length, flushes) in &pieces {
                let (piece, after) = rest.split_at((*length).min(rest.len()));
                encoder.encode(piece, &mut out);
                if *flushes {
                    encoder.flush(&mut out);
                }
                rest = after;
            }
            encoder.encode(rest, &mut out);
            encoder.finish(&mut out);
            prop_assert_eq!(&read(coding, &out), &body);
            let (mut decoder, mut back) = (Decoder::new(coding, LIMITS), Vec::new());
            prop_assert_eq!(decode(&mut decoder, &out, room, &mut back), Ok(()));
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(&back, &body);
        }
    }

    #[test]
    fn damage_never_panics_and_never_passes_unseen(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let body = sample();
        for coding in ContentCoding::ALL {
            let mut whole = encoded(coding, &body);
            let at = at.index(whole.len());
            whole[at] ^= flip;
            if let Ok(back) = decoded(coding, &whole) {
                // Only what says nothing of the body may change: gzip's time, flags of the encoder and system.
                prop_assert_eq!(&back, &body);
            }
        }
    }

    #[test]
    fn noise_is_refused_or_decoded(noise in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for coding in ContentCoding::ALL {
            let _ = decoded(coding, &noise);
        }
    }
}
