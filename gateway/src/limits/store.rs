//! The connection to the store that several gateways share their throttles in: Redis, or what speaks its protocol.
//!
//! A thread of its own, so that neither the limiter nor the housekeeper ever waits for the store. What the limiter has
//! to say goes over as one pipeline of scripts at a time, `BATCH_EXCHANGES_MAX` at most, and each is answered in order;
//! whatever fails, the connection is made anew, and the limiter hears that there is none. What the scripts keep is
//! `turnpike_limits::Host`'s to say. Sources: Redis, "Scripting with Lua" and "EVALSHA".

use std::env::VarError;
use std::io;
use std::thread;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, RedisResult,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep, sleep_until};
use turnpike_limits::{Exchange, Partition, Reply};

use super::limiter::LimiterLine;
use crate::settings::Settings;

const EXCHANGE: &str = include_str!("store/exchange.lua");
const PRESENCE: &str = include_str!("store/presence.lua");
const GATEWAYS_KEY: &str = "turnpike:gateways";
const PASSWORD: &str = "TURNPIKE_GATEWAY_LIMITS_STORE_PASSWORD";

/// Exchanges that wait for the connection; the limiter keeps what is more. About 100 bytes each.
const EXCHANGES_MAX: usize = 4_096;
const BATCH_EXCHANGES_MAX: usize = 256;
/// How often a gateway says that it is there, and for how long that is believed.
const PRESENCE_EVERY: Duration = Duration::from_secs(1);
const PRESENCE_MS: u64 = 5_000;
/// Between two attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A connection that lasted for so long was a good one; after another, the next attempt waits for longer.
const STEADY: Duration = Duration::from_secs(10);
/// How long the limiter's full queue is left alone.
const AGAIN: Duration = Duration::from_millis(1);
/// Beyond it the scripts' numbers would not be exact.
const TOKENS_PER_S_MAX: u64 = 1_000_000_000;

/// What the limiter hears of the store.
#[derive(Debug, Clone, Copy)]
pub(super) enum FromStore {
    Reply(Reply),
    /// It is there, for so many gateways.
    Gateways(u32),
    Unreachable,
}

/// Where the store is.
///
/// # Errors
/// Why the URL can't be used.
pub(crate) fn connection_info(url: &str) -> Result<ConnectionInfo, String> {
    const FORMS: &str = "redis://[USER@]HOST:PORT[/DB] or redis+unix:///PATH";
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if matches!(scheme, "rediss" | "valkeys") {
        return Err(format!(
            "{scheme}:// asks for TLS, which isn't supported to the store; use redis:// on a network of your own or \
             through a tunnel"
        ));
    }
    if !matches!(scheme, "redis" | "valkey" | "redis+unix" | "unix") {
        return Err(format!("`{scheme}` is no scheme of a store; write {FORMS}"));
    }
    let info = url.into_connection_info().map_err(|error| format!("{error}; write {FORMS}"))?;
    if info.redis_settings().password().is_some() {
        return Err(format!(
            "a password in it would be seen by others; set the environment's {PASSWORD} instead"
        ));
    }
    Ok(info)
}

/// The connection that the settings ask for, if they do, and where the limiter tells it what there is to tell.
///
/// # Errors
/// The URL or the password can't be used.
pub(super) fn prepare(settings: &Settings) -> io::Result<Option<(Store, Sender<Exchange>)>> {
    let Some(url) = &settings.limits_store else { return Ok(None) };
    let mut info = connection_info(url).map_err(io::Error::other)?;
    match std::env::var(PASSWORD) {
        Ok(password) => {
            let redis = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(redis);
        }
        Err(VarError::NotPresent) => {}
        Err(VarError::NotUnicode(_)) => return Err(io::Error::other(format!("{PASSWORD} isn't UTF-8"))),
    }
    let timeout = Some(Duration::from_millis(settings.limits_store_timeout_ms));
    let (sender, exchanges) = mpsc::channel(EXCHANGES_MAX);
    let store = Store {
        client: Client::open(info).map_err(io::Error::other)?,
        config: AsyncConnectionConfig::new().set_connection_timeout(timeout).set_response_timeout(timeout),
        url: url.clone(),
        partition: settings.limits_partition,
        lease_us: settings.limits_store_lease_ms * 1_000,
        gateway: random_name()?,
        exchanges,
    };
    Ok(Some((store, sender)))
}

fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[derive(Debug)]
pub(super) struct Store {
    client: Client,
    config: AsyncConnectionConfig,
    url: String,
    partition: Partition,
    lease_us: u64,
    /// No other process has it, nor had it.
    gateway: String,
    exchanges: Receiver<Exchange>,
}

/// The thread's: the store, and whom it tells.
struct Carrier {
    store: Store,
    limiter: LimiterLine,
}

/// A connection whose server has the scripts.
struct Connection {
    redis: MultiplexedConnection,
    exchange_sha: String,
    presence_sha: String,
}

impl Store {
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(self, limiter: LimiterLine) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("limits-store".to_owned());
        thread.spawn(move || runtime.block_on(Carrier { store: self, limiter }.run()))?;
        Ok(())
    }
}

