//! A connection to the store, of one server or of a cluster, and the scripts that it runs.
//!
//! The `redis` crate does the protocol, and of a cluster also slots, MOVED, ASK and TRYAGAIN. A server that doesn't know a
//! script is sent its text with the call itself, so that it is known wherever a call is led to. All keys of a script have
//! the part of the limit as their hash tag, and so one slot (Redis Cluster specification, "Hash tags").

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    RedisError, RedisResult, ServerErrorKind, TlsCertificates, Value,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::time::timeout;
use turnpike_limits::LimitId;

use super::address::{self, Address, SERVERS_MAX};
use crate::settings::Settings;

/// Redirections and servers that are tried for one call to a cluster, and the pauses between them.
const TRIES_MAX: u32 = 4;
const PAUSE_MS_MIN: u64 = 5;
const PAUSE_MS_MAX: u64 = 50;

/// Host and port.
pub(super) type Server = (String, u16);

/// What connections are made by.
#[derive(Debug)]
pub(super) struct Dialer {
    client: AnyClient,
    timeout: Duration,
}

#[derive(Debug)]
enum AnyClient {
    Server(Client, AsyncConnectionConfig),
    Cluster(ClusterClient, Seeds),
}

/// The servers that a cluster is looked for at, with the password.
#[derive(Debug, Clone)]
struct Seeds {
    /// As they were typed.
    servers: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
}

/// A connection; cheap to clone, and every clone may be used at the same time.
#[derive(Clone)]
pub(super) struct Link {
    connection: Connection,
    timeout: Duration,
}

#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Names itself by its digest.
#[derive(Debug)]
pub(super) struct Script {
    text: String,
    sha1: String,
}

impl Dialer {
    /// # Errors
    /// The address, a file or the password can't be used.
    pub(super) fn new(url: &str, settings: &Settings) -> io::Result<Self> {
        let Address { mut servers, is_cluster, is_tls } = Address::parse(url).map_err(io::Error::other)?;
        if let Some(password) = address::password(settings)? {
            for server in &mut servers {
                let redis = server.redis_settings().clone().set_password(&password);
                *server = server.clone().set_redis_settings(redis);
            }
        }
        let certificates = is_tls.then(|| address::certificates(settings)).transpose()?;
        let timeout = Duration::from_millis(settings.limits_store_timeout_ms);
        let client = if is_cluster {
            let seeds = Seeds { servers, certificates };
            seeds.client(&[], timeout).map(|client| AnyClient::Cluster(client, seeds))
        } else {
            let config = AsyncConnectionConfig::new();
            let config = config.set_connection_timeout(Some(timeout)).set_response_timeout(Some(timeout));
            let server = servers.pop().ok_or_else(|| io::Error::other("no server is named"))?;
            let client = match certificates {
                Some(certificates) => Client::build_with_tls(server, certificates),
                None => Client::open(server),
            };
            client.map(|client| AnyClient::Server(client, config))
        };
        Ok(Self { client: client.map_err(io::Error::other)?, timeout })
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.client, AnyClient::Cluster(..))
    }

    pub(super) async fn dial(&self) -> RedisResult<Link> {
        let connection = match &self.client {
            AnyClient::Server(client, config) => {
                Connection::Server(client.get_multiplexed_async_connection_with_config(config).await?)
            }
            AnyClient::Cluster(client, _) => Connection::Cluster(client.get_async_connection().await?),
        };
        Ok(Link { connection, timeout: self.timeout })
    }

    /// One that also looks for the cluster at these servers, since those that were typed may go.
    pub(super) fn knowing(&self, servers: &[Server]) -> Option<RedisResult<Self>> {
        let AnyClient::Cluster(_, seeds) = &self.client else { return None };
        let client = seeds.client(servers, self.timeout);
        Some(
            client.map(|client| Self {
                client: AnyClient::Cluster(client, seeds.clone()),
                timeout: self.timeout,
            }),
        )
    }
}

impl Seeds {
    fn client(&self, told: &[Server], timeout: Duration) -> RedisResult<ClusterClient> {
        let told = told.iter().flat_map(|(host, port)| {
            let typed = self.servers.first()?;
            let (host, port) = (host.clone(), *port);
            let address = match typed.addr() {
                ConnectionAddr::TcpTls { .. } => {
                    ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
                }
                _ => ConnectionAddr::Tcp(host, port),
            };
            Some(typed.clone().set_addr(address))
        });
        let servers = self.servers.iter().cloned().chain(told).take(SERVERS_MAX);
        let mut builder = ClusterClientBuilder::new(servers)
            .connection_timeout(timeout)
            .response_timeout(timeout)
            .retries(TRIES_MAX)
            .min_retry_wait(PAUSE_MS_MIN)
            .max_retry_wait(PAUSE_MS_MAX);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()
    }
}

impl Link {
    /// What the script answers, within the time that the store has for it. What `call` adds is the number of keys, the keys,
    /// and the arguments.
    pub(super) async fn run<T: FromRedisValue>(
        mut self,
        script: Arc<Script>,
        call: impl Fn(&mut Cmd),
    ) -> RedisResult<T> {
        let time = self.timeout;
        let answered = async {
            let mut by_name = redis::cmd("EVALSHA");
            call(by_name.arg(&script.sha1));
            match self.query(&by_name).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    let mut by_text = redis::cmd("EVAL");
                    call(by_text.arg(&script.text));
                    self.query(&by_text).await
                }
                answered => answered,
            }
        };
        let late = |_| RedisError::from(io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer in time"));
        timeout(time, answered).await.map_err(late)?
    }

    /// The servers of a cluster, as one of them tells (CLUSTER SLOTS).
    pub(super) async fn servers(mut self) -> RedisResult<Vec<Server>> {
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let ranges: Vec<Vec<Value>> = self.query(&slots).await?;
        // First and last slot, then the servers: host, port, and more.
        let servers =
            ranges.iter().flat_map(|range| range.iter().skip(2)).filter_map(|server| match server {
                Value::Array(server) => match &server[..] {
                    [Value::BulkString(host), Value::Int(port), ..] => {
                        let host = str::from_utf8(host).ok().filter(|host| !matches!(*host, "" | "?"))?;
                        Some((host.to_owned(), u16::try_from(*port).ok()?))
                    }
                    _ => None,
                },
                _ => None,
            });
        Ok(servers.collect::<BTreeSet<Server>>().into_iter().collect())
    }

    async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match &mut self.connection {
            Connection::Server(connection) => command.query_async(connection).await,
            Connection::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

impl Script {
    pub(super) fn new(text: String) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let sha1 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, sha1 }
    }
}

/// A limit's key, and its part's: in a cluster, both are on one server.
pub(super) fn limit_key(id: LimitId) -> String {
    format!("turnpike:{{{:02x}}}:limit:{:016x}", id.part(), id.0)
}

pub(super) fn epoch_key(part: u8) -> String {
    format!("turnpike:{{{part:02x}}}:epoch")
}

/// What is likely wrong where a server refuses to do what a store does.
pub(super) fn advice(error: &RedisError, is_cluster: bool) -> &'static str {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot)
            if !is_cluster =>
        {
            "; it is a server of a cluster: write redis-cluster:// for redis://"
        }
        _ if is_cluster && error.to_string().contains("cluster support disabled") => {
            "; it is no cluster: write redis:// and one address"
        }
        _ => "",
    }
}
