//! Bytes that many sockets send: they lie in a memory file, so that the kernel sends the file's own pages, without a
//! copy, and who has to see them sees the same pages through a mapping.
//!
//! One file and one mapping of it for each [`Arena`], both of a size that takes no memory before something is written.
//! Invariants: a range is written before anybody sees it and never again while somebody may; when nobody does any more
//! it is punched out of the file (fallocate(2)), which gives its memory back, and only then given out anew. Pages that a
//! socket still has to send then belong to the socket alone, so that nothing changes them either. That holds for small
//! pages: of a huge one that a socket has to send, the kernel clears a part in place, and keeps it in the file. So a
//! host that puts shared memory on huge pages has no arena, and what doesn't go when it is punched out isn't given out.

mod pipe;
mod ranges;

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam::queue::SegQueue;
use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom, sendfile};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

use pipe::{PIPE_BYTES, Passed, Pipe};
use ranges::Ranges;

/// Sent before others of the shard have their turn.
pub(crate) const BYTES_AT_ONCE: usize = PIPE_BYTES;

/// A memory file that one shard writes to.
#[derive(Debug)]
pub struct Arena {
    memory: Arc<Memory>,
    free: RefCell<Ranges>,
    /// Made anew after a use that has left something in it.
    pipe: RefCell<Option<Pipe>>,
    has_pipe: bool,
}

/// The file, for as long as anybody refers to a part of it.
struct Memory {
    file: OwnedFd,
    mapping: NonNull<u8>,
    bytes: usize,
    /// Ranges, as start and bytes, that were given up and are punched out. Whoever refers to one may be on any thread.
    given_up: SegQueue<(u64, u64)>,
}

/// A part of the file that is somebody's.
#[derive(Debug)]
struct Range {
    memory: Arc<Memory>,
    start: u64,
    /// Of whole pages.
    bytes: u64,
}

/// Bytes on their way into an arena.
#[derive(Debug)]
pub struct Draft {
    range: Range,
    written: usize,
}

/// Bytes that lie in an arena for good.
#[derive(Debug)]
struct Written {
    range: Range,
    bytes: usize,
}

/// Where in an arena some bytes lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    arena: &'a Arena,
    bytes: &'a [u8],
    /// In the file.
    start: u64,
}

/// Why there is no arena.
#[derive(Debug)]
pub enum ArenaRefusal {
    Denied {
        call: &'static str,
        error: io::Error,
    },
    /// RLIMIT_FSIZE counts for memory files too.
    FileSize {
        limit: u64,
    },
}

impl fmt::Display for ArenaRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { call, error } => write!(f, "{call}: {error}"),
            Self::FileSize { limit } => {
                write!(f, "files are limited to {limit} bytes (ulimit -f, LimitFSIZE= in systemd)")
            }
        }
    }
}

/// What so many bytes in an arena take in memory.
#[must_use]
pub fn arena_bytes(length: usize) -> usize {
    /// The owner's, with what the allocator adds, and the free range that it may leave behind.
    const OWNER_BYTES: usize = size_of::<Written>() + 32 + 4 * size_of::<u64>();
    whole_pages(length) + OWNER_BYTES
}

