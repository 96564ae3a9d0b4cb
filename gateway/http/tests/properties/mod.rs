//! What every parser keeps to, whatever bytes it gets. The fuzzers call these, and the tests run the fuzzers' corpus
//! through them. Each says whether the input was taken, and panics where a property doesn't hold.

use turnpike_http::path::normalize;
use turnpike_http::{
    ChunkLimits, ChunkedDecoder, ForwardedElements, Framing, HeadLimits, Header, HeaderName, Method,
    PROXY_TEXT_BYTES_MAX, Progress, ProxyProgress, RequestHead, ResponseFraming, ResponseHead,
    is_field_value, is_token, parse_proxy_header, x_forwarded_for,
};

/// Small, so that inputs of a few hundred bytes meet them.
const HEAD_LIMITS: HeadLimits =
    HeadLimits { start_line_bytes_max: 200, header_bytes_max: 600, header_count_max: 12 };
const CHUNK_LIMITS: ChunkLimits = ChunkLimits {
    chunk_line_bytes_max: 32,
    chunk_extension_bytes_max: 64,
    trailer_bytes_max: 100,
    trailer_count_max: 4,
};
const PROXY_BYTES_MAX: usize = 512;

/// How far a parser that starts over with more bytes came with some of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Parsed<T> {
    Unfinished,
    /// Ended after so many bytes.
    Complete(usize, T),
    Refused,
}

/// Cuts `bytes` at every offset. The first bytes of what is complete are unfinished, what is complete stays so
/// whatever follows, and what is refused isn't made good by more.
pub(crate) fn assert_cuts_agree<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Parsed<T>,
) -> Parsed<T> {
    let whole = parse(bytes);
    for cut in offsets(bytes.len()) {
        match (parse(&bytes[..cut]), &whole) {
            (Parsed::Unfinished, Parsed::Complete(end, _)) => assert!(cut < *end, "unfinished at {cut}"),
            (Parsed::Unfinished, _) | (Parsed::Refused, Parsed::Refused) => {}
            (complete @ Parsed::Complete(..), whole) => assert_eq!(complete, *whole, "cut at {cut}"),
            (Parsed::Refused, whole) => panic!("refused at {cut}, then {whole:?}"),
        }
    }
    whole
}

/// All of them where they are few.
fn offsets(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(1 + bytes / 512)
}

/// A request's head.
pub(crate) fn request_head(bytes: &[u8]) -> bool {
    let parsed = assert_cuts_agree(bytes, |bytes| {
        let mut head = RequestHead::new();
        match head.parse(bytes, &HEAD_LIMITS) {
            Ok(Progress::Partial) => Parsed::Unfinished,
            Ok(Progress::Complete) => {
                let lines = lines(bytes, &head.headers);
                Parsed::Complete(head.head_bytes, (head.method, head.framing, head.keep_alive, lines))
            }
            Err(error) => {
                assert!((400..600).contains(&error.status()) && !error.reason().is_empty());
                Parsed::Refused
            }
        }
    });
    let Parsed::Complete(end, (_, framing, _, lines)) = parsed else { return false };
    let mut head = RequestHead::new();
    assert_eq!(head.parse(bytes, &HEAD_LIMITS), Ok(Progress::Complete));
    let message = &bytes[..end];
    assert_strict(message.strip_prefix(b"\r\n").unwrap_or(message), &lines);
    let declared = framing_lines(&head.headers);
    assert_eq!(declared.len(), usize::from(framing != Framing::None), "one framing, or none: {lines:?}");
    assert!(is_token(head.method_span.of(bytes)));
    assert!(head.headers.iter().filter(|header| header.name == HeaderName::Host).count() <= 1);
    assert_normal_form(head.path.of(bytes));
    true
}

