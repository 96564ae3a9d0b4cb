//! A change from the call to the commit: the entities that a caller writes, the automatic deployments
//! that follow, the units that have to be compiled again, and the new root, all in one transaction.

mod audit;
mod callers;
mod deploy;
mod domains;
mod ids;
mod quotas;
mod recompile;
mod refused;
mod rehearse;
mod source;
mod unenforced;
mod upgrade;
mod upstreams;

pub use audit::{AuditRecord, AuditedDocument, Deed};
pub(crate) use deploy::DEPLOYMENT_ID_LEN;
pub use quotas::Counted;
pub use refused::RefusedRoute;
pub use unenforced::Unenforced;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};

use tokio::sync::{Notify, watch};

use audit::AuditClock;
use callers::TouchedCallers;
use domains::Touched;

use crate::compile::{CompileError, Reference};
use crate::model::IdError;
use crate::settings::Settings;
use crate::store::{Store, StoreError, Tx};
use crate::time::now_s;

/// What a change can fail of beyond its own rules.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change asks for something that can't be served.
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Random(#[from] IdError),
}

/// The configuration: everything that reads or changes it goes through here.
#[derive(Debug)]
pub struct Control {
    store: Store,
    settings: Settings,
    endpoint_port: AtomicU16,
    /// 0 is none.
    endpoint_tls_port: AtomicU16,
    /// Told of what was requested of a certificate authority.
    requested: Notify,
    audit: AuditClock,
    /// The day, since 1970, on which what is over was last cleared away.
    quotas_tidied_on: AtomicI64,
}

impl Control {
    /// Takes over a store: publishes the account's unit if it changed, and compiles everything again
    /// if another compiler made the units. A stage that this one can't compile doesn't keep the others from it.
    ///
    /// # Errors
    /// The store's; or what it holds of the account, its domain names or usage plans can't be compiled.
    pub fn new(store: Store, settings: Settings) -> Result<Self, ChangeError> {
        let endpoint_port = AtomicU16::new(settings.account.endpoint_port);
        let endpoint_tls_port = AtomicU16::new(settings.account.endpoint_tls_port.unwrap_or(0));
        let (requested, audit) = (Notify::new(), AuditClock::default());
        let quotas_tidied_on = AtomicI64::new(i64::MIN);
        let control =
            Self { store, settings, endpoint_port, endpoint_tls_port, requested, audit, quotas_tidied_on };
        control.run(None, |change| change.open())?;
        Ok(control)
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The version of the newest committed root, and a notice of every later one.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.store.newest()
    }

    /// Ends once a certificate has been requested since the last time.
    pub async fn certificate_requested(&self) {
        self.requested.notified().await;
    }

    /// The data plane's ports as callers are told them, once a gateway has said where it listens.
    pub fn set_endpoint_ports(&self, port: u16, tls_port: Option<u16>) {
        self.endpoint_port.store(port, Ordering::Relaxed);
        self.endpoint_tls_port.store(tls_port.unwrap_or(0), Ordering::Relaxed);
    }

