//! Access keys, from the environment or from a file as the AWS CLI keeps them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::limits::{Limit, Limits};
use crate::list::read_text;

/// An access key. Its debugging form shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Where credentials stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where it is set, `AWS_SESSION_TOKEN`.
    Environment,
    /// A profile of a file in the format of the AWS CLI's `credentials`.
    File { path: PathBuf, profile: String },
}

impl Credentials {
    pub fn new(access_key_id: String, secret: String, session_token: Option<String>) -> Result<Self, String> {
        let fits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
        if !fits(&access_key_id) || !fits(&secret) || !session_token.as_deref().is_none_or(fits) {
            return Err("an access key is empty or holds characters that no access key has".to_owned());
        }
        Ok(Self { access_key_id, secret_access_key: secret, session_token })
    }

    pub fn read(place: &Place, limits: &Limits) -> Result<Self, String> {
        match place {
            Place::Environment => Self::from_variables(|name| std::env::var(name).ok()),
            Place::File { path, profile } => {
                let text = read_text(path, limits, Limit::CredentialsBytes)?;
                Self::from_profile(&text, profile, path)
            }
        }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let needed = |name: &str| variable(name).ok_or(format!("the environment has no {name}"));
        let (id, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        Self::new(id, secret, variable("AWS_SESSION_TOKEN").filter(|token| !token.is_empty()))
    }

    fn from_profile(text: &str, profile: &str, path: &Path) -> Result<Self, String> {
        let mut section = None;
        let (mut id, mut secret, mut token, mut found) = (None, None, None, false);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = Some(name.trim());
                found |= section == Some(profile);
            } else if section == Some(profile)
                && let Some((key, value)) = line.split_once('=')
            {
                let value = Some(value.trim().to_owned());
                match key.trim() {
                    "aws_access_key_id" => id = value,
                    "aws_secret_access_key" => secret = value,
                    "aws_session_token" => token = value,
                    // Regions and formats may stand beside.
                    _ => {}
                }
            }
        }
        let in_profile = |what: &str| format!("{}: the profile [{profile}] {what}", path.display());
        match (found, id, secret) {
            (false, ..) => Err(format!("{}: there is no profile [{profile}]", path.display())),
            (_, None, _) => Err(in_profile("has no aws_access_key_id")),
            (_, _, None) => Err(in_profile("has no aws_secret_access_key")),
            (_, Some(id), Some(secret)) => Self::new(id, secret, token).map_err(|reason| in_profile(&reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# keys\n[default]\naws_access_key_id = AKID\naws_secret_access_key=s3cr3t=\nregion = x\n\
        \n[ci]\naws_access_key_id=AKCI\naws_secret_access_key=other\naws_session_token = tok\n[half]\naws_access_key_id=A\n";

    fn profile(name: &str) -> Result<Credentials, String> {
        Credentials::from_profile(FILE, name, Path::new("keys"))
    }

    #[test]
    fn profiles_of_a_file_are_told_apart() {
        let default = profile("default").unwrap();
        assert_eq!((default.secret_access_key.as_str(), &default.session_token), ("s3cr3t=", &None));
        assert_eq!(profile("ci").unwrap().session_token.as_deref(), Some("tok"));
        assert!(profile("none").unwrap_err().contains("no profile [none]"));
        assert!(profile("half").unwrap_err().contains("aws_secret_access_key"));
    }

    #[test]
    fn the_environment_is_read_and_secrets_are_never_shown() {
        let of = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hidden".to_owned()),
            _ => None,
        };
        let credentials = Credentials::from_variables(of).unwrap();
        assert!(!format!("{credentials:?}").contains("hidden"));
        assert!(Credentials::from_variables(|_| None).unwrap_err().contains("AWS_ACCESS_KEY_ID"));
        let error = Credentials::new("AKID".into(), "hid\nden".into(), None).unwrap_err();
        assert!(!error.contains("hid"), "{error}");
    }
}
