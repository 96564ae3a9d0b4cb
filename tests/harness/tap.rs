//! A wire between the gateway and a real server that keeps what the gateway sent over it, to the byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::gateway::Gateway;
use crate::process::until;

/// Listens in place of the server; ends its connections and threads when dropped.
#[derive(Debug)]
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Connections that the gateway has closed, and all whose bytes are kept.
    ended: AtomicUsize,
    /// What came over each connection.
    sent: Mutex<Vec<Vec<u8>>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Tap {
    /// In front of `server`.
    #[must_use]
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, server, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What a gateway at rest has sent over each connection since the last call, without those that were silent. What was
    /// answered was kept before the server got it; for the rest this waits until whatever the gateway has closed, of the
    /// connections that it made, is read to its end.
    ///
    /// # Panics
    /// When a connection isn't seen, or not to its end, in time.
    #[must_use]
    pub fn take(&self, gateway: &Gateway) -> Vec<Vec<u8>> {
        until("the tap to have read what the gateway's closed connections carried", || {
            let metrics = gateway.metrics();
            let sum = |name| metrics.sum(name, &[]) as usize;
            let made = sum("turnpike_shard_upstream_connects_total");
            let closed = made - sum("turnpike_shard_upstream_connections_open");
            let seen = self.shared.sent.lock().expect("nobody panics with it").len();
            ((seen, self.shared.ended.load(Ordering::SeqCst)) == (made, closed)).then_some(())
        });
        let mut sent = self.shared.sent.lock().expect("nobody panics with it");
        sent.iter_mut().map(std::mem::take).filter(|bytes| !bytes.is_empty()).collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then ends all connections and so their threads.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, shared: &Arc<Shared>) {
    let mut copiers = Vec::new();
    loop {
        let (gateway, _) = listener.accept().expect("a connection");
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let server = TcpStream::connect(server).expect("the server listens");
        let clone = |stream: &TcpStream| stream.try_clone().expect("a second descriptor");
        let number = {
            let mut sent = shared.sent.lock().expect("nobody panics with it");
            sent.push(Vec::new());
            sent.len() - 1
        };
        let mut streams = shared.streams.lock().expect("pushes don't panic");
        streams.extend([clone(&gateway), clone(&server)]);
        let (up, down) = ((clone(&gateway), clone(&server)), (server, gateway));
        let shared = Arc::clone(shared);
        copiers.push(std::thread::spawn(move || {
            copy(up.0, up.1, |bytes| {
                shared.sent.lock().expect("nobody panics with it")[number].extend_from_slice(bytes);
            });
            shared.ended.fetch_add(1, Ordering::SeqCst);
        }));
        copiers.push(std::thread::spawn(move || copy(down.0, down.1, |_| ())));
    }
    for stream in shared.streams.lock().expect("pushes don't panic").drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for copier in copiers {
        copier.join().expect("copying doesn't panic");
    }
}

/// Until `from` ends, which passes on; what the other side takes no more is kept all the same.
fn copy(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    let mut piece = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        keep(&piece[..count]);
        let _ = to.write_all(&piece[..count]);
    }
    let _ = to.shutdown(Shutdown::Write);
}
