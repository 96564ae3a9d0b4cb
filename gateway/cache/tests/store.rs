//! The store as its core uses it: what is found, what goes, and that its bounds hold whatever is done to it.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;
use turnpike_cache::{Fields, Found, Freshness, Response, ResponseFacts, Store, Stored, Terms, Varies, Vary};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const STAGE: u32 = 7;
const OTHER_STAGE: u32 = 8;
/// After everything in these tests, unless it says otherwise.
const LATE_MS: u64 = 1_000_000;

fn open(store: &mut Store, stage: u32, bytes_max: u64, generation: u64) {
    let terms = Terms { bytes_max, generation, flushed_before: generation };
    store.open(stage, &terms, []);
}

fn purge(store: &mut Store, stage: u32, tag: u64, generation: u64) {
    let terms = Terms { bytes_max: u64::MAX, generation, flushed_before: 0 };
    store.open(stage, &terms, [(&tag.to_le_bytes()[..], generation)]);
}

const NO_FIELDS: Fields<'static> = &|_, _| {};

fn response(body_bytes: usize) -> Rc<Response> {
    tagged(body_bytes, &[])
}

fn tagged(body_bytes: usize, tags: &[u64]) -> Rc<Response> {
    Rc::new(Response {
        status: 200,
        lines: (*b"X-A: 1\r\n").into(),
        dated: false,
        body: Bytes::from(vec![b'x'; body_bytes]),
        body_held_bytes: body_bytes,
        codable: false,
        forms: Box::default(),
        freshness: Freshness::lasting(0, LATE_MS),
        etag: None,
        last_modified_s: None,
        tags: tags.into(),
    })
}

fn store(bytes_max: u64) -> Store {
    let mut store = Store::new(bytes_max);
    open(&mut store, STAGE, u64::MAX, 0);
    open(&mut store, OTHER_STAGE, u64::MAX, 0);
    store
}

fn put(store: &mut Store, stage: u32, key: &str, stored: &Rc<Response>) -> bool {
    put_under(store, stage, key, stored, 0)
}

fn put_under(store: &mut Store, stage: u32, key: &str, stored: &Rc<Response>, generation: u64) -> bool {
    let mut key = key.as_bytes().to_vec();
    let stored = Stored { response: Rc::clone(stored), generation, now_ms: 0, until_ms: LATE_MS };
    store.insert_varying(stage, &mut key, None, stored, NO_FIELDS)
}

fn has(store: &mut Store, stage: u32, key: &str) -> bool {
    matches!(store.find(stage, key.as_bytes(), 0), Some(Found::Response(_)))
}

#[test]
fn what_is_stored_is_found_by_reference_until_it_is_over() {
    let mut store = store(MIB);
    let stored = response(10);
    assert!(put(&mut store, STAGE, "a", &stored));
    let Some(Found::Response(found)) = store.find(STAGE, b"a", LATE_MS - 1) else { panic!("not found") };
    assert!(Rc::ptr_eq(&found, &stored));
    assert!(store.find(STAGE, b"a", LATE_MS).is_none());
    assert!(store.find(STAGE, b"b", 0).is_none());
    assert!(store.find(OTHER_STAGE, b"a", 0).is_none());
}

#[test]
fn a_stage_that_was_not_opened_stores_nothing() {
    let mut store = Store::new(MIB);
    assert!(!put(&mut store, STAGE, "a", &response(10)));
    assert_eq!((store.count(), store.bytes()), (0, 0));
}

#[test]
fn a_replacement_takes_the_place_of_what_was_there() {
    let mut store = store(MIB);
    put(&mut store, STAGE, "a", &response(10));
    let (bytes, stored) = (store.bytes(), response(11));
    assert!(put(&mut store, STAGE, "a", &stored));
    assert_eq!((store.bytes(), store.count(), store.take_evicted()), (bytes + 1, 1, 0));
    assert!(
        matches!(store.find(STAGE, b"a", 0), Some(Found::Response(found)) if Rc::ptr_eq(&found, &stored))
    );
}

