//! The program's own machine code on huge pages.
//!
//! A request runs through code from all over a text of several MiB, far more 4-KiB pages than a core keeps the
//! addresses of at hand; in a virtual machine each one that is missing is looked up in two page tables. So the text is
//! copied to a sealed memory file, which the kernel is asked to put on huge pages (`MADV_COLLAPSE`, Linux 6.1), and the
//! copy is mapped over the original in one step. No page is ever writable and executable. What is given up: the memory
//! isn't shared with other processes of the same binary, and profilers and uprobes, which know code by its file, find
//! none there. (As V8 and HHVM do, who copy to anonymous memory.)

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap, mmap_anonymous, mremap_fixed, munmap};
use rustix::process::{Resource, getrlimit};

/// As the process's map of memory shows the copy.
const NAME: &str = "turnpike-code";
/// Linux's value, the same on all of its architectures but PA-RISC.
pub(crate) const MADV_COLLAPSE: i32 = 25;

/// Moves the text to huge pages and says how many bytes that are. To be called before there are other threads, which
/// might map memory beside the text meanwhile.
///
/// # Errors
/// Why it stays where it is, with the likely cause.
pub fn move_code() -> Result<usize, String> {
    let huge_bytes = huge_page_bytes()?;
    let maps = fs::read_to_string("/proc/self/maps").map_err(|error| format!("/proc/self/maps: {error}"))?;
    let maps: Vec<Range<usize>> = maps.lines().filter_map(range).collect();
    let (text, pages) = text_and_pages(&maps, move_code as fn() -> _ as usize, huge_bytes)
        .ok_or_else(|| format!("none of it fills a page of {} KiB", huge_bytes / 1024))?;
    let file = copy(&text, &pages).map_err(|error| format!("a memory file for it: {error}"))?;
    Reserved::new(pages.len(), huge_bytes)
        .and_then(|reserved| reserved.map(file.as_fd()))
        .map_err(|error| format!("mapping a memory file that holds it: {error}"))?
        .collapse()
        .map_err(|error| {
            format!("huge pages for it: {error} (Linux 6.1 or newer has them, given free memory)")
        })?
        .move_to(pages.start)
        .map_err(|error| format!("mapping it to where it was: {error}"))?;
    Ok(pages.len())
}

pub(crate) fn huge_page_bytes() -> Result<usize, String> {
    let path = "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size";
    let text = fs::read_to_string(path).map_err(|_| "the kernel has no transparent huge pages".to_owned())?;
    text.trim().parse().map_err(|_| format!("{path} isn't a number"))
}

/// The addresses of one line of `/proc/self/maps`.
pub(crate) fn range(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

/// The mapping that holds `address`, and the huge pages that can take its place: those at its ends only where
/// nothing else is mapped in them, which the linker sees to (`build.rs` of the program).
fn text_and_pages(
    maps: &[Range<usize>],
    address: usize,
    huge_bytes: usize,
) -> Option<(Range<usize>, Range<usize>)> {
    let text = maps.iter().find(|mapping| mapping.contains(&address))?.clone();
    let (down, up) =
        (|place: usize| place / huge_bytes * huge_bytes, |place: usize| place.next_multiple_of(huge_bytes));
    let others = || maps.iter().filter(|mapping| **mapping != text);
    let free = |wanted: Range<usize>| {
        others().all(|mapping| mapping.end <= wanted.start || mapping.start >= wanted.end)
    };
    let start = if free(down(text.start)..text.start) { down(text.start) } else { up(text.start) };
    let end = if free(text.end..up(text.end)) { up(text.end) } else { down(text.end) };
    (start < end).then_some((text, start..end))
}

/// A file with what the pages are to hold: the text, and zeroes around it.
fn copy(text: &Range<usize>, pages: &Range<usize>) -> io::Result<File> {
    if getrlimit(Resource::Fsize).current.is_some_and(|bytes_max| bytes_max < pages.len() as u64) {
        // Known before half of it is written.
        return Err(io::Error::other(
            "the limit on the size of files is too low (ulimit -f, LimitFSIZE= in systemd)",
        ));
    }
    let file = memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    let part = text.start.max(pages.start)..text.end.min(pages.end);
    // SAFETY: the addresses are of the mapping that this very code runs in: readable, initialized from the program's
    // file, and never written or unmapped while the process lives.
    #[expect(unsafe_code, reason = "a program can't name its own text otherwise")]
    let bytes = unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(part.start), part.len()) };
    file.write_all(&vec![0; part.start - pages.start])?;
    file.write_all(bytes)?;
    file.write_all(&vec![0; pages.end - part.end])?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// Addresses of this process at which nothing else is, from a huge page's beginning on.
struct Reserved {
    address: *mut std::ffi::c_void,
    bytes: usize,
}

/// Reserved addresses at which the copy is mapped.
struct Mapped(Reserved);

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: the range is this value's own, and nothing that is used lies in it. That it can't be given back
        // costs addresses and nothing else.
        #[expect(unsafe_code, reason = "unmapping memory")]
        let _ = unsafe { munmap(self.address, self.bytes) };
    }
}

