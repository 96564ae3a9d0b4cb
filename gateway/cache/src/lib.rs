//! Which responses may be stored and used again, for how long and for whom, and the store of one core; without I/O.
//!
//! Time is a parameter: milliseconds on the caller's clock, and seconds since 1970 where a header field names a
//! date. A [`Store`] belongs to one core and shares what it holds by reference. A stage has one of two [`Mode`]s:
//! API Gateway's, where the operator says how long a response is kept (AWS: Cache settings for REST APIs), and
//! HTTP's own, where the origin does (RFC 9111, with RFC 5861's two kinds of staleness).
//!
//! What reaches this crate was sent by strangers: nothing here panics on it, and nothing grows without a bound.

#![forbid(unsafe_code)]

mod conditional;
mod date;
mod directives;
mod facts;
mod fills;
mod freshness;
mod hash;
mod index;
mod invalidation;
mod key;
mod lines;
mod range;
mod response;
mod reuse;
mod shelf;
mod store;
mod storing;
mod vary;

pub use conditional::{Condition, Revalidation, encode_conditions, freshens, is_not_modified};
pub use date::parse_http_date;
pub use directives::CacheControl;
pub use facts::{RequestFacts, ResponseFacts};
pub use fills::{Filling, Fills, Outcome, Turn, Waiting};
pub use freshness::{Arrival, Freshness};
pub use invalidation::{Invalidation, Unpermitted, WARNING, invalidation};
pub use key::{KeyWriter, RouteName, other_scheme};
pub use lines::{coded_lines, merge, not_modified, split_lines, varying};
pub use range::{Part, Selection, select};
pub use response::{Form, Response};
pub use reuse::{Demand, Reuse, reuse};
pub use shelf::Terms;
pub use store::{Fields, Found, Store, Stored, Variants};
pub use storing::{Mode, OriginRules, Refusal, TtlRules, Verdict, judge};
pub use vary::{VARY_NAMES_MAX, Varies, Vary};
