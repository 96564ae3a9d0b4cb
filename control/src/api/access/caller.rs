//! Whose signature a request has.

use std::net::IpAddr;
use std::sync::Arc;

use turnpike_auth::{Kind, Policy};

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::listener::BoundedStream;
use crate::api::places::Holder;
use crate::api::server::Api;
use crate::change::View;
use crate::model::{User, UserAccessKey, UserPolicy};
use crate::sigv4::{self, AccessKey, AuthError, Claim, SignedRequest, verify};
use crate::store::StoreError;
use crate::time::now_s;

/// The connection that a request comes over.
#[derive(Debug, Clone)]
pub struct Peer {
    pub(in crate::api) address: IpAddr,
    pub(in crate::api) holder: Arc<Holder>,
}

impl Peer {
    pub(in crate::api) fn of(stream: &BoundedStream) -> Self {
        Self { address: stream.peer().to_canonical(), holder: stream.holder() }
    }
}

/// Somebody whose signature holds.
#[derive(Debug, Clone)]
pub(in crate::api) struct Caller {
    pub(in crate::api) who: Who,
    pub(in crate::api) access_key_id: String,
    pub(in crate::api) source: IpAddr,
    pub(in crate::api) user_agent: Option<String>,
    pub(in crate::api) referer: Option<String>,
}

#[derive(Debug, Clone)]
pub(in crate::api) enum Who {
    Root,
    User(Box<Known>),
}

/// A user as of this call.
#[derive(Debug, Clone)]
pub(in crate::api) struct Known {
    pub(in crate::api) user: User,
    pub(in crate::api) policies: Vec<Policy>,
}

impl Caller {
    pub(in crate::api) fn arn(&self, account_id: &str) -> String {
        match &self.who {
            Who::Root => format!("arn:aws:iam::{account_id}:root"),
            Who::User(known) => known.user.arn(account_id),
        }
    }

    /// `root`, or the user's name.
    pub(in crate::api) fn name(&self) -> &str {
        match &self.who {
            Who::Root => "root",
            Who::User(known) => &known.user.name,
        }
    }
}

/// Finds the access key that a request names, and checks that it has signed it for one of `regions` and `service`.
///
/// # Errors
/// Why it isn't believed; or the store's.
pub(in crate::api) async fn identify(
    api: &Api,
    request: &SignedRequest<'_>,
    scope: (&[&str], &str),
    peer: &Peer,
) -> Result<Caller, ApiError> {
    let claim = Claim::of(request)?;
    let found = match claim.access_key_id == api.root_key.id {
        true => None,
        false => Some(Found::by(api, claim.access_key_id).await?.ok_or(AuthError::UnrecognizedClient)?),
    };
    let (regions, service) = scope;
    let policy = sigv4::Policy {
        key: found.as_ref().map_or(&api.root_key, |found| &found.key),
        regions,
        service,
        clock_skew_s_max: api.control.settings().clock_skew_s_max,
    };
    verify(request, &policy, now_s())?;
    peer.holder.has_signed();
    let who = match found {
        None => Who::Root,
        Some(found) => Who::User(Box::new(found.known()?)),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    Ok(Caller {
        who,
        access_key_id: claim.access_key_id.to_owned(),
        source: peer.address,
        user_agent: header("user-agent"),
        referer: header("referer"),
    })
}

/// Whether there is an access key of the name that a request claims to be signed by.
///
/// # Errors
/// The store's.
pub(in crate::api) async fn is_claimed(api: &Api, request: &SignedRequest<'_>) -> Result<bool, ApiError> {
    let Ok(claim) = Claim::of(request) else { return Ok(false) };
    Ok(claim.access_key_id == api.root_key.id || Found::by(api, claim.access_key_id).await?.is_some())
}

/// An active key, and whose it is.
struct Found {
    key: AccessKey,
    user: User,
    policies: Vec<UserPolicy>,
}

impl Found {
    async fn by(api: &Api, access_key_id: &str) -> Result<Option<Self>, ApiError> {
        let id = access_key_id.to_owned();
        Ok(api.control.read_async(move |view| Self::look_up(view, &id)).await?)
    }

    fn look_up(view: &View<'_>, id: &str) -> Result<Option<Self>, StoreError> {
        let key: Option<UserAccessKey> = view.tx.entity("", id)?;
        let Some(key) = key.filter(|key| key.active) else { return Ok(None) };
        let Some(user) = view.tx.entity::<User>("", &key.user_id)? else { return Ok(None) };
        let secret = view.tx.open(&UserAccessKey::secret_context(&key.id), &key.secret)?;
        let secret = String::from_utf8_lossy(&secret).into_owned();
        let policies = view.tx.entities_of(&user.id)?;
        Ok(Some(Self { key: AccessKey { id: key.id, secret }, user, policies }))
    }

    /// A policy that can't be read could be one that denies: then nothing is allowed.
    fn known(self) -> Result<Known, ApiError> {
        let policies = self.policies.iter().map(|policy| {
            let spoilt = |error: &dyn std::fmt::Display| {
                let (name, user) = (&policy.name, &self.user.name);
                ApiError::internal_text(format!("the policy {name} of user {user} can't be read: {error}"))
            };
            let document = json::parse(policy.document.as_bytes()).map_err(|error| spoilt(&error))?;
            Policy::parse(&document, Kind::Identity).map_err(|error| spoilt(&error))
        });
        Ok(Known { policies: policies.collect::<Result<_, _>>()?, user: self.user })
    }
}
