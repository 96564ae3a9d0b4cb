//! What the three sides of an upgrade say to each other: a length of four bytes, big-endian, then JSON; and
//! descriptors, each batch with one byte.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

/// Of this conversation. Versions of the program that differ in it can't succeed each other.
pub(super) const PROTOCOL: u32 = 1;

/// Hundreds of addresses fit.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// The kernel allows 253 a message (SCM_MAX_FD).
const BATCH_DESCRIPTORS: usize = 128;

/// To the running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToRunning {
    /// From the command line. Without a binary, the one that the gateway was started as.
    Upgrade { binary: Option<PathBuf> },
    /// From the process that was started for it.
    TakeOver { protocol: u32 },
    /// From the same: over this connection it takes the limiter's buckets, once it serves.
    TakeLimits,
    /// It would accept connections now.
    Ready,
    /// It won't.
    Failed { reason: String },
    /// It accepts connections.
    Serving { ready_line: String },
}

/// From the running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FromRunning {
    Upgraded {
        pid: u32,
        ready_line: String,
    },
    Refused {
        reason: String,
    },
    /// Followed by descriptors: the lock's, the upgrade socket's, the admin socket's, and each group's.
    Handover(Handover),
    /// The buckets will come.
    LimitsFollow,
    Go,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handover {
    pub(super) protocol: u32,
    pub(super) pid: u32,
    pub(super) gateway_id: String,
    pub(super) data_dir: PathBuf,
    /// 0 if nothing is served.
    pub(super) serving_version: u64,
    pub(super) admin: SocketAddr,
    pub(super) groups: Vec<HandedGroup>,
    /// `None` of a version that keeps its limiter's buckets to itself, and of a gateway whose limits are in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<HandedLimits>,
}

/// What it takes to take a limiter's buckets over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandedLimits {
    pub(super) protocol: u32,
    pub(super) holders: usize,
    /// About so many.
    pub(super) limits: usize,
    /// Of the gateway's clock, as this is sent.
    pub(super) clock_us: u64,
}

/// The sockets of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HandedGroup {
    pub(super) wanted: SocketAddr,
    pub(super) tls: bool,
    pub(super) bound: SocketAddr,
    pub(super) sockets: usize,
}

/// Descriptors that come before the groups'.
pub(super) const LEADING_DESCRIPTORS: usize = 3;

impl Handover {
    pub(super) fn descriptors(&self) -> usize {
        LEADING_DESCRIPTORS + self.groups.iter().map(|group| group.sockets).sum::<usize>()
    }
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let length = checked_length(json.len())?;
    let mut bytes = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes().to_vec();
    bytes.extend_from_slice(&json);
    Ok(bytes)
}

fn checked_length(bytes: usize) -> io::Result<usize> {
    if bytes > MESSAGE_BYTES_MAX {
        let text = format!("a message of {bytes} bytes is longer than {MESSAGE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(bytes)
}

pub(super) async fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message)?).await
}

pub(super) async fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut json = vec![0; checked_length(u32::from_be_bytes(length) as usize)?];
    stream.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}

/// As [`send`], for a process that has nothing else to do yet.
pub(super) fn send_now(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    stream.write_all(&encode(message)?)
}

/// As [`receive`], for a process that has nothing else to do yet.
pub(super) fn receive_now<T: DeserializeOwned>(mut stream: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut json = vec![0; checked_length(u32::from_be_bytes(length) as usize)?];
    stream.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

pub(super) async fn send_descriptors(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for batch in descriptors.chunks(BATCH_DESCRIPTORS) {
        stream.async_io(Interest::WRITABLE, || send_batch(stream, batch)).await?;
    }
    Ok(())
}

fn send_batch(stream: &UnixStream, batch: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH_DESCRIPTORS))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !rights.push(SendAncillaryMessage::ScmRights(batch)) {
        return Err(io::Error::other("a batch of descriptors is larger than its space"));
    }
    rustix::net::sendmsg(stream, &[IoSlice::new(&[0])], &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Exactly `count`, in the order in which they were sent.
pub(super) fn receive_descriptors(
    stream: &std::os::unix::net::UnixStream,
    count: usize,
) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::with_capacity(count);
    while descriptors.len() < count {
        let before = descriptors.len();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH_DESCRIPTORS))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut slices = [IoSliceMut::new(&mut byte)];
        rustix::net::recvmsg(stream, &mut slices, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if descriptors.len() == before || descriptors.len() > count {
            // The kernel drops those that this process has no room for.
            let text = format!("{} of {count} descriptors came; is the limit on open files too low?", before);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn descriptors_come_in_order_in_several_batches() {
        let (here, there) = UnixStream::pair().unwrap();
        let files: Vec<tempfile::NamedTempFile> =
            (0..BATCH_DESCRIPTORS + 3).map(|_| tempfile::NamedTempFile::new().unwrap()).collect();
        for (number, file) in files.iter().enumerate() {
            write!(file.as_file(), "{number}").unwrap();
        }
        let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(|file| file.as_file().as_fd()).collect();
        send_descriptors(&here, &descriptors).await.unwrap();
        let there = there.into_std().unwrap();
        there.set_nonblocking(false).unwrap();
        let received = receive_descriptors(&there, files.len()).unwrap();
        for (number, descriptor) in received.into_iter().enumerate() {
            let mut text = String::new();
            let mut file = std::fs::File::from(descriptor);
            io::Seek::rewind(&mut file).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
    }

    #[tokio::test]
    async fn messages_come_as_they_were_sent_and_long_ones_are_refused() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let message = ToRunning::Upgrade { binary: Some("/usr/bin/turnpike-gateway".into()) };
        send(&mut here, &message).await.unwrap();
        assert_eq!(receive::<ToRunning>(&mut there).await.unwrap(), message);
        here.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        let error = receive::<ToRunning>(&mut there).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
