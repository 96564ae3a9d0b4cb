use super::super::tests::{Place, api, store};
use super::super::{Backend, Store};
use super::*;

#[test]
fn a_write_of_another_process_is_waited_for_and_named() {
    let mut place = Place::sqlite();
    place.settings.sqlite.busy_timeout_ms = 1;
    let store = place.open().expect("a new store");
    let other = Connection::open(place.data_dir().join(FILE)).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let error = store.write(|tx| tx.put_api(&api("a"))).expect_err("it is held");
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains("store_busy_timeout_ms"), "{error}");
    assert!(!store.read(|tx| tx.has_api("a")).expect("reading goes on"));
    other.execute_batch("COMMIT").expect("it ends");
    store.write(|tx| tx.put_api(&api("a"))).expect("written");
}

/// So many, each within the one before.
fn read_at_once(store: &Store, readers: usize) -> Result<bool, StoreError> {
    store.read(|tx| if readers > 1 { read_at_once(store, readers - 1) } else { tx.has_api("a") })
}

#[test]
fn as_many_read_as_the_settings_say() {
    let mut place = Place::sqlite();
    (place.settings.sqlite.readers_max, place.settings.sqlite.reader_timeout_ms) = (2, 1);
    let store = place.open().expect("a new store");
    assert!(!read_at_once(&store, 2).expect("two read"));
    let error = read_at_once(&store, 3).expect_err("a third waits in vain").to_string();
    assert_eq!(error, "all 2 connections to the store are in use (store_readers_max)");
}

/// Few pages are left, so that the next large change finds no room.
#[test]
fn a_full_disk_is_told_and_nothing_is_half_written() {
    let (_dir, store) = store();
    let Backend::Sqlite(sqlite) = &store.backend else { panic!("{store:?}") };
    let fill = |ids: std::ops::Range<usize>| {
        store.write(|tx| ids.clone().try_for_each(|id| tx.put_api(&api(&format!("a{id}")))))
    };
    fill(0..1).expect("room");
    sqlite.set_pragma("max_page_count", 1);
    let error = fill(1..2_000).expect_err("no room");
    assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
    assert!(error.to_string().contains("make room. Nothing was changed"), "{error}");
    assert_eq!(store.read(|tx| tx.api_ids()).expect("reading goes on"), ["a0"]);
    sqlite.set_pragma("max_page_count", 1 << 20);
    fill(1..2_000).expect("room again");
}

#[test]
fn a_read_only_disk_is_told() {
    let (_dir, store) = store();
    let Backend::Sqlite(sqlite) = &store.backend else { panic!("{store:?}") };
    sqlite.set_pragma("query_only", 1);
    let error = store.write(|tx| tx.put_api(&api("a"))).expect_err("read-only");
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert!(error.to_string().contains("can't be written to"), "{error}");
    assert!(!store.read(|tx| tx.has_api("a")).expect("reading goes on"));
    sqlite.set_pragma("query_only", 0);
    store.write(|tx| tx.put_api(&api("a"))).expect("written");
}

/// Among ten thousand of a kind, those that use something are asked for once for each key of an import.
#[test]
fn those_that_use_something_are_found_by_it() {
    let (_dir, store) = store();
    let Backend::Sqlite(sqlite) = &store.backend else { panic!("{store:?}") };
    let plan = sqlite.plan(super::super::entities::ENTITIES_USING);
    assert_eq!(plan, "SEARCH entity USING INDEX entity_by_use (uses=? AND kind=?)");
}

#[test]
fn commits_wait_for_the_disk() {
    const FULL: &str = "2";
    let (_dir, store) = store();
    let Backend::Sqlite(sqlite) = &store.backend else { panic!("{store:?}") };
    assert_eq!(
        (sqlite.pragma("journal_mode").as_str(), sqlite.pragma("synchronous").as_str()),
        ("wal", FULL)
    );
}
