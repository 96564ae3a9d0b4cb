//! Certificates by ACME (RFC 8555), proven over HTTP (8.3) by the gateways: requested, renewed ahead of their expiry,
//! tried again with pauses that grow.
//!
//! A request is a certificate in the store with a time at which it is due; whatever a try has come to is there as
//! well, so that a kill at any moment costs that try at most. The authority is told to look only once every
//! gateway that is connected to this process has acknowledged the challenge; those of other processes that share the
//! store get it at the same time and aren't waited for. Failures show in the certificate and in the log.

mod client;
mod failure;
mod progress;
mod trial;
mod worker;

pub use client::{Client, ClientError};
pub use worker::Worker;
