//! Reads a chat completion. Compatible servers leave out or null almost any field.

use serde_json::Value;

use crate::{
    domain::usage::{Usage, UsageSource},
    http::Answer,
    llm::{
        contract::{Completion, Finish, Request},
        vendors::estimate::estimated,
    },
};

/// The completion in a success answer. One that holds no choice is a completion with an unknown finish:
/// it was billed, as far as anyone can tell.
pub(crate) fn read(answer: &Answer, body: &Value, request: &Request) -> Completion {
    let choice = &body["choices"][0];
    let text = content(&choice["message"]["content"]);
    let (usage, usage_source) = match counted(&body["usage"]) {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(request, &text), UsageSource::Estimated),
    };
    Completion {
        finish: finish(choice),
        text,
        served_model: word(&body["model"]),
        served_tier: word(&body["service_tier"]),
        usage,
        usage_source,
        request_id: answer.header("x-request-id").map(str::to_owned).or_else(|| word(&body["id"])),
    }
}

fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A string, or on some servers a list of parts.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// A refusal comes with finish `stop`, in its own field.
fn finish(choice: &Value) -> Finish {
    if let Some(words) = word(&choice["message"]["refusal"]) {
        return Finish::Refused(words);
    }
    match choice["finish_reason"].as_str() {
        Some("stop") => Finish::Complete,
        Some("length") => Finish::Truncated,
        Some("content_filter") => Finish::Blocked,
        Some(other) => Finish::Unknown(other.to_owned()),
        None => Finish::Unknown("none".to_owned()),
    }
}

/// Normal form: the prompt count includes what was read from and written to the cache, the completion count
/// includes reasoning. A detail above its total is cut to it and counted, never subtracted below zero.
fn counted(usage: &Value) -> Option<Usage> {
    let count = |value: &Value| value.as_i64().map(|tokens| tokens.max(0));
    let (prompt, output) = (count(&usage["prompt_tokens"])?, count(&usage["completion_tokens"])?);
    let detail = |of: &str, name: &str| count(&usage[of][name]).unwrap_or(0);
    let told_read = detail("prompt_tokens_details", "cached_tokens");
    let told_write = detail("prompt_tokens_details", "cache_write_tokens");
    let told_reasoning = detail("completion_tokens_details", "reasoning_tokens");
    let cache_read = told_read.min(prompt);
    let cache_write = told_write.min(prompt.saturating_sub(cache_read));
    let reasoning = told_reasoning.min(output);
    if (cache_read, cache_write, reasoning) != (told_read, told_write, told_reasoning) {
        metrics::counter!("longshore_llm_usage_inconsistent_total", "provider" => "openai").increment(1);
    }
    let uncached_input = prompt.saturating_sub(cache_read).saturating_sub(cache_write);
    Some(Usage { uncached_input, cache_read, cache_write, output, reasoning, ..Usage::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{content, counted, finish};
    use crate::{domain::usage::Usage, llm::contract::Finish};

    #[test]
    fn takes_what_overlaps_apart() {
        let usage = json!({
            "prompt_tokens": 1000, "completion_tokens": 300,
            "prompt_tokens_details": { "cached_tokens": 600, "cache_write_tokens": 100, "audio_tokens": null },
            "completion_tokens_details": { "reasoning_tokens": 120 }
        });
        let normal = Usage {
            uncached_input: 300,
            cache_read: 600,
            cache_write: 100,
            output: 300,
            reasoning: 120,
            cache_write_1h: 0,
        };
        assert_eq!(counted(&usage), Some(normal));
    }

    #[test]
    fn never_counts_below_zero_or_beyond_the_total() {
        let usage = json!({
            "prompt_tokens": 100, "completion_tokens": 5,
            "prompt_tokens_details": { "cached_tokens": 90, "cache_write_tokens": 50 },
            "completion_tokens_details": { "reasoning_tokens": 9 }
        });
        let normal = Usage {
            uncached_input: 0,
            cache_read: 90,
            cache_write: 10,
            output: 5,
            reasoning: 5,
            cache_write_1h: 0,
        };
        assert_eq!(counted(&usage), Some(normal));
        assert_eq!(counted(&usage).unwrap().input(), 100);
    }

    #[test]
    fn absent_usage_is_absent() {
        for usage in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 3}),
            json!({"prompt_tokens": null, "completion_tokens": 1}),
        ] {
            assert_eq!(counted(&usage), None, "{usage}");
        }
    }

    #[test]
    fn only_stop_is_success() {
        let choice = |reason: serde_json::Value, refusal: serde_json::Value| {
            finish(&json!({ "finish_reason": reason, "message": { "refusal": refusal } }))
        };
        assert_eq!(choice(json!("stop"), json!(null)), Finish::Complete);
        assert_eq!(choice(json!("stop"), json!("No.")), Finish::Refused("No.".into()));
        assert_eq!(choice(json!("length"), json!(null)), Finish::Truncated);
        assert_eq!(choice(json!("content_filter"), json!(null)), Finish::Blocked);
        for odd in [json!(null), json!(""), json!("tool_calls"), json!("eos"), json!(7)] {
            assert!(matches!(choice(odd.clone(), json!(null)), Finish::Unknown(_)), "{odd}");
        }
        assert!(matches!(finish(&json!(null)), Finish::Unknown(_)), "no choice at all");
    }

    #[test]
    fn reads_text_and_lists_of_parts() {
        assert_eq!(content(&json!("a")), "a");
        assert_eq!(content(&json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }])), "ab");
        assert_eq!(content(&json!(null)), "");
    }
}
