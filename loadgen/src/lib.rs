//! Turnpike's load generator: closed and open loops of HTTP/1.1 and HTTPS requests over io_uring, one pinned
//! reactor a core, with the whole distribution of latencies. It shares no HTTP code with the gateway, so that both can't agree on
//! one bug.
//!
//! Where what lives: `schedule` says when a request is due, `source` what it says (a rotation or a script), the protocols
//! (`wire`, `tls`) how it is sent; `connection` ties them together for each lane, and `tally` counts what came of it.

mod beat;
pub mod budget;
pub mod check;
pub mod chunked;
pub mod cli;
pub mod compare;
mod connection;
mod csv;
pub mod failure;
mod hdr_log;
mod html;
mod machine;
pub mod output;
mod pacer;
mod reactor;
pub mod reply;
pub mod report;
pub mod request;
mod run;
pub mod scenario;
pub mod schedule;
mod seat;
pub mod show;
pub mod signals;
pub mod sigv4;
pub mod source;
pub mod supply;
pub mod tally;
pub mod target;
pub mod timeline;
pub mod tls;
pub mod view;
mod wire;

pub use run::run;
