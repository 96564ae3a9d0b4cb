//! What the outside tells a gateway: signals, and the end of its parent.

use std::io::{self, Read};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM, SIGINT, or the end of standard input where that means the parent's.
    Drain,
    /// SIGHUP: log files are opened anew, and settings read again.
    Reload,
}

/// # Errors
/// A handler can't be installed, or a thread can't be started.
pub(super) fn listen(exit_with_parent: bool) -> io::Result<mpsc::UnboundedReceiver<Signal>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    for (kind, meaning) in [
        (SignalKind::terminate(), Signal::Drain),
        (SignalKind::interrupt(), Signal::Drain),
        (SignalKind::hangup(), Signal::Reload),
    ] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(meaning).is_ok() {} });
    }
    if exit_with_parent {
        std::thread::Builder::new().name("parent".into()).spawn(move || {
            let mut ignored = [0; 64];
            while matches!(io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
            // Fails only when the gateway is ending already.
            sender.send(Signal::Drain).ok();
        })?;
    }
    Ok(receiver)
}
