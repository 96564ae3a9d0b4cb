//! How far each request has come, in the store: every step of a try is one transaction.

use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use crate::change::{Change, ChangeError, Control, Deed};
use crate::model::{AcmeAccount, Certificate, Challenge, Issued, Order, Request, RequestFailure};
use crate::pki::{Imported, to_pem};
use crate::settings::AcmeSettings;
use crate::store::StoreError;

/// A request that is due.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) request: Request,
}

/// One process at a time sees to a request. Its lease is renewed three times in its life, so that a process that
/// stutters keeps it, and one that is gone is soon taken over from.
const LEASE_S: i64 = 60;
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(20);

fn lease(id: &str) -> String {
    format!("acme {id}")
}

/// Takes a request for this process; what it has come to by now, or `None` if it isn't this one's to see to.
pub(super) async fn take(control: &Arc<Control>, id: &str) -> Result<Option<Job>, ChangeError> {
    let id = id.to_owned();
    control
        .change_async(move |change| {
            let certificate: Option<Certificate> = change.tx.entity("", &id)?;
            let request = certificate.and_then(|certificate| certificate.request);
            let due = request.filter(|request| request.due_at_s.is_some_and(|at_s| at_s <= change.now_s));
            let Some(request) = due else { return Ok(None) };
            Ok(change.tx.take_lease(&lease(&id), LEASE_S)?.then(|| Job { id: id.clone(), request }))
        })
        .await
}

/// Whether the request is still this process's.
pub(super) async fn renew(control: &Arc<Control>, id: &str) -> Result<bool, ChangeError> {
    let lease = lease(id);
    control.change_async(move |change| Ok(change.tx.take_lease(&lease, LEASE_S)?)).await
}

pub(super) async fn give_back(control: &Arc<Control>, id: &str) -> Result<(), ChangeError> {
    let lease = lease(id);
    control.change_async(move |change| Ok(change.tx.give_lease_back(&lease)?)).await
}

/// The requests that are due now, and when the next other one is, in seconds since 1970: it may be another process's
/// until then.
pub(super) async fn due(control: &Arc<Control>) -> Result<(Vec<Job>, Option<i64>), StoreError> {
    control
        .read_async(|view| {
            let certificates: Vec<Certificate> = view.tx.entities()?;
            let (mut jobs, mut next_at_s) = (Vec::new(), None::<i64>);
            for Certificate { id, request, .. } in certificates {
                let Some(request) = request else { continue };
                match request.due_at_s {
                    Some(at_s) if at_s <= view.now_s => match view.tx.leased_for_s(&lease(&id))? {
                        None => jobs.push(Job { id, request }),
                        Some(left_s) => next_at_s = earlier(next_at_s, view.now_s + left_s),
                    },
                    Some(at_s) => next_at_s = earlier(next_at_s, at_s),
                    None => {}
                }
            }
            jobs.sort_by_key(|job| job.request.due_at_s);
            Ok((jobs, next_at_s))
        })
        .await
}

fn earlier(known: Option<i64>, at_s: i64) -> Option<i64> {
    Some(known.map_or(at_s, |known| known.min(at_s)))
}

/// Takes challenges back whose try was cut off for good: those of certificates that are gone or have failed.
pub(super) async fn sweep(control: &Arc<Control>) -> Result<(), ChangeError> {
    control
        .change_async(|change| {
            for challenge in change.tx.entities::<Challenge>()? {
                let certificate: Option<Certificate> = change.tx.entity("", &challenge.certificate_id)?;
                let request = certificate.and_then(|certificate| certificate.request);
                if request.is_none_or(|request| request.order.is_none()) {
                    change.tx.delete_entity::<Challenge>(&challenge.certificate_id, &challenge.token)?;
                    change.recompile_account();
                }
            }
            Ok(())
        })
        .await
}

/// The key of an order, as PKCS#8, DER.
pub(super) async fn private_key(
    control: &Arc<Control>,
    id: &str,
    order: &Order,
) -> Result<Vec<u8>, StoreError> {
    let (id, sealed) = (id.to_owned(), order.private_key.clone());
    control.read_async(move |view| view.tx.open(&Certificate::key_context(&id), &sealed)).await
}

/// Keeps an order, by its directory's URL and its own, with the key that its certificate is to have, before anything
/// is done about it.
pub(super) async fn ordered(
    control: &Arc<Control>,
    id: &str,
    (directory_url, url): (String, String),
    pkcs8: Vec<u8>,
) -> Result<Order, Failure> {
    let id = id.to_owned();
    let kept = control
        .change_async(move |change| {
            let private_key = change.tx.seal(&Certificate::key_context(&id), &pkcs8)?;
            let order = Order { directory_url: directory_url.clone(), url: url.clone(), private_key };
            let kept = order.clone();
            let there = with_request(change, &id, |_, request| request.order = Some(kept))?;
            Ok::<_, ChangeError>(there.then_some(order))
        })
        .await?;
    kept.ok_or_else(|| Failure::passing("the certificate was deleted"))
}

