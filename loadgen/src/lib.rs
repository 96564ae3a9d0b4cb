//! Turnpike's load generator: closed and open loops of HTTP/1.1 and HTTPS requests over io_uring, one pinned
//! reactor a core, with the whole distribution of latencies. It shares no HTTP code with the gateway, so that both can't agree on
//! one bug.
//!
//! Where what lives: `schedule` says when a request is due, `source` what it says (a rotation or a script), the protocols
//! (`wire` and `tls`, `pipeline`, `http2`, `websocket`) how it is sent. `connection` ties them together where a connection
//! carries one request at a time, `crew` and `lanes` where it carries several or where its server may speak unasked;
//! `tally` counts what came of it.

mod beat;
pub mod budget;
mod calendar;
pub mod check;
pub mod chunked;
pub mod cli;
mod coding;
pub mod compare;
mod connection;
mod core_use;
mod crew;
mod csv;
mod descriptors;
pub mod failure;
mod hdr_log;
mod html;
pub mod http2;
mod lanes;
pub mod limits;
mod list;
mod machine;
pub mod openapi;
pub mod output;
mod pacer;
mod pipeline;
pub mod protocol;
mod reactor;
pub mod replay;
pub mod reply;
pub mod report;
pub mod request;
mod run;
pub mod scenario;
pub mod schedule;
pub mod search;
mod seat;
pub mod self_test;
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
pub mod websocket;
mod wire;

pub use run::run;
