//! What single steps of the hot path, and of a snapshot's arrival, cost apart from everything else: `cargo bench -p
//! turnpike-bench`, a name behind it for some of them. For finding out what a change did; the comparison says whether it
//! matters.

#![allow(missing_docs, reason = "criterion's macros make items of their own")]

use std::hint::black_box;
use std::rc::Rc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use turnpike_cache::{Fields, Freshness, Response, Store, Stored, Terms};
use turnpike_http::{HeadLimits, Method, RequestHead, ResponseHead, encode, path};
use turnpike_limits::{Answer, Holder, LeaseRules, Leases, Limit, LimitId, Loan, Rate, Taken};
use turnpike_snapshot::{
    HttpProxy, HttpVersion, Integration, IntegrationKind, Limits, Protocol, Root, Route, RouteSettings,
    Scheme, StageUnit, TargetPart, Unit, UnitHash, UnitRef, check_unit, decode_root, decode_unit,
    encode_root, encode_unit,
};

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

/// Parsing of heads, and what else is done with their bytes.
fn heads(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("heads");
    for (name, bytes) in [("request, one field", SMALL), ("request, of a browser", BROWSER)] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut head = RequestHead::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| head.parse(black_box(bytes), &limits).expect("a good head"));
        });
    }
    group.throughput(Throughput::Bytes(ANSWER.len() as u64));
    let mut head = ResponseHead::new();
    group.bench_function("response", |bencher| {
        bencher.iter(|| head.parse(black_box(ANSWER), Method::Get, &limits).expect("a good head"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("rewriting");
    let mut scratch = Vec::new();
    group.bench_function("path, nothing escaped", |bencher| {
        bencher.iter(|| {
            path::normalize(black_box(b"/prod/pets/7/toys"), &mut scratch).expect("a good path").len()
        });
    });
    let mut out = Vec::with_capacity(4096);
    group.bench_function("response head written", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode::status_line(&mut out, 200);
            encode::header(&mut out, "content-type", black_box(b"application/json"));
            encode::header(&mut out, "x-amzn-requestid", black_box(b"0f1d5e52-0c3a-4d6c-9f0a-5d2f3f3a8a11"));
            encode::header(&mut out, "date", &encode::http_date(black_box(784_111_777)));
            out.len()
        });
    });
    group.finish();
}

fn stage(routes: u32) -> Unit {
    let proxy = |index: u32| HttpProxy {
        method: None,
        scheme: Scheme::Http,
        version: HttpVersion::Http1,
        tls: None,
        target_group: None,
        host: "127.0.0.1".to_owned(),
        port: 3000,
        target: vec![TargetPart::Literal(format!("/v{index}")), TargetPart::RequestPath],
        query: String::new(),
    };
    Unit::Stage(StageUnit {
        api_id: "a1b2c3d4e5".to_owned(),
        protocol: Protocol::Http,
        stage: "$default".to_owned(),
        deployment_id: "d1".to_owned(),
        execute_api_endpoint_disabled: false,
        access_log: None,
        integrations: (0..routes)
            .map(|index| Integration {
                id: format!("i{index}"),
                timeout_ms: 29_000,
                kind: IntegrationKind::HttpProxy(proxy(index)),
            })
            .collect(),
        routes: (0..routes)
            .map(|index| Route {
                method: "GET".to_owned(),
                path: format!("/service{index}/items/{{id}}"),
                id: format!("r{index}"),
                integration: index,
                settings: RouteSettings::default(),
            })
            .collect(),
        canary: None,
        cache: None,
        compression: None,
    })
}

/// Reading of what control publishes.
fn snapshots(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("snapshots");
    for routes in [50, 300] {
        let unit = stage(routes);
        let (_, bytes) = encode_unit(&unit).expect("a unit");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("stage of {routes} routes, decoded"), |bencher| {
            bencher.iter(|| decode_unit(black_box(&bytes), &limits).expect("a good unit"));
        });
        group.bench_function(format!("stage of {routes} routes, checked"), |bencher| {
            bencher.iter(|| check_unit(black_box(&unit), &limits).expect("a good unit"));
        });
    }
    let unit = |number: u32| {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        UnitRef { hash: UnitHash(hash), bytes_len: 1_000 }
    };
    let root = encode_root(&Root { version: 7, units: (0..2_000).map(unit).collect() }).expect("a root");
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("root of 2,000 units, decoded", |bencher| {
        bencher.iter(|| decode_root(black_box(&root), &limits).expect("a good root"));
    });
    group.finish();
}

const DECISIONS: u64 = 1_000;

/// Decisions with tokens in hand.
fn limiter(criterion: &mut Criterion) {
    let rate = Rate::new(1e9, u32::MAX);
    let limits: Vec<Limit> = (1..=3).map(|id| Limit { id: LimitId(id), rate }).collect();
    let mut group = criterion.benchmark_group("limiter");
    for count in [1, 3] {
        group.throughput(Throughput::Elements(DECISIONS));
        group.bench_function(format!("{DECISIONS} decisions of {count} limits, tokens in hand"), |bencher| {
            let limits = &limits[..count];
            bencher.iter_batched_ref(
                || in_hand(limits),
                |leases| {
                    for _ in 0..DECISIONS {
                        assert_eq!(leases.take(black_box(limits), 1, 0), Taken::Admitted);
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Leases with many tokens of each limit.
fn in_hand(limits: &[Limit]) -> Leases {
    let rules = LeaseRules { holder: Holder(0), holders: 1, wait_us: 1_000, waiting_max: 8, leases_max: 8 };
    let mut leases = Leases::new(rules);
    for limit in limits {
        leases.take(std::slice::from_ref(limit), 1, 0);
        while leases.poll_report().is_some() {}
        let answer = Answer {
            holder: Holder(0),
            id: limit.id,
            version: 1,
            granted: 1_000_000,
            loan: Loan(0),
            valid_until_us: u64::MAX,
            empty_until_us: 0,
        };
        leases.handle_answer(&answer, 0);
        while leases.poll_verdict().is_some() {}
    }
    leases
}

const NO_FIELDS: Fields<'static> = &|_, _| {};
const STAGE: u32 = 1;
const LATE_MS: u64 = 1_000_000;

fn cache(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cache");
    for entries in [1_u32, 100_000] {
        let mut store = Store::new(1 << 30);
        store.open(STAGE, &Terms { bytes_max: u64::MAX, generation: 0, flushed_before: 0 }, []);
        for entry in 0..entries {
            assert!(insert(&mut store, entry));
        }
        let mut entry = 0;
        group.bench_function(format!("hit among {entries}"), |bencher| {
            bencher.iter(|| {
                entry = (entry + 7_919) % entries;
                store.find(STAGE, &entry.to_le_bytes(), 0).expect("it was put there")
            });
        });
    }
    group.finish();
}

fn insert(store: &mut Store, entry: u32) -> bool {
    let response = Response {
        status: 200,
        lines: (*b"content-type: text/plain\r\n").into(),
        dated: false,
        body: Bytes::from_static(b"hello"),
        body_held_bytes: 5,
        freshness: Freshness::lasting(0, LATE_MS),
        etag: None,
        last_modified_s: None,
        tags: [].into(),
        codable: false,
        forms: Box::default(),
    };
    let stored = Stored { response: Rc::new(response), generation: 0, now_ms: 0, until_ms: LATE_MS };
    store.insert_varying(STAGE, &mut entry.to_le_bytes().to_vec(), None, stored, NO_FIELDS)
}

criterion_group!(benches, heads, snapshots, limiter, cache);
criterion_main!(benches);
