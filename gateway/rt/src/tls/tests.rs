//! A [`TlsStream`] on a reactor, against rustls' own blocking streams in a thread.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use super::*;
use crate::Reactor;

const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
const BOTH: [&[&SupportedProtocolVersion]; 2] = [TLS13, TLS12];

struct Pair {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Pair {
    fn new(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { server: Arc::new(server), client: Arc::new(client) }
    }
}

type Peer<C, S> = StreamOwned<C, S>;

fn name() -> ServerName<'static> {
    ServerName::try_from("a.example").unwrap()
}

/// A connection's two ends: one accepted for a reactor, one for a thread.
#[expect(clippy::disallowed_methods, reason = "a test's peer may block")]
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    (listener.accept().unwrap().0, peer)
}

fn on_both_drivers(test: impl AsyncFn()) {
    Reactor::epoll().unwrap().run(test());
    // A host without io_uring runs on epoll alone.
    if let Ok(reactor) = Reactor::io_uring() {
        reactor.run(test());
    }
}

/// A server's stream after its handshake with a client that goes on as `peer` says.
async fn served<T: Send + 'static>(
    pair: &Pair,
    buffers: &Rc<CipherBuffers>,
    peer: impl FnOnce(Peer<ClientConnection, TcpStream>) -> T + Send + 'static,
) -> (TlsStream, JoinHandle<T>) {
    let (accepted, socket) = sockets();
    let config = Arc::clone(&pair.client);
    let client = std::thread::spawn(move || {
        peer(StreamOwned::new(ClientConnection::new(config, name()).unwrap(), socket))
    });
    let stream = TlsStream::server(Stream::from_accepted(accepted.into()).unwrap(), Rc::clone(buffers));
    let mut seen = None;
    let accepted = stream.accept(|hello| {
        seen = hello.server_name().map(str::to_owned);
        Arc::clone(&pair.server)
    });
    accepted.await.unwrap();
    assert_eq!(seen.as_deref(), Some("a.example"));
    (stream, client)
}

/// A client's stream after its handshake with a server that goes on as `peer` says.
async fn connected<T: Send + 'static>(
    pair: &Pair,
    buffers: &Rc<CipherBuffers>,
    peer: impl FnOnce(Peer<ServerConnection, TcpStream>) -> T + Send + 'static,
) -> (TlsStream, JoinHandle<T>) {
    let (accepted, socket) = sockets();
    let config = Arc::clone(&pair.server);
    let server =
        std::thread::spawn(move || peer(StreamOwned::new(ServerConnection::new(config).unwrap(), socket)));
    let stream = Stream::from_accepted(accepted.into()).unwrap();
    let stream = TlsStream::client(stream, Arc::clone(&pair.client), name(), Rc::clone(buffers)).unwrap();
    stream.connect().await.unwrap();
    (stream, server)
}

/// The thread's result; the reactor runs meanwhile, since it is what sends and closes.
async fn joined<T>(thread: JoinHandle<T>) -> T {
    while !thread.is_finished() {
        crate::sleep(Duration::from_millis(1)).await;
    }
    thread.join().unwrap()
}

async fn recv_exactly(stream: &TlsStream, count: usize) -> Vec<u8> {
    let mut got = Vec::with_capacity(count);
    while got.len() < count {
        let (read, returned) = stream.recv_at_most(got, count).await;
        got = returned;
        assert!(read.unwrap() > 0, "the peer ended after {} bytes of {count}", got.len());
    }
    got
}

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 % 251) as u8).collect()
}

#[test]
fn messages_of_every_size_pass_both_ways_and_leave_no_buffer() {
    on_both_drivers(async || {
        for versions in BOTH {
            let buffers = CipherBuffers::new();
            let sizes = [1, 100, 8_000, 16_384, 16_385, 40_000, 300_000];
            let (stream, client) = served(&Pair::new(versions), &buffers, move |mut client| {
                for size in sizes {
                    client.write_all(&pattern(size)).unwrap();
                    let mut back = vec![0; size];
                    client.read_exact(&mut back).unwrap();
                    assert_eq!(back, pattern(size));
                }
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "a whole end");
            })
            .await;
            for size in sizes {
                let got = recv_exactly(&stream, size).await;
                assert_eq!(got, pattern(size));
                stream.send(got, 0).await.0.unwrap();
            }
            assert_eq!(buffers.in_use(), 0);
            drop(stream);
            joined(client).await;
        }
    });
}

