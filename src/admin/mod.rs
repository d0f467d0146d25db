//! What supervisors and operators ask the running process: is it alive, is it ready, what are its numbers.

mod health;
mod intake;
mod metrics;
mod server;

pub use health::Probes;
pub use intake::IntakeProbes;
pub use server::Admin;
