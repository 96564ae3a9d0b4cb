//! Shards, an authority and what is between them, simulated: seeded, in memory. Whatever happens, every limit holds in
//! every window; and where more is asked for than it allows, it is made use of.

mod arbitrary;
mod at_hand;
mod exactness;
mod handover;
mod hosts;
mod use_of_limits;
mod window;
mod world;
