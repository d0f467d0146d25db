//! A model's name in a price table: providers, gateways and clouds dress the same model differently.

/// Prefixes by which gateways name the maker.
const MAKERS: &[&str] = &["openai/", "azure/", "anthropic/", "google/", "gemini/", "bedrock/", "models/"];
/// Regional profiles of Bedrock, all at the price of the one for the US.
const REGIONS: &[&str] = &["eu.", "apac.", "jp.", "au.", "ca."];

/// The names to look up, most exact first: as given, without the maker, without the date or `-latest`.
#[must_use]
pub(crate) fn candidates(model: &str) -> Vec<String> {
    let mut bare = model.trim().to_lowercase();
    let mut names = vec![bare.clone()];
    while let Some(rest) = MAKERS.iter().find_map(|maker| bare.strip_prefix(maker)) {
        bare = rest.to_owned();
    }
    let regional = REGIONS.iter().find_map(|region| bare.strip_prefix(region));
    let profile = regional.map(|rest| format!("us.{rest}"));
    // Amazon's own models cost the same in every region; others have a surcharge that must not be lost.
    let home = regional.or_else(|| bare.strip_prefix("us.")).filter(|rest| rest.starts_with("amazon."));
    let undated = undated(&bare);
    names.extend(
        [Some(bare.clone()), undated.map(str::to_owned), profile, home.map(str::to_owned)]
            .into_iter()
            .flatten(),
    );
    names
}

/// Without `-2026-08-07`, `-20260807` or `-latest` at the end.
fn undated(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_suffix("-latest") {
        return Some(rest);
    }
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = name.rsplit_once('-')?;
    if digits(last, 8) {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn undresses_a_name() {
        for (dressed, bare) in [
            ("GPT-4o-mini", "gpt-4o-mini"),
            ("openai/gpt-4o-mini", "gpt-4o-mini"),
            ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
            ("openai/gpt-5-2025-08-07", "gpt-5"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("claude-sonnet-5-latest", "claude-sonnet-5"),
            ("models/gemini-2.5-flash", "gemini-2.5-flash"),
            ("eu.anthropic.claude-sonnet-5-v1:0", "us.anthropic.claude-sonnet-5-v1:0"),
            ("us.amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0"),
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
            ("us.anthropic.claude-sonnet-5-v1:0", "anthropic.claude-sonnet-5-v1:0"),
        ] {
            assert!(!candidates(one).iter().any(|name| name == other), "{one}");
        }
    }
}
