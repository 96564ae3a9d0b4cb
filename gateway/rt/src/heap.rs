//! Tables of many routes on huge pages.
//!
//! What a request reads of such a table lies on other pages than what the one before it read, more of them than a core keeps
//! the addresses of at hand; in a virtual machine each one that is missing is looked up in two page tables. So the kernel is
//! asked to gather what of the heap holds the table on huge pages (`MADV_COLLAPSE`, Linux 6.1), as [`move_code`] does with
//! machine code. Nothing changes but on which pages the bytes lie. Whole huge pages alone are asked for, those that hold much of
//! the table, and each once: what comes back to the heap later isn't gathered again. What else the heap holds and grows by,
//! such as figures, stays where it is: the kernel takes 5 to 10 ms a page, for which a table that has
//! changed in one place shouldn't wait.
//!
//! [`move_code`]: crate::move_code

use std::fs;
use std::ops::Range;
use std::ptr;

use crate::huge_pages::{MADV_COLLAPSE, huge_page_bytes, range};

/// A page with fewer addresses isn't worth its gathering. Arbitrary: of stages with 50 routes, a page holds 200.
const ADDRESSES_MIN: usize = 8;

/// What of the heap lies on huge pages already.
#[derive(Debug, Default)]
pub struct HeapPages {
    gathered: Vec<Range<usize>>,
}

impl HeapPages {
    /// Gathers the pages of the heap that hold some of these addresses; says how many bytes are new.
    ///
    /// # Errors
    /// Why some stays where it is, with the likely cause.
    pub fn gather(&mut self, addresses: impl Iterator<Item = usize>) -> Result<usize, String> {
        let huge_bytes = huge_page_bytes()?;
        let maps =
            fs::read_to_string("/proc/self/maps").map_err(|error| format!("/proc/self/maps: {error}"))?;
        let heaps: Vec<Range<usize>> = maps.lines().filter(|line| is_heap(line)).filter_map(range).collect();
        let wanted = whole_pages(&heaps, addresses, huge_bytes);
        let new: Vec<Range<usize>> = wanted.iter().flat_map(|pages| without(pages, &self.gathered)).collect();
        self.gathered = wanted;
        let mut bytes = 0;
        for pages in new {
            collapse(&pages)?;
            bytes += pages.len();
        }
        Ok(bytes)
    }
}

/// Private memory that belongs to no file.
fn is_heap(line: &str) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    fields.next() == Some("rw-p") && fields.nth(2) == Some("0")
}

/// The huge pages that hold enough addresses and lie in one mapping as a whole, in their order; neighbours are one.
fn whole_pages(
    heaps: &[Range<usize>],
    addresses: impl Iterator<Item = usize>,
    huge_bytes: usize,
) -> Vec<Range<usize>> {
    let page_of = |address: usize| address / huge_bytes * huge_bytes;
    let mut starts: Vec<usize> = addresses.map(page_of).collect();
    starts.sort_unstable();
    let held = starts.chunk_by(|one, other| one == other).filter(|same| same.len() >= ADDRESSES_MIN);
    let mut pages: Vec<Range<usize>> = Vec::new();
    for start in held.map(|same| same[0]).filter(|start| is_within(heaps, &(*start..*start + huge_bytes))) {
        match pages.last_mut() {
            Some(last) if last.end == start => last.end += huge_bytes,
            _ => pages.push(start..start + huge_bytes),
        }
    }
    pages
}

/// `heaps` are in the order of their addresses.
fn is_within(heaps: &[Range<usize>], pages: &Range<usize>) -> bool {
    let at = heaps.partition_point(|heap| heap.end <= pages.start);
    heaps.get(at).is_some_and(|heap| heap.start <= pages.start && pages.end <= heap.end)
}

/// What of `pages` is in none of `others`, which overlap nowhere and come in their order.
fn without(pages: &Range<usize>, others: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut left = Vec::new();
    let mut start = pages.start;
    for other in others.iter().filter(|other| other.start < pages.end && other.end > pages.start) {
        if start < other.start {
            left.push(start..other.start);
        }
        start = start.max(other.end);
    }
    if start < pages.end {
        left.push(start..pages.end);
    }
    left
}

fn collapse(pages: &Range<usize>) -> Result<(), String> {
    let start = ptr::with_exposed_provenance_mut(pages.start);
    // SAFETY: it changes on which pages the range's bytes lie, and none of the bytes.
    #[expect(unsafe_code, reason = "rustix has no name for this advice")]
    let outcome = unsafe { libc::madvise(start, pages.len(), MADV_COLLAPSE) };
    if outcome == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(format!(
        "huge pages for {} MiB: {error} (Linux 6.1 or newer has them, given free memory)",
        pages.len() >> 20
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn whole_pages_of_mappings_that_hold_an_address() {
        let heaps = [MIB..2 * MIB, 3 * MIB..9 * MIB, 10 * MIB..12 * MIB, 14 * MIB..24 * MIB];
        let of = |addresses: &[usize]| {
            let addresses = addresses.iter().flat_map(|address| *address..*address + ADDRESSES_MIN);
            whole_pages(&heaps, addresses, 2 * MIB)
        };
        assert_eq!(of(&[4 * MIB, 11 * MIB, 5 * MIB]), [4 * MIB..6 * MIB, 10 * MIB..12 * MIB]);
        assert_eq!(of(&[7 * MIB, 4 * MIB, 20 * MIB]), [4 * MIB..8 * MIB, 20 * MIB..22 * MIB]);
        assert_eq!(of(&[MIB, 3 * MIB, 8 * MIB, 13 * MIB, 99 * MIB, 0]), [], "not whole, or nobody's");
        let few = (0..ADDRESSES_MIN - 1).map(|at| 4 * MIB + at);
        assert_eq!(whole_pages(&heaps, few.clone(), 2 * MIB), []);
        assert_eq!(whole_pages(&heaps, few.chain([6 * MIB - 1]), 2 * MIB), [4 * MIB..6 * MIB; 1]);
    }

    #[test]
    fn what_is_gathered_is_left_out() {
        let of = |others: &[Range<usize>]| without(&(4..10), others);
        assert_eq!(of(&[]), vec![4..10_usize; 1]);
        assert_eq!(of(&[0..2, 4..10, 12..14]), []);
        assert_eq!(of(&[2..5, 6..7, 9..12]), [5..6, 7..9]);
    }

    #[test]
    fn lines_of_the_heap() {
        assert!(is_heap("55d7c0200000-55d7c0ab9000 rw-p 00000000 00:00 0    [heap]"));
        assert!(is_heap("7f0000000000-7f0000021000 rw-p 00000000 00:00 0 "));
        assert!(!is_heap(
            "55d7c0200000-55d7c0ab9000 rw-p 001ab000 fe:00 10094312    /usr/bin/turnpike-gateway"
        ));
        assert!(!is_heap("55d7c0200000-55d7c0ab9000 ---p 00000000 00:00 0 ") && !is_heap(""));
    }

    /// On huge pages or, where the host has none, where it was.
    #[test]
    fn what_is_gathered_stays_what_it_is() {
        let values: Vec<u64> = (0..(8 << 20) / 8).collect();
        let mut heap = HeapPages::default();
        match heap.gather(values.iter().step_by(512).map(|value| ptr::from_ref(value).addr())) {
            Ok(bytes) => assert!(bytes >= 4 << 20, "{bytes}"),
            Err(why) => assert!(!why.is_empty()),
        }
        assert!((0..).zip(&values).all(|(number, value)| number == *value));
    }
}
