//! A gateway and the publisher that feeds it: the data plane as most tests need it.

use tempfile::TempDir;
use turnpike_snapshot::{Unit, encode_unit};

use crate::client::{Client, Reply};
use crate::gateway::{Gateway, Options};
use crate::origin::Origin;
use crate::publisher::Publisher;
use crate::units::{GroupBuilder, StageBuilder, account, host, http_api};

/// Serves what the test has published.
#[derive(Debug)]
pub struct DataPlane {
    pub gateway: Gateway,
    pub publisher: Publisher,
    account: Unit,
    /// Besides the account and the stages.
    others: Vec<Unit>,
    groups: Vec<GroupBuilder>,
    directory: TempDir,
}

impl DataPlane {
    /// Serves `stages` on one shard.
    #[must_use]
    pub fn serving(stages: &[StageBuilder]) -> Self {
        Self::with(&Options::new(), stages)
    }

    /// Serves `stages` with the settings of `options`.
    #[must_use]
    pub fn with(options: &Options, stages: &[StageBuilder]) -> Self {
        Self::with_account(options, stages, account(&[]))
    }

    /// As [`Self::with`], and target groups.
    #[must_use]
    pub fn with_groups(options: &Options, stages: &[StageBuilder], groups: &[GroupBuilder]) -> Self {
        Self::start(options, stages, account(&[]), Vec::new(), groups)
    }

    /// As [`Self::with`], for an account with custom domains.
    #[must_use]
    pub fn with_account(options: &Options, stages: &[StageBuilder], account: Unit) -> Self {
        Self::start(options, stages, account, Vec::new(), &[])
    }

    /// As [`Self::with_account`], with certificates, trust stores and whatever else the account refers to.
    #[must_use]
    pub fn with_units(options: &Options, stages: &[StageBuilder], account: Unit, others: Vec<Unit>) -> Self {
        Self::start(options, stages, account, others, &[])
    }

    fn start(
        options: &Options,
        stages: &[StageBuilder],
        account: Unit,
        others: Vec<Unit>,
        groups: &[GroupBuilder],
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let publisher = Publisher::start(&directory.path().join("publish.sock"));
        let gateway = Gateway::start(&options.clone().publish_socket(&directory.path().join("publish.sock")));
        let mut plane = Self { gateway, publisher, account, others, groups: groups.to_vec(), directory };
        plane.publish(stages);
        plane
    }

    /// Serves the HTTP API `a1`, whose every request an echoing origin answers.
    #[must_use]
    pub fn echoing() -> (Self, Origin) {
        let origin = Origin::echo();
        let stage = http_api("a1").route("$default", &origin.url("{request.path}"));
        (Self::serving(&[stage]), origin)
    }

    /// Publishes the next version, these stages and nothing else, and waits until it is served.
    pub fn publish(&mut self, stages: &[StageBuilder]) {
        let units = self.units(stages);
        self.publisher.publish(&units);
        self.gateway.wait_for_version(self.version());
    }

    /// Publishes the next version with another account and what it refers to, and waits until it is served.
    pub fn publish_units(&mut self, stages: &[StageBuilder], account: Unit, others: Vec<Unit>) {
        (self.account, self.others) = (account, others);
        self.publish(stages);
    }

    /// As [`Self::publish_units`], for what is to be refused; returns why it was, and what was served before stays.
    ///
    /// # Panics
    /// When it isn't refused.
    pub fn publish_refused(&mut self, stages: &[StageBuilder], account: Unit, others: Vec<Unit>) -> String {
        let stages = stages.iter().map(StageBuilder::unit);
        let units = std::iter::once(account).chain(others).chain(stages);
        let encoded = units.map(|unit| encode_unit(&unit).expect("a small unit")).collect();
        let version = self.version() + 1;
        self.publisher.publish_encoded(version, encoded).expect_err("it is refused")
    }

    /// As [`Self::publish`], with other target groups than before.
    pub fn publish_groups(&mut self, stages: &[StageBuilder], groups: &[GroupBuilder]) {
        self.groups = groups.to_vec();
        self.publish(stages);
    }

    /// Publishes the next version and doesn't wait.
    pub fn publish_unheard(&mut self, stages: &[StageBuilder]) {
        let units = self.units(stages);
        self.publisher.publish_unheard(&units);
    }

    /// The version that was published last.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.publisher.version()
    }

    /// Starts another gateway in the place of the last one, which has ended, and waits for the version that was
    /// published last.
    pub fn restart_gateway(&mut self, options: &Options) {
        let socket = self.directory.path().join("publish.sock");
        self.gateway = Gateway::start(&options.clone().publish_socket(&socket));
        self.gateway.wait_for_version(self.version());
    }

    /// A new connection.
    #[must_use]
    pub fn connect(&self) -> Client {
        self.gateway.connect()
    }

    /// A new connection that takes few bytes before its client reads them.
    #[must_use]
    pub fn connect_with_receive_bytes(&self, receive_bytes: usize) -> Client {
        Client::connect_with_receive_bytes(self.gateway.address, receive_bytes)
    }

    /// Sends one request on a connection of its own.
    #[must_use]
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> Reply {
        self.gateway.exchange(request)
    }

    /// As [`Gateway::assert_at_rest`].
    pub fn assert_at_rest(&self) {
        self.gateway.assert_at_rest();
    }

    fn units(&self, stages: &[StageBuilder]) -> Vec<Unit> {
        let groups = self.groups.iter().map(GroupBuilder::unit);
        std::iter::once(self.account.clone())
            .chain(self.others.iter().cloned())
            .chain(stages.iter().map(StageBuilder::unit))
            .chain(groups)
            .collect()
    }
}

/// A request without a body to the API's own host.
#[must_use]
pub fn request(method: &str, api_id: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n\r\n", host(api_id))
}