impl Arena {
    /// `bytes` is what it has room for, holes between what it holds included: more than is going to be in it at once.
    ///
    /// # Errors
    /// The system doesn't allow one of the calls, or has no address space left.
    pub fn new(bytes: u64) -> Result<Self, ArenaRefusal> {
        let denied = |call| move |error: Errno| ArenaRefusal::Denied { call, error: error.into() };
        let bytes = whole_pages(usize::try_from(bytes).unwrap_or(usize::MAX / 2));
        if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|limit| *limit < bytes as u64) {
            return Err(ArenaRefusal::FileSize { limit });
        }
        let file = memory_file().map_err(denied("memfd_create"))?;
        rustix::fs::ftruncate(&file, bytes as u64).map_err(denied("ftruncate"))?;
        let mapping = map(&file, bytes).map_err(|error| ArenaRefusal::Denied { call: "mmap", error })?;
        let memory = Memory { file, mapping, bytes, given_up: SegQueue::new() };
        let pipe = Pipe::new().map_err(denied("pipe2"))?;
        let arena = Self {
            memory: Arc::new(memory),
            free: RefCell::new(Ranges::new(bytes as u64)),
            has_pipe: pipe.is_some(),
            pipe: RefCell::new(pipe),
        };
        arena.try_calls()?;
        Ok(arena)
    }

    /// What is denied is known before anything depends on it.
    fn try_calls(&self) -> Result<(), ArenaRefusal> {
        let denied = |call| move |error| ArenaRefusal::Denied { call, error };
        let (near, _far) = UnixStream::pair().map_err(denied("socketpair"))?;
        let (file, page_bytes) = (&self.memory.file, whole_pages(1) as u64);
        // As much as would come to lie on a huge page, where there are any.
        let written = rustix::io::pwrite(file, &vec![b'x'; BYTES_AT_ONCE.min(self.memory.bytes)], 0)
            .map_err(|error| denied("pwrite")(error.into()))?;
        let place = Place { arena: self, bytes: self.memory.first_byte(), start: 0 };
        place.send_from_file(&near).map_err(denied("sendfile"))?;
        place.send_at_once(&near).map_err(denied("splice"))?;
        // The first page alone, while the socket has it, and then the rest.
        for (start, bytes) in [(0, page_bytes), (page_bytes, (whole_pages(written) as u64) - page_bytes)] {
            if bytes > 0 {
                punch(file, start, bytes).map_err(denied("fallocate"))?;
            }
        }
        Ok(())
    }

    /// A part of it for at most so many bytes; `None` if there is none as long.
    #[must_use]
    pub fn draft(&self, bytes_max: usize) -> Option<Draft> {
        let mut free = self.free.borrow_mut();
        while let Some((start, bytes)) = self.memory.given_up.pop() {
            free.give(start, bytes);
        }
        let bytes = whole_pages(bytes_max.max(1)) as u64;
        let range = Range { memory: Arc::clone(&self.memory), start: free.take(bytes)?, bytes };
        Some(Draft { range, written: 0 })
    }

    /// Where bytes lie, if they are in it.
    pub(crate) fn find<'a>(&'a self, bytes: &'a [u8]) -> Option<Place<'a>> {
        let start = bytes.as_ptr().addr().checked_sub(self.memory.mapping.addr().get())?;
        let is_inside = start < self.memory.bytes && !bytes.is_empty();
        is_inside.then_some(Place { arena: self, bytes, start: start as u64 })
    }

    /// As [`Pipe::pass`]; `None` where there is no pipe.
    fn pass(&self, socket: impl AsFd, bytes: &[u8]) -> Option<io::Result<usize>> {
        let mut pipe = self.pipe.borrow_mut();
        if pipe.is_none() && self.has_pipe {
            *pipe = Pipe::new().ok()?;
        }
        match pipe.as_ref()?.pass(socket, bytes) {
            Ok(Passed::All(sent)) => Some(Ok(sent)),
            Ok(Passed::Part(sent)) => {
                *pipe = None;
                Some(Ok(sent))
            }
            Err(error) => {
                *pipe = None;
                Some(Err(error))
            }
        }
    }
}

impl Place<'_> {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Without the first so many bytes.
    pub(crate) fn behind(self, bytes: usize) -> Self {
        Self { start: self.start + bytes as u64, bytes: &self.bytes[bytes..], ..self }
    }

    /// Sends what a socket takes without waiting, which its descriptor has to say, and at most [`BYTES_AT_ONCE`]. A
    /// peer that is gone is an error: Rust's programs ignore SIGPIPE.
    pub(crate) fn send_at_once(&self, socket: impl AsFd) -> io::Result<usize> {
        let bytes = &self.bytes[..self.bytes.len().min(BYTES_AT_ONCE)];
        match self.arena.pass(&socket, bytes) {
            Some(passed) => passed,
            None => self.send_from_file(socket),
        }
    }

    /// As [`send_at_once`](Self::send_at_once), for a socket that takes little: nothing is begun in vain.
    pub(crate) fn send_from_file(&self, socket: impl AsFd) -> io::Result<usize> {
        let (mut start, bytes) = (self.start, self.bytes.len().min(BYTES_AT_ONCE));
        match retry_on_intr(|| sendfile(&socket, &self.arena.memory.file, Some(&mut start), bytes)) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(Errno::AGAIN) => Ok(0),
            sent => Ok(sent?),
        }
    }
}

