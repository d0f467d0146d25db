//! A model's name in a price table: providers, gateways and clouds dress the same model differently.

use crate::llm::money::factor::Factor;

/// Prefixes by which gateways name the maker.
const MAKERS: &[&str] = &[
    "openai/",
    "azure/",
    "azure_ai/",
    "anthropic/",
    "google/",
    "gemini/",
    "vertex_ai/",
    "bedrock/",
    "converse/",
    "models/",
];
/// Regional profiles of Bedrock, all at the price of the one for the US.
const REGIONS: &[&str] = &["eu.", "apac.", "jp.", "au.", "ca.", "us-gov."];
/// Bedrock's regional profiles of Claude 4.5 and later cost a tenth more than the global ones.
pub(crate) const REGIONAL: Factor = Factor(11, 10);

/// The names to look up, most exact first: as given, without what stands before the model, without the date or
/// `-latest`, as the regional profile that has the same price.
#[must_use]
pub(crate) fn candidates(model: &str) -> Vec<String> {
    let given = model.trim().to_lowercase();
    let bare = undressed(&given);
    let mut names = vec![given.clone(), bare.to_owned()];
    names.extend(undated(bare).map(str::to_owned));
    names.extend(without_window(bare).map(str::to_owned));
    let bare = without_window(bare).unwrap_or(bare);
    let regional = REGIONS.iter().find_map(|region| bare.strip_prefix(region));
    // Called in its region, without a profile, Claude costs what the regional profile does.
    let at_home = Some(bare).filter(|name| name.starts_with("anthropic."));
    names.extend(regional.or(at_home).map(|rest| format!("us.{rest}")));
    // Amazon's own models cost the same in every region; others have a surcharge that must not be lost.
    let home = regional.or_else(|| bare.strip_prefix("us.")).filter(|rest| rest.starts_with("amazon."));
    names.extend(home.map(str::to_owned));
    names
}

/// The global profile of a model of which this is the regional one, where that costs [`REGIONAL`] more.
#[must_use]
pub(crate) fn global(name: &str) -> Option<String> {
    let rest = name.strip_prefix("us.").filter(|rest| rest.starts_with("anthropic."))?;
    Some(format!("global.{rest}"))
}

/// Without ARN, path and maker: `arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic...`,
/// `projects/p/locations/l/publishers/google/models/gemini...`, `openai/gpt...`.
fn undressed(given: &str) -> &str {
    let mut bare = given;
    if bare.starts_with("arn:") || bare.starts_with("projects/") || bare.starts_with("publishers/") {
        bare = bare.rsplit('/').next().unwrap_or(bare);
    }
    while let Some(rest) = MAKERS.iter().find_map(|maker| bare.strip_prefix(maker)) {
        bare = rest;
    }
    bare
}

/// Without what Bedrock adds for a variant with another window: `amazon.nova-lite-v1:0:300k`.
fn without_window(name: &str) -> Option<&str> {
    let (rest, window) = name.rsplit_once(':')?;
    let thousands = window.strip_suffix('k')?;
    (rest.contains(':') && digits(thousands, thousands.len())).then_some(rest)
}

/// Without `-2026-08-07`, `-20260807`, `@20260807`, `-latest`, and Gemini's `-001`, at the end.
fn undated(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix("-latest") {
        return Some(rest);
    }
    if let Some((rest, version)) = name.split_once('@') {
        return (digits(version, 8) || version == "default").then_some(rest);
    }
    let (rest, last) = name.rsplit_once('-')?;
    if digits(last, 8) || (digits(last, 3) && name.starts_with("gemini-")) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

fn digits(part: &str, length: usize) -> bool {
    length > 0 && part.len() == length && part.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::candidates;

    #[test]
    fn undresses_a_name() {
        for (dressed, bare) in [
            ("GPT-4o-mini", "gpt-4o-mini"),
            ("openai/gpt-4o-mini", "gpt-4o-mini"),
            ("azure/openai/gpt-4o-mini", "gpt-4o-mini"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("openai/gpt-5-2025-08-07", "gpt-5"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
            ("claude-sonnet-5-latest", "claude-sonnet-5"),
            ("models/gemini-2.5-flash", "gemini-2.5-flash"),
            ("gemini-2.5-flash-001", "gemini-2.5-flash"),
            ("projects/p/locations/eu/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("eu.anthropic.claude-sonnet-5-v1:0", "us.anthropic.claude-sonnet-5-v1:0"),
            ("anthropic.claude-sonnet-5-v1:0", "us.anthropic.claude-sonnet-5-v1:0"),
            ("us.amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0"),
            ("amazon.nova-lite-v1:0:300k", "amazon.nova-lite-v1:0"),
            (
                "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-5-v1:0",
                "us.anthropic.claude-sonnet-5-v1:0",
            ),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ] {
            assert!(
                candidates(dressed).iter().any(|name| name == bare),
                "{dressed}: {:?}",
                candidates(dressed)
            );
        }
    }

    #[test]
    fn keeps_different_models_apart() {
        for (one, other) in [
            ("gpt-4o-mini", "gpt-4o"),
            ("gpt-5-mini", "gpt-5"),
            ("gpt-4-001", "gpt-4"),
            ("us.anthropic.claude-sonnet-5-v1:0", "anthropic.claude-sonnet-5-v1:0"),
            ("us.anthropic.claude-sonnet-5-v1:0", "global.anthropic.claude-sonnet-5-v1:0"),
            ("ft:gpt-4o-mini-2024-07-18:acme::x1", "gpt-4o-mini"),
        ] {
            assert!(!candidates(one).iter().any(|name| name == other), "{one}");
        }
    }

    proptest! {
        #[test]
        fn takes_any_name(name in "\\PC{0,60}") {
            let names = candidates(&name);
            prop_assert_eq!(&names[0], &name.trim().to_lowercase());
        }
    }
}
