//! What the operator tells a running process by signals.

use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP, from the moment that this is made.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Held so that a file beyond the limit of file sizes is an error of its write, and not the end of the process.
    _file_too_large: Signal,
    /// Messages go to a terminal, whose end is a SIGHUP too.
    on_terminal: bool,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Stop,
    /// Log files have been moved away.
    Reopen,
}

impl Signals {
    /// # Errors
    /// When the system allows no handler.
    pub(super) fn new() -> Result<Self, String> {
        let handler = |kind| signal(kind).map_err(|error| format!("can't listen for signals: {error}"));
        Ok(Self {
            interrupt: handler(SignalKind::interrupt())?,
            terminate: handler(SignalKind::terminate())?,
            hangup: handler(SignalKind::hangup())?,
            _file_too_large: handler(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            on_terminal: std::io::stderr().is_terminal(),
        })
    }

    /// The next one. Loses none when it is given up.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hangup.recv() => {
                let gone = self.on_terminal && !std::io::stderr().is_terminal();
                if gone { Told::Stop } else { Told::Reopen }
            }
        }
    }

    /// For as long as there is nothing that could be opened anew.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