/// Publishes challenges; returns a version of the root that has them.
pub(super) async fn challenge(control: &Arc<Control>, challenges: Vec<Challenge>) -> Result<u64, Failure> {
    control
        .change_async(move |change| {
            challenges.iter().try_for_each(|challenge| change.tx.put_entity(challenge))?;
            change.recompile_account();
            Ok::<_, ChangeError>(())
        })
        .await?;
    Ok(control.read_async::<_, StoreError>(|view| view.tx.version()).await?)
}

/// Keeps what was issued, and takes the challenges back.
pub(super) async fn issued(
    control: &Arc<Control>,
    id: &str,
    order: &Order,
    imported: Imported,
) -> Result<(), Failure> {
    let (id, private_key) = (id.to_owned(), order.private_key.clone());
    let account = &control.settings().account;
    let deed = Deed::own("acm", "IssueCertificate", Certificate::arn(&id, &account.region, &account.id));
    control
        .change_for_async(deed, move |change| {
            let (facts, now_s) = (imported.facts.clone(), change.now_s);
            let renewed_at_s = renewal(facts.not_before_s, facts.not_after_s);
            let chain = std::iter::once(&imported.certificate).chain(&imported.chain);
            let chain = chain.map(|der| to_pem(der)).collect();
            let issued = Issued { chain, private_key: private_key.clone(), facts, at_s: now_s };
            with_request(change, &id, move |certificate, request| {
                certificate.issued = Some(issued);
                *request = Request {
                    due_at_s: Some(renewed_at_s),
                    tries: 0,
                    failure: None,
                    order: None,
                    ..request.clone()
                };
            })?;
            withdraw(change, &id)?;
            change.recompile_certificate(&id);
            Ok::<_, ChangeError>(())
        })
        .await?;
    Ok(())
}

/// Keeps why a try failed and when the next one is, and takes the challenges back. Returns when that is.
pub(super) async fn failed(
    control: &Arc<Control>,
    id: &str,
    failure: &Failure,
    settings: &AcmeSettings,
) -> Result<Option<i64>, ChangeError> {
    let (id, failure, settings) = (id.to_owned(), failure.clone(), settings.clone());
    control
        .change_async(move |change| {
            let now_s = change.now_s;
            let mut due_at_s = None;
            with_request(change, &id, |certificate, request| {
                request.tries = request.tries.saturating_add(1);
                let gives_up =
                    certificate.issued.is_none() && (failure.is_final || request.tries >= settings.tries_max);
                due_at_s = (!gives_up).then(|| now_s + pause_s(request.tries, &settings));
                request.due_at_s = due_at_s;
                if failure.ends_order || gives_up {
                    request.order = None;
                }
                let (reason, message) = (failure.reason.to_owned(), failure.message.clone());
                request.failure = Some(RequestFailure { reason, message, at_s: now_s });
            })?;
            if failure.ends_account {
                change.tx.delete_entity::<AcmeAccount>("", &settings.directory_url)?;
            }
            withdraw(change, &id)?;
            Ok(due_at_s)
        })
        .await
}

/// With a third of its life left. AWS renews 60 days ahead of 395; shorter lives need their share.
fn renewal(not_before_s: i64, not_after_s: i64) -> i64 {
    not_after_s - (not_after_s - not_before_s) / 3
}

/// Doubles with each failed try.
fn pause_s(tries: u32, settings: &AcmeSettings) -> i64 {
    let doubled = u64::from(settings.retry_s_min) << tries.saturating_sub(1).min(31);
    doubled.min(u64::from(settings.retry_s_max)) as i64
}

/// Whether the certificate is still there to be changed.
fn with_request(
    change: &Change<'_>,
    id: &str,
    edit: impl FnOnce(&mut Certificate, &mut Request),
) -> Result<bool, StoreError> {
    let Some(mut certificate) = change.tx.entity::<Certificate>("", id)? else { return Ok(false) };
    let Some(mut request) = certificate.request.take() else { return Ok(false) };
    edit(&mut certificate, &mut request);
    certificate.request = Some(request);
    change.tx.put_entity(&certificate)?;
    Ok(true)
}

fn withdraw(change: &mut Change<'_>, id: &str) -> Result<(), StoreError> {
    if !change.tx.entities_of::<Challenge>(id)?.is_empty() {
        change.tx.delete_entities_of::<Challenge>(id)?;
        change.recompile_account();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_the_life_is_left_for_renewal() {
        assert_eq!(renewal(0, 90), 60);
        assert_eq!(renewal(1_000, 1_007), 1_005);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let settings = AcmeSettings {
            directory_url: String::new(),
            contact: None,
            ca_file: None,
            request_timeout_ms: 1,
            publish_timeout_ms: 1,
            order_timeout_ms: 1,
            orders_max: 1,
            tries_max: 1,
            retry_s_min: 60,
            retry_s_max: 3_600,
        };
        let pauses: Vec<i64> = [1, 2, 3, 6, 7, u32::MAX].map(|tries| pause_s(tries, &settings)).to_vec();
        assert_eq!(pauses, [60, 120, 240, 1_920, 3_600, 3_600]);
    }
}
