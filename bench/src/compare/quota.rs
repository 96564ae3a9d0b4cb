//! Section `quota`: gateway and control are killed 50 times at random moments while a key with a quota is used, and a
//! gateway five times more while its cores have calls in hand and none is under way. What reaches the origin never is more
//! than the quota. What a gateway held when it was killed counts as used until its next life settles it; what is missing
//! from the quota in the end is stranded for good, but for calls that were let through and went down with a gateway.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::callers::{Board, Callers, Tally};
use super::http::Client;
use super::layout::Layout;
use super::peers::{self, origin_count};
use super::rest::STAGE;
use super::results::{Check, Section};
use super::sigv4;
use super::stats::grouped;
use super::turnpike::{Turnpike, host, text};
use super::{Bench, PeerName, SectionName, skipped};

const ROUNDS: u32 = 50;
const ROUNDS_AT_REST: u32 = 5;
/// More than is served while the rounds last.
const QUOTA: u64 = 40_000;
const CALLERS: usize = 16;
const CALLS_PER_S: f64 = 2_000.0;
/// From a restart to the next kill.
const LIVES_MS: std::ops::Range<u64> = 20..500;
/// Served before a kill at rest: cores have their most in hand by then.
const CALLS_AT_REST: u64 = 300;
const SEED: u64 = 20_261_121;
/// Nothing is served for longer than leases last: nothing more comes.
const STILL: Duration = Duration::from_secs(6);
/// No gateway has anything left: longer than a key rests, and than a gateway takes to look for what an earlier life left.
const SETTLED: Duration = Duration::from_secs(3);
const END_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);
const SETTLE_POLL: Duration = Duration::from_millis(5);

pub(super) fn run(bench: &Bench) -> Result<Section, String> {
    let name = SectionName::Quota;
    if !bench.compares(PeerName::Turnpike) {
        return Ok(skipped(name, "Turnpike is not among --peers"));
    }
    let dir = bench.dir.path().join("quota");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let layout = Layout::two_proxy_cores(&bench.cores).unwrap_or_else(|| bench.layout.clone());
    let (_origin, origin) = peers::start_origin(&dir, &layout.origin)?;
    let mut turnpike = Turnpike::start("counted", &bench.binaries, &dir, &layout)?;
    let api_id = turnpike.make_rest_api(origin, true)?;
    let plan_id = turnpike.make_quota_plan(&api_id, QUOTA)?;
    let keys = turnpike.import_keys(&plan_id, 2)?;
    let path = format!("/{STAGE}/small");
    // Another key than the one that is counted.
    turnpike.await_served_to(&api_id, &path, &format!("x-api-key: {}\r\n", keys[0]))?;
    let callers = Callers {
        threads: CALLERS,
        core: layout.loadgen[0],
        addresses: vec![turnpike.gateway.address],
        path,
        headers: format!("host: {}\r\nx-api-key: {}\r\n", host(&api_id), keys[1]),
        every: Duration::from_secs_f64(CALLERS as f64 / CALLS_PER_S),
    };
    let mut ledger = Ledger::open(&mut turnpike, plan_id, &keys[1], origin)?;
    let mut rounds = Rounds { random: SEED, gateway: 0, control: 0, served: 0 };
    let ((), mut tally) = callers.tally(|board| rounds.run(&mut turnpike, board))?;
    let lost = ledger.settled(&mut turnpike)?;
    // A call of each caller at most for each gateway; most found the connection broken when they began.
    let cut_off = tally.cut_off;
    let mut at_rest = Vec::new();
    for _ in 0..ROUNDS_AT_REST {
        let ((), calls) = callers.tally(|board| await_served(board, CALLS_AT_REST))?;
        tally += calls;
        at_rest.push(ledger.kill_at_rest(&mut turnpike, lost)?);
    }
    let ((), calls) = callers.tally(await_end)?;
    tally += calls;
    let reached = ledger.reached()?;
    Ok(report(&rounds, &Outcome { reached, lost, cut_off, at_rest, tally }))
}

