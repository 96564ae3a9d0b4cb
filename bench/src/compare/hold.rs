//! Opens many connections, has one request answered on each, and holds them idle.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Protocol, Socket, Type};
use turnpike_loadgen::reply::ReplyReader;
use turnpike_loadgen::target::Url;
use turnpike_loadgen::tls::{TlsArgs, TlsVersion};

use super::load::Target;

/// Loopback addresses that connections come from, in turn: one has ports for some 28,000 only.
const SOURCES: usize = 32;
/// Longest wait for any step of one connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Open connections; dropping closes them.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Of TLS sessions too only the sockets: nothing more is said on them.
    pub(crate) sockets: Vec<TcpStream>,
    /// Why there are fewer than wanted.
    pub(crate) failure: Option<String>,
}

impl Held {
    /// How many the proxy has not closed.
    pub(crate) fn open(&self) -> usize {
        self.sockets.iter().filter(|socket| is_open(socket)).count()
    }
}

fn is_open(socket: &TcpStream) -> bool {
    // Only what is there already counts: nothing, or bytes that TLS sent unasked.
    let peeked = socket.set_nonblocking(true).and_then(|()| socket.peek(&mut [0]));
    match peeked {
        Ok(bytes) => bytes > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Opens `connections` from one thread on each of `cores`. A thread stops at its first failure.
pub(crate) fn hold(target: &Target, connections: usize, cores: &[usize]) -> Result<Held, String> {
    let client = Arc::new(Client::new(target)?);
    let threads: Vec<_> = cores
        .iter()
        .enumerate()
        .map(|(index, core)| {
            let (client, core, step) = (Arc::clone(&client), *core, cores.len());
            thread::spawn(move || {
                // Unpinned it would only be slower.
                core_affinity::set_for_current(core_affinity::CoreId { id: core });
                client.open_all((index..connections).step_by(step))
            })
        })
        .collect();
    let mut held = Held::default();
    for thread in threads {
        let part = thread.join().map_err(|_| "a thread that opens connections panicked".to_owned())?;
        held.sockets.extend(part.sockets);
        held.failure = held.failure.or(part.failure);
    }
    Ok(held)
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    request: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Client {
    fn new(target: &Target) -> Result<Self, String> {
        let args = TlsArgs {
            insecure: target.is_tls(),
            sni: target.is_tls().then(|| target.server_name().to_owned()),
            tls: target.is_tls().then_some(TlsVersion::Tls13),
            ..TlsArgs::default()
        };
        let settings = args.check(&Url::parse(&target.origin)?)?;
        let host = target.host.clone().unwrap_or_else(|| target.address.to_string());
        Ok(Self {
            address: target.address,
            request: format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            tls: settings.map(|settings| (Arc::new(settings.config), settings.name)),
        })
    }

    fn open_all(&self, numbers: impl Iterator<Item = usize>) -> Held {
        let mut held = Held::default();
        for number in numbers {
            match self.open(source(number)) {
                Ok(socket) => held.sockets.push(socket),
                Err(reason) => {
                    held.failure = Some(reason);
                    break;
                }
            }
        }
        held
    }

    fn open(&self, source: IpAddr) -> Result<TcpStream, String> {
        let mut socket = connect(source, self.address)
            .map_err(|error| format!("no connection from {source} to {}: {error}", self.address))?;
        match &self.tls {
            None => exchange(&mut socket, &self.request)?,
            Some((config, name)) => {
                let mut session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|error| format!("TLS: {error}"))?;
                exchange(&mut rustls::Stream::new(&mut session, &mut socket), &self.request)?;
            }
        }
        Ok(socket)
    }
}

fn source(number: usize) -> IpAddr {
    // 127.0.0.1 is left to whatever else runs here.
    Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8).into()
}

fn connect(source: IpAddr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect_timeout(&address.into(), TIMEOUT)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket.into())
}

/// One request, answered 200.
fn exchange(stream: &mut (impl Read + Write), request: &str) -> Result<(), String> {
    stream.write_all(request.as_bytes()).map_err(|error| format!("a request can't be sent: {error}"))?;
    let mut reader = ReplyReader::new(false);
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).map_err(|error| format!("a reply can't be read: {error}"))?;
        if read == 0 {
            return Err("the proxy closed the connection instead of replying".to_owned());
        }
        bytes.extend_from_slice(&part[..read]);
        let (taken, reply) = reader.read(&bytes).map_err(|reason| reason.to_string())?;
        match reply {
            Some(reply) if reply.status == 200 && reply.reusable => return Ok(()),
            Some(reply) => {
                return Err(format!("the reply's status is {} or it ends the connection", reply.status));
            }
            None => drop(bytes.drain(..taken)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::compare::identity::{Identity, SERVER_NAME};

    /// Answers the first `good` connections and keeps them; closes the others.
    fn start(good: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut open = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                if number < good {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
                    open.push(stream);
                }
            }
        });
        Target { name: "x".into(), origin: format!("http://{address}"), address, host: None, group: 0 }
    }

    fn first_core() -> Vec<usize> {
        vec![core_affinity::get_core_ids().unwrap()[0].id]
    }

    #[test]
    fn connections_come_from_several_addresses_and_stay_open() {
        let held = hold(&start(40), 40, &first_core()).unwrap();
        assert_eq!((held.sockets.len(), &held.failure), (40, &None));
        let sources: std::collections::BTreeSet<_> =
            held.sockets.iter().map(|socket| socket.local_addr().unwrap().ip()).collect();
        assert_eq!(sources.len(), SOURCES);
        assert_eq!(held.open(), 40);
        held.sockets[7].shutdown(std::net::Shutdown::Read).unwrap();
        assert_eq!(held.open(), 39);
    }

    #[test]
    fn what_stops_the_opening_is_told() {
        let held = hold(&start(3), 10, &first_core()).unwrap();
        assert_eq!(held.sockets.len(), 3);
        assert!(held.failure.unwrap().contains("closed the connection"));
    }
    /// Answers connections for the name that clients ask for, and keeps them.
    fn start_tls() -> Target {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::make(dir.path(), &[SERVER_NAME]).unwrap();
        let certificate = CertificateDer::from_pem_file(&identity.certificate).unwrap();
        let key = PrivateKeyDer::from_pem_file(&identity.private_key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, stream.unwrap());
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
                assert_eq!(stream.conn.server_name(), Some(SERVER_NAME));
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
                open.push(stream);
            }
        });
        Target { name: "x".into(), origin: format!("https://{address}"), address, host: None, group: 0 }
    }

    #[test]
    fn tls_connections_stay_open_without_their_sessions() {
        let held = hold(&start_tls(), 5, &first_core()).unwrap();
        assert_eq!((held.open(), held.failure), (5, None));
    }
}
