//! A TLS session on a TCP connection, halved so that a reply can be read while a long body is still being sent.
//!
//! Invariant: neither half holds the session across an await. What the session wants to say between two requests
//! (the answer to a key update) leaves with the next request.

use std::cell::RefCell;
use std::io::{self, BufRead, Write};

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use rustls::{ClientConnection, HandshakeKind};

use super::{Connector, TlsFailure};
use crate::failure::Failure;
use crate::http2;
use crate::wire::read_ready;

/// Ciphertext that is read at a time: four records of full size.
const CIPHER_BUFFER_BYTES: usize = 64 * 1024;

/// An open session.
#[derive(Debug)]
pub(crate) struct TlsLink {
    reader: OwnedReadHalf<TcpStream>,
    writer: OwnedWriteHalf<TcpStream>,
    session: RefCell<ClientConnection>,
    /// Received and not yet decrypted; empty between calls.
    received: Vec<u8>,
    /// Encrypted and not yet sent; empty between calls.
    outgoing: Vec<u8>,
    /// The server has said that it sends no more (close_notify).
    ended: bool,
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    writer: &'a mut OwnedWriteHalf<TcpStream>,
    session: &'a RefCell<ClientConnection>,
    outgoing: &'a mut Vec<u8>,
}

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver<'a> {
    reader: &'a mut OwnedReadHalf<TcpStream>,
    session: &'a RefCell<ClientConnection>,
    received: &'a mut Vec<u8>,
    ended: &'a mut bool,
}

impl TlsLink {
    /// Shakes hands on a fresh connection; what the server says unasked with its last message goes to `plain`.
    pub(crate) async fn open(
        stream: TcpStream,
        connector: &Connector,
        plain: &mut Vec<u8>,
    ) -> Result<Self, TlsFailure> {
        let session = ClientConnection::new(connector.config.clone(), connector.name.clone())
            .map_err(TlsFailure::Protocol)?;
        let (reader, writer) = stream.into_split();
        let mut link = Self {
            reader,
            writer,
            session: RefCell::new(session),
            received: Vec::with_capacity(CIPHER_BUFFER_BYTES),
            outgoing: Vec::new(),
            ended: false,
        };
        match link.shake_hands(plain).await {
            Ok(()) if connector.http2 && link.session.borrow().alpn_protocol() != Some(http2::ALPN) => {
                Err(TlsFailure::NoHttp2)
            }
            Ok(()) => Ok(link),
            Err(failure) => {
                // The server should learn why, if it still listens; the cause is what counts.
                let _ = link.split().0.flush().await;
                Err(failure)
            }
        }
    }

    async fn shake_hands(&mut self, plain: &mut Vec<u8>) -> Result<(), TlsFailure> {
        let (mut sender, mut receiver) = self.split();
        loop {
            sender.flush().await.map_err(TlsFailure::Io)?;
            if !sender.session.borrow().is_handshaking() {
                return Ok(());
            }
            if receiver.fill().await.map_err(TlsFailure::Io)? == 0 {
                return Err(TlsFailure::Closed);
            }
            receiver.decrypt(plain).map_err(TlsFailure::Protocol)?;
        }
    }

    /// Whether the handshake took up an earlier session.
    pub(crate) fn resumed(&self) -> bool {
        self.session.borrow().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn split(&mut self) -> (Sender<'_>, Receiver<'_>) {
        let sender =
            Sender { writer: &mut self.writer, session: &self.session, outgoing: &mut self.outgoing };
        let receiver = Receiver {
            reader: &mut self.reader,
            session: &self.session,
            received: &mut self.received,
            ended: &mut self.ended,
        };
        (sender, receiver)
    }

    /// Tells the server that nothing follows.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        self.session.borrow_mut().send_close_notify();
        self.split().0.flush().await
    }
}

impl Sender<'_> {
    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // As much as the session's own buffer takes.
            let taken = self.session.borrow_mut().writer().write(bytes)?;
            bytes = &bytes[taken..];
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what the session wants to say.
    async fn flush(&mut self) -> io::Result<()> {
        let mut outgoing = std::mem::take(self.outgoing);
        {
            let mut session = self.session.borrow_mut();
            while session.wants_write() {
                session.write_tls(&mut outgoing)?;
            }
        }
        if outgoing.is_empty() {
            return Ok(());
        }
        let (sent, mut outgoing) = self.writer.write_all(outgoing).await;
        outgoing.clear();
        *self.outgoing = outgoing;
        sent.map(|_| ())
    }
}

impl Receiver<'_> {
    /// Appends at least one byte to `plain`, or answers 0 at the end that the server announced. An end without
    /// announcement may have been made by anyone (RFC 8446, section 6.1): it never completes a reply.
    pub(crate) async fn receive(&mut self, plain: &mut Vec<u8>) -> Result<usize, Failure> {
        loop {
            if *self.ended {
                return Ok(0);
            }
            if self.fill().await.map_err(Failure::Reset)? == 0 {
                return Err(Failure::ClosedEarly);
            }
            let before = plain.len();
            self.decrypt(plain).map_err(|error| Failure::Tls(TlsFailure::Protocol(error)))?;
            if plain.len() > before {
                return Ok(plain.len() - before);
            }
        }
    }

    /// The same for what has come already; `None` where nothing has, or nothing that is for the reader (tickets).
    pub(crate) async fn receive_ready(&mut self, plain: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
        if *self.ended {
            return Ok(Some(0));
        }
        match read_ready(self.reader, self.received).await.map_err(Failure::Reset)? {
            None => return Ok(None),
            Some(0) => return Ok(Some(0)),
            Some(_) => {}
        }
        let before = plain.len();
        self.decrypt(plain).map_err(|error| Failure::Tls(TlsFailure::Protocol(error)))?;
        let came = plain.len() - before;
        Ok((came > 0 || *self.ended).then_some(came))
    }

    /// Reads ciphertext; 0 at the end of the stream.
    async fn fill(&mut self) -> io::Result<usize> {
        let received = std::mem::take(self.received);
        let (begin, end) = (received.len(), received.capacity());
        let (read, slice) = self.reader.read(received.slice_mut(begin..end)).await;
        *self.received = slice.into_inner();
        read
    }

    /// Passes all that was received through the session.
    fn decrypt(&mut self, plain: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let mut session = self.session.borrow_mut();
        let mut rest = self.received.as_slice();
        while !rest.is_empty() && !*self.ended {
            session.read_tls(&mut rest).map_err(|error| rustls::Error::General(error.to_string()))?;
            let state = session.process_new_packets()?;
            *self.ended = state.peer_has_closed();
            let mut reader = session.reader();
            // An error means that there is nothing more to take just now.
            while let Ok(part) = reader.fill_buf() {
                let taken = part.len();
                if taken == 0 {
                    break;
                }
                plain.extend_from_slice(part);
                reader.consume(taken);
            }
        }
        self.received.clear();
        Ok(())
    }
}
