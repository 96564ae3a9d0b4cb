//! What SIGHUP does to settings, and what is said of it.

use crate::descriptors;
use crate::settings::Settings;

/// The settings from now on, if any has changed. A file that can't be taken changes nothing.
pub(super) fn reread(running: &Settings) -> Option<&'static Settings> {
    let reread = match running.reread() {
        Ok(reread) => reread,
        Err(error) => {
            report!("turnpike-gateway: the settings were read again and none is changed: {error}");
            return None;
        }
    };
    if !reread.kept.is_empty() {
        report!(
            "turnpike-gateway: settings that differ and can't change while the gateway runs, which keep their value until \
             `turnpike-gateway upgrade` or a restart: {}",
            reread.kept.join(", ")
        );
    }
    if reread.changed.is_empty() {
        return None;
    }
    report!("turnpike-gateway: settings changed: {}", reread.changed.join(", "));
    if reread.changed.contains(&"connections_max") {
        descriptors::raise(&reread.settings);
    }
    Some(reread.settings.keep())
}
