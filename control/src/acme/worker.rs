//! Sees to every request when it is due, a few at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, AccountCredentials, NewAccount};
use tokio::task::{JoinHandle, JoinSet};

use super::client::{Client, ClientError};
use super::failure::Failure;
use super::progress::{self, Job};
use super::trial::Trial;
use crate::change::{ChangeError, Control};
use crate::model::AcmeAccount;
use crate::publish::Publisher;
use crate::settings::AcmeSettings;
use crate::store::StoreError;
use crate::time::{iso8601, now_s};

/// At least this often, the store is looked at anew: a clock may have been set.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// When the store itself can't be read.
const STORE_PAUSE: Duration = Duration::from_secs(10);

/// A running worker; ends when it is dropped.
#[derive(Debug)]
pub struct Worker(JoinHandle<()>);

impl Worker {
    /// Starts one, if there is an authority to ask. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When no authority could be verified.
    pub fn start(control: Arc<Control>, publisher: Arc<Publisher>) -> Result<Option<Self>, ClientError> {
        let Some(settings) = control.settings().acme.clone() else { return Ok(None) };
        let client = Client::new(&settings)?;
        let issuer = Arc::new(Issuer { control, publisher, settings, client, account: Default::default() });
        Ok(Some(Self(tokio::spawn(run(issuer)))))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Issuer {
    control: Arc<Control>,
    publisher: Arc<Publisher>,
    settings: AcmeSettings,
    client: Client,
    /// Once it was needed.
    account: tokio::sync::Mutex<Option<Account>>,
}

/// For ever; what is under way ends with it.
async fn run(issuer: Arc<Issuer>) {
    let mut tries = JoinSet::new();
    let mut under_way = HashSet::new();
    if let Err(error) = progress::sweep(&issuer.control).await {
        log_line!("acme: what is left of earlier challenges can't be taken back: {error}");
    }
    loop {
        let pause = begin_due(&issuer, &mut tries, &mut under_way).await;
        tokio::select! {
            Some(ended) = tries.join_next(), if !tries.is_empty() => match ended {
                Ok(id) => { under_way.remove(&id); }
                Err(error) => {
                    // Its id is lost with it; the others go on, and so does it after the next start.
                    log_line!("acme: a try ended unexpectedly: {error}");
                }
            },
            () = issuer.control.certificate_requested() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Begins as many due tries as there is room for; returns how long there will be nothing else to begin.
async fn begin_due(
    issuer: &Arc<Issuer>,
    tries: &mut JoinSet<String>,
    under_way: &mut HashSet<String>,
) -> Duration {
    let (jobs, next_at_s) = match progress::due(&issuer.control).await {
        Ok(due) => due,
        Err(error) => {
            log_line!("acme: requests can't be read, trying again in {STORE_PAUSE:?}: {error}");
            return STORE_PAUSE;
        }
    };
    for job in jobs {
        if under_way.len() < issuer.settings.orders_max && under_way.insert(job.id.clone()) {
            let issuer = Arc::clone(issuer);
            tries.spawn(async move {
                issuer.see_to(&job).await;
                job.id
            });
        }
    }
    let wait_s = next_at_s.map_or(u64::MAX, |at_s| u64::try_from(at_s - now_s()).unwrap_or(0));
    Duration::from_secs(wait_s).min(LOOK_EVERY)
}

impl Issuer {
    /// Unless another process does.
    async fn see_to(&self, job: &Job) {
        let id = &job.id;
        let job = match progress::take(&self.control, id).await {
            Ok(Some(job)) => job,
            Ok(None) => return,
            Err(error) => {
                log_line!("acme: certificate {id} can't be seen to: {error}");
                // It is still due, and the store isn't to be asked again at once.
                return tokio::time::sleep(STORE_PAUSE).await;
            }
        };
        tokio::select! {
            () = self.try_once(&job) => {
                if let Err(error) = progress::give_back(&self.control, id).await {
                    log_line!("acme: certificate {id} can't be given back to other processes yet: {error}");
                }
            }
            () = self.hold(id) => log_line!("acme: another process sees to certificate {id} now"),
        }
    }

    /// Until another process has taken the request.
    async fn hold(&self, id: &str) {
        loop {
            tokio::time::sleep(progress::RENEW_EVERY).await;
            match progress::renew(&self.control, id).await {
                Ok(true) => {}
                Ok(false) => return,
                // Should it last, others take over; then this is told so.
                Err(error) => log_line!("acme: certificate {id} can't be kept from other processes: {error}"),
            }
        }
    }

    async fn try_once(&self, job: &Job) {
        let names = job.request.names.join(", ");
        let id = &job.id;
        match self.attempt(job).await {
            Ok(()) => log_line!("acme: certificate {id} for {names} was issued"),
            Err(failure) => {
                if failure.ends_account {
                    *self.account.lock().await = None;
                }
                let message = &failure.message;
                match progress::failed(&self.control, id, &failure, &self.settings).await {
                    Ok(Some(at_s)) => log_line!(
                        "acme: certificate {id} for {names} wasn't issued: {message}; the next try is at {}",
                        iso8601(at_s)
                    ),
                    Ok(None) => log_line!("acme: certificate {id} for {names} has failed: {message}"),
                    Err(error) => {
                        log_line!(
                            "acme: certificate {id} for {names} wasn't issued: {message}; and that can't be kept: {error}"
                        );
                        // It is still due, and nobody is to be asked again at once.
                        tokio::time::sleep(Duration::from_secs(self.settings.retry_s_max.into())).await;
                    }
                }
            }
        }
    }

    async fn attempt(&self, job: &Job) -> Result<(), Failure> {
        let account = self.account().await?;
        let trial = Trial {
            control: Arc::clone(&self.control),
            publisher: Arc::clone(&self.publisher),
            settings: self.settings.clone(),
            account,
        };
        trial.run(job).await
    }

    /// The account at the authority: the one in use, the store's, or a new one.
    async fn account(&self) -> Result<Account, Failure> {
        let mut held = self.account.lock().await;
        if let Some(account) = &*held {
            return Ok(account.clone());
        }
        let account = match self.stored().await? {
            Some((account, contact)) => {
                self.tell_contact(&account, contact).await?;
                account
            }
            None => self.register().await?,
        };
        *held = Some(account.clone());
        Ok(account)
    }

    /// The store's account, and the contact that the authority knows.
    async fn stored(&self) -> Result<Option<(Account, Option<String>)>, Failure> {
        let url = self.settings.directory_url.clone();
        let stored = self.control.read_async(move |view| {
            let Some(stored) = view.tx.entity::<AcmeAccount>("", &url)? else { return Ok(None) };
            let credentials = view.tx.open(&AcmeAccount::context(&url), &stored.credentials)?;
            Ok::<_, StoreError>(Some((credentials, stored.contact)))
        });
        let Some((credentials, contact)) = stored.await? else { return Ok(None) };
        let credentials: AccountCredentials = serde_json::from_slice(&credentials)
            .map_err(|error| Failure::passing(format!("the stored ACME account can't be read: {error}")))?;
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        Ok(Some((builder.from_credentials(credentials).await?, contact)))
    }

    async fn register(&self) -> Result<Account, Failure> {
        let contact = self.contact();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let (account, credentials) =
            builder.create(&wanted, self.settings.directory_url.clone(), None).await?;
        let credentials = serde_json::to_vec(&credentials)
            .map_err(|error| Failure::passing(format!("the new ACME account can't be kept: {error}")))?;
        self.keep(Some(credentials)).await?;
        log_line!("acme: registered the account {}", account.id());
        Ok(account)
    }

    async fn tell_contact(&self, account: &Account, known: Option<String>) -> Result<(), Failure> {
        if known == self.settings.contact {
            return Ok(());
        }
        let contact = self.contact();
        account.update_contacts(&contact.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(self.keep(None).await?)
    }

    fn contact(&self) -> Option<String> {
        self.settings.contact.as_ref().map(|mail| format!("mailto:{mail}"))
    }

    /// Keeps the contact, with new credentials or those that are there.
    async fn keep(&self, credentials: Option<Vec<u8>>) -> Result<(), ChangeError> {
        let (directory_url, contact) = (self.settings.directory_url.clone(), self.settings.contact.clone());
        self.control
            .change_async(move |change| {
                let sealed = match &credentials {
                    Some(credentials) => {
                        Some(change.tx.seal(&AcmeAccount::context(&directory_url), credentials)?)
                    }
                    None => {
                        change.tx.entity::<AcmeAccount>("", &directory_url)?.map(|known| known.credentials)
                    }
                };
                if let Some(credentials) = sealed {
                    let (directory_url, contact) = (directory_url.clone(), contact.clone());
                    change.tx.put_entity(&AcmeAccount { directory_url, contact, credentials })?;
                }
                Ok(())
            })
            .await
    }
}
