//! A whole run: starts the reactors, gives them the common start, shows progress and adds up their tallies.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{Length, Settings};
use crate::reactor::{self, Assignment, Beat, Message};
use crate::report::{Circumstances, Report};
use crate::schedule::{Pace, Schedule, Stop};
use crate::tally::Tally;

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs to the end. Errors are sentences for the user: nothing could be measured.
pub fn run(settings: Settings) -> Result<Report, String> {
    let settings = Arc::new(settings);
    let beats: Vec<Arc<Beat>> = settings.cores.iter().map(|_| Arc::default()).collect();
    let (to_main, messages) = channel();
    let starts = start_reactors(&settings, &beats, &to_main)?;
    drop(to_main);
    await_connections(&settings, &messages)?;
    let start = Instant::now();
    for reactor in &starts {
        reactor.send(start).map_err(|_| "a reactor ended before the start".to_owned())?;
    }
    let (tally, cpu_shares) = collect(&settings, &messages, &beats, start)?;
    let duration_s = match settings.length {
        Length::Duration(duration) => duration.as_secs_f64(),
        Length::Requests(_) => {
            tally.last_end_ns.saturating_sub(settings.warmup.as_nanos() as u64).max(1) as f64 / 1e9
        }
    };
    let run = Circumstances {
        url: settings.url.clone(),
        rate_per_s: settings.rate,
        connections: settings.connections,
        request_body_bytes: settings.request_body_bytes,
        duration_s,
        labels: settings.labels.clone(),
        cpu_shares,
    };
    Ok(Report::new(&tally, run))
}

fn start_reactors(
    settings: &Arc<Settings>,
    beats: &[Arc<Beat>],
    to_main: &Sender<Message>,
) -> Result<Vec<Sender<Instant>>, String> {
    let mut starts = Vec::new();
    for (index, beat) in beats.iter().enumerate() {
        let assignment = assign(settings, index, Arc::clone(beat));
        let (start, go) = channel();
        let (settings, to_main) = (Arc::clone(settings), to_main.clone());
        thread::Builder::new()
            .name(format!("reactor-{index}"))
            .spawn(move || reactor::run(settings, assignment, &go, &to_main))
            .map_err(|error| format!("a thread can't be started: {error}"))?;
        starts.push(start);
    }
    Ok(starts)
}

/// One reactor's share of connections, requests and rate. In the open loop the reactors' requests interleave.
fn assign(settings: &Settings, index: usize, beat: Arc<Beat>) -> Assignment {
    let reactors = settings.cores.len();
    let share = |total: u64| total / reactors as u64 + u64::from((index as u64) < total % reactors as u64);
    let warmup_ns = settings.warmup.as_nanos() as u64;
    let (stop, end_ns) = match settings.length {
        Length::Duration(duration) => {
            let end_ns = warmup_ns + duration.as_nanos() as u64;
            (Stop::At(end_ns), Some(end_ns))
        }
        Length::Requests(requests) => (Stop::After(share(requests)), None),
    };
    let pace = match settings.rate {
        Some(rate) => {
            Pace::Open { offset_ns: 1e9 / rate * index as f64, interval_ns: 1e9 / rate * reactors as f64 }
        }
        None => Pace::Closed,
    };
    Assignment {
        core: settings.cores[index],
        connections: share(settings.connections as u64) as usize,
        first_request: settings.requests.len() * index / reactors,
        schedule: Schedule::new(pace, stop, warmup_ns),
        end_ns,
        beat,
    }
}

/// Waits until every reactor has tried to open its connections; at least one must be open.
fn await_connections(settings: &Settings, messages: &Receiver<Message>) -> Result<(), String> {
    let mut opened_all = 0;
    let mut first = None;
    for _ in &settings.cores {
        match messages.recv() {
            Ok(Message::Ready { opened, first_failure }) => {
                opened_all += opened;
                first = first.or(first_failure);
            }
            Ok(Message::Failed(reason)) => return Err(reason),
            Ok(Message::Done { .. }) | Err(_) => return Err("a reactor ended before the start".to_owned()),
        }
    }
    match first {
        Some(reason) if opened_all == 0 => {
            Err(format!("no connection to {} could be opened: {reason}", settings.address))
        }
        Some(reason) => {
            eprintln!(
                "turnpike-loadgen: {} of {} connections could not be opened at once: {reason}",
                settings.connections - opened_all,
                settings.connections
            );
            Ok(())
        }
        None => Ok(()),
    }
}

/// Gathers what the reactors counted, with a progress line each second where one is wanted.
fn collect(
    settings: &Settings,
    messages: &Receiver<Message>,
    beats: &[Arc<Beat>],
    start: Instant,
) -> Result<(Tally, Vec<f64>), String> {
    let show = settings.progress || stderr().is_terminal();
    let mut sum = Tally::new(settings.labels.len())?;
    let mut cpu_shares = Vec::new();
    let mut replies_before = 0;
    let mut next_line = start + PROGRESS_INTERVAL;
    while cpu_shares.len() < settings.cores.len() {
        match messages.recv_timeout(next_line.saturating_duration_since(Instant::now())) {
            Ok(Message::Done { tally, cpu_share }) => {
                sum.add(&tally)?;
                cpu_shares.push(cpu_share);
            }
            Ok(Message::Failed(reason)) => return Err(reason),
            Ok(Message::Ready { .. }) => return Err("a reactor started twice".to_owned()),
            Err(RecvTimeoutError::Disconnected) => return Err("a reactor ended early".to_owned()),
            Err(RecvTimeoutError::Timeout) => {
                if show {
                    replies_before = print_progress(beats, start.elapsed(), replies_before);
                }
                next_line += PROGRESS_INTERVAL;
            }
        }
    }
    Ok((sum, cpu_shares))
}

fn print_progress(beats: &[Arc<Beat>], elapsed: Duration, replies_before: u64) -> u64 {
    let total = |counter: fn(&Beat) -> &AtomicU64| -> u64 {
        beats.iter().map(|beat| counter(beat).load(Ordering::Relaxed)).sum()
    };
    let replies = total(|beat| &beat.replies);
    eprintln!(
        "{:>4.0} s   {:>9} replies/s   errors {}   waiting {}",
        elapsed.as_secs_f64(),
        replies - replies_before,
        total(|beat| &beat.failed),
        total(|beat| &beat.waiting)
    );
    replies
}
