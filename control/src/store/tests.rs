//! The store by itself: transactions, slots, versions, locks.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use turnpike_snapshot::{Limits, UnitHash, decode_root};

use super::*;
use crate::compile::{Encoded, Reference, ReferenceKind};
use crate::model::{ApiProtocol, HttpApi, HttpStage, Resource};

#[allow(dead_code, reason = "the suites of processes use the rest")]
#[path = "../../tests/suite/support/postgres.rs"]
pub(super) mod server;

/// Where a test's store is.
pub(crate) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) settings: StoreSettings,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory"), settings: StoreSettings::default() }
    }

    /// A database of its own.
    pub(crate) fn postgres() -> Self {
        Self::at(&server::shared().database())
    }

    pub(super) fn at(url: &str) -> Self {
        let url = Some(url.parse().expect("valid"));
        Self { settings: StoreSettings { url, ..StoreSettings::default() }, ..Self::sqlite() }
    }

    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        when_free(|| Store::open(&self.data_dir(), &self.settings))
    }
}

/// A process that another test is starting holds copies of this one's locks until it runs its own program.
fn when_free<T>(mut take: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let end = Instant::now() + FREE_WITHIN;
    loop {
        match take() {
            Err(StoreError::Lock(LockError::Held(_) | LockError::Rotating(_))) if Instant::now() < end => {
                std::thread::yield_now();
            }
            taken => return taken,
        }
    }
}

const FREE_WITHIN: Duration = Duration::from_secs(10);

/// Each of these runs on both stores.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[test] fn $test() { super::$test(&super::Place::sqlite()); })*
        }
        mod on_postgres {
            $(#[test] fn $test() { super::$test(&super::Place::postgres()); })*
        }
    };
}

// Behind the macro, which it has for itself, too.
pub(super) mod keys;

on_both! {
    leases_have_one_holder
    a_failed_change_leaves_nothing
    lists_come_in_pages
    parts_go_with_their_api
    parts_are_found_by_the_beginning_of_their_names
    roots_list_slots_and_old_units_go
    references_are_those_of_the_stages_in_slots
    entities_are_found_by_owner_and_by_use
    shared_units_are_listed_by_family
    a_journal_has_each_document_once
    the_audit_log_is_read_backwards_and_trimmed
}

fn open(data_dir: &Path) -> Result<Store, StoreError> {
    Store::open(data_dir, &StoreSettings::default())
}

pub(super) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir.path().join("data")).expect("a new store");
    (dir, store)
}

pub(super) fn api(id: &str) -> HttpApi {
    HttpApi::new(id.to_owned(), "n".to_owned(), ApiProtocol::Http, 7)
}

pub(super) fn unit(byte: u8) -> Encoded {
    Encoded { hash: UnitHash([byte; 32]), bytes: vec![byte; 100], secret: false }
}

pub(super) fn stage_slot(api_id: &str) -> Slot {
    Slot::Stage { api_id: api_id.to_owned(), stage: "prod".to_owned() }
}

fn a_failed_change_leaves_nothing(place: &Place) {
    let store = place.open().expect("a new store");
    let failed: Result<(), StoreError> = store.write(|tx| {
        tx.put_api(&api("a"))?;
        tx.set_slot(&Slot::Account, Some(&unit(1)))?;
        tx.publish()?;
        Err(StoreError::UnitName)
    });
    assert!(failed.is_err());
    assert!(!store.read(|tx| tx.has_api("a")).expect("read"));
    assert_eq!(store.root().expect("read"), None);
    assert_eq!(store.unit(UnitHash([1; 32])).expect("read"), None);
}

