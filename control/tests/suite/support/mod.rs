//! What the suites share: a signed client, a management API inside the test, and processes that end
//! with it.

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod inside;
pub(crate) mod process;
