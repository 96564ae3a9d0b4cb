//! The upstream of the tests: a server on blocking threads that says what it saw, or misbehaves by script.

use std::io::{Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::client;
use crate::message::{BodyLength, Fields, Reader, invalid};
use crate::process::{DEADLINE, until};

/// A request as it reached the origin, without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: Fields,
}

/// A listening origin; closes every connection and ends its threads when dropped.
#[derive(Debug)]
pub struct Origin {
    place: Place,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// Where an origin listens.
#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    streams: Mutex<Vec<TcpStream>>,
}

impl Origin {
    /// Answers each request with 200 and JSON: `method`, `target`, `headers` (a list of pairs in lower case),
    /// `body` (text), `trailers`.
    #[must_use]
    pub fn echo() -> Self {
        Self::scripted(|connection, _| {
            while let Ok(Some(request)) = connection.request() {
                if connection.echo(&request).is_err() {
                    return;
                }
            }
        })
    }

    /// As [`Self::echo`], but that a request for `/held` waits until the test sends or ends.
    #[must_use]
    pub fn held() -> (Self, Sender<()>) {
        let (release, wait) = channel();
        let wait = Mutex::new(wait);
        let origin = Self::scripted(move |connection, _| {
            while let Ok(Some(seen)) = connection.request() {
                if seen.target == "/held" {
                    // An error is the test's end.
                    let _ = wait.lock().expect("waiting doesn't panic").recv();
                }
                if connection.echo(&seen).is_err() {
                    return;
                }
            }
        });
        (origin, release)
    }

    /// Answers each request, its body read, with `reply`, byte by byte as given, and keeps the connection.
    #[must_use]
    pub fn replying(reply: impl Into<Vec<u8>>) -> Self {
        let reply = reply.into();
        Self::scripted(move |connection, _| {
            while let Ok(Some(request)) = connection.request() {
                if connection.body(&request).and_then(|_| connection.send(&reply)).is_err() {
                    return;
                }
            }
        })
    }

    /// Runs `script` for each connection, on a thread of its own; its second argument counts connections from
    /// 0. The connection is closed when it returns.
    #[must_use]
    pub fn scripted(script: impl Fn(&mut Connection, usize) + Send + Sync + 'static) -> Self {
        Self::scripted_at("127.0.0.1:0".parse().expect("an address"), script)
    }

    /// As [`Self::scripted`], at an address that another origin may have had before.
    #[must_use]
    pub fn scripted_at(
        address: SocketAddr,
        script: impl Fn(&mut Connection, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        listener.set_reuse_address(true).expect("SO_REUSEADDR");
        listener.bind(&address.into()).expect("a port");
        let address = listener.local_addr().expect("bound").as_socket().expect("an IP address");
        Self::listen(listener, Place::Tcp(address), script)
    }

    /// As [`Self::scripted`], at a Unix socket.
    #[must_use]
    pub fn scripted_at_path(
        path: &Path,
        script: impl Fn(&mut Connection, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        if path.exists() {
            std::fs::remove_file(path).expect("a socket of an earlier origin");
        }
        listener.bind(&SockAddr::unix(path).expect("a short path")).expect("a free path");
        Self::listen(listener, Place::Unix(path.to_owned()), script)
    }

    fn listen(
        listener: Socket,
        place: Place,
        script: impl Fn(&mut Connection, usize) + Send + Sync + 'static,
    ) -> Self {
        listener.listen(1024).expect("listening");
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared, &Arc::new(script))
        });
        Self { place, shared, acceptor: Some(acceptor) }
    }

    /// # Panics
    /// For one at a Unix socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} is no IP address", path.display()),
        }
    }

    /// `http://` and its address in front of `path`, which may hold `{variables}`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        url(self.address(), path)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that neither side has closed; a script that still runs counts as open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Every request whose head arrived, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("pushes don't panic").clone()
    }

    /// Waits until the heads of `count` requests have arrived.
    pub fn wait_for_requests(&self, count: usize) {
        until(&format!("{count} requests at the origin"), || (self.seen().len() >= count).then_some(()));
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then closes all streams and so ends their scripts.
        match &self.place {
            Place::Tcp(address) => drop(TcpStream::connect(address)),
            Place::Unix(path) => drop(UnixStream::connect(path)),
        }
        if let Some(acceptor) = self.acceptor.take() {
            let outcome = acceptor.join();
            if !std::thread::panicking() {
                outcome.expect("no script of the origin panics");
            }
        }
    }
}

