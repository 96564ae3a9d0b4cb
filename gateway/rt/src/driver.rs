//! Which driver the shards run on, and running them.
//!
//! Rings are made on the threads that will use them, all of them before it is decided: a limit that holds some
//! shards' rings and not all of them then counts for all (see [`decide`]).

use std::fmt;
use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};
use rustix::process::{Resource, getrlimit};

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
}

/// Why a shard can't have a ring; displayed with what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingRefusal {
    /// The ring doesn't fit under RLIMIT_MEMLOCK, which rings of one user share (ENOMEM, ENOBUFS).
    Memlock {
        error: String,
    },
    /// A seccomp profile or `kernel.io_uring_disabled` (EPERM, EACCES).
    Denied {
        error: String,
    },
    /// No io_uring in this kernel, or a seccomp profile that says so (ENOSYS).
    Absent {
        error: String,
    },
    /// The process is out of descriptors (EMFILE, ENFILE).
    Descriptors {
        error: String,
    },
    /// A ring could be made, but lacks operations.
    Lacking,
    Other {
        error: String,
    },
}

impl RingRefusal {
    fn new(error: &io::Error) -> Self {
        let text = error.to_string();
        // Linux's values, the same on all of its architectures but MIPS and Alpha.
        match error.raw_os_error() {
            Some(12 | 105) => Self::Memlock { error: text },
            Some(1 | 13) => Self::Denied { error: text },
            Some(38) => Self::Absent { error: text },
            Some(23 | 24) => Self::Descriptors { error: text },
            _ => Self::Other { error: text },
        }
    }
}

impl fmt::Display for RingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memlock { error } => write!(
                f,
                "{error}: the memlock limit of {} doesn't hold a ring of about {} KiB for each shard; raise it \
                 (ulimit -l, LimitMEMLOCK= in systemd) or run fewer shards (--cores)",
                memlock_limit(),
                RING_KIB
            ),
            Self::Denied { error } => write!(
                f,
                "{error}: allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp \
                 profile and set kernel.io_uring_disabled=0"
            ),
            Self::Absent { error } => write!(
                f,
                "{error}: use Linux 5.15 or newer, and allow io_uring in the container's seccomp profile"
            ),
            Self::Descriptors { error } => {
                write!(f, "{error}: raise the limit on open files (ulimit -n, LimitNOFILE= in systemd)")
            }
            Self::Lacking => f.write_str(
                "the kernel's io_uring lacks operations that Turnpike needs; Linux 5.15 or newer has them",
            ),
            Self::Other { error } => write!(f, "{error}: see the kernel's log"),
        }
    }
}

/// The soft limit on locked memory, which the rings of all processes of a user share.
fn memlock_limit() -> String {
    match getrlimit(Resource::Memlock).current {
        Some(bytes) => format!("{} KiB", bytes / 1024),
        None => "unlimited".into(),
    }
}

/// What the kernel counts for a ring of [`RING_ENTRIES`], rounded up.
pub const RING_KIB: u32 = 256;

/// Decides for all shards at once: a gateway whose shards differ would be as slow as its slowest, and nobody would
/// know why. `rings` holds what became of each shard's ring; it is ignored where epoll is asked for. The second
/// value says why it isn't io_uring, if that was wanted.
///
/// # Errors
/// io_uring was demanded and a shard has no ring; the text says why and what to change.
pub fn decide(
    choice: DriverChoice,
    rings: &[Result<(), RingRefusal>],
) -> Result<(Driver, Option<String>), String> {
    if choice == DriverChoice::Epoll {
        return Ok((Driver::Epoll, None));
    }
    let mut refusals = rings.iter().filter_map(|ring| ring.as_ref().err());
    let Some(first) = refusals.next() else { return Ok((Driver::IoUring, None)) };
    let refused = 1 + refusals.count();
    let shards = if refused < rings.len() {
        format!(" on {refused} of {} shards", rings.len())
    } else {
        String::new()
    };
    let why = format!("io_uring is refused{shards}: {first}");
    match choice {
        DriverChoice::IoUring => Err(why),
        _ => Ok((Driver::Epoll, Some(why))),
    }
}

