//! Which core does what. The proxy under test has a core of its own wherever there are two.

use std::fmt;

/// Those that this process may use.
pub(crate) fn allowed_cores() -> Result<Vec<usize>, String> {
    let cores = core_affinity::get_core_ids().ok_or("the cores that this process may use can't be read")?;
    Ok(cores.iter().map(|core| core.id).collect())
}

/// Cores of one measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of the proxy under test: one, or two in the shards section.
    pub(crate) proxy: Vec<usize>,
    pub(crate) origin: Vec<usize>,
    pub(crate) loadgen: Vec<usize>,
}

impl Layout {
    /// One core for the proxy: the last, since interrupts favour the first.
    pub(crate) fn one_proxy_core(cores: &[usize]) -> Self {
        match cores {
            [only] => Self { proxy: vec![*only], origin: vec![*only], loadgen: vec![*only] },
            [shared, proxy] => Self { proxy: vec![*proxy], origin: vec![*shared], loadgen: vec![*shared] },
            [loadgen @ .., origin, proxy] => {
                Self { proxy: vec![*proxy], origin: vec![*origin], loadgen: loadgen.to_vec() }
            }
            [] => Self { proxy: Vec::new(), origin: Vec::new(), loadgen: Vec::new() },
        }
    }

    /// Two cores for the gateway's shards; `None` where that leaves too few for the others.
    pub(crate) fn two_proxy_cores(cores: &[usize]) -> Option<Self> {
        Self::proxy_cores(cores, 2)
    }

    /// So many cores for the gateway's shards, the last first, and half as many for the origin.
    pub(crate) fn proxy_cores(cores: &[usize], shards: usize) -> Option<Self> {
        let (rest, proxy) = cores.split_at_checked(cores.len().checked_sub(shards)?)?;
        let origins = shards.div_ceil(2);
        let (loadgen, origin) = rest.split_at_checked(rest.len().checked_sub(origins)?)?;
        let proxy = proxy.iter().rev().copied().collect();
        (loadgen.len() >= origins).then(|| Self { proxy, origin: origin.to_vec(), loadgen: loadgen.to_vec() })
    }

    /// What the figures suffer from, if anything.
    pub(crate) fn caveat(&self) -> Option<&'static str> {
        if self.proxy == self.origin {
            Some("one core for everything: the figures compare what is left of it, not the proxies")
        } else if self.origin == self.loadgen {
            Some("origin and load generator share a core and may limit the faster proxies")
        } else {
            None
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (proxy, origin) = (list(&self.proxy), list(&self.origin));
        write!(
            f,
            "proxy under test on core {proxy}, origin on {origin}, load generator on {}",
            list(&self.loadgen)
        )
    }
}

/// `0,1`
pub(crate) fn list(cores: &[usize]) -> String {
    cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_has_the_last_core_to_itself() {
        let four = Layout::one_proxy_core(&[0, 1, 2, 3]);
        assert_eq!(four, Layout { proxy: vec![3], origin: vec![2], loadgen: vec![0, 1] });
        assert_eq!(four.caveat(), None);
        assert_eq!(four.to_string(), "proxy under test on core 3, origin on 2, load generator on 0,1");
        let two = Layout::one_proxy_core(&[0, 1]);
        assert_eq!(two, Layout { proxy: vec![1], origin: vec![0], loadgen: vec![0] });
        assert!(two.caveat().unwrap().contains("share"));
        assert!(Layout::one_proxy_core(&[5]).caveat().unwrap().contains("one core"));
    }

    #[test]
    fn four_shards_need_eight_cores() {
        let cores: Vec<usize> = (0..8).collect();
        assert_eq!(Layout::proxy_cores(&cores[..7], 4), None);
        let eight = Layout::proxy_cores(&cores, 4).unwrap();
        assert_eq!(eight, Layout { proxy: vec![7, 6, 5, 4], origin: vec![2, 3], loadgen: vec![0, 1] });
    }

    #[test]
    fn two_shards_need_four_cores() {
        assert_eq!(Layout::two_proxy_cores(&[0, 1, 2]), None);
        let four = Layout::two_proxy_cores(&[0, 1, 2, 3]).unwrap();
        assert_eq!(four, Layout { proxy: vec![3, 2], origin: vec![1], loadgen: vec![0] });
    }
}
