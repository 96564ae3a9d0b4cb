//! Backups of both stores, restored into both.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rusqlite::Connection;

use super::super::tests::keys::take_data_key;
use super::super::tests::{Place, api, stage_slot, unit};
use super::super::{Store, sqlite};
use super::*;
use crate::compile::Encoded;
use crate::model::HttpApi;
use crate::secrets::{self, SecretsKey};
use crate::settings::StoreSettings;
use crate::store::Slot;

const APIS: usize = 1_203;

/// Some of everything: pages of rows, a secret unit, bytes, absent values.
fn filled(place: &Place) -> Store {
    let store = place.open().expect("a new store");
    let written = store.write::<_, StoreError>(|tx| {
        for at in 0..APIS {
            tx.put_api(&api(&format!("a{at}")))?;
        }
        tx.set_slot(&stage_slot("a1"), Some(&real_unit(1, false)))?;
        tx.set_slot(&Slot::Account, Some(&real_unit(2, true)))?;
        tx.set_compiler_revision(7)?;
        tx.publish()
    });
    written.expect("written");
    store
}

/// Whose name is the hash of what it holds.
fn real_unit(byte: u8, secret: bool) -> Encoded {
    let bytes = unit(byte).bytes;
    Encoded { hash: turnpike_snapshot::hash(&bytes), bytes, secret }
}

fn write_to(place: &Place, name: &str, with_key: bool) -> Result<(PathBuf, Summary), BackupError> {
    let to = place.dir.path().join(name);
    let (mut told, data_dir) = (Vec::new(), place.data_dir());
    let mut tell = |done, total| told.push((done, total));
    let summary = write(&data_dir, &place.settings, &to, with_key, &mut Progress::new(&mut tell))?;
    assert_eq!(told[0], (1, summary.rows), "progress is told from the first row on");
    Ok((to, summary))
}

fn restore_to(place: &Place, from: &std::path::Path) -> Result<Summary, BackupError> {
    restore(&place.data_dir(), &place.settings, from, &mut Progress::new(&mut |_, _| {}))
}

fn take_key(from: &Place, to: &Place) {
    std::fs::create_dir_all(to.data_dir()).expect("made");
    let key = |place: &Place| place.data_dir().join(secrets::FILE);
    std::fs::copy(key(from), key(to)).expect("copied");
}

