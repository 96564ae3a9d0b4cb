//! What only a store that several processes share can do, or suffer.

mod proxy;

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use super::super::schema::STEPS;
use super::super::tests::{Place, api, server, stage_slot, unit};
use super::super::{Store, StoreError};
use crate::model::HttpApi;
use crate::secrets::{self, SecretsKey};
use crate::settings::PostgresSettings;
use proxy::{Cut, Proxy};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A process of a store that others share: a data directory of its own, and the same key.
fn process(url: &str) -> Place {
    let mut place = Place::at(url);
    place.settings.secrets_key = Some(SecretsKey::parse(KEY).expect("a key"));
    place
}

fn has_api(store: &Store, id: &str) -> bool {
    store.read(|tx| tx.has_api(id)).expect("read")
}

fn put_api(store: &Store, id: &str) -> Result<(), StoreError> {
    store.write(|tx| tx.put_api(&api(id)))
}

/// Waits for a version at the process that didn't make it.
fn await_version(store: &Store, version: u64) {
    let mut newest = store.newest();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seen =
        runtime.block_on(async { newest.wait_for(|newest| *newest >= version).await.map(|seen| *seen) });
    seen.expect("the store is open");
}

#[test]
fn versions_of_several_processes_are_unique_and_told_to_all() {
    const WRITERS: usize = 4;
    const VERSIONS: u64 = 10;
    let url = server::shared().database();
    let places = [process(&url), process(&url)];
    let stores = places.each_ref().map(|place| place.open().expect("opened"));
    let publish = |store: &Store| store.write::<_, StoreError>(|tx| tx.publish()).expect("published");
    let made: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|at| {
                let store = &stores[at % 2];
                scope.spawn(move || (0..VERSIONS).map(|_| publish(store)).collect())
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    assert!(made.iter().all(|versions: &Vec<u64>| versions.is_sorted()));
    let all: BTreeSet<u64> = made.iter().flatten().copied().collect();
    let count = WRITERS as u64 * VERSIONS;
    assert_eq!(all, (1..=count).collect(), "each is given once");
    stores.iter().for_each(|store| await_version(store, count));
}

#[test]
fn a_process_has_its_leases_still_when_it_is_started_again() {
    let url = server::shared().database();
    let (one, other) = (process(&url), process(&url));
    let take = |place: &Place| {
        place.open().expect("opened").write::<_, StoreError>(|tx| tx.take_lease("l", 1_000)).expect("asked")
    };
    assert!(take(&one));
    assert!(!take(&other));
    assert!(take(&one));
}

#[test]
fn what_is_read_is_of_one_moment() {
    let url = server::shared().database();
    let (one, other) = (process(&url), process(&url));
    let (one, other) = (one.open().expect("opened"), other.open().expect("opened"));
    one.read::<_, StoreError>(|tx| {
        assert!(!tx.has_api("a")?);
        put_api(&other, "a")?;
        assert!(!tx.has_api("a")?, "it came after this look began");
        Ok(())
    })
    .expect("read");
    assert!(has_api(&one, "a"));
}

#[test]
fn processes_that_start_at_once_make_one_store() {
    const PROCESSES: usize = 4;
    let url = server::shared().database();
    let places: Vec<Place> = (0..PROCESSES).map(|_| process(&url)).collect();
    let barrier = Barrier::new(PROCESSES);
    std::thread::scope(|scope| {
        for place in &places {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let store = place.open().expect("opened");
                store.write::<_, StoreError>(|tx| tx.publish()).expect("written");
            });
        }
    });
    let store = places[0].open().expect("opened");
    assert_eq!(store.read::<_, StoreError>(|tx| tx.version()).expect("read"), PROCESSES as u64);
}

#[test]
fn processes_share_one_key() {
    let url = server::shared().database();
    let (first, second) = (Place::at(&url), Place::at(&url));
    let store = first.open().expect("makes a key");
    let secret = crate::compile::Encoded { secret: true, ..unit(7) };
    store.write(|tx| tx.set_slot(&stage_slot("a"), Some(&secret))).expect("written");
    let error = second.open().expect_err("no key").to_string();
    let path = second.data_dir().join(secrets::FILE);
    for part in ["is missing", &path.display().to_string(), secrets::KEY_ENV, "shares the store"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!path.exists(), "no second key is made");
    let error = process(&url).open().expect_err("another key").to_string();
    assert!(error.contains("isn't the key") && error.contains(secrets::KEY_ENV), "{error}");
    std::fs::copy(first.data_dir().join(secrets::FILE), &path).expect("copied");
    let other = second.open().expect("the same key");
    assert_eq!(other.unit(secret.hash).expect("read"), Some(secret.bytes));
}