/// Where connections are refused: nothing listens there, and the other tests use another loopback address.
#[must_use]
pub fn refusing_url(path: &str) -> String {
    let listener = TcpListener::bind("127.0.0.77:0").expect("a port");
    url(listener.local_addr().expect("bound"), path)
}

/// A listener whose queue is full: connecting to it neither succeeds nor fails.
#[derive(Debug)]
pub struct Unreachable {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Unreachable {
    /// # Panics
    /// When the queue doesn't fill.
    #[must_use]
    pub fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("a port");
        listener.listen(0).expect("listening");
        let address = listener.local_addr().expect("bound").as_socket().expect("an IP address");
        let mut queued = Vec::new();
        for _ in 0..8 {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let connected = socket.connect_timeout(&address.into(), Duration::from_millis(100));
            queued.push(socket);
            if connected.is_err() {
                return Self { address, _listener: listener, _queued: queued };
            }
        }
        panic!("a listener with a backlog of 0 took {} connections", queued.len());
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        url(self.address, path)
    }
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

type Script = dyn Fn(&mut Connection, usize) + Send + Sync;

fn accept<S>(listener: &Socket, shared: &Arc<Shared>, script: &Arc<S>)
where
    S: Fn(&mut Connection, usize) + Send + Sync + 'static,
{
    let mut scripts = Vec::new();
    loop {
        let (stream, _) = listener.accept().expect("a connection");
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        // A TcpStream is any stream socket, as far as reading and writing go.
        let mut connection = Connection::over(TcpStream::from(stream), Arc::clone(shared));
        let closer = connection.stream.try_clone().expect("a second descriptor");
        shared.streams.lock().expect("pushes don't panic").push(closer);
        let script: Arc<Script> = Arc::<S>::clone(script);
        scripts.push(std::thread::spawn(move || script(&mut connection, number)));
    }
    for stream in shared.streams.lock().expect("pushes don't panic").drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for script in scripts {
        if let Err(panic) = script.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The origin's side of one connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: Reader<TcpStream>,
    shared: Arc<Shared>,
}

impl Connection {
    fn over(stream: TcpStream, shared: Arc<Shared>) -> Self {
        if stream.local_addr().is_ok() {
            stream.set_nodelay(true).expect("TCP_NODELAY");
        }
        stream.set_read_timeout(Some(DEADLINE)).expect("SO_RCVTIMEO");
        stream.set_write_timeout(Some(DEADLINE)).expect("SO_SNDTIMEO");
        let reader = Reader::new(stream.try_clone().expect("a second descriptor"));
        Self { stream, reader, shared }
    }

    /// Reads a request's head; `None` when the gateway closes instead.
    ///
    /// # Errors
    /// The connection's, or `InvalidData` for a request that breaks RFC 9112.
    pub fn request(&mut self) -> Result<Option<Seen>> {
        let Some(head) = self.reader.head()? else { return Ok(None) };
        let malformed = || invalid(&format!("request line '{}'", head.start_line));
        let line = head.start_line.strip_suffix(" HTTP/1.1").ok_or_else(malformed)?;
        let (method, target) = line.split_once(' ').ok_or_else(malformed)?;
        let seen = Seen { method: method.to_owned(), target: target.to_owned(), headers: head.headers };
        self.shared.seen.lock().expect("pushes don't panic").push(seen.clone());
        Ok(Some(seen))
    }

    /// Reads the body of `request`, and its trailers.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn body(&mut self, request: &Seen) -> Result<(Vec<u8>, Fields)> {
        self.reader.body(request_length(request)?)
    }

    /// Reads the body of `request` piece by piece.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn body_into(&mut self, request: &Seen, take: impl FnMut(&[u8])) -> Result<Fields> {
        self.reader.body_into(request_length(request)?, take)
    }

