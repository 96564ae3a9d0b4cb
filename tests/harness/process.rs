//! A child process that can't outlive the test: own process group, killed by id when dropped (a panic drops
//! too), and told by the end of its standard input when the test itself is killed, or killed then by the kernel.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

/// How long anything that must happen may take before a test calls it a failure. Generous: tests share few
/// cores with a compiler, and nothing but a failing test waits this long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The `name` binary of this build, which stands two folders above the test's own.
///
/// # Panics
/// When it isn't there: `cargo test` alone doesn't build other packages' binaries.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path");
    let profile = own.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} isn't built: run scripts/test, or `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// Runs a program to its end; one that takes longer than `patience_s` is killed, with all that it has started.
///
/// # Panics
/// When it isn't there.
pub fn run<A: AsRef<OsStr>>(program: &Path, arguments: &[A], patience_s: u32) -> Output {
    Command::new("timeout")
        .args(["--kill-after=5", &patience_s.to_string()])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{} doesn't start: {error}", program.display()))
}

/// A running child; see the module.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    child: Child,
    /// Held open for as long as the child may run.
    stdin: Option<ChildStdin>,
    /// In a mutex only so that tests may share a process among threads.
    lines: Mutex<Receiver<String>>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    ended: Option<ExitStatus>,
    /// Processes that it has started and that outlive it; killed with it.
    successors: Vec<OwnedFd>,
}

impl Process {
    /// Starts `program` with the given arguments and additional environment.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
    ) -> Self {
        let name = name_of(program);
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} doesn't start: {error}", program.display()));
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            std::thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }),
            std::thread::spawn({
                let log = Arc::clone(&log);
                move || collect(stderr, &log)
            }),
        ];
        let stdin = child.stdin.take();
        Self {
            name,
            program: program.to_owned(),
            child,
            stdin,
            lines: Mutex::new(lines),
            log,
            readers,
            ended: None,
            successors: Vec::new(),
        }
    }

    /// As [`Self::start`], for a program that doesn't mind the end of its standard input: the kernel kills it with the
    /// thread that calls this, however that ends. What it starts itself isn't.
    pub fn start_bound<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(String, String)],
    ) -> Self {
        let launched = ["--pdeathsig", "KILL", "--"].map(OsString::from).into_iter();
        let launched = launched.chain([program.into()]);
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
        let mut process = Self::start(Path::new("setpriv"), launched.chain(arguments), environment);
        process.name = name_of(program);
        process
    }

    /// The next line of standard output that begins with `prefix`; other lines are passed over.
    ///
    /// # Panics
    /// When the child ends or the deadline passes first; the message holds what it wrote to standard error.
    pub fn line(&mut self, prefix: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.get_mut().expect("no panic while held").recv_timeout(left) {
                Ok(line) if line.starts_with(prefix) => return line,
                Ok(_) => {}
                Err(error) => {
                    let status = self.child.try_wait();
                    panic!(
                        "{} printed no line '{prefix}…' ({error}; status {status:?}); it logged:\n{}",
                        self.name,
                        self.log()
                    );
                }
            }
        }
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the reader doesn't panic").clone()
    }

    /// Waits until standard error holds `text`.
    pub fn wait_for_log(&self, text: &str) {
        until(&format!("'{text}' in the log of {}", self.name), || self.log().contains(text).then_some(()));
    }

    /// Ends its standard input, as the death of this process would.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (SIGTERM, to its group).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at whatever instruction it is at (SIGKILL, to its group), and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Whether it has ended by now.
    pub fn has_ended(&mut self) -> bool {
        self.ended.is_some() || self.child.try_wait().expect("an own child").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it is still running at the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let what = format!("the end of {}", self.name);
        let child = &mut self.child;
        let status = until(&what, || child.try_wait().expect("an own child"));
        self.ended = Some(status);
        // A successor has the pipes too.
        if self.successors.is_empty() {
            for reader in self.readers.drain(..) {
                reader.join().expect("readers don't panic");
            }
        }
        status
    }

    /// Takes care of a process that it has started.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn adopt(&mut self, id: u32) {
        let pid = Pid::from_raw(id.cast_signed()).expect("not zero");
        self.successors.push(pidfd_open(pid, PidfdFlags::empty()).expect("a process"));
    }

    /// Sends a signal to the process that was adopted last.
    ///
    /// # Panics
    /// When none was, or it has ended.
    pub fn signal_successor(&self, signal: Signal) {
        let successor = self.successors.last().expect("a successor");
        pidfd_send_signal(successor, signal).expect("a process that lives");
    }

    /// Waits for the end of the process that was adopted last.
    ///
    /// # Panics
    /// When none was, or it still runs at the deadline.
    pub fn wait_for_successor(&self) {
        let successor = self.successors.last().expect("a successor");
        until("the successor's end", || has_ended(successor).then_some(()));
    }

    /// Sends it a signal of its own, not its group.
    pub fn signal_alone(&self, signal: Signal) {
        if self.ended.is_none() {
            let pid = Pid::from_raw(self.child.id().cast_signed()).expect("not zero");
            let _ = kill_process(pid, signal);
        }
    }

    /// Resident memory in KiB without what files back, as the kernel counts it.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("RssAnon:")
    }

    /// Peak resident memory in KiB, as the kernel counts it.
    #[must_use]
    pub fn peak_resident_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("such a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    fn signal(&self, signal: Signal) {
        // A child that was waited for has given its id back; nobody else's group may be hit.
        if self.ended.is_none() {
            let group = Pid::from_raw(self.child.id().cast_signed()).expect("not zero");
            // It may have ended meanwhile; not yet waited for, its id is still its own.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        for successor in self.successors.drain(..) {
            // Fails for one that has ended.
            let _ = pidfd_send_signal(&successor, Signal::KILL);
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}--- end ---", self.name, self.log());
            if let Some(source) = newer_source(&self.program) {
                eprintln!(
                    "{} was built before {} was changed: run scripts/test, or `cargo build --workspace --bins` first",
                    self.name,
                    source.display()
                );
            }
        }
    }
}

