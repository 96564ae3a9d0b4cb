//! The shard's runtime: everything that touches monoio, and the one place where unsafe code may stand.
//!
//! # Cancelling a read
//!
//! An io_uring read that is dropped while the kernel has it can still complete, and the bytes that it
//! took from the socket are gone. So there are three ways to stop waiting, and no fourth:
//!
//! - [`Stream::shutdown`] ends a pending read with 0 bytes and a pending write with an error, for a
//!   connection that won't be used again;
//! - [`Stream::recv_cancelable`] with [`Cancel::cancel`] asks the kernel to give the buffer back; the
//!   caller goes on awaiting the read and learns whether the cancellation or the bytes came first;
//! - dropping the future, only together with the whole connection.
//!
//! A read or a write begins when it is asked for, not when it is first awaited: await it at once.

mod arena;
mod bell;
mod channel;
mod child;
mod clock;
mod driver;
mod either;
mod heap;
mod host;
mod huge_pages;
mod listener;
mod poll;
mod prefetch;
mod quiet;
mod signals;
mod stream;
mod tls;
mod transport;
mod words;

pub use arena::{Arena, ArenaRefusal, Draft, arena_bytes};
pub use bell::{Bell, BellListener};
pub use channel::Channel;
pub use child::keep_descriptors_from;
pub use clock::Clock;
pub use driver::{Driver, DriverChoice, RING_KIB, Reactor, RingRefusal, decide, pin_to_core, run};
pub use heap::HeapPages;
pub use host::clock_is_synchronized;
pub use huge_pages::move_code;
pub use listener::{Listener, Queue, bind_shared, set_backlog};
pub use poll::{Observer, PollTransport, Scratch, Turn, poll_transport, scratch};
pub use prefetch::prefetch;
pub use quiet::{QUIET_LOOKS_MAX, are_quiet};
pub use signals::outlive_large_files;
pub use stream::{Cancel, Stream, connect, connect_unix, is_canceled};
pub use tls::{CipherBuffers, HandshakeError, TlsStream};
pub use transport::Transport;
pub use words::{Words, WordsRefusal};

use std::future::Future;
use std::time::Duration;

/// Lets the shard's other tasks run.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Awaits `task` for at most `duration`; `None` where it took longer. It is then dropped, and so has to be one that
/// owns its connection, or that takes it along: see [Cancelling a read](self#cancelling-a-read).
pub async fn within<T>(duration: Duration, task: impl Future<Output = T>) -> Option<T> {
    monoio::time::timeout(duration, task).await.ok()
}

/// Starts a task on the current shard. It ends with the shard, or by itself.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Waits at least `duration`. One kernel timer each: for ticks and connects, never once a request.
pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}