#[test]
fn a_client_speaks_first_and_hears_the_end() {
    on_both_drivers(async || {
        for versions in BOTH {
            let buffers = CipherBuffers::new();
            let (stream, server) = connected(&Pair::new(versions), &buffers, |mut server| {
                let mut got = [0; 5];
                server.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"hello");
                server.write_all(&pattern(100_000)).unwrap();
                server.conn.send_close_notify();
                server.flush().unwrap();
            })
            .await;
            stream.send(b"..hello".to_vec(), 2).await.0.unwrap();
            assert_eq!(recv_exactly(&stream, 100_000).await, pattern(100_000));
            for _ in 0..2 {
                assert_eq!(stream.recv_at_most(Vec::with_capacity(8), 8).await.0.unwrap(), 0);
            }
            assert_eq!(buffers.in_use(), 0);
            joined(server).await;
        }
    });
}

#[test]
fn an_end_without_tls_end_is_an_error() {
    on_both_drivers(async || {
        let (stream, server) = connected(&Pair::new(TLS13), &CipherBuffers::new(), |mut server| {
            server.write_all(b"half").unwrap();
            server.flush().unwrap();
            server.sock.shutdown(Shutdown::Both).unwrap();
        })
        .await;
        assert_eq!(recv_exactly(&stream, 4).await, b"half");
        let ended = stream.recv_at_most(Vec::with_capacity(8), 8).await.0.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
        joined(server).await;
    });
}

#[test]
fn an_end_that_this_side_makes_is_none() {
    on_both_drivers(async || {
        let (stream, client) = served(&Pair::new(TLS13), &CipherBuffers::new(), |mut client| {
            client.flush().unwrap();
            client
        })
        .await;
        stream.shutdown(Shutdown::Read);
        assert_eq!(stream.recv_at_most(Vec::with_capacity(8), 8).await.0.unwrap(), 0);
        stream.send(b"late".to_vec(), 0).await.0.unwrap();
        drop(joined(client).await);
    });
}

