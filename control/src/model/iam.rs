//! Who may call the management API besides root: users, their access keys, their policies.
//!
//! Keys and policies refer to a user by its id, which stays when the user is renamed.

use serde::{Deserialize, Serialize};

use super::{Entity, Tags};
use crate::secrets::Sealed;

const NAME_EXTRA: &[u8] = b"+=,.@-_";
const PATH_CHARS_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `AIDA…`
    pub id: String,
    /// In the case that it was given in; no two users differ in case only.
    pub name: String,
    /// `/`, or between two of them.
    pub path: String,
    pub tags: Tags,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

/// What a user signs calls with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAccessKey {
    /// `AKIA…`
    pub id: String,
    pub user_id: String,
    /// Sealed in [`Self::secret_context`].
    pub secret: Sealed,
    /// An inactive key is as good as none.
    pub active: bool,
    /// Seconds since 1970.
    pub created_at_s: i64,
}

/// A policy that belongs to one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPolicy {
    pub user_id: String,
    pub name: String,
    /// As it was given; it has been read without an error.
    pub document: String,
}

impl User {
    #[must_use]
    pub fn arn(&self, account_id: &str) -> String {
        format!("arn:aws:iam::{account_id}:user{}{}", self.path, self.name)
    }

    /// What the store finds a user by.
    #[must_use]
    pub fn key_of(name: &str) -> String {
        name.to_lowercase()
    }
}

impl UserAccessKey {
    /// Where the secret is sealed.
    #[must_use]
    pub fn secret_context(id: &str) -> String {
        format!("the secret of access key {id}")
    }
}

/// Names of users and policies: letters, digits and `+=,.@-_`.
///
/// # Errors
/// What is wrong with it, in AWS's words; `of` is the member's name.
pub fn check_user_name(name: &str, of: &str, chars_max: usize) -> Result<(), String> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || NAME_EXTRA.contains(&byte);
    if name.is_empty() || !name.bytes().all(ok) {
        return Err(format!(
            "The specified value for {of} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        ));
    }
    match name.len() {
        len if len > chars_max => Err(format!(
            "1 validation error detected: Value '{name}' at '{of}' failed to satisfy constraint: Member must have \
             length less than or equal to {chars_max}"
        )),
        _ => Ok(()),
    }
}

/// Paths of users: `/`, or printable ASCII between two slashes.
///
/// # Errors
/// What is wrong with it, in AWS's words.
pub fn check_user_path(path: &str) -> Result<(), String> {
    let ends = path.starts_with('/') && path.ends_with('/');
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    if ends && printable && path.len() <= PATH_CHARS_MAX {
        return Ok(());
    }
    Err("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters."
        .to_owned())
}

impl Entity for User {
    const KIND: &'static str = "iam-user";

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> Option<String> {
        Some(Self::key_of(&self.name))
    }
}

impl Entity for UserAccessKey {
    const KIND: &'static str = "iam-access-key";

    fn id(&self) -> &str {
        &self.id
    }

    fn uses(&self) -> Option<&str> {
        Some(&self.user_id)
    }
}

impl Entity for UserPolicy {
    const KIND: &'static str = "iam-user-policy";

    fn id(&self) -> &str {
        &self.name
    }

    fn owner(&self) -> &str {
        &self.user_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_checked() {
        for name in ["a", "Ann.B+c=d,e@f-g_h", &"x".repeat(64)] {
            assert_eq!(check_user_name(name, "userName", 64), Ok(()), "{name}");
        }
        for (name, expected) in
            [("", "+=,.@_-"), ("a b", "+=,.@_-"), ("é", "+=,.@_-"), (&"x".repeat(65), "equal to 64")]
        {
            assert!(check_user_name(name, "userName", 64).expect_err(name).contains(expected), "{name}");
        }
        for path in ["/", "/a/", "/a/b-c.d/"] {
            assert_eq!(check_user_path(path), Ok(()), "{path}");
        }
        for path in ["", "a", "/a", "a/", "/a b/", "/é/"] {
            assert!(check_user_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn arns_have_the_path() {
        let user = |path: &str| User {
            id: "AIDAX".to_owned(),
            name: "Ann".to_owned(),
            path: path.to_owned(),
            tags: Tags::new(),
            created_at_s: 0,
        };
        assert_eq!(user("/").arn("000000000000"), "arn:aws:iam::000000000000:user/Ann");
        assert_eq!(user("/ops/").arn("000000000000"), "arn:aws:iam::000000000000:user/ops/Ann");
        assert_eq!(user("/").name().as_deref(), Some("ann"));
    }
}
