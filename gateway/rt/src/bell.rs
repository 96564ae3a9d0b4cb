//! Wakes a shard from another thread, as an eventfd would.
//!
//! Ringing a bell that already rings costs one atomic exchange and no system call, so a sender may ring
//! after each message.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use monoio::io::AsyncReadRent;

/// The end that rings; any thread may hold a clone.
#[derive(Debug, Clone)]
pub struct Bell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ringing: AtomicBool,
    sender: UnixStream,
}

/// The end that a shard listens on; made anywhere, used on the shard.
#[derive(Debug)]
pub struct BellListener {
    shared: Arc<Shared>,
    receiver: UnixStream,
}

impl Bell {
    /// # Errors
    /// No descriptors left.
    pub fn pair() -> io::Result<(Self, BellListener)> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        let shared = Arc::new(Shared { ringing: AtomicBool::new(false), sender });
        Ok((Self { shared: Arc::clone(&shared) }, BellListener { shared, receiver }))
    }

    /// Never blocks. What was queued before this call is seen by the listener after it wakes.
    pub fn ring(&self) {
        if !self.shared.ringing.swap(true, Ordering::AcqRel) {
            // The only failures are a full socket, which wakes the listener as well, and a listener that
            // is gone, which nobody needs to wake.
            let _ = (&self.shared.sender).write(&[1]);
        }
    }
}

impl BellListener {
    /// Calls `heard` each time the bell has rung, until `heard` returns false or the bells are gone.
    ///
    /// # Errors
    /// The reactor refuses the socket.
    pub async fn listen(self, mut heard: impl FnMut() -> bool) -> io::Result<()> {
        let mut receiver = monoio::net::UnixStream::from_std(self.receiver)?;
        let mut buffer = vec![0_u8; 64];
        loop {
            let (result, returned) = receiver.read(buffer).await;
            buffer = returned;
            if result? == 0 {
                return Ok(());
            }
            // Re-armed before the queue is read: a message that comes in between rings again.
            self.shared.ringing.store(false, Ordering::Release);
            if !heard() {
                return Ok(());
            }
        }
    }
}