impl Draft {
    /// # Errors
    /// There is no memory, or more comes than was said.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > self.range.bytes - self.written as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        while !bytes.is_empty() {
            let at = self.range.start + self.written as u64;
            let count = retry_on_intr(|| rustix::io::pwrite(&self.range.memory.file, bytes, at))?;
            bytes = &bytes[count..];
            self.written += count;
        }
        Ok(())
    }

    #[must_use]
    pub fn written(&self) -> usize {
        self.written
    }

    /// All that was appended. What was taken and isn't needed goes back.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        let used = whole_pages(self.written) as u64;
        let unused = self.range.bytes - used;
        if unused > 0 {
            // Never written, so there is nothing to punch out.
            self.range.memory.given_up.push((self.range.start + used, unused));
            self.range.bytes = used;
        }
        Bytes::from_owner(Written { range: self.range, bytes: self.written })
    }
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the mapping covers the file, which `range` lies in and keeps mapped; the range's first `bytes` bytes
        // were written before this value was made, and nobody writes or punches them as long as it lives: `Draft` is
        // the only writer and is gone, and no other draft is given this range before `Range`'s drop.
        #[expect(unsafe_code, reason = "a mapping has no type that knows its length")]
        unsafe {
            let start = self.range.memory.mapping.as_ptr().add(self.range.start as usize);
            std::slice::from_raw_parts(start, self.bytes)
        }
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // A range that can't be punched out isn't given out again: old pages would be written over.
        if self.bytes > 0 && punch(&self.memory.file, self.start, self.bytes).is_ok() {
            self.memory.given_up.push((self.start, self.bytes));
        }
    }
}