/// A shard's reactor; it stays on the thread that made it.
pub struct Reactor(Inner);

enum Inner {
    IoUring(Box<Runtime<TimeDriver<IoUringDriver>>>),
    Epoll(Box<Runtime<TimeDriver<LegacyDriver>>>),
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reactor").field(&self.driver()).finish()
    }
}

/// A killed gateway's rings count against the limit until the kernel has taken them down, a moment after its end.
const RING_ATTEMPTS: u32 = 10;
const RING_PAUSE: Duration = Duration::from_millis(20);

impl Reactor {
    /// A reactor on io_uring. Blocks for up to 0.2 s where the memlock limit is used up.
    ///
    /// # Errors
    /// Why the host refuses.
    pub fn io_uring() -> Result<Self, RingRefusal> {
        let mut attempts_left = RING_ATTEMPTS;
        loop {
            attempts_left -= 1;
            match ring().map_err(|error| RingRefusal::new(&error)) {
                Ok(_) if !monoio::utils::detect_uring() => return Err(RingRefusal::Lacking),
                Ok(ring) => return Ok(Self(Inner::IoUring(Box::new(ring)))),
                Err(RingRefusal::Memlock { .. }) if attempts_left > 0 => thread::sleep(RING_PAUSE),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// A reactor on epoll.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn epoll() -> io::Result<Self> {
        let runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
        Ok(Self(Inner::Epoll(Box::new(runtime))))
    }

    #[must_use]
    pub fn driver(&self) -> Driver {
        match self.0 {
            Inner::IoUring(_) => Driver::IoUring,
            Inner::Epoll(_) => Driver::Epoll,
        }
    }

    /// Runs `task` on this thread until it ends.
    pub fn run<T>(self, task: impl Future<Output = T>) -> T {
        match self.0 {
            Inner::IoUring(mut runtime) => runtime.block_on(task),
            Inner::Epoll(mut runtime) => runtime.block_on(task),
        }
    }
}

/// Runs `task` on a reactor of this thread until it ends.
///
/// # Errors
/// The reactor could not be made.
pub fn run<T>(driver: Driver, task: impl Future<Output = T>) -> io::Result<T> {
    let reactor = match driver {
        Driver::IoUring => Reactor::io_uring().map_err(|refusal| io::Error::other(refusal.to_string()))?,
        Driver::Epoll => Reactor::epoll()?,
    };
    Ok(reactor.run(task))
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

/// Pins the calling thread; false where the host doesn't allow it.
#[must_use]
pub fn pin_to_core(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Result<(), RingRefusal> {
        Err(RingRefusal::Memlock { error: "no memory".into() })
    }

    #[test]
    fn all_shards_run_on_one_driver() {
        let told = |choice, rings: &[_]| decide(choice, rings);
        assert_eq!(told(DriverChoice::Auto, &[Ok(()), Ok(())]), Ok((Driver::IoUring, None)));
        assert_eq!(told(DriverChoice::Epoll, &[]), Ok((Driver::Epoll, None)));
        let (driver, why) = told(DriverChoice::Auto, &[Ok(()), full(), full()]).unwrap();
        assert_eq!(driver, Driver::Epoll);
        let why = why.unwrap();
        assert!(
            why.contains("on 2 of 3 shards") && why.contains("memlock") && why.contains("--cores"),
            "{why}"
        );
        let (_, why) = told(DriverChoice::Auto, &[full()]).unwrap();
        assert!(!why.unwrap().contains("of 1"));
    }

    #[test]
    fn a_demand_is_refused_where_one_shard_has_no_ring() {
        let why = decide(DriverChoice::IoUring, &[Ok(()), full()]).unwrap_err();
        assert!(why.contains("on 1 of 2 shards") && why.contains("memlock"), "{why}");
    }

    #[test]
    fn errors_of_the_kernel_are_told_apart() {
        for (number, part) in [(12, "memlock"), (1, "seccomp"), (38, "5.15"), (24, "open files"), (5, "log")]
        {
            let refusal = RingRefusal::new(&io::Error::from_raw_os_error(number)).to_string();
            assert!(refusal.contains(part), "{number}: {refusal}");
        }
    }
}
