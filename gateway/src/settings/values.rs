//! Values with a shape of their own, as they are typed on the command line, in the environment and in a file alike.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use turnpike_limits::Partition;
use turnpike_rt::DriverChoice;

/// Addresses, possibly none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Addresses(pub(super) Vec<SocketAddr>);

impl FromStr for Addresses {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let addresses = typed.split(',').filter(|address| !address.is_empty()).map(|address| {
            address.parse().map_err(|_| format!("`{address}` is no ADDR:PORT, such as 127.0.0.1:8443"))
        });
        addresses.collect::<Result<_, _>>().map(Self)
    }
}

/// Where the gateway's own access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum LogDestination {
    Stdout,
    File(PathBuf),
}

impl FromStr for LogDestination {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        match typed {
            "" => Err("name a file, or `-` for standard output".into()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl TryFrom<String> for LogDestination {
    type Error = String;

    fn try_from(typed: String) -> Result<Self, String> {
        typed.parse()
    }
}

/// A number of bytes, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLimit {
    Bytes(u64),
    Unlimited,
}

impl BodyLimit {
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}

impl FromStr for BodyLimit {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        if typed == "unlimited" {
            return Ok(Self::Unlimited);
        }
        typed
            .parse()
            .map(Self::Bytes)
            .map_err(|_| format!("`{typed}` is neither a number of bytes nor `unlimited`"))
    }
}

impl<'de> Deserialize<'de> for BodyLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyLimitVisitor)
    }
}

struct BodyLimitVisitor;

impl Visitor<'_> for BodyLimitVisitor {
    type Value = BodyLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes or \"unlimited\"")
    }

    fn visit_str<E: de::Error>(self, typed: &str) -> Result<BodyLimit, E> {
        typed.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, typed: i64) -> Result<BodyLimit, E> {
        match u64::try_from(typed) {
            Ok(bytes) => Ok(BodyLimit::Bytes(bytes)),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(typed), &self)),
        }
    }
}

/// The family of fields that trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedField {
    #[value(name = "x-forwarded")]
    XForwarded,
    Forwarded,
}

/// What a partition means, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartitionName {
    Share,
    Closed,
    Open,
}

impl From<PartitionName> for Partition {
    fn from(name: PartitionName) -> Self {
        match name {
            PartitionName::Share => Self::Share,
            PartitionName::Closed => Self::Closed,
            PartitionName::Open => Self::Open,
        }
    }
}

/// A driver as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DriverName {
    Auto,
    #[value(name = "io_uring")]
    IoUring,
    Epoll,
}

impl From<DriverName> for DriverChoice {
    fn from(name: DriverName) -> Self {
        match name {
            DriverName::Auto => Self::Auto,
            DriverName::IoUring => Self::IoUring,
            DriverName::Epoll => Self::Epoll,
        }
    }
}
