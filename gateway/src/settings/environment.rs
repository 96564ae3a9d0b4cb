//! What the environment has that looks like a setting.

use std::ffi::OsString;

use clap::CommandFactory;

use super::command_line::Cli;
use crate::limits::STORE_PASSWORD;
use crate::upgrade::SUCCEEDS;

const PREFIX: &str = "TURNPIKE_GATEWAY_";

/// Variables that are named as settings are, and are none: mistyped, as a rule. They are told of and not refused, for
/// others make such names too (Kubernetes, for a service that is called turnpike-gateway).
pub(crate) fn strangers(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let command = Cli::command();
    let is_setting =
        |name: &str| command.get_arguments().any(|argument| argument.get_env() == Some(name.as_ref()));
    let names = names.filter_map(|name| name.into_string().ok());
    let ours =
        names.filter(|name| name.starts_with(PREFIX) && ![SUCCEEDS, STORE_PASSWORD].contains(&&**name));
    ours.filter(|name| !is_setting(name)).collect()
}
