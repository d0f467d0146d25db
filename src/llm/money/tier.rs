//! What a tier does to the list price.
//!
//! Sources: OpenAI and Gemini batch and flex at half, OpenAI priority at 2, Gemini priority at 1.8 (LiteLLM price map
//! of July 2026); Bedrock flex at half, priority at 1.75 (Amazon Bedrock pricing page).

use crate::llm::money::factor::Factor;

/// By how much the price of this maker's models is multiplied on that tier, in the maker's own word or absent.
/// `None`: nobody here knows that tier, so the price is not known either.
#[must_use]
pub(crate) fn factor(maker: &str, tier: Option<&str>) -> Option<Factor> {
    let word = tier.unwrap_or_default().trim().to_lowercase().replace('-', "_");
    match (word.as_str(), maker) {
        ("" | "auto" | "default" | "standard" | "standard_only" | "on_demand", _) => Some(Factor::ONE),
        // Capacity that is paid ahead: the list price stands in for what it costs.
        ("scale" | "reserved" | "provisioned_throughput", _) => Some(Factor::ONE),
        ("priority", "anthropic") => Some(Factor::ONE),
        ("batch" | "flex" | "on_demand_flex", _) => Some(Factor(1, 2)),
        ("priority" | "on_demand_priority", "openai") => Some(Factor(2, 1)),
        ("priority" | "on_demand_priority", "gemini") => Some(Factor(9, 5)),
        ("priority", "bedrock") => Some(Factor(7, 4)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::factor;
    use crate::llm::money::factor::Factor;

    #[test]
    fn every_maker_has_its_own_multipliers() {
        for (maker, tier, expected) in [
            ("openai", None, Some(Factor::ONE)),
            ("openai", Some("default"), Some(Factor::ONE)),
            ("openai", Some("flex"), Some(Factor(1, 2))),
            ("openai", Some("Batch"), Some(Factor(1, 2))),
            ("openai", Some("priority"), Some(Factor(2, 1))),
            ("gemini", Some("ON_DEMAND"), Some(Factor::ONE)),
            ("gemini", Some("priority"), Some(Factor(9, 5))),
            ("anthropic", Some("standard"), Some(Factor::ONE)),
            ("anthropic", Some("batch"), Some(Factor(1, 2))),
            ("bedrock", Some("priority"), Some(Factor(7, 4))),
            ("openai", Some("warp"), None),
            ("", Some("priority"), None),
        ] {
            assert_eq!(factor(maker, tier), expected, "{maker} {tier:?}");
        }
    }
}