#[test]
fn a_newer_schema_is_refused() {
    let server = server::shared();
    let url = server.database();
    let place = process(&url);
    drop(place.open().expect("a new store"));
    server.sql(&url, "UPDATE turnpike.schema_version SET version = 99");
    let error = place.open().expect_err("from the future").to_string();
    for part in ["schema version 99", "knows up to", "PostgreSQL", ".s.PGSQL"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn an_older_store_is_brought_up_to_date() {
    let server = server::shared();
    let url = server.database();
    let first = super::schema::translated(STEPS[0]);
    server.sql(
        &url,
        &format!(
            "CREATE SCHEMA turnpike; SET search_path TO turnpike; {first}
             CREATE TABLE schema_version (one BIGINT PRIMARY KEY, version BIGINT NOT NULL);
             INSERT INTO schema_version VALUES (1, 1); INSERT INTO api VALUES ('old', 'http', '{{}}')"
        ),
    );
    let store = process(&url).open().expect("brought up to date");
    assert!(has_api(&store, "old"));
    assert!(store.write(|tx| tx.take_lease("l", 1)).expect("with today's tables"));
}

#[test]
fn an_operator_may_have_made_the_schema() {
    let server = server::shared();
    let url = server.database();
    let database = url.split(['/', '?']).nth(3).expect("a database");
    server.sql(
        &url,
        &format!(
            "CREATE ROLE app_{database} LOGIN; CREATE SCHEMA turnpike AUTHORIZATION app_{database};
             REVOKE CREATE ON DATABASE {database} FROM PUBLIC"
        ),
    );
    let place = process(&url.replace("//turnpike@", &format!("//app_{database}@")));
    put_api(&place.open().expect("opened"), "a").expect("written");
}

#[test]
fn what_the_server_refuses_is_told_at_once() {
    let server = server::shared();
    let url = server.database();
    let fails = |url: &str, parts: &[&str]| {
        let error = process(url).open().expect_err(url).to_string();
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    fails(&url.replace("//turnpike@", "//nobody@"), &["can't be reached", "nobody", "does not exist"]);
    fails(&server.url("nowhere"), &["database nowhere", "does not exist"]);
    let absent = tempfile::tempdir().expect("a directory");
    fails(&server.url_by(absent.path(), "d"), &["can't be reached", "No such file"]);
    server.run(
        "createdb",
        &["-E", "SQL_ASCII", "-T", "template0", "--locale=C", "--locale-provider=libc", "ascii"],
    );
    fails(&server.url("ascii"), &["encoding is SQL_ASCII", "UTF8"]);
}

#[test]
fn a_database_that_takes_no_writes_is_told() {
    let server = server::shared();
    let url = server.database();
    let place = process(&url);
    put_api(&place.open().expect("opened"), "a").expect("written");
    let database = url.split(['/', '?']).nth(3).expect("a database");
    let store = place.open().expect("opened");
    server.sql(&url, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"));
    server.sql(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let error = put_api(&store, "b").expect_err("read-only");
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
    assert!(has_api(&store, "a"), "reading goes on");
}

#[test]
fn text_with_nul_is_refused_by_name() {
    let store = process(&server::shared().database()).open().expect("a new store");
    let error = store.read(|tx| tx.has_api("a\0b")).expect_err("not stored");
    assert!(matches!(error, StoreError::NulInText), "{error}");
    assert!(!has_api(&store, "a"), "the connection is as good as before");
}

/// The database's own order is English, in which `B` comes after `a`.
#[test]
fn identifiers_are_in_the_order_of_their_bytes() {
    let store = process(&server::shared().database()).open().expect("a new store");
    for id in ["a", "B", "_", "é", "Z", "b"] {
        put_api(&store, id).expect("written");
    }
    let page = store.read(|tx| tx.apis::<HttpApi>("B", 3)).expect("read");
    let ids: Vec<&str> = page.items.iter().map(|api| api.id.as_str()).collect();
    assert_eq!(ids, ["Z", "_", "a"]);
}

#[test]
fn a_statement_that_fails_undoes_the_change() {
    let store = process(&server::shared().database()).open().expect("a new store");
    let error = store.write::<_, StoreError>(|tx| {
        tx.put_api(&api("a"))?;
        // A part of an API that there is not; the change goes on as if nothing were the matter.
        let refused =
            tx.sql.execute("INSERT INTO part (api_id, kind, id, doc) VALUES ('x', 'k', 'i', '')", &[]);
        assert!(refused.is_err());
        Ok(())
    });
    assert!(error.expect_err("undone").to_string().contains("went on regardless"));
    assert!(!has_api(&store, "a"));
    put_api(&store, "a").expect("the store goes on");
}

#[test]
fn what_was_sent_ahead_and_failed_is_told() {
    const OF_NO_API: &str = "INSERT INTO part (api_id, kind, id, doc) VALUES ('x', 'k', 'i', '')";
    let store = process(&server::shared().database()).open().expect("a new store");
    let by_the_next_look = store.write::<_, StoreError>(|tx| {
        tx.put_api(&api("a"))?;
        tx.sql.run(OF_NO_API, &[])?;
        tx.put_api(&api("b"))?;
        tx.has_api("a")
    });
    let by_the_commit = store.write::<_, StoreError>(|tx| {
        tx.put_api(&api("a"))?;
        tx.sql.run(OF_NO_API, &[])
    });
    for error in [by_the_next_look.map(drop).expect_err("no API"), by_the_commit.expect_err("no API")] {
        assert!(error.to_string().contains("foreign key"), "{error}");
    }
    assert!(!has_api(&store, "a") && !has_api(&store, "b"));
}

#[test]
fn calls_wait_for_a_server_that_comes_back() {
    let mut server = server::Server::start();
    let url = server.database();
    let (one, other) = (process(&url), process(&url));
    let (one, other) = (one.open().expect("opened"), other.open().expect("opened"));
    put_api(&one, "a").expect("written");
    server.stop();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| put_api(&one, "b"));
        let reading = scope.spawn(|| has_api(&other, "a"));
        server.start_again();
        waiting.join().expect("no panic").expect("written once the server was back");
        assert!(reading.join().expect("no panic"));
    });
    assert!(has_api(&other, "b"));
    let version = one.write::<_, StoreError>(|tx| tx.publish()).expect("published");
    await_version(&other, version);
}

#[test]
fn calls_do_not_wait_for_ever() {
    let mut server = server::Server::start();
    let mut place = process(&server.database());
    place.settings.postgres = PostgresSettings { timeout_ms: 200, ..PostgresSettings::default() };
    let store = place.open().expect("opened");
    server.stop();
    for error in
        [put_api(&store, "a").expect_err("away"), store.read(|tx| tx.has_api("a")).expect_err("away")]
    {
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("PostgreSQL") && text.contains(".s.PGSQL"), "{text}");
    }
}

#[test]
fn waiting_for_other_processes_has_an_end() {
    let url = server::shared().database();
    let (one, mut other) = (process(&url), process(&url));
    other.settings.postgres = PostgresSettings { statement_timeout_ms: 100, ..PostgresSettings::default() };
    let (one, other) = (one.open().expect("opened"), other.open().expect("opened"));
    one.write::<_, StoreError>(|tx| {
        let error = put_api(&other, "b").expect_err("the lock is held");
        assert!(matches!(error, StoreError::Slow(_)), "{error}");
        tx.put_api(&api("a"))
    })
    .expect("written");
    assert!(!has_api(&one, "b"));
    put_api(&other, "b").expect("written");
}

#[test]
fn waiting_for_other_changes_of_this_process_has_an_end() {
    let mut place = process(&server::shared().database());
    place.settings.postgres = PostgresSettings { statement_timeout_ms: 100, ..PostgresSettings::default() };
    let store = place.open().expect("opened");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let store = &store;
        let written = store.write::<_, StoreError>(|tx| {
            let tell = tell.clone();
            scope.spawn(move || tell.send(put_api(store, "b")));
            let error = told.recv_timeout(Duration::from_secs(20)).expect("not for ever");
            assert!(matches!(error, Err(StoreError::Slow(_))), "{error:?}");
            tx.put_api(&api("a"))
        });
        written.expect("written");
    });
    put_api(&store, "b").expect("its turn");
}

