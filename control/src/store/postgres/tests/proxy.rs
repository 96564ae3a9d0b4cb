//! A socket in front of the server's, whose connections can be cut around a commit.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A commit as a client sends it.
const COMMIT: &[u8] = b"COMMIT\0";

/// When the next connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The server doesn't get it.
    BeforeCommit,
    /// The client doesn't get the answer.
    AfterCommit,
    /// The server doesn't get it, and there are no further connections.
    ForGood,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    is_closed: bool,
    open: Vec<UnixStream>,
}

#[derive(Debug)]
pub(super) struct Proxy {
    dir: tempfile::TempDir,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub(super) fn start(server: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let name = server.file_name().expect("a socket");
        let listener = UnixListener::bind(dir.path().join(name)).expect("a socket");
        let state = Arc::<Mutex<State>>::default();
        let (server, shared) = (server.to_owned(), Arc::clone(&state));
        std::thread::spawn(move || accept(&listener, &server, &shared));
        Self { dir, state }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// At the next commit.
    pub(super) fn cut(&self, cut: Cut) {
        self.state.lock().expect("no panic").cut = Some(cut);
    }

    /// Every open connection.
    pub(super) fn cut_now(&self) {
        for stream in self.state.lock().expect("no panic").open.drain(..) {
            end(&stream);
        }
    }
}

fn accept(listener: &UnixListener, server: &PathBuf, state: &Arc<Mutex<State>>) {
    for client in listener.incoming() {
        let client = client.expect("a connection");
        let mut shared = state.lock().expect("no panic");
        if shared.is_closed {
            continue;
        }
        let server = UnixStream::connect(server).expect("the server listens");
        let copy = |stream: &UnixStream| stream.try_clone().expect("a copy");
        shared.open.extend([copy(&client), copy(&server)]);
        let (from_server, to_client) = (copy(&server), copy(&client));
        let (state, is_mute) = (Arc::clone(state), Arc::new(AtomicBool::new(false)));
        let mute = Arc::clone(&is_mute);
        std::thread::spawn(move || pass(client, server, &|bytes, to| send(bytes, to, &state, &mute)));
        let answer = move |bytes: &[u8], mut to: &UnixStream| {
            !is_mute.load(Ordering::SeqCst) && to.write_all(bytes).is_ok()
        };
        std::thread::spawn(move || pass(from_server, to_client, &answer));
    }
}

/// Until either side ends, or `send` says so.
fn pass(mut from: UnixStream, to: UnixStream, send: &dyn Fn(&[u8], &UnixStream) -> bool) {
    let mut chunk = [0; 16 << 10];
    while let Ok(len @ 1..) = from.read(&mut chunk) {
        if !send(&chunk[..len], &to) {
            break;
        }
    }
    end(&from);
    end(&to);
}

fn send(bytes: &[u8], mut server: &UnixStream, state: &Mutex<State>, mute: &AtomicBool) -> bool {
    let is_commit = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
    let mut shared = state.lock().expect("no panic");
    let cut = if is_commit { shared.cut.take() } else { None };
    match cut {
        None => server.write_all(bytes).is_ok(),
        Some(Cut::BeforeCommit) => false,
        Some(Cut::AfterCommit) => {
            // The connection ends when the answer comes.
            mute.store(true, Ordering::SeqCst);
            server.write_all(bytes).is_ok()
        }
        Some(Cut::ForGood) => {
            shared.is_closed = true;
            shared.open.drain(..).for_each(|stream| end(&stream));
            false
        }
    }
}

/// Fails only when it has ended already.
fn end(stream: &UnixStream) {
    let _ = stream.shutdown(Shutdown::Both);
}
