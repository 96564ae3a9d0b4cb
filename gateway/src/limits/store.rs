//! The connection to the store that several gateways share their throttles in: Redis, a Redis Cluster, or what speaks their
//! protocol.
//!
//! A thread of its own, so that neither the limiter nor the housekeeper ever waits for the store. Each exchange is one
//! script on one server, `UNDER_WAY_MAX` of them at once, in any order; what the scripts keep is `turnpike_limits::Host`'s to
//! say. Limits fall into 256 parts, each of which is on one server as a whole. Where an exchange fails, all parts are
//! asked for, and the limiter hears which ones can't be reached, until they answer again; a connection to one server that
//! fails is made anew.
//!
//! What holds when servers fail: a server replicates to others, and writes to its disk, after it has answered, so that a
//! replica that takes its place, or itself when it starts again, may have forgotten what it answered last, by its
//! replication's lag. Each part's epoch (epoch.lua) fences all that was lent before, and has a lease's time and a whole burst
//! pass before a token is lent again: `admitted <= burst + rate * window` holds on. It doesn't, each time by one burst at
//! most,
//! - where a store has forgotten the parts' epochs too: it was emptied, or had no replica and no disk, or lost its first
//!   answers to a part of all;
//! - while two servers answer for one part, which Redis Cluster rules out but for `cluster-node-timeout`'s precision: then
//!   each lends its own, a burst and the rate for that time more;
//! - where gateways go over to their shares (`limits_partition`).
//!
//! Sources: Redis, "Scripting with Lua", "EVALSHA", "Scale with Redis Cluster"; Redis Cluster specification.

mod address;
mod link;
mod session;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redis::{RedisError, RedisResult};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep, sleep_until};
use turnpike_limits::{Exchange, PARTS, Partition, Parts, Reply};

use super::limiter::LimiterLine;
use crate::settings::Settings;
pub(crate) use address::{PASSWORD, check};
use link::{Dialer, Script, Server, advice};
use session::{Ended, Session, Swept};

const EPOCH: &str = include_str!("store/epoch.lua");
const EXCHANGE: &str = include_str!("store/exchange.lua");
const BEGIN: &str = include_str!("store/begin.lua");
const PRESENCE: &str = include_str!("store/presence.lua");

/// Exchanges that wait for the connection; the limiter keeps what is more. About 100 bytes each.
const EXCHANGES_MAX: usize = 4_096;
const BATCH_EXCHANGES_MAX: usize = 256;
/// How often a gateway says that it is there.
const PRESENCE_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A connection that lasted for so long was a good one; after another, the next attempt waits for longer.
const STEADY: Duration = Duration::from_secs(10);
/// How long the limiter's full queue is left alone.
const AGAIN: Duration = Duration::from_millis(1);
/// What the limiter hears of the store.
#[derive(Debug, Clone, Copy)]
pub(super) enum FromStore {
    Reply(Reply),
    /// So many gateways share it.
    Gateways(u32),
    /// What of it can't be reached.
    Cut(Parts),
}

/// The connection that the settings ask for, if they do, and where the limiter tells it what there is to tell.
///
/// # Errors
/// The URL, the password or a certificate can't be used.
pub(super) fn prepare(settings: &Settings) -> io::Result<Option<(Store, Sender<Exchange>)>> {
    let Some(url) = &settings.limits_store else { return Ok(None) };
    let (sender, exchanges) = mpsc::channel(EXCHANGES_MAX);
    let script = |text| Arc::new(Script::new(text));
    let store = Store {
        dialer: Arc::new(Dialer::new(url, settings)?),
        scripts: Scripts {
            exchange: script([EPOCH, EXCHANGE].concat()),
            begin: script([EPOCH, BEGIN].concat()),
            presence: script(PRESENCE.to_owned()),
        },
        url: url.clone(),
        partition: settings.limits_partition,
        lease_us: settings.limits_store_lease_ms * 1_000,
        gateway: random_name()?.into(),
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
    dialer: Arc<Dialer>,
    scripts: Scripts,
    url: String,
    partition: Partition,
    lease_us: u64,
    /// No other process has it, nor had it.
    gateway: Arc<str>,
    exchanges: Receiver<Exchange>,
}

#[derive(Debug)]
struct Scripts {
    exchange: Arc<Script>,
    begin: Arc<Script>,
    presence: Arc<Script>,
}

/// The thread's: the store, and whom it tells.
struct Carrier {
    store: Store,
    limiter: LimiterLine,
    /// What the limiter and what the log was told that can't be reached.
    cut: Parts,
    reported: Parts,
}

impl Store {
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(self, limiter: LimiterLine) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("limits-store".to_owned());
        let carrier = Carrier { store: self, limiter, cut: Parts::NONE, reported: Parts::NONE };
        thread.spawn(move || runtime.block_on(carrier.run()))?;
        Ok(())
    }
}

