//! Networks that the operator lists, and whether an address is in one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// A network such as `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network {
    /// The bits behind the prefix are 0.
    first: IpAddr,
    prefix_bits: u32,
}

impl Network {
    /// `::/0` holds no IPv4 address, however it is written.
    fn contains(self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                prefix(first.to_bits().into(), self.prefix_bits, 32)
                    == prefix(ip.to_bits().into(), self.prefix_bits, 32)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                prefix(first.to_bits(), self.prefix_bits, 128) == prefix(ip.to_bits(), self.prefix_bits, 128)
            }
            _ => false,
        }
    }
}

/// The first bits of an address of `width` bits, with zeros behind them.
fn prefix(address: u128, prefix_bits: u32, width: u32) -> u128 {
    let host_bits = width - prefix_bits;
    address.checked_shr(host_bits).and_then(|kept| kept.checked_shl(host_bits)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (address, prefix_bits) = match typed.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (typed, None),
        };
        let form =
            || format!("`{typed}` is no network; write one as 10.0.0.0/8, 2001:db8::/32, or an address");
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix_bits {
            None => width,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(form)?,
        };
        let first = match address {
            IpAddr::V4(ip) => {
                // 32 bits stay 32 bits.
                IpAddr::V4((prefix(ip.to_bits().into(), prefix_bits, width) as u32).into())
            }
            IpAddr::V6(ip) => IpAddr::V6(prefix(ip.to_bits(), prefix_bits, width).into()),
        };
        let network = Self { first, prefix_bits };
        if first != address {
            return Err(format!("`{typed}` has bits behind its prefix; the network is {network}"));
        }
        if first.to_canonical() != first {
            return Err(format!("`{typed}` is an IPv4 network in IPv6 form; write it as IPv4"));
        }
        Ok(network)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(typed: String) -> Result<Self, String> {
        typed.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.prefix_bits)
    }
}

/// A list of networks; empty holds no address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Networks(Box<[Network]>);

impl Networks {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(typed: &[&str]) -> Networks {
        Networks::new(typed.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                &["9.255.255.255", "11.0.0.0"],
            ),
            ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127", "192.0.3.128"]),
            ("192.0.2.1", &["192.0.2.1"], &["192.0.2.0", "192.0.2.2", "::1"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1", "2001:db8::1"]),
            (
                "2001:db8::/32",
                &["2001:db8::", "2001:db8:ffff::1"],
                &["2001:db7::", "2001:db9::", "32.1.13.184"],
            ),
            ("::1", &["::1"], &["::", "::2", "127.0.0.1"]),
            ("::/0", &["::1", "2001:db8::1"], &["127.0.0.1", "::ffff:127.0.0.1"]),
        ];
        for (network, inside, outside) in cases {
            let networks = networks(&[network]);
            assert!(inside.iter().all(|ip| networks.contains(ip.parse().unwrap())), "{network}");
            assert!(!outside.iter().any(|ip| networks.contains(ip.parse().unwrap())), "{network}");
        }
    }

    #[test]
    fn a_list_holds_what_any_of_its_networks_holds() {
        let networks = networks(&["10.0.0.0/8", "::1/128"]);
        assert!(networks.contains("10.1.1.1".parse().unwrap()) && networks.contains("::1".parse().unwrap()));
        assert!(!networks.contains("127.0.0.1".parse().unwrap()));
        assert!(!Networks::default().contains("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_form() {
        for typed in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "localhost",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
        ] {
            let error = typed.parse::<Network>().unwrap_err();
            assert!(error.contains("10.0.0.0/8"), "{typed}: {error}");
        }
        let error = "10.1.0.0/8".parse::<Network>().unwrap_err();
        assert!(error.contains("the network is 10.0.0.0/8"), "{error}");
        let error = "2001:db8::1/32".parse::<Network>().unwrap_err();
        assert!(error.contains("the network is 2001:db8::/32"), "{error}");
        assert!("::ffff:10.0.0.0/104".parse::<Network>().unwrap_err().contains("as IPv4"));
    }
}