fn name_of(program: &Path) -> String {
    program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A source that has changed since cargo built `program`, which leaves the list of them beside it; none for other programs.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let built = changed(program)?;
    let list = std::fs::read_to_string(program.with_extension("d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    sources.split_whitespace().map(PathBuf::from).find(|path| changed(path).is_some_and(|at| at > built))
}

fn has_ended(process: &OwnedFd) -> bool {
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    poll(&mut ended, Some(&at_once)).expect("a descriptor of a process") > 0
}

/// Polls `check` until it yields a value, `DEADLINE` at most.
///
/// # Panics
/// With `what` when the deadline passes.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn collect(mut from: impl Read, into: &Mutex<String>) {
    let mut chunk = [0; 4096];
    loop {
        match from.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(length) => into
                .lock()
                .expect("only whole strings are pushed")
                .push_str(&String::from_utf8_lossy(&chunk[..length])),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn sources_that_are_newer_than_a_program_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let [program, source, list] =
            ["gateway", "main.rs", "gateway.d"].map(|name| directory.path().join(name));
        for path in [&program, &source] {
            std::fs::write(path, "").expect("a file");
        }
        std::fs::write(list, format!("{}: /not/there.rs {}\n", program.display(), source.display()))
            .expect("a list");
        let at = |path: &Path, seconds| {
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options()
                .write(true)
                .open(path)
                .and_then(|file| file.set_modified(time))
                .expect("a file's time");
        };
        at(&program, 2);
        at(&source, 1);
        assert_eq!(newer_source(&program), None);
        at(&source, 3);
        assert_eq!(newer_source(&program), Some(source));
        assert_eq!(newer_source(Path::new("/bin/sh")), None);
    }

    #[test]
    fn what_is_bound_ends_with_its_thread() {
        let thread = std::thread::spawn(|| {
            let mut process = Process::start_bound(Path::new("sh"), ["-c", "echo up; exec sleep 1000"], &[]);
            process.line("up");
            let pid = Pid::from_raw(process.id().cast_signed()).expect("not zero");
            let process_of_kernel = pidfd_open(pid, PidfdFlags::empty()).expect("a process");
            // As the test that is killed itself leaves it.
            std::mem::forget(process);
            process_of_kernel
        });
        let process = thread.join().expect("no panic");
        until("its end", || has_ended(&process).then_some(()));
    }
}
