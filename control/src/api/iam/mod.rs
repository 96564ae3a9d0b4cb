//! Users, their access keys and policies: the part of AWS IAM that decides who may call the management API, over the
//! Query protocol at the same address; and STS's GetCallerIdentity. Source: the models of the AWS SDKs, iam
//! 2010-05-08 and sts 2011-06-15.

mod access_keys;
mod form;
mod identity;
mod policies;
mod users;
mod xml;

use std::sync::Arc;

use serde_json::{Value, json};

pub(super) use form::Form;
pub(super) use xml::{encode, encode_error};

use super::access::{Ask, Caller, RequestTags, Who};
use super::error::ApiError;
use crate::change::{Change, Control, Deed, View};
use crate::model::User;

/// Which of the two services a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryService {
    Iam,
    Sts,
}

impl QueryService {
    /// By the name that the credential is scoped to; IAM where it is neither, so that the signature is refused.
    pub(super) fn of_scope(service: &str) -> Self {
        if service == "sts" { Self::Sts } else { Self::Iam }
    }

    /// What clients sign these calls for.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }
}

/// What answers an action.
#[derive(Debug, Clone, Copy)]
enum Handler {
    Look(fn(&View<'_>, &mut Form, &Caller) -> Result<Value, ApiError>),
    Change(fn(&mut Change<'_>, &mut Form, &Caller) -> Result<Value, ApiError>),
}

/// A call of an action that has a handler.
#[derive(Debug, Clone)]
pub(super) struct Action {
    service: QueryService,
    pub(super) name: &'static str,
    handler: Handler,
    /// Whom it is about.
    subject: Subject,
    form: Form,
}

/// How an action names the user that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// `UserName`; the caller where it isn't given.
    User,
    /// `UserName` and `Path` of a user to be made.
    NewUser,
    /// All users, or those below `PathPrefix`.
    AllUsers,
    /// Everybody may ask who they are.
    Nobody,
}

impl Action {
    /// # Errors
    /// When the form names no action, another version, or one without a handler.
    pub(super) fn of(service: QueryService, mut form: Form) -> Result<Self, ApiError> {
        let action = form.text("Action").ok_or_else(|| ApiError {
            status: 400,
            code: "MissingAction",
            message: "The request has no parameter Action".to_owned(),
        })?;
        if let Some(version) = form.text("Version").filter(|version| version != service.version()) {
            let message = format!("Could not find operation {action} for version {version}");
            return Err(ApiError { status: 400, code: "InvalidAction", message });
        }
        let unsupported = || ApiError::unsupported_operation(service.signing_name(), &action);
        let (name, subject, handler) = handler(service, &action).ok_or_else(unsupported)?;
        Ok(Self { service, name, handler, subject, form })
    }

    pub(super) fn changes(&self) -> bool {
        matches!(self.handler, Handler::Change(_))
    }

    /// What the action asks to do; nothing where everybody may do it. A user that gets another name or path is asked
    /// for under both; one that is made with tags asks what giving them later would.
    pub(super) fn asks(&self, view: &View<'_>, caller: &Caller) -> Result<Vec<Ask>, ApiError> {
        let account = &view.settings.account.id;
        let given = |name: &str| self.form.peek(name);
        let arn = |path: &str, name: &str| format!("arn:aws:iam::{account}:user{path}{name}");
        let resources = match self.subject {
            Subject::Nobody => Vec::new(),
            Subject::AllUsers => vec![arn(given("PathPrefix").unwrap_or("/"), "")],
            Subject::NewUser => {
                vec![arn(given("Path").unwrap_or("/"), given("UserName").unwrap_or_default())]
            }
            Subject::User => match (given("UserName"), &caller.who) {
                (Some(name), _) => match users::find(view, name)? {
                    Some(user) => {
                        let path = given("NewPath").unwrap_or(&user.path);
                        let renamed = arn(path, given("NewUserName").unwrap_or(&user.name));
                        let mut both = vec![user.arn(account), renamed];
                        both.dedup();
                        both
                    }
                    None => vec![arn("/", name)],
                },
                (None, Who::User(known)) => vec![known.user.arn(account)],
                (None, Who::Root) => vec![caller.arn(account)],
            },
        };
        let tags = (self.subject == Subject::NewUser && !self.request_tags().is_empty()).then_some("TagUser");
        let actions = [self.name].into_iter().chain(tags);
        let service = self.service.signing_name();
        let asks = actions.flat_map(|action| {
            resources.iter().map(move |resource| Ask::new(format!("{service}:{action}"), resource.clone()))
        });
        Ok(asks.collect())
    }

    /// The tags that the call gives, or takes away by their keys.
    pub(super) fn request_tags(&self) -> RequestTags {
        self.form.peek_tags()
    }

    /// # Errors
    /// The action's own; or a parameter that it doesn't have.
    pub(super) async fn run(
        self,
        control: &Arc<Control>,
        caller: Arc<Caller>,
        deed: Deed,
    ) -> Result<Value, ApiError> {
        let Self { name, handler, form, .. } = self;
        let result = match handler {
            Handler::Look(look) => {
                let looked = control.read_async(move |view| {
                    let mut form = form.clone();
                    let result = look(view, &mut form, &caller)?;
                    form.finish().map(|()| result)
                });
                looked.await?
            }
            Handler::Change(change) => {
                let changed = control.change_for_async(deed, move |under_way| {
                    let mut form = form.clone();
                    let result = change(under_way, &mut form, &caller)?;
                    form.finish().map(|()| result)
                });
                changed.await?
            }
        };
        Ok(match result {
            Value::Null => json!({format!("{name}Response"): {}}),
            result => json!({format!("{name}Response"): {format!("{name}Result"): result}}),
        })
    }
}

fn handler(service: QueryService, action: &str) -> Option<(&'static str, Subject, Handler)> {
    use Handler::{Change, Look};
    use Subject::{AllUsers, NewUser, Nobody, User};
    if service == QueryService::Sts {
        let known = action == "GetCallerIdentity";
        return known.then_some(("GetCallerIdentity", Nobody, Look(identity::caller)));
    }
    Some(match action {
        "CreateUser" => ("CreateUser", NewUser, Change(users::create)),
        "GetUser" => ("GetUser", User, Look(users::get)),
        "ListUsers" => ("ListUsers", AllUsers, Look(users::list)),
        "UpdateUser" => ("UpdateUser", User, Change(users::update)),
        "DeleteUser" => ("DeleteUser", User, Change(users::delete)),
        "TagUser" => ("TagUser", User, Change(users::tag)),
        "UntagUser" => ("UntagUser", User, Change(users::untag)),
        "ListUserTags" => ("ListUserTags", User, Look(users::list_tags)),
        "CreateAccessKey" => ("CreateAccessKey", User, Change(access_keys::create)),
        "ListAccessKeys" => ("ListAccessKeys", User, Look(access_keys::list)),
        "UpdateAccessKey" => ("UpdateAccessKey", User, Change(access_keys::update)),
        "DeleteAccessKey" => ("DeleteAccessKey", User, Change(access_keys::delete)),
        "PutUserPolicy" => ("PutUserPolicy", User, Change(policies::put)),
        "GetUserPolicy" => ("GetUserPolicy", User, Look(policies::get)),
        "ListUserPolicies" => ("ListUserPolicies", User, Look(policies::list)),
        "DeleteUserPolicy" => ("DeleteUserPolicy", User, Change(policies::delete)),
        _ => return None,
    })
}

/// The user that a call names, or its caller.
fn subject(view: &View<'_>, form: &mut Form, caller: &Caller) -> Result<User, ApiError> {
    match (form.text("UserName"), &caller.who) {
        (Some(name), _) => users::find(view, &name)?.ok_or_else(|| no_such_user(&name)),
        (None, Who::User(known)) => Ok(known.user.clone()),
        (None, Who::Root) => {
            Err(validation("UserName is required here: the root access key belongs to no user".to_owned()))
        }
    }
}

/// As [`subject`], where the name has to be given.
fn named_user(view: &View<'_>, form: &mut Form) -> Result<User, ApiError> {
    let name = form.required("UserName")?;
    users::find(view, &name)?.ok_or_else(|| no_such_user(&name))
}

fn validation(message: String) -> ApiError {
    ApiError { status: 400, code: "ValidationError", message }
}

fn no_such_entity(message: String) -> ApiError {
    ApiError { status: 404, code: "NoSuchEntity", message }
}

fn no_such_user(name: &str) -> ApiError {
    no_such_entity(format!("The user with name {name} cannot be found."))
}

fn limit_exceeded(message: String) -> ApiError {
    ApiError { status: 409, code: "LimitExceeded", message }
}
