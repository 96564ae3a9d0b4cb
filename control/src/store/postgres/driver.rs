//! The thread that moves bytes to and from the server: store calls block on threads of their own, and nothing of
//! them runs on the runtime that serves requests.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::url::{StoreUrl, TlsRoots};
use super::reason;
use crate::pki::certificates_of;

/// Lost peers are noticed after about half a minute, whichever side is waiting.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Where connections lead, and how.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    timeout: Duration,
}

impl std::fmt::Debug for Target {
    /// The settings have the password in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why a connection is of no use any more, once it isn't.
pub(super) type Ended = Arc<OnceLock<String>>;

impl Target {
    /// # Errors
    /// When no certificate could be verified.
    pub(super) fn new(url: &StoreUrl, timeout: Duration) -> Result<Self, String> {
        let mut config = url.config.clone();
        config.connect_timeout(timeout);
        config.keepalives_idle(KEEPALIVE_IDLE).keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(KEEPALIVE_RETRIES).tcp_user_timeout(TCP_USER_TIMEOUT);
        let tls = url.tls.as_ref().map(tls).transpose()?;
        Ok(Self { config, tls, timeout })
    }

    /// A connection, and what moves its bytes; notifications go to `notified`.
    pub(super) async fn connect(
        &self,
        notified: impl Fn(&str) + Send + 'static,
    ) -> Result<(Client, Ended), String> {
        let connecting = async {
            match &self.tls {
                None => open(&self.config, NoTls, notified).await,
                Some(tls) => open(&self.config, tls.clone(), notified).await,
            }
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(connected) => connected,
            Err(_elapsed) => {
                Err(format!("no answer within {} ms (store_timeout_ms)", self.timeout.as_millis()))
            }
        }
    }
}

async fn open<T>(
    config: &Config,
    tls: T,
    notified: impl Fn(&str) + Send + 'static,
) -> Result<(Client, Ended), String>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await.map_err(|error| reason(&error))?;
    let ended = Ended::default();
    let tell = Arc::clone(&ended);
    tokio::spawn(async move {
        // Set once, here.
        let _ = tell.set(carry(connection, notified).await);
    });
    Ok((client, ended))
}

/// Moves the connection's bytes until it ends; returns why it did.
async fn carry<S>(mut connection: Connection<Socket, S>, notified: impl Fn(&str)) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    use tokio_postgres::AsyncMessage;
    loop {
        match std::future::poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => notified(notification.payload()),
            Some(Ok(_notice)) => {}
            Some(Err(error)) => return reason(&error),
            None => return "it was closed".to_owned(),
        }
    }
}

fn tls(roots: &TlsRoots) -> Result<MakeRustlsConnect, String> {
    let mut store = RootCertStore::empty();
    match roots {
        TlsRoots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(
                    "the system has no certificate authorities: name one by sslrootcert=FILE".to_owned()
                );
            }
        }
        TlsRoots::File(path) => {
            let failed = |why: String| format!("sslrootcert: {}: {why}", path.display());
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            for der in certificates_of(&pem, "file").map_err(|error| failed(error.to_string()))? {
                store.add(der.into()).map_err(|error| failed(error.to_string()))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(store).with_no_client_auth()))
}

/// The running thread; it ends when this is dropped, and connections with it.
#[derive(Debug)]
pub(super) struct Driver {
    handle: Handle,
    _running: oneshot::Sender<()>,
}

impl Driver {
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("can't start a runtime: {error}"))?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // A dropped sender is what is waited for.
                let _: Result<(), _> = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(|error| format!("can't start a thread: {error}"))?;
        Ok(Self { handle, _running: running })
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(work);
    }

    /// Blocks until a connection is there, or isn't to be had.
    pub(super) fn connect(&self, target: &Target) -> Result<(Client, Ended), String> {
        let target = target.clone();
        let (tell, told) = oneshot::channel();
        self.spawn(async move {
            // Nobody waits any more when the store is being closed.
            let _ = tell.send(target.connect(|_payload| {}).await);
        });
        block_on(told, None)
            .and_then(Result::ok)
            .unwrap_or_else(|| Err("the store is being closed".to_owned()))
    }
}

/// Waits on this thread for what the driver's thread brings about; `None` once `patience` is over.
pub(super) fn block_on<F: Future>(future: F, patience: Option<Duration>) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    let end = patience.map(|patience| Instant::now() + patience);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        match end.map(|end| end.saturating_duration_since(Instant::now())) {
            None => std::thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => std::thread::park_timeout(left),
        }
    }
}
