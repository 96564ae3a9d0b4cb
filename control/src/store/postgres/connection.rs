//! One connection: its settings, its prepared statements, and what its errors mean.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement};

use super::super::StoreError;
use super::super::sql::{Cell, Value};
use super::driver::{Driver, Ended, Target, block_on};
use super::reason;
use super::schema::translated;

/// The oldest server that this is tested to be right for; older ones aren't maintained either.
const SERVER_VERSION_MIN: i64 = 130_000;
/// A transaction that says nothing for this long belongs to a process that is gone, and ends.
const IDLE_IN_TRANSACTION_MS: u32 = 60_000;
/// What the client waits longer than the server before it takes the connection for lost.
const MARGIN: Duration = Duration::from_secs(5);

/// What went wrong with a statement.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection is gone; whether a commit under way went through isn't known.
    Lost(String),
    /// The server has undone the transaction, which may be repeated.
    Conflict(String),
    Failed(StoreError),
}

/// How many rows a statement has changed, once that is known.
type Answer = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// Statements that are sent ahead: enough that none waits for the one before it, and not so many that their answers
/// pile up.
const SENT_MAX: usize = 256;

/// An open connection. Used by one thread at a time.
pub(super) struct Connection {
    client: Arc<Client>,
    ended: Ended,
    /// By the SQL as the store's methods have it.
    statements: RefCell<HashMap<String, Statement>>,
    /// What was sent and not yet waited for, in that order.
    sent: RefCell<Vec<Answer>>,
    place: String,
    patience: Duration,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Connection {
    /// One whose commits are on the server's disk when they return.
    pub(super) fn open(
        driver: &Driver,
        target: &Target,
        place: &str,
        statement_timeout: Duration,
    ) -> Result<Self, Fault> {
        let (client, ended) = driver.connect(target).map_err(Fault::Lost)?;
        let connection = Self {
            client: Arc::new(client),
            ended,
            statements: RefCell::default(),
            sent: RefCell::default(),
            place: place.to_owned(),
            patience: statement_timeout + MARGIN,
        };
        connection.batch(&session(statement_timeout))?;
        Ok(connection)
    }

    /// Several statements without values.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.wait(self.client.batch_execute(sql))
    }

    /// A step of the schema, within a transaction: a large store may take its time.
    pub(super) fn take_step(&self, step: &str) -> Result<(), Fault> {
        let sql = format!("SET LOCAL statement_timeout TO 0; {}", translated(step));
        self.wait_for(None, self.client.batch_execute(&sql))
    }

