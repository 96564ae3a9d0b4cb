//! What the environment has that looks like a setting.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::Cli;

const PREFIX: &str = "TURNPIKE_CONTROL_";

/// Variables that are named as settings are, and are none: mistyped, as a rule. They are told of and not refused, for
/// others make such names too (Kubernetes, for a service that is called turnpike-control).
pub(super) fn strangers(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let command = Cli::command();
    let is_setting = |name: &str| {
        let mut arguments = command.get_subcommands().flat_map(|command| command.get_arguments());
        arguments.any(|argument| argument.get_env() == Some(name.as_ref()))
    };
    let names = names.filter_map(|name| name.into_string().ok());
    names.filter(|name| name.starts_with(PREFIX) && !is_setting(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_no_settings_are_found() {
        let names =
            ["PATH", "TURNPIKE_CONTROL_LISTEN", "TURNPIKE_CONTROL_LISTENS", "TURNPIKE_CONTROL_GATEWAY_CORES"];
        assert_eq!(strangers(names.iter().map(OsString::from)), ["TURNPIKE_CONTROL_LISTENS"]);
    }
}
