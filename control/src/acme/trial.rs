//! One try of one request, from the order to the certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, NewOrder, Order as RemoteOrder,
    OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::failure::Failure;
use super::progress::{self, Job};
use crate::change::Control;
use crate::model::{Challenge, Order};
use crate::pki::{Facts, KeyAlgorithm, import_issued};
use crate::publish::Publisher;
use crate::settings::AcmeSettings;
use crate::time::now_s;

/// Between two looks at an order; grows by half each time.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
const LOOK_BACKOFF: f32 = 1.5;

/// What a try needs.
#[derive(Clone)]
pub(super) struct Trial {
    pub(super) control: Arc<Control>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) settings: AcmeSettings,
    pub(super) account: Account,
}

impl Trial {
    /// Gets the certificate, from wherever the last try was.
    pub(super) async fn run(&self, job: &Job) -> Result<(), Failure> {
        let (mut remote, order) = self.order(job).await?;
        if remote.state().status == OrderStatus::Pending {
            self.prove(job, &mut remote).await?;
        }
        let key = progress::private_key(&self.control, &job.id, &order).await?;
        if remote.state().status == OrderStatus::Ready {
            remote.finalize_csr(&signing_request(&job.request.names, &key)?).await?;
        }
        let chain = remote.poll_certificate(&self.patience()).await?;
        let imported = import_issued(chain.as_bytes(), &key, now_s())?;
        check_names(&job.request.names, &imported.facts)?;
        progress::issued(&self.control, &job.id, &order, imported).await
    }

    /// The order that was begun, if the authority still knows it, or a new one.
    async fn order(&self, job: &Job) -> Result<(RemoteOrder, Order), Failure> {
        let here = |order: &&Order| order.directory_url == self.settings.directory_url;
        if let Some(order) = job.request.order.as_ref().filter(here) {
            match self.account.order(order.url.clone()).await {
                Ok(mut remote) => {
                    if remote.state().status != OrderStatus::Invalid {
                        return Ok((remote, order.clone()));
                    }
                }
                Err(instant_acme::Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let names: Vec<Identifier> = job.request.names.iter().cloned().map(Identifier::Dns).collect();
        let remote = self.account.new_order(&NewOrder::new(&names)).await?;
        let key = new_key(job.request.key_algorithm)?;
        let (directory_url, url) = (self.settings.directory_url.clone(), remote.url().to_owned());
        let order = progress::ordered(&self.control, &job.id, (directory_url, url), key).await?;
        Ok((remote, order))
    }

    /// Has gateways answer for each name that the authority wants to see, and the authority look.
    async fn prove(&self, job: &Job, remote: &mut RemoteOrder) -> Result<(), Failure> {
        let challenges = challenges(job, remote).await?;
        let version = progress::challenge(&self.control, challenges).await?;
        self.wait_for_gateways(version).await?;
        let mut authorizations = remote.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            match authorization.challenge(ChallengeType::Http01) {
                // A try that was cut off may have told it already.
                Some(mut challenge) if challenge.status == ChallengeStatus::Pending => {
                    challenge.set_ready().await?
                }
                _ => {}
            }
        }
        match remote.poll_ready(&self.patience()).await {
            Ok(OrderStatus::Invalid) => Err(denial(remote, None).await),
            Err(instant_acme::Error::Api(problem)) => Err(denial(remote, Some(&problem)).await),
            ready => Ok(ready.map(drop)?),
        }
    }

    /// Until every gateway that is connected to this process answers the challenge.
    async fn wait_for_gateways(&self, version: u64) -> Result<(), Failure> {
        let timeout_ms = self.settings.publish_timeout_ms;
        let late = self.publisher.acknowledged(version, Duration::from_millis(timeout_ms)).await;
        if !late.is_empty() {
            let ids: Vec<String> = late.into_iter().map(|gateway| gateway.id).collect();
            return Err(Failure::passing(format!(
                "no answer to version {version}, which has the challenge, by the gateways {} within {timeout_ms} ms \
                 (acme_publish_timeout_ms)",
                ids.join(", ")
            )));
        }
        if self.publisher.gateways().is_empty() {
            return Err(Failure::passing(
                "no gateway is connected, so that nothing would answer the challenge",
            ));
        }
        if let Some((id, refusal)) = self.publisher.refusing(version) {
            let reason = refusal.reason;
            return Err(Failure::passing(format!("gateway {id} refused the challenge's version: {reason}")));
        }
        Ok(())
    }

    fn patience(&self) -> RetryPolicy {
        RetryPolicy::new()
            .initial_delay(LOOK_PAUSE)
            .backoff(LOOK_BACKOFF)
            .timeout(Duration::from_millis(self.settings.order_timeout_ms))
    }
}

/// Whether it is good for what was asked for. The order has no other one: the next try needs another order.
fn check_names(names: &[String], facts: &Facts) -> Result<(), Failure> {
    let missing = names.iter().find(|name| !facts.covers(name));
    missing.map_or(Ok(()), |name| {
        let message = format!("the certificate authority's certificate isn't valid for {name}");
        Err(Failure { ends_order: true, ..Failure::passing(message) })
    })
}

/// Why the authority didn't find what it looked for; the order's own error says less than those of its names.
async fn denial(remote: &mut RemoteOrder, of_order: Option<&Problem>) -> Failure {
    let (mut reasons, mut last) = (Vec::new(), of_order.map(Failure::of_problem));
    let mut authorizations = remote.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let name = authorization.identifier().to_string();
        for problem in authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            reasons.push(format!("{name}: {problem}"));
            last = Some(Failure::of_problem(problem));
        }
    }
    let last = last.unwrap_or_else(|| {
        Failure::denied("the certificate authority has refused the order and doesn't say why")
    });
    let message = match reasons.is_empty() {
        true => last.message.clone(),
        false => format!("the certificate authority hasn't validated {}", reasons.join("; ")),
    };
    Failure { message, ends_order: true, ..last }
}