#[test]
fn weights_are_of_true_size() {
    let mut store = store(MIB);
    put(&mut store, STAGE, "a", &response(0));
    let empty = store.bytes();
    assert!((200..1_000).contains(&empty), "{empty}");
    put(&mut store, STAGE, "ab", &response(5_000));
    assert_eq!(store.bytes(), 2 * empty + 1 + 5_000);
}

#[test]
fn a_form_counts_with_its_response_and_goes_with_it() {
    let mut store = store(8 * KIB);
    let stored = response(2_000);
    put(&mut store, STAGE, "a", &stored);
    let before = store.bytes();
    let form = |of: &Response, bytes| Rc::new(of.with_form("gzip", vec![b'z'; bytes].into(), bytes));
    let formed = form(&stored, 1_000);
    assert!(store.add_form(STAGE, b"a", &stored, Rc::clone(&formed)));
    assert!(store.bytes() > before + 1_000 && store.bytes() < before + 1_200, "{}", store.bytes());
    assert_eq!((store.count(), store.take_evicted(), store.of_stage(STAGE).0), (1, 0, store.bytes()));
    let Some(Found::Response(found)) = store.find(STAGE, b"a", LATE_MS - 1) else { panic!("not found") };
    let found = found.form("gzip").expect("the form");
    assert_eq!((found.body.len(), &*found.lines), (1_000, &b"X-A: 1\r\nContent-Encoding: gzip\r\n"[..]));
    assert!(formed.form("deflate").is_none());
    // It lasts as long as the response, and belongs to no other.
    assert!(store.find(STAGE, b"a", LATE_MS).is_none());
    assert!(!store.add_form(STAGE, b"a", &stored, form(&stored, 1)), "it isn't there any more");
    assert!(!store.add_form(OTHER_STAGE, b"a", &formed, form(&formed, 1)));
    assert!(!store.add_form(STAGE, b"b", &formed, form(&formed, 1)));
    // One that there is no room for leaves the response alone.
    assert!(!store.add_form(STAGE, b"a", &formed, form(&formed, 8 * 1024)));
    assert!(has(&mut store, STAGE, "a"));
    store.remove(STAGE, b"a");
    assert_eq!((store.bytes(), store.count()), (0, 0));
}

#[test]
fn no_more_than_the_bound_is_kept() {
    let mut store = store(64 * KIB);
    for n in 0..1_000 {
        put(&mut store, STAGE, &format!("key {n}"), &response(n % 3_000));
        assert!(store.bytes() <= 64 * KIB);
    }
    assert!(store.bytes() > 48 * KIB, "{}", store.bytes());
    assert_eq!(store.of_stage(STAGE), (store.bytes(), store.count()));
    assert_eq!(store.take_evicted() as usize, 1_000 - store.count());
    assert!(!put(&mut store, STAGE, "large", &response(64 * 1024)));
    assert!(!has(&mut store, STAGE, "large"));
}

#[test]
fn what_does_not_fit_takes_away_what_it_was_to_replace() {
    let mut store = store(64 * KIB);
    put(&mut store, STAGE, "a", &response(10));
    assert!(!put(&mut store, STAGE, "a", &response(100 * 1024)));
    assert!(!has(&mut store, STAGE, "a"));
    assert_eq!((store.bytes(), store.count()), (0, 0));
}

#[test]
fn a_stage_has_a_bound_of_its_own() {
    let mut store = Store::new(MIB);
    open(&mut store, STAGE, 32 * KIB, 0);
    open(&mut store, OTHER_STAGE, u64::MAX, 0);
    for n in 0..100 {
        put(&mut store, OTHER_STAGE, &format!("{n}"), &response(1_000));
    }
    for n in 0..1_000 {
        assert!(put(&mut store, STAGE, &format!("{n}"), &response(1_000)));
        assert!(store.of_stage(STAGE).0 <= 32 * KIB);
    }
    assert_eq!(store.of_stage(OTHER_STAGE).1, 100);
    assert!(has(&mut store, STAGE, "999"));
    assert!(!put(&mut store, STAGE, "large", &response(32 * 1024)));
}

