//! HTTPS: what the command line says about TLS, whom to trust, and the session on a connection.
//!
//! rustls does the protocol, with ring's cryptography; nothing here is shared with the gateway.

mod failure;
mod options;
mod session;
mod sessions;
mod trust;

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

pub use failure::TlsFailure;
pub use options::{Switch, TlsArgs, TlsVersion};
pub(crate) use session::{Receiver, Sender, TlsLink};
use sessions::Sessions;

/// Checked settings of an https:// run.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    pub config: ClientConfig,
    /// Sent as SNI, unless it is an address, and what the certificate must be for.
    pub name: ServerName<'static>,
    pub resumption: bool,
}

/// How the server's sessions are opened, and the sessions that can be resumed: one reactor's own.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    pub(crate) fn new(settings: &TlsSettings) -> Self {
        let mut config = settings.config.clone();
        config.resumption = if settings.resumption {
            Resumption::store(Arc::new(Sessions::default()))
        } else {
            Resumption::disabled()
        };
        Self { config: Arc::new(config), name: settings.name.clone() }
    }
}
