//! Looking at several resting connections with one system call.

use std::os::fd::{AsFd as _, AsRawFd as _};

use crate::Transport;

/// Looked at together.
pub const QUIET_LOOKS_MAX: usize = 16;

/// As [`Transport::is_quiet`] of each of the first [`QUIET_LOOKS_MAX`], in their order. All that speak over a plain
/// socket are looked at together, which costs each a fifth of a look of its own.
pub fn are_quiet<'t>(transports: impl Iterator<Item = &'t Transport> + Clone) -> impl Iterator<Item = bool> {
    // Behind the last is nobody's descriptor, which the kernel passes over.
    let mut sockets = [libc::pollfd { fd: -1, events: 0, revents: 0 }; QUIET_LOOKS_MAX];
    let mut count = 0;
    for (socket, transport) in sockets.iter_mut().zip(transports.clone()) {
        count += 1;
        if let Transport::Plain(stream) = transport {
            socket.fd = stream.descriptor().as_fd().as_raw_fd();
            socket.events = libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP;
        }
    }
    // SAFETY: the kernel reads and writes `count` entries of the array, which is as long at least; the descriptors are
    // open as long as the transports, which are borrowed.
    #[expect(unsafe_code, reason = "rustix's poll takes a timeout by reference, which costs a copy each way")]
    let outcome = unsafe { libc::poll(sockets.as_mut_ptr(), count as libc::nfds_t, 0) };
    // A signal may have come, of which the connections are innocent.
    let is_known = outcome >= 0;
    sockets.into_iter().zip(transports).map(move |(socket, transport)| match transport {
        Transport::Plain(_) if is_known => socket.revents == 0,
        transport => transport.is_quiet(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{Driver, Stream, run};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's peer may block")]
    fn who_spoke_ended_or_reset_is_not_quiet() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut pairs = Vec::new();
        for _ in 0..6 {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            pairs.push((peer, listener.accept().unwrap().0));
        }
        let (mut peers, accepted): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        run(Driver::Epoll, async move {
            let transports: Vec<_> = accepted
                .into_iter()
                .map(|socket| Transport::Plain(Stream::from_accepted(socket.into()).unwrap()))
                .collect();
            let look = || are_quiet(transports.iter()).collect::<Vec<_>>();
            assert_eq!(look(), [true; 6]);
            peers[1].write_all(b"x").unwrap();
            peers[2].shutdown(std::net::Shutdown::Write).unwrap();
            socket2::SockRef::from(&peers[4]).set_linger(Some(std::time::Duration::ZERO)).unwrap();
            drop(peers.remove(4));
            for transport in [&transports[1], &transports[2], &transports[4]] {
                transport.readable().await.ok();
            }
            assert_eq!(look(), [true, false, false, true, false, true]);
            assert_eq!(look(), transports.iter().map(Transport::is_quiet).collect::<Vec<_>>());
            assert_eq!(are_quiet(transports[3..4].iter()).collect::<Vec<_>>(), [true]);
            assert_eq!(are_quiet(transports[..0].iter()).count(), 0);
        })
        .unwrap();
    }
}