/// As of a store that is restored from an older version's backup: what is bounded elsewhere isn't here.
#[test]
fn a_step_of_the_schema_takes_as_long_as_it_needs() {
    let place = process(&server::shared().database());
    let settings = PostgresSettings { statement_timeout_ms: 50, ..PostgresSettings::default() };
    let url = place.settings.url.clone().expect("a URL");
    let made = super::Postgres::create::<StoreError>(&url, &settings, |sql| {
        STEPS.iter().try_for_each(|step| sql.take_step(step))?;
        sql.take_step("SELECT pg_sleep(0.2)")
    });
    made.expect("made");
    drop(place.open().expect("a store"));
}

/// A store whose connections can be cut.
fn cuttable(timeout_ms: u64) -> (Proxy, Place, Store) {
    let server = server::shared();
    let url = server.database();
    let database = url.split(['/', '?']).nth(3).expect("a database").to_owned();
    let proxy = Proxy::start(&server.socket());
    let mut place = process(&server.url_by(proxy.dir(), &database));
    place.settings.postgres = PostgresSettings { timeout_ms, ..PostgresSettings::default() };
    let store = place.open().expect("opened");
    (proxy, place, store)
}

/// Another process, over the same way to the store.
fn process_by(place: &Place) -> Place {
    Place { settings: place.settings.clone(), ..Place::sqlite() }
}

