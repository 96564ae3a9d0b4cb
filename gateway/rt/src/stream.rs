//! A connection of a stream socket, TCP or Unix, on a shard.

use std::cell::{RefCell, UnsafeCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream as StdStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use monoio::buf::{IoBuf, IoBufMut, SliceMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, Canceller};
use monoio::net::TcpStream;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::arena::{BYTES_AT_ONCE, Place};
use crate::either::Either;

/// How many bytes came, and the buffer that they are in.
pub(crate) type Received = (io::Result<usize>, Vec<u8>);
/// Whether all was sent, and the buffer that it was in.
pub(crate) type Sent = (io::Result<()>, Vec<u8>);

/// ECANCELED: what a cancelled read gives.
const ECANCELED: i32 = 125;

// Linux's values, the same on all of its architectures.
const MSG_PEEK: i32 = 0x02;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_NOSIGNAL: i32 = 0x4000;
const MSG_MORE: i32 = 0x8000;

/// Of Linux's `struct tcp_info`, up to `tcpi_bytes_acked`, which stands behind 8 single bytes, 24 words of 32 bits
/// and two of 64 (linux/tcp.h).
const BYTES_ACKED_AT: usize = 8 + 24 * 4 + 2 * 8;
const TCP_INFO_BYTES: usize = BYTES_ACKED_AT + 8;

/// One connection. Reading and writing may go on at once, from two futures of the shard.
pub struct Stream {
    inner: UnsafeCell<TcpStream>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// Opens a connection; a connect that takes longer than `timeout` is given up.
///
/// # Errors
/// As `connect` gives them, or `TimedOut`.
pub async fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
    match monoio::time::timeout(timeout, TcpStream::connect_addr(address)).await {
        Ok(connected) => Stream::adopt(connected?),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Opens a connection to the Unix stream socket at `path`; a connect that takes longer than `timeout` is given up.
///
/// # Errors
/// As `connect` gives them, or `TimedOut`.
pub async fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    let address = SockAddr::unix(path)?;
    let mut left = timeout;
    loop {
        match socket.connect(&address) {
            // The listener's queue is full, of which nobody is told when it no longer is (connect(2)).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && left > FULL_QUEUE_PAUSE => {
                left -= FULL_QUEUE_PAUSE;
                monoio::time::sleep(FULL_QUEUE_PAUSE).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            connected => break connected?,
        }
    }
    // monoio's TCP stream reads and writes whatever stream socket it is given.
    let stream = TcpStream::from_std(StdStream::from(OwnedFd::from(socket)))?;
    Ok(Stream { inner: UnsafeCell::new(stream) })
}

const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(10);

impl Stream {
    /// Takes over an accepted descriptor.
    ///
    /// # Errors
    /// The reactor or the socket refuses: the peer is already gone, or no memory is left.
    pub fn from_accepted(accepted: OwnedFd) -> io::Result<Self> {
        let stream = StdStream::from(accepted);
        stream.set_nonblocking(true)?;
        Self::adopt(TcpStream::from_std(stream)?)
    }

    fn adopt(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { inner: UnsafeCell::new(stream) })
    }

    /// The two directions of a socket are independent operations, but monoio asks for `&mut` for both.
    #[expect(
        unsafe_code,
        clippy::mut_from_ref,
        reason = "monoio's read and write ask for &mut, and only clone the descriptor"
    )]
    fn io(&self) -> &mut TcpStream {
        // SAFETY: `TcpStream`'s read and write clone the shared descriptor and touch no other field, on
        // both drivers (monoio 0.2.4 declares `TcpStream: Split` for the same reason); the cell is not
        // Sync, so all of it happens on one thread.
        unsafe { &mut *self.inner.get() }
    }

    pub(crate) fn descriptor(&self) -> Descriptor<'_> {
        Descriptor { stream: self }
    }

    // What hands a future on is compiled into whoever awaits it, where the future is then made in its place and not moved
    // there.

    /// Reads what there is, behind what `buffer` holds and up to its capacity. 0: the peer has ended its side.
    ///
    /// Dropping this future can lose bytes: see the crate's page.
    #[inline(always)]
    pub fn recv(&self, buffer: Vec<u8>) -> impl Future<Output = Received> {
        self.recv_at_most(buffer, usize::MAX)
    }

    /// As [`recv`](Self::recv), and leaves what lies beyond `bytes_max` to the next read.
    #[inline(always)]
    pub fn recv_at_most(&self, buffer: Vec<u8>, bytes_max: usize) -> impl Future<Output = Received> {
        if is_all_wanted(&buffer, bytes_max) {
            return Either::First(self.io().read(buffer));
        }
        Either::Second(Box::pin(whole(self.io().read(wanted(buffer, bytes_max)))))
    }

    /// As [`recv`](Self::recv), and `cancel` can take the buffer back; [`is_canceled`] tells that error.
    #[inline]
    pub fn recv_cancelable(&self, buffer: Vec<u8>, cancel: &Cancel) -> impl Future<Output = Received> {
        self.recv_cancelable_at_most(buffer, usize::MAX, cancel)
    }

    /// As [`recv_cancelable`](Self::recv_cancelable), and leaves what lies beyond `bytes_max` to the next read.
    #[inline]
    pub fn recv_cancelable_at_most(
        &self,
        buffer: Vec<u8>,
        bytes_max: usize,
        cancel: &Cancel,
    ) -> impl Future<Output = Received> {
        let handle = cancel.handle();
        if is_all_wanted(&buffer, bytes_max) {
            return Either::First(self.io().cancelable_read(buffer, handle));
        }
        Either::Second(Box::pin(whole(self.io().cancelable_read(wanted(buffer, bytes_max), handle))))
    }

    /// What there is to read without waiting, behind what `buffer` holds and up to `bytes_max`; `None` if
    /// there is nothing yet. For long bodies: bytes that are sent on at once, while they are in the core's cache,
    /// cost much less than bytes that wait for a whole round of the reactor.
    ///
    /// # Errors
    /// As `recv` gives them.
    pub fn recv_at_once(&self, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<Option<usize>> {
        self.recv_with_flags(buffer, bytes_max, MSG_DONTWAIT)
    }

    /// As [`recv_at_once`](Self::recv_at_once), and leaves the bytes to the next read.
    ///
    /// # Errors
    /// As `recv` gives them.
    pub fn peek_at_once(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.recv_with_flags(buffer, usize::MAX, MSG_DONTWAIT | MSG_PEEK)
    }

    fn recv_with_flags(
        &self,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
        flags: i32,
    ) -> io::Result<Option<usize>> {
        let room = buffer.spare_capacity_mut();
        let room_bytes = room.len().min(bytes_max);
        match SockRef::from(&self.descriptor()).recv_with_flags(&mut room[..room_bytes], flags) {
            Ok(count) => {
                // SAFETY: the kernel has written `count` bytes behind the initialized ones, within the capacity.
                #[expect(unsafe_code, reason = "the bytes were written by a system call")]
                unsafe {
                    buffer.set_len(buffer.len() + count);
                }
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends what the socket takes without waiting; possibly nothing.
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        match SockRef::from(&self.descriptor()).send_with_flags(bytes, MSG_DONTWAIT | MSG_NOSIGNAL) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// As [`send_at_once`](Self::send_at_once), of two pieces one behind the other: one system call and no copy.
    ///
    /// # Errors
    /// As `send` gives them.
    pub fn send_both_at_once(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let pieces = [IoSlice::new(first), IoSlice::new(second)];
        let socket = self.descriptor();
        match SockRef::from(&socket).send_vectored_with_flags(&pieces, MSG_DONTWAIT | MSG_NOSIGNAL) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// As [`send_both_at_once`](Self::send_both_at_once), without a copy of what lies in an arena. The stream has to be
    /// an accepted one: sendfile(2) and splice(2) wait unless the descriptor itself says otherwise.
    ///
    /// # Errors
    /// As `send` gives them.
    pub(crate) fn send_with_place_at_once(&self, first: &[u8], second: &Place<'_>) -> io::Result<usize> {
        let flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;
        match SockRef::from(&self.descriptor()).send_with_flags(first, flags) {
            Ok(sent) if sent == first.len() => Ok(sent + second.send_at_once(self.descriptor())?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Sends all of what lies in an arena, without a copy; whoever calls keeps it there.
    ///
    /// # Errors
    /// As `send` gives them.
    pub(crate) async fn send_place(&self, mut place: Place<'_>) -> io::Result<()> {
        while place.len() > 0 {
            let sent = place.send_from_file(self.descriptor())?;
            let is_full = sent < place.len().min(BYTES_AT_ONCE);
            place = place.behind(sent);
            if is_full {
                self.io().writable(false).await?;
            } else {
                crate::yield_now().await;
            }
        }
        Ok(())
    }

    /// Waits, without holding a buffer, until a read would not wait.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn readable(&self) -> io::Result<()> {
        self.io().readable(false).await
    }

    /// As [`readable`](Self::readable), for at most `patience`. One kernel timer: for a connection's beginning, not
    /// for its requests.
    ///
    /// # Errors
    /// `TimedOut`, or the socket is broken.
    pub async fn readable_within(&self, patience: Duration) -> io::Result<()> {
        // What is dropped when the time is up has taken no byte.
        monoio::time::timeout(patience, self.readable()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Sends all of `buffer[start..]` and gives it back.
    #[inline(always)]
    pub fn send(&self, buffer: Vec<u8>, start: usize) -> impl Future<Output = Sent> {
        if start > 0 || buffer.is_empty() {
            return Either::First(Box::pin(self.send_rest(buffer, start)));
        }
        Either::Second(Sending { stream: self, first: self.io().write(buffer), rest: None })
    }

    /// To be boxed: rare, and larger than a write of all.
    async fn send_rest(&self, buffer: Vec<u8>, start: usize) -> Sent {
        let (mut sent, end) = (start, buffer.len());
        let mut buffer = buffer;
        while sent < end {
            let (result, slice) = self.io().write(buffer.slice(sent..end)).await;
            buffer = slice.into_inner();
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(count) => sent += count,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Sends all of what others hold as well. The kernel holds a reference of its own while it reads.
    ///
    /// # Errors
    /// As `send` gives them.
    pub async fn send_shared(&self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            let (result, returned) = self.io().write(bytes).await;
            bytes = returned;
            match result? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => bytes.advance(count),
            }
        }
        Ok(())
    }

    /// Whether the peer has neither closed nor sent a byte: one system call that doesn't wait.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.descriptor()).recv_with_flags(&mut byte, MSG_PEEK | MSG_DONTWAIT);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends directions of the connection at once; pending operations of a direction end with it. A socket
    /// that is already broken needs no ending, so there is no error to report.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = SockRef::from(&self.descriptor()).shutdown(how);
    }

    /// Whether the peer has reset the connection; one that has only ended its side may still want its answer. One
    /// system call that doesn't wait. The socket tells it once.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        !matches!(SockRef::from(&self.descriptor()).take_error(), Ok(None))
    }

    /// How many bytes the peer's side has acknowledged since the connection began; `None` where the kernel
    /// doesn't say (before 4.1, or no TCP). One system call that doesn't wait.
    #[must_use]
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        let mut info = [0_u8; TCP_INFO_BYTES];
        let mut info_bytes = TCP_INFO_BYTES as libc::socklen_t;
        // SAFETY: the kernel writes at most `info_bytes` bytes, the array's size, and says how many it wrote; the
        // descriptor is open as long as `self`.
        #[expect(unsafe_code, reason = "no safe wrapper reads this part of TCP_INFO")]
        let outcome = unsafe {
            libc::getsockopt(
                self.io().as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut info_bytes,
            )
        };
        let written = &info[..info_bytes as usize];
        let acknowledged = written.get(BYTES_ACKED_AT..)?.first_chunk::<8>()?;
        (outcome == 0).then_some(u64::from_ne_bytes(*acknowledged))
    }

    /// Makes the coming close a reset, so that a peer can't take a cut-off body for a whole one.
    pub fn reset_on_close(&self) {
        let _ = SockRef::from(&self.descriptor()).set_linger(Some(Duration::ZERO));
    }

    /// The address that the peer connected to.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.io().local_addr()
    }
}

/// Whether a read may fill the buffer from its beginning to its end, which takes no notes of a part.
#[inline]
fn is_all_wanted(buffer: &Vec<u8>, bytes_max: usize) -> bool {
    buffer.is_empty() && bytes_max >= buffer.capacity()
}

/// What of the buffer a read may fill.
fn wanted(buffer: Vec<u8>, bytes_max: usize) -> SliceMut<Vec<u8>> {
    let start = buffer.len();
    let end = buffer.capacity().min(start.saturating_add(bytes_max));
    buffer.slice_mut(start..end)
}

/// A read into a part, which gives the whole back. To be boxed: rare, and larger than the other.
async fn whole(reading: impl Future<Output = (io::Result<usize>, SliceMut<Vec<u8>>)>) -> Received {
    let (result, slice) = reading.await;
    (result, slice.into_inner())
}

/// A write of a whole buffer, which the socket mostly takes at once.
struct Sending<'s, W> {
    stream: &'s Stream,
    first: W,
    /// Boxed: rare.
    rest: Option<Pin<Box<dyn Future<Output = Sent> + 's>>>,
}

impl<W: Future<Output = (io::Result<usize>, Vec<u8>)>> Future for Sending<'_, W> {
    type Output = Sent;

    #[inline(always)]
    #[expect(unsafe_code, reason = "a struct's pin becomes its field's")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Sent> {
        // SAFETY: `first` stays in its place: nothing here moves it, there is no `Drop`, and `Unpin` is what it is by
        // itself. The other fields are never pinned.
        let (stream, first, rest) = unsafe {
            let Self { stream, first, rest } = self.get_unchecked_mut();
            (*stream, Pin::new_unchecked(first), rest)
        };
        if let Some(rest) = rest {
            return rest.as_mut().poll(context);
        }
        let (result, buffer) = ready!(first.poll(context));
        Poll::Ready(match result {
            Ok(count) if count == buffer.len() => (Ok(()), buffer),
            Ok(0) => (Err(io::ErrorKind::WriteZero.into()), buffer),
            Ok(count) => {
                let rest = rest.insert(Box::pin(stream.send_rest(buffer, count)));
                return rest.as_mut().poll(context);
            }
            Err(error) => (Err(error), buffer),
        })
    }
}

pub(crate) struct Descriptor<'a> {
    stream: &'a Stream,
}

