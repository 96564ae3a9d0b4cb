//! What single steps of the hot path, and of a snapshot's arrival, cost apart from everything else: `cargo bench -p
//! turnpike-bench`, a group's or a benchmark's name behind it (`-- routing`) for some of them. For finding out what a change
//! did; the comparison says whether it matters. Each makes sure that what it times gives the right result before it
//! times it.
//!
//! | group | what |
//! | --- | --- |
//! | `heads` | parsing of requests and answers, and of a path's spelling |
//! | `routing` | from host, method and path to an integration, in tables of 10 to 100,000 routes; each look-up takes another route, so that large tables are as cold as many callers find them |
//! | `rewriting` | what an upstream gets of a client's head of 8 and 40 lines, and a client of an answer's |
//! | `snapshots` | decoding and checking of units, decoding of a root |
//! | `adoption` | from decoded units to the table that shards route by: a first snapshot, and one that changes a unit |
//! | `limiter` | decisions with tokens in hand |
//! | `cache` | hits |

#![allow(missing_docs, reason = "criterion's macros make items of their own")]

mod adoption;
mod cache;
mod heads;
mod limiter;
mod rewriting;
mod routing;
mod snapshots;
mod units;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    heads::run,
    routing::run,
    rewriting::run,
    snapshots::run,
    adoption::run,
    limiter::run,
    cache::run
);
criterion_main!(benches);
