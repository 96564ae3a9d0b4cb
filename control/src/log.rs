//! Lines to the operator, on standard error.

use std::fmt::Arguments;
use std::io::Write as _;

/// Like `eprintln!`, which panics where standard error can't be written.
macro_rules! log_line {
    ($($argument:tt)*) => { $crate::log::write(format_args!($($argument)*)) };
}

/// At a closed pipe's or a lost terminal's end there is nobody to tell, and what serves goes on serving.
pub(crate) fn write(line: Arguments<'_>) {
    let line = format!("{line}\n");
    // One write, so that no other process's line gets into it.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
