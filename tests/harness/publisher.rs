//! Control's end of the publish link, without control: hands a gateway any snapshot, whole or broken.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use bytes::{Buf, Bytes};
use turnpike_snapshot::frame::{
    Decoder, FromControl, FromGateway, QuotaAnswer, QuotaReport, QuotaVerdict, encode,
};
use turnpike_snapshot::{FORMAT_VERSION, Root, Unit, UnitHash, UnitRef, encode_root, encode_unit};

use crate::process::DEADLINE;

/// Bound on a frame from a gateway; the largest asks for units, 32 bytes each.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A publisher on a Unix socket; see the module.
#[derive(Debug)]
pub struct Publisher {
    path: PathBuf,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    version: u64,
    root: Option<Bytes>,
    units: HashMap<UnitHash, Bytes>,
    units_sent: usize,
    cut_next_unit: bool,
    streams: Vec<UnixStream>,
    answers: HashMap<u64, Result<(), String>>,
    /// Why the gateway, which isn't of this build, can't answer.
    misfit: Option<String>,
}

impl Publisher {
    /// Listens at `path`.
    #[must_use]
    pub fn start(path: &Path) -> Self {
        let mut publisher = Self { path: path.to_owned(), shared: Arc::default(), acceptor: None };
        publisher.resume();
        publisher
    }

    /// The version that was published last.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.lock().version
    }

    /// Units that gateways have asked for and got.
    #[must_use]
    pub fn units_sent(&self) -> usize {
        self.shared.lock().units_sent
    }

    /// Publishes `units` under the next version and waits until a gateway serves it.
    ///
    /// # Panics
    /// When it is refused.
    pub fn publish(&mut self, units: &[Unit]) {
        let version = self.publish_unheard(units);
        self.answer(version).unwrap_or_else(|reason| panic!("version {version} was refused: {reason}"));
    }

    /// Publishes `units` under the next version, which it returns, and waits for nobody.
    pub fn publish_unheard(&mut self, units: &[Unit]) -> u64 {
        let version = self.version() + 1;
        let encoded = units.iter().map(|unit| encode_unit(unit).expect("small units"));
        let (root, units) = root_of(version, encoded.collect());
        self.offer(version, root, units);
        version
    }

    /// Publishes units as they are, whatever they are, and waits for a gateway's answer.
    ///
    /// # Errors
    /// The reason for which it was refused.
    pub fn publish_encoded(&mut self, version: u64, units: Vec<(UnitHash, Vec<u8>)>) -> Result<(), String> {
        let (root, units) = root_of(version, units);
        self.offer(version, root, units);
        self.answer(version)
    }

    /// Publishes a root as it is, and no units, and waits for a gateway's answer.
    ///
    /// # Errors
    /// The reason for which it was refused.
    pub fn publish_root(&mut self, version: u64, root: Vec<u8>) -> Result<(), String> {
        self.offer(version, root, Vec::new());
        self.answer(version)
    }

    /// Sends half of the next unit that is asked for, and hangs up.
    pub fn cut_next_unit_short(&mut self) {
        self.shared.lock().cut_next_unit = true;
    }

    /// Waits until that has happened.
    pub fn wait_for_cut(&self) {
        self.shared.wait_until("a unit to be cut", |state| (!state.cut_next_unit).then_some(()));
    }

    /// Ends as if killed: connections closed, the socket left behind with nobody at it.
    pub fn stop(&mut self) {
        self.shared.lock().stopping = true;
        // Wakes the acceptor.
        let _ = UnixStream::connect(&self.path);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().expect("the publisher doesn't panic");
        }
    }

    /// Listens again; what was published last is offered to whoever connects.
    pub fn resume(&mut self) {
        if self.path.exists() {
            fs::remove_file(&self.path).expect("an own socket");
        }
        let listener = UnixListener::bind(&self.path).expect("a socket");
        self.shared.lock().stopping = false;
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }

    fn offer(&self, version: u64, root: Vec<u8>, units: Vec<(UnitHash, Bytes)>) {
        let mut state = self.shared.lock();
        state.version = version;
        state.units.extend(units);
        let root = Bytes::from(root);
        state.root = Some(root.clone());
        let frame = framed(&FromControl::Root { bytes: root });
        // A stream that has ended is of no interest: its gateway connects again and is told then.
        state.streams.retain_mut(|stream| stream.write_all(&frame).is_ok());
    }

    fn answer(&self, version: u64) -> Result<(), String> {
        self.shared.wait_until(&format!("an answer to version {version}"), |state| {
            let misfit = state.misfit.clone().map(Err);
            // What answers to a root that it can't read doesn't know the version.
            misfit.or_else(|| state.answers.remove(&version)).or_else(|| state.answers.remove(&0))
        })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn wait_until<T>(&self, what: &str, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut found = None;
        let waiting = |state: &mut State| {
            found = check(state);
            found.is_none()
        };
        let (state, _) = self.changed.wait_timeout_while(self.lock(), DEADLINE, waiting).expect("no panic");
        drop(state);
        found.unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain for {what}"))
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut readers = Vec::new();
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        if shared.lock().stopping {
            break;
        }
        let shared = Arc::clone(shared);
        readers.push(std::thread::spawn(move || converse(stream, &shared)));
    }
    for stream in shared.lock().streams.drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for reader in readers {
        reader.join().expect("a conversation doesn't panic");
    }
}

