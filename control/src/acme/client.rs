//! HTTPS to a certificate authority, with a bound on time and size of every answer.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::pki::certificates_of;
use crate::settings::AcmeSettings;

/// Directories, orders and chains of certificates are far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why the authority can't be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("acme_ca_file: can't read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("acme_ca_file: {path}: {why}")]
    CaFile { path: PathBuf, why: String },
    #[error(
        "the system has no certificate authorities, so that {0} can't be verified: name some by acme_ca_file"
    )]
    NoRoots(String),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct Client {
    https: HyperClient<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// # Errors
    /// When no authority could be verified.
    pub fn new(settings: &AcmeSettings) -> Result<Self, ClientError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(settings)?)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self {
            https: HyperClient::builder(TokioExecutor::new()).build(connector),
            timeout: Duration::from_millis(settings.request_timeout_ms),
        })
    }
}

/// The system's, and those of the file.
fn roots(settings: &AcmeSettings) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log_line!("acme: some of the system's certificate authorities can't be read: {error}");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = &settings.ca_file {
        let file_error = |why: String| ClientError::CaFile { path: path.clone(), why };
        let text = std::fs::read(path).map_err(|source| ClientError::Read { path: path.clone(), source })?;
        for der in certificates_of(&text, "file").map_err(|error| file_error(error.to_string()))? {
            roots.add(der.into()).map_err(|error| file_error(error.to_string()))?;
        }
    }
    match roots.is_empty() {
        true => Err(ClientError::NoRoots(settings.directory_url.clone())),
        false => Ok(roots),
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (answer, timeout) = (self.https.request(request), self.timeout);
        let whole = async move {
            let answer = answer.await.map_err(|error| Error::Other(Box::new(error)))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(Error::Other)?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        };
        Box::pin(async move {
            match tokio::time::timeout(timeout, whole).await {
                Ok(answer) => answer,
                Err(_elapsed) => Err(Error::Other(
                    format!("no answer within {} ms (acme_request_timeout_ms)", timeout.as_millis()).into(),
                )),
            }
        })
    }
}
