//! Looks names up in /etc/hosts, then in DNS, as the C library does: search list and `ndots` included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use super::{Answer, LookupError, NameSource};
use crate::settings::Settings;

/// Name servers and the hosts file.
pub(super) struct Dns {
    /// Or why there is none.
    pub(super) resolver: Result<TokioResolver, String>,
    search: Vec<Name>,
    ndots: usize,
    hosts_file: PathBuf,
}

impl Dns {
    pub(super) fn of(settings: &Settings) -> Self {
        Self::new(&settings.dns_servers, Duration::from_millis(settings.dns_query_timeout_ms))
    }

    /// Asks `servers`, or the system's where there are none.
    pub(super) fn new(servers: &[SocketAddr], query_timeout: Duration) -> Self {
        let configured = match servers {
            [] => read_system_conf().map_err(|error| {
                format!("/etc/resolv.conf names no usable name server ({error}); mend it, or set dns_servers")
            }),
            servers => Ok((to_config(servers), ResolverOpts::default())),
        };
        let hosts_file = PathBuf::from("/etc/hosts");
        let (config, mut options) = match configured {
            Ok(configured) => configured,
            Err(error) => return Self { resolver: Err(error), search: Vec::new(), ndots: 1, hosts_file },
        };
        options.timeout = query_timeout;
        // The refresher keeps the answers, and must see their TTL as the server sent it.
        options.cache_size = 0;
        options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        let search = config.search().iter().chain(config.domain()).cloned().collect();
        let ndots = options.ndots;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build().map_err(|error| {
            format!("the name servers can't be used ({error}); check dns_servers or /etc/resolv.conf")
        });
        Self { resolver, search, ndots, hosts_file }
    }

    #[cfg(test)]
    pub(super) fn with_hosts_file(self, hosts_file: PathBuf) -> Self {
        Self { hosts_file, ..self }
    }

    #[cfg(test)]
    pub(super) fn with_search(self, search: Vec<Name>) -> Self {
        Self { search, ..self }
    }

    /// The fully qualified names that `host` may mean, the likeliest first.
    fn candidates(&self, host: &str) -> Result<Vec<Name>, LookupError> {
        let mut name = Name::from_str_relaxed(host)
            .map_err(|error| LookupError::NoAddress(format!("it is no host name ({error})")))?;
        if name.is_fqdn() {
            return Ok(vec![name]);
        }
        let mut candidates: Vec<Name> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        name.set_fqdn(true);
        let position = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(position, name);
        Ok(candidates)
    }

    async fn ask(&self, host: &str) -> Result<Answer, LookupError> {
        let resolver = self.resolver.as_ref().map_err(|error| LookupError::Failed(error.clone()))?;
        let mut failed = None;
        let mut absent = None;
        for name in self.candidates(host)? {
            match ask_one(resolver, name).await {
                Ok(answer) => return Ok(answer),
                Err(error @ LookupError::Failed(_)) => failed = Some(error),
                Err(error @ LookupError::NoAddress(_)) => absent = Some(error),
            }
        }
        // A name server that didn't answer may have known an address: the name isn't known to be absent.
        Err(failed.or(absent).unwrap_or_else(|| LookupError::NoAddress("it is no host name".into())))
    }
}

impl NameSource for Dns {
    async fn look_up(&self, host: &str) -> Result<Answer, LookupError> {
        let listed = find_in_hosts_file(&self.hosts_file, host).await?;
        if !listed.is_empty() {
            return Ok(Answer { addresses: listed, ttl: HOSTS_FILE_TTL });
        }
        if is_localhost(host) {
            let addresses = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Answer { addresses, ttl: Duration::MAX });
        }
        self.ask(host).await
    }
}

/// Edits are to be seen soon, and reading a file is cheap.
const HOSTS_FILE_TTL: Duration = Duration::ZERO;

/// RFC 6761, section 6.3.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn to_config(servers: &[SocketAddr]) -> ResolverConfig {
    let to_server = |server: &SocketAddr| {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = server.port();
        }
        NameServerConfig::new(server.ip(), true, connections)
    };
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(to_server).collect())
}

/// Asks for both kinds of address. If only one question is answered, its addresses do for as short a time as
/// possible; if neither yields an address, a failure weighs more than an absence.
async fn ask_one(resolver: &TokioResolver, name: Name) -> Result<Answer, LookupError> {
    let (v4, v6) = tokio::join!(
        ask_kind(resolver, name.clone(), RecordType::A),
        ask_kind(resolver, name, RecordType::AAAA)
    );
    match (v4, v6) {
        (Ok(mut v4), Ok(v6)) => {
            v4.addresses.extend(v6.addresses);
            Ok(Answer { addresses: v4.addresses, ttl: v4.ttl.min(v6.ttl) })
        }
        (Ok(answer), Err(LookupError::NoAddress(_))) | (Err(LookupError::NoAddress(_)), Ok(answer)) => {
            Ok(answer)
        }
        (Ok(answer), Err(LookupError::Failed(_))) | (Err(LookupError::Failed(_)), Ok(answer)) => {
            Ok(Answer { ttl: Duration::ZERO, ..answer })
        }
        (Err(LookupError::NoAddress(_)), Err(error)) | (Err(error), Err(_)) => Err(error),
    }
}

async fn ask_kind(resolver: &TokioResolver, name: Name, kind: RecordType) -> Result<Answer, LookupError> {
    let answered = match resolver.lookup(name.clone(), kind).await {
        Ok(answered) => answered,
        Err(error) => return Err(to_lookup_error(&name, &error)),
    };
    let records = answered.answers();
    let addresses: Vec<IpAddr> = records.iter().filter_map(|record| record.data.ip_addr()).collect();
    if addresses.is_empty() {
        return Err(LookupError::NoAddress(format!("{name} has no {kind} record")));
    }
    // The CNAMEs on the way count as well.
    let ttl_s = records.iter().map(|record| record.ttl).min().unwrap_or(0);
    Ok(Answer { addresses, ttl: Duration::from_secs(ttl_s.into()) })
}

pub(super) fn to_lookup_error(name: &Name, error: &NetError) -> LookupError {
    if error.is_nx_domain() {
        LookupError::NoAddress(format!("{name} doesn't exist"))
    } else if error.is_no_records_found() {
        LookupError::NoAddress(format!("{name} has no address"))
    } else {
        LookupError::Failed(format!("no name server answered for {name} ({error})"))
    }
}

/// IPv4 before IPv6; empty when there is no such file or the host isn't in it.
async fn find_in_hosts_file(path: &Path, host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let text = match tokio::fs::read(path).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let problem = format!("{} can't be read ({error}); check its permissions", path.display());
            return Err(LookupError::Failed(problem));
        }
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut addresses: Vec<IpAddr> = text.lines().filter_map(|line| listed_address(line, host)).collect();
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    Ok(addresses)
}

/// The address of a hosts file's line if the line names `host`.
fn listed_address(line: &str, host: &str) -> Option<IpAddr> {
    let listed = line.split('#').next().unwrap_or_default();
    let mut words = listed.split_whitespace();
    let address = words.next()?.parse().ok()?;
    words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
}