// SAFETY: the mapping is read-only, the same on all threads, and unmapped once, when the last reference goes.
#[expect(unsafe_code, reason = "a pointer says nothing of what may be done with it")]
unsafe impl Send for Memory {}
// SAFETY: as above; the queue is made for being shared.
#[expect(unsafe_code, reason = "a pointer says nothing of what may be done with it")]
unsafe impl Sync for Memory {}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Memory {
    /// Whatever is there.
    fn first_byte(&self) -> &[u8] {
        // SAFETY: the mapping is at least a page long, and nobody writes while an arena is being made.
        #[expect(unsafe_code, reason = "a mapping has no type that knows its length")]
        unsafe {
            std::slice::from_raw_parts(self.mapping.as_ptr(), 1)
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: what `map` has mapped, of this length, is unmapped once, and every slice of it borrows from a value
        // that holds this one.
        #[expect(unsafe_code, reason = "there is no safe wrapper of munmap")]
        unsafe {
            libc::munmap(self.mapping.as_ptr().cast(), self.bytes);
        }
    }
}

fn memory_file() -> rustix::io::Result<OwnedFd> {
    let create = |flags| rustix::fs::memfd_create("turnpike", MemfdFlags::CLOEXEC | flags);
    match create(MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 the flag isn't known; where it isn't given, later ones complain.
        Err(Errno::INVAL) => create(MemfdFlags::empty()),
        made => made,
    }
}

fn map(file: &OwnedFd, bytes: usize) -> io::Result<NonNull<u8>> {
    use std::os::fd::AsRawFd;
    // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing; the file is as long as it.
    #[expect(unsafe_code, reason = "there is no safe wrapper of mmap")]
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            file.as_raw_fd(),
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(mapped.cast()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// # Errors
/// The kernel can't do it, or hasn't: its page is a huge one that somebody has.
fn punch(file: &OwnedFd, start: u64, bytes: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(file, flags, start, bytes)?;
    if is_hole(file, start, bytes)? {
        return Ok(());
    }
    Err(io::Error::other(
        "pages stay in the file (shared memory is on huge pages: /sys/kernel/mm/transparent_hugepage/shmem_enabled)",
    ))
}

/// Whether the file has no page there. Its position, which this moves, is nobody's.
fn is_hole(file: &OwnedFd, start: u64, bytes: u64) -> io::Result<bool> {
    match rustix::fs::seek(file, SeekFrom::Data(start)) {
        Ok(data) => Ok(data >= start + bytes),
        // There is none up to the end.
        Err(Errno::NXIO) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn whole_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(rustix::param::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn written(arena: &Arena, bytes: &[u8]) -> Bytes {
        let mut draft = arena.draft(bytes.len()).unwrap();
        bytes.chunks(1_000).for_each(|piece| draft.append(piece).unwrap());
        draft.finish()
    }

    /// What the file takes in memory.
    fn memory_bytes(arena: &Arena) -> u64 {
        rustix::fs::fstat(&arena.memory.file).unwrap().st_blocks as u64 * 512
    }

    #[test]
    fn bytes_are_there_as_written_and_leave_no_memory_behind() {
        let arena = Arena::new(1 << 20).unwrap();
        assert_eq!(memory_bytes(&arena), 0);
        let (one, two) = (written(&arena, &[1; 10_000]), written(&arena, &[2; 3]));
        assert!(one == [1; 10_000][..] && two == [2; 3][..]);
        assert_eq!(memory_bytes(&arena), 4 * PAGE as u64);
        let part = one.slice(5_000..5_010);
        drop(one);
        assert_eq!(part, [1; 10][..]);
        drop(part);
        assert_eq!(memory_bytes(&arena), PAGE as u64);
        drop(two);
        assert_eq!(memory_bytes(&arena), 0);
        assert!(arena.draft(1 << 20).is_some(), "all of it is free again");
    }

    #[test]
    fn pages_that_are_there_are_no_hole() {
        let arena = Arena::new(4 * PAGE as u64).unwrap();
        let hole = |page: usize, pages: usize| {
            is_hole(&arena.memory.file, (page * PAGE) as u64, (pages * PAGE) as u64).unwrap()
        };
        assert!(hole(0, 4), "what was tried is gone");
        let (one, two) = (written(&arena, &[1; PAGE]), written(&arena, &[2; PAGE]));
        assert!(!hole(0, 1) && !hole(1, 1) && !hole(1, 3) && hole(2, 2));
        drop(one);
        assert!(hole(0, 1) && !hole(0, 2) && hole(3, 1));
        drop(two);
        assert!(hole(0, 4));
    }

    #[test]
    fn places_are_those_of_its_own_bytes_only() {
        let (arena, other) = (Arena::new(1 << 20).unwrap(), Arena::new(1 << 20).unwrap());
        let (one, two) = (written(&arena, &[1; PAGE]), written(&arena, &[2; PAGE]));
        let place = |bytes: &[u8]| arena.find(bytes).map(|place| (place.start, place.len()));
        assert_eq!((place(&one), place(&two[7..9])), (Some((0, PAGE)), Some((PAGE as u64 + 7, 2))));
        for foreign in [&written(&other, b"x")[..], b"static", &[0; 9][..], &one[..0]] {
            assert_eq!(place(foreign), None);
        }
    }

    #[test]
    fn a_draft_takes_what_was_said_and_gives_back_what_it_did_not_need() {
        let arena = Arena::new(2 * PAGE as u64).unwrap();
        let mut draft = arena.draft(2 * PAGE).unwrap();
        assert!(arena.draft(1).is_none());
        draft.append(&[7; PAGE]).unwrap();
        assert!(draft.append(&[7; PAGE + 1]).is_err());
        let kept = draft.finish();
        assert!(arena.draft(PAGE + 1).is_none() && arena.draft(PAGE).is_some());
        // One that is given up leaves nothing.
        let mut given_up = arena.draft(PAGE).unwrap();
        given_up.append(b"never seen").unwrap();
        drop(given_up);
        assert_eq!((memory_bytes(&arena), kept.len()), (PAGE as u64, PAGE));
        assert_eq!(arena.draft(0).unwrap().finish(), Bytes::new());
    }

    #[test]
    fn a_full_socket_takes_a_part_and_the_next_gets_nothing_of_the_rest() {
        use std::io::Read as _;
        for has_pipe in [true, false] {
            let arena = Arena { has_pipe, ..Arena::new(4 << 20).unwrap() };
            arena.pipe.borrow_mut().take_if(|_| !has_pipe);
            let bodies: Vec<Bytes> = (1..4)
                .map(|n| (0..1 << 20).map(|at| (at / 1_000 * n) as u8).collect::<Vec<_>>())
                .map(|body| written(&arena, &body))
                .collect();
            for body in bodies.iter().chain(&bodies) {
                let (near, mut far) = UnixStream::pair().unwrap();
                near.set_nonblocking(true).unwrap();
                // Neither begins nor ends with a page.
                let mut place = arena.find(&body[5..(1 << 20) - 7]).unwrap();
                let mut sent_bytes = 0;
                loop {
                    let count = place.send_at_once(&near).unwrap();
                    if count == 0 {
                        break;
                    }
                    sent_bytes += count;
                    place = place.behind(count);
                }
                drop(near);
                let mut received = Vec::new();
                far.read_to_end(&mut received).unwrap();
                assert!(sent_bytes > 0 && sent_bytes < 1 << 20 && received.len() == sent_bytes);
                assert!(received == body[5..5 + sent_bytes]);
            }
        }
    }

    #[test]
    fn what_a_socket_still_has_to_send_outlives_its_place() {
        use std::io::Read as _;
        let arena = Arena::new(64 << 10).unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        let old = written(&arena, &[1; 64 << 10]);
        let sent_bytes = arena.find(&old).unwrap().send_at_once(&near).unwrap();
        drop(old);
        let new = written(&arena, &[2; 64 << 10]);
        drop(near);
        let mut received = Vec::new();
        far.read_to_end(&mut received).unwrap();
        assert!(sent_bytes == 64 << 10 && received == vec![1; sent_bytes] && new == vec![2; 64 << 10]);
    }

    #[test]
    fn what_is_shared_outlives_the_arena() {
        let arena = Arena::new(1 << 20).unwrap();
        let bytes = written(&arena, b"kept");
        drop(arena);
        assert_eq!(std::thread::spawn(move || bytes.to_vec()).join().unwrap(), b"kept");
    }
}
