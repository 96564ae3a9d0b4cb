//! `rotate-secrets-key`: another key around the one that the store's secrets are encrypted with.

use super::options::StoreArgs;
use super::serve::say;
use crate::secrets::{FILE, NEXT_KEY_ENV, SecretsKey};
use crate::store::keys;

/// Blocks; nothing else runs in this command.
pub(super) fn rotate(args: StoreArgs) -> Result<(), String> {
    let (data_dir, settings) = args.settings()?;
    let next = SecretsKey::next_from_environment().map_err(|error| error.to_string())?;
    keys::rotate(&data_dir, &settings, next.as_ref()).map_err(|error| error.to_string())?;
    let new = match next {
        Some(_) => format!("the one of {NEXT_KEY_ENV}: start turnpike-control with it from now on"),
        None => format!("in {}", data_dir.join(FILE).display()),
    };
    say(&format!(
        "the store's secrets key is {new}. Keep it with the next backup; backups made before need the old one. Every \
         other turnpike-control that shares the store needs the new one when it is started next"
    ))
}