/// Serves one gateway until either side hangs up.
fn converse(mut stream: UnixStream, shared: &Shared) {
    let mut decoder = Decoder::<FromGateway>::new(FRAME_BYTES_MAX);
    let mut chunk = [0; 4096];
    // Known to `accept` before the first read, so that a stop ends this connection too.
    let hello_stream = stream.try_clone().expect("a second descriptor");
    loop {
        let Ok(count @ 1..) = stream.read(&mut chunk) else { return };
        decoder.feed(&chunk[..count]);
        loop {
            let message = decoder.poll();
            let mut state = shared.lock();
            if state.stopping {
                return;
            }
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    state.misfit = Some(format!("the gateway doesn't speak this link's language: {error}"));
                    shared.changed.notify_all();
                    return;
                }
            };
            if !respond(&mut state, message, &hello_stream) {
                let _ = stream.shutdown(Shutdown::Both);
            }
            shared.changed.notify_all();
        }
    }
}

/// Answers one message; false hangs up.
fn respond(state: &mut State, message: FromGateway, mut stream: &UnixStream) -> bool {
    match message {
        FromGateway::Hello { format_version, .. } if format_version != FORMAT_VERSION => {
            state.misfit = Some(format!(
                "the gateway's binary reads snapshots of format {format_version}, and format {FORMAT_VERSION} is written: \
                 run scripts/test, or `cargo build --workspace --bins` first"
            ));
            false
        }
        FromGateway::Hello { .. } => {
            state.streams.push(stream.try_clone().expect("a second descriptor"));
            let root = state.root.clone().map(|bytes| framed(&FromControl::Root { bytes }));
            root.is_none_or(|frame| stream.write_all(&frame).is_ok())
        }
        FromGateway::NeedUnits { hashes } => hashes.into_iter().all(|hash| send_unit(state, hash, stream)),
        FromGateway::Acknowledge { version } => {
            state.answers.insert(version, Ok(()));
            true
        }
        FromGateway::Refuse { version, reason } => {
            state.answers.insert(version, Err(reason));
            true
        }
        // Nothing is ever left of a quota.
        FromGateway::Quotas { reports } => {
            let answer = |report: &QuotaReport| QuotaAnswer {
                lease: report.lease,
                granted_requests: 0,
                verdict: if report.ends { QuotaVerdict::Ended } else { QuotaVerdict::Exhausted },
            };
            let answers = reports.iter().map(answer).collect();
            stream.write_all(&framed(&FromControl::Quotas { answers })).is_ok()
        }
    }
}

fn send_unit(state: &mut State, hash: UnitHash, mut stream: &UnixStream) -> bool {
    let Some(bytes) = state.units.get(&hash).cloned() else {
        let reason = "no such unit was ever published".to_owned();
        return stream.write_all(&framed(&FromControl::UnitMissing { hash, reason })).is_ok();
    };
    let frame = framed(&FromControl::Unit { bytes });
    if std::mem::take(&mut state.cut_next_unit) {
        let _ = stream.write_all(&frame[..frame.len() / 2]);
        return false;
    }
    state.units_sent += 1;
    stream.write_all(&frame).is_ok()
}

type Encoded = (UnitHash, Bytes);

fn root_of(version: u64, units: Vec<(UnitHash, Vec<u8>)>) -> (Vec<u8>, Vec<Encoded>) {
    let reference = |(hash, bytes): &(UnitHash, Vec<u8>)| UnitRef {
        hash: *hash,
        bytes_len: u32::try_from(bytes.len()).expect("small units"),
    };
    let mut units: Vec<_> = units;
    units.sort_by_key(|(hash, _)| *hash);
    let root = Root { version, units: units.iter().map(reference).collect() };
    let encoded = encode_root(&root).expect("a small root");
    (encoded, units.into_iter().map(|(hash, bytes)| (hash, Bytes::from(bytes))).collect())
}

fn framed(message: &FromControl) -> Bytes {
    let mut buf = encode(message).expect("a small message").into_buf();
    buf.copy_to_bytes(buf.remaining())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a publication fails with when a gateway says this.
    fn refusal(said: &[u8]) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("publish.sock");
        let mut publisher = Publisher::start(&path);
        let mut gateway = UnixStream::connect(&path).expect("a publisher");
        gateway.write_all(said).expect("it reads");
        publisher.publish_root(1, Vec::new()).expect_err("nobody serves it")
    }

    fn framed(message: &FromGateway) -> Bytes {
        let mut buf = encode(message).expect("a small message").into_buf();
        buf.copy_to_bytes(buf.remaining())
    }

    #[test]
    fn gateways_of_another_build_are_told_of_at_once() {
        let format_version = FORMAT_VERSION - 1;
        let hello = FromGateway::Hello { gateway_id: "gw-1".into(), format_version, serving_version: 0 };
        let said = refusal(&framed(&hello));
        assert!(said.contains(&format!("format {format_version}")) && said.contains("cargo build"), "{said}");
        let refuse = FromGateway::Refuse { version: 0, reason: "the root can't be used".into() };
        assert_eq!(refusal(&framed(&refuse)), "the root can't be used");
        assert!(
            refusal(b"GET / HTTP/1.1\r\n\r\n and so on, until it is a header's length").contains("language")
        );
    }
}
