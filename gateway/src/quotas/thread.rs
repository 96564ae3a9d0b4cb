//! The desk's thread: what shards and the link have to say goes in, and out come entries for the journal, then words for
//! shards, then reports for control.
//!
//! A thread of its own, since it writes to a file, and since the housekeeper may be compiling a snapshot for longer than a
//! request may wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use turnpike_rt::Clock;
use turnpike_snapshot::frame::FromGateway;

use super::counts::{Rows, SharedCounts};
use super::desk::{Desk, DeskRules, Returned};
use super::journal::{Journal, Legacy};
use super::{FromDesk, Now, QuotaLine, QuotaRefusal, Said, ToDesk};
use crate::mailbox::{Mailbox, ToShard};
use crate::settings::Settings;

/// Messages that the desk may be behind by; a shard that finds the queue full refuses its requests.
const QUEUE_MESSAGES_MAX: usize = 16_384;
/// After so many messages what follows from them is written and sent.
const PASS_MESSAGES_MAX: usize = 256;
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked for what an earlier life has left: a predecessor ends when it has drained.
const INHERIT_EVERY: Duration = Duration::from_secs(1);
/// How long a shard's full queue is left alone.
const AGAIN: Duration = Duration::from_millis(1);

/// Starts the desk for the shards with these mailboxes.
///
/// # Errors
/// The journal can't be written, or the system has no thread left.
pub(crate) fn start(settings: &Settings, mailboxes: Vec<Mailbox>, clock: Clock) -> io::Result<QuotaLine> {
    let (sender, messages) = mpsc::channel(QUEUE_MESSAGES_MAX);
    let rules = DeskRules {
        shards: mailboxes.len(),
        keys_max: settings.quota_keys_max,
        lease_requests_max: settings.quota_lease_requests_max,
        ahead_ms: settings.quota_lease_ms,
    };
    let journal = Journal::begin(&settings.quota_dir, random_number()?)?;
    let counts = SharedCounts::default();
    let rows = Rows::new(Arc::clone(&counts));
    let line = QuotaLine { desk: sender, counts: Arc::clone(&counts) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mails = mailboxes.into_iter().map(|mailbox| Mails { mailbox, kept: VecDeque::new() }).collect();
    thread::Builder::new().name("quotas".to_owned()).spawn(move || {
        let mut ids = Ids::default();
        let desk = Desk::new(rules, Box::new(move || ids.next()), rows);
        let counter = Counter {
            desk,
            journal,
            counts: Some((counts, rules)),
            legacies: Vec::new(),
            mails,
            link: None,
            clock,
            is_failing: false,
            is_starving: false,
            finishing: None,
        };
        runtime.block_on(counter.run(messages));
    })?;
    Ok(line)
}

/// Below 2^63.
fn random_number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(u64::from_le_bytes(bytes) >> 1)
}

/// Numbers of leases, from the system's random numbers.
#[derive(Debug, Default)]
struct Ids {
    last: u64,
}

impl Ids {
    fn next(&mut self) -> u64 {
        // A system that had random numbers at the start goes on having some; else what follows the last one is new, too.
        self.last = random_number().unwrap_or_else(|_| (self.last + 1) & (u64::MAX >> 1));
        self.last
    }
}

struct Counter {
    desk: Desk,
    journal: Journal,
    /// Where the counts are put, once; then nothing.
    counts: Option<(SharedCounts, DeskRules)>,
    legacies: Vec<Legacy>,
    mails: Vec<Mails>,
    link: Option<mpsc::Sender<FromGateway>>,
    clock: Clock,
    /// The journal can't be written, which has been said.
    is_failing: bool,
    /// Requests wait for control in vain, which has been said.
    is_starving: bool,
    finishing: Option<oneshot::Sender<()>>,
}

/// What a shard is to be told, and found its queue full.
struct Mails {
    mailbox: Mailbox,
    kept: VecDeque<FromDesk>,
}

impl Counter {
    async fn run(mut self, mut messages: mpsc::Receiver<ToDesk>) {
        let mut batch = Vec::new();
        let mut next_tick = Instant::now();
        let mut next_inheritance = next_tick;
        loop {
            let is_behind = self.mails.iter().any(|mails| !mails.kept.is_empty());
            tokio::select! {
                taken = messages.recv_many(&mut batch, PASS_MESSAGES_MAX) => if taken == 0 { return },
                () = tokio::time::sleep_until(next_tick) => {}
                () = tokio::time::sleep(AGAIN), if is_behind => {}
            }
            let now = self.now();
            let ticked = Instant::now();
            if ticked >= next_inheritance {
                self.inherit();
                next_inheritance = ticked + INHERIT_EVERY;
            }
            if ticked >= next_tick {
                self.desk.tick(now);
                next_tick = next_inheritance;
            }
            batch.drain(..).for_each(|message| self.handle(message, now));
            if !self.desk.is_idle() {
                next_tick = next_tick.min(ticked + TICK);
            }
            self.write(now);
            self.deliver();
            self.report();
            self.say_who_starves();
            if let Some(done) = self.finishing.take_if(|_| self.desk.is_finished()) {
                // Whoever waited has given up, if nobody hears of it.
                let _ = done.send(());
            }
        }
    }

