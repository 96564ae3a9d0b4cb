//! `serve`: the management API and the publisher, until told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::environment;
use super::options::ServeArgs;
use super::signals::Signals;
use crate::acme::Worker;
use crate::api::{Api, BoundedListener, serve};
use crate::change::Control;
use crate::publish::{PublishSettings, Publisher, UnitSource};
use crate::root_key;
use crate::settings::Settings;
use crate::sigv4::AccessKey;
use crate::store::Store;

pub(super) async fn run(args: ServeArgs) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let (settings, publish) = args.settings()?;
    let serving = Serving::start(settings, publish).await?;
    say(&serving.ready_line())?;
    signals.stop().await;
    serving.stop().await;
    Ok(())
}

/// Writes to standard output at once: whoever started this waits for it.
pub(super) fn say(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    said.map_err(|error| format!("can't write to standard output: {error}"))
}

/// The running management API and publisher.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) control: Arc<Control>,
    pub(super) root_key: AccessKey,
    pub(super) address: SocketAddr,
    pub(super) publish_socket: PathBuf,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    announcer: JoinHandle<()>,
    /// Ends with it.
    _issuer: Option<Worker>,
}

impl Serving {
    /// Opens the data directory and starts both.
    pub(super) async fn start(settings: Settings, publish: PublishSettings) -> Result<Self, String> {
        for name in environment::strangers(std::env::vars_os().map(|(name, _)| name)) {
            log_line!(
                "turnpike-control: {name} in the environment is no setting and has no effect; --help lists the settings"
            );
        }
        let store = Store::open(&settings.data_dir, &settings.store).map_err(|error| error.to_string())?;
        // After the store, which locks the directory: two first starts must not make two keys.
        let root_key = root_key::load_or_make(&settings.data_dir).map_err(|error| error.to_string())?;
        let listener = BoundedListener::bind(&settings).await.map_err(|error| {
            format!("can't listen on {}: {error}. Choose another address with --listen", settings.listen)
        })?;
        let address = listener.address().map_err(|error| error.to_string())?;
        let publish_socket = settings.publish_socket.clone();
        let control = Arc::new(Control::new(store, settings).map_err(|error| error.to_string())?);
        let source = Arc::clone(&control) as Arc<dyn UnitSource>;
        let publisher = Publisher::listen(&publish_socket, source, publish).map_err(|e| e.to_string())?;
        let publisher = Arc::new(publisher);
        let announcer = tokio::spawn(announce(Arc::clone(&control), Arc::clone(&publisher)));
        let issuer =
            Worker::start(Arc::clone(&control), Arc::clone(&publisher)).map_err(|e| e.to_string())?;
        let api = Arc::new(Api::new(Arc::clone(&control), publisher, root_key.clone()));
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(listener, api, asked(stopped)));
        Ok(Self { control, root_key, address, publish_socket, stop, server, announcer, _issuer: issuer })
    }

    pub(super) fn ready_line(&self) -> String {
        format!("turnpike-control ready api={} publish={}", self.address, self.publish_socket.display())
    }

    /// Takes no new requests, and waits for the open ones within their time.
    pub(super) async fn stop(self) {
        let timeout_ms = self.control.settings().shutdown_timeout_ms;
        self.stop.send_replace(true);
        match tokio::time::timeout(Duration::from_millis(timeout_ms), self.server).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log_line!("management: the server failed: {error}"),
            Err(_elapsed) => log_line!(
                "management: requests were still open after {timeout_ms} ms (shutdown_timeout_ms) and are cut off"
            ),
        }
        self.announcer.abort();
    }
}

/// Tells the publisher of each committed root, beginning with the one that the store came with.
async fn announce(control: Arc<Control>, publisher: Arc<Publisher>) {
    let mut committed = control.committed();
    committed.mark_changed();
    while committed.changed().await.is_ok() {
        let version = *committed.borrow_and_update();
        publisher.published(version);
    }
}

async fn asked(mut stopped: watch::Receiver<bool>) {
    // A dropped sender means the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
