//! The edge: receives vendors' webhooks over HTTP, answers their handshakes, seals each request into an envelope and
//! puts it on the queue. It answers 2xx only for what the queue has, and never a 5xx: some vendors take that for final.

mod answer;
mod confirmations;
mod door;
mod handshake;
mod hook;
mod inside;
mod limits;
mod outlet;
mod peer;
mod seal;
mod server;

pub use server::{Edge, Parts};
