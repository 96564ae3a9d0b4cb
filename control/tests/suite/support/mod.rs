//! What the suites share: a signed client, a management API inside the test, and processes that end
//! with it.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod http;
pub(crate) mod inside;
#[allow(dead_code, reason = "the store's own tests use the rest")]
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod rest;
pub(crate) mod stores;