/// Both counts of the key's calls: the origin's, and control's.
struct Ledger {
    origin: Client,
    /// The origin's count before the first of them.
    before: u64,
    plan_id: String,
    key_id: String,
    first_day: String,
}

/// What a kill with nothing under way did.
#[derive(Debug, Clone, Copy)]
struct AtRest {
    /// Calls that counted as used and hadn't been made.
    held: u64,
    /// Of those, how many did so in the end.
    stranded: u64,
    /// Since the gateway was ready again.
    settled_ms: f64,
}

impl Ledger {
    fn open(turnpike: &mut Turnpike, plan_id: String, key: &str, origin: SocketAddr) -> Result<Self, String> {
        let keys = turnpike.call("GET", &format!("/usageplans/{plan_id}/keys"), None)?;
        let listed = keys["item"].as_array().into_iter().flatten();
        let key_id = listed.filter(|listed| listed["name"] == key).map(|listed| text(listed, "id")).next();
        let key_id = key_id.ok_or_else(|| format!("{key} isn't among the plan's keys: {keys}"))??;
        let mut origin = Client::connect(origin)?;
        let before = origin_count(&mut origin)?;
        Ok(Self { origin, before, plan_id, key_id, first_day: sigv4::date(SystemTime::now()) })
    }

    fn reached(&mut self) -> Result<u64, String> {
        Ok(origin_count(&mut self.origin)? - self.before)
    }

    /// Calls that count as used and haven't reached the origin.
    fn held(&mut self, turnpike: &mut Turnpike) -> Result<u64, String> {
        let Self { plan_id, key_id, first_day, .. } = self;
        let today = sigv4::date(SystemTime::now());
        let path =
            format!("/usageplans/{plan_id}/usage?endDate={today}&keyId={key_id}&startDate={first_day}");
        let usage = turnpike.call("GET", &path, None)?;
        let days = usage["values"][key_id.as_str()].as_array();
        let days =
            days.ok_or_else(|| format!("the management API's answer has no use of the key: {usage}"))?;
        let used: u64 = days.iter().filter_map(|day| day[0].as_u64()).sum();
        Ok(used.saturating_sub(self.reached()?))
    }

    /// The same once nothing is held any more.
    fn settled(&mut self, turnpike: &mut Turnpike) -> Result<u64, String> {
        turnpike.reconnect()?;
        let (mut held, mut since) = (self.held(turnpike)?, Instant::now());
        while since.elapsed() < SETTLED {
            thread::sleep(POLL);
            let now = self.held(turnpike)?;
            if now != held {
                (held, since) = (now, Instant::now());
            }
        }
        Ok(held)
    }

    /// Kills the gateway while nobody calls, of which `lost` calls never reached the origin before.
    fn kill_at_rest(&mut self, turnpike: &mut Turnpike, lost: u64) -> Result<AtRest, String> {
        turnpike.gateway.kill();
        let held = self.held(turnpike)?.saturating_sub(lost);
        turnpike.gateway.restart()?;
        let began = Instant::now();
        let mut stranded = held;
        let mut settled_ms = 0.0;
        while stranded > 0 && began.elapsed() < SETTLED {
            let now = self.held(turnpike)?.saturating_sub(lost);
            if now != stranded {
                (stranded, settled_ms) = (now, began.elapsed().as_secs_f64() * 1e3);
            }
            thread::sleep(SETTLE_POLL);
        }
        Ok(AtRest { held, stranded, settled_ms })
    }
}

#[derive(Debug)]
struct Outcome {
    reached: u64,
    /// Counted, and never at the origin, after the rounds under load.
    lost: u64,
    /// Of those rounds.
    cut_off: u64,
    at_rest: Vec<AtRest>,
    tally: Tally,
}

