//! The store in PostgreSQL, which several control processes may share.
//!
//! A change takes an advisory lock first, so that changes of all processes come one after the other and each sees the
//! one before whole; nothing of what is compiled from the state can be of an older one. What is read comes from one
//! snapshot. A change is repeated from its beginning when the connection or the transaction was lost before its
//! commit. When the connection is lost during the commit, the mark that each change leaves in its process's row says
//! whether it went through; if that can't be read in time, the caller is told that nobody knows.

mod connection;
mod driver;
mod listen;
mod schema;
#[cfg(test)]
mod tests;
mod transaction;
mod turn;

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::watch;

use super::StoreError;
use super::pool::{Pool, Pooled};
use super::schema::SCHEMA_VERSION;
use super::sql::Sql;
use super::url::StoreUrl;
use crate::secrets::SecretsError;
use crate::settings::PostgresSettings;
use connection::{Connection, Fault};
use driver::{Driver, Target};
use transaction::Mark;
pub(super) use transaction::Transaction;
use turn::Turns;

/// The schema that all tables are in.
pub(super) const SCHEMA: &str = "turnpike";
/// The lock that changes take, and migrations: `turnpike` in ASCII.
const WRITE_LOCK: i64 = 0x7475_726e_7069_6b65;
/// Where the versions of new roots are told.
const CHANNEL: &str = "turnpike_version";

/// How long the row of a process that is gone is kept; one that isn't makes its row anew. A week, arbitrarily: only
/// that of a change that was lost a moment ago is looked for.
const PROCESS_KEPT_S: u32 = 7 * 24 * 3_600;

/// Between two tries; doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// An error with its causes, in one line: the library's own says only what it was doing.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        text = format!("{text}: {cause}");
    }
    text
}

/// A store in PostgreSQL.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool<Connection>,
    target: Target,
    driver: Driver,
    place: String,
    settings: PostgresSettings,
    /// Changes of this process take turns here before they do at the server.
    turns: Turns,
    /// This run of this process, for its marks.
    process: String,
}

/// Why a try came to nothing.
enum Failed<E> {
    /// The change's own error, or one that doesn't go away.
    ForGood(E),
    /// Nothing was changed, and another try may succeed.
    Passing(String),
}

impl Postgres {
    /// Connects, and brings the tables up to date.
    pub(super) fn open(url: &StoreUrl, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let store = Self::connect(url, settings)?;
        store.once(|connection| {
            schema::bring_up_to_date(connection, &store.place)?;
            connection.batch(&format!(
                "DELETE FROM process WHERE seen_at_s < extract(epoch FROM now())::bigint - {PROCESS_KEPT_S}"
            ))
        })?;
        Ok(store)
    }

    /// Connects to a store that other processes may be serving from, only to look at it.
    pub(super) fn open_beside(url: &StoreUrl, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let store = Self::connect(url, settings)?;
        store.once(|connection| schema::is_up_to_date(connection, &store.place))?;
        Ok(store)
    }

