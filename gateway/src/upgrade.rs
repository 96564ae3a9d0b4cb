//! Upgrades: another process takes over the listening sockets, and this one drains.
//!
//! ```text
//! turnpike-gateway upgrade     running gateway              successor
//!   Upgrade          ------->  starts it      ------------>
//!                              <-------------  TakeOver      connects to the same socket
//!                              stops following control
//!                              Handover, descriptors ---->
//!                              <-------------  TakeLimits    on a connection of its own
//!                              LimitsFollow ------------->   loads the snapshot, builds its shards
//!                              <-------------  Ready | Failed
//!                              Go  --------------------->    accepts
//!                              <-------------  Serving
//!                              the limiter's buckets ---->   until it has drained, grants what its predecessor asks for
//!   Upgraded | Refused  <----  accepts no more; hangs up -->  looks whether a connection waits
//!                              follows control again, and
//!                              writes nothing; drains
//! ```
//!
//! Until `Serving`, whatever goes wrong leaves the running gateway as it was: it has stopped nothing but following
//! control, and takes that up again. Connections wait in the sockets' queues, which both processes have, so that
//! none is refused or lost. If the running gateway dies before `Go`, its successor serves at once.
//!
//! Everything goes over `upgrade.sock` in the data directory, where only the same user, or root, is heard.

pub(crate) mod command;
pub(crate) mod predecessor;
pub(crate) mod successor;
mod wire;

/// In the environment of a successor: the socket of the gateway that it succeeds.
pub(crate) const SUCCEEDS: &str = "TURNPIKE_GATEWAY_SUCCEEDS";