    /// Runs `look` on one consistent state. Blocks.
    ///
    /// # Errors
    /// The look's own, or the store's.
    pub fn read<T, E: From<StoreError>>(
        &self,
        mut look: impl FnMut(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.store.read(|tx| look(&self.view(tx)))
    }

    /// Runs `change` and all that follows from it; `Ok` means that it is on the disk. Blocks. `change` may be run
    /// again from its beginning, when the store has lost what it had done. It is Turnpike's own: what somebody asks
    /// for goes through [`Self::change_for`].
    ///
    /// # Errors
    /// The change's own, or one of what follows; then nothing has changed.
    pub fn change<T, E>(&self, mut change: impl FnMut(&mut Change<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError> + From<ChangeError>,
    {
        self.run(None, |under_way| {
            under_way.is_own_store()?;
            change(under_way)
        })
    }

    /// As [`Self::change`], with a record of it in the audit log.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn change_for<T, E>(
        &self,
        deed: &Deed,
        mut change: impl FnMut(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + From<ChangeError>,
    {
        self.run(Some(deed), |under_way| {
            under_way.is_own_store()?;
            change(under_way)
        })
    }

    fn run<T, E>(
        &self,
        deed: Option<&Deed>,
        mut change: impl FnMut(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<StoreError> + From<ChangeError>,
    {
        let deed = deed.filter(|_| self.settings.audit.records_max > 0);
        let (output, published, requests) = self.store.write(|tx| {
            if deed.is_some() {
                tx.begin_journal();
            }
            let mut under_way = Change::new(self.view(tx));
            let output = change(&mut under_way)?;
            let requests = under_way.requests;
            let published = under_way.finish()?;
            if let Some(deed) = deed {
                self.note_change(tx, deed, published)?;
            }
            Ok::<_, E>((output, published, requests))
        })?;
        if requests {
            self.requested.notify_one();
        }
        if let Some(version) = published {
            self.store.announce(version);
        }
        Ok(output)
    }

    /// [`Self::read`] off the runtime's threads.
    ///
    /// # Errors
    /// As [`Self::read`].
    ///
    /// # Panics
    /// When `look` does.
    pub async fn read_async<T, E>(
        self: &Arc<Self>,
        look: impl FnMut(&View<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let control = Arc::clone(self);
        blocking(move || control.read(look)).await
    }

    /// [`Self::change`] off the runtime's threads. It goes through even if the caller stops waiting.
    ///
    /// # Errors
    /// As [`Self::change`].
    ///
    /// # Panics
    /// When `change` does.
    pub async fn change_async<T, E>(
        self: &Arc<Self>,
        change: impl FnMut(&mut Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<ChangeError> + Send + 'static,
    {
        let control = Arc::clone(self);
        blocking(move || control.change(change)).await
    }

    /// [`Self::change_for`] off the runtime's threads.
    ///
    /// # Errors
    /// As [`Self::change`].
    ///
    /// # Panics
    /// When `change` does.
    pub async fn change_for_async<T, E>(
        self: &Arc<Self>,
        deed: Deed,
        change: impl FnMut(&mut Change<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<ChangeError> + Send + 'static,
    {
        let control = Arc::clone(self);
        blocking(move || control.change_for(&deed, change)).await
    }

    fn view<'a>(&'a self, tx: &'a Tx<'a>) -> View<'a> {
        let endpoint_port = self.endpoint_port.load(Ordering::Relaxed);
        let endpoint_tls_port = Some(self.endpoint_tls_port.load(Ordering::Relaxed)).filter(|port| *port > 0);
        View { tx, settings: &self.settings, endpoint_port, endpoint_tls_port, now_s: now_s() }
    }
}

/// Work that takes its time, off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The configuration at one moment, and what answers about it need.
#[derive(Debug)]
pub struct View<'a> {
    pub tx: &'a Tx<'a>,
    pub settings: &'a Settings,
    pub endpoint_port: u16,
    pub endpoint_tls_port: Option<u16>,
    /// The time of this call.
    pub now_s: i64,
}

/// A change under way.
#[derive(Debug)]
pub struct Change<'a> {
    view: View<'a>,
    /// HTTP APIs whose routes or integrations are no longer what they were.
    redeployed: BTreeSet<String>,
    /// API and stage to compile again.
    stages: BTreeSet<(String, String)>,
    /// Units to compile again where stages refer to them.
    referred: BTreeSet<Reference>,
    touched: Touched,
    touched_callers: TouchedCallers,
    /// Whether a certificate is requested.
    requests: bool,
    /// Whether this makes anew what another compiler has made.
    is_upgrade: bool,
    /// APIs that may have targets which nothing leads to any more.
    trimmed: BTreeSet<String>,
}

impl<'a> std::ops::Deref for Change<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl<'a> Change<'a> {
    fn new(view: View<'a>) -> Self {
        Self {
            view,
            redeployed: BTreeSet::new(),
            stages: BTreeSet::new(),
            referred: BTreeSet::new(),
            touched: Touched::default(),
            touched_callers: TouchedCallers::default(),
            requests: false,
            is_upgrade: false,
            trimmed: BTreeSet::new(),
        }
    }
}

impl Change<'_> {
    /// Routes or integrations of this HTTP API have changed: its automatic stages deploy it.
    pub fn redeploy(&mut self, api_id: &str) {
        self.redeployed.insert(api_id.to_owned());
    }

    /// What this stage serves, or how, has changed: it is compiled again, or dropped if it is gone.
    pub fn recompile(&mut self, api_id: &str, stage: &str) {
        self.stages.insert((api_id.to_owned(), stage.to_owned()));
    }

    /// What this unit is compiled from has changed, which matters while a stage refers to it.
    pub fn recompile_referred(&mut self, reference: Reference) {
        self.referred.insert(reference);
    }

    /// A certificate is to be had of its authority.
    pub fn request_certificate(&mut self) {
        self.requests = true;
    }

    /// All stages that the API serves are compiled again, or dropped if it is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn recompile_api(&mut self, api_id: &str) -> Result<(), StoreError> {
        for stage in self.view.tx.stages_in_slots(api_id)? {
            self.recompile(api_id, &stage);
        }
        Ok(())
    }

    /// Does what follows; the version of the new root, if there is one.
    fn finish(mut self) -> Result<Option<u64>, ChangeError> {
        for api_id in std::mem::take(&mut self.redeployed) {
            self.auto_deploy(&api_id)?;
            self.trimmed.insert(api_id);
        }
        self.trimmed.extend(self.stages.iter().map(|(api_id, _)| api_id.clone()));
        self.compile_and_publish()
    }
}
