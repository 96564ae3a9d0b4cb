//! How many files the process may have open, against what its settings may need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// Descriptors that the settings may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// With every place for a client's connection taken.
    pub(crate) clients: u64,
    /// And with a connection to an integration for each of them.
    pub(crate) all: u64,
}

/// Listeners, rings, the bell's two ends: for each shard.
const PER_SHARD: u64 = 16;
/// The housekeeper's own: name servers, control, upgrades.
const HOUSEKEEPER: u64 = 128;

impl Need {
    pub(crate) fn of(settings: &Settings) -> Self {
        let shards = settings.cores.len() as u64;
        let clients = shards * settings.connections_max as u64;
        let own = HOUSEKEEPER
            + settings.admin_connections_max as u64
            + settings.access_log_files_max as u64
            + shards * PER_SHARD;
        Self { clients: clients + own, all: 2 * clients + own }
    }
}

/// The limit that the system sets for this process; `u64::MAX` if there is none.
pub(crate) fn hard_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, and says when that is below what the clients' connections may need.
pub(crate) fn raise(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let allowed = if raised.is_ok() { limit.maximum } else { limit.current }.unwrap_or(u64::MAX);
    let need = Need::of(settings).clients;
    if allowed < need {
        report!(
            "turnpike-gateway: this process may have {allowed} files open, and connections_max may need {need}: raise \
             the limit (ulimit -Hn, LimitNOFILE= in systemd), or lower connections_max"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_need_follows_the_settings() {
        let settings = Settings { connections_max: 1_000, cores: vec![0, 1], ..Settings::defaults() };
        let need = Need::of(&settings);
        assert!((2_000..3_000).contains(&need.clients), "{need:?}");
        assert_eq!(need.all - need.clients, 2_000);
    }
}