fn lists_come_in_pages(place: &Place) {
    let store = place.open().expect("a new store");
    let page = |after: &str, limit| store.read(|tx| tx.apis::<HttpApi>(after, limit)).expect("read");
    store
        .write(|tx| ["c", "a", "e", "b", "d"].iter().try_for_each(|id| tx.put_api(&api(id))))
        .expect("written");
    let ids = |page: &Page<HttpApi>| page.items.iter().map(|a| a.id.clone()).collect::<Vec<_>>();
    let first = page("", 2);
    assert_eq!((ids(&first), first.last.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
    let last = page("c", 2);
    assert_eq!((ids(&last), last.last), (vec!["d".to_owned(), "e".to_owned()], None));
}

fn parts_are_found_by_the_beginning_of_their_names(place: &Place) {
    let store = place.open().expect("a new store");
    let resource = |path: &str| Resource {
        id: path.replace('/', "-"),
        parent_id: None,
        path_part: None,
        path: path.to_owned(),
        methods: std::collections::BTreeMap::new(),
    };
    let below = |names: std::ops::Range<&str>| {
        let found: Vec<Resource> = store.read(|tx| tx.parts_named_within("a", names.clone())).expect("read");
        found.into_iter().map(|resource| resource.path).collect::<Vec<_>>()
    };
    store
        .write(|tx| {
            tx.put_api(&api("a"))?;
            tx.put_api(&api("b"))?;
            tx.put_part("b", &resource("/x/b"))?;
            for path in ["/", "/x", "/x-y", "/x/{id}", "/x/{id}/z", "/x/Z", "/x/a", "/xy", "/x.y/a"] {
                tx.put_part("a", &resource(path))?;
            }
            Ok::<_, StoreError>(())
        })
        .expect("written");
    assert_eq!(below("/x/".."/x0"), ["/x/Z", "/x/a", "/x/{id}", "/x/{id}/z"]);
    assert_eq!(below("/x/{".."/x/|"), ["/x/{id}", "/x/{id}/z"]);
    assert_eq!(below("/{".."/|"), Vec::<String>::new());
}

fn parts_go_with_their_api(place: &Place) {
    let store = place.open().expect("a new store");
    let stage = HttpStage::new("prod".to_owned(), ApiProtocol::Http, 0);
    let change = store.write(|tx| {
        tx.put_api(&api("a"))?;
        tx.put_part("a", &stage)?;
        tx.delete_api("a")?;
        tx.put_api(&api("a"))?;
        tx.part::<HttpStage>("a", "prod")
    });
    assert_eq!(change.expect("written"), None);
}

fn a_journal_has_each_document_once(place: &Place) {
    let store = place.open().expect("a new store");
    let named = |name: &str| HttpApi::new("a".to_owned(), name.to_owned(), ApiProtocol::Http, 7);
    let stage = HttpStage::new("prod".to_owned(), ApiProtocol::Http, 0);
    let journal = store.write(|tx| {
        tx.put_api(&named("unnoted"))?;
        tx.begin_journal();
        tx.put_api(&named("first"))?;
        tx.put_api(&named("second"))?;
        tx.put_part("a", &stage)?;
        tx.put_api(&api("b"))?;
        tx.delete_api("b")?;
        Ok::<_, StoreError>(tx.take_journal())
    });
    let journal = journal.expect("written");
    let found: Vec<_> =
        journal.iter().map(|change| (&*change.document.owner, &*change.document.id)).collect();
    assert_eq!(found, [("", "a"), ("a", "prod")], "what ends as it began isn't there");
    let has = |document: &Option<String>, text: &str| document.as_ref().is_some_and(|doc| doc.contains(text));
    assert!(has(&journal[0].before, "unnoted") && has(&journal[0].after, "second"), "{journal:?}");
    assert_eq!(journal[1].before, None);
    let gone = store.write(|tx| {
        tx.begin_journal();
        tx.delete_api("a")?;
        Ok::<_, StoreError>(tx.take_journal())
    });
    let gone = gone.expect("written");
    assert_eq!(gone.len(), 2, "the API and its stage: {gone:?}");
    assert!(gone.iter().all(|change| change.before.is_some() && change.after.is_none()));
    let off = store.write(|tx| {
        tx.put_api(&api("c"))?;
        Ok::<_, StoreError>(tx.take_journal())
    });
    assert_eq!(off.expect("written"), []);
}

fn the_audit_log_is_read_backwards_and_trimmed(place: &Place) {
    let store = place.open().expect("a new store");
    let append = |at_us: i64, actor: &str| {
        let entry = AuditEntry {
            id: audit_id(at_us, "x"),
            actor: format!("arn:aws:iam::000000000000:user/{actor}"),
            operation: "Op".to_owned(),
            resource: format!("arn:{actor}/{at_us}"),
            refused: at_us % 2 == 0,
            doc: format!("{actor} {at_us}"),
        };
        store.write(|tx| tx.append_audit(&entry)).expect("written");
    };
    (1..=1_200).for_each(|at_us| append(at_us, if at_us % 600 == 0 { "ann" } else { "root" }));
    let page = |filter: &AuditFilter, before: Option<&str>, limit| {
        store.read(|tx| tx.audit_page(filter, before, limit)).expect("read")
    };
    let all = AuditFilter::default();
    let (docs, last) = page(&all, None, 2);
    assert_eq!(
        (docs.join(","), last.as_deref()),
        ("ann 1200,root 1199".to_owned(), Some(&*audit_id(1_199, "x")))
    );
    assert_eq!(page(&all, last.as_deref(), 1).0, ["root 1198"]);
    let ann = AuditFilter { actor: Some("ann".to_owned()), ..AuditFilter::default() };
    assert_eq!(page(&ann, None, 2), (vec!["ann 1200".to_owned(), "ann 600".to_owned()], None));
    assert_eq!(page(&ann, None, 1).1, Some(audit_id(1_200, "x")));
    let resource =
        AuditFilter { resource: Some("root/77".to_owned()), until_us: Some(100), ..AuditFilter::default() };
    assert_eq!(page(&resource, None, 9).0, ["root 77"]);
    let times = AuditFilter { since_us: Some(10), until_us: Some(12), ..AuditFilter::default() };
    assert_eq!(page(&times, None, 9).0, ["root 11", "root 10"]);
    let refusals = AuditFilter { refused: Some(true), ..AuditFilter::default() };
    assert_eq!(page(&refusals, None, 2).0, ["ann 1200", "root 1198"]);
    store.write(|tx| tx.trim_audit(2, 6)).expect("trimmed");
    assert_eq!(page(&all, None, 9).0.len(), 6);
    for at_us in (1_202..=1_210).step_by(2) {
        append(at_us, "eve");
        store.write(|tx| tx.trim_audit(2, 6)).expect("trimmed");
    }
    assert_eq!(page(&refusals, None, 9).0, ["eve 1210", "eve 1208", "eve 1206"]);
    assert_eq!(page(&all, None, 9).0.last().map(String::as_str), Some("root 1197"), "changes stay");
    store.write(|tx| tx.trim_audit(1_199, 6)).expect("trimmed");
    assert_eq!(page(&all, None, 9).0, ["eve 1210", "eve 1208", "eve 1206", "root 1199"]);
    (1..=3).for_each(|at_us| append(1_300 + at_us, &"x".repeat(3 << 20)));
    let (docs, last) = page(&all, None, 9);
    assert_eq!(
        (docs.len(), last.as_deref()),
        (2, Some(&*audit_id(1_302, "x"))),
        "pages are of so many bytes"
    );
    assert_eq!(page(&all, last.as_deref(), 9).0.len(), 5);
}

fn roots_list_slots_and_old_units_go(place: &Place) {
    let store = place.open().expect("a new store");
    let set = |slot: Slot, unit: Option<&Encoded>| {
        let changed: Result<bool, StoreError> = store.write(|tx| {
            let changed = tx.set_slot(&slot, unit)?;
            if changed {
                tx.publish()?;
            }
            Ok(changed)
        });
        changed.expect("written")
    };
    let root = || {
        let bytes = store.root().expect("read").expect("published");
        decode_root(&bytes, &Limits::default()).expect("a valid root")
    };
    assert!(set(Slot::Account, Some(&unit(1))));
    assert!(!set(Slot::Account, Some(&unit(1))), "an unchanged unit publishes nothing");
    assert!(set(stage_slot("a"), Some(&unit(2))));
    assert_eq!((root().version, root().units.len()), (2, 2));
    assert!(set(stage_slot("a"), None));
    assert_eq!((root().version, root().units.len()), (3, 1));
    assert_eq!(
        store.unit(UnitHash([2; 32])).expect("read"),
        Some(unit(2).bytes),
        "kept for gateways that lag"
    );
    for version in 0..UNITS_KEPT_VERSIONS {
        assert!(set(stage_slot("b"), (version % 2 == 0).then(|| unit(3)).as_ref()));
    }
    assert_eq!(store.unit(UnitHash([2; 32])).expect("read"), None);
    assert!(store.unit(UnitHash([1; 32])).expect("read").is_some());
}

#[test]
fn a_second_process_is_kept_out() {
    let (dir, store) = store();
    let path = dir.path().join("data");
    let error = open(&path).expect_err("held").to_string();
    assert!(error.contains("another turnpike-control") && error.contains("--data-dir"), "{error}");
    drop(store);
    open(&path).expect("free again");
}

fn referred(id: &str) -> Reference {
    Reference { kind: ReferenceKind::TargetGroup, id: id.to_owned() }
}

fn references_are_those_of_the_stages_in_slots(place: &Place) {
    let store = place.open().expect("a new store");
    let written: Result<(), StoreError> = store.write(|tx| {
        for (api_id, references) in [("a", ["g/1", "g2"]), ("b", ["g2", "g2"])] {
            tx.set_slot(&stage_slot(api_id), Some(&unit(1)))?;
            tx.set_references(api_id, "prod", &references.map(referred))?;
        }
        let slot = Slot::Shared { family: ReferenceKind::TargetGroup.family(), id: "g/1".to_owned() };
        tx.set_slot(&slot, Some(&unit(3)))?;
        assert_eq!(tx.references()?, [referred("g/1"), referred("g2")]);
        assert_eq!(tx.references_of_api("b")?, [referred("g2")]);
        assert_eq!(tx.referred_in_slots()?, [referred("g/1")]);
        let stage = |api_id: &str| (api_id.to_owned(), "prod".to_owned());
        assert_eq!(tx.stages_referring(&referred("g2"))?, [stage("a"), stage("b")]);
        tx.set_slot(&stage_slot("a"), None)?;
        assert_eq!(tx.references()?, [referred("g2")]);
        tx.set_references("b", "prod", &[])?;
        assert_eq!(tx.references()?, []);
        Ok(())
    });
    written.expect("written");
}

#[test]
fn a_newer_schema_is_refused() {
    let (dir, store) = store();
    drop(store);
    let path = dir.path().join("data");
    let raw = Connection::open(path.join(sqlite::FILE)).expect("the file");
    raw.pragma_update(None, "user_version", 99).expect("written");
    drop(raw);
    let error = open(&path).expect_err("from the future").to_string();
    assert!(error.contains("schema version 99") && error.contains("knows up to"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(sqlite::FILE), vec![b'x'; 5_000]).expect("written");
    let error = open(dir.path()).expect_err("garbage").to_string();
    assert!(error.contains("control.db") && error.contains("not a database"), "{error}");
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Thing {
    id: String,
    owner: String,
    uses: Option<String>,
}

impl crate::model::Entity for Thing {
    const KIND: &'static str = "thing";

    fn id(&self) -> &str {
        &self.id
    }

    fn owner(&self) -> &str {
        &self.owner
    }

    fn uses(&self) -> Option<&str> {
        self.uses.as_deref()
    }
}

fn entities_are_found_by_owner_and_by_use(place: &Place) {
    let store = place.open().expect("a new store");
    let thing = |owner: &str, id: &str, uses: Option<&str>| Thing {
        id: id.to_owned(),
        owner: owner.to_owned(),
        uses: uses.map(str::to_owned),
    };
    let (a, b, c) = (thing("x", "a", Some("u")), thing("x", "b", None), thing("y", "a", Some("u")));
    store.write(|tx| [&a, &b, &c].into_iter().try_for_each(|thing| tx.put_entity(thing))).expect("written");
    store
        .read::<(), StoreError>(|tx| {
            assert_eq!(tx.entity("x", "a")?.as_ref(), Some(&a));
            assert_eq!(tx.entity::<Thing>("y", "b")?, None);
            assert_eq!(tx.entities_of::<Thing>("x")?, [a.clone(), b.clone()]);
            assert_eq!(tx.entities_using::<Thing>("u")?, [a.clone(), c.clone()]);
            assert_eq!((tx.entity_count::<Thing>("x")?, tx.entities::<Thing>()?.len()), (2, 3));
            Ok(())
        })
        .expect("read");
    store.write(|tx| tx.delete_entities_of::<Thing>("x")).expect("deleted");
    assert_eq!(store.read(|tx| tx.entities::<Thing>()).expect("read"), [c]);
}

fn shared_units_are_listed_by_family(place: &Place) {
    let store = place.open().expect("a new store");
    let shared = |family, id: &str| Slot::Shared { family, id: id.to_owned() };
    store
        .write::<(), StoreError>(|tx| {
            tx.set_slot(&Slot::Account, Some(&unit(1)))?;
            tx.set_slot(&stage_slot("a"), Some(&unit(2)))?;
            tx.set_slot(&shared("red", "x/y"), Some(&unit(3)))?;
            tx.set_slot(&shared("red", "é"), Some(&unit(4)))?;
            tx.set_slot(&shared("reddish", "z"), Some(&unit(5)))?;
            tx.publish()?;
            assert_eq!(tx.shared_in_slots("red")?, ["x/y", "é"]);
            assert_eq!(tx.shared_in_slots("green")?, [""; 0]);
            Ok(())
        })
        .expect("written");
}

#[test]
fn an_older_store_is_brought_up_to_date() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = Connection::open(dir.path().join(sqlite::FILE)).expect("a file");
    old.execute_batch(schema::STEPS[0]).expect("version 1");
    old.pragma_update(None, "user_version", 1).expect("written");
    drop(old);
    let store = open(dir.path()).expect("brought up to date");
    store.write(|tx| tx.put_api(&api("a"))).expect("written");
}

fn leases_have_one_holder(place: &Place) {
    let store = place.open().expect("a new store");
    let as_process = |process: &str, lasts_s: i64| {
        let taken = store.backend.write(|sql| Tx::new(sql, &store.secrets, process).take_lease("l", lasts_s));
        taken.expect("asked")
    };
    let left = |process: &str| {
        let left = store.backend.read(|sql| Tx::new(sql, &store.secrets, process).leased_for_s("l"));
        left.expect("asked")
    };
    assert_eq!(left("a"), None);
    assert!(as_process("a", 1_000) && as_process("a", 1_000));
    assert!(!as_process("b", 1_000));
    assert_eq!(left("a"), None);
    assert!(left("b").is_some_and(|left_s| (900..=1_000).contains(&left_s)));
    store
        .backend
        .write::<_, StoreError>(|sql| {
            Tx::new(sql, &store.secrets, "b").give_lease_back("l")?;
            assert!(
                !Tx::new(sql, &store.secrets, "b").take_lease("l", 1)?,
                "it wasn't the other's to give back"
            );
            Tx::new(sql, &store.secrets, "a").give_lease_back("l")
        })
        .expect("given back");
    assert!(as_process("b", -1), "it is over as soon as it is taken");
    assert!(as_process("a", 1_000));
}
