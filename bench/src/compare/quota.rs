//! Section `quota`: gateway and control are killed 50 times at random moments while a key with a quota is used. What
//! reaches the origin never is more than the quota, and what isn't used of it in the end is what was in hand at the kills.

use std::thread;
use std::time::{Duration, Instant};

use super::callers::{Board, Callers};
use super::http::Client;
use super::layout::Layout;
use super::peers::{self, origin_count};
use super::rest::STAGE;
use super::results::{Check, Section};
use super::stats::grouped;
use super::turnpike::{Turnpike, host};
use super::{Bench, PeerName, SectionName, skipped};

const ROUNDS: u32 = 50;
/// More than is served while the rounds last.
const QUOTA: u64 = 40_000;
/// What a shard has in hand at most, which counts as used when its process is killed.
const HAND: f64 = 64.0;
const CALLERS: usize = 16;
const CALLS_PER_S: f64 = 2_000.0;
/// From a restart to the next kill.
const LIVES_MS: std::ops::Range<u64> = 20..500;
const SEED: u64 = 20_261_121;
/// Nothing is served for longer than leases last: nothing more comes.
const STILL: Duration = Duration::from_secs(6);
const END_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

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
    let mut client = Client::connect(origin)?;
    let before = origin_count(&mut client)?;
    let mut rounds = Rounds { random: SEED, gateway: 0, control: 0, served: 0 };
    let (board, _) = callers.call(|board| {
        rounds.run(&mut turnpike, board)?;
        await_end(board)?;
        Ok((board.served(), board.refused(), board.failed(), board.cut_off()))
    })?;
    let reached = origin_count(&mut client)? - before;
    let section = report(&rounds, reached, board, layout.proxy.len());
    Ok(section)
}

fn report(
    rounds: &Rounds,
    reached: u64,
    (served, refused, failed, cut_off): (u64, u64, u64, u64),
    shards: usize,
) -> Section {
    let mut section = Section::new(SectionName::Quota.name());
    let beyond = reached.saturating_sub(QUOTA);
    let stranded = QUOTA.saturating_sub(reached);
    let figure = format!("quota: calls beyond {}, after {ROUNDS} kills", grouped(QUOTA as f64));
    section.checks.push(Check::at_most(figure, beyond as f64, 0.0));
    section.checks.push(Check::at_most(
        "quota: stranded, for each kill of a gateway",
        stranded as f64 / f64::from(rounds.gateway.max(1)),
        HAND * shards as f64,
    ));
    section.notes.push(format!(
        "{ROUNDS} kills under load, {} of the gateway, {} of control: {} of {} calls reached the origin, {} until the last \
         kill; {stranded} stranded",
        rounds.gateway,
        rounds.control,
        grouped(reached as f64),
        grouped(QUOTA as f64),
        grouped(rounds.served as f64),
    ));
    section.notes.push(format!(
        "callers were answered 200 {} times, 429 {}, otherwise {}; {} calls were cut off or found nobody",
        grouped(served as f64),
        grouped(refused as f64),
        grouped(failed as f64),
        grouped(cut_off as f64),
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