/// What gateways have to answer.
async fn challenges(job: &Job, remote: &mut RemoteOrder) -> Result<Vec<Challenge>, Failure> {
    let mut wanted = Vec::new();
    let mut authorizations = remote.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let host = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(Failure::denied(format!("the authorization of {host} is {status:?}"))),
        }
        let challenge = authorization.challenge(ChallengeType::Http01).ok_or_else(|| {
            Failure::passing(format!("the certificate authority offers no http-01 challenge for {host}"))
        })?;
        wanted.push(Challenge {
            certificate_id: job.id.clone(),
            host: host.to_ascii_lowercase(),
            token: challenge.token.clone(),
            key_authorization: challenge.key_authorization().as_str().to_owned(),
        });
    }
    Ok(wanted)
}

/// PKCS#8, DER.
fn new_key(algorithm: KeyAlgorithm) -> Result<Vec<u8>, Failure> {
    let algorithm = match algorithm {
        KeyAlgorithm::EcPrime256v1 => &PKCS_ECDSA_P256_SHA256,
        KeyAlgorithm::EcSecp384r1 => &PKCS_ECDSA_P384_SHA384,
        other => return Err(Failure::passing(format!("no {} key can be made here", other.name()))),
    };
    let key = KeyPair::generate_for(algorithm).map_err(|error| Failure::passing(error.to_string()))?;
    Ok(key.serialize_der())
}

/// PKCS#10, DER: the names, and nothing else.
fn signing_request(names: &[String], key: &[u8]) -> Result<Vec<u8>, Failure> {
    let made = || {
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key))?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&key)
    };
    let request =
        made().map_err(|error| Failure::passing(format!("the signing request can't be made: {error}")))?;
    Ok(request.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::self_signed;

    #[test]
    fn a_certificate_for_other_names_ends_its_order() {
        let made = self_signed("a.example.com", 0, now_s() + 1_000).expect("made");
        let key = made.private_key.pkcs8;
        let facts = import_issued(made.certificate_pem.as_bytes(), &key, now_s()).expect("valid").facts;
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_names(&names(&["a.example.com"]), &facts), Ok(()));
        let failure = check_names(&names(&["a.example.com", "b.example.com"]), &facts).expect_err("another");
        assert!(failure.ends_order && !failure.is_final, "{failure:?}");
        assert!(failure.message.contains("b.example.com"), "{failure:?}");
    }
}