    /// Makes a store of what `fill` does, the tables included: whole, or not at all.
    pub(super) fn create<E: From<StoreError>>(
        url: &StoreUrl,
        settings: &PostgresSettings,
        fill: impl FnOnce(&Sql<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let store = Self::connect(url, settings)?;
        let connection = store.take().map_err(|fault| store.error(fault))?;
        let transaction =
            Transaction::begin_look(&connection, &store.place).map_err(|fault| store.error(fault))?;
        schema::begin(&connection, &store.place).map_err(|fault| store.error(fault))?;
        fill(&Sql::Postgres(&transaction))?;
        connection.batch(&schema::is_now(SCHEMA_VERSION)).map_err(|fault| store.error(fault))?;
        transaction.commit().map_err(|fault| match fault {
            Fault::Lost(reason) => StoreError::OutcomeUnknown { place: store.place.clone(), reason },
            fault => store.error(fault),
        })?;
        Ok(())
    }

    fn connect(url: &StoreUrl, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let place = url.place.clone();
        let failed = |reason: String| StoreError::Postgres { place: place.clone(), reason };
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id).map_err(|_| SecretsError::Random)?;
        let store = Self {
            pool: Pool::new(settings.connections_max, "store_connections_max"),
            target: Target::new(url, Duration::from_millis(settings.timeout_ms)).map_err(failed)?,
            driver: Driver::start().map_err(failed)?,
            place: place.clone(),
            settings: settings.clone(),
            turns: Turns::new(),
            process: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        store.once(Connection::check_server)?;
        Ok(store)
    }

    /// Outside of every transaction, without another try.
    fn once(&self, work: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<(), StoreError> {
        let connection = self.take().map_err(|fault| self.error(fault))?;
        work(&connection).map_err(|fault| self.error(fault))?;
        connection.give_back();
        Ok(())
    }

    /// Tells every version that any process publishes, for as long as the store is open.
    pub(super) fn follow(&self, newest: watch::Sender<u64>) {
        self.driver.spawn(listen::run(self.target.clone(), self.place.clone(), newest));
    }

    pub(super) fn write<T, E: From<StoreError>>(
        &self,
        mut change: impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let patience = Duration::from_millis(self.settings.statement_timeout_ms);
        let mut turn = self.turns.take(patience).ok_or_else(|| StoreError::Slow(self.place.clone()))?;
        self.repeated(|| {
            turn.number += 1;
            self.try_write(&Mark { process: &self.process, number: turn.number }, &mut change)
        })
    }

    pub(super) fn read<T, E: From<StoreError>>(
        &self,
        mut look: impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.repeated(|| {
            let connection = self.take().map_err(|fault| self.failed(fault))?;
            let transaction =
                Transaction::begin_read(&connection, &self.place).map_err(|fault| self.failed(fault))?;
            let looked = look(&Sql::Postgres(&transaction));
            let ended = transaction.end();
            match (looked, transaction.into_passing()) {
                (Err(_), Some(reason)) => Err(Failed::Passing(reason)),
                (looked, _) => {
                    if ended.is_ok() {
                        connection.give_back();
                    }
                    looked.map_err(Failed::ForGood)
                }
            }
        })
    }

    fn try_write<T, E: From<StoreError>>(
        &self,
        mark: &Mark<'_>,
        change: &mut impl FnMut(&Sql<'_>) -> Result<T, E>,
    ) -> Result<T, Failed<E>> {
        let connection = self.take().map_err(|fault| self.failed(fault))?;
        let transaction =
            Transaction::begin_write(&connection, &self.place, mark).map_err(|fault| self.failed(fault))?;
        match change(&Sql::Postgres(&transaction)) {
            Err(error) => {
                let ended = transaction.end();
                match transaction.into_passing() {
                    Some(reason) => Err(Failed::Passing(reason)),
                    None => {
                        if ended.is_ok() {
                            connection.give_back();
                        }
                        Err(Failed::ForGood(error))
                    }
                }
            }
            Ok(output) => match transaction.commit() {
                Ok(()) => {
                    connection.give_back();
                    Ok(output)
                }
                Err(Fault::Lost(reason)) => {
                    // The server has to notice, too, before the mark is looked for.
                    drop(connection);
                    match self.went_through(mark, &reason).map_err(|error| Failed::ForGood(error.into()))? {
                        true => Ok(output),
                        false => Err(Failed::Passing(reason)),
                    }
                }
                Err(fault) => Err(self.failed(fault)),
            },
        }
    }

    /// Whether the change that left this mark was committed. The lock is taken first: whoever has it knows that no
    /// other change is under way any more, that one included.
    fn went_through(&self, mark: &Mark<'_>, lost: &str) -> Result<bool, StoreError> {
        let looked: Result<bool, StoreError> = self.repeated(|| {
            let connection = self.take().map_err(|fault| self.failed(fault))?;
            let transaction =
                Transaction::begin_look(&connection, &self.place).map_err(|fault| self.failed(fault))?;
            let found = mark.is_there(&transaction);
            let ended = transaction.end();
            match (found, transaction.into_passing()) {
                (Err(_), Some(reason)) => Err(Failed::Passing(reason)),
                (found, _) => {
                    if ended.is_ok() {
                        connection.give_back();
                    }
                    found.map_err(Failed::ForGood)
                }
            }
        });
        looked.map_err(|error| {
            log_line!("store: what became of a commit can't be found out: {error}");
            StoreError::OutcomeUnknown { place: self.place.clone(), reason: lost.to_owned() }
        })
    }

    /// Tries until it comes to something, or until `store_timeout_ms` is over.
    fn repeated<T, E: From<StoreError>>(
        &self,
        mut work: impl FnMut() -> Result<T, Failed<E>>,
    ) -> Result<T, E> {
        let end = Instant::now() + Duration::from_millis(self.settings.timeout_ms);
        let mut pause = PAUSE_MIN;
        loop {
            match work() {
                Ok(output) => return Ok(output),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::Passing(reason)) => {
                    // What has ended one connection has most likely ended those that rest, too.
                    self.pool.clear();
                    if Instant::now() + pause > end {
                        return Err(StoreError::Unreachable { place: self.place.clone(), reason }.into());
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn take(&self) -> Result<Pooled<'_, Connection>, Fault> {
        let patience = Duration::from_millis(self.settings.timeout_ms);
        let statement_timeout = Duration::from_millis(self.settings.statement_timeout_ms);
        let mut lost = None;
        let taken = self.pool.take(patience, || {
            Connection::open(&self.driver, &self.target, &self.place, statement_timeout).map_err(|fault| {
                if let Fault::Lost(reason) = &fault {
                    lost = Some(reason.clone());
                }
                self.error(fault)
            })
        });
        match (taken, lost) {
            (Err(_), Some(reason)) => Err(Fault::Lost(reason)),
            (taken, _) => taken.map_err(Fault::Failed),
        }
    }

    fn failed<E: From<StoreError>>(&self, fault: Fault) -> Failed<E> {
        match fault {
            Fault::Lost(reason) | Fault::Conflict(reason) => Failed::Passing(reason),
            Fault::Failed(error) => Failed::ForGood(error.into()),
        }
    }

    fn error(&self, fault: Fault) -> StoreError {
        match fault {
            Fault::Lost(reason) | Fault::Conflict(reason) => {
                StoreError::Unreachable { place: self.place.clone(), reason }
            }
            Fault::Failed(error) => error,
        }
    }
}