impl Reserved {
    fn new(bytes: usize, huge_bytes: usize) -> io::Result<Self> {
        let all_bytes = bytes + huge_bytes;
        // SAFETY: a new mapping at an address of the kernel's choice, which nobody can use before it is told.
        #[expect(unsafe_code, reason = "mapping memory")]
        let all = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                all_bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let address = all.map_addr(|address| address.next_multiple_of(huge_bytes));
        let ahead = address.addr() - all.addr();
        let behind = all_bytes - ahead - bytes;
        for (start, bytes) in [(all, ahead), (address.wrapping_byte_add(bytes), behind)] {
            if bytes > 0 {
                // SAFETY: both are parts of the mapping just made, outside of what is kept of it.
                #[expect(unsafe_code, reason = "unmapping memory")]
                unsafe {
                    munmap(start, bytes)?;
                }
            }
        }
        Ok(Self { address, bytes })
    }

    fn map(self, file: BorrowedFd<'_>) -> io::Result<Mapped> {
        let protection = ProtFlags::READ | ProtFlags::EXEC;
        // SAFETY: it replaces the reserved range, which is this value's own, and the file's size is its length.
        #[expect(unsafe_code, reason = "mapping memory")]
        unsafe {
            mmap(self.address, self.bytes, protection, MapFlags::PRIVATE | MapFlags::FIXED, file, 0)?;
        }
        Ok(Mapped(self))
    }
}

impl Mapped {
    /// Has the kernel gather the copy on huge pages, whatever the host's settings for them are.
    fn collapse(self) -> io::Result<Self> {
        // SAFETY: it changes on which pages the range's bytes lie, and none of the bytes.
        #[expect(unsafe_code, reason = "rustix has no name for this advice")]
        let outcome = unsafe { libc::madvise(self.0.address, self.0.bytes, MADV_COLLAPSE) };
        if outcome == 0 { Ok(self) } else { Err(io::Error::last_os_error()) }
    }

    /// Takes the text's place.
    fn move_to(self, address: usize) -> io::Result<()> {
        let (from, bytes) = (self.0.address, self.0.bytes);
        // SAFETY: the target is where the text is, and beside it nothing: see `text_and_pages`. What comes there has
        // the same bytes at the same addresses, with the same protection, and one system call swaps them: whoever
        // runs there, this thread among them, finds either one or the other.
        #[expect(unsafe_code, reason = "mapping memory")]
        let moved = unsafe {
            mremap_fixed(from, bytes, bytes, MremapFlags::MAYMOVE, ptr::with_exposed_provenance_mut(address))
        };
        moved?;
        // Its addresses are free already.
        std::mem::forget(self);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn addresses_are_read() {
        let line = "55d7c0200000-55d7c0ab9000 r-xp 001ab000 fe:00 10094312    /usr/bin/turnpike-gateway";
        assert_eq!(range(line), Some(0x55d7_c020_0000..0x55d7_c0ab_9000));
        assert_eq!((range(""), range("x-y r"), range("no line")), (None, None, None));
    }

    #[test]
    fn pages_take_what_is_mapped_beside_the_text_into_account() {
        let pages = |before_end: usize, text: Range<usize>, behind_start: usize| {
            let maps = [MIB..before_end, text.clone(), behind_start..100 * MIB];
            text_and_pages(&maps, text.start + 1, 2 * MIB)
                .map(|(_, pages)| pages.start / MIB..pages.end / MIB)
        };
        let text = 9 * MIB..15 * MIB + 4096;
        assert_eq!(pages(8 * MIB, text.clone(), 16 * MIB), Some(8..16), "nothing in the pages at its ends");
        assert_eq!(pages(8 * MIB + 4096, text.clone(), 16 * MIB), Some(10..16));
        assert_eq!(pages(9 * MIB, text, 15 * MIB + 4096), Some(10..14));
        assert_eq!(pages(8 * MIB, 8 * MIB..12 * MIB, 12 * MIB), Some(8..12), "whole pages");
        assert_eq!(pages(9 * MIB, 9 * MIB..11 * MIB, 11 * MIB), None, "none is filled");
        assert_eq!(text_and_pages(std::slice::from_ref(&(MIB..3 * MIB)), 3 * MIB, 2 * MIB), None);
    }

    /// Runs on, from huge pages or, where the host has none, from where it was.
    #[test]
    fn a_program_goes_on_where_it_was() {
        match move_code() {
            Ok(bytes) => {
                assert!(bytes > 0);
                let maps = fs::read_to_string("/proc/self/maps").unwrap();
                let mapping = maps.lines().find(|line| line.contains(NAME)).unwrap();
                assert!(mapping.contains("r-xp"), "{mapping}");
                assert_eq!(range(mapping).unwrap().len(), bytes);
            }
            Err(why) => assert!(!why.is_empty()),
        }
        assert_eq!([3, 1, 2].map(|number| number * 2), [6, 2, 4]);
    }
}
