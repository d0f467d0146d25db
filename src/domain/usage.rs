//! What an LLM call used, in one normal form for all providers.

use serde::{Deserialize, Serialize};

/// Tokens of one call. The inputs do not overlap; `reasoning` is part of `output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Input neither read from nor written to a cache.
    #[serde(default)]
    pub uncached_input: i64,
    /// Input read from the provider's cache.
    #[serde(default)]
    pub cache_read: i64,
    /// Input written to a five-minute cache.
    #[serde(default)]
    pub cache_write: i64,
    /// Input written to an hour's cache.
    #[serde(default)]
    pub cache_write_1h: i64,
    /// Everything generated, reasoning included.
    #[serde(default)]
    pub output: i64,
    /// The part of `output` that was reasoning.
    #[serde(default)]
    pub reasoning: i64,
}

impl Usage {
    /// All input, cached or not: what long-context price steps look at.
    #[must_use]
    pub fn input(&self) -> i64 {
        self.uncached_input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_1h)
    }
}

/// Where the counts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider said so.
    Provider,
    /// Counted by us: the answer was cut or carried no usage.
    Estimated,
    /// Nothing is known.
    None,
}

impl UsageSource {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}
