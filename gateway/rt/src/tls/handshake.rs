//! Handshakes, of either side.
//!
//! A server reads the whole ClientHello before it chooses its configuration by it. What the last flight leaves to
//! be sent (a server's tickets, a client's Finished) goes out with the first message. Deadlines are the caller's:
//! it ends a handshake by shutting the stream down.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::{Accepted, AcceptedAlert, Acceptor, ClientHello};
use rustls::{ClientConfig, ServerConfig};

use super::TlsStream;
use super::buffers::CipherBuffers;
use super::session::{Progress, Session};
use crate::Stream;

/// The largest ClientHello that is read; those of today have 2 KiB at most.
const CLIENT_HELLO_BYTES_MAX: usize = 16 * 1024;

/// Why there is no session.
#[derive(Debug)]
pub enum HandshakeError {
    /// The peer, or this side's deadline, ended the connection.
    Closed,
    /// What came first is a letter, as in HTTP without TLS, and no record: these bytes.
    NotTls(Vec<u8>),
    /// The ClientHello is larger than any sensible one.
    HelloTooLarge,
    /// The sides don't agree, or one doesn't trust the other; the peer has been told by an alert.
    Tls(rustls::Error),
    Io(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            BrokenPipe | ConnectionReset | UnexpectedEof => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl TlsStream {
    /// A server's side; [`accept`](Self::accept) comes next.
    #[must_use]
    pub fn server(stream: Stream, buffers: Rc<CipherBuffers>) -> Self {
        Self::new(stream, Session::server(buffers))
    }

    /// A client's side; [`connect`](Self::connect) comes next.
    ///
    /// # Errors
    /// The configuration can't be used for this name.
    pub fn client(
        stream: Stream,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        buffers: Rc<CipherBuffers>,
    ) -> Result<Self, rustls::Error> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::new(stream, Session::client(connection, buffers)))
    }

    /// Does the handshake with a client, as the configuration says that `choose` finds for its ClientHello.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn accept(
        &self,
        choose: impl FnOnce(&ClientHello<'_>) -> Arc<ServerConfig>,
    ) -> Result<(), HandshakeError> {
        let config = self.read_hello(choose).await?;
        self.session.borrow_mut().choose(config).map_err(HandshakeError::Tls)?;
        self.run().await
    }

    /// Does the handshake with a server.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn connect(&self) -> Result<(), HandshakeError> {
        self.run().await
    }

    /// Sends without TLS, where [`HandshakeError::NotTls`] said that the peer has none.
    pub async fn send_in_clear(&self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        debug_assert!(self.session.borrow().common().is_none(), "a session has begun");
        self.stream.send(buffer, 0).await
    }

    /// Reads what still comes after a handshake that failed, which nobody can make sense of.
    pub async fn recv_in_vain(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        self.stream.recv(buffer).await
    }

    async fn read_hello(
        &self,
        choose: impl FnOnce(&ClientHello<'_>) -> Arc<ServerConfig>,
    ) -> Result<Arc<ServerConfig>, HandshakeError> {
        let mut acceptor = Acceptor::default();
        let mut seen = 0;
        loop {
            self.fill_for_handshake().await?;
            let accepted = {
                let session = self.session.borrow();
                feed(&mut acceptor, session.incoming(), &mut seen)?
            };
            match accepted {
                Ok(Some(accepted)) => return Ok(choose(&accepted.client_hello())),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    alert.write_all(&mut bytes).map_err(HandshakeError::Io)?;
                    // The peer should know why, if it still listens.
                    let _ = self.stream.send(bytes, 0).await;
                    return Err(HandshakeError::Tls(error));
                }
            }
        }
    }

    async fn run(&self) -> Result<(), HandshakeError> {
        loop {
            let progress = self.session.borrow_mut().advance();
            match progress {
                Ok(Progress::Established) => return Ok(()),
                Ok(Progress::NeedsBytes) => {
                    self.flush().await?;
                    self.fill_for_handshake().await?;
                }
                Err(error) => {
                    // The peer should know why, if it still listens.
                    let _ = self.flush().await;
                    return Err(HandshakeError::Tls(error));
                }
            }
        }
    }

    async fn fill_for_handshake(&self) -> Result<(), HandshakeError> {
        let filled = self.fill(None).await;
        match filled {
            Ok(()) if self.reading_ended.get() => Err(HandshakeError::Closed),
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

type Outcome = Result<Option<Accepted>, (rustls::Error, AcceptedAlert)>;

/// Gives the acceptor what it hasn't `seen` of `bytes`, the connection's first.
fn feed(acceptor: &mut Acceptor, bytes: &[u8], seen: &mut usize) -> Result<Outcome, HandshakeError> {
    if bytes[0].is_ascii_alphabetic() {
        return Err(HandshakeError::NotTls(bytes.to_vec()));
    }
    if bytes.len() > CLIENT_HELLO_BYTES_MAX {
        return Err(HandshakeError::HelloTooLarge);
    }
    while *seen < bytes.len() {
        *seen += acceptor.read_tls(&mut &bytes[*seen..]).map_err(HandshakeError::Io)?;
    }
    Ok(acceptor.accept())
}
