//! What the shards need before they start, and the housekeeper with them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::access_log::AccessLog;
use super::publish;
use super::resolver::{Addresses, Resolver};
use super::targets::{TargetEvent, Targets};
use super::vault::{Files, Lock, Vault};
use crate::access_log_format::AccessLogFormat;
use crate::settings::Settings;
use crate::stats::{SampleCalls, SampleQueue};
use crate::table::{StageLog, Table};
use crate::tls::{DefaultCertificate, Site, Sites, TicketKeys};

/// Services that the shards need before they start.
pub(crate) struct Services {
    pub(crate) settings: &'static Settings,
    pub(crate) tables: Arc<ArcSwap<Table>>,
    pub(crate) log: AccessLog,
    /// `None` where HTTPS is turned off.
    pub(super) https: Option<Https>,
    pub(super) tickets: Arc<TicketKeys>,
    pub(super) resolver: Resolver,
    pub(super) targets: Targets,
    pub(super) vault: Vault,
    pub(super) samples: (SampleQueue, SampleCalls),
}

impl Services {
    /// To be called on the housekeeper's runtime, with the data directory locked.
    ///
    /// # Errors
    /// The data directory can't be used, or the access log can't be opened.
    pub(crate) fn start(settings: &'static Settings, lock: &Lock) -> Result<Self, String> {
        let limits = publish::limits(settings);
        let vault = Vault::open_locked(Box::new(Files), &settings.data_dir, limits, lock.clone());
        let tickets = TicketKeys::new(Duration::from_millis(settings.tls_ticket_rotation_ms))?;
        let resolver = Resolver::start(settings);
        Ok(Self {
            https: Https::prepare(settings, &tickets)?,
            tickets,
            tables: Arc::new(ArcSwap::from_pointee(Table::empty())),
            log: AccessLog::start(settings).map_err(|error| error.to_string())?,
            targets: Targets::start(settings, &resolver),
            resolver,
            vault: vault.map_err(|error| error.to_string())?,
            samples: SampleQueue::new(),
            settings,
        })
    }

    pub(crate) fn addresses(&self) -> Arc<ArcSwap<Addresses>> {
        self.resolver.addresses()
    }

    /// For hosts without a site of their own; `None` where HTTPS is turned off.
    pub(crate) fn default_site(&self) -> Option<Arc<Site>> {
        self.https.as_ref().map(|https| Arc::clone(&https.site))
    }

    pub(crate) fn samples(&self) -> SampleQueue {
        self.samples.0.clone()
    }

    pub(crate) fn target_events(&self) -> mpsc::Sender<TargetEvent> {
        self.targets.events()
    }

    /// The gateway's own log, for requests that no stage logs.
    pub(crate) fn main_log(&self) -> Result<Option<StageLog>, String> {
        let Some(sink) = self.log.main_sink() else { return Ok(None) };
        let format = AccessLogFormat::compile(&self.settings.access_log_format)
            .map_err(|error| format!("access_log_format: {error}"))?;
        Ok(Some(StageLog { sink, format: Arc::new(format) }))
    }
}

/// What HTTPS answers with at hosts without a certificate of their own.
pub(super) struct Https {
    pub(super) certificate: Arc<DefaultCertificate>,
    site: Arc<Site>,
}

impl Https {
    fn prepare(settings: &Settings, tickets: &Arc<TicketKeys>) -> Result<Option<Self>, String> {
        if settings.tls_listen.is_empty() {
            return Ok(None);
        }
        let certificate = DefaultCertificate::load(settings)?;
        if let Some(authority) = certificate.authority() {
            report!(
                "turnpike-gateway: HTTPS has a development certificate for hosts without one of their own; its \
                 authority, for clients to trust: {}",
                authority.display()
            );
        }
        let site = Sites::new(Arc::clone(tickets)).default_site(&certificate);
        let site = site.map_err(|error| format!("the default certificate: {error}"))?;
        Ok(Some(Self { certificate: Arc::new(certificate), site }))
    }
}
