//! The language of the tests that run Turnpike's processes: a gateway as its users start it, a publisher that
//! hands it any snapshot, an origin that misbehaves on request, and a client that sends any bytes.
//!
//! Nothing here shares code with the gateway but the snapshot's types, so that a mistake of the gateway can't
//! hide in a test. Ports are the system's choice; waiting is for an event, with a deadline; every child ends
//! with its test.

mod client;
mod dns;
mod gateway;
mod http2;
mod message;
mod metrics;
mod mutate;
mod origin;
mod plane;
mod process;
mod publisher;
mod redis;
mod tap;
mod tls;
mod units;

pub use client::{Client, Echo, Reply};
pub use dns::{DnsServer, Record};
pub use gateway::{DRAINS, Gateway, Options};
pub use http2::{Curl, nghttp2, python, python_script, python_within};
pub use message::{BodyLength, Fields, Head, Reader};
pub use metrics::Metrics;
pub use mutate::Mutations;
pub use origin::{Connection, Origin, Seen, Unreachable, refusing_url};
pub use plane::{DataPlane, request};
pub use process::{DEADLINE, Process, binary, run, until};
pub use publisher::Publisher;
pub use redis::{Redis, RedisCluster};
pub use tap::Tap;
pub use tls::{Authority, Leaf, TlsClient, TlsFront, client_config, resuming_config};
pub use units::{
    GroupBuilder, Mapped, REGION, StageBuilder, account, account_with_rules, account_with_throttle,
    account_with_tls, api_keys, burst, domain_tls, host, http_api, mutual_tls, rest_api, rule, target_group,
    upstream_tls, usage_plan,
};
