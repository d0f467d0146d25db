//! Reads a message of Anthropic's: its text, why it ended, what it used.

use serde_json::Value;

use crate::{
    domain::usage::{Usage, UsageSource},
    http::Answer,
    llm::{
        contract::{Completion, Finish, Request},
        vendors::estimate::estimated,
    },
};

/// The completion in a success answer. One that makes no sense is a completion with an unknown finish: it was billed,
/// as far as anyone can tell.
pub(crate) fn read(answer: &Answer, body: &Value, request: &Request) -> Completion {
    let blocks = body["content"].as_array().into_iter().flatten();
    let text: String =
        blocks.filter(|block| block["type"] == "text").filter_map(|block| block["text"].as_str()).collect();
    let (usage, usage_source) = match counted(&body["usage"]) {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(request, &text), UsageSource::Estimated),
    };
    Completion {
        finish: finish(&body["stop_reason"], &body["stop_details"]),
        text,
        served_model: word(&body["model"]),
        served_tier: word(&body["usage"]["service_tier"]),
        usage,
        usage_source,
        request_id: answer.header("request-id").map(str::to_owned).or_else(|| word(&body["id"])),
    }
}

/// A text that is not empty.
pub(crate) fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// No tools are offered here, so a call of one is no answer; `pause_turn` belongs to tools that run over there.
pub(crate) fn finish(reason: &Value, details: &Value) -> Finish {
    match reason.as_str() {
        Some("end_turn" | "stop_sequence") => Finish::Complete,
        Some("max_tokens") => Finish::Truncated,
        Some("model_context_window_exceeded") => Finish::ContextFull,
        Some("refusal") => {
            let told = [&details["category"], &details["explanation"]].into_iter().filter_map(word);
            let told = told.collect::<Vec<_>>().join(": ");
            Finish::Refused(if told.is_empty() { "refusal".to_owned() } else { told })
        }
        Some(other) => Finish::Unknown(other.to_owned()),
        None => Finish::Unknown("none".to_owned()),
    }
}

/// Normal form: the input count holds neither what was read from a cache nor what was written to one; the output
/// count includes thinking. A detail above its total is cut to it and counted.
pub(crate) fn counted(usage: &Value) -> Option<Usage> {
    let count = |value: &Value| value.as_i64().map(|tokens| tokens.max(0));
    let (uncached_input, output) = (count(&usage["input_tokens"])?, count(&usage["output_tokens"])?);
    let split = |name: &str| count(&usage["cache_creation"][name]).unwrap_or(0);
    let (told_5m, told_1h) = (split("ephemeral_5m_input_tokens"), split("ephemeral_1h_input_tokens"));
    let told_written = told_5m.saturating_add(told_1h);
    // The split may lag behind the total where a gateway tells only that one at the end of a stream.
    let written = count(&usage["cache_creation_input_tokens"]).unwrap_or(told_written);
    let cache_write_1h = told_1h.min(written);
    let told_thinking = count(&usage["output_tokens_details"]["thinking_tokens"]).unwrap_or(0);
    let reasoning = told_thinking.min(output);
    if told_written > written || told_thinking > output {
        metrics::counter!("longshore_llm_usage_inconsistent_total", "provider" => "anthropic").increment(1);
    }
    Some(Usage {
        uncached_input,
        cache_read: count(&usage["cache_read_input_tokens"]).unwrap_or(0),
        cache_write: written.saturating_sub(cache_write_1h),
        cache_write_1h,
        output,
        reasoning,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{counted, finish};
    use crate::{domain::usage::Usage, llm::contract::Finish};

    #[test]
    fn the_input_count_excludes_what_a_cache_held() {
        let usage = json!({
            "input_tokens": 30, "cache_creation_input_tokens": 500, "cache_read_input_tokens": 6000,
            "cache_creation": { "ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300 },
            "output_tokens": 90, "output_tokens_details": { "thinking_tokens": 40 }, "service_tier": "standard"
        });
        let normal = Usage {
            uncached_input: 30,
            cache_read: 6000,
            cache_write: 200,
            cache_write_1h: 300,
            output: 90,
            reasoning: 40,
        };
        assert_eq!(counted(&usage), Some(normal));
        assert_eq!(counted(&usage).unwrap().input(), 6530);
    }

    #[test]
    fn details_may_be_absent_null_or_beyond_their_total() {
        let plain = |input, output| Some(Usage { uncached_input: input, output, ..Usage::default() });
        assert_eq!(counted(&json!({ "input_tokens": 3, "output_tokens": 4 })), plain(3, 4));
        let nulls = json!({ "input_tokens": 3, "output_tokens": 4, "cache_creation": null, "cache_read_input_tokens": null });
        assert_eq!(counted(&nulls), plain(3, 4));
        let total_only = json!({ "input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 7 });
        assert_eq!(counted(&total_only).unwrap().cache_write, 7);
        let split_only = json!({ "input_tokens": 3, "output_tokens": 4, "cache_creation": { "ephemeral_1h_input_tokens": 7 } });
        assert_eq!(counted(&split_only).unwrap().cache_write_1h, 7);
        let beyond = counted(&json!({
            "input_tokens": 3, "output_tokens": 4, "cache_creation_input_tokens": 5,
            "cache_creation": { "ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 4 },
            "output_tokens_details": { "thinking_tokens": 9 }
        }));
        let cut = Usage {
            uncached_input: 3,
            cache_write: 1,
            cache_write_1h: 4,
            output: 4,
            reasoning: 4,
            cache_read: 0,
        };
        assert_eq!(beyond, Some(cut));
        for absent in [json!(null), json!({}), json!({ "input_tokens": 3 }), json!({ "output_tokens": 3 })] {
            assert_eq!(counted(&absent), None, "{absent}");
        }
    }

    #[test]
    fn only_an_ended_turn_is_success() {
        let of = |reason: &str| finish(&json!(reason), &Value::Null);
        assert_eq!(of("end_turn"), Finish::Complete);
        assert_eq!(of("stop_sequence"), Finish::Complete);
        assert_eq!(of("max_tokens"), Finish::Truncated);
        assert_eq!(of("model_context_window_exceeded"), Finish::ContextFull);
        assert_eq!(of("refusal"), Finish::Refused("refusal".into()));
        let details = json!({ "category": "cyber", "explanation": "No malware." });
        assert_eq!(finish(&json!("refusal"), &details), Finish::Refused("cyber: No malware.".into()));
        for odd in
            [json!("pause_turn"), json!("tool_use"), json!("brand_new"), json!(""), json!(null), json!(1)]
        {
            assert!(matches!(finish(&odd, &Value::Null), Finish::Unknown(_)), "{odd}");
        }
    }
}
