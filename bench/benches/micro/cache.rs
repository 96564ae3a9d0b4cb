//! Hits in a shard's response cache.

use std::rc::Rc;

use bytes::Bytes;
use criterion::Criterion;
use turnpike_cache::{Fields, Found, Freshness, Response, Store, Stored, Terms};

const NO_FIELDS: Fields<'static> = &|_, _| {};
const STAGE: u32 = 1;
const LATE_MS: u64 = 1_000_000;

pub(crate) fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cache");
    for entries in [1_u32, 100_000] {
        let mut store = Store::new(1 << 30);
        store.open(STAGE, &Terms { bytes_max: u64::MAX, generation: 0, flushed_before: 0 }, []);
        for entry in 0..entries {
            assert!(insert(&mut store, entry));
        }
        let last = store.find(STAGE, &(entries - 1).to_le_bytes(), 0);
        assert!(matches!(last, Some(Found::Response(response)) if *response.body == *b"hello"));
        assert!(store.find(STAGE, &entries.to_le_bytes(), 0).is_none());
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
