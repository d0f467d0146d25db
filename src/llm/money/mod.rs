//! What calls cost: dated prices, and the names by which models are looked up in them.

pub(crate) mod model_name;
pub mod pricing;
