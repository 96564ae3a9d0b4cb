//! Child processes that get no descriptor of this one but their standard ones.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the command's process close everything but standard input, output and error when it executes. What the
/// reactor accepts isn't marked so one by one, which would cost a system call a connection; a child that had
/// them would keep connections open that this process has closed.
pub fn keep_descriptors_from(command: &mut Command) {
    // SAFETY: what runs between fork and exec makes system calls only, allocates nothing and takes no lock.
    #[expect(unsafe_code, reason = "there is no safe way to run something between fork and exec")]
    unsafe {
        command.pre_exec(close_on_exec);
    }
}

const FIRST: u32 = 3;

fn close_on_exec() -> io::Result<()> {
    // SAFETY: numbers only; marking a descriptor of this process, which is about to execute, harms nobody.
    #[expect(unsafe_code, reason = "there is no safe wrapper of close_range")]
    let marked = unsafe { libc::close_range(FIRST, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    if marked == 0 { Ok(()) } else { mark_each() }
}

/// Before Linux 5.11.
fn mark_each() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes into `limit`, which lives on this stack.
    #[expect(unsafe_code, reason = "rustix's getrlimit isn't promised to be safe after a fork")]
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for descriptor in FIRST as i32..limit.rlim_cur.min(i32::MAX as u64) as i32 {
        // SAFETY: as above; one that isn't open is refused, which is fine.
        #[expect(unsafe_code, reason = "a bare number, not a descriptor that somebody owns")]
        unsafe {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    /// Whether a child has a descriptor that wasn't closed on its account.
    fn leaks_after(mark: fn() -> io::Result<()>) -> bool {
        let leaking = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::io::fcntl_setfd(&leaking, rustix::io::FdFlags::empty()).unwrap();
        let mut command = Command::new("test");
        command.args(["-e", &format!("/proc/self/fd/{}", leaking.as_raw_fd())]);
        // SAFETY: as in `keep_descriptors_from`.
        #[expect(unsafe_code, reason = "there is no safe way to run something between fork and exec")]
        unsafe {
            command.pre_exec(mark);
        }
        command.status().unwrap().success()
    }

    #[test]
    fn a_child_has_its_standard_descriptors_only() {
        assert!(leaks_after(|| Ok(())));
        assert!(!leaks_after(close_on_exec));
        assert!(!leaks_after(mark_each), "before Linux 5.11");
    }
}
