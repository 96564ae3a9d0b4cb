//! What the store must not show is encrypted, and its key can be replaced.

use rusqlite::Connection;

use super::super::*;
use super::{Place, open, store, unit, when_free};
use crate::compile::Encoded;

on_both! {
    a_key_is_replaced_while_the_store_is_open
    a_key_that_was_being_replaced_is_found
    a_key_that_was_being_replaced_can_be_replaced
}

fn rotate(place: &Place) -> Result<(), StoreError> {
    when_free(|| keys::rotate(&place.data_dir(), &place.settings, None))
}

fn a_key_is_replaced_while_the_store_is_open(place: &Place) {
    let key = place.data_dir().join(crate::secrets::FILE);
    let store = place.open().expect("a new store");
    let secret = Encoded { secret: true, ..unit(7) };
    store.write(|tx| tx.set_slot(&Slot::Account, Some(&secret))).expect("written");
    let first = std::fs::read(&key).expect("a key");
    rotate(place).expect("rotated");
    assert_ne!(std::fs::read(&key).expect("a key"), first);
    assert_eq!(store.unit(secret.hash).expect("readable"), Some(secret.bytes.clone()), "who serves goes on");
    drop(store);
    let store = place.open().expect("the new key");
    assert_eq!(store.unit(secret.hash).expect("readable"), Some(secret.bytes.clone()));
    drop(store);
    std::fs::write(&key, first).expect("written");
    let error = place.open().expect_err("the old key").to_string();
    assert!(error.contains("isn't the key"), "{error}");
    assert!(rotate(place).is_err(), "nor can it be replaced by who has the old one");
}

/// As a kill between the store's commit and the file's new name leaves it.
fn a_key_that_was_being_replaced_is_found(place: &Place) {
    let key = place.data_dir().join(crate::secrets::FILE);
    drop(place.open().expect("a new store"));
    let first = std::fs::read(&key).expect("a key");
    rotate(place).expect("rotated");
    std::fs::rename(&key, key.with_extension("key.next")).expect("renamed");
    std::fs::write(&key, first).expect("written");
    drop(place.open().expect("the next key"));
    assert!(!key.with_extension("key.next").exists());
    drop(place.open().expect("once more"));
}

/// As a kill does at that point, too: the file of the next key is the only place where the store's key is.
fn a_key_that_was_being_replaced_can_be_replaced(place: &Place) {
    let key = place.data_dir().join(crate::secrets::FILE);
    let next = key.with_extension("key.next");
    let secret = Encoded { secret: true, ..unit(7) };
    let store = place.open().expect("a new store");
    store.write(|tx| tx.set_slot(&Slot::Account, Some(&secret))).expect("written");
    drop(store);
    let first = std::fs::read(&key).expect("a key");
    let held = lock::RotationLock::take(&place.data_dir()).expect("free");
    let error = keys::rotate(&place.data_dir(), &place.settings, None);
    let error = error.expect_err("another one is under way").to_string();
    assert!(error.contains("being replaced") && !next.exists(), "{error}");
    drop(held);
    rotate(place).expect("rotated");
    std::fs::rename(&key, &next).expect("renamed");
    std::fs::write(&key, &first).expect("written");
    rotate(place).expect("the other is finished first");
    assert!(!next.exists());
    // Begun and never committed: of no use, and in nobody's way.
    std::fs::write(&next, &first).expect("written");
    rotate(place).expect("once more");
    assert!(!next.exists());
    let store = place.open().expect("the last key");
    assert_eq!(store.unit(secret.hash).expect("readable"), Some(secret.bytes.clone()));
    drop(store);
    std::fs::write(&key, first).expect("written");
    assert!(rotate(place).is_err());
    assert!(!next.exists(), "what isn't the store's key begins nothing");
}

#[test]
fn units_with_private_keys_are_encrypted() {
    let (dir, store) = store();
    let secret = Encoded { secret: true, ..unit(7) };
    store.write(|tx| tx.set_slot(&Slot::Account, Some(&secret))).expect("written");
    assert_eq!(store.unit(secret.hash).expect("readable"), Some(secret.bytes.clone()));
    drop(store);
    for file in std::fs::read_dir(dir.path().join("data")).expect("the directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        assert!(!bytes.windows(secret.bytes.len()).any(|window| window == secret.bytes));
    }
}

#[test]
fn a_store_wants_the_key_that_it_was_encrypted_with() {
    let (dir, store) = store();
    drop(store);
    let data = dir.path().join("data");
    let key = data.join(crate::secrets::FILE);
    let right = std::fs::read(&key).expect("a key");
    std::fs::remove_file(&key).expect("removed");
    let error = open(&data).expect_err("no key").to_string();
    assert!(error.contains("is missing") && error.contains(crate::secrets::FILE), "{error}");
    std::fs::write(&key, "0".repeat(64)).expect("written");
    let error = open(&data).expect_err("another key").to_string();
    assert!(error.contains("isn't the key") && error.contains(crate::secrets::FILE), "{error}");
    std::fs::write(&key, right).expect("written");
    open(&data).expect("the right key");
}

/// Makes an empty store into one of an earlier version, whose texts are under the file's own key.
pub(in crate::store) fn take_data_key(place: &Place) -> Secrets {
    let raw = Connection::open(place.data_dir().join(sqlite::FILE)).expect("a file");
    let key = crate::secrets::SecretsKey::load(&place.data_dir(), None).expect("readable").expect("a key");
    let secrets = Secrets::with(&key).expect("a key");
    let probe = secrets.seal_bytes("the store's secrets", b"the store's secrets").expect("sealed");
    raw.execute("UPDATE secrets SET probe = ?, data_key = NULL", [probe]).expect("written");
    secrets
}

#[test]
fn a_store_without_a_data_key_opens_and_gets_one() {
    let place = Place::sqlite();
    drop(place.open().expect("a new store"));
    let secrets = take_data_key(&place);
    let store = place.open().expect("opens");
    let sealed = store.read(|tx| tx.seal("x", b"text")).expect("sealed");
    assert_eq!(secrets.open("x", &sealed).expect("under the file's key"), b"text");
    drop(store);
    rotate(&place).expect("rotated");
    let store = place.open().expect("the new key");
    assert_eq!(store.read(|tx| tx.open("x", &sealed)).expect("opens"), b"text");
}

#[test]
fn a_key_of_the_environment_needs_its_successor() {
    let place = Place::sqlite();
    drop(place.open().expect("a new store"));
    let data_dir = place.data_dir();
    let file = data_dir.join(crate::secrets::FILE);
    let first = std::fs::read_to_string(&file).expect("a key");
    std::fs::remove_file(&file).expect("removed");
    let parse = |digits: &str| crate::secrets::SecretsKey::parse(digits).expect("a key");
    let next = parse(&"ab".repeat(32));
    let given = |key| StoreSettings { secrets_key: Some(key), ..StoreSettings::default() };
    let error = keys::rotate(&data_dir, &given(parse(&first)), None).expect_err("half").to_string();
    assert!(error.contains("TURNPIKE_NEXT_SECRETS_KEY"), "{error}");
    keys::rotate(&data_dir, &given(parse(&first)), Some(&next)).expect("rotated");
    assert!(!file.exists());
    assert!(Store::open(&data_dir, &given(parse(&first))).is_err());
    Store::open(&data_dir, &given(next)).expect("the next key");
}