/// Everything that a store's tables hold, as lines.
fn contents(place: &Place) -> Vec<String> {
    let (to, _) = write_to(place, "contents", false).expect("written");
    let text = std::fs::read_to_string(&to).expect("readable");
    std::fs::remove_file(to).expect("removed");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

#[test]
fn a_backup_is_restored_into_either_store() {
    for from in [Place::sqlite(), Place::postgres()] {
        let serving = filled(&from);
        let (file, summary) = write_to(&from, "backup", false).expect("written while the store is in use");
        assert_eq!((summary.rows, summary.version), (APIS as u64 + 7, 1));
        assert_eq!(check(&file, &mut Progress::new(&mut |_, _| {})).expect("whole"), summary);
        drop(serving);
        let before = contents(&from);
        for to in [Place::sqlite(), Place::postgres()] {
            take_key(&from, &to);
            assert_eq!(restore_to(&to, &file).expect("restored"), summary);
            assert_eq!(contents(&to), before);
            let store = to.open().expect("a store");
            assert_eq!(store.read(|tx| tx.api_count::<HttpApi>()).expect("read"), APIS);
            let secret = real_unit(2, true);
            assert_eq!(store.unit(secret.hash).expect("read"), Some(secret.bytes));
            let version = store.write::<_, StoreError>(|tx| tx.publish());
            assert_eq!(version.expect("written"), 2, "versions go on");
        }
    }
}

#[test]
fn a_store_is_never_overwritten() {
    for place in [Place::sqlite(), Place::postgres()] {
        drop(filled(&place));
        let (file, _) = write_to(&place, "backup", true).expect("written");
        let before = contents(&place);
        let error = restore_to(&place, &file).expect_err("not empty").to_string();
        assert!(error.contains("there is a store already"), "{error}");
        assert_eq!(contents(&place), before);
        let error = write_to(&place, "backup", false).expect_err("there already").to_string();
        assert!(error.contains("is there already"), "{error}");
    }
}

/// What somebody else has put where the backup is being written doesn't become it.
#[test]
fn nobody_else_has_the_file_open() {
    let place = Place::sqlite();
    drop(filled(&place));
    let (beside, kept) = (place.dir.path().join("backup.part"), place.dir.path().join("kept"));
    std::fs::write(&kept, "of somebody else").expect("written");
    std::os::unix::fs::symlink(&kept, &beside).expect("linked");
    let error = write_to(&place, "backup", true).expect_err("there already").to_string();
    assert!(error.contains("backup.part is there already"), "{error}");
    assert_eq!(std::fs::read_to_string(&kept).expect("readable"), "of somebody else");
    assert!(beside.symlink_metadata().is_ok(), "it isn't this one's to remove");
    std::fs::remove_file(&beside).expect("removed");
    let (file, _) = write_to(&place, "backup", true).expect("written");
    let mode = std::fs::metadata(file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!beside.exists());
}

#[test]
fn the_key_comes_along_when_it_is_asked_for() {
    let from = Place::sqlite();
    drop(filled(&from));
    let (without, summary) = write_to(&from, "without", false).expect("written");
    assert!(!summary.has_secrets_key);
    let key = std::fs::read_to_string(from.data_dir().join(secrets::FILE)).expect("a key");
    assert!(!std::fs::read_to_string(&without).expect("readable").contains(key.trim_end()));
    let to = Place::sqlite();
    let error = restore_to(&to, &without).expect_err("no key").to_string();
    assert!(error.contains("is missing") && error.contains(secrets::KEY_ENV), "{error}");
    assert!(!to.data_dir().join(sqlite::FILE).exists(), "nothing is half there");

    let (with, summary) = write_to(&from, "with", true).expect("written");
    assert!(summary.has_secrets_key);
    restore_to(&to, &with).expect("restored");
    assert_eq!(std::fs::read_to_string(to.data_dir().join(secrets::FILE)).expect("a key"), key);

    let other = Place::sqlite();
    drop(other.open().expect("a key of its own"));
    std::fs::remove_file(other.data_dir().join(sqlite::FILE)).expect("removed");
    let error = restore_to(&other, &with).expect_err("another key").to_string();
    assert!(error.contains("isn't the key"), "{error}");

    let secrets_key = Some(SecretsKey::parse(&key).expect("a key"));
    let given =
        Place { settings: StoreSettings { secrets_key, ..StoreSettings::default() }, ..Place::sqlite() };
    restore_to(&given, &without).expect("restored with the environment's key");
    assert!(!given.data_dir().join(secrets::FILE).exists());
}

#[test]
fn what_is_not_whole_is_refused() {
    let from = Place::sqlite();
    drop(filled(&from));
    let (file, _) = write_to(&from, "backup", true).expect("written");
    let text = std::fs::read_to_string(&file).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.len() - 1;
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let without = |at: usize| joined(&[&lines[..at], &lines[at + 1..]].concat());
    let swapped = joined(&[&lines[..3], &[lines[4], lines[3]], &lines[5..]].concat());
    let table = [
        (String::new(), "doesn't begin as one"),
        ("{}\n".to_owned(), "doesn't begin as one"),
        (text.replacen("\"turnpikeBackup\":1", "\"turnpikeBackup\":2", 1), "its format is 2"),
        (text.replacen("\"schemaVersion\":", "\"schemaVersion\":9", 1), "newer turnpike-control"),
        (text.replacen("\"api\":[", "\"apis\":[", 1), "isn't a row of a table"),
        (without(0), "doesn't begin as one"),
        (without(1), "SHA-256"),
        (without(end), "ends too early"),
        (swapped, "SHA-256"),
        (text.replacen("\"a7\"", "\"b7\"", 1), "SHA-256"),
        (text[..text.len() / 2].to_owned(), "whole"),
        (format!("{text}[]\n"), "follows its end"),
    ];
    for (at, (damaged, expected)) in table.into_iter().enumerate() {
        let file = from.dir.path().join(format!("damaged{at}"));
        std::fs::write(&file, damaged).expect("written");
        for to in [Place::sqlite(), Place::postgres()] {
            let error = restore_to(&to, &file).expect_err(expected).to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            restore_to(&to, from.dir.path().join("backup").as_path())
                .expect("the place is as empty as before");
        }
    }
}

/// What was spoilt in the store itself, or by a hand that knows how to write a backup.
#[test]
fn what_does_not_fit_together_is_refused() {
    type Spoil = (&'static str, &'static str);
    let table: [Spoil; 4] = [
        ("UPDATE api SET doc = '{' WHERE id = 'a1'", "isn't JSON"),
        ("UPDATE unit SET bytes = x'00' WHERE sealed = 0", "isn't what its name says"),
        ("UPDATE slot SET bytes_len = 1", "doesn't list what is there"),
        ("DELETE FROM unit WHERE sealed = 0", "isn't there"),
    ];
    for (sql, expected) in table {
        let from = Place::sqlite();
        drop(filled(&from));
        let raw = Connection::open(from.data_dir().join(sqlite::FILE)).expect("the file");
        raw.execute(sql, []).expect(sql);
        drop(raw);
        let (file, _) = write_to(&from, "backup", true).expect("written");
        let to = Place::sqlite();
        let error = restore_to(&to, &file).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("Nothing was restored"), "{error}");
        assert!(!to.data_dir().join(sqlite::FILE).exists());
    }
}

