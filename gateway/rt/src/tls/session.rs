//! A TLS connection's protocol side, without I/O: ciphertext in, plaintext out, and the other way.
//!
//! Buffers are held only while they hold bytes. Invariants: `incoming` begins with a record that isn't processed
//! (nearly always one that isn't whole yet) or is empty; what `outgoing` holds goes out before anything that is
//! encrypted later; everything that arrives is decrypted at once, so that at most one read's plaintext waits.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error, ServerConfig};

use super::buffers::{CipherBuffer, CipherBuffers};

/// Encrypted at once: two full records, which a large buffer has room for.
pub(super) const PORTION_BYTES: usize = 2 * 16_384;
/// Above what either version adds to a record: header, explicit nonce or content type, tag.
const RECORD_OVERHEAD_BYTES: usize = 32;
const RECORD_BYTES_MAX: usize = 16_384;
const RECORD_HEADER_BYTES: usize = 5;
/// A handshake message has to be whole before it is read; a client's chain of certificates is the longest.
const HANDSHAKE_BYTES_MAX: usize = 96 * 1024;

enum Side {
    /// A server that hasn't chosen its configuration yet.
    Unchosen,
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

pub(super) struct Session {
    side: Side,
    buffers: Rc<CipherBuffers>,
    incoming: CipherBuffer,
    outgoing: CipherBuffer,
    /// What comes before has been sent.
    outgoing_start: usize,
    /// Decrypted, and not yet asked for.
    plain: CipherBuffer,
    plain_start: usize,
    /// Records come that a small buffer has no room for.
    bulk: bool,
    peer_closed: bool,
    failed: Option<Error>,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The handshake goes on when more bytes are there.
    NeedsBytes,
    /// The handshake is done.
    Established,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Bytes(usize),
    /// The peer has said that it won't send more.
    Ended,
    Nothing,
}

/// What one step of the protocol's state machine yielded.
enum Step {
    Again,
    Wrote,
    NeedsBytes,
    Writable,
    PeerClosed,
    Closed,
}

/// What is to be written where the protocol allows it.
#[derive(Clone, Copy)]
enum Write<'a> {
    Nothing,
    Traffic(&'a [u8]),
    CloseNotify,
}

/// Where plaintext goes: into the reader's buffer as far as it has room, the rest aside.
struct Sink<'a> {
    buffer: &'a mut Vec<u8>,
    room: usize,
    spare: &'a mut CipherBuffer,
    buffers: &'a Rc<CipherBuffers>,
}

