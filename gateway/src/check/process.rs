//! The kernel, the cores, open files and time.

use rustix::process::{Resource, getrlimit};
use rustix::system::uname;

use super::Finding;
use crate::descriptors::{Need, hard_limit};
use crate::settings::Settings;

/// From which on io_uring has all operations that a shard uses.
const KERNEL_MIN: (u32, u32) = (5, 15);

pub(super) fn kernel() -> Finding {
    const NAME: &str = "kernel";
    let uname = uname();
    let release = uname.release().to_string_lossy();
    let found = format!("{} {release}", uname.sysname().to_string_lossy());
    match version(&release) {
        Some(version) if version >= KERNEL_MIN => Finding::ok(NAME, found),
        _ => Finding::warning(
            NAME,
            found,
            "io_uring wants Linux 5.15 or newer; without it shards run on epoll",
        ),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

pub(super) fn cores(settings: &Settings) -> Finding {
    const NAME: &str = "cores";
    let shards = settings.cores.len();
    let ids: Vec<String> = settings.cores.iter().map(ToString::to_string).collect();
    let found = format!("{shards} shards, on cores {}", ids.join(","));
    match quota_cores() {
        // A pinned shard that is stopped for a part of each period shows as latency.
        Some(quota) if quota < shards as f64 => Finding::warning(
            NAME,
            format!("{found}; the control group has time for {quota:.2} cores"),
            "raise its quota (CPUQuota= in systemd, --cpus of a container), or run fewer shards (--cores)",
        ),
        _ => Finding::ok(NAME, found),
    }
}

/// Cores' worth of time that the control group may use (version 2 of them).
fn quota_cores() -> Option<f64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let line = std::fs::read_to_string(format!("/sys/fs/cgroup{group}/cpu.max")).ok()?;
    let (quota, period) = line.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

pub(super) fn descriptors(settings: &Settings) -> Finding {
    const NAME: &str = "descriptors";
    const MEND: &str = "raise the hard limit (ulimit -Hn, LimitNOFILE= in systemd), or lower connections_max";
    let (limit, need) = (hard_limit(), Need::of(settings));
    let allowed = if limit == u64::MAX { "without limit".to_owned() } else { limit.to_string() };
    let found = format!(
        "{allowed}; {} with connections_max on every shard, {} with as many to integrations",
        need.clients, need.all
    );
    match limit {
        limit if limit < need.clients => Finding::error(NAME, found, MEND),
        limit if limit < need.all => Finding::warning(NAME, found, MEND),
        _ => Finding::ok(NAME, found),
    }
}

pub(super) fn file_sizes() -> Finding {
    const NAME: &str = "file sizes";
    match getrlimit(Resource::Fsize).current {
        None => Finding::ok(NAME, "without limit"),
        Some(bytes_max) => Finding::warning(
            NAME,
            format!("{bytes_max} bytes at most; access logs beyond it are lost, and snapshots can't be kept"),
            "lift the limit (ulimit -f unlimited, LimitFSIZE=infinity in systemd)",
        ),
    }
}

pub(super) fn clock_source() -> Finding {
    const NAME: &str = "clock source";
    /// Those that a process can read without a system call.
    const FAST: [&str; 5] =
        ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase"];
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let Ok(source) = std::fs::read_to_string(path) else { return Finding::ok(NAME, "not said") };
    let source = source.trim();
    if FAST.contains(&source) {
        return Finding::ok(NAME, source);
    }
    Finding::warning(
        NAME,
        source,
        "reading it costs a system call; boot with clocksource=tsc if the host's is stable",
    )
}

pub(super) fn time() -> Finding {
    const NAME: &str = "time";
    let now = turnpike_rt::Clock::unix_ms() / 1000;
    let date = turnpike_http::encode::http_date(now);
    let date = String::from_utf8_lossy(&date).into_owned();
    if now < BUILT_AFTER_S {
        return Finding::error(NAME, date, "the clock is wrong, and certificates and logs would be; set it");
    }
    match turnpike_rt::clock_is_synchronized() {
        Some(true) => Finding::ok(NAME, format!("{date}, synchronized")),
        Some(false) => Finding::warning(
            NAME,
            format!("{date}, and nobody keeps it right"),
            "run chrony or systemd-timesyncd, here or on the machine that this one is a guest of",
        ),
        None => Finding::ok(NAME, format!("{date}; the kernel doesn't say whether it is synchronized")),
    }
}

/// 2026-01-01: this program is younger.
const BUILT_AFTER_S: u64 = 1_767_225_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_kernels_are_read() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.15.0-91-generic"), Some((5, 15)));
        assert_eq!(version("6.1"), Some((6, 1)));
        assert_eq!(version("next"), None);
        assert!(version("5.4.0") < Some(KERNEL_MIN) && version("10.0.1") > Some(KERNEL_MIN));
    }

    #[test]
    fn few_descriptors_are_an_error_and_enough_are_not() {
        let settings = |connections_max| Settings { connections_max, ..Settings::defaults() };
        assert_eq!(descriptors(&settings(1)).verdict, super::super::Verdict::Ok);
        let finding = descriptors(&settings(4_194_304));
        assert!(hard_limit() > 4_194_304 || finding.mend.is_some_and(|mend| mend.contains("LimitNOFILE=")));
    }
}
