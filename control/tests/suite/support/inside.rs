//! A management API inside the test, so that what it publishes can be looked at.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use turnpike_control::api::{Api, BoundedListener};
use turnpike_control::change::Control;
use turnpike_control::publish::{PublishSettings, Publisher, UnitSource};
use turnpike_control::settings::{Account, AccountThrottle, AuditSettings, Quotas, Settings, UsageSettings};
use turnpike_control::sigv4::AccessKey;
use turnpike_control::store::{LockError, Store, StoreError};
use turnpike_snapshot::{Limits, Root, StageUnit, Unit, check_snapshot, decode_root, decode_unit};

use super::client::Client;
use super::stores::settings_of;

pub(crate) struct Inside {
    pub(crate) control: Arc<Control>,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Settings for a data directory, with the defaults of the command line.
pub(crate) fn settings(data_dir: PathBuf) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        publish_socket: data_dir.join("publish.sock"),
        store: settings_of(&data_dir),
        data_dir,
        account: Account {
            id: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint_suffix: "localhost".to_owned(),
            endpoint_port: 8080,
            endpoint_tls_port: Some(8443),
            throttle: Some(AccountThrottle::default()),
        },
        clock_skew_s_max: 900,
        connections_max: 64,
        connections_per_address_max: 64,
        idle_timeout_ms: 60_000,
        head_timeout_ms: 10_000,
        head_bytes_max: 64 << 10,
        body_bytes_max: 1 << 20,
        body_timeout_ms: 10_000,
        body_rate_bytes_per_s_min: 4_096,
        body_rate_grace_ms: 5_000,
        form_parameters_max: 1_000,
        shutdown_timeout_ms: 1_000,
        truststore_dir: None,
        acme: None,
        quotas: Quotas::default(),
        usage: UsageSettings::default(),
        audit: AuditSettings::default(),
        request_log: false,
    }
}

impl Inside {
    pub(crate) fn start(settings: Settings) -> Self {
        let key = AccessKey { id: "test".to_owned(), secret: "secret".to_owned() };
        let store = open_when_free(&settings);
        let control = Arc::new(Control::new(store, settings).expect("a valid store"));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let (served, root_key) = (Arc::clone(&control), key.clone());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(served, root_key, tell, stopped));
        });
        let address = told.recv().expect("an address");
        Self { control, client: Client { address, key }, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn root(&self) -> Root {
        let bytes = self.control.newest_root().expect("readable");
        decode_root(&bytes, &Limits::default()).expect("a valid root")
    }

    /// All units of the newest root, which have to be complete and fit together.
    pub(crate) fn units(&self) -> Vec<Unit> {
        let root = self.root();
        let read = |unit: &turnpike_snapshot::UnitRef| {
            let bytes = self.control.unit(unit.hash).expect("readable").expect("a listed unit is kept");
            assert_eq!(bytes.len(), unit.bytes_len as usize);
            decode_unit(&bytes, &Limits::default()).expect("a valid unit")
        };
        let units: Vec<Unit> = root.units.iter().map(read).collect();
        check_snapshot(root.version, &units).expect("units that fit together");
        units
    }

    pub(crate) fn stages(&self) -> Vec<StageUnit> {
        let stage = |unit| match unit {
            Unit::Stage(stage) => Some(stage),
            _ => None,
        };
        self.units().into_iter().filter_map(stage).collect()
    }

    pub(crate) fn stage(&self, api_id: &str, name: &str) -> StageUnit {
        let stages = self.stages();
        let found = stages.iter().find(|stage| stage.api_id == api_id && stage.stage == name).cloned();
        found.unwrap_or_else(|| panic!("no stage {name} of {api_id} in {stages:?}"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the server panicked");
        }
    }
}

/// A process that another test is starting holds copies of this one's locks until it runs its own program.
fn open_when_free(settings: &Settings) -> Store {
    let end = Instant::now() + FREE_WITHIN;
    loop {
        match Store::open(&settings.data_dir, &settings.store) {
            Err(StoreError::Lock(LockError::Held(_))) if Instant::now() < end => std::thread::yield_now(),
            opened => return opened.expect("a store"),
        }
    }
}

const FREE_WITHIN: Duration = Duration::from_secs(10);

async fn serve(
    control: Arc<Control>,
    key: AccessKey,
    tell: std::sync::mpsc::Sender<SocketAddr>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = BoundedListener::bind(control.settings()).await.expect("a port");
    let source = Arc::clone(&control) as Arc<dyn UnitSource>;
    let socket = control.settings().publish_socket.clone();
    let publisher = Publisher::listen(&socket, source, PublishSettings::default()).expect("a socket");
    let address = listener.address().expect("an address");
    let api = Arc::new(Api::new(control, Arc::new(publisher), key));
    tell.send(address).expect("the test waits");
    let stop = async {
        let _ = stopped.await;
    };
    turnpike_control::api::serve(listener, api, stop).await;
}
