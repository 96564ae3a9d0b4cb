//! Certificates made for a test, and clients that speak TLS by rustls' own blocking streams.

use std::cell::RefCell;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use turnpike_snapshot::{CertificateUnit, TrustStoreUnit, Unit};

use crate::client::{Reply, read_reply};
use crate::message::Reader;
use crate::process::DEADLINE;

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate that an authority has issued, and its key.
#[derive(Debug)]
pub struct Leaf {
    pub certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// A certificate for these DNS names, the first of which is its subject's.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Leaf {
        self.issue_with(names, |_| {})
    }

    /// As [`Self::issue`], changed as wanted.
    #[must_use]
    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let subject = common_name(&names[0]);
        let mut params = CertificateParams::new(names).expect("DNS names");
        params.distinguished_name = subject;
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Leaf { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    #[must_use]
    pub fn trust_store(&self, id: &str) -> Unit {
        Unit::TrustStore(TrustStoreUnit {
            id: id.to_owned(),
            certificates: vec![self.certificate().to_vec()],
        })
    }
}

impl Leaf {
    #[must_use]
    pub fn unit(&self, id: &str) -> Unit {
        Unit::Certificate(CertificateUnit {
            id: id.to_owned(),
            chain: vec![self.certificate.to_vec()],
            private_key: self.key.serialize_der(),
        })
    }

    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("PKCS#8")
    }

    /// Writes certificate and key as PEM files.
    #[must_use]
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let certificate = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}-key.pem"));
        std::fs::write(&certificate, &self.pem).expect("a writable directory");
        std::fs::write(&key, self.key.serialize_pem()).expect("a writable directory");
        (certificate, key)
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// Trusts this authority, shows this certificate, and resumes nothing.
#[must_use]
pub fn client_config(trusted: &CertificateDer<'_>, shown: Option<&Leaf>) -> Arc<ClientConfig> {
    let mut config = config(trusted, shown);
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// As [`client_config`], and resumes the sessions of earlier connections.
#[must_use]
pub fn resuming_config(trusted: &CertificateDer<'_>, shown: Option<&Leaf>) -> Arc<ClientConfig> {
    Arc::new(config(trusted, shown))
}

fn config(trusted: &CertificateDer<'_>, shown: Option<&Leaf>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    match shown {
        None => builder.with_no_client_auth(),
        Some(leaf) => builder
            .with_client_auth_cert(vec![leaf.certificate.clone()], leaf.private_key())
            .expect("a certificate and its key"),
    }
}

type Stream = Rc<RefCell<StreamOwned<ClientConnection, TcpStream>>>;

/// A connection under TLS.
#[derive(Debug)]
pub struct TlsClient {
    stream: Stream,
    reader: Reader<ReadHalf>,
}

#[derive(Debug)]
struct ReadHalf(Stream);

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl TlsClient {
    /// Connects and shakes hands.
    ///
    /// # Panics
    /// When either fails.
    #[must_use]
    pub fn connect(to: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        Self::try_connect(to, name, config).unwrap_or_else(|error| panic!("no TLS to {name}: {error}"))
    }

    /// Connects and shakes hands. With TLS 1.3, a refused client learns of it only when it reads.
    ///
    /// # Errors
    /// The handshake's.
    pub fn try_connect(to: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect(to)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        let name = ServerName::try_from(name.to_owned()).expect("a DNS name");
        let connection = ClientConnection::new(Arc::clone(config), name).expect("a usable configuration");
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        let stream = Rc::new(RefCell::new(stream));
        Ok(Self { reader: Reader::new(ReadHalf(Rc::clone(&stream))), stream })
    }

    /// Sends one request and reads the reply.
    ///
    /// # Panics
    /// When there is none.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Reply {
        self.try_exchange(request).expect("a reply")
    }

    /// # Errors
    /// The connection's, or its session's.
    pub fn try_exchange(&mut self, request: impl AsRef<[u8]>) -> Result<Reply> {
        self.send(request)?;
        read_reply(&mut self.reader, false)
    }

    /// # Errors
    /// The connection's, or its session's.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let mut stream = self.stream.borrow_mut();
        stream.write_all(bytes.as_ref())?;
        stream.flush()
    }

    /// Reads until the other side has said that nothing more comes.
    ///
    /// # Errors
    /// `UnexpectedEof` where it closes without a word.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.borrow_mut().read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Says that nothing more is sent; replies still come.
    ///
    /// # Errors
    /// The connection's.
    pub fn half_close(&mut self) -> Result<()> {
        let mut stream = self.stream.borrow_mut();
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(std::net::Shutdown::Write)
    }

    /// The certificate that the other side has shown.
    #[must_use]
    pub fn peer_certificate(&self) -> CertificateDer<'static> {
        let stream = self.stream.borrow();
        stream.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
    }

    #[must_use]
    pub fn cipher_suite(&self) -> String {
        let stream = self.stream.borrow();
        format!("{:?}", stream.conn.negotiated_cipher_suite().expect("a handshake").suite())
    }

    /// Whether the session went on from an earlier connection's.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.stream.borrow().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// TLS in front of an origin: decrypts what comes, and passes it on. Ends with its test.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Open: (client's side, origin's side).
    streams: Mutex<Vec<(TcpStream, TcpStream)>>,
    handshakes: Mutex<Vec<Handshake>>,
}

