//! Heads: parsing, and what else is done with their bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use turnpike_http::{HeadLimits, Method, Progress, RequestHead, ResponseHead, encode, path};

const SMALL: &[u8] = b"GET /pets/7 HTTP/1.1\r\nhost: a1b2c3d4e5.execute-api.us-east-1.localhost\r\n\r\n";
const BROWSER: &[u8] = b"GET /pets/7?color=brown&sort=name HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/pets\r\nDNT: 1\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-site\r\nX-Api-Key: 0123456789abcdef\r\n\
    Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: origin\r\nCache-Control: no-store\r\n\r\n";
const PATH: &[u8] = b"/prod/pets/7/toys";
const WRITTEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    x-amzn-requestid: 0f1d5e52-0c3a-4d6c-9f0a-5d2f3f3a8a11\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

pub(crate) fn run(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("heads");
    for (name, bytes, fields) in [("request, one field", SMALL, 1), ("request, of a browser", BROWSER, 14)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut head = RequestHead::new();
        assert_eq!(head.parse(bytes, &limits), Ok(Progress::Complete));
        assert_eq!((head.head_bytes, head.headers.len()), (bytes.len(), fields));
        group.bench_function(name, |bencher| {
            bencher.iter(|| head.parse(black_box(bytes), &limits).expect("a good head"));
        });
    }
    group.throughput(Throughput::Bytes(ANSWER.len() as u64));
    let mut head = ResponseHead::new();
    assert_eq!(head.parse(ANSWER, Method::Get, &limits), Ok(Progress::Complete));
    assert_eq!((head.status, head.head_bytes, head.headers.len()), (200, ANSWER.len(), 5));
    group.bench_function("response", |bencher| {
        bencher.iter(|| head.parse(black_box(ANSWER), Method::Get, &limits).expect("a good head"));
    });
    let mut scratch = Vec::new();
    assert_eq!(path::normalize(PATH, &mut scratch), Ok(PATH));
    group.throughput(Throughput::Bytes(PATH.len() as u64));
    group.bench_function("path, nothing escaped", |bencher| {
        bencher.iter(|| path::normalize(black_box(PATH), &mut scratch).expect("a good path").len());
    });
    let mut out = Vec::with_capacity(4096);
    write(&mut out);
    assert_eq!(out, WRITTEN);
    group.throughput(Throughput::Bytes(WRITTEN.len() as u64));
    group.bench_function("response head written", |bencher| {
        bencher.iter(|| {
            out.clear();
            write(&mut out);
            out.len()
        });
    });
    group.finish();
}

fn write(out: &mut Vec<u8>) {
    encode::status_line(out, black_box(200));
    encode::header(out, "content-type", black_box(b"application/json"));
    encode::header(out, "x-amzn-requestid", black_box(b"0f1d5e52-0c3a-4d6c-9f0a-5d2f3f3a8a11"));
    encode::header(out, "date", &encode::http_date(black_box(784_111_777)));
}
