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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use turnpike_snapshot::{Balancing, CircuitBreaker, RetryPolicy};

    use super::*;

    fn unit(targets: Vec<(Endpoint, u32)>) -> TargetGroupUnit {
        let retry = RetryPolicy {
            tries_max: 1,
            try_timeout_ms: 0,
            budget_percent: 0,
            retries_min: 0,
            statuses: Vec::new(),
        };
        TargetGroupUnit {
            id: "g".to_owned(),
            targets: targets.into_iter().map(|(endpoint, weight)| Target { endpoint, weight }).collect(),
            balancing: Balancing::RoundRobin,
            slow_start_ms: 0,
            health_check: None,
            outlier_ejection: None,
            panic_threshold_percent: 0,
            retry,
            circuit_breaker: CircuitBreaker { connections_max: 0, pending_requests_max: 0, requests_max: 0 },
        }
    }

    fn host(name: &str, weight: u32) -> (Endpoint, u32) {
        (Endpoint::Host { host: name.to_owned(), port: 80 }, weight)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(gathered: &Gathered) -> Vec<(&str, u64, u16, &str)> {
        let of = |found: &'_ Found| (found.weight, found.priority);
        let rows = gathered.found.iter().map(|found| (&*found.member.name, of(found), &*found.host));
        rows.map(|(name, (weight, priority), host)| (name, weight, priority, host)).collect()
    }

    #[test]
    fn each_address_is_a_target_whatever_the_order_of_answers() {
        let unit = unit(vec![host("a", 2), (Endpoint::Unix { path: "/run/x".to_owned() }, 1)]);
        let forth = ips(&["10.0.0.2", "10.0.0.1", "::1"]);
        let back = ips(&["::1", "10.0.0.1", "10.0.0.2"]);
        let with = |answer: &[IpAddr]| {
            gather(&unit, &Addresses::of_test(&[("a", answer)]), &Addresses::default(), 10)
        };
        assert_eq!(with(&forth), with(&back));
        let expected = [
            ("10.0.0.1:80", 200, 0, "a"),
            ("10.0.0.2:80", 200, 0, "a"),
            ("[::1]:80", 200, 0, "a"),
            ("unix:/run/x", 100, 0, "localhost"),
        ];
        assert_eq!(found(&with(&forth)), expected);
    }

    #[test]
    fn two_names_of_one_address_are_one_target_with_both_weights() {
        let address = ips(&["10.0.0.1"]);
        let hosts = Addresses::of_test(&[("a", &*address), ("b", &*address)]);
        let gathered = gather(&unit(vec![host("a", 1), host("b", 2)]), &hosts, &Addresses::default(), 10);
        assert_eq!(found(&gathered), [("10.0.0.1:80", 300, 0, "a")]);
    }

    #[test]
    fn srv_records_bring_their_weights_and_priorities() {
        let service = |last: u8, priority, weight| ServiceAddress {
            priority,
            weight,
            address: SocketAddr::from(([10, 0, 0, last], 8080)),
            host: "h".into(),
        };
        let services = [service(1, 10, 5), service(2, 10, 0), service(3, 20, 1)];
        let services = Addresses::of_test(&[("_http._tcp.x", &services[..])]);
        let unit = unit(vec![(Endpoint::Srv { name: "_http._tcp.x".to_owned() }, 3)]);
        let gathered = gather(&unit, &Addresses::default(), &services, 10);
        let expected = [
            ("10.0.0.1:8080", 1_500, 10, "h:8080"),
            ("10.0.0.2:8080", 3, 10, "h:8080"),
            ("10.0.0.3:8080", 300, 20, "h:8080"),
        ];
        assert_eq!(found(&gathered), expected);
        let bounded = gather(&unit, &Addresses::default(), &services, 2);
        assert_eq!((found(&bounded), bounded.left_out), (expected[..2].to_vec(), 1), "the worst go first");
    }

    #[test]
    fn a_group_is_settled_once_every_name_has_an_answer_of_whatever_kind() {
        let unit = unit(vec![host("a", 1), host("b", 1)]);
        let address = ips(&["10.0.0.1"]);
        let with = |answers: &[(&str, &[IpAddr])]| {
            let gathered = gather(&unit, &Addresses::of_test(answers), &Addresses::default(), 10);
            (gathered.found.len(), gathered.settled)
        };
        assert_eq!(with(&[]), (0, false));
        assert_eq!(with(&[("a", &address)]), (1, false));
        assert_eq!(with(&[("a", &address), ("b", &[])]), (1, true));
    }
}