/// A response's head, as the answer to GET and to HEAD.
pub(crate) fn response_head(bytes: &[u8]) -> bool {
    let [get, head] = [Method::Get, Method::Head].map(|method| {
        assert_cuts_agree(bytes, |bytes| {
            let mut head = ResponseHead::new();
            match head.parse(bytes, method, &HEAD_LIMITS) {
                Ok(Progress::Partial) => Parsed::Unfinished,
                Ok(Progress::Complete) => {
                    assert!((100..600).contains(&head.status));
                    assert!(!head.keep_alive || head.framing != ResponseFraming::UntilClose);
                    Parsed::Complete(
                        head.head_bytes,
                        (head.status, head.framing, lines(bytes, &head.headers)),
                    )
                }
                Err(_) => Parsed::Refused,
            }
        })
    });
    match (get, head) {
        (Parsed::Complete(end, (_, framing, lines)), Parsed::Complete(head_end, (_, head_framing, _))) => {
            assert_eq!((end, ResponseFraming::None), (head_end, head_framing));
            assert_strict(&bytes[..end], &lines);
            if framing == ResponseFraming::Chunked || matches!(framing, ResponseFraming::Length(_)) {
                let framing = |line: &&(Vec<u8>, Vec<u8>)| is_framing(HeaderName::classify(&line.0));
                assert_eq!(lines.iter().filter(framing).count(), 1, "{lines:?}");
            }
            true
        }
        (Parsed::Complete(..), _) | (_, Parsed::Complete(..)) => {
            panic!("the method changed more than the body")
        }
        _ => false,
    }
}

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

fn lines(bytes: &[u8], headers: &[Header]) -> Lines {
    let line = |header: &Header| (header.name_span.of(bytes).to_vec(), header.value_span.of(bytes).to_vec());
    headers.iter().map(line).collect()
}

fn is_framing(name: HeaderName) -> bool {
    matches!(name, HeaderName::ContentLength | HeaderName::TransferEncoding)
}

fn framing_lines(headers: &[Header]) -> Vec<&Header> {
    headers.iter().filter(|header| is_framing(header.name)).collect()
}

/// Read once more, line by line, by nothing but CRLF and the first colon.
fn assert_strict(message: &[u8], lines: &Lines) {
    let text = message.strip_suffix(b"\r\n\r\n").expect("a head ends in an empty line");
    let mut read = split_crlf(text).into_iter();
    let start = read.next().expect("a start line");
    assert!(start.iter().all(|byte| !matches!(byte, 0 | b'\r' | b'\n')), "{start:?}");
    let read: Lines = read
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
            let value = line[colon + 1..].trim_ascii();
            assert!(is_token(&line[..colon]) && is_field_value(&line[colon + 1..]), "{line:?}");
            (line[..colon].to_vec(), value.to_vec())
        })
        .collect();
    assert_eq!(read, *lines);
}