/// Keys that are used again and again stay, however many others come by once.
fn survives_a_scan(mut store: Store) {
    for _ in 0..3 {
        for n in 0..20 {
            let key = format!("hot {n}");
            if !has(&mut store, STAGE, &key) {
                put(&mut store, STAGE, &key, &response(1_000));
            }
        }
    }
    for n in 0..5_000 {
        put(&mut store, STAGE, &format!("scan {n}"), &response(1_000));
        if n % 10 == 0 {
            has(&mut store, STAGE, &format!("hot {}", n / 10 % 20));
        }
    }
    let left = (0..20).filter(|n| has(&mut store, STAGE, &format!("hot {n}"))).count();
    assert!(left >= 18, "{left} of 20");
}

#[test]
fn a_scan_does_not_drive_out_what_is_used() {
    survives_a_scan(store(100 * KIB));
    let mut bounded = Store::new(100 * MIB);
    open(&mut bounded, STAGE, 100 * KIB, 0);
    survives_a_scan(bounded);
}

#[test]
fn a_flush_is_at_once_and_its_memory_comes_back_in_steps() {
    let mut store = store(64 * MIB);
    for n in 0..10_000 {
        put(&mut store, STAGE, &format!("{n}"), &response(100));
    }
    put(&mut store, OTHER_STAGE, "a", &response(100));
    open(&mut store, STAGE, u64::MAX, 1);
    assert!((0..10_000).all(|n| !has(&mut store, STAGE, &format!("{n}"))));
    assert_eq!((store.of_stage(STAGE), store.count()), ((0, 0), 10_001));
    assert!(!put(&mut store, STAGE, "late", &response(100)), "asked for before the flush");
    assert!(put_under(&mut store, STAGE, "new", &response(100), 1));
    let mut before = store.count();
    while before > 2 {
        store.sweep(0, 256, u64::MAX);
        assert!(store.count() >= before.saturating_sub(256) && store.count() < before);
        before = store.count();
    }
    assert!(has(&mut store, STAGE, "new") && has(&mut store, OTHER_STAGE, "a"));
    assert!(store.bytes() < 2 * KIB);
}

#[test]
fn terms_that_flush_nothing_leave_what_is_there() {
    let mut store = store(MIB);
    put(&mut store, STAGE, "a", &response(100));
    for generation in [0, 1, 5] {
        let terms = Terms { bytes_max: 50 * KIB, generation, flushed_before: 0 };
        store.open(STAGE, &terms, []);
        assert!(has(&mut store, STAGE, "a"), "{generation}");
    }
    let another = Terms { bytes_max: 50 * KIB, generation: 4, flushed_before: 0 };
    store.open(STAGE, &another, []);
    assert!(!has(&mut store, STAGE, "a"), "a stage whose generations begin anew is another");
}

#[test]
fn a_stage_that_is_gone_is_swept() {
    let mut store = store(MIB);
    put(&mut store, STAGE, "a", &response(100));
    store.close(|stage| stage != STAGE);
    assert!(!has(&mut store, STAGE, "a"));
    store.sweep(0, 10, u64::MAX);
    assert_eq!((store.count(), store.bytes()), (0, 0));
}

#[test]
fn what_is_over_is_swept() {
    let mut store = store(MIB);
    put(&mut store, STAGE, "a", &response(100));
    store.sweep(LATE_MS - 1, 10, u64::MAX);
    assert_eq!(store.count(), 1);
    store.sweep(LATE_MS, 10, u64::MAX);
    assert_eq!((store.count(), store.bytes()), (0, 0));
}

