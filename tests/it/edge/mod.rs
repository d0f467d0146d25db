//! The edge over real connections: what it takes, what it refuses, and that a 2xx always means "on the queue".

mod handshakes;
mod harness;
mod large;
mod limits;
mod process;
mod queue;
mod requests;
mod stopping;
