//! From a group's endpoints to its targets: each address that a name has is one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use turnpike_balance::hash_bytes;
use turnpike_snapshot::{Endpoint, Target, TargetGroupUnit};

use super::super::resolver::{Addresses, ServiceAddress, Unresolved};
use crate::table::{Member, MemberAddress};

/// What a weight of 1 counts, so that an SRV record's weight of 0, "a very small chance" (RFC 2782), can count less.
const WEIGHT_UNIT: u64 = 100;

/// A target, and what the snapshot or DNS say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) member: Arc<Member>,
    pub(super) weight: u64,
    pub(super) priority: u16,
    /// What a health check's `Host` says, unless it is configured.
    pub(super) host: Arc<str>,
}

/// All targets that are known by now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gathered {
    /// Each once, in an order that doesn't depend on DNS's.
    pub(super) found: Vec<Found>,
    /// Targets beyond `addresses_max`.
    pub(super) left_out: usize,
    /// No name is still waiting for its first answer.
    pub(super) settled: bool,
}

pub(super) fn gather(
    unit: &TargetGroupUnit,
    hosts: &Addresses,
    services: &Addresses<ServiceAddress>,
    addresses_max: usize,
) -> Gathered {
    let mut gathering = Gathering { found: HashMap::new(), settled: true };
    for target in &unit.targets {
        gathering.add(target, hosts, services);
    }
    let mut found: Vec<Found> = gathering.found.into_values().collect();
    // Of what has to be left out, the worst priorities go first.
    found.sort_by(|a, b| (a.priority, &a.member.name).cmp(&(b.priority, &b.member.name)));
    let left_out = found.len().saturating_sub(addresses_max);
    found.truncate(addresses_max);
    Gathered { found, left_out, settled: gathering.settled }
}

struct Gathering {
    found: HashMap<u64, Found>,
    settled: bool,
}

impl Gathering {
    fn add(&mut self, target: &Target, hosts: &Addresses, services: &Addresses<ServiceAddress>) {
        let weight = u64::from(target.weight);
        match &target.endpoint {
            Endpoint::Host { host, port } => {
                let Some(addresses) = self.known(hosts.of(host)) else { return };
                let named: Arc<str> = authority(host, *port).into();
                for ip in addresses.iter() {
                    self.put(SocketAddr::new(*ip, *port), weight * WEIGHT_UNIT, 0, &named);
                }
            }
            Endpoint::Srv { name } => {
                let Some(addresses) = self.known(services.of(name)) else { return };
                for service in addresses.iter() {
                    let weight = weight * (u64::from(service.weight) * WEIGHT_UNIT).max(1);
                    let named = authority(&service.host, service.address.port()).into();
                    self.put(service.address, weight, service.priority, &named);
                }
            }
            Endpoint::Unix { path } => {
                let address = MemberAddress::Unix(Path::new(path).into());
                self.insert(format!("unix:{path}"), address, weight * WEIGHT_UNIT, 0, &"localhost".into());
            }
        }
    }

    fn known<'a, R>(&mut self, resolved: Result<&'a Arc<[R]>, Unresolved<'_>>) -> Option<&'a Arc<[R]>> {
        self.settled &= !matches!(resolved, Err(Unresolved::Pending));
        resolved.ok()
    }

    fn put(&mut self, address: SocketAddr, weight: u64, priority: u16, host: &Arc<str>) {
        self.insert(address.to_string(), MemberAddress::Ip(address), weight, priority, host);
    }

    /// Two names of one address make one target with both their weights.
    fn insert(&mut self, name: String, address: MemberAddress, weight: u64, priority: u16, host: &Arc<str>) {
        let key = hash_bytes(name.as_bytes());
        let known = self.found.entry(key).or_insert_with(|| Found {
            member: Arc::new(Member { key, name: name.into(), address }),
            weight: 0,
            priority,
            host: Arc::clone(host),
        });
        known.weight += weight;
        known.priority = known.priority.min(priority);
    }
}

fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == 80 { host } else { format!("{host}:{port}") }
}