impl AsFd for Descriptor<'_> {
    #[expect(unsafe_code, reason = "monoio only has the raw descriptor to give")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor stays open as long as the stream, which this value borrows.
        unsafe { BorrowedFd::borrow_raw(self.stream.io().as_raw_fd()) }
    }
}

/// Takes a buffer back from a pending [`Stream::recv_cancelable`].
#[derive(Default)]
pub struct Cancel {
    /// Once a read has been pending.
    inner: RefCell<Option<Canceller>>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cancel").finish_non_exhaustive()
    }
}

impl Cancel {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn handle(&self) -> CancelHandle {
        self.inner.borrow_mut().get_or_insert_default().handle()
    }

    /// Asks once for each read that is pending now; later reads are not affected.
    pub fn cancel(&self) {
        let canceller = self.inner.take();
        self.inner.replace(canceller.map(Canceller::cancel));
    }
}

/// Whether a read ended because it was cancelled, with no byte lost.
#[must_use]
pub fn is_canceled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ECANCELED)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::{Driver, Reactor, run};

    #[test]
    fn a_unix_socket_carries_bytes_both_ways_on_every_driver() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = std::thread::spawn(move || {
            while let Ok((mut connection, _)) = listener.accept() {
                let mut bytes = [0; 4];
                if connection.read_exact(&mut bytes).is_err() {
                    return;
                }
                connection.write_all(&bytes).unwrap();
            }
        });
        // Hosts without io_uring have the other driver only.
        for reactor in [Reactor::epoll().ok(), Reactor::io_uring().ok()].into_iter().flatten() {
            let path = path.clone();
            reactor.run(async move {
                let stream = connect_unix(&path, Duration::from_secs(5)).await.unwrap();
                assert!(stream.is_quiet());
                stream.send(b"ping".to_vec(), 0).await.0.unwrap();
                let (received, bytes) = stream.recv(Vec::with_capacity(8)).await;
                assert_eq!((received.unwrap(), &*bytes), (4, &b"ping"[..]));
                assert_eq!(stream.recv(Vec::with_capacity(8)).await.0.unwrap(), 0);
            });
        }
        drop(std::os::unix::net::UnixStream::connect(&path));
        peer.join().unwrap();
    }

    #[test]
    fn what_a_socket_does_not_take_at_once_is_sent_and_read_to_its_last_byte() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..16 * 1024 * 1024_u32).map(|index| (index % 251) as u8).collect();
        let expected = sent.clone();
        let peer = std::thread::spawn(move || {
            let mut connection = listener.accept().unwrap().0;
            for times in 0..2 {
                let mut received = vec![0; expected.len() - times];
                connection.read_exact(&mut received).unwrap();
                assert!(received == expected[times..], "what came isn't what was sent");
            }
            connection.write_all(&expected[..1_000]).unwrap();
        });
        run(Driver::Epoll, async move {
            let stream = connect(address, Duration::from_secs(5)).await.unwrap();
            for start in 0..2 {
                let (result, returned) = stream.send(sent.clone(), start).await;
                assert!(result.is_ok() && returned == sent);
            }
            stream.send(Vec::new(), 0).await.0.unwrap();
            let mut received = Vec::with_capacity(1_000);
            for bytes_max in [1, 700, usize::MAX] {
                let before = received.len();
                let (count, returned) = stream.recv_at_most(received, bytes_max).await;
                received = returned;
                assert_eq!((count.unwrap(), received.len()), (received.len() - before, received.len()));
                assert!(received.len() - before <= bytes_max);
            }
            assert!(received == sent[..received.len()] && received.len() > 701);
        })
        .unwrap();
        peer.join().unwrap();
    }

    #[test]
    fn a_unix_socket_where_nobody_listens_refuses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        // One that never listened: a listener that is closed may live on for a moment in a process that another
        // test is starting.
        let bound = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        bound.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        let refused =
            run(Driver::Epoll, async move { connect_unix(&path, Duration::from_secs(5)).await.map(drop) });
        assert_eq!(refused.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