#[test]
fn a_commit_that_never_arrived_is_repeated() {
    let (proxy, _place, store) = cuttable(10_000);
    proxy.cut(Cut::BeforeCommit);
    let mut runs = 0;
    let written = store.write::<_, StoreError>(|tx| {
        runs += 1;
        tx.put_api(&api("a"))?;
        tx.publish()
    });
    assert_eq!(written.expect("repeated"), 1, "what the first run made is gone");
    assert_eq!(runs, 2);
    assert!(has_api(&store, "a"));
}

#[test]
fn a_commit_whose_answer_was_lost_is_found() {
    let (proxy, _place, store) = cuttable(10_000);
    proxy.cut(Cut::AfterCommit);
    let mut runs = 0;
    let written = store.write::<_, StoreError>(|tx| {
        runs += 1;
        tx.put_api(&api("a"))?;
        tx.publish()
    });
    assert_eq!((written.expect("found"), runs), (1, 1), "it isn't done twice");
    assert!(has_api(&store, "a"));
    assert_eq!(store.read::<_, StoreError>(|tx| tx.version()).expect("read"), 1);
}

/// Whenever a connection ends, a change that is acknowledged has been made once.
#[test]
fn changes_are_made_once_however_connections_end() {
    const CHANGES: u64 = 16;
    let (proxy, place, store) = cuttable(60_000);
    let other = process_by(&place);
    let other = other.open().expect("opened");
    let change = &|store: &Store, at: u64| {
        match at % 4 {
            0 => proxy.cut(Cut::BeforeCommit),
            1 => proxy.cut(Cut::AfterCommit),
            2 => proxy.cut_now(),
            _ => {}
        }
        store.write::<_, StoreError>(|tx| tx.publish()).expect("repeated or found")
    };
    let made: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let writers: Vec<_> = [&store, &store, &other, &other]
            .into_iter()
            .map(|store| scope.spawn(move || (0..CHANGES).map(|at| change(store, at)).collect()))
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).collect()
    });
    assert!(made.iter().all(|versions: &Vec<u64>| versions.is_sorted()));
    let all: BTreeSet<u64> = made.iter().flatten().copied().collect();
    assert_eq!(all, (1..=4 * CHANGES).collect(), "each is given once, and none is left out");
}

#[test]
fn a_commit_that_nobody_knows_of_is_not_acknowledged() {
    let (proxy, _place, store) = cuttable(200);
    proxy.cut(Cut::ForGood);
    let error = put_api(&store, "a").expect_err("unknown");
    assert!(matches!(error, StoreError::OutcomeUnknown { .. }), "{error}");
    assert!(error.to_string().contains("isn't known"), "{error}");
}

#[test]
fn a_look_is_repeated() {
    let (proxy, _place, store) = cuttable(10_000);
    put_api(&store, "a").expect("written");
    let mut runs = 0;
    let seen = store.read::<_, StoreError>(|tx| {
        runs += 1;
        if runs == 1 {
            proxy.cut_now();
        }
        tx.has_api("a")
    });
    assert_eq!((seen.expect("repeated"), runs), (true, 2));
}

#[test]
fn the_way_can_be_encrypted() {
    let server = server::Server::start_on_tcp();
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("signed");
        let pem = server.give_file(&format!("{name}.pem"), &certificate.pem());
        (pem, server.give_file(&format!("{name}.key"), &key.serialize_pem()))
    };
    let (own, own_key) = authority("own");
    let (other, _) = authority("other");
    let database = server.url("postgres");
    for (name, file) in [("ssl_cert_file", &own), ("ssl_key_file", &own_key)] {
        server.sql(&database, &format!("ALTER SYSTEM SET {name} = '{}'", file.display()));
    }
    server.sql(&database, "ALTER SYSTEM SET ssl = on");
    server.sql(&database, "SELECT pg_reload_conf()");
    let url = |parameters: &str| format!("{}?{parameters}", server.tcp_url("postgres"));
    let trusting = |roots: &std::path::Path| url(&format!("sslrootcert={}", roots.display()));
    let place = process(&trusting(&own));
    let store = place.open().expect("opened over TLS");
    put_api(&store, "a").expect("written");
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE ssl AND application_name = 'turnpike-control'";
    assert_ne!(server.sql(&database, encrypted), "0");
    let error = process(&trusting(&other)).open().expect_err("another authority").to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    let error = process(&url("sslmode=verify-full&sslrootcert=/nonexistent")).open().expect_err("no file");
    assert!(error.to_string().contains("sslrootcert: /nonexistent"), "{error}");
    process(&url("sslmode=disable")).open().expect("in clear, as asked");
    let error = process(&url("sslmode=require"))
        .open()
        .expect_err("the system doesn't know the authority")
        .to_string();
    assert!(error.contains("sslrootcert") || error.contains("invalid peer certificate"), "{error}");
}
