//! Threads of a floor: one pinned io_uring reactor a core, each with its own SO_REUSEPORT listener.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use monoio::io::AsyncReadRent;
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use super::head::{HEAD_BYTES_MAX, Head};
use crate::output;

const BACKLOG: i32 = 4096;
const RING_ENTRIES: u32 = 4096;

/// Where a floor listens and on which cores it runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListenArgs {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Cores to run on, one pinned thread each: 0,2 or 1-3
    #[arg(long, default_value = "0", value_name = "LIST")]
    cores: String,
}

/// Listens on every core until the process is killed; prints one line once all of them accept connections. `serve`
/// makes a core's connection handler.
pub(crate) fn run<M, S, F>(name: &str, args: &ListenArgs, make_serve: M) -> Result<(), String>
where
    M: Fn() -> S + Clone + Send + 'static,
    S: Fn(TcpStream) -> F + 'static,
    F: Future<Output = Result<(), String>> + 'static,
{
    let cores =
        turnpike_loadgen::cli::parse_cores(&args.cores).map_err(|reason| format!("--cores: {reason}"))?;
    let port_holder =
        hold_port(args.listen).map_err(|error| format!("can't bind {}: {error}", args.listen))?;
    let address = port_holder.local_addr().map_err(|error| error.to_string())?;
    let (ready, outcomes) = channel();
    for core in &cores {
        let (core, make_serve, ready) = (*core, make_serve.clone(), ready.clone());
        thread::spawn(move || {
            if let Err(reason) = run_core(core, address, make_serve, &ready) {
                // The main thread listens as long as it waits for this core.
                let _ = ready.send(Err(reason));
            }
        });
    }
    for _ in &cores {
        outcomes.recv().map_err(|_| "a thread ended before it listened".to_owned())??;
    }
    // It serves on when nobody wants to know.
    output::print(format_args!("turnpike-bench {name} ready listen={address}"))?;
    loop {
        thread::park();
    }
}

/// A bound socket that never listens: it keeps the port for the cores' listeners.
fn hold_port(address: SocketAddr) -> std::io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn run_core<S, F>(
    core: usize,
    address: SocketAddr,
    make_serve: impl Fn() -> S,
    ready: &Sender<Result<(), String>>,
) -> Result<(), String>
where
    S: Fn(TcpStream) -> F + 'static,
    F: Future<Output = Result<(), String>> + 'static,
{
    if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        return Err(format!("a thread can't be pinned to core {core}"));
    }
    let mut ring = io_uring::IoUring::builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .uring_builder(ring)
        .enable_timer()
        .build()
        .map_err(|error| {
            format!("an io_uring can't be made: {error} (Linux 6.0 and 'ulimit -l' of 8 MiB?)")
        })?;
    runtime.block_on(async {
        let listener = TcpListener::bind_with_config(address, &ListenerOpts::new().backlog(BACKLOG))
            .map_err(|error| format!("can't listen on {address}: {error}"))?;
        let serve = make_serve();
        ready.send(Ok(())).map_err(|_| "the main thread is gone".to_owned())?;
        loop {
            let (stream, _) = listener.accept().await.map_err(|error| format!("accept: {error}"))?;
            stream.set_nodelay(true).map_err(|error| format!("TCP_NODELAY: {error}"))?;
            let served = serve(stream);
            monoio::spawn(async move {
                if let Err(reason) = served.await {
                    eprintln!("turnpike-bench: a connection was closed: {reason}");
                }
            });
        }
    })
}

/// Reads into the free part of `buffer`; 0 at the end of the stream, and when the peer resets it.
pub(crate) async fn receive(reader: &mut TcpStream, buffer: &mut Vec<u8>) -> usize {
    let free = std::mem::take(buffer);
    let (begin, end) = (free.len(), free.capacity());
    let (received, slice) = reader.read(monoio::buf::IoBufMut::slice_mut(free, begin..end)).await;
    *buffer = slice.into_inner();
    received.unwrap_or(0)
}

/// Reads until `buffer` holds a whole head; `None` when the peer closes.
pub(crate) async fn receive_head(
    reader: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Result<Option<Head>, String> {
    debug_assert!(buffer.capacity() > HEAD_BYTES_MAX);
    loop {
        if let Some(head) = Head::parse(buffer)? {
            return Ok(Some(head));
        }
        if receive(reader, buffer).await == 0 {
            return Ok(None);
        }
    }
}
