//! A pool's connections that rest, and the look at them before one is taken.
//!
//! Who closes a connection, or sends on it what nobody asked for, is seen by a system call. One that looks at several
//! connections costs little more than one that looks at one, so a busy pool looks at as many as it takes within
//! [`SEEN_US`], and what was seen counts for so long: an upstream's close takes longer to come over any network. A pool
//! that is asked now and then looks at one connection, at the moment when it is taken.
//!
//! A read that ends before its room does has seen that nothing lies behind the answer, but not whether an end does. To
//! count it for as long as a look was measured: of 64 and 256 connections that are always busy, even the one that was used
//! last rests for about a round of the reactor, which is longer, so that five of six looks were still to be made; and all
//! of them together cost 1 to 2 % of a request, much of it for lines of the socket that sending then finds in the core's
//! cache.

use turnpike_rt::{QUIET_LOOKS_MAX, Transport, are_quiet};

use super::Connection;

/// How old what was seen of a connection may be when it is taken.
const SEEN_US: u64 = 50;

#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) since_ms: u64,
}

impl Idle {
    pub(super) fn stream(&self) -> &Transport {
        &self.connection.stream
    }
}

#[derive(Debug)]
pub(super) struct Resting<T = Idle> {
    /// The one that was used last is the last.
    unseen: Vec<T>,
    /// They were quiet at `seen_us`.
    seen: Vec<T>,
    seen_us: u64,
    /// How many were looked at.
    looked: usize,
    /// Of those, how many were taken.
    taken: usize,
}

impl<T> Default for Resting<T> {
    fn default() -> Self {
        Self { unseen: Vec::new(), seen: Vec::new(), seen_us: 0, looked: 1, taken: 0 }
    }
}

impl<T> Resting<T> {
    pub(super) fn len(&self) -> usize {
        self.unseen.len() + self.seen.len()
    }

    pub(super) fn push(&mut self, idle: T) {
        self.unseen.push(idle);
    }

    /// Moves those that must not rest any longer to `gone`.
    pub(super) fn sweep(&mut self, mut is_over: impl FnMut(&mut T) -> bool, gone: &mut Vec<T>) {
        gone.extend(self.unseen.extract_if(.., &mut is_over));
        gone.extend(self.seen.extract_if(.., is_over));
    }

    /// One that was quiet a moment ago.
    #[inline]
    pub(super) fn take_seen(&mut self, now_us: u64) -> Option<T> {
        if now_us >= self.seen_us + SEEN_US {
            return None;
        }
        let taken = self.seen.pop();
        self.taken += usize::from(taken.is_some());
        taken
    }

    /// One that is quiet; what isn't is moved to `gone`. Where those that were looked at last were too few for their
    /// time, twice as many are looked at.
    pub(super) fn take(
        &mut self,
        now_us: u64,
        stream: impl Fn(&T) -> &Transport,
        gone: &mut Vec<T>,
    ) -> Option<T> {
        if let Some(seen) = self.take_seen(now_us) {
            return Some(seen);
        }
        let counts = now_us < self.seen_us + SEEN_US;
        let wanted = if counts { 2 * self.looked } else { self.taken };
        self.unseen.append(&mut self.seen);
        self.look(wanted.clamp(1, QUIET_LOOKS_MAX), stream, gone);
        (self.seen_us, self.taken) = (now_us, 1);
        self.seen.pop()
    }

    /// Looks at so many, and at more until some are quiet.
    fn look(&mut self, wanted: usize, stream: impl Fn(&T) -> &Transport, gone: &mut Vec<T>) {
        self.looked = wanted;
        while self.seen.is_empty() && !self.unseen.is_empty() {
            let first = self.unseen.len().saturating_sub(wanted);
            let mut quiet = [false; QUIET_LOOKS_MAX];
            let seen = are_quiet(self.unseen[first..].iter().map(&stream));
            quiet.iter_mut().zip(seen).for_each(|(quiet, seen)| *quiet = seen);
            for (idle, quiet) in self.unseen.drain(first..).zip(quiet) {
                if quiet { self.seen.push(idle) } else { gone.push(idle) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use turnpike_rt::{Driver, Stream};

    use super::*;

    /// So many connections that rest, and their peers.
    #[expect(clippy::disallowed_methods, reason = "a test's peer may block")]
    fn resting(count: usize, test: impl FnOnce(Resting<Transport>, Vec<TcpStream>)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        turnpike_rt::run(Driver::Epoll, async move {
            let (mut resting, mut peers) = (Resting::default(), Vec::new());
            for _ in 0..count {
                peers.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
                let accepted = listener.accept().unwrap().0;
                resting.push(Transport::Plain(Stream::from_accepted(accepted.into()).unwrap()));
            }
            test(resting, peers);
        })
        .unwrap();
    }

    fn take(resting: &mut Resting<Transport>, now_us: u64) -> (Option<u16>, usize) {
        let mut gone = Vec::new();
        let taken = resting.take(now_us, |transport| transport, &mut gone);
        (taken.map(|transport| transport.local_address().unwrap().port()), gone.len())
    }

    #[test]
    fn those_that_ended_or_spoke_are_never_taken_however_many_are_looked_at() {
        for spacing_us in [0, 1, SEEN_US / 4, SEEN_US] {
            resting(40, |mut resting, mut peers| {
                for (index, peer) in peers.iter_mut().enumerate().filter(|(index, _)| index % 3 != 0) {
                    match index % 3 {
                        1 => peer.write_all(b"HTTP/1.1 200 OK").unwrap(),
                        _ => peer.shutdown(std::net::Shutdown::Write).unwrap(),
                    }
                }
                let (mut taken, mut gone) = (0, 0);
                for now_us in (1_000..).step_by(spacing_us.max(1) as usize) {
                    let (one, dropped) = take(&mut resting, if spacing_us == 0 { 1_000 } else { now_us });
                    gone += dropped;
                    match one {
                        Some(_) => taken += 1,
                        None => break,
                    }
                }
                assert_eq!((taken, gone, resting.len()), (14, 26, 0), "every {spacing_us} us");
            });
        }
    }

    #[test]
    fn whoever_takes_now_and_then_sees_what_happened_a_moment_ago() {
        resting(12, |mut resting, peers| {
            let mut now_us = 1_000;
            for pair in peers.rchunks(2) {
                pair[1].shutdown(std::net::Shutdown::Write).unwrap();
                let (taken, gone) = take(&mut resting, now_us);
                assert_eq!((taken.is_some(), gone, resting.seen.len()), (true, 1, 0));
                now_us += SEEN_US;
            }
            assert_eq!(resting.len(), 0);
        });
    }

    #[test]
    fn what_was_seen_counts_for_a_moment_only() {
        resting(16, |mut resting, peers| {
            for (now_us, seen_us) in [(1_000, 1_000), (1_001, 1_001), (1_002, 1_001), (1_003, 1_003)] {
                assert!(take(&mut resting, now_us).0.is_some());
                assert_eq!(resting.seen_us, seen_us);
            }
            assert_eq!((resting.looked, resting.seen.len(), resting.len()), (4, 3, 12));
            peers.iter().for_each(|peer| peer.shutdown(std::net::Shutdown::Write).unwrap());
            assert_eq!(take(&mut resting, 1_003 + SEEN_US), (None, 12));
        });
    }
}