fn report(rounds: &Rounds, outcome: &Outcome) -> Section {
    let Outcome { reached, lost, cut_off, ref at_rest, tally } = *outcome;
    let kills = ROUNDS + ROUNDS_AT_REST;
    let beyond = reached.saturating_sub(QUOTA);
    // A call that nobody was cut off from can't have gone down with a gateway.
    let went_down = lost.min(cut_off);
    let stranded = QUOTA.saturating_sub(reached).saturating_sub(went_down);
    let mut section = Section::new(SectionName::Quota.name());
    let figure = format!("quota: calls beyond {}, after {kills} kills", grouped(QUOTA as f64));
    section.checks.push(Check::at_most(figure, beyond as f64, 0.0));
    section.checks.push(Check::at_most("quota: calls stranded for good by them", stranded as f64, 0.0));
    section.notes.push(format!(
        "{ROUNDS} kills under load, {} of the gateway, {} of control, and {ROUNDS_AT_REST} of the gateway at rest: {} of {} \
         calls reached the origin, {} until the last kill under load; {went_down} were let through and went down with a \
         gateway before they got there",
        rounds.gateway,
        rounds.control,
        grouped(reached as f64),
        grouped(QUOTA as f64),
        grouped(rounds.served as f64),
    ));
    let worst = |figure: fn(&AtRest) -> f64| at_rest.iter().map(figure).fold(0.0, f64::max);
    section.notes.push(format!(
        "held until settled: up to {} calls that hadn't been made counted as used after a kill at rest, for {:.0} ms at most \
         from the gateway's being ready again; {} of them did so for good",
        grouped(worst(|round| round.held as f64)),
        worst(|round| round.settled_ms),
        at_rest.iter().map(|round| round.stranded).sum::<u64>(),
    ));
    section.notes.push(format!(
        "callers were answered 200 {} times, 429 {}, otherwise {}; {} calls were cut off, {} found nobody",
        grouped(tally.served as f64),
        grouped(tally.refused as f64),
        grouped(tally.failed as f64),
        grouped(tally.cut_off as f64),
        grouped(tally.found_nobody as f64),
    ));
    section
}

#[derive(Debug)]
struct Rounds {
    random: u64,
    /// Kills of each.
    gateway: u32,
    control: u32,
    /// By the last of them.
    served: u64,
}

impl Rounds {
    fn run(&mut self, turnpike: &mut Turnpike, board: &Board) -> Result<(), String> {
        for round in 1..=ROUNDS {
            let lives_ms = LIVES_MS.start + self.draw() % (LIVES_MS.end - LIVES_MS.start);
            thread::sleep(Duration::from_millis(lives_ms));
            if self.draw().is_multiple_of(2) {
                self.gateway += 1;
                turnpike.gateway.kill();
                turnpike.gateway.restart()?;
            } else {
                self.control += 1;
                turnpike.kill_control()?;
            }
            if round % 10 == 0 {
                eprintln!("  kill {round}/{ROUNDS}  {} served", board.served());
            }
        }
        self.served = board.served();
        Ok(())
    }

    /// The same numbers with each run (xorshift64*, by Vigna).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }
}

fn await_served(board: &Board, calls: u64) -> Result<(), String> {
    let began = Instant::now();
    while board.served() < calls {
        if began.elapsed() > END_TIMEOUT {
            return Err(format!("{calls} calls of a quota aren't served after {END_TIMEOUT:?}"));
        }
        thread::sleep(SETTLE_POLL);
    }
    Ok(())
}

/// Until callers are refused for so long that no more can come.
fn await_end(board: &Board) -> Result<(), String> {
    let began = Instant::now();
    let (mut served, mut since) = (board.served(), Instant::now());
    let mut refused = board.refused();
    while since.elapsed() < STILL || board.refused() == refused {
        if began.elapsed() > END_TIMEOUT {
            return Err(format!("a quota of {QUOTA} isn't used up after {served} calls and {END_TIMEOUT:?}"));
        }
        if board.served() != served {
            (served, since, refused) = (board.served(), Instant::now(), board.refused());
        }
        thread::sleep(POLL);
    }
    Ok(())
}
