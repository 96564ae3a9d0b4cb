//! A deployment as a stage serves it, and the one that it has on trial.

use std::net::IpAddr;
use std::sync::Arc;

use turnpike_balance::hash_bytes;

use super::routes::{Matched, Routes};
use super::{Integration, Stage, Upstream};
use crate::stats::StageSlot;

/// A deployment with a stage's settings.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Release {
    pub(crate) routes: Routes,
    pub(super) backends: Box<[Backend]>,
    pub(crate) deployment_id: Box<str>,
    /// Those of the backends, each once: much fewer.
    pub(super) upstreams: Box<[Arc<Upstream>]>,
    pub(super) refused: Box<[RefusedRoute]>,
}

/// What a route leads to.
#[derive(Debug)]
pub(crate) enum Backend {
    HttpProxy(Integration),
    /// Nowhere: the route asks for what can't be done.
    Refused,
}

/// A route that leads nowhere, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RefusedRoute {
    /// `GET /pets/{id}`, `$default`
    pub(crate) key: Box<str>,
    pub(crate) reason: Box<str>,
}

/// A deployment on trial, for some of a stage's clients.
#[derive(Debug)]
pub(crate) struct Canary {
    pub(crate) release: Release,
    /// Its requests are counted here, besides their stage.
    pub(crate) slot: StageSlot,
    /// What its routes keep isn't what the stage's find, nor the other way round.
    pub(crate) caches_apart: bool,
    clients_per_10_000: u64,
    /// The API and the stage, so that the clients of one stage's canary aren't those of every other's.
    seed: u64,
}

impl Release {
    /// Has the core fetch the first of the backends, which often is the only one, while a route is looked for.
    pub(crate) fn fetch(&self) {
        if let Some(backend) = self.backends.first() {
            turnpike_rt::prefetch(backend);
        }
    }

    pub(crate) fn backend(&self, matched: &Matched<'_, '_>) -> &Backend {
        &self.backends[matched.route.integration as usize]
    }
}

impl Backend {
    pub(super) fn integration(&self) -> Option<&Integration> {
        match self {
            Self::HttpProxy(integration) => Some(integration),
            Self::Refused => None,
        }
    }
}

impl Canary {
    pub(super) fn new(
        stage: &turnpike_snapshot::StageUnit,
        unit: &turnpike_snapshot::Canary,
        release: Release,
        slot: StageSlot,
    ) -> Self {
        Self {
            release,
            slot,
            caches_apart: !unit.shares_cache,
            clients_per_10_000: unit.clients_per_10_000.into(),
            seed: hash_bytes(format!("{}/{}", stage.api_id, stage.stage).as_bytes()),
        }
    }

    /// Whether it serves a client: the same answer for the same address, at every shard and gateway, and still yes
    /// when the canary gets a larger share. Of an IPv6 address the network counts, since hosts change the rest at
    /// will (RFC 8981).
    pub(crate) fn serves(&self, client: IpAddr) -> bool {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        match client.to_canonical() {
            IpAddr::V4(ip) => bytes[8..12].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[8..].copy_from_slice(&ip.octets()[..8]),
        }
        // The upper bits of the product: even to one in 2^50.
        let share = (u128::from(hash_bytes(&bytes)) * 10_000) >> 64;
        share < u128::from(self.clients_per_10_000)
    }
}

impl Stage {
    /// The canary's last.
    pub(super) fn releases(&self) -> impl Iterator<Item = &Release> {
        std::iter::once(&self.release).chain(self.canary.iter().map(|canary| &canary.release))
    }

    /// The deployment that serves a client, and the canary if it is that one's.
    pub(crate) fn release_for(&self, client: IpAddr) -> (&Release, Option<&Canary>) {
        match &self.canary {
            None => (&self.release, None),
            Some(canary) if canary.serves(client) => (&canary.release, Some(canary)),
            Some(_) => (&self.release, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::tests::stage_of;
    use super::*;

    fn canary(api_id: &str, share: u16) -> Canary {
        let release = Release {
            deployment_id: "d2".into(),
            routes: Routes::compile(turnpike_snapshot::Protocol::Rest, &[], Vec::new()).unwrap(),
            backends: Box::default(),
            upstreams: Box::default(),
            refused: Box::default(),
        };
        let unit = turnpike_snapshot::Canary {
            clients_per_10_000: share,
            shares_cache: false,
            deployment_id: "d2".to_owned(),
            integrations: Vec::new(),
            routes: Vec::new(),
            compression: None,
        };
        let stage = stage_of(api_id, turnpike_snapshot::Protocol::Rest, "prod", &[]);
        Canary::new(&stage, &unit, release, StageSlot(0))
    }

    fn clients() -> impl Iterator<Item = IpAddr> {
        (0..10_000_u32).map(|n| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)))
    }

    #[test]
    fn about_as_many_clients_as_wanted() {
        for share in [0, 100, 1_000, 5_000, 9_900, 10_000] {
            let canary = canary("a1", share);
            let served = clients().filter(|client| canary.serves(*client)).count();
            assert!(served.abs_diff(share.into()) <= 200, "{served} of {share}");
            if matches!(share, 0 | 10_000) {
                assert_eq!(served, usize::from(share));
            }
        }
    }

    #[test]
    fn a_client_stays_when_the_share_grows() {
        let shares = [0, 1, 500, 2_500, 9_999, 10_000].map(|share| canary("a1", share));
        for client in clients() {
            assert!(shares.windows(2).all(|pair| !pair[0].serves(client) || pair[1].serves(client)));
        }
    }

    #[test]
    fn stages_choose_other_clients() {
        let (one, other) = (canary("a1", 5_000), canary("a2", 5_000));
        let both = clients().filter(|client| one.serves(*client) && other.serves(*client)).count();
        assert!(both.abs_diff(2_500) <= 200, "{both}");
    }

    #[test]
    fn an_address_is_the_same_client_in_both_notations() {
        let canary = canary("a1", 5_000);
        for client in clients() {
            let IpAddr::V4(ip) = client else { unreachable!() };
            assert_eq!(canary.serves(client), canary.serves(IpAddr::V6(ip.to_ipv6_mapped())));
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let canary = canary("a1", 5_000);
        let host = |network: u128, host: u128| {
            IpAddr::V6(Ipv6Addr::from((0x2001_0db8 << 96) | (network << 64) | host))
        };
        let mut served = 0_usize;
        for network in 0..1_000 {
            let first = canary.serves(host(network, 1));
            served += usize::from(first);
            assert!((2..9).all(|other| canary.serves(host(network, other << 40)) == first), "{network}");
        }
        assert!(served.abs_diff(500) <= 80, "{served}");
    }
}
