//! Signals that would end the process where an error says more.

/// From now on, to write beyond the limit on files' sizes (RLIMIT_FSIZE) is an error, EFBIG, and doesn't end the process.
/// So it is for what the process executes later.
pub fn outlive_large_files() {
    // SAFETY: the signal is ignored, so that no code of this process ever runs in a handler; the number is a signal's that
    // can be ignored, which is the only thing that could fail.
    #[expect(unsafe_code, reason = "there is no safe wrapper of signal")]
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