impl Carrier {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        while !self.store.exchanges.is_closed() {
            let error = match self.connect().await {
                Ok(session) => {
                    let until_steady = Instant::now() + STEADY;
                    let Err(error) = self.serve(session).await else { return };
                    if Instant::now() >= until_steady {
                        backoff = BACKOFF_MIN;
                    }
                    error
                }
                Err(error) => error,
            };
            self.limiter.count_store_error();
            self.set_cut(Parts::ALL, &error).await;
            if self.discard_for(backoff).await.is_none() {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
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

    /// Also writes to each part, so that a server that refuses to isn't taken for a store.
    async fn connect(&mut self) -> RedisResult<Session> {
        let mut session = Session::on(self.store.dialer.dial().await?);
        session.sweep(&self.store);
        session.say_present(&self.store);
        let (mut gateways, mut swept) = (None, None);
        while let Some(ended) = session.next().await {
            match ended? {
                Ended::Present(present) => gateways = present.ok(),
                Ended::Swept(sweep) => swept = Some(sweep),
                Ended::Exchange(..) | Ended::Servers(_) => {}
            }
        }
        let Swept { failed, error } = swept.unwrap_or_default();
        if let Some(error) = error {
            if failed == Parts::ALL || self.is_alone() {
                return Err(error);
            }
            self.set_cut(failed, &error).await;
        } else {
            self.mend().await;
        }
        session.is_cut = !failed.is_empty();
        self.ask_for_servers(&mut session);
        self.report_reached(gateways);
        if let Some(gateways) = gateways {
            self.tell(FromStore::Gateways(gateways)).await;
        }
        self.limiter.attend_for_store();
        Ok(session)
    }

    /// Until the limiter ends.
    async fn serve(&mut self, mut session: Session) -> RedisResult<()> {
        let mut batch = Vec::with_capacity(BATCH_EXCHANGES_MAX);
        let mut present_at = Instant::now() + PRESENCE_EVERY;
        loop {
            tokio::select! {
                () = sleep_until(present_at) => {
                    session.say_present(&self.store);
                    present_at = Instant::now() + PRESENCE_EVERY;
                }
                () = sleep_until(session.sweeps_at()), if session.is_cut && !session.is_sweeping() => {
                    session.sweep(&self.store);
                }
                received = self.store.exchanges.recv_many(&mut batch, BATCH_EXCHANGES_MAX),
                    if session.has_room() =>
                {
                    if received == 0 {
                        return Ok(());
                    }
                    let cut = self.cut;
                    let reached = batch.drain(..).filter(|exchange| !cut.has(exchange.limit.id.part()));
                    reached.for_each(|exchange| session.exchange(&self.store, exchange));
                }
                Some(ended) = session.next() => self.hear(&mut session, ended?).await?,
            }
        }
    }

    /// A call has ended, and perhaps others have: the limiter hears of all of them at once.
    async fn hear(&mut self, session: &mut Session, first: Ended) -> RedisResult<()> {
        let (mut failed, mut failure, mut answered) = (self.cut, None, 0);
        let mut next = Some(first);
        while let Some(ended) = next {
            match ended {
                Ended::Exchange(exchange, Ok(answer)) => {
                    answered += 1;
                    self.tell(FromStore::Reply(reply(&exchange, answer))).await;
                }
                Ended::Exchange(exchange, Err(error)) => {
                    failed.add(exchange.limit.id.part());
                    failure = Some(error);
                }
                Ended::Present(Ok(gateways)) => self.tell(FromStore::Gateways(gateways)).await,
                // Of a cluster, one server: what it said last holds on.
                Ended::Present(Err(error)) => {
                    self.limiter.count_store_error();
                    if self.is_alone() {
                        return Err(error);
                    }
                }
                Ended::Swept(swept) => self.hear_sweep(session, swept).await,
                Ended::Servers(servers) => self.learn(&servers)?,
            }
            next = session.try_next().transpose()?;
        }
        self.limiter.count_store_exchanges(answered);
        self.limiter.attend_for_store();
        match failure {
            Some(error) => self.hear_failure(session, failed, error).await,
            None => Ok(()),
        }
    }

    /// What was asked of these parts isn't answered any more; which others can't be reached is asked.
    async fn hear_failure(
        &mut self,
        session: &mut Session,
        failed: Parts,
        error: RedisError,
    ) -> RedisResult<()> {
        if self.is_alone() {
            return Err(error);
        }
        self.limiter.count_store_error();
        session.is_cut = true;
        self.tell_cut(failed).await;
        Ok(())
    }

    /// All parts have answered, or failed to.
    async fn hear_sweep(&mut self, session: &mut Session, swept: Swept) {
        let Swept { failed, error } = swept;
        session.is_cut = !failed.is_empty();
        match error {
            None => {
                if !self.reported.is_empty() {
                    report!("turnpike-gateway: limits_store {} is reached as a whole", self.store.url);
                }
                self.mend().await;
                // A cluster may be another since.
                self.ask_for_servers(session);
            }
            // The connection knows more servers than were typed: it serves on until there is a better one.
            Some(error) => {
                self.set_cut(failed, &error).await;
                session.dial_if_due(&self.store);
            }
        }
    }

    fn ask_for_servers(&self, session: &mut Session) {
        if !self.is_alone() {
            session.ask_for_servers();
        }
    }

    fn learn(&mut self, servers: &[Server]) -> RedisResult<()> {
        if let Some(dialer) = self.store.dialer.knowing(servers).transpose()? {
            self.store.dialer = Arc::new(dialer);
        }
        Ok(())
    }

    /// To one server, whatever fails is the connection.
    fn is_alone(&self) -> bool {
        !self.store.dialer.is_cluster()
    }

    async fn mend(&mut self) {
        self.reported = Parts::NONE;
        self.tell_cut(Parts::NONE).await;
    }

    /// What can't be reached; in the log, where it has become more.
    async fn set_cut(&mut self, cut: Parts, error: &RedisError) {
        let before = std::mem::replace(&mut self.reported, cut);
        if !cut.without(&before).is_empty() {
            self.report_partition(error);
        }
        self.tell_cut(cut).await;
    }

    async fn tell_cut(&mut self, cut: Parts) {
        if std::mem::replace(&mut self.cut, cut) != cut {
            self.tell(FromStore::Cut(cut)).await;
            self.limiter.attend_for_store();
        }
    }

    fn report_reached(&self, gateways: Option<u32>) {
        let gateways = gateways.map_or_else(|| "unknown".to_owned(), |gateways| gateways.to_string());
        report!(
            "turnpike-gateway: limits_store {} is reached; gateways that share throttles: {gateways}",
            self.store.url
        );
    }

    fn report_partition(&self, error: &RedisError) {
        let meanwhile = match self.store.partition {
            Partition::Share => "let through this gateway's share (limits_partition = share)",
            Partition::Closed => "let nothing through (limits_partition = closed)",
            Partition::Open => "let everything through (limits_partition = open)",
        };
        let whose = match self.reported.len() {
            PARTS => "throttles that don't say otherwise".to_owned(),
            parts => format!("throttles in {parts} of {PARTS} parts that don't say otherwise"),
        };
        let advice = advice(error, self.store.dialer.is_cluster());
        report!(
            "turnpike-gateway: limits_store {} can't be used: {error}{advice}; until it can, {whose} {meanwhile}. Start \
             it or mend the way to it; if it is elsewhere, correct limits_store",
            self.store.url
        );
    }

    /// The limiter is told everything, in order: it is never behind for long.
    async fn tell(&self, message: FromStore) {
        while !self.limiter.tell(message) {
            self.limiter.attend_for_store();
            sleep(AGAIN).await;
        }
    }
}

fn reply(exchange: &Exchange, [granted, empty_us, fenced]: [u64; 3]) -> Reply {
    Reply {
        id: exchange.limit.id,
        loan: exchange.loan,
        number: exchange.number,
        // Never more than was asked for, whatever the server says.
        granted: (granted as u32).min(exchange.needed.saturating_add(exchange.liked)),
        empty_us,
        fenced: fenced != 0,
    }
}
