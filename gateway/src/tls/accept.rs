//! A shard's side of a client's handshake, between the entrance and the first request.
//!
//! The newest table is asked for the site at the moment when the ClientHello is there. What isn't finished in
//! `tls_handshake_timeout_ms` is closed; no more than `tls_handshakes_in_flight_max` are worked on at once.

use std::cell::RefCell;
use std::net::{IpAddr, Shutdown};
use std::rc::Rc;
use std::sync::Arc;

use turnpike_rt::{Clock, HandshakeError, Stream, TlsStream, Transport};

use super::{ClientCertificate, ClientDemand, Site, TlsFailure};
use crate::pipeline::{self, Refusal, Unparsed};
use crate::shard::Shard;
use crate::wheel::{OnExpiry, Watch};

/// After a failed handshake: how much more is read, and for how long, so that the alert that says why isn't lost
/// to a reset.
const LINGER_BYTES_MAX: usize = 64 * 1024;
const LINGER_MS: u64 = 1_000;

/// What a handshake has shown of a client.
#[derive(Debug)]
pub(crate) struct TlsClient {
    /// The site whose demand for a certificate the client has met.
    met: Option<ClientDemand>,
    pub(crate) certificate: Option<ClientCertificate>,
}

impl TlsClient {
    /// Whether the client has shown what a domain demands.
    pub(crate) fn meets(&self, demand: ClientDemand) -> bool {
        self.met == Some(demand)
    }
}

/// A connection that has become TLS.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(crate) stream: Rc<Transport>,
    pub(crate) watch: Rc<Watch>,
    pub(crate) client: TlsClient,
}

/// Does the handshake; `None` for one that failed, which is counted.
pub(crate) async fn accept(shard: &Rc<Shard>, stream: Stream, peer: IpAddr) -> Option<Secured> {
    let in_flight = shard.stats.borrow().gauges.tls_handshakes_in_flight as usize;
    if in_flight >= shard.settings.tls_handshakes_in_flight_max {
        shard.stats.borrow_mut().counters.tls_failures.count(TlsFailure::InFlight);
        return None;
    }
    shard.stats.borrow_mut().gauges.tls_handshakes_in_flight += 1;
    let outcome = shake_hands(shard, stream, peer).await;
    let mut stats = shard.stats.borrow_mut();
    stats.gauges.tls_handshakes_in_flight -= 1;
    match outcome {
        Ok(secured) => {
            stats.counters.tls_handshakes_total += 1;
            let resumed = secured.stream.tls().is_some_and(TlsStream::is_resumed);
            stats.counters.tls_handshakes_resumed_total += u64::from(resumed);
            Some(secured)
        }
        Err(failure) => {
            stats.counters.tls_failures.count(failure);
            None
        }
    }
}

async fn shake_hands(shard: &Rc<Shard>, stream: Stream, peer: IpAddr) -> Result<Secured, TlsFailure> {
    let stream = TlsStream::server(stream, Rc::clone(&shard.cipher_buffers));
    let stream = Rc::new(Transport::Tls(Box::new(stream)));
    let tls = stream.tls().ok_or(TlsFailure::Internal)?;
    // A listener for HTTPS is there only with a site.
    let default = shard.site(None).ok_or(TlsFailure::Internal)?;
    let watch = Watch::new(Rc::clone(&stream));
    shard.wheel.arm(&watch, shard.settings.tls_handshake_timeout_ms, OnExpiry::EndBoth);
    let chosen = RefCell::new(None);
    let outcome = tls
        .accept(|hello| {
            let site = shard.site(hello.server_name()).unwrap_or(default);
            let config = Arc::clone(&site.config);
            chosen.replace(Some(site));
            config
        })
        .await;
    if let Err(error) = outcome {
        if watch.has_expired() {
            return Err(TlsFailure::Timeout);
        }
        let failure = TlsFailure::of(&error);
        see_off(shard, tls, &watch, peer, &error).await;
        return Err(failure);
    }
    watch.disarm();
    let site = chosen.into_inner().ok_or(TlsFailure::Internal)?;
    let client = identify(tls, &site)?;
    Ok(Secured { watch, client, stream })
}

/// Whom the client has proven to be.
fn identify(tls: &TlsStream, site: &Site) -> Result<TlsClient, TlsFailure> {
    let Some(demand) = site.demand else { return Ok(TlsClient { met: None, certificate: None }) };
    let der = tls.peer_certificate().ok_or(TlsFailure::ClientCertificateMissing)?;
    let certificate = ClientCertificate::parse(&der).ok_or(TlsFailure::ClientCertificateUntrusted)?;
    // A full handshake has checked that; one that goes on from an earlier session hasn't.
    if certificate.has_expired(Clock::unix_ms() / 1_000) {
        return Err(TlsFailure::ClientCertificateExpired);
    }
    Ok(TlsClient { met: Some(demand), certificate: Some(certificate) })
}

/// Lets the client read why it is refused.
async fn see_off(
    shard: &Rc<Shard>,
    tls: &TlsStream,
    watch: &Rc<Watch>,
    peer: IpAddr,
    error: &HandshakeError,
) {
    match error {
        HandshakeError::Closed | HandshakeError::Io(_) => return,
        HandshakeError::NotTls(bytes) => {
            let unparsed = Unparsed { bytes, source_ip: peer, started_us: shard.clock.now_us() };
            let reply = pipeline::unparsed_reply(shard, Refusal::NotTls, &unparsed);
            shard.wheel.arm(watch, shard.settings.write_timeout_ms, OnExpiry::EndBoth);
            let (sent, reply) = tls.send_in_clear(reply).await;
            shard.buffers.give(reply);
            if sent.is_err() {
                return;
            }
        }
        HandshakeError::HelloTooLarge | HandshakeError::Tls(_) => {}
    }
    tls.shutdown(Shutdown::Write);
    shard.wheel.arm(watch, LINGER_MS, OnExpiry::EndBoth);
    let mut buffer = shard.buffers.small();
    let mut left = LINGER_BYTES_MAX;
    while left > 0 && !watch.has_expired() {
        buffer.clear();
        let (received, returned) = tls.recv_in_vain(buffer).await;
        buffer = returned;
        match received {
            Ok(count) if count > 0 => left = left.saturating_sub(count),
            _ => break,
        }
    }
    shard.buffers.give(buffer);
}