    /// What a query without values, of one row at most, shows in its columns.
    pub(super) fn show(&self, sql: &str) -> Result<Vec<String>, Fault> {
        let messages = self.wait(self.client.simple_query(sql))?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = |row: &tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|at| row.get(at).unwrap_or_default().to_owned()).collect()
        };
        Ok(row.map(columns).unwrap_or_default())
    }

    pub(super) fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Vec<Cell>>, Fault> {
        let statement = self.statement(sql, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let rows = self.wait(self.client.query(&statement, &values));
        let rows = self.settled(rows)?;
        let cells = |row: tokio_postgres::Row| {
            (0..row.len())
                .map(|at| row.try_get(at))
                .collect::<Result<_, _>>()
                .map_err(|error| self.fault(&error))
        };
        rows.into_iter().map(cells).collect()
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        let statement = self.statement(sql, values)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        let changed = self.wait(self.client.execute(&statement, &values));
        self.settled(changed)
    }

    /// Runs a statement without waiting for it: what goes wrong is told by what is waited for next.
    pub(super) fn send(&self, sql: &str, values: &[Value<'_>]) -> Result<(), Fault> {
        if self.sent.borrow().len() >= SENT_MAX {
            self.settle()?;
        }
        let statement = self.statement(sql, values)?;
        let client = Arc::clone(&self.client);
        let cells: Vec<Cell> = values.iter().map(|value| Cell::from(*value)).collect();
        let mut answer: Answer = Box::pin(async move {
            let values: Vec<Value<'_>> = cells.iter().filter_map(Cell::as_value).collect();
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            client.execute(&statement, &values).await
        });
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.sent.borrow_mut().push(answer),
            Poll::Ready(answered) => {
                let answered = answered.map_err(|error| self.fault(&error));
                self.settled(answered)?;
            }
        }
        Ok(())
    }

    /// Waits for everything that was sent.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        // The first to fail is why the others do.
        let sent = self.sent.take();
        sent.into_iter().try_for_each(|answer| self.wait(answer).map(drop))
    }

    /// What was sent is of no interest any more.
    pub(super) fn forget(&self) {
        self.sent.take();
    }

    /// With what was sent before it; if that has failed, this is why.
    fn settled<T>(&self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        self.settle()?;
        outcome
    }

    /// Checks that the server can keep what it is given, and warns of what an operator may not know.
    pub(super) fn check_server(&self) -> Result<(), Fault> {
        let shown = self.show(
            "SELECT current_setting('server_version_num'), current_setting('server_version'),
                    current_setting('server_encoding'), current_setting('fsync'), pg_is_in_recovery()",
        )?;
        let [number, version, encoding, fsync, standby] = &shown[..] else {
            return Err(self.failed("it isn't a PostgreSQL server"));
        };
        if number.parse().is_ok_and(|number: i64| number < SERVER_VERSION_MIN) {
            let oldest = SERVER_VERSION_MIN / 10_000;
            return Err(
                self.failed(&format!("the server is PostgreSQL {version}: at least {oldest} is needed"))
            );
        }
        if encoding != "UTF8" {
            let why = format!("the database's encoding is {encoding}: make one with ENCODING 'UTF8'");
            return Err(self.failed(&why));
        }
        if standby == "t" {
            let why = format!("{} is a standby, which can only be read: name the primary", self.place);
            return Err(Fault::Failed(StoreError::ReadOnly(why)));
        }
        if fsync == "off" {
            log_line!(
                "store: {} runs with fsync = off: what is acknowledged is lost when its host fails",
                self.place
            );
        }
        Ok(())
    }

    fn failed(&self, reason: &str) -> Fault {
        Fault::Failed(StoreError::Postgres { place: self.place.clone(), reason: reason.to_owned() })
    }

    fn statement(&self, sql: &str, values: &[Value<'_>]) -> Result<Statement, Fault> {
        if values.iter().any(|value| matches!(value, Value::Text(text) if text.contains('\0'))) {
            return Err(Fault::Failed(StoreError::NulInText));
        }
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self.wait(self.client.prepare(&numbered(sql)));
        let statement = if prepared.is_err() { self.settled(prepared)? } else { prepared? };
        self.statements.borrow_mut().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
        self.wait_for(Some(self.patience), answer)
    }

    fn wait_for<T>(
        &self,
        patience: Option<Duration>,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Fault> {
        match block_on(answer, patience) {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => Err(self.fault(&error)),
            None => Err(Fault::Lost(format!("no answer within {} ms", self.patience.as_millis()))),
        }
    }

    fn fault(&self, error: &Error) -> Fault {
        let Some(answered) = error.as_db_error() else {
            if self.client.is_closed() || is_of_connection(error) {
                return Fault::Lost(self.ended.get().cloned().unwrap_or_else(|| reason(error)));
            }
            return self.failed(&reason(error));
        };
        let why = || reason(error);
        let code = answered.code();
        if matches!(answered.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) || is_loss(code) {
            return Fault::Lost(why());
        }
        match *code {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => Fault::Conflict(why()),
            SqlState::QUERY_CANCELED => Fault::Failed(StoreError::Slow(self.place.clone())),
            SqlState::DISK_FULL => Fault::Failed(StoreError::DiskFull(format!("{}: {}", self.place, why()))),
            SqlState::READ_ONLY_SQL_TRANSACTION => {
                Fault::Failed(StoreError::ReadOnly(format!("{}: {}", self.place, why())))
            }
            _ => self.failed(&why()),
        }
    }
}

/// What every connection is set to. The server's own notice of lost clients frees what they have locked.
fn session(statement_timeout: Duration) -> String {
    format!(
        "SET search_path TO {schema};
         SET statement_timeout TO {statement_timeout_ms};
         SET idle_in_transaction_session_timeout TO {IDLE_IN_TRANSACTION_MS};
         SET tcp_keepalives_idle TO 10;
         SET tcp_keepalives_interval TO 5;
         SET tcp_keepalives_count TO 3;
         SET client_min_messages TO warning;
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        schema = super::SCHEMA,
        statement_timeout_ms = statement_timeout.as_millis(),
    )
}

/// Neither the server nor the statement is to blame.
fn is_of_connection(error: &Error) -> bool {
    error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>())
}

/// The server ends the connection, or says that it isn't there: classes 08 and 57P.
fn is_loss(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || matches!(
            *code,
            SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                | SqlState::TOO_MANY_CONNECTIONS
        )
}

/// `$1`, `$2`, … for each `?`; no statement of the store has one in a literal.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (at, part) in parts.enumerate() {
        numbered.push_str(&format!("${}", at + 1));
        numbered.push_str(part);
    }
    numbered
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        to: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (*self, to) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(integer), &Type::INT8) => integer.to_sql(to, out),
            (Self::Integer(integer), &Type::INT4) => i32::try_from(integer)?.to_sql(to, out),
            (Self::Text(text), &Type::TEXT) => text.to_sql(to, out),
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(to, out),
            (value, to) => Err(format!("{value:?} isn't a value of type {to}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *of {
            Type::INT8 => Self::Integer(i64::from_sql(of, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(of, raw)?.into()),
            Type::TEXT => Self::Text(String::from_sql(of, raw)?),
            Type::BYTEA => Self::Bytes(raw.to_vec()),
            _ => Self::Other,
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered() {
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
        assert_eq!(numbered("a = ? AND b > ? LIMIT ?"), "a = $1 AND b > $2 LIMIT $3");
    }
}
