//! What a process group uses, from /proc.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Sums over the processes of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rss_bytes: u64,
    pub(crate) cpu: Duration,
}

/// Reads the sums for `group` now.
pub(crate) fn usage(group: u32) -> Result<Usage, String> {
    let page_bytes = rustix::param::page_size() as u64;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let mut sum = Usage::default();
    for (_, stat) in processes(group)? {
        sum.rss_bytes += stat.rss_pages * page_bytes;
        sum.cpu += Duration::from_nanos(stat.cpu_ticks * tick_ns);
    }
    Ok(sum)
}

/// Memory of a group's processes that belongs to no file, now: heaps, stacks, anonymous mappings.
pub(crate) fn anonymous_bytes(group: u32) -> Result<u64, String> {
    let mut sum = 0;
    for (process, _) in processes(group)? {
        let rollup = process.join("smaps_rollup");
        let text = fs::read_to_string(&rollup).map_err(|error| format!("{}: {error}", rollup.display()))?;
        sum += parse_anonymous(&text).ok_or_else(|| format!("{} has no line Anonymous", rollup.display()))?;
    }
    Ok(sum)
}

fn parse_anonymous(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The directories of a group's processes under /proc.
fn processes(group: u32) -> Result<Vec<(PathBuf, Stat)>, String> {
    let entries = fs::read_dir("/proc").map_err(|error| format!("/proc can't be read: {error}"))?;
    let of_group = entries.flatten().filter_map(|entry| {
        // A process may end while /proc is being read, and other entries are no processes.
        let stat = parse_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)?;
        (stat.group == group).then(|| (entry.path(), stat))
    });
    Ok(of_group.collect())
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    cpu_ticks: u64,
    rss_pages: u64,
}

/// `/proc/PID/stat`; the command's name may hold anything, so fields count from its closing parenthesis.
fn parse_stat(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        group: fields.get(2)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)?,
        rss_pages: number(21)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_name_with_parentheses() {
        let stat =
            "42 (a) b) S 1 40 40 0 -1 4194560 1 2 3 4 500 25 0 0 20 0 1 0 100 9999 321 18446744073709551615";
        assert_eq!(parse_stat(stat), Some(Stat { group: 40, cpu_ticks: 525, rss_pages: 321 }));
        assert_eq!(parse_stat("nonsense"), None);
    }
    #[test]
    fn a_groups_own_memory_is_counted() {
        let rollup =
            "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nAnonymous:      1024 kB\nSwap: 0 kB\n";
        assert_eq!(parse_anonymous(rollup), Some(1024 * 1024));
        assert_eq!(parse_anonymous("Rss: 9 kB\n"), None);
        let group = rustix::process::getpgid(None).unwrap().as_raw_nonzero().get() as u32;
        assert!(anonymous_bytes(group).unwrap() > 0);
    }
}