#[test]
fn a_purge_takes_what_has_the_tag_and_was_asked_for_before() {
    let mut store = store(MIB);
    put_tagged(&mut store, STAGE, "one", &[1], 0);
    put_tagged(&mut store, STAGE, "both", &[1, 2], 0);
    put_tagged(&mut store, STAGE, "two", &[2], 0);
    put_tagged(&mut store, STAGE, "none", &[], 0);
    put_tagged(&mut store, OTHER_STAGE, "one", &[1], 0);
    purge(&mut store, STAGE, 1, 1);
    let found = |store: &mut Store| ["one", "both", "two", "none"].map(|key| has(store, STAGE, key));
    assert_eq!(found(&mut store), [false, false, true, true]);
    assert!(has(&mut store, OTHER_STAGE, "one"));
    put_tagged(&mut store, STAGE, "one", &[1], 0);
    assert!(!has(&mut store, STAGE, "one"), "asked for before the purge");
    put_tagged(&mut store, STAGE, "one", &[1], 1);
    assert_eq!(found(&mut store), [true, false, true, true]);
    store.sweep(0, 10, u64::MAX);
    assert_eq!((found(&mut store), store.count()), ([true, false, true, true], 4));
}

fn put_tagged(store: &mut Store, stage: u32, key: &str, tags: &[u64], generation: u64) -> bool {
    let tags: Vec<u64> = tags.iter().map(|tag| store.tag(&tag.to_le_bytes())).collect();
    put_under(store, stage, key, &tagged(1, &tags), generation)
}

fn vary(names: &str) -> Vary {
    let lines = [(&b"vary"[..], names.as_bytes())];
    match ResponseFacts::gather(200, 0, lines).varies {
        Varies::By(vary) => vary,
        other => panic!("{other:?}"),
    }
}

fn put_varying(store: &mut Store, names: &str, language: &str, stored: &Rc<Response>, until_ms: u64) {
    let mut key = b"key".to_vec();
    let fields: Fields<'_> = &|_, found| found(language.as_bytes());
    let stored = Stored { response: Rc::clone(stored), generation: 0, now_ms: 0, until_ms };
    assert!(store.insert_varying(STAGE, &mut key, Some(vary(names)), stored, fields));
}

fn find_varying(store: &mut Store, language: &str, now_ms: u64) -> Option<Rc<Response>> {
    let mut key = b"key".to_vec();
    match store.find_varying(STAGE, &mut key, now_ms, &|_, found| found(language.as_bytes())) {
        Some(Found::Response(found)) => Some(found),
        _ => None,
    }
}

#[test]
fn each_request_gets_its_own_variant() {
    let mut store = store(MIB);
    let (german, french) = (response(1), response(2));
    put_varying(&mut store, "accept-language", "de", &german, 500);
    put_varying(&mut store, "accept-language", "fr", &french, 100);
    let same = |found: Option<Rc<Response>>, stored| found.is_some_and(|found| Rc::ptr_eq(&found, stored));
    assert!(same(find_varying(&mut store, "de", 0), &german));
    assert!(same(find_varying(&mut store, "fr", 0), &french));
    assert!(find_varying(&mut store, "it", 0).is_none());
    assert!(same(find_varying(&mut store, "de", 499), &german));
    assert!(find_varying(&mut store, "fr", 100).is_none());
}

#[test]
fn all_variants_go_at_once_and_do_not_come_back() {
    let mut store = store(MIB);
    put_varying(&mut store, "a", "de", &response(1), 500);
    store.remove(STAGE, b"key");
    assert!(find_varying(&mut store, "de", 0).is_none());
    put_varying(&mut store, "a", "fr", &response(1), 500);
    assert!(find_varying(&mut store, "de", 0).is_none());
    assert!(find_varying(&mut store, "fr", 0).is_some());
}

#[test]
fn an_origin_that_names_ever_other_fields_makes_no_key_longer_and_longer() {
    let mut store = store(MIB);
    for number in 0..2_000 {
        put_varying(&mut store, &format!("x-{number}"), "de", &response(1), 500);
        let mut key = b"key".to_vec();
        let found = store.find_varying(STAGE, &mut key, 0, &|_, found| found(b"de"));
        assert!(matches!(found, Some(Found::Response(_))) && key.len() < 4_096, "{number}: {}", key.len());
    }
}

