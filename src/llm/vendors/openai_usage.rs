//! What OpenAI and its like say was used, in normal form.

use serde_json::Value;

use crate::domain::usage::Usage;

/// The fields of one API.
pub(crate) struct Names {
    input: &'static str,
    input_details: &'static str,
    output: &'static str,
    output_details: &'static str,
}

/// Chat completions.
pub(crate) const CHAT: Names = Names {
    input: "prompt_tokens",
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};
/// Responses.
pub(crate) const RESPONSES: Names = Names {
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
};

/// The input count includes what was read from and written to the cache, the output count includes reasoning and
/// rejected predictions (openai-python 3.3). A detail above its total is cut to it and counted, never subtracted below
/// zero. `None`: nothing is said; compatible servers leave out or null almost any field.
pub(crate) fn counted(usage: &Value, names: &Names) -> Option<Usage> {
    let (input, output) = (count(&usage[names.input])?, count(&usage[names.output])?);
    let detail = |of: &str, name: &str| count(&usage[of][name]).unwrap_or(0);
    let told_read = detail(names.input_details, "cached_tokens");
    let told_write = detail(names.input_details, "cache_write_tokens");
    let told_reasoning = detail(names.output_details, "reasoning_tokens");
    let cache_read = told_read.min(input);
    let cache_write = told_write.min(input.saturating_sub(cache_read));
    let reasoning = told_reasoning.min(output);
    if (cache_read, cache_write, reasoning) != (told_read, told_write, told_reasoning) {
        metrics::counter!("longshore_llm_usage_inconsistent_total", "provider" => "openai").increment(1);
    }
    let uncached_input = input.saturating_sub(cache_read).saturating_sub(cache_write);
    Some(Usage { uncached_input, cache_read, cache_write, output, reasoning, ..Usage::default() })
}

/// What vectors used: input only.
pub(crate) fn counted_input(usage: &Value) -> Option<Usage> {
    let uncached_input = count(&usage[CHAT.input])?;
    Some(Usage { uncached_input, ..Usage::default() })
}

fn count(value: &Value) -> Option<i64> {
    value.as_i64().map(|tokens| tokens.max(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{CHAT, RESPONSES, counted, counted_input};
    use crate::domain::usage::Usage;

    const NORMAL: Usage = Usage {
        uncached_input: 300,
        cache_read: 600,
        cache_write: 100,
        output: 300,
        reasoning: 120,
        cache_write_1h: 0,
    };

    #[test]
    fn takes_what_overlaps_apart() {
        let chat = json!({
            "prompt_tokens": 1000, "completion_tokens": 300, "total_tokens": 1300,
            "prompt_tokens_details": { "cached_tokens": 600, "cache_write_tokens": 100, "audio_tokens": null },
            "completion_tokens_details": {
                "reasoning_tokens": 120, "accepted_prediction_tokens": 5, "rejected_prediction_tokens": 7
            }
        });
        assert_eq!(counted(&chat, &CHAT), Some(NORMAL));
        let responses = json!({
            "input_tokens": 1000, "output_tokens": 300, "total_tokens": 1300,
            "input_tokens_details": { "cached_tokens": 600, "cache_write_tokens": 100 },
            "output_tokens_details": { "reasoning_tokens": 120 }
        });
        assert_eq!(counted(&responses, &RESPONSES), Some(NORMAL));
    }

    /// llama.cpp has no `output_tokens_details`, others have none at all, or null.
    #[test]
    fn details_may_be_absent() {
        let plain = Some(Usage { uncached_input: 10, output: 5, ..Usage::default() });
        for usage in [
            json!({ "input_tokens": 10, "output_tokens": 5 }),
            json!({ "input_tokens": 10, "output_tokens": 5, "input_tokens_details": null, "output_tokens_details": {} }),
        ] {
            assert_eq!(counted(&usage, &RESPONSES), plain, "{usage}");
        }
    }

    #[test]
    fn absent_usage_is_absent() {
        for usage in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 3}),
            json!({"prompt_tokens": null, "completion_tokens": 1}),
        ] {
            assert_eq!(counted(&usage, &CHAT), None, "{usage}");
        }
        assert_eq!(counted_input(&json!({ "total_tokens": 3 })), None);
    }

    proptest! {
        #[test]
        fn never_counts_below_zero_or_beyond_the_total(
            input in -5i64..1000, output in -5i64..1000, read in -5i64..2000, write in -5i64..2000, thought in -5i64..2000
        ) {
            let usage: Value = json!({
                "prompt_tokens": input, "completion_tokens": output,
                "prompt_tokens_details": { "cached_tokens": read, "cache_write_tokens": write },
                "completion_tokens_details": { "reasoning_tokens": thought }
            });
            let normal = counted(&usage, &CHAT).unwrap();
            prop_assert_eq!(normal.input(), input.max(0));
            prop_assert_eq!(normal.output, output.max(0));
            prop_assert!(normal.uncached_input >= 0 && normal.cache_write >= 0 && normal.reasoning <= normal.output);
        }
    }
}