#[test]
fn a_cancelled_read_gives_its_buffers_back_and_loses_nothing() {
    on_both_drivers(async || {
        let buffers = CipherBuffers::new();
        let (told, tell) = std::sync::mpsc::channel();
        let (stream, client) = served(&Pair::new(TLS13), &buffers, move |mut client| {
            client.flush().unwrap();
            tell.recv().unwrap();
            client.write_all(b"later").unwrap();
            client
        })
        .await;
        let cancel = Cancel::new();
        let mut read = std::pin::pin!(stream.recv_cancelable_at_most(Vec::with_capacity(64), 64, &cancel));
        std::future::poll_fn(|context| {
            assert!(read.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        cancel.cancel();
        let (read, buffer) = read.await;
        assert!(crate::is_canceled(&read.unwrap_err()));
        assert_eq!((buffer.capacity(), buffers.in_use()), (64, 0));
        told.send(()).unwrap();
        stream.readable().await.unwrap();
        assert_eq!(recv_exactly(&stream, 5).await, b"later");
        drop(joined(client).await);
    });
}

#[test]
fn what_a_socket_does_not_take_at_once_is_sent_by_the_next_send() {
    on_both_drivers(async || {
        const BYTES: usize = 8 << 20;
        let (told, tell) = std::sync::mpsc::channel();
        let (stream, client) = served(&Pair::new(TLS13), &CipherBuffers::new(), move |mut client| {
            client.flush().unwrap();
            tell.recv().unwrap();
            let mut got = vec![0; BYTES];
            client.read_exact(&mut got).unwrap();
            got == pattern(BYTES)
        })
        .await;
        let message = pattern(BYTES);
        let taken = stream.send_at_once(&message).unwrap();
        assert!(taken < BYTES && !stream.is_flushed(), "{taken}");
        assert_eq!(stream.send_at_once(&message[taken..]).unwrap(), 0);
        told.send(()).unwrap();
        stream.send(message, taken).await.0.unwrap();
        assert!(stream.is_flushed());
        assert!(joined(client).await);
    });
}

#[test]
fn a_resting_connection_is_quiet_whatever_tickets_come() {
    on_both_drivers(async || {
        let (told, tell) = std::sync::mpsc::channel::<()>();
        let (done, wait) = std::sync::mpsc::channel();
        let (stream, server) = connected(&Pair::new(TLS13), &CipherBuffers::new(), move |mut server| {
            let mut got = [0; 2];
            server.read_exact(&mut got).unwrap();
            server.conn.refresh_traffic_keys().unwrap();
            server.flush().unwrap();
            done.send(()).unwrap();
            tell.recv().unwrap();
            server.write_all(b"unasked").unwrap();
            done.send(()).unwrap();
            tell.recv().unwrap();
        })
        .await;
        stream.send(b"hi".to_vec(), 0).await.0.unwrap();
        wait.recv().unwrap();
        // The tickets and the key update are there.
        stream.readable().await.unwrap();
        assert!(stream.is_quiet());
        told.send(()).unwrap();
        wait.recv().unwrap();
        assert!(!stream.is_quiet());
        told.send(()).unwrap();
        joined(server).await;
    });
}

#[test]
fn key_updates_are_answered() {
    on_both_drivers(async || {
        let (stream, client) = served(&Pair::new(TLS13), &CipherBuffers::new(), |mut client| {
            client.flush().unwrap();
            for _ in 0..3 {
                client.conn.refresh_traffic_keys().unwrap();
                client.write_all(b"ping").unwrap();
                let mut got = [0; 4];
                client.read_exact(&mut got).unwrap();
                assert_eq!(&got, b"pong");
            }
        })
        .await;
        for _ in 0..3 {
            assert_eq!(recv_exactly(&stream, 4).await, b"ping");
            stream.send(b"pong".to_vec(), 0).await.0.unwrap();
        }
        joined(client).await;
    });
}

/// What a server makes of `bytes` instead of a handshake, and what it answers.
async fn refused(bytes: &[u8]) -> (HandshakeError, Vec<u8>) {
    let pair = Pair::new(TLS13);
    let (accepted, mut peer) = sockets();
    peer.write_all(bytes).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let buffers = CipherBuffers::new();
    let stream = TlsStream::server(Stream::from_accepted(accepted.into()).unwrap(), Rc::clone(&buffers));
    let error = stream.accept(|_| Arc::clone(&pair.server)).await.unwrap_err();
    drop(stream);
    assert_eq!(buffers.in_use(), 0);
    let answer = std::thread::spawn(move || {
        let mut answer = Vec::new();
        // A reset, where bytes were left, is no answer either.
        let _ = peer.read_to_end(&mut answer);
        answer
    });
    (error, joined(answer).await)
}

#[test]
fn what_is_no_handshake_is_told_apart() {
    on_both_drivers(async || {
        let (error, answer) = refused(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(
            matches!(&error, HandshakeError::NotTls(bytes) if bytes.starts_with(b"GET "))
                && answer.is_empty(),
            "{error:?}"
        );
        let (error, answer) = refused(&[0x80; 40]).await;
        assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
        assert_eq!(answer[0], 21, "an alert");
        let (error, _) = refused(b"").await;
        assert!(matches!(error, HandshakeError::Closed), "{error:?}");
        let (error, _) = refused(&[22, 3, 1, 2, 0, 1, 0]).await;
        assert!(matches!(error, HandshakeError::Closed), "{error:?}");
        // A ClientHello of 65,000 bytes, never whole.
        let mut endless = Vec::new();
        for record in 0..5 {
            endless.extend_from_slice(&[22, 3, 1, 0x40, 0]);
            let start = if record == 0 { &[1, 0, 0xfd, 0xe8][..] } else { &[] };
            endless.extend_from_slice(start);
            endless.resize(endless.len() + 0x4000 - start.len(), 0);
        }
        let (error, _) = refused(&endless).await;
        assert!(matches!(error, HandshakeError::HelloTooLarge), "{error:?}");
    });
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    on_both_drivers(async || {
        let pair = Pair::new(TLS13);
        let mut client = ClientConnection::new(Arc::clone(&pair.client), name()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let (accepted, mut peer) = sockets();
        let stream = TlsStream::server(Stream::from_accepted(accepted.into()).unwrap(), CipherBuffers::new());
        let peer = std::thread::spawn(move || {
            for byte in hello {
                peer.write_all(&[byte]).unwrap();
            }
            let mut answer = [0; 3];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [22, 3, 3], "a ServerHello");
        });
        let outcome = stream.accept(|_| Arc::clone(&pair.server)).await;
        assert!(matches!(outcome, Err(HandshakeError::Closed)), "{outcome:?}");
        joined(peer).await;
    });
}

#[test]
fn who_is_not_trusted_is_told() {
    on_both_drivers(async || {
        let (ours, theirs) = (Pair::new(TLS13), Pair::new(TLS13));
        let (accepted, socket) = sockets();
        let config = Arc::clone(&theirs.server);
        let server = std::thread::spawn(move || {
            let mut server = StreamOwned::new(ServerConnection::new(config).unwrap(), socket);
            server.read(&mut [0]).unwrap_err()
        });
        let stream = Stream::from_accepted(accepted.into()).unwrap();
        let stream =
            TlsStream::client(stream, Arc::clone(&ours.client), name(), CipherBuffers::new()).unwrap();
        let error = stream.connect().await.unwrap_err();
        assert!(matches!(error, HandshakeError::Tls(rustls::Error::InvalidCertificate(_))), "{error:?}");
        let told = joined(server).await;
        assert!(told.to_string().contains("alert"), "{told}");
    });
}