impl Sink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let (now, later) = bytes.split_at(bytes.len().min(self.room));
        self.buffer.extend_from_slice(now);
        self.room -= now.len();
        if later.is_empty() {
            return;
        }
        if self.spare.bytes.capacity() == 0 {
            *self.spare = self.buffers.take(later.len());
        }
        self.spare.bytes.extend_from_slice(later);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn server(buffers: Rc<CipherBuffers>) -> Self {
        Self::new(Side::Unchosen, buffers)
    }

    pub(super) fn client(connection: UnbufferedClientConnection, buffers: Rc<CipherBuffers>) -> Self {
        Self::new(Side::Client(connection), buffers)
    }

    fn new(side: Side, buffers: Rc<CipherBuffers>) -> Self {
        Self {
            side,
            buffers,
            incoming: CipherBuffer::default(),
            outgoing: CipherBuffer::default(),
            outgoing_start: 0,
            plain: CipherBuffer::default(),
            plain_start: 0,
            bulk: false,
            peer_closed: false,
            failed: None,
        }
    }

    /// Makes this the server that `config` says; what has arrived is the handshake's beginning.
    pub(super) fn choose(&mut self, config: Arc<ServerConfig>) -> Result<(), Error> {
        self.side = Side::Server(UnbufferedServerConnection::new(config)?);
        Ok(())
    }

    pub(super) fn common(&self) -> Option<&CommonState> {
        match &self.side {
            Side::Unchosen => None,
            Side::Server(connection) => Some(connection),
            Side::Client(connection) => Some(connection),
        }
    }

    /// Gives the buffer that the next bytes are read into, behind those that are there already.
    pub(super) fn lend_incoming(&mut self) -> CipherBuffer {
        let first = if self.bulk { CipherBuffer::LARGE_BYTES } else { CipherBuffer::SMALL_BYTES };
        if self.incoming.bytes.is_empty() {
            self.incoming = CipherBuffer::default();
            return self.buffers.take(first);
        }
        match record_bytes(&self.incoming.bytes) {
            // A whole record that stays is part of a handshake message: it must not be taken away.
            Some(record) if record <= self.incoming.bytes.len() => self.buffers.take(first),
            record => {
                let record = record.unwrap_or(0);
                self.bulk |= record > CipherBuffer::SMALL_BYTES;
                let lent = std::mem::take(&mut self.incoming);
                if lent.bytes.len() == lent.bytes.capacity() || record > lent.bytes.capacity() {
                    let mut larger = self.buffers.take(record.max(CipherBuffer::LARGE_BYTES));
                    larger.bytes.extend_from_slice(&lent.bytes);
                    return larger;
                }
                lent
            }
        }
    }

    /// Takes the buffer back, with what was read.
    pub(super) fn return_incoming(&mut self, mut returned: CipherBuffer) {
        if self.incoming.bytes.is_empty() {
            if returned.bytes.is_empty() {
                returned = CipherBuffer::default();
                self.bulk = false;
            }
            self.incoming = returned;
        } else {
            self.incoming.bytes.extend_from_slice(&returned.bytes);
        }
    }

    /// This side wants no more: reads end as if the peer had ended them.
    pub(super) fn end_reading(&mut self) {
        self.peer_closed = true;
    }

    pub(super) fn incoming(&self) -> &[u8] {
        &self.incoming.bytes
    }

    /// Plaintext that is there, behind what `buffer` holds and up to `bytes_max`.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, bytes_max: usize) -> Result<Read, Error> {
        let room = bytes_max.min(buffer.capacity() - buffer.len());
        let waiting = &self.plain.bytes[self.plain_start..];
        if !waiting.is_empty() {
            let count = waiting.len().min(room);
            buffer.extend_from_slice(&waiting[..count]);
            self.plain_start += count;
            if self.plain_start == self.plain.bytes.len() {
                (self.plain, self.plain_start) = (CipherBuffer::default(), 0);
            }
            return Ok(Read::Bytes(count));
        }
        let before = buffer.len();
        if !self.incoming.bytes.is_empty() {
            self.advance_into(buffer, room)?;
        }
        match buffer.len() - before {
            0 if self.has_plain() => Ok(Read::Bytes(0)),
            0 if self.peer_closed => Ok(Read::Ended),
            0 => self.failed.clone().map_or(Ok(Read::Nothing), Err),
            count => Ok(Read::Bytes(count)),
        }
    }

    pub(super) fn has_plain(&self) -> bool {
        !self.plain.bytes.is_empty()
    }

    /// Whether a read needn't wait.
    pub(super) fn is_readable(&self) -> bool {
        self.has_plain() || self.peer_closed || self.failed.is_some()
    }

    /// Goes on with what has arrived.
    pub(super) fn advance(&mut self) -> Result<Progress, Error> {
        self.advance_into(&mut Vec::new(), 0)
    }

    fn advance_into(&mut self, buffer: &mut Vec<u8>, room: usize) -> Result<Progress, Error> {
        let outcome = self.run(Write::Nothing, buffer, room);
        if self.incoming.bytes.is_empty() {
            self.incoming = CipherBuffer::default();
        }
        if outcome.is_ok() && self.incoming.bytes.len() > HANDSHAKE_BYTES_MAX {
            return self.fail(Error::PeerSentOversizedRecord);
        }
        outcome.or_else(|error| self.fail(error))
    }

    /// Encrypts, behind what is to be sent already; at most [`PORTION_BYTES`].
    pub(super) fn encrypt(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.run(Write::Traffic(bytes), &mut Vec::new(), 0) {
            Ok(Progress::Established) => Ok(()),
            Ok(Progress::NeedsBytes) => Err(Error::HandshakeNotComplete),
            Err(error) => self.fail(error),
        }
    }

    /// Queues the word that nothing more will be sent; not before the handshake is done.
    pub(super) fn close(&mut self) {
        if self.failed.is_none() && self.common().is_some_and(|common| !common.is_handshaking()) {
            // What can't be encrypted any more needn't be closed.
            let _ = self.run(Write::CloseNotify, &mut Vec::new(), 0);
        }
    }

    /// The queued ciphertext, and where it begins; `None` if there is none.
    pub(super) fn take_outgoing(&mut self) -> Option<(CipherBuffer, usize)> {
        if self.is_flushed() {
            return None;
        }
        Some((std::mem::take(&mut self.outgoing), std::mem::take(&mut self.outgoing_start)))
    }

    pub(super) fn outgoing(&self) -> &[u8] {
        &self.outgoing.bytes[self.outgoing_start..]
    }

    /// So much of what is queued has been sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.outgoing_start += count;
        if self.is_flushed() {
            (self.outgoing, self.outgoing_start) = (CipherBuffer::default(), 0);
        }
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.outgoing_start == self.outgoing.bytes.len()
    }

    /// The first error is the one to tell; the alert that goes with it is queued.
    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        if self.failed.is_none() {
            self.failed = Some(error.clone());
            // A failed session does nothing but queue its alert; what it says again has been said.
            let _ = self.run(Write::Nothing, &mut Vec::new(), 0);
        }
        Err(error)
    }

    /// Runs the state machine until it waits for bytes, has done what was asked, or fails.
    fn run(&mut self, write: Write<'_>, buffer: &mut Vec<u8>, room: usize) -> Result<Progress, Error> {
        let mut sink = Sink { buffer, room, spare: &mut self.plain, buffers: &self.buffers };
        let (bytes, queue) = (&mut self.incoming.bytes, &mut self.outgoing);
        let mut done = 0;
        let outcome = loop {
            let (discarded, step) = match &mut self.side {
                Side::Unchosen => return Ok(Progress::NeedsBytes),
                Side::Server(connection) => {
                    step(connection.process_tls_records(&mut bytes[done..]), write, queue, &mut sink)
                }
                Side::Client(connection) => {
                    step(connection.process_tls_records(&mut bytes[done..]), write, queue, &mut sink)
                }
            };
            done += discarded;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.peer_closed = true,
                Ok(Step::NeedsBytes) => break Ok(Progress::NeedsBytes),
                Ok(Step::Wrote | Step::Closed | Step::Writable) => break Ok(Progress::Established),
                Err(error) => break Err(error),
            }
        };
        self.incoming.bytes.drain(..done);
        match outcome {
            // A server may write before the client has proven anything (RFC 8446 4.6.1); this one doesn't.
            Ok(Progress::Established) if self.common().is_some_and(CommonState::is_handshaking) => {
                Ok(Progress::NeedsBytes)
            }
            outcome => outcome,
        }
    }
}

