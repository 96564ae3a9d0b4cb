//! A whole run: starts the reactors, gives them the common start, watches over it and adds up their tallies.

mod course;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::beat::Beat;
use crate::cli::{Length, Settings};
use crate::descriptors;
use crate::output;
use crate::reactor::{self, Assignment, Message, Unopened};
use crate::report::{Circumstances, Report};
use crate::schedule::{Pace, Schedule, Stop};
use crate::timeline::{Slicer, Slicing};
use course::{Course, Sum};

/// How often the main thread looks whether a run is to end early.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs to the end, which comes early when `interrupted` becomes true. Errors are sentences for the user: nothing could
/// be measured.
pub fn run(settings: Settings, interrupted: &AtomicBool) -> Result<Report, String> {
    descriptors::make_room(settings.connections * settings.hosts.len(), settings.cores.len())?;
    let settings = Arc::new(settings);
    let slicing = Slicing::new(settings.interval, settings.view.slice());
    let beats: Vec<Arc<Beat>> = settings.cores.iter().map(|_| Arc::default()).collect();
    let (to_main, messages) = channel();
    let starts = start_reactors(&settings, &slicing, &beats, &to_main)?;
    drop(to_main);
    await_connections(&settings, &messages, interrupted)?;
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut course = Course::new(&settings, slicing, &beats, started)?;
    let start = Instant::now();
    for reactor in &starts {
        reactor.send(start).map_err(|_| "a reactor ended before the start".to_owned())?;
    }
    let ended = collect(&messages, &mut course, start, interrupted);
    course.close_view();
    ended?;
    let Sum { tally, cores, intervals, intervals_left_out, duration_s, ending, unwritten } =
        course.finish()?;
    let run = Circumstances {
        url: settings.url.clone(),
        open: settings.open.clone(),
        held_per_s: settings.carriage.held_per_s(),
        connections: settings.connections,
        duration_s,
        warmup_s: settings.warmup.as_secs_f64(),
        labels: settings.load.labels().to_vec(),
        checks: settings.load.check_names(),
        cores,
        started_unix_s: started.as_secs_f64(),
        ending,
        budget: settings.budget,
        interval_s: slicing.interval_s(),
        intervals,
        intervals_left_out,
    };
    Ok(Report { unwritten, ..Report::new(&tally, run) })
}

fn start_reactors(
    settings: &Arc<Settings>,
    slicing: &Slicing,
    beats: &[Arc<Beat>],
    to_main: &Sender<Message>,
) -> Result<Vec<Sender<Instant>>, String> {
    let mut starts = Vec::new();
    for (index, beat) in beats.iter().enumerate() {
        let assignment = assign(settings, slicing, index, Arc::clone(beat))?;
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
fn assign(
    settings: &Settings,
    slicing: &Slicing,
    index: usize,
    beat: Arc<Beat>,
) -> Result<Assignment, String> {
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
    let pace = match &settings.open {
        Some(open) => open.pace(settings.warmup, index, reactors),
        None => Pace::Closed,
    };
    Ok(Assignment {
        core: settings.cores[index],
        connections: share(settings.connections as u64) as usize,
        index,
        schedule: Schedule::new(pace, stop, warmup_ns),
        end_ns,
        slicer: Slicer::new(slicing, index, warmup_ns, end_ns)?,
        beat,
    })
}

/// Waits until every reactor has tried to open its connections; at least one must be open.
fn await_connections(
    settings: &Settings,
    messages: &Receiver<Message>,
    interrupted: &AtomicBool,
) -> Result<(), String> {
    let mut opened_all = 0;
    let mut first = None;
    let mut ready = 0;
    while ready < settings.cores.len() {
        match messages.recv_timeout(LOOK_INTERVAL) {
            Ok(Message::Ready { opened, unopened }) => {
                ready += 1;
                opened_all += opened;
                first = first.or(unopened);
            }
            Ok(Message::Failed(reason)) => return Err(reason),
            Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                return Err("interrupted before the run began".to_owned());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                return Err("a reactor ended before the start".to_owned());
            }
        }
    }
    let wanted = settings.connections * settings.hosts.len();
    match first {
        Some(Unopened { address, reason }) if opened_all == 0 => {
            Err(format!("no connection to {address} could be opened: {reason}"))
        }
        Some(Unopened { address, reason }) => {
            output::tell(&format!(
                "{} of {} connections could not be opened at once; the first to {address}: {reason}",
                wanted - opened_all,
                wanted
            ));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Takes what the reactors report until all are done, and looks after the run meanwhile.
fn collect(
    messages: &Receiver<Message>,
    course: &mut Course<'_>,
    start: Instant,
    interrupted: &AtomicBool,
) -> Result<(), String> {
    let mut next_look = start + LOOK_INTERVAL;
    while !course.is_complete() {
        match messages.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
            Ok(Message::Slice(slice)) => course.add_slice(&slice)?,
            Ok(Message::Done { tally, last, end_ns, core, took }) => {
                course.add_reactor(&tally, &last, end_ns, (core, took))?;
            }
            Ok(Message::Failed(reason)) => return Err(reason),
            Ok(Message::Ready { .. }) => return Err("a reactor started twice".to_owned()),
            Err(RecvTimeoutError::Disconnected) => return Err("a reactor ended early".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= next_look {
            course.look(start.elapsed(), interrupted.load(Ordering::Relaxed));
            next_look += LOOK_INTERVAL;
        }
    }
    Ok(())
}
