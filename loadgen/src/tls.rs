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

use crate::http2;
use crate::request::Protocol;
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
    /// The server must choose HTTP/2.
    pub http2: bool,
}

impl TlsSettings {
    /// For connections that carry `protocol`, which the server must agree to (ALPN).
    pub(crate) fn speaking(mut self, protocol: Protocol) -> Self {
        if let Protocol::Http2 { .. } = protocol {
            self.config.alpn_protocols = vec![http2::ALPN.to_vec()];
            self.http2 = true;
        }
        self
    }
}

/// How one host's sessions are opened, and those that can be resumed: one reactor's own.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    http2: bool,
}

impl Connector {
    pub(crate) fn new(settings: &TlsSettings) -> Self {
        let mut config = settings.config.clone();
        config.resumption = if settings.resumption {
            Resumption::store(Arc::new(Sessions::default()))
        } else {
            Resumption::disabled()
        };
        Self { config: Arc::new(config), name: settings.name.clone(), http2: settings.http2 }
    }
}
