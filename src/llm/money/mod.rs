//! What calls cost: dated prices, tiers, and the names by which models are looked up in them.

mod factor;
pub(crate) mod model_name;
#[cfg(test)]
mod pitfalls;
mod price_file;
pub mod pricing;
mod tier;
