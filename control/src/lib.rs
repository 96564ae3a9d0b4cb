//! Turnpike's control plane: the management API, the store, the compiler of configuration, the
//! publisher, and the operator's command line.

pub mod publish;
