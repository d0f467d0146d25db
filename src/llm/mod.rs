//! Asking models: one contract, one file per provider, and the gateway that makes every call durable.

pub mod contract;
mod model_name;
pub mod pricing;
