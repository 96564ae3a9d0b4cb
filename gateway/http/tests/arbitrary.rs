//! Properties over generated input: nothing panics, what is accepted is strict by an independent check, what is
//! encoded decodes to itself.

use proptest::prelude::*;
use turnpike_http::path::normalize;
use turnpike_http::{
    ChunkLimits, ChunkedDecoder, HeadLimits, Header, HeaderName, Method, Progress, RequestHead, ResponseHead,
    encode, is_field_value, is_token,
};

/// Bytes that parsers disagree on, among likely ones.
fn head_soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "GET ",
            "POST ",
            "OPTIONS ",
            "* ",
            "/a",
            "/ ",
            "http://b/ ",
            "HTTP/1.1",
            "HTTP/1.0",
            " 200 OK",
            "\r\n",
            "\r\n\r\n",
            "\r\n",
            "Host: a",
            "Content-Length: 5",
            "Content-Length:",
            "Transfer-Encoding: chunked",
            "Connection: close",
            "Connection: ",
            "x-a: ",
            "X-A",
            "Upgrade: h2c",
            "Expect: 100-continue",
            ":",
            " ",
            "\t",
            ",",
            "\r",
            "\n",
            "\0",
            "\x0b",
            "5",
            "chunked",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// A good head with a few bytes changed, put in or taken out.
fn damaged(sample: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"\r\n\0\t :;,/\\%.0x\x0b\xe9".to_vec()), any::<u8>()];
    let change = (0..sample.len(), byte, 0..3_u8);
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut bytes = sample.to_vec();
        for (at, byte, kind) in changes {
            let at = at.min(bytes.len() - 1);
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

const REQUEST: &[u8] = b"POST /a/b?c=d HTTP/1.1\r\nHost: a.test:80\r\nConnection: x-b, close\r\nX-B: c\r\nContent-Length: 12\r\n\r\nhello";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\nX-Empty:\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const CHUNKED: &[u8] = b"5;a=b\r\nhello\r\n1\r\nx\r\n0\r\nX-Sum: y\r\nX-More:\r\n\r\nGET / HTTP/1.1\r\n";

/// What every accepted head must be, judged from its bytes alone.
fn assert_strict(head: &[u8], headers: &[Header], buf: &[u8]) {
    let body = head.strip_prefix(b"\r\n").unwrap_or(head);
    assert!(body.ends_with(b"\r\n\r\n"));
    for (at, byte) in body.iter().enumerate() {
        match byte {
            b'\r' => assert_eq!(body.get(at + 1), Some(&b'\n'), "bare CR"),
            b'\n' => assert_eq!(body[at - 1], b'\r', "bare LF"),
            byte => assert!(is_field_value(&[*byte]), "control character"),
        }
    }
    let lines = body[..body.len() - 4].split(|byte| *byte == b'\n').skip(1);
    assert_eq!(lines.clone().count(), headers.len());
    for (line, header) in lines.zip(headers) {
        let (name, value) = (header.name_span.of(buf), header.value_span.of(buf));
        assert!(is_token(name) && is_field_value(value));
        assert!(line.starts_with(name) && line[name.len()] == b':');
        assert_eq!(line[name.len() + 1..].trim_ascii(), value);
        assert_eq!(HeaderName::classify(name), header.name);
        assert!(header.hop_by_hop || !header.name.is_hop_by_hop());
    }
    let framing = |name| headers.iter().filter(|header| header.name == name).count();
    assert!(framing(HeaderName::ContentLength) + framing(HeaderName::TransferEncoding) <= 1);
}

fn check_request(bytes: &[u8]) {
    let mut head = RequestHead::new();
    if let Ok(Progress::Complete) = head.parse(bytes, &HeadLimits::default()) {
        assert_strict(&bytes[..head.head_bytes], &head.headers, bytes);
        assert!(head.headers.iter().filter(|header| header.name == HeaderName::Host).count() <= 1);
        let prefix = RequestHead::new().parse(&bytes[..head.head_bytes - 1], &HeadLimits::default());
        assert_eq!(prefix, Ok(Progress::Partial));
    }
}

fn check_response(bytes: &[u8]) {
    let mut head = ResponseHead::new();
    if let Ok(Progress::Complete) = head.parse(bytes, Method::Get, &HeadLimits::default()) {
        assert_strict(&bytes[..head.head_bytes], &head.headers, bytes);
    }
}

/// Payload and length of the body, if it is complete and valid; the same for every cut.
fn decode(bytes: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let (mut payload, mut consumed) = (Vec::new(), 0);
    let mut cuts = cuts.iter().cycle();
    while consumed < bytes.len() && !decoder.is_done() {
        let piece_end = cuts.next().map_or(bytes.len(), |cut| (consumed + cut).min(bytes.len()));
        let piece = &bytes[consumed..piece_end];
        let step = decoder.step(piece).ok()?;
        payload.extend_from_slice(step.data.map_or(&[][..], |data| &piece[data]));
        consumed += step.consumed;
    }
    decoder.is_done().then_some((payload, consumed))
}

fn path_soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "/", ".", "..", "%2e", "%2E", "%2f", "%5c", ";", "%3b", "%25", "%", "2e", "%41", "%e2", "a", "Z9", "//", "\\", "%00", "~", "%7e",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| [vec![b'/'], pieces.concat()].concat())
}

