//! Processes that the comparison starts: each in its own process group, pinned with taskset, its output in a file,
//! and killed when it is dropped (a panic included) or when the comparison is interrupted.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use super::layout;

/// How long a process may take to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const START_POLL: Duration = Duration::from_millis(10);
/// Lines of a failed process's output that its error shows.
const LOG_LINES_SHOWN: usize = 12;

/// Process groups to kill on an interrupt.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A directory for all that is started, which goes with it; on an interrupt too.
pub(crate) fn work_dir() -> Result<TempDir, String> {
    let dir = tempfile::Builder::new()
        .prefix("turnpike-bench-")
        .tempdir()
        .map_err(|error| format!("no temporary directory: {error}"))?;
    clean_up_on_interrupt(dir.path().to_owned())
        .map_err(|error| format!("signals can't be handled: {error}"))?;
    Ok(dir)
}

/// When the comparison gets SIGINT, SIGTERM or SIGHUP: kills what was started, removes `dir` and ends.
fn clean_up_on_interrupt(dir: PathBuf) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held to the end, so that nothing is started any more.
            let groups = GROUPS.lock();
            if let Ok(groups) = &groups {
                groups.iter().for_each(|group| kill_group(*group));
            }
            if let Err(error) = fs::remove_dir_all(&dir) {
                eprintln!("turnpike-bench: {} is left: {error}", dir.display());
            }
            eprintln!("turnpike-bench: interrupted");
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn kill_group(group: Pid) {
    // The group may have ended by itself.
    let _ = kill_process_group(group, Signal::KILL);
}

/// A running process and its group.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: Process,
    group: Pid,
    log: PathBuf,
}

impl Child {
    /// Starts `command` on `cores`; what it prints goes to `name.log` in `dir`.
    pub(crate) fn start(name: &str, dir: &Path, cores: &[usize], command: &Command) -> Result<Self, String> {
        Self::spawn(name, dir, cores, command, None)
    }

    /// The same, with standard output in a file of its own.
    pub(crate) fn start_with_output(
        name: &str,
        dir: &Path,
        cores: &[usize],
        command: &Command,
        output: File,
    ) -> Result<Self, String> {
        Self::spawn(name, dir, cores, command, Some(output.into()))
    }

    /// Starts a process that prints one line when it is ready, and returns that line.
    pub(crate) fn start_and_wait(
        name: &str,
        dir: &Path,
        cores: &[usize],
        command: &Command,
    ) -> Result<(Self, String), String> {
        let mut child = Self::spawn(name, dir, cores, command, Some(Stdio::piped()))?;
        let line = child.first_line()?;
        Ok((child, line))
    }

    fn spawn(
        name: &str,
        dir: &Path,
        cores: &[usize],
        command: &Command,
        stdout: Option<Stdio>,
    ) -> Result<Self, String> {
        let fail = |error: io::Error| format!("{name} can't be started: {error}");
        let log = dir.join(format!("{name}.log"));
        let log_file = File::create(&log).map_err(fail)?;
        let stdout = match stdout {
            Some(stdout) => stdout,
            None => log_file.try_clone().map_err(fail)?.into(),
        };
        let mut pinned = Command::new("taskset");
        pinned.arg("-c").arg(layout::list(cores)).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                pinned.env(key, value);
            }
        }
        pinned.stdin(Stdio::null()).stdout(stdout).stderr(log_file).process_group(0);
        // Locked so that an interrupt finds every group.
        let mut groups = GROUPS.lock().map_err(|_| "the list of processes is broken".to_owned())?;
        let process = pinned.spawn().map_err(fail)?;
        let group = Pid::from_child(&process);
        groups.push(group);
        Ok(Self { name: name.to_owned(), process, group, log })
    }

    /// The process group's id.
    pub(crate) fn group(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool, String> {
        let ended = self.process.try_wait().map_err(|error| format!("{}: {error}", self.name))?;
        Ok(ended.is_some())
    }

    /// To all of its group; not once `has_ended` said so.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process_group(self.group, signal).map_err(|error| format!("{}: {signal:?}: {error}", self.name))
    }

    /// Waits until the process accepts connections.
    pub(crate) fn await_listening(&mut self, address: SocketAddr) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect_timeout(&address, START_POLL * 10).is_err() {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(self.explain(&format!("ended with {status}")));
            }
            if Instant::now() >= deadline {
                return Err(self.explain(&format!("doesn't accept connections at {address}")));
            }
            thread::sleep(START_POLL);
        }
        Ok(())
    }

    fn first_line(&mut self) -> Result<String, String> {
        let stdout = self.process.stdout.take().ok_or("standard output is not piped")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let read = reader.read_line(&mut line);
            // Nobody waits any more after the time-out.
            let _ = sender.send(read.map(|_| line));
            // Reads on, so that the process never blocks on a full pipe.
            let _ = io::copy(&mut reader, &mut io::sink());
        });
        match lines.recv_timeout(START_TIMEOUT) {
            Ok(Ok(line)) if !line.is_empty() => Ok(line.trim_end().to_owned()),
            Ok(_) => Err(self.explain("ended without a line that it is ready")),
            Err(_) => Err(self.explain("didn't print that it is ready")),
        }
    }

    /// An error with the end of the process's log.
    pub(crate) fn explain(&self, what: &str) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("{} {what}; the end of its log:\n{}", self.name, shown.join("\n"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        kill_group(self.group);
        // It was killed just now: this only collects it.
        let _ = self.process.wait();
        if let Ok(mut groups) = GROUPS.lock() {
            groups.retain(|group| *group != self.group);
        }
    }
}

/// A loopback address that nothing listens on just now.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}

/// The value of `key=` in a ready line.
pub(crate) fn ready_value<'a>(line: &'a str, key: &str) -> Result<&'a str, String> {
    line.split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
        .ok_or_else(|| format!("the ready line '{line}' has no {key}="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_lines_are_taken_apart() {
        let line =
            "turnpike-gateway ready listen=127.0.0.1:8080 admin=127.0.0.1:9901 shards=4 driver=io_uring";
        assert_eq!(ready_value(line, "admin"), Ok("127.0.0.1:9901"));
        assert!(ready_value(line, "api").unwrap_err().contains("no api="));
    }

    #[test]
    fn a_dropped_child_takes_its_group_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo started $!; wait"]);
        let cores: Vec<_> = core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect();
        let (child, line) = Child::start_and_wait("shell", dir.path(), &cores, &command).unwrap();
        let grandchild = line.strip_prefix("started ").unwrap().to_owned();
        drop(child);
        // The kernel ends it soon after the signal; the deadline is for a grandchild that was never killed.
        let deadline = Instant::now() + Duration::from_secs(10);
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        while lives() {
            assert!(Instant::now() < deadline, "the grandchild lives on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_process_that_fails_shows_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let cores: Vec<_> = core_affinity::get_core_ids().unwrap().iter().map(|core| core.id).collect();
        let error = Child::start_and_wait("shell", dir.path(), &cores, &command).unwrap_err();
        assert!(error.contains("no such luck"), "{error}");
    }
}