/// A backup of a store of yesterday is restored into one of today.
#[test]
fn older_backups_are_brought_up_to_date() {
    let from = Place::sqlite();
    drop(from.open().expect("a new store"));
    take_data_key(&from);
    drop(filled(&from));
    let (file, _) = write_to(&from, "backup", true).expect("written");
    let text = std::fs::read_to_string(&file).expect("readable");
    // A column that came later.
    let text = text.replace(",\"data_key\"]", "]");
    let without = |line: &str| match line.starts_with("[\"secrets\"") {
        true => line.replace(",null]", "]"),
        false => line.to_owned(),
    };
    let current = format!("\"schemaVersion\":{}", crate::store::schema::SCHEMA_VERSION);
    let header = text.lines().next().expect("a header").replace(&current, "\"schemaVersion\":3");
    let body: Vec<&str> = text.lines().skip(1).collect();
    let body = body[..body.len() - 1].iter().map(|line| without(line) + "\n").collect::<String>();
    let whole = format!("{header}\n{body}");
    let digest = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let rows = body.lines().count();
    let older = from.dir.path().join("older");
    std::fs::write(&older, format!("{whole}{{\"rows\":{rows},\"sha256\":\"{digest}\"}}\n")).expect("written");
    for to in [Place::sqlite(), Place::postgres()] {
        restore_to(&to, &older).expect("restored");
        let store = to.open().expect("a store of today");
        assert!(store.write(|tx| tx.take_lease("l", 1)).expect("with today's tables"));
    }
}

/// Who adds a table or a column has to say whether it is backed up.
#[test]
fn every_table_is_backed_up_or_left_out() {
    let place = Place::sqlite();
    drop(place.open().expect("a new store"));
    let raw = Connection::open(place.data_dir().join(sqlite::FILE)).expect("the file");
    let names = |sql: &str| -> Vec<String> {
        let mut statement = raw.prepare(sql).expect(sql);
        let names = statement.query_map([], |row| row.get(0)).expect(sql);
        names.collect::<Result<_, _>>().expect(sql)
    };
    let mut tables =
        names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    tables.sort();
    let mut known: Vec<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
    known.extend(TABLES_LEFT_OUT.map(str::to_owned));
    known.sort();
    assert_eq!(tables, known);
    for table in &TABLES {
        let mut columns = names(&format!("SELECT name FROM pragma_table_info('{}')", table.name));
        let mut known: Vec<String> = table.columns.iter().map(|column| (*column).to_owned()).collect();
        columns.sort();
        known.sort();
        assert_eq!(columns, known, "{}", table.name);
    }
}
