//! Ctrl-C: the first one ends a run early, which still has its report; the second one quits at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// As shells report a program that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Watches for signals on a thread of its own; true once one has come.
pub fn watch() -> Result<Arc<AtomicBool>, String> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| format!("signals can't be watched: {error} (see sigaction(2))"))?;
    let told = Arc::clone(&interrupted);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                if told.swap(true, Ordering::Relaxed) {
                    quit();
                }
            }
        })
        .map_err(|error| format!("a thread can't be started: {error}"))?;
    Ok(interrupted)
}

/// A live view may have hidden the cursor.
fn quit() -> ! {
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        // Nothing is left to be done about a terminal that has gone.
        let _ = std::io::stderr().write_all(b"\x1b[?25h\n");
    }
    std::process::exit(i32::from(INTERRUPTED));
}