/// Decodes every escape as often as there are any, as a careless upstream would.
fn decoded_once(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn heads_of_soup(bytes in head_soup()) {
        check_request(&bytes);
        check_response(&bytes);
    }

    #[test]
    fn heads_of_noise(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        check_request(&bytes);
        check_response(&bytes);
        decode(&bytes, &[]);
        let _ = normalize(&bytes, &mut Vec::new());
    }

    #[test]
    fn damaged_heads(request in damaged(REQUEST), response in damaged(RESPONSE)) {
        check_request(&request);
        check_response(&response);
    }

    #[test]
    fn damaged_chunks_decode_alike_in_every_cut(
        bytes in damaged(CHUNKED),
        cuts in prop::collection::vec(1_usize..20, 1..8),
    ) {
        prop_assert_eq!(decode(&bytes, &[]), decode(&bytes, &cuts));
    }

    #[test]
    fn chunks_round_trip(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..8),
        cuts in prop::collection::vec(1_usize..700, 1..8),
        follows in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut body = Vec::new();
        for data in &chunks {
            encode::chunk(&mut body, data);
        }
        body.extend_from_slice(encode::LAST_CHUNK);
        let body_bytes = body.len();
        body.extend_from_slice(&follows);
        prop_assert_eq!(decode(&body, &cuts), Some((chunks.concat(), body_bytes)));
    }

    #[test]
    fn response_heads_round_trip(
        status in (200_u16..600).prop_filter("may have a body", |status| !matches!(status, 204 | 304)),
        fields in prop::collection::vec(("x-[a-z0-9_.~-]{1,12}", "([!-~]([ -~\t]{0,20}[!-~])?)?"), 0..12),
        length in any::<u64>(),
    ) {
        let mut bytes = Vec::new();
        encode::status_line(&mut bytes, status);
        for (name, value) in &fields {
            encode::header(&mut bytes, name, value.as_bytes());
        }
        let mut digits = Vec::new();
        encode::decimal(&mut digits, length);
        encode::header(&mut bytes, "content-length", &digits);
        bytes.extend_from_slice(b"\r\n");

        let mut head = ResponseHead::new();
        prop_assert_eq!(head.parse(&bytes, Method::Get, &HeadLimits::default()), Ok(Progress::Complete));
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(head.reason.of(&bytes), encode::reason(status).as_bytes());
        prop_assert_eq!(head.framing, turnpike_http::ResponseFraming::Length(length));
        for ((name, value), header) in fields.iter().zip(&head.headers) {
            prop_assert_eq!(header.name_span.of(&bytes), name.as_bytes());
            prop_assert_eq!(header.value_span.of(&bytes), value.as_bytes());
        }
    }

    #[test]
    fn normal_paths_are_stable_and_free_of_dot_segments(raw in path_soup()) {
        let mut scratch = Vec::new();
        if let Ok(path) = normalize(&raw, &mut scratch) {
            let mut again = Vec::new();
            prop_assert_eq!(normalize(path, &mut again), Ok(path));
            prop_assert!(path.starts_with(b"/") && path.len() <= raw.len());
            prop_assert_eq!(decoded_once(path), decoded_once(&raw), "it means what was asked for");
            for reading in [path.to_vec(), decoded_once(path)] {
                for segment in reading.split(|byte| matches!(byte, b'/' | b'\\')) {
                    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
                    prop_assert!(name != b"." && name != b"..", "{:?}", String::from_utf8_lossy(&raw));
                }
            }
        }
    }
}
