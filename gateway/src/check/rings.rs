//! io_uring: as many rings as there are shards, made and dropped.

use turnpike_rt::{DriverChoice, RING_KIB, Reactor, RingRefusal};

use super::Finding;
use crate::settings::Settings;

const NAME: &str = "io_uring";

pub(super) fn rings(settings: &Settings) -> Finding {
    if settings.driver == DriverChoice::Epoll && !settings.require_io_uring {
        return Finding::ok(NAME, "not asked for: driver = epoll");
    }
    let wanted = settings.cores.len();
    let mut made = Vec::with_capacity(2 * wanted);
    while made.len() < 2 * wanted {
        match Reactor::io_uring() {
            Ok(ring) => made.push(ring),
            Err(refusal) if made.len() < wanted => return refused(settings, made.len(), &refusal),
            Err(refusal) => return too_few_for_an_upgrade(wanted, &refusal),
        }
    }
    Finding::ok(NAME, format!("a ring for each of {wanted} shards, and as many for an upgrade"))
}

fn refused(settings: &Settings, made: usize, refusal: &RingRefusal) -> Finding {
    let wanted = settings.cores.len();
    let found = match refusal {
        RingRefusal::Memlock { .. } => format!("memory for {made} of {wanted} rings of about {RING_KIB} KiB"),
        RingRefusal::Denied { .. } | RingRefusal::Absent { .. } => format!("refused by {}", who_refuses()),
        _ => "refused".to_owned(),
    };
    if settings.require_io_uring || settings.driver == DriverChoice::IoUring {
        return Finding::error(NAME, found, refusal.to_string());
    }
    Finding::warning(NAME, format!("{found}; shards run on epoll, which is slower"), refusal.to_string())
}

/// A gateway and its successor have their rings at the same time.
fn too_few_for_an_upgrade(wanted: usize, refusal: &RingRefusal) -> Finding {
    Finding::warning(
        NAME,
        format!(
            "a ring for each of {wanted} shards, but not as many again: after an upgrade, which runs two gateways for \
             a while, shards would run on epoll"
        ),
        refusal.to_string(),
    )
}

/// Whoever can say EPERM or ENOSYS.
fn who_refuses() -> String {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    match disabled.trim() {
        "1" => return "kernel.io_uring_disabled=1 (only privileged processes may)".to_owned(),
        "2" => return "kernel.io_uring_disabled=2 (nobody may)".to_owned(),
        _ => {}
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2")) {
        return "the seccomp profile that this process runs under".to_owned();
    }
    "the kernel".to_owned()
}