    /// Sends exactly these bytes.
    ///
    /// # Errors
    /// What the kernel says of a connection that was closed or reset.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// As [`crate::Client::send_until_stalled`].
    pub fn send_until_stalled(&mut self, chunk: &[u8], at_most: u64, patience: Duration) -> u64 {
        client::send_until_stalled(&mut self.stream, chunk, at_most, patience)
    }

    /// Reads the body of `request` and answers as [`Origin::echo`] does.
    ///
    /// # Errors
    /// The connection's, or what is wrong with the body.
    pub fn echo(&mut self, request: &Seen) -> Result<()> {
        let (body, trailers) = self.body(request)?;
        let pairs = |fields: &Fields| -> Vec<(String, String)> {
            fields.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
        };
        let text = json!({
            "method": request.method,
            "target": request.target,
            "headers": pairs(&request.headers),
            "body": String::from_utf8_lossy(&body),
            "trailers": pairs(&trailers),
        })
        .to_string();
        let length = text.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        self.send(head)?;
        if request.method == "HEAD" { Ok(()) } else { self.send(text) }
    }

    /// Waits until the gateway closes or resets, and passes over whatever it sends before.
    pub fn wait_for_close(&mut self) {
        // A reset says so as well, and the end of the test closes from this side.
        let _ = self.reader.body(BodyLength::UntilClose);
    }

    /// Ends this side's sending; the gateway's bytes can still be read.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Makes the coming close an RST instead of a FIN.
    pub fn reset(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        // The copy that ends scripts when the origin stops would keep the connection open.
        let own = self.stream.peer_addr().ok();
        self.shared.streams.lock().expect("pushes don't panic").retain(|kept| kept.peer_addr().ok() != own);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let lingering = SockRef::from(&self.stream).linger().ok().flatten();
        if lingering != Some(Duration::ZERO) {
            // Other descriptors of this connection are still open, so dropping this one wouldn't close it.
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn request_length(request: &Seen) -> Result<BodyLength> {
    let lengths = request.headers.all("content-length");
    let codings = request.headers.all("transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(BodyLength::Bytes(0)),
        ([length], []) => {
            length.parse().map(BodyLength::Bytes).map_err(|_| invalid(&format!("length '{length}'")))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(BodyLength::Chunked),
        _ => Err(invalid(&format!("framed ambiguously: {:?}", request.headers))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::Client;

    #[test]
    fn echoes_what_it_saw() {
        let origin = Origin::echo();
        let mut client = Client::connect(origin.address());
        let echo = client.exchange("PUT /x?y HTTP/1.1\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc").echo();
        assert_eq!((echo.method.as_str(), echo.target.as_str(), echo.body.as_str()), ("PUT", "/x?y", "abc"));
        assert_eq!(echo.headers.one("x-a"), Some("1"));
        assert_eq!(client.exchange("HEAD / HTTP/1.1\r\n\r\n").body, b"");
        assert_eq!((origin.connections(), origin.seen().len()), (1, 2));
    }

    #[test]
    fn closes_and_resets_as_told() {
        let origin = Origin::scripted(|connection, number| {
            if number == 1 {
                connection.reset();
            }
        });
        let error = Client::connect(origin.address()).try_reply(false).expect_err("nothing came");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let error = Client::connect(origin.address()).try_reply(false).expect_err("nothing came");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        until("both scripts to end", || (origin.open_connections() == 0).then_some(()));
    }

    #[test]
    fn places_that_cannot_be_reached() {
        let refusing = refusing_url("/");
        let address = refusing.trim_start_matches("http://").trim_end_matches('/');
        assert_eq!(TcpStream::connect(address).expect_err("refused").kind(), ErrorKind::ConnectionRefused);
        let unreachable = Unreachable::start();
        let error = TcpStream::connect_timeout(&unreachable.address, Duration::from_millis(50));
        assert_eq!(error.expect_err("no answer").kind(), ErrorKind::TimedOut);
    }
}
