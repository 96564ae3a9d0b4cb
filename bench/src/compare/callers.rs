//! Callers who ask at a pace over kept connections, and can be sent to another gateway in a moment; a connection that is
//! cut off is made anew. A thread each, for loads that a process of its own can't follow.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::http::Client;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(2);

/// Whom they ask, and how.
#[derive(Debug, Clone)]
pub(crate) struct Callers {
    pub(crate) threads: usize,
    /// What all of them run on.
    pub(crate) core: usize,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) path: String,
    /// Whole lines, Host included.
    pub(crate) headers: String,
    /// Between two calls of one.
    pub(crate) every: Duration,
}

/// A call that was answered 200.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) by: usize,
    pub(crate) at: Instant,
}

/// What they are told, and what they were told.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Index of the address that all are sent to; beyond the last, they spread over all.
    whither: AtomicUsize,
    over: AtomicBool,
    served: AtomicU64,
    refused: AtomicU64,
    /// Answered otherwise.
    failed: AtomicU64,
    cut_off: AtomicU64,
    found_nobody: AtomicU64,
}

/// What became of calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) served: u64,
    pub(crate) refused: u64,
    /// Answered otherwise.
    pub(crate) failed: u64,
    /// Of a connection that broke.
    pub(crate) cut_off: u64,
    /// There was no connection to be had.
    pub(crate) found_nobody: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.served += other.served;
        self.refused += other.refused;
        self.failed += other.failed;
        self.cut_off += other.cut_off;
        self.found_nobody += other.found_nobody;
    }
}

/// Why a call has no answer.
enum Unanswered {
    CutOff,
    FoundNobody,
}

impl Board {
    pub(crate) fn send_to(&self, address: usize) {
        self.whither.store(address, Relaxed);
    }

    pub(crate) fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn note(&self, answer: &Result<u16, Unanswered>) {
        let count = match answer {
            Ok(200) => &self.served,
            Ok(429) => &self.refused,
            Ok(_) => &self.failed,
            Err(Unanswered::CutOff) => &self.cut_off,
            Err(Unanswered::FoundNobody) => &self.found_nobody,
        };
        count.fetch_add(1, Relaxed);
    }

    fn tally(&self) -> Tally {
        Tally {
            served: self.served.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            cut_off: self.cut_off.load(Relaxed),
            found_nobody: self.found_nobody.load(Relaxed),
        }
    }
}

impl Callers {
    /// They call for as long as `meanwhile` takes: what it returns, and when they were served.
    pub(crate) fn call<T>(
        &self,
        meanwhile: impl FnOnce(&Board) -> Result<T, String>,
    ) -> Result<(T, Vec<Served>), String> {
        self.call_on(&Board::default(), meanwhile)
    }

    /// The same, with what became of all calls; none is under way any more.
    pub(crate) fn tally<T>(
        &self,
        meanwhile: impl FnOnce(&Board) -> Result<T, String>,
    ) -> Result<(T, Tally), String> {
        let board = Board::default();
        let (outcome, _) = self.call_on(&board, meanwhile)?;
        Ok((outcome, board.tally()))
    }

    fn call_on<T>(
        &self,
        board: &Board,
        meanwhile: impl FnOnce(&Board) -> Result<T, String>,
    ) -> Result<(T, Vec<Served>), String> {
        thread::scope(|scope| {
            let callers: Vec<_> =
                (0..self.threads).map(|number| scope.spawn(move || self.run(number, board))).collect();
            let outcome = meanwhile(board);
            board.over.store(true, Relaxed);
            let mut served = Vec::new();
            for caller in callers {
                served.extend(caller.join().map_err(|_| "a caller panicked")?);
            }
            Ok((outcome?, served))
        })
    }

    fn run(&self, number: usize, board: &Board) -> Vec<Served> {
        core_affinity::set_for_current(core_affinity::CoreId { id: self.core });
        let mut clients: Vec<Option<Client>> = self.addresses.iter().map(|_| None).collect();
        let mut served = Vec::new();
        let mut next = Instant::now() + self.every * (number as u32) / (self.threads as u32);
        while !board.over.load(Relaxed) {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            // Who is late doesn't hurry afterwards.
            next = (next + self.every).max(Instant::now());
            let whither = board.whither.load(Relaxed);
            let by = if whither < clients.len() { whither } else { number % clients.len() };
            let answer = self.ask(&mut clients[by], self.addresses[by]);
            board.note(&answer);
            match answer {
                Ok(200) => served.push(Served { by, at: Instant::now() }),
                Ok(_) => {}
                Err(_) => thread::sleep(RETRY),
            }
        }
        served
    }

    fn ask(&self, client: &mut Option<Client>, address: SocketAddr) -> Result<u16, Unanswered> {
        if client.is_none() {
            *client = Client::connect(address).ok();
        }
        let connected = client.as_mut().ok_or(Unanswered::FoundNobody)?;
        match connected.call("GET", &self.path, &self.headers, b"") {
            Ok(reply) => Ok(reply.status),
            Err(_) => {
                *client = None;
                Err(Unanswered::CutOff)
            }
        }
    }
}
