//! The proxies of one section, all started for the same way of listening, each with a directory of its own.

use std::net::SocketAddr;
use std::path::Path;

use super::identity::{Identity, SERVER_NAME};
use super::load::Target;
use super::peers::{Downstream, Peer, Role};
use super::turnpike::{Options, Turnpike, WILDCARD_HOST};
use super::{Bench, PeerName};

/// They are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Contenders {
    pub(crate) targets: Vec<Target>,
    _peers: Vec<Peer>,
    _turnpike: Option<Turnpike>,
}

/// What they speak with their clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    Http2,
}

impl Contenders {
    /// Starts those of `names` that are compared; `section` names their directory.
    pub(crate) fn start(
        bench: &Bench,
        section: &str,
        names: &[PeerName],
        protocol: Protocol,
        connections_max: usize,
    ) -> Result<Self, String> {
        Self::start_at(bench, bench.origin, section, names, protocol, connections_max)
    }

    /// The same, with an origin of the section's own.
    pub(crate) fn start_at(
        bench: &Bench,
        origin: SocketAddr,
        section: &str,
        names: &[PeerName],
        protocol: Protocol,
        connections_max: usize,
    ) -> Result<Self, String> {
        let dir = bench.dir.path().join(section);
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let identity = Identity::make(&dir, &[SERVER_NAME, WILDCARD_HOST])?;
        let mut contenders = Self { targets: Vec::new(), _peers: Vec::new(), _turnpike: None };
        for name in names.iter().filter(|name| bench.compares(**name)) {
            if *name == PeerName::Turnpike {
                let role = (origin, protocol, connections_max);
                contenders.add_turnpike(bench, &dir, role, &identity)?;
                continue;
            }
            let role = Role {
                origin,
                downstream: match protocol {
                    Protocol::Http => Downstream::Http,
                    Protocol::Https => Downstream::Https(&identity),
                    Protocol::Http2 => Downstream::Http2,
                },
                connections_max,
                ..bench.role(&dir)
            };
            contenders.add_peer(bench.start_proxy(*name, &role)?);
        }
        Ok(contenders)
    }

    fn add_peer(&mut self, peer: Peer) {
        self.targets.push(peer.target.clone());
        self._peers.push(peer);
    }

    fn add_turnpike(
        &mut self,
        bench: &Bench,
        dir: &Path,
        (origin, protocol, connections_max): (SocketAddr, Protocol, usize),
        identity: &Identity,
    ) -> Result<(), String> {
        let connections = connections_max.to_string();
        // Idle connections are kept as long as the peers keep theirs.
        let gateway = ["--connections-max", &connections, "--idle-timeout-ms", "600000"];
        let (binaries, layout) = (&bench.binaries, &bench.layout);
        let identity = (protocol == Protocol::Https).then_some(identity);
        let options = Options { identity, gateway: &gateway, ..Options::default() };
        let mut turnpike = Turnpike::start_with("turnpike", binaries, dir, layout, &options)?;
        let target = turnpike.make_default_api(origin)?;
        self.targets.push(if protocol == Protocol::Https { turnpike.https(&target)? } else { target });
        self._turnpike = Some(turnpike);
        Ok(())
    }
}