fn split_crlf(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

fn assert_normal_form(path: &[u8]) {
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    if let Ok(normal) = normalize(path, &mut once) {
        let normal = normal.to_vec();
        assert!(
            normal.starts_with(b"/") && normal.iter().all(|byte| matches!(byte, 0x21..=0x7e)),
            "{normal:?}"
        );
        assert_eq!(normalize(&normal, &mut twice), Ok(&normal[..]), "its own normal form");
        assert!(!normal.split(|byte| *byte == b'/').any(|segment| segment == b".." || segment == b"."));
    }
}

/// A chunked body: payload, where it ends, and whether it does.
type Decoded = Option<(Vec<u8>, usize, bool)>;

/// A chunked body, in one piece and in two, cut at every offset, and byte by byte.
pub(crate) fn chunked(bytes: &[u8]) -> bool {
    let whole = decode(&[bytes]);
    for cut in offsets(bytes.len()) {
        let (start, rest) = bytes.split_at(cut);
        assert_eq!(decode(&[start, rest]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(&single), whole, "byte by byte");
    let forwarded = ChunkedDecoder::new(CHUNK_LIMITS).step_all(bytes);
    let expected = whole.as_ref().map(|(_, consumed, done)| (*consumed, *done));
    assert_eq!(forwarded.ok().map(|step| (step.consumed, step.done)), expected, "as it is forwarded");
    let Some((payload, consumed, true)) = whole else { return false };
    assert_eq!(read_strictly(&bytes[..consumed]), Some((payload, consumed)), "read by another reader");
    true
}

fn decode(pieces: &[&[u8]]) -> Decoded {
    let mut decoder = ChunkedDecoder::new(CHUNK_LIMITS);
    let (mut payload, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            let step = decoder.step(rest).ok()?;
            assert!(step.consumed > 0, "no progress");
            if let Some(data) = step.data {
                payload.extend_from_slice(&rest[data]);
            }
            consumed += step.consumed;
            rest = &rest[step.consumed..];
        }
    }
    assert_eq!(decoder.data_bytes(), payload.len() as u64);
    Some((payload, consumed, decoder.is_done()))
}

/// RFC 9112 7.1 by lines and numbers of the standard library; no limits.
fn read_strictly(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut payload, mut at) = (Vec::new(), 0);
    let line = |at: &mut usize| {
        let end = bytes[*at..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = &bytes[*at..*at + end];
        *at += end + 2;
        (!line.contains(&b'\r') && !line.contains(&b'\n')).then_some(line)
    };
    loop {
        let size = line(&mut at)?.split(|byte| *byte == b';').next()?;
        let size = std::str::from_utf8(size)
            .ok()
            .filter(|size| size.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let size = usize::try_from(u64::from_str_radix(size, 16).ok()?).ok()?;
        if size == 0 {
            break;
        }
        payload.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        if !line(&mut at)?.is_empty() {
            return None;
        }
    }
    loop {
        let trailer = line(&mut at)?;
        if trailer.is_empty() {
            return Some((payload, at));
        }
        let colon = trailer.iter().position(|byte| *byte == b':')?;
        if !is_token(&trailer[..colon]) || !is_field_value(&trailer[colon + 1..]) {
            return None;
        }
    }
}

/// A PROXY protocol header.
pub(crate) fn proxy_protocol(bytes: &[u8]) -> bool {
    let parsed = assert_cuts_agree(bytes, |bytes| match parse_proxy_header(bytes, PROXY_BYTES_MAX) {
        Ok(ProxyProgress::Partial) => Parsed::Unfinished,
        Ok(ProxyProgress::Complete { bytes, ends }) => Parsed::Complete(bytes, ends),
        Err(_) => Parsed::Refused,
    });
    match parsed {
        Parsed::Complete(end, ends) => {
            assert!(end <= PROXY_BYTES_MAX);
            if let Some(ends) = ends {
                let family = if ends.source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (ends.source, ends.destination);
                let line =
                    format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
                let again = parse_proxy_header(line.as_bytes(), PROXY_BYTES_MAX);
                assert_eq!(
                    again,
                    Ok(ProxyProgress::Complete { bytes: line.len(), ends: Some(ends) }),
                    "{line}"
                );
            }
            true
        }
        Parsed::Unfinished => {
            assert!(bytes.len() < PROXY_BYTES_MAX.max(PROXY_TEXT_BYTES_MAX), "a header has an end");
            false
        }
        Parsed::Refused => false,
    }
}

/// The value of a `Forwarded` field, and of `X-Forwarded-For`. What is well formed stays so with an element behind it.
pub(crate) fn forwarded(bytes: &[u8]) -> bool {
    assert!(x_forwarded_for(bytes).count() <= bytes.len() + 1);
    let elements = ForwardedElements::of(bytes).count();
    assert!(elements <= bytes.len() + 1);
    if !ForwardedElements::is_well_formed(bytes) {
        return false;
    }
    let appended = [bytes, b", for=192.0.2.1;proto=http"].concat();
    let read: Vec<_> = ForwardedElements::of(&appended).collect();
    assert_eq!(read.len(), elements + 1);
    let last = read.last().and_then(|element| element.as_ref().ok()).expect("the element that was appended");
    assert_eq!((last.client, last.proto), ("192.0.2.1".parse().ok(), Some(&b"http"[..])));
    true
}