#[test]
fn variants_by_different_fields_are_told_apart_by_all_of_them() {
    let mut store = store(MIB);
    put_varying(&mut store, "a", "de", &response(1), 500);
    put_varying(&mut store, "b", "fr", &response(2), 500);
    assert!(find_varying(&mut store, "de", 0).is_none(), "it isn't known what it has of the other field");
    put_varying(&mut store, "a", "de", &response(3), 500);
    let length = |found: Option<Rc<Response>>| found.map(|found| found.body.len());
    assert_eq!(length(find_varying(&mut store, "fr", 0)), Some(2));
    assert_eq!(length(find_varying(&mut store, "de", 0)), Some(3));
    let mut key = b"key".to_vec();
    let stored = Stored { response: response(4), generation: 0, now_ms: 0, until_ms: 500 };
    store.insert_varying(STAGE, &mut key, None, stored, &|_, found| found(b"it"));
    assert_eq!(
        ["fr", "de", "it"].map(|of| length(find_varying(&mut store, of, 0))),
        [Some(2), Some(3), Some(4)]
    );
}

#[test]
fn a_pass_is_remembered_and_replaced_by_a_response() {
    let mut store = store(MIB);
    store.insert_pass(STAGE, b"a", 0, 100);
    assert!(matches!(store.find(STAGE, b"a", 99), Some(Found::Pass)));
    assert!(store.find(STAGE, b"a", 100).is_none());
    put(&mut store, STAGE, "a", &response(1));
    store.insert_pass(STAGE, b"a", 0, 100);
    assert!(has(&mut store, STAGE, "a"));
}

/// Everything at random, against a map that never forgets: what is found is what was put in last, and nothing that a
/// flush, a purge or a removal took.
#[test]
fn whatever_is_done_nothing_wrong_is_found_and_the_bounds_hold() {
    let mut seed = 1_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut store = Store::new(40 * KIB);
    let mut model: HashMap<(u32, u64), Rc<Response>> = HashMap::new();
    let mut found_ever = HashSet::new();
    let mut generations = [0_u64; 3];
    let mut purges: [HashMap<[u8; 8], u64>; 3] = Default::default();
    for stage in 0..3 {
        open(&mut store, stage, 15 * KIB, 0);
    }
    for step in 0..60_000_u64 {
        let (stage, key) = (random(3) as u32, random(60));
        let generation = &mut generations[stage as usize];
        let name = format!("key {key}");
        match random(100) {
            0 => {
                *generation += 1;
                open(&mut store, stage, 15 * KIB, *generation);
                model.retain(|(of, _), _| *of != stage);
            }
            1 => {
                let tag = random(4).to_le_bytes();
                *generation += 1;
                let terms = Terms { bytes_max: 15 * KIB, generation: *generation, flushed_before: 0 };
                let purges = &mut purges[stage as usize];
                purges.insert(tag, *generation);
                store.open(stage, &terms, purges.iter().map(|(tag, before)| (&tag[..], *before)));
                let tag = store.tag(&tag);
                model.retain(|(of, _), stored| *of != stage || !stored.tags.contains(&tag));
            }
            2..5 => {
                store.remove(stage, name.as_bytes());
                model.remove(&(stage, key));
            }
            5..15 => store.sweep(0, random(20) as usize, u64::MAX),
            15..50 => {
                let tag = store.tag(&random(4).to_le_bytes());
                let stored = tagged(random(1_500) as usize, &[tag]);
                model.insert((stage, key), Rc::clone(&stored));
                if !put_under(&mut store, stage, &name, &stored, *generation) {
                    model.remove(&(stage, key));
                }
            }
            _ => {
                if let Some(Found::Response(found)) = store.find(stage, name.as_bytes(), 0) {
                    let expected = model.get(&(stage, key)).expect("something that is gone was found");
                    assert!(Rc::ptr_eq(expected, &found), "step {step}");
                    found_ever.insert((stage, key));
                }
            }
        }
        assert!(store.bytes() <= 40 * KIB);
        assert!((0..3).all(|stage| store.of_stage(stage).0 <= 15 * KIB));
    }
    assert!(found_ever.len() > 150, "{}", found_ever.len());
    store.close(|_| false);
    store.sweep(0, usize::MAX, u64::MAX);
    assert_eq!((store.count(), store.bytes()), (0, 0));
}