/// Handles one state; says how many incoming bytes are done with, and what to do next.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    write: Write<'_>,
    queue: &mut CipherBuffer,
    sink: &mut Sink<'_>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.put(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            encode(queue, sink.buffers, |room| data.encode(room)).map(|()| Step::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::NeedsBytes),
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::Closed) => Ok(Step::Closed),
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match write {
            Write::Nothing => Ok(Step::Writable),
            Write::Traffic(bytes) => {
                encrypt(queue, sink.buffers, bytes.len(), |room| traffic.encrypt(bytes, room))
            }
            Write::CloseNotify => encrypt(queue, sink.buffers, 2, |room| traffic.queue_close_notify(room)),
        },
        // No session offers or takes early data.
        Ok(_) => Err(Error::General("an unexpected state of the TLS session".into())),
        Err(error) => Err(error),
    };
    (discard, step)
}

fn encode(
    queue: &mut CipherBuffer,
    buffers: &Rc<CipherBuffers>,
    mut data: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), Error> {
    let mut wanted = 0;
    loop {
        let start = queue.bytes.len();
        make_room(queue, buffers, wanted);
        match data(&mut queue.bytes[start..]) {
            Ok(count) => {
                queue.bytes.truncate(start + count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) if size.required_size > wanted => {
                queue.bytes.truncate(start);
                wanted = size.required_size;
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}

fn encrypt(
    queue: &mut CipherBuffer,
    buffers: &Rc<CipherBuffers>,
    bytes: usize,
    mut traffic: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<Step, Error> {
    let records = bytes.div_ceil(RECORD_BYTES_MAX);
    let mut wanted = bytes + records * RECORD_OVERHEAD_BYTES;
    loop {
        let start = queue.bytes.len();
        make_room(queue, buffers, wanted);
        match traffic(&mut queue.bytes[start..]) {
            Ok(count) => {
                queue.bytes.truncate(start + count);
                return Ok(Step::Wrote);
            }
            Err(EncryptError::InsufficientSize(size)) if size.required_size > wanted => {
                queue.bytes.truncate(start);
                wanted = size.required_size;
            }
            Err(_) => return Err(Error::EncryptError),
        }
    }
}

/// Makes `queue` longer by `bytes`, which are to be overwritten.
fn make_room(queue: &mut CipherBuffer, buffers: &Rc<CipherBuffers>, bytes: usize) {
    let length = queue.bytes.len() + bytes;
    if queue.bytes.capacity() < length {
        let mut larger = buffers.take(length);
        larger.bytes.extend_from_slice(&queue.bytes);
        *queue = larger;
    }
    queue.bytes.resize(length, 0);
}

/// The first record's length with its header, once the header is there.
fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(3..RECORD_HEADER_BYTES)?;
    Some(RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]])))
}