impl Carrier {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        let mut told = false;
        while !self.store.exchanges.is_closed() {
            let error = match self.connect().await {
                Ok((connection, gateways)) => {
                    report!(
                        "turnpike-gateway: limits_store {} is reached; gateways that share throttles: {gateways}",
                        self.store.url
                    );
                    told = false;
                    self.tell(FromStore::Gateways(gateways)).await;
                    self.limiter.attend_for_store();
                    let until_steady = Instant::now() + STEADY;
                    let Err(error) = self.serve(connection).await else { return };
                    if Instant::now() >= until_steady {
                        backoff = BACKOFF_MIN;
                    }
                    error
                }
                Err(error) => error,
            };
            self.limiter.count_store_error();
            if !std::mem::replace(&mut told, true) {
                self.report_partition(&error);
                self.tell(FromStore::Unreachable).await;
                self.limiter.attend_for_store();
            }
            if self.discard_for(backoff).await.is_none() {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn report_partition(&self, error: &RedisError) {
        let meanwhile = match self.store.partition {
            Partition::Share => "let through this gateway's share (limits_partition = share)",
            Partition::Closed => "let nothing through (limits_partition = closed)",
            Partition::Open => "let everything through (limits_partition = open)",
        };
        report!(
            "turnpike-gateway: limits_store {} can't be used: {error}; until it can, throttles {meanwhile}. Start it or \
             mend the way to it; if it is elsewhere, correct limits_store",
            self.store.url
        );
    }

    /// Nothing that was asked before the limiter heard that there is no connection is waited for. `None` at the end.
    async fn discard_for(&mut self, time: Duration) -> Option<()> {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Some(()),
                exchange = self.store.exchanges.recv() => exchange.map(drop)?,
            }
        }
    }

    /// Also writes to the server, so that one that refuses to isn't taken for a store.
    async fn connect(&self) -> RedisResult<(Connection, u32)> {
        let mut redis =
            self.store.client.get_multiplexed_async_connection_with_config(&self.store.config).await?;
        let mut load = redis::pipe();
        for script in [EXCHANGE, PRESENCE] {
            load.cmd("SCRIPT").arg("LOAD").arg(script);
        }
        let (exchange_sha, presence_sha) = load.query_async(&mut redis).await?;
        let mut connection = Connection { redis, exchange_sha, presence_sha };
        let gateways = self.say_present(&mut connection).await?;
        Ok((connection, gateways))
    }

    async fn say_present(&self, connection: &mut Connection) -> RedisResult<u32> {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(&connection.presence_sha)
            .arg(1)
            .arg(GATEWAYS_KEY)
            .arg(&self.store.gateway)
            .arg(PRESENCE_MS);
        command.query_async(&mut connection.redis).await
    }

    /// Until the limiter ends.
    async fn serve(&mut self, mut connection: Connection) -> RedisResult<()> {
        let mut batch = Vec::with_capacity(BATCH_EXCHANGES_MAX);
        let mut present_at = Instant::now() + PRESENCE_EVERY;
        loop {
            tokio::select! {
                () = sleep_until(present_at) => {
                    let gateways = self.say_present(&mut connection).await?;
                    self.tell(FromStore::Gateways(gateways)).await;
                    self.limiter.attend_for_store();
                    present_at = Instant::now() + PRESENCE_EVERY;
                }
                received = self.store.exchanges.recv_many(&mut batch, BATCH_EXCHANGES_MAX) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.exchange(&mut connection, &batch).await?;
                    batch.clear();
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Connection, batch: &[Exchange]) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        for exchange in batch {
            self.add(&mut pipeline, &connection.exchange_sha, exchange);
        }
        let replies: Vec<[u64; 3]> = pipeline.query_async(&mut connection.redis).await?;
        self.limiter.count_store_exchanges(batch.len());
        for (exchange, [granted, empty_us, fenced]) in batch.iter().zip(replies) {
            let reply = Reply {
                id: exchange.limit.id,
                loan: exchange.loan,
                number: exchange.number,
                // Never more than was asked for, whatever the server says.
                granted: (granted as u32).min(exchange.needed.saturating_add(exchange.liked)),
                empty_us,
                fenced: fenced != 0,
            };
            self.tell(FromStore::Reply(reply)).await;
        }
        self.limiter.attend_for_store();
        Ok(())
    }

    fn add(&self, pipeline: &mut Pipeline, sha: &str, exchange: &Exchange) {
        let Exchange { limit, version, loan, number, held, spent, needed, liked } = exchange;
        let rate_micro = limit.rate.micro_tokens_per_s();
        let command =
            pipeline.cmd("EVALSHA").arg(sha).arg(1).arg(format!("turnpike:limit:{:016x}", limit.id.0));
        command.arg(&self.store.gateway).arg(loan.0).arg(number).arg(held).arg(spent).arg(needed).arg(liked);
        command.arg((rate_micro / 1_000_000).min(TOKENS_PER_S_MAX)).arg(rate_micro % 1_000_000);
        command.arg(limit.rate.burst_tokens()).arg(version).arg(self.store.lease_us);
    }

    /// The limiter is told everything, in order: it is never behind for long.
    async fn tell(&self, message: FromStore) {
        while !self.limiter.tell(message) {
            self.limiter.attend_for_store();
            sleep(AGAIN).await;
        }
    }
}
