//! Which driver a shard runs on, and running it.

use std::future::Future;
use std::io;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

/// Submission queue entries of a shard's ring. A full queue costs one early submit, so this only has to
/// cover what one round of the reactor usually asks for.
const RING_ENTRIES: u32 = 2048;

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverChoice {
    /// io_uring where the host allows it, epoll where it doesn't.
    Auto,
    IoUring,
    Epoll,
}

/// What a shard runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    IoUring,
    Epoll,
}

impl Driver {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }

    /// Decides by making a ring of the size that a shard will need.
    ///
    /// # Errors
    /// io_uring was demanded and the host refuses it; the text says why and what to change.
    pub fn select(choice: DriverChoice) -> Result<(Self, Option<String>), String> {
        if choice == DriverChoice::Epoll {
            return Ok((Self::Epoll, None));
        }
        match (ring_refusal(), choice) {
            (None, _) => Ok((Self::IoUring, None)),
            (Some(why), DriverChoice::IoUring) => Err(why),
            (Some(why), _) => Ok((Self::Epoll, Some(why))),
        }
    }
}

/// A reactor whose completions wait until the shard asks for them, instead of interrupting it (Linux 6.1:
/// deferred, 6.0: cooperative task runs); plain where the kernel doesn't know that. It can only be used by
/// the thread that makes it.
fn ring() -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    const EINVAL: i32 = 22;
    let mut deferred = io_uring::IoUring::builder();
    deferred.setup_single_issuer().setup_defer_taskrun();
    let mut cooperative = io_uring::IoUring::builder();
    cooperative.setup_single_issuer().setup_coop_taskrun();
    let mut built = build(deferred);
    for flags in [cooperative, io_uring::IoUring::builder()] {
        match built {
            Err(error) if error.raw_os_error() == Some(EINVAL) => built = build(flags),
            other => return other,
        }
    }
    built
}

fn build(flags: io_uring::Builder) -> io::Result<Runtime<TimeDriver<IoUringDriver>>> {
    RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .uring_builder(flags)
        .enable_timer()
        .build()
}

fn ring_refusal() -> Option<String> {
    match ring() {
        Err(error) => Some(explain(&error)),
        Ok(_) if !monoio::utils::detect_uring() => Some(
            "the kernel's io_uring lacks operations that Turnpike needs; Linux 5.15 or newer has them".into(),
        ),
        Ok(_) => None,
    }
}

fn explain(error: &io::Error) -> String {
    // ENOMEM 12 and ENOBUFS 105: the ring didn't fit under RLIMIT_MEMLOCK. EPERM 1 and ENOSYS 38: denied.
    let mend = match error.raw_os_error() {
        Some(12 | 105) => "raise the memlock limit (ulimit -l, LimitMEMLOCK= in systemd)",
        Some(1 | 13) => {
            "allow io_uring_setup in the container's seccomp profile and set kernel.io_uring_disabled=0"
        }
        Some(38) => "use Linux 5.15 or newer",
        _ => "see the kernel's log",
    };
    format!("io_uring is refused ({error}): {mend}")
}

/// Runs `task` on a reactor of this thread until it ends.
///
/// # Errors
/// The reactor could not be made.
pub fn run<T>(driver: Driver, task: impl Future<Output = T>) -> io::Result<T> {
    match driver {
        Driver::IoUring => Ok(ring().map_err(|error| io::Error::other(explain(&error)))?.block_on(task)),
        Driver::Epoll => {
            let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer();
            Ok(builder.build()?.block_on(task))
        }
    }
}

/// Pins the calling thread; false where the host doesn't allow it.
#[must_use]
pub fn pin_to_core(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}
