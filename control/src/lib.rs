//! Turnpike's control plane: the management API, the store, the compiler of configuration, the
//! publisher, and the operator's command line.

#![deny(clippy::print_stderr, reason = "it panics where standard error can't be written: use log_line!")]

#[macro_use]
mod log;

pub mod acme;
pub mod api;
pub mod change;
pub mod cli;
pub mod compile;
mod files;
mod hex;
pub mod model;
pub mod openapi;
pub mod pki;
pub mod publish;
pub mod root_key;
pub mod secrets;
pub mod settings;
pub mod sigv4;
pub mod store;
pub mod time;
