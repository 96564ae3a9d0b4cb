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

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off.load(Relaxed)
    }

    fn note(&self, status: u16) {
        let count = match status {
            200 => &self.served,
            429 => &self.refused,
            _ => &self.failed,
        };
        count.fetch_add(1, Relaxed);
    }
}

impl Callers {
    /// They call for as long as `meanwhile` takes: what it returns, and when they were served.
    pub(crate) fn call<T>(
        &self,
        meanwhile: impl FnOnce(&Board) -> Result<T, String>,
    ) -> Result<(T, Vec<Served>), String> {
        let board = Board::default();
        thread::scope(|scope| {
            let callers: Vec<_> = (0..self.threads)
                .map(|number| {
                    let board = &board;
                    scope.spawn(move || self.run(number, board))
                })
                .collect();
            let outcome = meanwhile(&board);
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
            let Some(status) = self.ask(&mut clients[by], self.addresses[by]) else {
                board.cut_off.fetch_add(1, Relaxed);
                thread::sleep(RETRY);
                continue;
            };
            board.note(status);
            if status == 200 {
                served.push(Served { by, at: Instant::now() });
            }
        }
        served
    }

    /// `None` if nobody answers.
    fn ask(&self, client: &mut Option<Client>, address: SocketAddr) -> Option<u16> {
        if client.is_none() {
            *client = Client::connect(address).ok();
        }
        let answer = client.as_mut()?.call("GET", &self.path, &self.headers, b"");
        match answer {
            Ok(reply) => Some(reply.status),
            Err(_) => {
                *client = None;
                None
            }
        }
    }
}