    /// Once for each time that control is away, or can't say.
    fn say_who_starves(&mut self) {
        let Some(name) = self.desk.take_starved() else { return };
        if !std::mem::replace(&mut self.is_starving, true) {
            let why = if self.desk.is_connected() { "can't say what is left" } else { "is away" };
            report!(
                "turnpike-gateway: quotas: control {why}, and nothing is in hand of API key {} in usage plan {}: such requests \
                 are refused with 503 until it does",
                name.key_id,
                name.plan_id
            );
        }
    }

    fn now(&self) -> Now {
        Now::by(&self.clock)
    }

    fn handle(&mut self, message: ToDesk, now: Now) {
        match message {
            ToDesk::Ask { shard, name, held, wanted } => {
                self.begin_files();
                self.desk.ask(shard, &name, held, wanted, now);
            }
            ToDesk::Return { shard, name, hand, tokens, stale } => {
                self.desk.take_back(shard, &name, Returned { hand, tokens, stale }, now);
            }
            ToDesk::Ended { shard } => self.desk.end_shard(shard, now),
            ToDesk::Connected(link) => {
                self.is_starving = false;
                self.link = Some(link);
                self.desk.connect(now);
            }
            ToDesk::Disconnected => {
                self.link = None;
                self.desk.disconnect();
            }
            ToDesk::Finish(done) => {
                self.finishing = Some(done);
                self.desk.finish(now);
            }
            ToDesk::Answers(answers) => {
                answers.into_iter().for_each(|answer| self.desk.hear(answer, now));
                self.let_go_of_legacies();
            }
        }
    }

    /// A gateway without quotas has none.
    fn begin_files(&mut self) {
        // That the journal can't be written is said when it has to be, and tried again.
        if self.counts.is_none() || self.journal.open().is_err() {
            return;
        }
        let Some((shared, rules)) = self.counts.take() else { return };
        match self.journal.make_counts(rules.shards, rules.keys_max) {
            // It is empty: this comes but once.
            Ok(counts) => drop(shared.set(counts)),
            Err(refusal) => report!(
                "turnpike-gateway: quotas: there is no file to count in, so what cores have in hand counts as used if this \
                 process is killed ({}): {refusal}",
                self.journal.counts_path().display()
            ),
        }
    }

    /// Writes what shards are about to be given; what can't be written isn't given.
    fn write(&mut self, now: Now) {
        let entries = self.desk.take_entries();
        let written = self.journal.write(&entries, || self.desk.all_entries());
        let said = self.desk.take_said();
        let Err(error) = written else {
            self.is_failing = false;
            said.into_iter().for_each(|(shard, said)| self.mails[shard].kept.push_back(said));
            return;
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            report!(
                "turnpike-gateway: quotas: the journal can't be written, requests under a quota are refused: {error}"
            );
        }
        self.desk.put_back(entries);
        for (shard, FromDesk { name, said }) in said {
            let said = match said {
                Said::Give { hand, tokens, .. } => {
                    self.desk.withdraw(shard, &name, hand, tokens, now);
                    Said::Refuse(QuotaRefusal::Unknown)
                }
                other => other,
            };
            self.mails[shard].kept.push_back(FromDesk { name, said });
        }
    }

    fn deliver(&mut self) {
        for Mails { mailbox, kept } in &mut self.mails {
            while let Some(said) = kept.pop_front() {
                if let Err(ToShard::Quota(said)) = mailbox.send(ToShard::Quota(said)) {
                    kept.push_front(said);
                    break;
                }
            }
        }
    }

    fn report(&mut self) {
        let Some(link) = &self.link else { return };
        while self.desk.has_reports() {
            // Full: the link takes them up again, and each tick sends what is left.
            let Ok(place) = link.try_reserve() else { return };
            let reports = self.desk.take_reports();
            if reports.is_empty() {
                return;
            }
            place.send(FromGateway::Quotas { reports });
        }
    }

    fn inherit(&mut self) {
        match self.journal.inherit() {
            Ok(found) => {
                for (legacy, orphans) in found {
                    self.desk.adopt(orphans);
                    self.legacies.push(legacy);
                }
                self.let_go_of_legacies();
            }
            Err(error) => report!("turnpike-gateway: quotas: earlier journals can't be read: {error}"),
        }
    }

    fn let_go_of_legacies(&mut self) {
        let desk = &self.desk;
        self.legacies.retain(|legacy| {
            let is_open = legacy.leases.iter().any(|lease| desk.has_orphan(*lease));
            if !is_open {
                legacy.remove();
            }
            is_open
        });
    }
}
