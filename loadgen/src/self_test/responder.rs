//! What the self-test measures against: threads in this process that answer every request with the same few bytes,
//! each on a core of its own. It looks for the end of a head and at nothing else, so that it costs as little as an HTTP
//! server can.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use monoio::time::sleep;

use crate::reactor::make_ring;

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const HEAD_END: &[u8] = b"\r\n\r\n";
const BUFFER_BYTES: usize = 4096;
const RING_ENTRIES: u32 = 256;
/// How often a responder tells what it has used of its core.
const CPU_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Responder {
    pub(super) address: SocketAddr,
    /// Nanoseconds of its core that each thread has used.
    cpu_ns: Vec<Arc<AtomicU64>>,
}

impl Responder {
    /// Starts a thread on each of the cores; they last as long as the process. Errors are sentences for the user.
    pub(super) fn start(cores: &[usize]) -> Result<Self, String> {
        let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
        let cpu_ns: Vec<Arc<AtomicU64>> = cores.iter().map(|_| Arc::default()).collect();
        for (core, used) in cores.iter().zip(&cpu_ns) {
            let (ready, outcome) = channel();
            let (core, used) = (*core, Arc::clone(used));
            thread::Builder::new()
                .name("responder".to_owned())
                .spawn(move || serve(core, address, &used, &ready))
                .map_err(|error| explain(&error))?;
            // The first one chooses the port for all.
            address = outcome.recv().map_err(|_| "the self-test's responder ended early".to_owned())??;
        }
        Ok(Self { address, cpu_ns })
    }

    /// What each thread has used of its core up to now, in nanoseconds.
    pub(super) fn cpu_ns(&self) -> Vec<u64> {
        self.cpu_ns.iter().map(|used| used.load(Ordering::Relaxed)).collect()
    }
}

fn explain(error: &std::io::Error) -> String {
    format!("the self-test's responder can't be started: {error}")
}

fn serve(
    core: usize,
    address: SocketAddr,
    used: &Arc<AtomicU64>,
    ready: &Sender<Result<SocketAddr, String>>,
) {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        // Whoever waits can't have gone: it waits for this. So here and below.
        let _ = ready.send(Err(format!("the responder can't be pinned to core {core}")));
        return;
    }
    let mut runtime = match make_ring(RING_ENTRIES) {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(explain(&error)));
            return;
        }
    };
    runtime.block_on(async {
        let options = ListenerOpts::new().reuse_port(true).backlog(1024);
        let bound = TcpListener::bind_with_config(address, &options);
        let listener = match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => {
                let _ = ready.send(Ok(address));
                listener
            }
            Err(error) => {
                let _ = ready.send(Err(explain(&error)));
                return;
            }
        };
        let used = Arc::clone(used);
        monoio::spawn(async move {
            loop {
                sleep(CPU_INTERVAL).await;
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                used.store(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64, Ordering::Relaxed);
            }
        });
        while let Ok((stream, _)) = listener.accept().await {
            monoio::spawn(answer(stream));
        }
    });
}

/// Answers every head on a connection; as many at once as have come.
async fn answer(mut stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    // How much of a head's end the bytes before have shown.
    let mut matched = 0;
    loop {
        let (received, back) = stream.read(buffer).await;
        buffer = back;
        let Ok(received @ 1..) = received else { return };
        let heads = count_heads(&buffer[..received], &mut matched);
        let written = match heads {
            0 => Ok(0),
            1 => stream.write_all(REPLY).await.0,
            heads => stream.write_all(REPLY.repeat(heads)).await.0,
        };
        if written.is_err() {
            return;
        }
    }
}

fn count_heads(bytes: &[u8], matched: &mut usize) -> usize {
    let mut heads = 0;
    for byte in bytes {
        *matched = match *byte {
            byte if byte == HEAD_END[*matched] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        if *matched == HEAD_END.len() {
            heads += 1;
            *matched = 0;
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_however_they_are_split() {
        let bytes = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\r\n\r\n";
        for at in 0..=bytes.len() {
            let mut matched = 0;
            let heads = count_heads(&bytes[..at], &mut matched) + count_heads(&bytes[at..], &mut matched);
            assert_eq!((heads, matched), (2, 0), "{at}");
        }
    }
}
