//! Turnpike's control plane: the management API, the store, the compiler of configuration, the
//! publisher, and the operator's command line.

pub mod api;
pub mod change;
pub mod cli;
pub mod compile;
pub mod model;
pub mod publish;
pub mod root_key;
pub mod settings;
pub mod sigv4;
pub mod store;
pub mod time;
