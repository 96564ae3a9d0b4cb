//! Looks SRV names up (RFC 2782): the records, and the addresses of the hosts that they name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::dns::{Dns, to_lookup_error};
use super::{Answer, LookupError, NameSource, Resolved};

/// Records of one name that are followed; those with the best priorities.
const RECORDS_MAX: usize = 256;

/// One address that an SRV name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceAddress {
    /// Lower ones come first.
    pub(crate) priority: u16,
    /// The record's; 0 is to get very little where others have more.
    pub(crate) weight: u16,
    pub(crate) address: SocketAddr,
    /// The record's host, without the final dot.
    pub(crate) host: Arc<str>,
}

impl Resolved for ServiceAddress {
    const NAME: &str = "SRV name";

    fn literal(_: &str) -> Option<Self> {
        None
    }
}

/// The name servers, asked for SRV records.
pub(super) struct Services(pub(super) Dns);

impl NameSource<ServiceAddress> for Services {
    /// Hosts that can't be resolved are left out, and asked for again soon, as long as one can.
    async fn look_up(&self, name: &str) -> Result<Answer<ServiceAddress>, LookupError> {
        let Answer { addresses: records, mut ttl } = self.records(name).await?;
        let mut addresses = Vec::new();
        let mut problem = None;
        for record in records {
            let host = record.target.to_utf8();
            let host: Arc<str> = host.strip_suffix('.').unwrap_or(&host).into();
            match self.0.look_up(&host).await {
                Ok(answer) => {
                    ttl = ttl.min(answer.ttl);
                    addresses.extend(answer.addresses.into_iter().map(|ip| ServiceAddress {
                        priority: record.priority,
                        weight: record.weight,
                        address: SocketAddr::new(ip, record.port),
                        host: Arc::clone(&host),
                    }));
                }
                Err(error) => {
                    ttl = Duration::ZERO;
                    problem = Some(error);
                }
            }
        }
        match problem {
            Some(problem) if addresses.is_empty() => Err(problem),
            _ => Ok(Answer { addresses, ttl }),
        }
    }
}

impl Services {
    /// At least one record, the best priority first.
    async fn records(&self, name: &str) -> Result<Answer<SRV>, LookupError> {
        let resolver = self.0.resolver.as_ref().map_err(|error| LookupError::Failed(error.clone()))?;
        let mut fqdn = Name::from_str_relaxed(name)
            .map_err(|error| LookupError::NoAddress(format!("it is no DNS name ({error})")))?;
        fqdn.set_fqdn(true);
        let answered = resolver.lookup(fqdn.clone(), RecordType::SRV).await;
        let answered = answered.map_err(|error| to_lookup_error(&fqdn, &error))?;
        let all = answered.answers();
        let mut records: Vec<SRV> = all
            .iter()
            .filter_map(|record| match &record.data {
                // RFC 2782: a root target says that there is no such service.
                RData::SRV(srv) if !srv.target.is_root() => Some(srv.clone()),
                _ => None,
            })
            .collect();
        if records.is_empty() {
            return Err(LookupError::NoAddress(format!("{fqdn} has no SRV record that names a host")));
        }
        records.sort_by_key(|record| record.priority);
        records.truncate(RECORDS_MAX);
        let ttl_s = all.iter().map(|record| record.ttl).min().unwrap_or(0);
        Ok(Answer { addresses: records, ttl: Duration::from_secs(ttl_s.into()) })
    }
}
