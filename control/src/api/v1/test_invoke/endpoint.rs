//! One request over one connection of its own, within the bounds of the plan.

use std::io;
use std::sync::Arc;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::Outcome;
use super::request::Plan;
use crate::change::blocking;
use crate::pki::certificates_of;

/// Where a connection can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Host { host: String, port: u16 },
    Unix { path: String },
}

/// What an https:// integration needs.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) server_name: String,
    /// Authorities beside the system's.
    pub(super) ca_pem: Option<String>,
    /// The client certificate, PEM, and its key, PKCS#8.
    pub(super) shown: Option<(String, Vec<u8>)>,
}

/// The integration's answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// Bytes that aren't UTF-8 are replaced.
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("Network error communicating with endpoint: {0}")]
    Unreachable(String),
    #[error("Endpoint request timed out: no whole answer within {0} ms")]
    Timeout(u32),
    #[error("Invalid endpoint response: {0}")]
    Invalid(String),
    #[error("The endpoint's answer has more than {0} bytes (test_invoke_body_bytes_max)")]
    TooLarge(usize),
}

impl Fault {
    /// What the data plane's clients get then.
    pub(super) fn outcome(&self) -> Outcome {
        let (status, message) = match self {
            Self::Unreachable(_) => (504, "Network error communicating with endpoint"),
            Self::Timeout(_) => (504, "Endpoint request timed out"),
            Self::Invalid(_) | Self::TooLarge(_) => (502, "Internal server error"),
        };
        Outcome::refusal(status, "InternalServerErrorException", message)
    }
}

/// Fields of one connection (RFC 9110 7.6.1), and those that are written anew.
pub(super) fn is_of_connection(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.iter().any(|other| name.eq_ignore_ascii_case(other))
}

pub(super) async fn call(plan: &Plan, bytes_max: usize) -> Result<Answered, Fault> {
    let request = request(plan)?;
    let stream = connect(&plan.places).await?;
    match &plan.tls {
        None => exchange(stream, request, bytes_max).await,
        Some(tls) => {
            let name = ServerName::try_from(tls.server_name.clone());
            let name = name.map_err(|error| Fault::Unreachable(format!("{}: {error}", tls.server_name)))?;
            // The system's authorities are read from its disk, for which the runtime's threads have no time.
            let facts = Arc::clone(tls);
            let config = blocking(move || client_config(&facts)).await?;
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await;
            let stream = stream.map_err(|error| Fault::Unreachable(format!("TLS: {error}")))?;
            exchange(stream, request, bytes_max).await
        }
    }
}

fn request(plan: &Plan) -> Result<Request<Full<Bytes>>, Fault> {
    let mut request = Request::builder().method(plan.method.as_str()).uri(plan.target.as_str());
    request = request.header("host", &plan.authority);
    for (name, value) in &plan.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(plan.client.body.clone()));
    // A header that can't be sent: what a mapping made of a value.
    request.body(body).map_err(|error| Fault::Invalid(format!("the request can't be sent: {error}")))
}

/// Bytes both ways, whatever is below.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// To the first place that takes it.
async fn connect(places: &[Place]) -> Result<Box<dyn Stream>, Fault> {
    let mut last = String::new();
    for place in places {
        let opened: io::Result<Box<dyn Stream>> = match place {
            Place::Host { host, port } => TcpStream::connect((host.as_str(), *port))
                .await
                .map(|stream| Box::new(stream) as Box<dyn Stream>),
            Place::Unix { path } => {
                UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Stream>)
            }
        };
        match opened {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{place}: {error}"),
        }
    }
    Err(Fault::Unreachable(last))
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host { host, port } => write!(f, "{host} port {port}"),
            Self::Unix { path } => f.write_str(path),
        }
    }
}

fn client_config(tls: &Tls) -> Result<ClientConfig, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::Unreachable(format!("TLS can't be set up: {error}"));
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = &tls.ca_pem {
        let trusted = certificates_of(pem.as_bytes(), "caPem").map_err(|error| fault(&error))?;
        roots.add_parsable_certificates(trusted.into_iter().map(CertificateDer::from));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| fault(&error))?;
    let builder = builder.with_root_certificates(roots);
    let Some((pem, key)) = &tls.shown else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates_of(pem.as_bytes(), "certificate").map_err(|error| fault(&error))?;
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
    builder.with_client_auth_cert(chain, key).map_err(|error| fault(&error))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Answered, Fault> {
    let invalid = |error: hyper::Error| Fault::Invalid(cause(&error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(invalid)?;
    let exchanged = async {
        let response = sender.send_request(request).await.map_err(invalid)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
            match error.downcast_ref::<LengthLimitError>() {
                Some(_) => Fault::TooLarge(bytes_max),
                None => Fault::Invalid(cause(error.as_ref())),
            }
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        Ok(Answered {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: text(&body.to_bytes()),
        })
    };
    tokio::pin!(exchanged);
    tokio::select! {
        biased;
        answered = &mut exchanged => answered,
        // The connection has ended, and with it whatever there is of an answer.
        _ = connection => exchanged.await,
    }
}

/// What is at the bottom of it.
fn cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error).to_string()
}