/// What a front has seen of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    pub server_name: Option<String>,
    pub resumed: bool,
    /// The client's certificate.
    pub certificate: Option<CertificateDer<'static>>,
}

impl TlsFront {
    /// Shows `leaf`, and asks clients for a certificate of `clients`, if there is one to ask for.
    #[must_use]
    pub fn start(origin: SocketAddr, leaf: &Leaf, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate().clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("an authority"))
            }
        };
        let config = builder.with_single_cert(vec![leaf.certificate.clone()], leaf.private_key());
        let config = Arc::new(config.expect("a certificate and its key"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, origin, &config, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://` with this name, or its address, in front of `path`.
    #[must_use]
    pub fn url(&self, name: &str, path: &str) -> String {
        format!("https://{name}:{}{path}", self.address.port())
    }

    /// The handshakes that were done so far.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.shared.handshakes.lock().expect("pushes don't panic").clone()
    }

    /// Closes all connections without TLS's own end.
    pub fn cut(&self) {
        for (client, origin) in self.shared.streams.lock().expect("no panic").drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = origin.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, origin: SocketAddr, config: &Arc<ServerConfig>, shared: &Arc<Shared>) {
    let mut relays = Vec::new();
    loop {
        let (client, _) = listener.accept().expect("a connection");
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let (config, shared) = (Arc::clone(config), Arc::clone(shared));
        relays.push(std::thread::spawn(move || {
            // What a client breaks off is what the test wanted.
            let _ = relay(&client, origin, &config, &shared);
            let _ = client.shutdown(Shutdown::Both);
        }));
    }
    for (client, origin) in shared.streams.lock().expect("no panic").drain(..) {
        let _ = client.shutdown(Shutdown::Both);
        let _ = origin.shutdown(Shutdown::Both);
    }
    for relay in relays {
        let _ = relay.join();
    }
}

fn relay(client: &TcpStream, origin: SocketAddr, config: &Arc<ServerConfig>, shared: &Shared) -> Result<()> {
    client.set_nodelay(true)?;
    let mut connection = ServerConnection::new(Arc::clone(config)).expect("a usable configuration");
    let mut socket = client;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    shared.handshakes.lock().expect("no panic").push(Handshake {
        server_name: connection.server_name().map(str::to_owned),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        certificate: connection.peer_certificates().map(|chain| chain[0].clone().into_owned()),
    });
    let origin = TcpStream::connect(origin)?;
    origin.set_nodelay(true)?;
    shared.streams.lock().expect("no panic").push((client.try_clone()?, origin.try_clone()?));
    let connection = Mutex::new(connection);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = to_client(&connection, client, &origin);
            let _ = client.shutdown(Shutdown::Both);
        });
        let outcome = to_origin(&connection, client, &origin);
        let _ = origin.shutdown(Shutdown::Both);
        outcome
    })
}

fn to_origin(
    connection: &Mutex<ServerConnection>,
    mut client: &TcpStream,
    mut origin: &TcpStream,
) -> Result<()> {
    let mut plain = Vec::new();
    let mut bytes = [0; 16 * 1024];
    loop {
        plain.clear();
        let state = {
            let mut connection = connection.lock().expect("no panic");
            let state = connection.process_new_packets().map_err(std::io::Error::other)?;
            plain.resize(state.plaintext_bytes_to_read(), 0);
            connection.reader().read_exact(&mut plain)?;
            state
        };
        origin.write_all(&plain)?;
        if state.peer_has_closed() {
            return origin.shutdown(Shutdown::Write);
        }
        let count = client.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = &bytes[..count];
        let mut connection = connection.lock().expect("no panic");
        while !rest.is_empty() {
            connection.read_tls(&mut rest)?;
            connection.process_new_packets().map_err(std::io::Error::other)?;
        }
    }
}

fn to_client(
    connection: &Mutex<ServerConnection>,
    mut client: &TcpStream,
    mut origin: &TcpStream,
) -> Result<()> {
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = origin.read(&mut bytes)?;
        let mut connection = connection.lock().expect("no panic");
        if count == 0 {
            connection.send_close_notify();
        } else {
            connection.writer().write_all(&bytes[..count])?;
        }
        while connection.wants_write() {
            connection.write_tls(&mut client)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}
