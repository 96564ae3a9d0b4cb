//! Checks of a stage's access log, and how a log group's name becomes a file's.

use super::{Checked, Problem, text, wrong};
use crate::unit::AccessLog;

/// An access log's format, in bytes; AWS's limit.
pub const ACCESS_LOG_FORMAT_BYTES_MAX: usize = 3_000;
/// A log group's name, in bytes, with each `/` as [`escaped_log_group`] writes it: the longest file name on Linux,
/// less `.log`.
pub const LOG_GROUP_ESCAPED_BYTES_MAX: usize = 251;

/// The log group's name as one name of a file, without its `.log`.
#[must_use]
pub fn escaped_log_group(group: &str) -> String {
    group.replace('/', "%2F")
}

/// Checks the name of a log group, which a gateway makes the name of a file.
///
/// # Errors
/// When it is empty, too long once escaped, has a character that a log group's can't have, or a dot segment.
pub fn check_log_group(group: &str) -> Checked {
    text::sized("log group (with %2F for '/')", &escaped_log_group(group), LOG_GROUP_ESCAPED_BYTES_MAX)?;
    text::log_group("log group", group)
}

/// Checks an access log's format, of which a gateway makes one line a request.
///
/// # Errors
/// When it says nothing, is too long, or has a line break or another control character than tabs.
pub fn check_access_log_format(format: &str) -> Checked {
    let place = "access log format";
    if format.trim().is_empty() {
        return Err(wrong(place, Problem::Empty));
    }
    text::sized(place, format, ACCESS_LOG_FORMAT_BYTES_MAX)?;
    if let Some(bytes) = format.find(['\n', '\r']) {
        return Err(wrong(place, Problem::LineBreak { bytes }));
    }
    text::log_format(place, format)
}

pub(super) fn check(log: &AccessLog) -> Checked {
    check_log_group(&log.destination)?;
    check_access_log_format(&log.format)
}
